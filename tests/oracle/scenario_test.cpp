// The carried scenarios of ipvlan as tests, proof that their comparison sees, and the readers of
// what only scenarios have.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "ipvlan_replay.hpp"
#include "json_file.hpp"
#include "nft_rules.hpp"
#include "scenario_course.hpp"
#include "scenario_replay.hpp"
#include "shell_words.hpp"
#include "stack_frames.hpp"
#include "words.hpp"

using namespace vxplane;
using namespace vxplane::oracle;

namespace {

const std::string kFolder = VXPLANE_ORACLE_FOLDER;

// Under AddressSanitizer, where a replay takes ten times as long, not each change is tried: what
// the comparison notices is the same, and memory errors show in any of them.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr std::size_t kOneOf = 16;
#else
constexpr std::size_t kOneOf = 1;
#endif
#else
constexpr std::size_t kOneOf = 1;
#endif

const std::vector<Rule>& rules() {
    static const std::vector<Rule> all = load_rules(kFolder + "/differences.yaml");
    return all;
}

class OracleScenarios : public testing::TestWithParam<std::string> {
  protected:
    const IpvlanRecording recording = load_ipvlan_recording(GetParam());

    /// Does something to each event of each scenario that matches, one at a time; `change` says
    /// whether it has done so. It must be noticed, whatever the rules say.
    template <class Change>
    void every_change_is_noticed(const Change& change) {
        std::size_t changes = 0;
        for (const Scenario& one : recording.scenarios) {
            if (replay(recording, one, rules()).verdict != Verdict::match) continue;
            const IpvlanSetup setup = ipvlan_setup_of(recording, one.setup);
            for (std::size_t i = 0; i < one.events.size(); ++i) {
                Scenario changed = one;
                if (!is_compared(one.events[i], setup) || !change(changed.events, i, setup))
                    continue;
                if (changes++ % kOneOf != 0) continue;
                const Result result = replay(recording, changed, rules());
                EXPECT_EQ(result.verdict, Verdict::differs)
                    << "event " << i << " " << result.line();
            }
        }
        EXPECT_GT(changes, 0U);
    }

  private:
    static bool is_compared(const Event& event, const IpvlanSetup& setup) {
        if (event.kind == Event::Kind::sent) return false;
        if (event.kind == Event::Kind::seen) return true;
        if (event.port == "host" && setup.rules.contains("host") &&
            setup.mode != table::IpvlanMode::l3s)
            return false;
        const Network& network = event.port == "host" ? setup.host : setup.slaves.at(event.port);
        return !network.owns(packet_sender(event.bytes));
    }
};

TEST_P(OracleScenarios, frames_are_those_of_the_kernel) {
    Totals totals;
    for (const Result& result : replay_scenarios(recording, rules())) {
        totals.add(result);
        EXPECT_NE(result.verdict, Verdict::differs) << result.line();
        // Of what is missing, only what a rule names.
        const bool named = std::any_of(rules().begin(), rules().end(), [&](const Rule& rule) {
            return rule.unsupported && rule.name == result.what;
        });
        EXPECT_TRUE(result.verdict != Verdict::unsupported || named) << result.line();
    }
    std::printf("%s\n", totals.line("scenarios").c_str());
    EXPECT_GT(totals.of[0], 5U);
}

TEST_P(OracleScenarios, a_changed_byte_is_noticed) {
    every_change_is_noticed([](std::vector<Event>& events, std::size_t at, const IpvlanSetup&) {
        events[at].bytes.back() ^= 1;
        return true;
    });
}

TEST_P(OracleScenarios, an_event_too_many_is_noticed) {
    every_change_is_noticed([](std::vector<Event>& events, std::size_t at, const IpvlanSetup&) {
        const Event copy = events[at];
        events.insert(events.begin() + long(at), copy);
        return true;
    });
}

/// What the host's own stack sends on the wire is not ours to miss.
TEST_P(OracleScenarios, an_event_too_few_is_noticed) {
    every_change_is_noticed(
        [](std::vector<Event>& events, std::size_t at, const IpvlanSetup& setup) {
            const net::IpAddress sender = sender_of(events[at].bytes);
            const bool of_slave = setup.owner(sender) != nullptr;
            if (events[at].port == "ext" && !of_slave) return false;
            events.erase(events.begin() + long(at));
            return true;
        });
}

TEST_P(OracleScenarios, a_frame_elsewhere_is_noticed) {
    every_change_is_noticed([](std::vector<Event>& events, std::size_t at, const IpvlanSetup&) {
        Event& event = events[at];
        if (event.kind != Event::Kind::seen || event.port.starts_with("host_")) return false;
        event.port = event.port == "s2" ? "s3" : "s2";
        return true;
    });
}

std::string name_of(const testing::TestParamInfo<std::string>& one) {
    const std::string name = std::filesystem::path(one.param).filename();
    return name.substr(0, name.find('.'));
}

INSTANTIATE_TEST_SUITE_P(recorded, OracleScenarios,
                         testing::ValuesIn(recordings_in(kFolder + "/ipvlan")), name_of);

/// Of rules and connections, in all scenarios that match and asked for them.
void changed_answers_are_noticed(const std::string& word, const std::string& instead) {
    std::size_t changes = 0;
    const IpvlanRecording recording = load_ipvlan_recording(kFolder + "/ipvlan/l3s_bridge.json.xz");
    for (const Scenario& one : recording.scenarios) {
        if (replay(recording, one, rules()).verdict != Verdict::match) continue;
        Scenario changed = one;
        for (auto& [command, text] : changed.queries)
            if (const std::size_t at = text.find(word); at != std::string::npos) {
                text.replace(at, word.size(), instead);
                ++changes;
            }
        if (changed.queries == one.queries) continue;
        const Result result = replay(recording, changed, rules());
        EXPECT_EQ(result.verdict, Verdict::differs) << result.line();
    }
    EXPECT_GT(changes, 0U);
}

TEST_P(OracleScenarios, another_count_of_hooks_is_noticed) {
    std::size_t changes = 0;
    for (const Scenario& one : recording.scenarios) {
        if (replay(recording, one, rules()).verdict != Verdict::match) continue;
        Scenario changed = one;
        for (const char* hook : {"v4_prerouting", "v6_prerouting"}) ++changed.hooks["s2"][hook];
        const Result result = replay(recording, changed, rules());
        const bool fragments = result.verdict == Verdict::match;
        changes += fragments ? 0 : 1;
        EXPECT_TRUE(fragments || result.verdict == Verdict::differs) << result.line();
    }
    EXPECT_GT(changes, 3U);
}

TEST(OracleQueries, another_count_or_connection_is_noticed) {
    changed_answers_are_noticed("packets 1 ", "packets 2 ");
    changed_answers_are_noticed("bytes 0 ", "bytes 44 ");
    changed_answers_are_noticed("sport=", "sport=1");
    changed_answers_are_noticed("[UNREPLIED]", "");
    changed_answers_are_noticed("\nudp ", "\nsctp ");
}

TEST(OracleShell, splits_at_operators_and_keeps_quotes_together) {
    const auto all = shell_commands("printf 'a b;c' | ip -batch - ; sh -c \"echo 1 > /x\"");
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[0].words, (std::vector<std::string>{"printf", "a b;c"}));
    EXPECT_TRUE(all[0].feeds_next);
    EXPECT_FALSE(all[1].feeds_next);
    EXPECT_EQ(all[2].words, (std::vector<std::string>{"sh", "-c", "echo 1 > /x"}));
    EXPECT_EQ(shell_commands("echo 1 > /x").front().into, "/x");
    EXPECT_THROW(shell_commands("echo 'a"), Unsupported);
    EXPECT_EQ(printed("a\\nb"), "a\nb");
}

