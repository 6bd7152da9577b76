// Tables for people, as text, from results as the daemon gives them.
#include <gtest/gtest.h>

#include "control/ctl/render.hpp"

namespace vxplane::control::ctl {
namespace {

TEST(CtlHuman, three_digits_of_worth) {
    EXPECT_EQ(human(0), "0");
    EXPECT_EQ(human(7), "7");
    EXPECT_EQ(human(0.5), "0.50");
    EXPECT_EQ(human(999), "999");
    EXPECT_EQ(human(999.7), "1.00k");
    EXPECT_EQ(human(1250), "1.25k");
    EXPECT_EQ(human(12500), "12.5k");
    EXPECT_EQ(human(125000), "125k");
    EXPECT_EQ(human(14'880'952), "14.9M");
    EXPECT_EQ(human(1e10), "10.0G");
    EXPECT_EQ(human(9.996e9), "10.0G");
}

Json parse(const char* text) {
    return Json::parse(text);
}

// clang-format off
const Json ports = parse(R"([{"name":"uplink0","id":0,"role":"underlay","device":"0000:3b:00.0","driver":"net_ixgbe","mac":"02:00:00:00:00:01","mtu":1600,"link":true,"numa_node":0,
"rx_queues":2,"tx_queues":3,"addresses":["10.10.10.12/24","fd00::1/64"],"host":"up0","multi_segment_tx":true,"notes":["no RSS"],
"rx":{"packets":1000,"bytes":64000},"tx":{"packets":7,"bytes":448,"full":1},"device_counters":{"imissed":3,"ierrors":1,"rx_nombuf":0,"oerrors":2}},
{"name":"vm1","role":"access","link":false,"rx":{"packets":0}}])");
const Json segments = parse(R"([{"name":"flannel.1","vni":1,"local":"10.10.10.12","dstport":8472,"srcport":[32768,60999],"mtu":1450,"learning":false,"ageing":300,"maxaddr":0,
"ports":["vm1"],"remotes":["10.10.10.13","10.10.10.14"],"fdb_used":3,"rx":{"packets":1,"bytes":2},"tx":{"packets":3,"bytes":4},"flooded":5,"ecn_odd":6,"state":"up"}])");

TEST(CtlRender, ports) {
    EXPECT_EQ(render(View::ports, ports), R"(NAME     ROLE      LINK   MTU  MAC                RX-PACKETS  RX-BYTES  TX-PACKETS  TX-BYTES  TX-FULL  MERGED  CUT  MISSED  ERRORS
uplink0  underlay  up    1600  02:00:00:00:00:01        1000     64000           7       448        1       -    -       3       3
vm1      access    down     -  -                           0         -           -         -        -       -    -       -       -
)");
    EXPECT_EQ(render(View::port, ports), R"(uplink0: id 0 role underlay link up mtu 1600
    device 0000:3b:00.0 driver net_ixgbe numa 0
    mac 02:00:00:00:00:01 addresses 10.10.10.12/24,fd00::1/64 host up0
    rx-queues 2 tx-queues 3 multi-segment-tx yes
    rx: packets 1000 bytes 64000 missed 3 errors 1 no-buffer 0
    tx: packets 7 bytes 448 full 1 errors 2
    note: no RSS
vm1: role access link down
    rx: packets 0
)");
}

TEST(CtlRender, counters_become_rates_when_watched) {
    Json later = ports;
    later[0]["rx"]["packets"] = 3001000;
    later[0]["rx"]["bytes"] = 192064000;
    later[0]["tx"]["packets"] = 5;  // reset in between: five since then
    EXPECT_EQ(render_rates(View::ports, later, ports, 2.0), R"(NAME     ROLE      LINK   MTU  MAC                RX-PACKETS/S  RX-BITS/S  TX-PACKETS/S  TX-BITS/S  TX-FULL/S  MERGED/S  CUT/S  MISSED/S  ERRORS/S
uplink0  underlay  up    1600  02:00:00:00:00:01         1.50M       768M          2.50          0          0         -      -         0         0
vm1      access    down     -  -                             0          -             -          -          -         -      -         -         -
)");
    // Nothing to compare with yet.
    EXPECT_EQ(render_rates(View::ports, ports, nullptr, 2.0), R"(NAME     ROLE      LINK   MTU  MAC                RX-PACKETS/S  RX-BITS/S  TX-PACKETS/S  TX-BITS/S  TX-FULL/S  MERGED/S  CUT/S  MISSED/S  ERRORS/S
uplink0  underlay  up    1600  02:00:00:00:00:01             -          -             -          -          -         -      -         -         -
vm1      access    down     -  -                             -          -             -          -          -         -      -         -         -
)");
}

