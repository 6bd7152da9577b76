// Packets of connections that are there already take a short way where no rule is asked. It has to
// do what the long way does, frame for frame and counter for counter.
#include <gtest/gtest.h>

#include <random>

#include "tests/support/slave_scene.hpp"

namespace vxplane::support {
namespace {

using table::Hook;
using table::HookRule;
using table::kNoSlave;
using table::RuleVerdict;

struct Outcome {
    std::vector<std::pair<PortId, Bytes>> sent{};
    std::size_t punted = 0;
    Counts moved{};
    /// Of each place: what its two directions counted, and its state.
    std::vector<std::array<std::uint64_t, 6>> connections{};
};

/// One end inside, one outside, and the port by which the outside knows the inside.
struct Flow {
    bool red = true;
    bool tcp = true;
    std::uint16_t inside = 0;
    std::uint16_t outside = 0;
};

class Course {
  public:
    /// `asks`: a rule that accepts everything sends every packet the long way.
    Course(IpvlanMode mode, bool translates, bool asks) : scene_(mode), translates_(translates) {
        scene_.track();
        std::vector<HookRule> rules;
        if (translates) {
            HookRule rule;
            rule.hook = Hook::postrouting;
            rule.priority = table::hook_priority::kSourceNat;
            rule.verdict = RuleVerdict::masquerade;
            rule.to_ports = {1024, 65535};
            rules.push_back(rule);
        }
        if (asks) {
            HookRule rule;
            rule.hook = Hook::forward;
            rules.push_back(rule);
        }
        if (!rules.empty()) {
            scene_.rules(kNoSlave, rules);
        }
        for (std::uint16_t i = 0; i < 8; ++i) {
            flows_.push_back({i % 2 == 0, i % 4 < 2, static_cast<std::uint16_t>(5000 + i),
                              static_cast<std::uint16_t>(80 + i)});
        }
    }

    Outcome run() {
        Outcome out;
        for (unsigned round = 0; round < 300; ++round) {
            const PortId from = std::array{scene_.up, scene_.red, scene_.blue}[pick(3)];
            std::vector<Bytes> burst;
            for (std::size_t left = 1 + pick(20); left != 0; --left) {
                burst.push_back(a_packet(from));
            }
            const Seen seen = scene_.lab.receive(from, burst);
            EXPECT_EQ(seen.broken_law, "");
            for (const SentFrame& frame : seen.sent) {
                out.sent.emplace_back(frame.port, frame.bytes);
            }
            out.punted += seen.punted.size();
            for (const auto& [name, by] : seen.moved) {
                out.moved[name] += by;
            }
        }
        for (std::uint32_t place = 0; place < scene_.conntrack->places(); ++place) {
            table::Connection c;
            if (scene_.conntrack->read(place, c)) {
                out.connections.push_back({c.original.packets, c.original.bytes, c.reply.packets,
                                           c.reply.bytes, static_cast<std::uint64_t>(c.tcp),
                                           c.flags});
            }
        }
        return out;
    }

  private:
    std::size_t pick(std::size_t below) { return random_() % below; }

    Bytes a_packet(PortId from) {
        const Flow* flow = &flows_[pick(flows_.size())];
        while (from != scene_.up && flow->red != (from == scene_.red)) {
            flow = &flows_[pick(flows_.size())];
        }
        const char* own = flow->red ? "10.1.0.1" : "10.1.0.2";
        const bool outwards = from != scene_.up;
        Ip4 ip;
        ip.source = outwards ? own : "198.51.100.7";
        ip.destination = outwards ? "198.51.100.7" : translates_ ? kHost : own;
        ip.ttl = pick(16) == 0 ? 1 : 64;
        if (pick(24) == 0) {
            ip.fragment = std::array<std::uint16_t, 3>{0x2000, 0x0003, 0x4000}[pick(3)];
        }
        if (pick(24) == 0) {
            ip.options = Bytes(4, std::uint8_t{1});
        }
        Frame frame = a_frame().to(kMaster).from(outwards ? kMaster : kGateway).ipv4(ip);
        const std::uint16_t source = outwards ? flow->inside : flow->outside;
        const std::uint16_t destination = outwards ? flow->outside : flow->inside;
        // Their identifier is below the range of the rule, so that another is found at random.
        if (pick(32) == 0 && !translates_) {
            frame.icmp_echo();
        } else if (flow->tcp) {
            Tcp tcp;
            // Mostly data, and now and then what opens and ends connections.
            constexpr std::array<std::uint8_t, 8> flags{0x02, 0x12, 0x11, 0x14,
                                                        0x10, 0x10, 0x18, 0};
            tcp.flags = flags[pick(pick(4) == 0 ? 4 : 8) % 8];
            if (pick(3) != 0) {
                tcp.flags = 0x10;
            }
            frame.tcp(source, destination, tcp);
        } else {
            frame.udp(source, destination);
        }
        Bytes bytes = frame.payload(pick(40)).bytes();
        if (pick(40) == 0) {
            bytes.resize(bytes.size() - pick(bytes.size() - 14));
        }
        return bytes;
    }

    Slaves scene_;
    bool translates_;
    std::vector<Flow> flows_{};
    std::mt19937 random_{7};
};

void compare(IpvlanMode mode, bool translates) {
    const Outcome by_long = Course(mode, translates, true).run();
    const Outcome by_short = Course(mode, translates, false).run();
    EXPECT_GT(by_long.sent.size(), 1000U);
    EXPECT_GT(by_long.connections.size(), 3U);
    EXPECT_EQ(by_long.moved, by_short.moved);
    EXPECT_EQ(by_long.connections, by_short.connections);
    EXPECT_EQ(by_long.punted, by_short.punted);
    ASSERT_EQ(by_long.sent.size(), by_short.sent.size());
    for (std::size_t i = 0; i < by_long.sent.size(); ++i) {
        ASSERT_EQ(by_long.sent[i], by_short.sent[i]) << "frame " << i;
    }
}

TEST(ShortWay, is_the_long_way_without_translation) {
    compare(IpvlanMode::l3, false);
}
TEST(ShortWay, is_the_long_way_under_masquerade) {
    compare(IpvlanMode::l3, true);
}
TEST(ShortWay, is_the_long_way_in_mode_l3s) {
    compare(IpvlanMode::l3s, true);
}

TEST(ShortWay, a_rule_that_comes_later_is_asked_for_what_is_established) {
    Slaves s(IpvlanMode::l3);
    s.track();
    const auto packet = [](bool out) {
        return a_frame()
            .to(kMaster)
            .from(out ? kMaster : kGateway)
            .ipv4({.source = out ? "10.1.0.1" : "198.51.100.7",
                   .destination = out ? "198.51.100.7" : "10.1.0.1"})
            .udp(out ? 5000 : 53, out ? 53 : 5000)
            .payload(18);
    };
    for (int i = 0; i < 3; ++i) {
        Golden(s.lab, s.red, packet(true)).out(s.up, packet(true).to(kGateway)).uncut().check();
        Golden(s.lab, s.up, packet(false)).out(s.red, packet(false)).uncut().check();
    }
    HookRule rule;
    rule.hook = Hook::output;
    rule.verdict = RuleVerdict::drop;
    s.rules(0, {rule});
    s.lab.publish();
    Golden(s.lab, s.red, packet(true)).drops(packet::DropReason::hook_drop).check();
}

}  // namespace
}  // namespace vxplane::support
