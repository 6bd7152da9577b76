// The values that a file yields, and texts that nobody would write.
#include "config/load.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "config/validate.hpp"

namespace vxplane::config {
namespace {

constexpr const char* head =
    "version: 1\n"
    "ports:\n"
    "  up: {device: eth0, role: underlay, addresses: [10.0.0.1/24]}\n"
    "vxlans:\n"
    "  a: {id: 7, ";

Vxlan segment(const std::string& keys) {
    const LoadResult result = check_text(head + keys + "}\n", "t.yaml");
    for (const Problem& problem : result.problems) ADD_FAILURE() << problem.text();
    if (result.topology.vxlans.size() != 1) {
        ADD_FAILURE() << result.topology.vxlans.size() << " segments";
        return {};
    }
    return result.topology.vxlans.front();
}

std::string only_problem(const std::string& text) {
    const LoadResult result = check_text(text, "t.yaml");
    EXPECT_EQ(result.problems.size(), 1U);
    return result.problems.empty() ? "" : result.problems.front().text();
}

TEST(ConfigLoad, VX04_destination_port_is_4789_unless_the_file_says_otherwise) {
    EXPECT_EQ(segment("").dstport, 4789);
    EXPECT_EQ(segment("dstport: 8472").dstport, 8472);
}

TEST(ConfigLoad, VX05_source_ports_default_to_those_of_the_kernel) {
    EXPECT_EQ(segment("").srcport, (PortRange{32768, 60999}));
    EXPECT_EQ(segment("srcport: [0, 0]").srcport, (PortRange{32768, 60999}));
    EXPECT_EQ(segment("srcport: [5000, 5000]").srcport, (PortRange{32768, 60999}));
    EXPECT_EQ(segment("srcport: [5000, 6000]").srcport, (PortRange{5000, 6000}));
    EXPECT_EQ(segment("srcport: 5000 6000").srcport, (PortRange{5000, 6000}));
    EXPECT_EQ(segment("srcport: dynamic").srcport, (PortRange{49152, 65536}));
}

TEST(ConfigLoad, fills_in_the_defaults_of_a_segment) {
    const Vxlan a = segment("");
    EXPECT_EQ(a.ttl, 0);
    EXPECT_EQ(a.tos, 0);
    EXPECT_EQ(a.df, Df::unset);
    EXPECT_EQ(a.ecn, Ecn::rfc6040);
    EXPECT_FALSE(a.udpcsum);
    EXPECT_TRUE(a.learning);
    EXPECT_EQ(a.ageing, 300U);
    EXPECT_EQ(a.fdb_conflict, FdbConflict::drop);
    EXPECT_EQ(a.maxaddr, 0U);
    EXPECT_FALSE(a.inner_vlan);
    EXPECT_EQ(a.mtu, 0);
    EXPECT_FALSE(a.mac);
    EXPECT_FALSE(a.local);
    EXPECT_FALSE(a.keys.has("ttl"));
}

TEST(ConfigLoad, second_names_of_ip_link_are_those_of_the_keys) {
    const Vxlan a = segment(
        "remcsumtx: true, remcsumrx: true, maxaddress: 6, localbypass: false, hoplimit: 9, "
        "dsfield: 0x10");
    EXPECT_TRUE(a.remcsumtx && a.remcsumrx);
    EXPECT_EQ(a.maxaddr, 6U);
    EXPECT_FALSE(a.local_bypass);
    EXPECT_EQ(a.ttl, 9);
    EXPECT_EQ(a.tos, 16);
    EXPECT_EQ(segment("hlim: 7").ttl, 7);
    EXPECT_TRUE(a.keys.has("maxaddr")) << "one name for messages and changes";
}

TEST(ConfigLoad, reads_every_key_of_a_segment) {
    const Vxlan a = segment(
        "local: 10.0.0.1, remote: 10.0.0.2, ttl: 9, tos: 0x10, df: set, ecn: rfc3168, "
        "udpcsum: true, learning: false, ageing: 0, maxaddr: 5, inner-vlan: true, mtu: 1400, "
        "reserved-bits: 0xf7ffffff000000fe, proxy: true, proxy-fallback: kernel, "
        "proxy-dad: true, fdb-conflict: forward, "
        "neigh-learning: true, neigh-maxaddr: 77, rsc: true, l2miss: true, l3miss: true, peers: "
        "[10.0.0.3, "
        "10.9.0.0/16], check-srcport: 40000-50000, refuse-vxlan: true, "
        "neighbours: [{ip: 10.1.0.3, lladdr: 16:1d:36:f4:ab:26, router: true}], "
        "mac: 02:00:00:00:00:99, ports: [], "
        "fdb: [{mac: 16:1d:36:f4:ab:26, dst: 10.0.0.3, state: static, router: true}]");
    EXPECT_EQ(a.id, 7U);
    EXPECT_EQ(a.local->text(), "10.0.0.1");
    EXPECT_EQ(a.remote->text(), "10.0.0.2");
    EXPECT_EQ(a.ttl, 9);
    EXPECT_EQ(a.tos, 16);
    EXPECT_EQ(a.df, Df::set);
    EXPECT_EQ(a.ecn, Ecn::rfc3168);
    EXPECT_TRUE(a.udpcsum);
    EXPECT_FALSE(a.learning);
    EXPECT_EQ(a.ageing, 0U);
    EXPECT_EQ(a.maxaddr, 5U);
    EXPECT_TRUE(a.inner_vlan);
    EXPECT_EQ(a.reserved_bits, "0xf7ffffff000000fe");
    EXPECT_EQ(a.mtu, 1400);
    EXPECT_EQ(a.mac->text(), "02:00:00:00:00:99");
    EXPECT_TRUE(a.proxy && a.neigh_learning && a.rsc && a.l2miss && a.l3miss && a.refuse_vxlan);
    EXPECT_EQ(a.proxy_fallback, ProxyFallback::kernel);
    EXPECT_TRUE(a.proxy_dad);
    EXPECT_EQ(a.neigh_maxaddr, 77U);
    EXPECT_EQ(a.fdb_conflict, FdbConflict::forward);
    ASSERT_EQ(a.peers.size(), 2U);
    EXPECT_EQ(a.peers[0].text(), "10.0.0.3/32");
    EXPECT_EQ(a.peers[1].text(), "10.9.0.0/16");
    EXPECT_EQ(a.check_srcport, (Ports{40000, 50000}));
    ASSERT_EQ(a.neighbours.size(), 1U);
    EXPECT_EQ(a.neighbours[0].ip.text(), "10.1.0.3");
    EXPECT_TRUE(a.neighbours[0].router);
    EXPECT_TRUE(a.fdb.at(0).router);
    ASSERT_EQ(a.fdb.size(), 1U);
    EXPECT_EQ(a.fdb[0].mac.text(), "16:1d:36:f4:ab:26");
    EXPECT_EQ(a.fdb[0].dst.at(0).text(), "10.0.0.3");
    EXPECT_EQ(a.fdb[0].state, FdbState::static_);
    EXPECT_EQ(segment("ttl: auto").ttl, 0);
    EXPECT_EQ(segment("ttl: inherit").ttl, Vxlan::kInheritTtl);
    EXPECT_EQ(segment("tos: inherit").tos, Vxlan::kInheritTos);
    EXPECT_EQ(segment("df: inherit").df, Df::inherit);
}

TEST(ConfigLoad, reads_system_ports_routes_neighbours_and_nexthops) {
    const LoadResult result = check_text(R"(version: 1
system: {workers: [1, 2], control: 0, memory: 1G, hugepages: off, idle: busy, idle-after: 50,
         idle-sleep: 700, steering: software, backlog: 300, flow-limit: true, socket: /run/s,
         socket-group: net, icmp-rate: 9, log: debug, mbufs: 8192, fdb-capacity: 5, tunnel-capacity: 6,
         eal: [--no-pci]}
ports:
  up: {device: "0000:3b:00.0", role: underlay, addresses: [10.0.0.1/24], mtu: 1600,
       mac: "02:00:00:00:00:01", rx-queues: 3, rx-descriptors: 64, tx-descriptors: 128,
       workers: [2, 1], rss: [ipv4, ipv4-udp], rss-key: symmetric, rss-level: inner,
       rss-reta: [0, 2, 1], rx-checksum: on, host: up0}
  vm1: {device: "net_tap0,iface=vm1", role: access, rx-queues: auto}
routes: [{to: default, via: 10.0.0.9}, {to: 10.9.0.0/16, type: throw}]
neighbours: [{address: 10.0.0.9, lladdr: 02:00:00:00:00:09, dev: up}]
nexthops: {12: {group: [10.0.0.2, 10.0.0.3]}}
)",
                                         "t.yaml");
    for (const Problem& problem : result.problems) ADD_FAILURE() << problem.text();
    const Topology& t = result.topology;
    EXPECT_EQ(t.file, "t.yaml");
    EXPECT_EQ(t.system.workers, (std::vector<unsigned>{1, 2}));
    EXPECT_EQ(t.system.control, 0U);
    EXPECT_EQ(t.system.memory, 1ULL << 30);
    EXPECT_EQ(t.system.hugepages, Hugepages::off);
    EXPECT_EQ(t.system.idle, IdlePolicy::busy);
    EXPECT_EQ(t.system.idle_after, 50U);
    EXPECT_EQ(t.system.idle_sleep, 700U);
    EXPECT_EQ(t.system.steering, Steering::software);
    EXPECT_EQ(t.system.backlog, 300U);
    EXPECT_TRUE(t.system.flow_limit);
    EXPECT_EQ(t.system.socket, "/run/s");
    EXPECT_EQ(t.system.socket_group, "net");
    EXPECT_EQ(t.system.log_level, LogLevel::debug);
    EXPECT_EQ(t.system.icmp_rate, 9U);
    EXPECT_EQ(t.system.mbufs, 8192U);
    EXPECT_EQ(t.system.fdb_capacity, 5U);
    EXPECT_EQ(t.system.tunnel_capacity, 6U);
    EXPECT_EQ(t.system.eal, (std::vector<std::string>{"--no-pci"}));
    ASSERT_EQ(t.ports.size(), 2U);
    EXPECT_EQ(t.ports[0].name, "up");
    EXPECT_EQ(t.ports[0].device, "0000:3b:00.0");
    EXPECT_EQ(t.ports[0].role, PortRole::underlay);
    EXPECT_EQ(t.ports[0].addresses.at(0).text(), "10.0.0.1/24");
    EXPECT_EQ(t.ports[0].mtu, 1600);
    EXPECT_EQ(t.ports[0].mac->text(), "02:00:00:00:00:01");
    EXPECT_EQ(t.ports[0].rx_queues, 3);
    EXPECT_EQ(t.ports[0].rx_descriptors, 64);
    EXPECT_EQ(t.ports[0].tx_descriptors, 128);
    EXPECT_EQ(t.ports[0].workers, (std::vector<unsigned>{2, 1}));
    EXPECT_EQ(t.ports[0].rss, (std::vector<std::string>{"ipv4", "ipv4-udp"}));
    EXPECT_EQ(t.ports[0].rss_key, "symmetric");
    EXPECT_EQ(t.ports[0].rss_level, RssLevel::inner);
    EXPECT_EQ(t.ports[0].rss_reta, (std::vector<unsigned>{0, 2, 1}));
    EXPECT_EQ(t.ports[0].rx_checksum, RxChecksum::on);
    EXPECT_EQ(t.ports[0].host, "up0");
    EXPECT_FALSE(t.ports[0].promiscuous) << "underlay: false unless said";
    EXPECT_TRUE(t.ports[1].promiscuous) << "access: true";
    EXPECT_TRUE(t.ports[1].workers.empty() && t.ports[1].rss_key.empty());
    EXPECT_EQ(t.ports[1].mtu, 1500);
    EXPECT_EQ(t.ports[1].rx_queues, 0);
    ASSERT_EQ(t.routes.size(), 2U);
    EXPECT_EQ(t.routes[0].to.text(), "0.0.0.0/0");
    EXPECT_EQ(t.routes[0].via->text(), "10.0.0.9");
    EXPECT_EQ(t.routes[1].type, RouteType::throw_);
    ASSERT_EQ(t.neighbours.size(), 1U);
    EXPECT_EQ(t.neighbours[0].lladdr.text(), "02:00:00:00:00:09");
    ASSERT_EQ(t.nexthops.size(), 1U);
    EXPECT_EQ(t.nexthops[0].id, 12U);
    EXPECT_EQ(t.nexthops[0].remotes.size(), 2U);
}

TEST(ConfigLoad, takes_sections_that_are_commented_out) {
    EXPECT_TRUE(
        check_text("version: 1\nports:\nroutes:\nnexthops:\nvxlans:\n", "t").problems.empty());
}

TEST(ConfigLoad, says_that_a_file_is_missing_or_no_file) {
    EXPECT_EQ(load_file("does-not-exist.yaml").problems.at(0).text(),
              "does-not-exist.yaml:0:0: cannot be opened: No such file or directory");
    EXPECT_EQ(load_file("/").problems.at(0).text(), "/:0:0: cannot be read: Is a directory");
}

TEST(ConfigLoad, refuses_bytes_that_are_not_text) {
    using std::string_literals::operator""s;
    EXPECT_EQ(only_problem("version: 1\0\n"s),
              "t.yaml:1:11: byte 0x00 is not allowed (text, tabs and line breaks are)");
    EXPECT_EQ(only_problem("version: 1\x04\n"),
              "t.yaml:1:11: byte 0x04 is not allowed (text, tabs and line breaks are)");
    for (const char* bytes : {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
        EXPECT_NE(only_problem("version: 1\n# "s + bytes).find(":2:3: byte 0x"), std::string::npos);
    }
    EXPECT_TRUE(check_text("version: 1  # \u00e9\u20ac\U0001F600\n", "t.yaml").problems.empty());
}

TEST(ConfigLoad, survives_depth_and_size) {
    EXPECT_EQ(only_problem(std::string(40, '[') + std::string(40, ']')),
              "t.yaml:1:33: nested too deeply (at most 32 levels)");
    EXPECT_NE(only_problem(std::string(100'000, '[')).find("nested too deeply"), std::string::npos);
    std::string deep = "version: 1\n";
    for (std::size_t i = 0; i < 600; ++i) deep += std::string(i, ' ') + "a:\n";
    EXPECT_FALSE(check_text(deep, "t.yaml").problems.empty());
    const std::string huge(1 << 20, 'x');
    EXPECT_LT(only_problem("version: " + huge).size(), 200U) << "the value is cut in the message";
    EXPECT_LT(only_problem("version: 1\n\"" + huge + "\": 1\n").size(), 300U);
    EXPECT_LT(only_problem("version: 1\nports: {\"" + huge + "\": 1}\n").size(), 300U);
}

TEST(ConfigLoad, refuses_what_would_grow_out_of_a_small_file) {
    std::string bomb = "version: 1\na: &a [x, x]\n";
    for (char c = 'b'; c < 'z'; ++c) {
        const char before = static_cast<char>(c - 1);
        bomb += std::string(1, c) + ": &" + c + " [*" + before + ", *" + before + "]\n";
    }
    EXPECT_EQ(only_problem(bomb), "t.yaml:3:8: an alias is not allowed here (write the value out)");
}

TEST(ConfigLoad, survives_any_mutation_of_a_topology) {
    const std::string seed =
        std::string(head) +
        "remote: 10.0.0.2, srcport: [1, 2], fdb: [{mac: 16:1d:36:f4:ab:26, dst: [10.0.0.3]}]}\n"
        "routes:\n  - {to: default, via: 10.0.0.9}\nsystem:\n  workers: 1-3\n  eal: ['a', \"b\"]\n";
    const std::string alphabet = "{}[]:,-?&*!|>'\"%@`#\n\t ~a1\\\x01\xff";
    std::mt19937 random(1);
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random()) % n; };
    std::size_t refused = 0;
    for (int round = 0; round < 20'000; ++round) {
        std::string text = seed;
        for (std::size_t edits = 1 + below(6); edits > 0; --edits) {
            const std::size_t at = below(text.size());
            switch (below(3)) {
                case 0:
                    text[at] = alphabet[below(alphabet.size())];
                    break;
                case 1:
                    text.erase(at, 1 + below(8));
                    break;
                default:
                    text.insert(at, 1, alphabet[below(alphabet.size())]);
                    break;
            }
            if (text.empty()) text.push_back(' ');
        }
        const LoadResult result = load_text(text, "t.yaml");
        const Problems judged = validate(result.topology);
        if (!result.problems.empty() || !judged.empty()) ++refused;
        for (const Problem& problem : result.problems)
            ASSERT_FALSE(problem.message.empty()) << text;
    }
    EXPECT_GT(refused, 10'000U);
}

}  // namespace
}  // namespace vxplane::config