TEST(CtlRender, workers) {
    const Json workers = parse(R"([{"id":0,"cpu":1,"state":"polling","queues":["vm1/0","uplink0/0"],
"polls":1000,"empty_polls":250,"received":10,"sent":9,"copies":1,"dropped":1,"diverted":0,"injected":0,"held":0,"unaccounted":0,"packets_per_burst":1.5,"pinned":[{"port":"vm1","why":"ipvlan a"}],
"numa_node":0,"steered_in":4,"steered_out":3,"queued":2,"tx":[{"queue":"vm1/0","through_worker":1},{"queue":"uplink0/0"}]}])");
    EXPECT_EQ(render(View::workers, workers), R"(ID  CPU  STATE    NODE  QUEUES           SENDS-BY           RECEIVED  SENT  COPIES  DROPPED  STEERED-IN  STEERED-OUT  QUEUED  DIVERTED  INJECTED  UNACCOUNTED  POLLS   EMPTY  BURST  PINNED
 0    1  polling     0  vm1/0,uplink0/0  vm1/0>1,uplink0/0        10     9       1        1           4            3       2         0         0            0   1000  25.00%   1.50  vm1(ipvlan a)
)");
    Json later = workers;
    later[0]["polls"] = 1100;
    later[0]["empty_polls"] = 340;
    // Of the 100 polls in between, 90 were empty.
    EXPECT_NE(render_rates(View::workers, later, workers, 1.0).find("90.00%"), std::string::npos);
}

TEST(CtlRender, hashing_of_a_port) {
    const Json port = parse(R"([{"name":"up","rss":{"on":true,"types":["ipv4","udp"],"level":"outer","symmetric":true,"key":"6d:5a","reta":[0,2,0,2]}}])");
    EXPECT_EQ(render(View::port, port), R"(up: 
    rss: types ipv4,udp level outer symmetric yes
    rss: key 6d:5a
    reta: 4 entries: queue 0 2, repeated
)");
    Json odd = port;
    odd[0]["rss"]["reta"] = {0, 1, 1};
    EXPECT_NE(render(View::port, odd).find("3 entries: queue 0 1 1\n"), std::string::npos);
}

TEST(CtlRender, segments) {
    EXPECT_EQ(render(View::segments, segments), R"(NAME       VNI  LOCAL        DSTPORT   MTU  LEARNING  PORTS  REMOTES                  FDB  RX-PACKETS  RX-BYTES  TX-PACKETS  TX-BYTES  FLOODED  STATE
flannel.1    1  10.10.10.12     8472  1450  no        vm1    10.10.10.13,10.10.10.14    3           1         2           3         4        5  up
)");
    EXPECT_EQ(render(View::segment, segments), R"(flannel.1: id 1 local 10.10.10.12 mtu 1450 state up
    dstport 8472 srcport 32768,60999
    learning no ageing 300 maxaddr 0 fdb 3
    ports vm1
    remotes 10.10.10.13,10.10.10.14
    rx: packets 1 bytes 2 ecn-odd 6
    tx: packets 3 bytes 4 flooded 5
)");
}

TEST(CtlRender, fdb) {
    EXPECT_EQ(render(View::fdb, parse(R"({"entries":[{"mac":"16:1d:36:f4:ab:26","segment":"flannel.1","vni":1,"dst":"10.10.10.13","state":"permanent"},
{"mac":"02:00:00:00:00:01","segment":"flannel.1","vni":1,"port":"vm1","state":"dynamic","age_s":12,"previous":"10.10.10.14"},
{"mac":"00:00:00:00:00:00","segment":"flannel.1","vni":1,"remotes":["10.10.10.13","10.10.10.14"],"state":"permanent"}],"used":3,"high_water":4,"refused":0,"capacity":1024,"memory_bytes":65536})")), R"(MAC                SEGMENT    VNI  TO                           STATE      AGE  PREVIOUS
16:1d:36:f4:ab:26  flannel.1    1  dst 10.10.10.13              permanent    -  -
02:00:00:00:00:01  flannel.1    1  port vm1                     dynamic     12  10.10.10.14
00:00:00:00:00:00  flannel.1    1  dst 10.10.10.13,10.10.10.14  permanent    -  -
used 3 capacity 1024 high-water 4 refused 0 memory-bytes 65536
)");
}

