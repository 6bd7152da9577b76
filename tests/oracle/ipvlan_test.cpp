// The carried recordings of ipvlan as tests: one per mode and flag, and proof that the comparison
// sees.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "ip_commands.hpp"
#include "ip_layer.hpp"
#include "ipvlan_replay.hpp"
#include "json_file.hpp"

using namespace vxplane::oracle;

namespace {

const std::string kFolder = VXPLANE_ORACLE_FOLDER;

const std::vector<Rule>& rules() {
    static const std::vector<Rule> all = load_rules(kFolder + "/differences.yaml");
    return all;
}

class OracleIpvlan : public testing::TestWithParam<std::string> {};

TEST_P(OracleIpvlan, frames_are_those_of_the_kernel) {
    Totals totals;
    for (const Result& result : replay_cases(load_ipvlan_recording(GetParam()), rules())) {
        totals.add(result);
        EXPECT_NE(result.verdict, Verdict::differs) << result.line();
    }
    std::printf("%s\n", totals.line().c_str());
    EXPECT_GT(totals.of[0], 0U);
}

/// Whatever `change` does to the expectation of a matching case, if it does anything, must make the
/// case differ, whatever the rules say.
template <class Change>
void every_change_is_noticed(const std::string& path, const Change& change) {
    IpvlanRecording recording = load_ipvlan_recording(path);
    const std::vector<Result> before = replay_cases(recording, rules());
    std::vector<bool> changed(before.size());
    std::size_t changes = 0;
    for (std::size_t i = 0; i < recording.cases.size(); ++i)
        if (before[i].verdict == Verdict::match && change(recording.cases[i])) {
            changed[i] = true;
            ++changes;
        }
    const std::vector<Result> after = replay_cases(recording, rules());
    ASSERT_EQ(after.size(), before.size());
    for (std::size_t i = 0; i < after.size(); ++i)
        EXPECT_EQ(after[i].verdict, changed[i] ? Verdict::differs : before[i].verdict)
            << after[i].line();
    EXPECT_GT(changes, 0U);
}

/// The frames of the last port, so that each of them is some case's.
std::vector<Bytes>* some_frames(IpvlanCase& one) {
    return one.expect.empty() ? nullptr : &std::prev(one.expect.end())->second;
}

TEST_P(OracleIpvlan, a_changed_byte_is_noticed) {
    every_change_is_noticed(GetParam(), [](IpvlanCase& one) {
        if (one.expect.empty()) return false;
        one.expect.begin()->second.front().back() ^= 1;
        return true;
    });
}

TEST_P(OracleIpvlan, a_changed_byte_at_the_last_port_is_noticed) {
    every_change_is_noticed(GetParam(), [](IpvlanCase& one) {
        std::vector<Bytes>* frames = some_frames(one);
        if (frames == nullptr) return false;
        Bytes& frame = frames->back();
        frame.at(std::min<std::size_t>(frame.size() - 1, 20)) ^= 1;
        return true;
    });
}

TEST_P(OracleIpvlan, a_missing_frame_is_noticed) {
    every_change_is_noticed(GetParam(), [](IpvlanCase& one) {
        std::vector<Bytes>* frames = some_frames(one);
        if (frames == nullptr) return false;
        frames->push_back(frames->front());
        return true;
    });
}

/// Where the kernel was silent, a frame at the wire is as wrong as one too few elsewhere.
TEST_P(OracleIpvlan, a_frame_out_of_nothing_is_noticed) {
    every_change_is_noticed(GetParam(), [](IpvlanCase& one) {
        if (one.expect.contains("ext") || one.inject.empty()) return false;
        one.expect["ext"].push_back(one.inject.front().frame);
        return true;
    });
}

class OracleIpvlanDatagrams : public testing::TestWithParam<std::string> {};
class OracleIpvlanNeighbours : public testing::TestWithParam<std::string> {};

/// A datagram that another namespace, or nobody, should have had.
TEST_P(OracleIpvlanDatagrams, one_elsewhere_is_noticed) {
    every_change_is_noticed(GetParam(), [](IpvlanCase& one) {
        if (one.accepted.empty()) return false;
        const auto taken = one.accepted.extract(one.accepted.begin());
        one.accepted[taken.key() == "host" ? "s1" : "host"] = taken.mapped();
        return true;
    });
}

TEST_P(OracleIpvlanNeighbours, a_question_for_one_too_many_is_noticed) {
    every_change_is_noticed(GetParam(), [](IpvlanCase& one) {
        const bool asked = !one.by_stack.empty();
        one.by_stack.clear();
        return asked;
    });
}

bool is_tagged(const IpvlanCase& one) {
    return std::any_of(one.inject.begin(), one.inject.end(), [](const Injected& injected) {
        return injected.frame.size() > 13 &&
               (injected.frame[12] == 0x81 || injected.frame[12] == 0x88);
    });
}

/// The comparison's idea of an IP layer, where the recording shows both its frames and its
/// datagrams.
TEST_P(OracleIpvlan, ip_layers_take_what_those_of_the_kernel_took) {
    const IpvlanRecording recording = load_ipvlan_recording(GetParam());
    std::size_t taken = 0;
    for (const IpvlanCase& one : recording.cases) {
        const IpvlanSetup setup = ipvlan_setup_of(recording, one.before);
        ASSERT_EQ(setup.unsupported, "");
        std::map<std::string, Network> networks = setup.slaves;
        networks["host"] = setup.host;
        for (const auto& [name, network] : networks) {
            // Frames from the wire do not pass the slave's device in mode l3s. What the host gets
            // by its loopback has another Ethernet header, and of its other frames the tag is taken
            // off.
            if (recording.mode == "l3s" && !one.expect.contains(name)) continue;
            if (name == "host" && (one.expect.contains("host_lo") || is_tagged(one))) continue;
            const auto frames = one.expect.find(name);
            const auto datagrams = one.accepted.find(name);
            const std::vector<std::string> theirs =
                datagrams == one.accepted.end() ? std::vector<std::string>{} : datagrams->second;
            EXPECT_EQ(accepted_by(network, frames == one.expect.end() ? std::vector<Bytes>{}
                                                                      : frames->second),
                      theirs)
                << one.id << " at " << name;
            taken += theirs.size();
        }
    }
    EXPECT_GT(taken, 10U);
}

std::string name_of(const testing::TestParamInfo<std::string>& one) {
    const std::string name = std::filesystem::path(one.param).filename();
    return name.substr(0, name.find('.'));
}

/// Those whose mode begins with `mode`.
std::vector<std::string> recorded(const std::string& mode) {
    std::vector<std::string> all;
    for (const std::string& path : recordings_in(kFolder + "/ipvlan"))
        if (load_ipvlan_recording(path).mode.starts_with(mode)) all.push_back(path);
    return all;
}

INSTANTIATE_TEST_SUITE_P(recorded, OracleIpvlan, testing::ValuesIn(recorded("")), name_of);
INSTANTIATE_TEST_SUITE_P(recorded, OracleIpvlanDatagrams, testing::ValuesIn(recorded("l3s")),
                         name_of);
INSTANTIATE_TEST_SUITE_P(recorded, OracleIpvlanNeighbours, testing::ValuesIn(recorded("l3")),
                         name_of);

IpvlanRecording a_recording() {
    IpvlanRecording recording;
    recording.mode = "l3";
    recording.flag = "vepa";
    recording.topology["as_configured"] = {
        {"host",
         "lo UNKNOWN 00:00:00:00:00:00 <LOOPBACK,UP,LOWER_UP>\n"
         "up0@if9 UP 02:00:00:00:00:20 <BROADCAST,MULTICAST,UP,LOWER_UP>\n"
         "lo UNKNOWN 127.0.0.1/8 ::1/128\n"
         "up0@if9 UP 192.0.2.9/24 2001:db8::9/64\n"
         "default via 192.0.2.1 dev up0\n"
         "192.0.2.0/24 dev up0 proto kernel scope link src 192.0.2.9\n"
         "blackhole 198.51.100.0/24\n"
         "default via 2001:db8::1 dev up0 metric 1024 pref medium\n"
         "192.0.2.1 dev up0 lladdr 02:00:00:00:00:01 PERMANENT\n"},
        {"a",
         "a0@if2 UP 02:00:00:00:00:20 <BROADCAST,MULTICAST,NOARP,UP,LOWER_UP>\n"
         "a0@if2 UP 192.0.2.10/32 2001:db8::10/128\n"},
        {"b",
         "b0@if2 UP 02:00:00:00:00:20 <BROADCAST,MULTICAST,NOARP,UP,LOWER_UP>\n"
         "b0@if2 UP 192.0.2.11/32\n"}};
    return recording;
}

IpvlanSetup after(const std::vector<nlohmann::json>& actions) {
    return ipvlan_setup_of(a_recording(), actions);
}

TEST(OracleIpvlanSetup, reads_what_ip_prints) {
    const IpvlanSetup setup = after({});
    ASSERT_EQ(setup.unsupported, "");
    EXPECT_EQ(setup.host.device, "up0");
    EXPECT_EQ(setup.host.mac, vxplane::support::mac("02:00:00:00:00:20"));
    EXPECT_TRUE(setup.host.owns(ip_address("2001:db8::9")));
    EXPECT_TRUE(setup.host.is_broadcast(ip_address("192.0.2.255")));
    EXPECT_FALSE(setup.host.owns(ip_address("127.0.0.1")));
    EXPECT_EQ(setup.host.route_to(ip_address("203.0.113.5"))->via, ip_address("192.0.2.1"));
    EXPECT_EQ(setup.host.route_to(ip_address("198.51.100.5"))->type,
              vxplane::table::RouteType::blackhole);
    EXPECT_EQ(setup.host.route_to(ip_address("2001:db8:5::5"))->via, ip_address("2001:db8::1"));
    EXPECT_EQ(setup.host.neighbours.at(ip_address("192.0.2.1")).mac,
              vxplane::support::mac("02:00:00:00:00:01"));
    ASSERT_EQ(setup.slaves.size(), 2U);
    EXPECT_EQ(setup.owner(ip_address("192.0.2.11")), &setup.slaves.at("b"));
    EXPECT_FALSE(setup.slaves.at("a").arp);
}

TEST(OracleIpvlanSetup, applies_actions_and_commands) {
    EXPECT_EQ(after({{"link", "b", "down"}}).owner(ip_address("192.0.2.11")), nullptr);
    EXPECT_TRUE(after({{"join", "a", "224.1.2.3"}}).slaves.at("a").hears(ip_address("224.1.2.3")));
    EXPECT_TRUE(after({{"promisc", "a", "on"}}).slaves.at("a").all_groups);
    const IpvlanSetup left =
        after({{"join", "a", "ff02::5"}, {"leave", "a", "ff02::5", "norefresh"}});
    EXPECT_FALSE(left.slaves.at("a").hears(ip_address("ff02::5")));
    EXPECT_TRUE(left.just_left);
    const IpvlanSetup routes =
        after({{"sh",
                "ip -n host route del default; ip -n host -6 route del default && "
                "ip netns exec host ip route add unreachable 203.0.113.0/24; "
                "ip -n host route add 198.18.0.0/15 via 192.0.2.1 dev up0 mtu 1400"}});
    EXPECT_EQ(routes.unsupported, "");
    EXPECT_EQ(routes.host.route_to(ip_address("8.8.8.8")), nullptr);
    EXPECT_EQ(routes.host.route_to(ip_address("2001:db8:5::5")), nullptr);
    EXPECT_EQ(routes.host.route_to(ip_address("203.0.113.1"))->type,
              vxplane::table::RouteType::unreachable);
    EXPECT_EQ(routes.host.route_to(ip_address("198.19.0.1"))->mtu, 1400U);
    const IpvlanSetup more = after({{"addr", "a", "add", "192.0.2.12/32"},
                                    {"addr", "b", "add", "192.0.2.12/32"},
                                    {"sh", "ip -n b addr del 192.0.2.11/32 dev b0"},
                                    {"sh", "ip -n host link set dev up0 mtu 1400"}});
    EXPECT_EQ(more.unsupported, "");
    EXPECT_EQ(more.owner(ip_address("192.0.2.12")), &more.slaves.at("a"));
    EXPECT_EQ(more.owner(ip_address("192.0.2.11")), nullptr);
    EXPECT_EQ(more.slaves.at("a").mtu, 1400U);
}

TEST(OracleIpvlanSetup, names_what_it_does_not_know) {
    const auto unsupported = [](const nlohmann::json& action) {
        return after({action}).unsupported;
    };
    EXPECT_EQ(unsupported({"sh", "sysctl -w net.ipv4.ip_forward=1"}), "`sysctl`");
    EXPECT_EQ(unsupported({"sh", "ip -n host rule add from all"}), "ip rule add");
    EXPECT_EQ(unsupported({"sh", "ip -n nowhere route del default"}), "namespace nowhere");
    EXPECT_EQ(unsupported({"sh", "ip -n host route add 8.8.8.0/24 nhid 5"}), "route nhid");
    EXPECT_EQ(unsupported({"link", "host", "down"}), "link of the host down");
    EXPECT_EQ(unsupported({"dance", "a"}), "action dance");
}

}  // namespace
