// Random traffic of many tenants through one address, beside a reference that keeps its
// conversations in a map: what comes out, to whom, and how many connections there are.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "tests/support/hook_world.hpp"

namespace vxplane::support::hooks {
namespace {

/// One conversation as the reference knows it.
struct Talk {
    std::uint16_t slave = 0;
    Words ask;                ///< what the inner end sends
    std::string seen_source;  ///< what the outer end sees
    std::uint16_t seen_port = 0;
    std::uint32_t last = 0;
};
using Key = std::tuple<std::uint16_t, std::string, std::string, int, int, int>;
using Outside = std::tuple<std::string, int, std::string, int, int>;

bool is_icmp(const Words& w) {
    return w.protocol == kIcmp || w.protocol == kIcmp6;
}

class Model {
  public:
    explicit Model(std::uint32_t seed) : random_(seed), world_({masquerade(3000, 3150)}, 4096) {
        for (std::uint16_t slave = 0; slave < 6; ++slave) world_.slave(slave, slave / 2 + 1);
    }

    void step() {
        switch (random_() % 8) {
            case 0:
            case 1:
            case 2:
                ask();
                break;
            case 3:
            case 4:
                answer();
                break;
            case 5:
                stranger();
                break;
            case 6:
                error();
                break;
            default:
                time();
        }
        const auto stats = world_.conntrack.stats();
        ASSERT_EQ(stats.created,
                  stats.used + stats.expired + stats.closed + stats.early_drops + stats.flushed);
        ASSERT_EQ(stats.created, created_);
        ASSERT_EQ(stats.refused + stats.early_drops, 0U);
    }
    /// Connections that both know of after all had time to end.
    void expect_same_number() {
        for (int i = 0; i < 200; ++i) world_.conntrack.poll(world_.now + static_cast<unsigned>(i));
        EXPECT_LE(talks_.size(), world_.conntrack.stats().used);
        world_.now += 130'000;
        for (int i = 0; i < 10'000; ++i) world_.conntrack.poll(world_.now += 1);
        EXPECT_EQ(world_.conntrack.stats().used, 0U);
    }
    std::uint64_t translated = 0, exhausted = 0, answered = 0, errors = 0;

  private:
    static Key key(std::uint16_t zone, const Words& w) {
        return {zone,       w.source,      w.destination,
                w.protocol, w.source_port, is_icmp(w) ? 0 : w.destination_port};
    }
    static Outside outside(const Talk& t) {
        return {t.seen_source, t.seen_port, t.ask.destination,
                is_icmp(t.ask) ? 0 : t.ask.destination_port, t.ask.protocol};
    }

    void ask() {
        const auto slave = static_cast<std::uint16_t>(random_() % 6);
        Words w;
        const bool v6 = random_() % 3 == 0;
        // The same addresses in every tenant.
        const std::string host = std::to_string(random_() % 2 + 1);
        w.source = v6 ? "fd00::" + host : "10.0.0." + host;
        w.destination = v6 ? "2001:db8::9" : "198.51.100." + std::to_string(random_() % 2);
        w.protocol = std::array<std::uint8_t, 2>{kUdp, v6 ? kIcmp6 : kIcmp}[random_() % 2];
        w.icmp_type = v6 ? 128 : 8;
        w.source_port = static_cast<std::uint16_t>(2990 + random_() % 100);
        w.destination_port = 53;
        w.payload = Bytes(random_() % 60, static_cast<std::uint8_t>(random_()));
        w.no_udp_checksum = !v6 && random_() % 4 == 0;
        const auto zone = static_cast<std::uint16_t>(slave / 2 + 1);
        const auto found = talks_.find(key(zone, w));
        const Outcome out = world_.out(packet_of(w), slave);
        if (!out.passed()) {
            ASSERT_EQ(out.reason(), packet::DropReason::nat_ports_exhausted);
            ASSERT_EQ(found, talks_.end());
            ++exhausted;
            return;
        }
        const Read r = out.read();
        ASSERT_TRUE(checksums_right(out.packet)) << text(out.packet);
        ASSERT_EQ(r.source, v6 ? World::kPublic6 : World::kPublic4);
        ASSERT_EQ(r.destination, w.destination);
        ASSERT_GE(r.source_port, 3000);
        ASSERT_LE(r.source_port, 3150);
        Words expected = w;
        expected.source = r.source;
        expected.source_port = r.source_port;
        ASSERT_EQ(out.packet, packet_of(expected));
        if (found != talks_.end()) {
            ASSERT_EQ(r.source_port, found->second.seen_port) << "changed on its way";
            found->second.last = world_.now;
            return;
        }
        const Talk talk{slave, w, r.source, r.source_port, world_.now};
        ASSERT_TRUE(taken_.emplace(outside(talk), key(zone, w)).second) << "two share a port";
        talks_[key(zone, w)] = talk;
        ++created_;
        translated += r.source_port != w.source_port ? 1 : 0;
    }
    Talk* any() {
        if (talks_.empty()) return nullptr;
        auto at = talks_.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(random_() % talks_.size()));
        return &at->second;
    }
    void answer() {
        Talk* talk = any();
        if (talk == nullptr) return;
        Words w = talk->ask;
        w.source = talk->ask.destination;
        w.destination = talk->seen_source;
        w.source_port = is_icmp(w) ? talk->seen_port : talk->ask.destination_port;
        w.destination_port = talk->seen_port;
        w.icmp_type = w.protocol == kIcmp6 ? 129 : 0;
        const Outcome in = world_.in(packet_of(w));
        ASSERT_TRUE(in.passed());
        ASSERT_EQ(in.ctx.to_slave, talk->slave);
        Words expected = w;
        expected.destination = talk->ask.source;
        expected.destination_port = talk->ask.source_port;
        if (is_icmp(w)) expected.source_port = talk->ask.source_port;
        ASSERT_EQ(in.packet, packet_of(expected));
        talk->last = world_.now;
        ++answered;
    }
    /// Nobody asked for it: it is delivered to no slave.
    void stranger() {
        Words w;
        w.protocol = kIcmp;
        w.icmp_type = 0;
        w.source = "203.0.113.200";
        w.destination = World::kPublic4;
        const Outcome in = world_.in(packet_of(w));
        ASSERT_EQ(in.ctx.to_slave, table::kNoSlave);
        ASSERT_EQ(in.packet, packet_of(w));
    }
    void error() {
        Talk* talk = any();
        if (talk == nullptr) return;
        Words sent = talk->ask;
        sent.source = talk->seen_source;
        sent.source_port = talk->seen_port;
        const bool v6 = talk->ask.source.find(':') != std::string::npos;
        Words w;
        w.source = v6 ? "2001:db8:77::1" : "192.0.2.77";
        w.destination = talk->seen_source;
        w.protocol = v6 ? kIcmp6 : kIcmp;
        w.icmp_type = v6 ? 3 : 11;
        w.icmp_code = 0;
        w.quoted = packet_of(sent);
        w.quote = (v6 ? 48U : 28U) + random_() % 40;
        const Outcome in = world_.in(packet_of(w));
        ASSERT_TRUE(in.passed());
        ASSERT_EQ(in.ctx.to_slave, talk->slave);
        Words expected = w;
        expected.destination = talk->ask.source;
        expected.quoted = packet_of(talk->ask);
        ASSERT_EQ(in.packet, packet_of(expected));
        ++errors;
    }
    void time() {
        world_.now += static_cast<std::uint32_t>(random_() % 200);
        world_.conntrack.poll(world_.now);
        forget();
    }
    /// What the reference holds for over: exactly what a lookup would not find.
    void forget() {
        std::erase_if(talks_, [&](const auto& entry) {
            const Talk& t = entry.second;
            const auto ref = find(entry.second);
            if (ref) return false;
            EXPECT_GE(world_.now - t.last, 30'000U);
            taken_.erase(outside(t));
            return true;
        });
    }
    table::ConnRef find(const Talk& t) {
        // Only what is old is looked for: a look ends an entry that is over.
        if (world_.now - t.last < 30'000) return table::ConnRef(0, table::Direction::original);
        table::ConnTuple c;
        c.source = address(t.ask.source);
        c.destination = address(t.ask.destination);
        c.source_port = net::Be16::of(t.ask.source_port);
        c.destination_port =
            net::Be16::of(is_icmp(t.ask) ? static_cast<std::uint16_t>(t.ask.icmp_type << 8)
                                         : t.ask.destination_port);
        c.protocol = t.ask.protocol;
        c.zone = static_cast<std::uint16_t>(t.slave / 2 + 1);
        return world_.conntrack.find(c, world_.conntrack.hash(c), world_.now);
    }

    std::mt19937 random_;
    World world_;
    std::map<Key, Talk> talks_;
    std::map<Outside, Key> taken_;
    std::uint64_t created_ = 0;
};

TEST(NatModel, random_traffic_comes_out_as_the_reference_says) {
    std::uint64_t translated = 0, exhausted = 0, answered = 0, errors = 0;
    for (std::uint32_t seed = 1; seed <= 4; ++seed) {
        Model model(seed);
        for (int i = 0; i < 8'000 && !testing::Test::HasFatalFailure(); ++i) model.step();
        if (testing::Test::HasFatalFailure()) return;
        model.expect_same_number();
        translated += model.translated;
        exhausted += model.exhausted;
        answered += model.answered;
        errors += model.errors;
    }
    // The traffic has met what it is meant to meet.
    EXPECT_GT(translated, 1'000U);
    EXPECT_GT(exhausted, 100U);
    EXPECT_GT(answered, 1'000U);
    EXPECT_GT(errors, 1'000U);
}

}  // namespace
}  // namespace vxplane::support::hooks