std::vector<NftRule> nft(const std::string& chain) {
    std::vector<NftRule> rules;
    read_nft("table inet t {\nchain c { " + chain + "\n}\n}\n", "master", rules);
    return rules;
}

TEST(OracleNft, reads_translations) {
    const auto rules =
        nft("type nat hook prerouting priority -100; policy accept;\n ip daddr 10.1.0.254 udp "
            "dport 8080 counter dnat ip to 10.1.0.1:9\n ip6 daddr fd00::1 dnat ip6 to [fd00::2]:7");
    ASSERT_EQ(rules.size(), 2U);
    EXPECT_EQ(rules[0].rule.hook, table::Hook::prerouting);
    EXPECT_EQ(rules[0].rule.priority, -100);
    EXPECT_EQ(rules[0].rule.verdict, table::RuleVerdict::dnat);
    EXPECT_EQ(rules[0].rule.to, ip_address("10.1.0.1"));
    EXPECT_EQ(rules[0].rule.to_ports.low, 9);
    EXPECT_TRUE(rules[0].rule.destination.has(ip_address("10.1.0.254")));
    EXPECT_FALSE(rules[0].rule.destination.has(ip_address("10.1.0.253")));
    EXPECT_TRUE(rules[0].counts);
    EXPECT_EQ(rules[1].rule.to, ip_address("fd00::2"));
    EXPECT_EQ(rules[1].rule.to_ports.high, 7);
    EXPECT_TRUE(rules[1].translates());
}

TEST(OracleNft, rules_that_only_count_do_not_end_their_priority) {
    const auto rules =
        nft("type filter hook output priority filter; policy drop;\n"
            " oifname \"master\" counter comment \"a; b\"\n oifname != \"master\" counter\n"
            " ct state new,established counter\n tcp dport 22 accept");
    ASSERT_EQ(rules.size(), 5U);
    EXPECT_FALSE(rules[0].never);
    EXPECT_TRUE(rules[1].never);
    EXPECT_LT(rules[0].rule.priority, rules[2].rule.priority);
    EXPECT_LT(rules[2].rule.priority, rules[3].rule.priority);
    EXPECT_EQ(rules[3].rule.priority, rules[4].rule.priority);
    EXPECT_EQ(rules[4].rule.verdict, table::RuleVerdict::drop) << "the policy";
    EXPECT_EQ(rules[2].rule.states, 0x06);
}