TEST(CtlRender, neighbours) {
    EXPECT_EQ(render(View::neigh, parse(R"([{"address":"10.10.10.13","lladdr":"02:00:00:00:00:02","dev":"uplink0","state":"reachable","held_packets":0,"held_bytes":0,"age_s":3},
{"address":"10.10.10.99","lladdr":null,"dev":"uplink0","state":"incomplete","held_packets":2,"held_bytes":300}])")), R"(ADDRESS      DEV      LLADDR             STATE       AGE  HELD-PACKETS  HELD-BYTES
10.10.10.13  uplink0  02:00:00:00:00:02  reachable     3             0           0
10.10.10.99  uplink0  -                  incomplete    -             2         300
)");
}

TEST(CtlRender, stages) {
    const Json stages = parse(R"([{"path":"from_access","stage":"encapsulate","packets":100,"cycles":4250,"cycles_per_packet":42.5}])");
    EXPECT_EQ(render(View::stages, stages), R"(PATH         STAGE        PACKETS  CYCLES  CYCLES/PACKET
from_access  encapsulate      100    4250          42.50
)");
    Json later = stages;
    later[0]["packets"] = 200;
    later[0]["cycles"] = 5250;
    EXPECT_NE(render_rates(View::stages, later, stages, 1.0).find("10.00"), std::string::npos);
}

TEST(CtlRender, drops) {
    EXPECT_EQ(render(View::drops, parse(R"([{"reason":"vxlan_bad_flags","severity":"error","text":"VXLAN header without the I flag","packets":3},
{"reason":"b","severity":"note","text":"x","packets":12345}])")), R"(REASON           SEVERITY  PACKETS  MEANING
vxlan_bad_flags  error           3  VXLAN header without the I flag
b                note        12345  x
)");
    EXPECT_EQ(render(View::drops, Json::array()), "nothing dropped\n");
}

TEST(CtlRender, version_and_health) {
    EXPECT_EQ(render(View::version, parse(R"({"version":"0.1.0","dpdk":"DPDK 22.11.11","pid":42,"uptime_s":61,"topology":"/etc/vxplane.yaml"})")), "vxctl " VXPLANE_VERSION R"(
vxplane 0.1.0
DPDK 22.11.11
    pid 42 up-seconds 61 topology /etc/vxplane.yaml
)");
    EXPECT_EQ(render(View::health, parse(R"({"ok":false,"alarms":["worker 1 is stuck"],"packets_unaccounted":0})")), R"(not ok, packets unaccounted 0
alarm: worker 1 is stuck
)");
}

TEST(CtlRender, events_are_lines) {
    EXPECT_EQ(render_event(parse(R"({"topic":"fdb","mac":"02::","lost":3})")), "fdb lost 3 mac 02::\n");
    EXPECT_EQ(render_event(nullptr), "-\n");
}
// clang-format on

TEST(CtlRender, missing_keys_and_odd_shapes_are_borne) {
    const auto all = {View::version, View::ports,  View::port,    View::workers, View::segments,
                      View::segment, View::fdb,    View::removed, View::neigh,   View::routes,
                      View::drops,   View::stages, View::health,  View::methods};
    for (const View view : all) {
        for (const char* odd :
             {"null", "[]", "{}", "[{}]", "[1]", "7", "[null]", R"({"entries":[{}]})",
              R"([{"rx":1,"device":7,"polls":"x","link":null}])"}) {
            const std::string text = render(view, parse(odd));
            EXPECT_TRUE(text.empty() || text.back() == '\n') << odd;
            const std::string rates = render_rates(view, parse(odd), parse("[{}]"), 1.0);
            EXPECT_TRUE(rates.empty() || rates.back() == '\n') << odd;
        }
    }
}

TEST(CtlRender, control_characters_do_not_reach_the_terminal) {
    EXPECT_EQ(cell("a\033[31mb\n"), "a?[31mb?");
    EXPECT_EQ(cell(parse(R"([1,"x",true,null,[]])")), "1,x,yes,-,-");
}

}  // namespace
}  // namespace vxplane::control::ctl
