// The carried recordings as tests: one per recorded group, and proof that the comparison sees.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "json_file.hpp"
#include "replay.hpp"

using namespace vxplane::oracle;

namespace {

const std::string kFolder = VXPLANE_ORACLE_FOLDER;

const std::vector<Rule>& rules() {
    static const std::vector<Rule> all = load_rules(kFolder + "/differences.yaml");
    return all;
}

/// What needs no control thread; the rest is played by live_test.cpp. Read once.
const Recording& plain_part(const std::string& path) {
    static std::map<std::string, Recording> all;
    const auto [at, is_new] = all.try_emplace(path);
    if (!is_new) return at->second;
    Recording& recording = at->second = load_recording(path);
    std::erase_if(recording.cases, [&](const Case& one) {
        const auto config = recording.configs.find(one.config);
        return config != recording.configs.end() && is_live(config->second);
    });
    return recording;
}

std::vector<std::string> plain_recordings() {
    std::vector<std::string> paths = recordings_in(kFolder + "/vxlan");
    std::erase_if(paths, [](const std::string& path) { return plain_part(path).cases.empty(); });
    return paths;
}

/// In the table of the README, by statement: what rules say and what people read are one.
TEST(OracleRules, each_names_its_statement_and_stands_in_the_table_of_the_readme) {
    std::map<std::string, std::set<std::string>> said;
    for (const Rule& rule : rules())
        for (const std::string& statement : rule.statements) said[statement].insert(rule.name);
    std::map<std::string, std::set<std::string>> shown;
    std::ifstream readme(kFolder + "/README.md");
    for (std::string line; std::getline(readme, line);) {
        const std::size_t middle = line.find(" | ");
        if (line.size() < 8 || line[0] != '|' || line[4] != '-' || middle == line.npos) continue;
        std::istringstream names(line.substr(middle + 3));
        for (std::string name; names >> name && name != "|";)
            shown[line.substr(2, middle - 2)].insert(name.substr(0, name.find(',')));
    }
    EXPECT_GT(said.size(), 40U);
    EXPECT_EQ(said, shown);
}

TEST(OracleRules, a_rule_without_a_statement_or_with_none_that_there_is_cannot_be_read) {
    const std::string path = testing::TempDir() + "rules.yaml";
    const auto load = [&path](const std::string& statement) {
        std::ofstream(path) << "- rule: one\n" + statement + "  when: [x]\n  reason: Because.\n";
        return load_rules(path);
    };
    EXPECT_EQ(load("  statement: VX-24, IV-05\n").at(0).statements,
              (std::vector<std::string>{"VX-24", "IV-05"}));
    for (const char* wrong :
         {"", "  statement: 24\n", "  statement: VX-2\n", "  statement: AB-24\n"})
        EXPECT_THROW(load(wrong), std::runtime_error) << wrong;
}

class OracleVxlan : public testing::TestWithParam<std::string> {};

TEST_P(OracleVxlan, frames_are_those_of_the_kernel) {
    Totals totals;
    for (const Result& result : replay(plain_part(GetParam()), rules())) {
        totals.add(result);
        EXPECT_NE(result.verdict, Verdict::differs) << result.line();
    }
    std::printf("%s\n", totals.line().c_str());
    EXPECT_GT(totals.of[0], 0U);
}

/// What is dropped as a fragment by default comes out as from the kernel, and nothing else changes.
TEST_P(OracleVxlan, VX39_with_reassembly_fragments_become_what_the_kernel_makes_of_them) {
    const std::vector<Result> before = replay(plain_part(GetParam()), rules());
    const std::vector<Result> after = replay(plain_part(GetParam()), rules(), true);
    ASSERT_EQ(after.size(), before.size());
    unsigned fragments = 0;
    for (std::size_t i = 0; i < after.size(); ++i) {
        const bool dropped = before[i].what == "outer-fragments-dropped";
        fragments += dropped ? 1U : 0U;
        EXPECT_EQ(after[i].verdict, dropped ? Verdict::match : before[i].verdict)
            << after[i].line();
        if (!dropped) {
            EXPECT_EQ(after[i].what, before[i].what) << after[i].line();
        }
    }
    std::printf("%u in fragments\n", fragments);
}

/// The last byte of a recorded frame changed: the case must differ, whatever the rules say.
TEST_P(OracleVxlan, a_changed_byte_is_noticed) {
    Recording recording = plain_part(GetParam());
    const std::vector<Result> before = replay(recording, rules());
    std::vector<bool> changed(before.size());
    for (std::size_t i = 0; i < recording.cases.size(); ++i) {
        if (before[i].verdict != Verdict::match || recording.cases[i].expect.empty()) continue;
        recording.cases[i].expect.begin()->second.front().back() ^= 1;
        changed[i] = true;
    }
    const std::vector<Result> after = replay(recording, rules());
    ASSERT_EQ(after.size(), before.size());
    for (std::size_t i = 0; i < after.size(); ++i)
        EXPECT_EQ(after[i].verdict, changed[i] ? Verdict::differs : before[i].verdict)
            << after[i].line();
}

/// A frame too many, or too few, must be seen as well.
TEST_P(OracleVxlan, a_missing_frame_is_noticed) {
    Recording recording = plain_part(GetParam());
    const std::vector<Result> before = replay(recording, rules());
    for (std::size_t i = 0; i < recording.cases.size(); ++i) {
        auto& expect = recording.cases[i].expect;
        if (before[i].verdict == Verdict::match && !expect.empty())
            expect.begin()->second.push_back(expect.begin()->second.front());
    }
    const std::vector<Result> after = replay(recording, rules());
    for (std::size_t i = 0; i < recording.cases.size(); ++i) {
        if (before[i].verdict == Verdict::match && !recording.cases[i].expect.empty()) {
            EXPECT_EQ(after[i].verdict, Verdict::differs) << after[i].line();
        }
    }
}

INSTANTIATE_TEST_SUITE_P(recorded, OracleVxlan, testing::ValuesIn(plain_recordings()),
                         [](const testing::TestParamInfo<std::string>& one) {
                             const std::string name = std::filesystem::path(one.param).filename();
                             return name.substr(0, name.find('.'));
                         });

Topology topology() {
    return {{{"under", "02:00:00:00:12:12"},
             {"vx0", "02:00:00:00:0f:00"},
             {"r13", "02:00:00:10:10:13"}},
            "dev under 10.10.10.12/24, MTU 1500; permanent neighbours 10.10.10.13-13"};
}

TEST(OracleSetup, reads_the_words_of_ip_link) {
    const auto setup = setup_of(topology(),
                                {{"ip link add vx0 type vxlan id 7 dstport 4789 srcport 5000 5004 "
                                  "ttl 9 tos 0xb8 df set noudpcsum nolearning",
                                  "bridge fdb append 00:00:00:00:00:00 dev vx0 dst 10.10.10.13"}},
                                {});
    EXPECT_EQ(setup.unsupported, "");
    EXPECT_EQ(setup.vni, 7U);
    EXPECT_EQ(setup.dstport, 4789);
    EXPECT_EQ(setup.local, vxplane::support::address("10.10.10.12"));
    EXPECT_EQ(setup.options.source_port_lo, 5000);
    EXPECT_EQ(setup.options.source_port_span, 4);
    EXPECT_EQ(setup.options.ttl, 9);
    EXPECT_EQ(setup.options.tos, 0xB8);
    EXPECT_TRUE(setup.options.dont_fragment);
    EXPECT_FALSE(setup.options.udp_checksum);
    EXPECT_FALSE(setup.learning);
    EXPECT_EQ(setup.mtu, 1450);
    EXPECT_EQ(setup.flood,
              std::vector<vxplane::net::IpAddress>{vxplane::support::address("10.10.10.13")});
    EXPECT_EQ(setup.neighbours.at(vxplane::support::address("10.10.10.13")), "02:00:00:10:10:13");
}

TEST(OracleSetup, names_what_vxplane_does_not_have) {
    const auto unsupported = [](const std::string& command) {
        return setup_of(topology(), {{command}}, {}).unsupported;
    };
    EXPECT_EQ(unsupported("ip link add vx0 type vxlan id 7 gbp"), "");
    EXPECT_EQ(unsupported("ip link add vx0 type vxlan id 7 remcsumtx remcsumrx"), "");
    EXPECT_EQ(unsupported("ip link add vx0 type vxlan external gpe"), "");
    EXPECT_EQ(unsupported("ip link add vx0 type vxlan external"), "external");
    EXPECT_EQ(unsupported("ip link add vx0 type vxlan id 7 gpe"), "gpe");
    EXPECT_EQ(unsupported("ip link add vx0 type vxlan id 7 word-of-tomorrow"), "word-of-tomorrow");
    EXPECT_EQ(unsupported("ip link add vx0 type vxlan id"), "command without its end");
    EXPECT_EQ(unsupported("ip link add vx0 type vxlan id x").substr(0, 10), "unreadable");
    EXPECT_EQ(unsupported("tc qdisc add dev vx0"), "`tc qdisc add dev vx0`");
}

TEST(OracleSetup, what_the_data_plane_has_no_word_for_is_a_fact) {
    const auto setup = setup_of(topology(),
                                {{"ip link add vx0 type vxlan id 7 dstport 4789",
                                  "bridge fdb add 02:00:00:00:dd:08 dev vx0 dst 127.0.0.1",
                                  "bridge link set dev vx0 hairpin on",
                                  "bridge link set dev acc isolated on", "ip link set under down"}},
                                {});
    EXPECT_EQ(setup.unsupported, "");
    EXPECT_EQ(setup.said,
              (std::set<std::string>{"bridge_hairpin", "bridge_isolated", "uplink_down"}));
    EXPECT_TRUE(setup.fdb.empty());
    EXPECT_EQ(setup.refused_macs.at("02:00:00:00:dd:08"), "remote_is_no_host");
}

}  // namespace