TEST(OracleNft, names_what_it_does_not_know) {
    EXPECT_THROW(nft("type filter hook input priority 0; meta mark 1 drop"), Unsupported);
    EXPECT_THROW(nft("type filter hook input priority 0; dance"), Unsupported);
    EXPECT_THROW(nft("type filter hook ingress priority 0;"), Unsupported);
    EXPECT_THROW(nft("type filter hook input priority 0; counter\n accept\n counter\n accept"),
                 Unsupported);
}

using support::a_frame;
constexpr const char* kHostMac = "02:00:00:00:00:10";
constexpr const char* kPeerMac = "02:00:00:00:00:aa";

Network a_host() {
    Network host;
    host.device = "master";
    host.mac = support::mac(kHostMac);
    host.addresses.push_back({"master", ip_address("10.1.0.254"), 24});
    return host;
}
support::Frame from_host() {
    return a_frame().to(support::mac(kPeerMac)).from(support::mac(kHostMac));
}

TEST(OracleHostStack, sends_only_with_a_cause_and_once) {
    const Network host = a_host();
    HostStack stack{host};
    const Bytes datagram =
        from_host().ipv4({.source = "10.1.0.254", .destination = "10.1.0.9"}).udp(1, 2).bytes();
    EXPECT_FALSE(stack.may_have_sent(datagram));
    stack.tell(ip_address("10.1.0.9"));
    Bytes damaged = datagram;
    damaged.back() ^= 1;
    EXPECT_FALSE(stack.may_have_sent(damaged));
    EXPECT_TRUE(stack.may_have_sent(datagram));
    EXPECT_FALSE(stack.may_have_sent(datagram));
}

TEST(OracleHostStack, answers_and_asks_for_what_it_was_given) {
    const Network host = a_host();
    HostStack stack{host};
    const auto arp = [](const char* from, const char* to, std::uint16_t operation) {
        return a_frame().arp({.operation = operation, .sender = from, .target = to});
    };
    const Bytes question = arp("10.1.0.254", "10.1.0.100", 1).from(host.mac).bytes();
    EXPECT_FALSE(stack.may_have_sent(question));
    stack.give(a_frame()
                   .to(host.mac)
                   .from(support::mac(kPeerMac))
                   .ipv4({.source = "10.1.0.100", .destination = "10.1.0.254"})
                   .udp(1, 2)
                   .bytes());
    EXPECT_TRUE(stack.may_have_sent(question));
    EXPECT_FALSE(stack.may_have_sent(question));
    stack.time_passes();
    EXPECT_TRUE(stack.may_have_sent(question));
    EXPECT_FALSE(stack.may_have_sent(arp("10.1.0.1", "10.1.0.100", 1).bytes()));
}

TEST(OracleStackFrames, completes_checksums_that_were_left_to_a_device) {
    const Bytes whole = from_host()
                            .ipv4({.source = "10.1.0.254", .destination = "10.1.0.9"})
                            .udp(4000, 9)
                            .payload(7)
                            .bytes();
    Bytes open = whole;
    // The sum of the pseudo header: addresses, protocol, length.
    const unsigned sum = 0x0A01 + 0x00FE + 0x0A01 + 0x0009 + 17 + 15;
    open[40] = static_cast<std::uint8_t>(sum >> 8);
    open[41] = static_cast<std::uint8_t>(sum);
    EXPECT_NE(open, whole);
    EXPECT_EQ(completed_frame(open), whole);
    EXPECT_EQ(completed_frame(whole), whole);
    open[41] ^= 1;
    EXPECT_EQ(completed_frame(open), open) << "neither open nor right";
}

TEST(OracleCourse, is_cut_by_pauses_and_commands) {
    Scenario one;
    const Bytes frame(14, 1);
    one.steps = {{0.0, {"inject", "ext", "01"}, false},
                 {0.001, {"wait", 0.01}, false},
                 {0.011, {"inject", "s1", "02"}, false},
                 {0.012, {"wait", 0.2}, false},
                 {0.212, {"cmd", "ip -n s1 addr add 10.1.0.9/24 dev s1"}, false},
                 {0.3, {"udp", {{"n", "host"}, {"dst", "10.1.0.1"}}}, false}};
    one.events = {{0.002, Event::Kind::sent, "s2", frame}, {0.25, Event::Kind::seen, "ext", frame}};
    const std::vector<Passage> course = course_of(one);
    ASSERT_EQ(course.size(), 2U);
    ASSERT_EQ(course[0].stimuli.size(), 3U);
    EXPECT_EQ(course[0].stimuli[1].port, "s2");
    EXPECT_TRUE(course[0].seen.empty());
    EXPECT_EQ(course[1].waited, 210U);
    EXPECT_EQ(course[1].commands.size(), 1U);
    EXPECT_EQ(course[1].told.size(), 1U);
    EXPECT_EQ(course[1].seen.at("ext").size(), 1U);
}

}  // namespace
