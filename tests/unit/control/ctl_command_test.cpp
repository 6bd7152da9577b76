// vxctl's words become calls of methods.
#include <gtest/gtest.h>

#include <sstream>

#include "control/ctl/command.hpp"

namespace vxplane::control::ctl {
namespace {

std::vector<std::string> words(const std::string& line) {
    std::istringstream stream(line);
    std::vector<std::string> all;
    for (std::string word; stream >> word;) all.push_back(word);
    return all;
}

// `method params params...`, or `? problem`.
std::string parsed(const std::string& line, bool all = false) {
    const auto result = parse_command(words(line), all);
    std::string text;
    if (const auto* bad = std::get_if<Usage>(&result))
        return text.append("? ").append(bad->problem);
    const auto& command = std::get<Command>(result);
    text = command.method;
    for (const auto& params : command.calls) text.append(1, ' ').append(params.dump());
    return text;
}

TEST(CtlCommand, shows) {
    EXPECT_EQ(parsed("version"), "version {}");
    EXPECT_EQ(parsed("port"), "ports {}");
    EXPECT_EQ(parsed("port show"), "ports {}");
    EXPECT_EQ(parsed("port show vm1"), R"(ports {"name":"vm1"})");
    EXPECT_EQ(parsed("port show dev vm1"), R"(ports {"name":"vm1"})");
    EXPECT_EQ(parsed("worker"), "workers {}");
    EXPECT_EQ(parsed("segment show blue"), R"(segments {"name":"blue"})");
    EXPECT_EQ(parsed("segment set blue down"), R"(segment.set {"name":"blue","state":"down"})");
    EXPECT_EQ(parsed("segment set blue group 239.1.1.1 dev up0"),
              R"(segment.set {"dev":"up0","group":"239.1.1.1","name":"blue"})");
    EXPECT_EQ(parsed("segment set blue"), "? missing up, down, or a key of a vxlan and its value");
    EXPECT_EQ(parsed("segment set blue off"), "? missing value of off");
    EXPECT_EQ(parsed("segment set blue ttl 9 learning off"),
              R"(segment.set {"learning":"off","name":"blue","ttl":"9"})");
    EXPECT_EQ(parsed("segment set blue up down"), "? state is given twice");
    EXPECT_EQ(parsed("maddress"), "maddress {}");
    EXPECT_EQ(parsed("neigh show"), "neigh {}");
    EXPECT_EQ(parsed("route"), "routes {}");
    EXPECT_EQ(parsed("drops"), "drops {}");
    EXPECT_EQ(parsed("drops", true), R"(drops {"all":true})");
    EXPECT_EQ(parsed("stages"), "stages {}");
    EXPECT_EQ(parsed("stats reset"), "stats.reset {}");
    EXPECT_EQ(parsed("health"), "health {}");
    EXPECT_EQ(parsed("methods"), "rpc.methods {}");
    EXPECT_EQ(parsed("events"), "subscribe {}");
    EXPECT_EQ(parsed("events fdb link"), R"(subscribe {"topics":["fdb","link"]})");
}

TEST(CtlCommand, neighbours_of_segments) {
    EXPECT_EQ(parsed("neigh show dev blue"), R"(segments.neigh {"segment":"blue"})");
    EXPECT_EQ(
        parsed("neigh add 10.1.0.2 lladdr 02:: dev blue router"),
        R"(segments.neigh.add {"address":"10.1.0.2","lladdr":"02::","router":true,"segment":"blue"})");
    EXPECT_EQ(parsed("neigh replace fd00::2 lladdr 02:: dev blue"),
              R"(segments.neigh.replace {"address":"fd00::2","lladdr":"02::","segment":"blue"})");
    EXPECT_EQ(parsed("neigh del 10.1.0.2 dev blue"),
              R"(segments.neigh.del {"address":"10.1.0.2","segment":"blue"})");
    EXPECT_EQ(parsed("neigh flush"), "segments.neigh.flush {}");
    EXPECT_EQ(parsed("refused"), "segments.refused {}");
    EXPECT_EQ(parsed("mdb"), "mdb.show {}");
    EXPECT_EQ(parsed("mdb show dev blue"), R"(mdb.show {"segment":"blue"})");
    EXPECT_EQ(
        parsed("mdb add dev blue port blue grp 239.1.1.1 src 10.0.0.1 dst 10.0.0.2 permanent"),
        R"(mdb.add {"dst":"10.0.0.2","group":"239.1.1.1","segment":"blue","source":"10.0.0.1"})");
    EXPECT_EQ(
        parsed("mdb del dev blue port vm1 grp ff05::1 filter_mode include source_list "
               "fd00::1,fd00::2"),
        R"(mdb.del {"filter_mode":"include","group":"ff05::1","port":"vm1","segment":"blue","source_list":["fd00::1","fd00::2"]})");
    EXPECT_EQ(
        parsed("mdb add dev blue port blue grp 239.1.1.1 dst 10.0.0.2 dst_port 8472 vni 5 "
               "src_vni 7"),
        R"(mdb.add {"dst":"10.0.0.2","dstport":8472,"group":"239.1.1.1","segment":"blue:7","vni":5})");
    EXPECT_EQ(parsed("mdb add dev blue grp 239.1.1.1 dst 10.0.0.2 vni x"),
              "? vni: 'x' is not a number");
    EXPECT_EQ(parsed("mdb add dev blue grp 239.1.1.1"), "? give one of port NAME, dst IP");
    EXPECT_EQ(parsed("mdb add dev blue port vm1"), "? missing grp GROUP");
    EXPECT_EQ(parsed("groups"), "segments.groups {}");
    EXPECT_EQ(parsed("mtu"), "path_mtus {}");
    EXPECT_EQ(parsed("mtu flush"), "path_mtus.flush {}");
    EXPECT_EQ(parsed("mtu flush remote 2001:db8::2"),
              "path_mtus.flush {\"remote\":\"2001:db8::2\"}");
}

TEST(CtlCommand, fdb) {
    EXPECT_EQ(parsed("fdb"), "fdb.show {}");
    EXPECT_EQ(parsed("fdb show segment blue mac 02:: static limit 5"),
              R"(fdb.show {"limit":5,"mac":"02::","segment":"blue","state":"static"})");
    EXPECT_EQ(parsed("fdb add 02:: dev blue dst 10.0.0.1"),
              R"(fdb.add {"dst":"10.0.0.1","mac":"02::","segment":"blue"})");
    EXPECT_EQ(
        parsed("fdb add 02:: dev blue dst 10.0.0.1 vni 300 dstport 8472"),
        R"(fdb.add {"dst":"10.0.0.1","dstport":8472,"mac":"02::","segment":"blue","vni":300})");
    EXPECT_EQ(parsed("fdb del 02:: dev blue src_vni 100"),
              R"(fdb.del {"mac":"02::","segment":"blue","src_vni":100})");
    EXPECT_EQ(parsed("fdb replace 02:: dev blue port vm1 permanent"),
              R"(fdb.replace {"mac":"02::","port":"vm1","segment":"blue","state":"permanent"})");
    EXPECT_EQ(parsed("fdb add 02:: dev blue nhid 7 dynamic"),
              R"(fdb.add {"mac":"02::","nhid":7,"segment":"blue","state":"dynamic"})");
    EXPECT_EQ(parsed("fdb del 02:: dev blue"), R"(fdb.del {"mac":"02::","segment":"blue"})");
    EXPECT_EQ(parsed("fdb delete 02:: dev blue dst ::1"),
              R"(fdb.del {"dst":"::1","mac":"02::","segment":"blue"})");
    EXPECT_EQ(parsed("fdb flush"), "fdb.flush {}");
    EXPECT_EQ(parsed("fdb flush dev blue dynamic static"),
              R"(fdb.flush {"segment":"blue","state":"dynamic"} )"
              R"({"segment":"blue","state":"static"})");
}

TEST(CtlCommand, words_may_be_shortened) {
    EXPECT_EQ(parsed("p s vm1"), R"(ports {"name":"vm1"})");
    EXPECT_EQ(parsed("ports"), "ports {}");
    EXPECT_EQ(parsed("f a 02:: d blue dst 1.1.1.1 perm"),
              "? 'd' may mean dev, dst, dstport, dynamic");
    EXPECT_EQ(parsed("f a 02:: de blue ds 1.1.1.1 perm"),
              R"(fdb.add {"dst":"1.1.1.1","mac":"02::","segment":"blue","state":"permanent"})");
    EXPECT_EQ(parsed("n"), "neigh {}");
    EXPECT_EQ(parsed("st"), "? 'st' may mean stages, stats");
}

TEST(CtlCommand, reload_may_be_dry) {
    EXPECT_EQ(parsed("reload"), "reload {}");
    EXPECT_EQ(parsed("reload dry-run"), R"(reload {"dry_run":true})");
    EXPECT_EQ(parsed("reload now"), "? 'now' is not a known word (dry-run)");
    EXPECT_EQ(parsed("port dry-run"), "? 'dry-run' is not a known verb (show, list)");
}

TEST(CtlCommand, captures) {
    EXPECT_EQ(parsed("capture"), "capture.list {}");
    EXPECT_EQ(parsed("capture stop 3"), R"(capture.stop {"id":3})");
    EXPECT_EQ(parsed("capture start port up file /tmp/x.pcapng"),
              R"(capture.start {"file":"/tmp/x.pcapng","port":"up"})");
    EXPECT_EQ(parsed("cap start port up file /x dir tx filter arp inner snaplen 96 limit-count 5 "
                     "limit-size 1000 rotate 2 force"),
              R"(capture.start {"direction":"tx","file":"/x","filter":"arp","force":true,)"
              R"("inner":true,"limit_count":5,"limit_size":1000,"port":"up","rotate":2,)"
              R"("snaplen":96})");
    EXPECT_EQ(parsed("capture start port up"), "? missing file PATH");
    EXPECT_EQ(parsed("capture start port up file /x snaplen big"),
              "? snaplen: 'big' is not a number");
    EXPECT_EQ(parsed("capture start port up port vm1 file /x"), "? port is given twice");
}

TEST(CtlCommand, raw_calls) {
    EXPECT_EQ(parsed("rpc version"), "version {}");
    EXPECT_EQ(parsed(R"(rpc fdb.show {"limit":1})"), R"(fdb.show {"limit":1})");
    EXPECT_EQ(parsed("rpc subtract [1,2]"), "subtract [1,2]");
    EXPECT_EQ(parsed("rpc x {bad"), "? params must be a JSON object or array: {bad");
    EXPECT_EQ(parsed("rpc x 7"), "? params must be a JSON object or array: 7");
}

TEST(CtlCommand, wrong_words_are_named) {
    EXPECT_EQ(parsed("banana").substr(0, 53),
              "? 'banana' is not a known object (version, port, port");
    EXPECT_EQ(parsed("port vm1"), "? 'vm1' is not a known verb (show, list)");
    EXPECT_EQ(parsed("port show a b"), "? 'b' is one word too many");
    EXPECT_EQ(parsed("worker show 1"), "? '1' is one word too many");
    EXPECT_EQ(parsed("version x"), "? 'x' is one word too many");
    EXPECT_EQ(parsed("port", true), "? --all goes with drops");
    EXPECT_EQ(parsed("stats"), "? missing verb (reset)");
    EXPECT_EQ(parsed("fdb add"), "? missing MAC address");
    EXPECT_EQ(parsed("fdb add 02:: dst 1.1.1.1"), "? missing dev SEGMENT");
    EXPECT_EQ(parsed("fdb add 02:: dev"), "? missing value of dev");
    EXPECT_EQ(parsed("fdb add 02:: dev b"), "? give one of dst IP, nhid N, port NAME");
    EXPECT_EQ(parsed("fdb add 02:: dev b dst 1.1.1.1 port p"),
              "? give one of dst IP, nhid N, port NAME");
    EXPECT_EQ(parsed("fdb add 02:: dev b dst 1.1.1.1 dst 1.1.1.2"), "? dst is given twice");
    EXPECT_EQ(parsed("fdb add 02:: dev b nhid x"), "? nhid: 'x' is not a number");
    EXPECT_EQ(parsed("fdb add 02:: dev b port p static dynamic"),
              "? one state is enough (static, dynamic)");
    EXPECT_EQ(parsed("fdb del 02:: dev b static"), "? 'static' has no place in fdb del");
    EXPECT_EQ(parsed("rpc"), "? missing method");
}

}  // namespace
}  // namespace vxplane::control::ctl
