// vxctl's words about slaves, ipvlans, routes, rules and connections, and how they are shown.
#include <gtest/gtest.h>

#include <sstream>

#include "control/ctl/command.hpp"
#include "control/ctl/render.hpp"

namespace vxplane::control::ctl {
namespace {

// `method params params...`, or `? problem`.
std::string parsed(const std::string& line) {
    std::istringstream stream(line);
    std::vector<std::string> words;
    for (std::string word; stream >> word;) words.push_back(word);
    const auto result = parse_command(words, false);
    if (const auto* bad = std::get_if<Usage>(&result)) return "? " + bad->problem;
    const auto& command = std::get<Command>(result);
    std::string text = command.method;
    for (const auto& params : command.calls) text += " " + params.dump();
    return text;
}

TEST(CtlIpvlan, slaves) {
    EXPECT_EQ(parsed("slave"), "slaves {}");
    EXPECT_EQ(parsed("slaves show ipvl0/red"), R"(slaves {"name":"ipvl0/red"})");
    EXPECT_EQ(parsed("slave set red down"), R"(slave.set {"name":"red","state":"down"})");
    EXPECT_EQ(parsed("slave set red"), "? missing state (up, down)");
    EXPECT_EQ(parsed("slave set red off"), "? 'off' is not a known state (up, down)");
}

TEST(CtlIpvlan, ipvlans) {
    EXPECT_EQ(parsed("ipvlan"), "ipvlans {}");
    EXPECT_EQ(parsed("ipvlan set a mode l3s flag private"),
              R"(ipvlan.set {"flag":"private","mode":"l3s","name":"a"})");
    EXPECT_EQ(parsed("ipvlan set a"), "? missing mode or flag");
    EXPECT_EQ(parsed("ipvlan set a mode l2 mode l3"), "? mode is given twice");
    EXPECT_EQ(parsed("ipvlan set a mode l4"), "? 'l4' is not a known mode (l2, l3, l3s)");
}

TEST(CtlIpvlan, IV03_IV04_address_and_mtu_of_a_port) {
    EXPECT_EQ(parsed("port set up mac 02:00:00:00:00:01 mtu 1400"),
              R"(port.set {"mac":"02:00:00:00:00:01","mtu":1400,"name":"up"})");
    EXPECT_EQ(parsed("port set up"), "? missing mac or mtu");
    EXPECT_EQ(parsed("port set up mtu big"), "? mtu: 'big' is not a number");
    EXPECT_EQ(parsed("port set up mtu 1 mtu 2"), "? mtu is given twice");
    EXPECT_EQ(parsed("port set"), "? missing name of a port");
}

TEST(CtlIpvlan, routes) {
    EXPECT_EQ(parsed("route show table cluster limit 5"),
              R"(route.show {"limit":5,"table":"cluster"})");
    EXPECT_EQ(parsed("route add 10.0.0.0/8 via 10.1.0.1 table red"),
              R"(route.add {"nexthops":[{"via":"10.1.0.1"}],"table":"red","to":"10.0.0.0/8"})");
    EXPECT_EQ(
        parsed("route replace default table red nexthop via 10.0.0.1 weight 2 nexthop slave b"),
        R"(route.replace {"nexthops":[{"via":"10.0.0.1","weight":2},{"slave":"b"}],"table":"red","to":"default"})");
    EXPECT_EQ(parsed("route add 10.0.0.0/8 blackhole table red"),
              R"(route.add {"table":"red","to":"10.0.0.0/8","type":"blackhole"})");
    EXPECT_EQ(parsed("route del 10.0.0.0/8 table red"),
              R"(route.del {"table":"red","to":"10.0.0.0/8"})");
    EXPECT_EQ(parsed("route add 10.0.0.0/8 via 10.1.0.1"), "? missing table TABLE");
    EXPECT_EQ(parsed("route add 10.0.0.0/8 blackhole throw table red"), "? one type is enough");
    EXPECT_EQ(parsed("route del 10.0.0.0/8 via 10.1.0.1 table red"),
              "? route del takes TO and table TABLE");
}

TEST(CtlIpvlan, rules_and_connections) {
    EXPECT_EQ(parsed("rule"), "rules {}");
    EXPECT_EQ(parsed("conntrack"), "conntrack.show {}");
    EXPECT_EQ(parsed("conntrack count"), "conntrack.count {}");
    EXPECT_EQ(parsed("conntrack timeouts"), "conntrack.timeouts {}");
    EXPECT_EQ(parsed("conntrack show ipvlan a protocol tcp port 80 limit 7"),
              R"(conntrack.show {"ipvlan":"a","limit":7,"port":80,"protocol":"tcp"})");
    EXPECT_EQ(parsed("conntrack flush slave red"), R"(conntrack.flush {"slave":"red"})");
    EXPECT_EQ(parsed("conntrack flush limit 3"),
              "? 'limit' is not a known word (ipvlan, slave, vrf, protocol, address, port)");
    EXPECT_EQ(parsed("conntrack show port 80 port 81"), "? port is given twice");
}

TEST(CtlIpvlan, a_slave_without_carrier_says_so) {
    const Json slaves = Json::parse(
        R"([{"ipvlan":"a","name":"red","port":"p1","mode":"l3","state":"no-carrier","mtu":1500,
"vrf":"","addresses":["10.0.0.5/24"],"rx":{"packets":3,"bytes":180,"multicast":0},
"tx":{"packets":2,"bytes":120,"drops":1}}])");
    const std::string text = render(View::slaves, slaves);
    EXPECT_NE(text.find("no-carrier"), std::string::npos) << text;
    EXPECT_NE(text.find("10.0.0.5/24"), std::string::npos) << text;
    EXPECT_EQ(render(View::slaves, Json::array()), "no slaves\n");
}

TEST(CtlIpvlan, connections_are_lines_and_say_that_there_are_more) {
    const Json page = Json::parse(
        R"({"cut":true,"next":7,"entries":[{"ipvlan":"a","protocol":"tcp","state":"established",
"expires_s":12.5,"original":{"src":"10.0.0.5","dst":"8.8.8.8","sport":1000,"dport":80},
"reply":{"src":"8.8.8.8","dst":"192.0.2.1","sport":80,"dport":1000},"replied":false,
"assured":false,"slave":"a/red"}]})");
    const std::string text = render(View::connections, page);
    EXPECT_EQ(text,
              "tcp 12.50 established src=10.0.0.5 dst=8.8.8.8 sport=1000 dport=80 [UNREPLIED] "
              "src=8.8.8.8 dst=192.0.2.1 sport=80 dport=1000 ipvlan=a slave=a/red\n"
              "and more (limit)\n");
}

TEST(CtlIpvlan, rules_and_routes_are_lines) {
    EXPECT_EQ(render(View::rules, Json::parse(R"([{"owner":"a","hook":"input","priority":0,
"protocol":"tcp","dport":"443","packets":2,"bytes":120,"action":"accept","name":"web"}])")),
              "a input priority 0 protocol tcp dport 443 counter packets 2 bytes 120 accept # "
              "web\n");
    EXPECT_EQ(render(View::table, Json::parse(R"({"cut":false,"entries":[{"to":"10.0.0.0/8",
"type":"unicast","table":"red","proto":"static","nexthops":[{"via":"10.1.0.1","dev":"up"}]}]})")),
              "10.0.0.0/8 via 10.1.0.1 dev up table red proto static\n");
    EXPECT_EQ(render(View::timeouts, Json::parse(R"([{"ipvlan":"a","key":"udp","seconds":30}])")),
              "IPVLAN  KEY  SECONDS\na       udp       30\n");
}

}  // namespace
}  // namespace vxplane::control::ctl
