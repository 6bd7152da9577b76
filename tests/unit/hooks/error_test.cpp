// ICMP errors find the connection that they are about, and are translated inside and outside.
#include <gtest/gtest.h>

#include "tests/support/hook_world.hpp"

namespace vxplane::support::hooks {
namespace {

using packet::DropReason;
using table::CtState;

struct Kind {
    const char* name;
    std::uint8_t protocol;
    bool v6;
    std::size_t quote;  ///< bytes of the quoted packet
};
void PrintTo(const Kind& kind, std::ostream* out) {
    *out << kind.name;
}

class Errors : public testing::TestWithParam<Kind> {
  protected:
    static Words ask() {
        Words w;
        w.protocol = GetParam().protocol;
        if (GetParam().v6) {
            w.source = "fd00::5";
            w.destination = "2001:db8::9";
            w.icmp_type = 128;
        }
        w.tcp_flags = 0x02;
        return w;
    }
    static const char* public_address() {
        return GetParam().v6 ? World::kPublic6 : World::kPublic4;
    }
    static const char* router() { return GetParam().v6 ? "2001:db8:77::1" : "192.0.2.77"; }
    static Words error(const std::string& from, const std::string& to, const Bytes& about) {
        Words w;
        w.source = from;
        w.destination = to;
        w.protocol = GetParam().v6 ? kIcmp6 : kIcmp;
        w.icmp_type = GetParam().v6 ? 1 : 3;
        w.icmp_code = 1;
        w.quoted = about;
        w.quote = GetParam().quote;
        return w;
    }
    static bool icmp() { return GetParam().protocol == kIcmp || GetParam().protocol == kIcmp6; }
};

TEST_P(Errors, about_a_masqueraded_packet_go_back_to_who_sent_it) {
    World world({masquerade(2000, 2000)});
    world.slave(3, 1);
    const Outcome out = world.out(packet_of(ask()), 3);
    ASSERT_TRUE(out.passed());
    ASSERT_EQ(out.read().source_port, 2000);
    const Outcome back = world.in(packet_of(error(router(), public_address(), out.packet)));
    ASSERT_TRUE(back.passed());
    EXPECT_EQ(back.ctx.state, CtState::related);
    EXPECT_EQ(back.ctx.to_slave, 3);
    EXPECT_EQ(back.read().source, router()) << "traceroute wants to know";
    EXPECT_EQ(back.read().destination, ask().source);
    const Bytes inside = quoted(back.packet);
    const Read r = read(inside);
    EXPECT_EQ(r.source, ask().source);
    EXPECT_EQ(r.destination, ask().destination);
    EXPECT_EQ(r.source_port, 1000);
    EXPECT_TRUE(checksums_right(back.packet)) << text(back.packet);
    const Bytes sent = packet_of(ask());
    EXPECT_EQ(inside, Bytes(sent.begin(), sent.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                             GetParam().quote, sent.size()))));
}

TEST_P(Errors, of_a_slave_about_what_reached_it_leave_as_its_public_address) {
    World world(one_to_one(public_address(), ask().source, 7, 2));
    world.slave(7, 2);
    Words w = ask();
    std::swap(w.source, w.destination);
    w.destination = public_address();
    const Outcome in = world.in(packet_of(w));
    ASSERT_TRUE(in.passed());
    const Outcome out = world.out(packet_of(error(ask().source, w.source, in.packet)), 7);
    ASSERT_TRUE(out.passed());
    EXPECT_EQ(out.ctx.state, CtState::related);
    EXPECT_EQ(out.read().source, public_address());
    EXPECT_EQ(out.read().destination, w.source);
    EXPECT_EQ(read(quoted(out.packet)).destination, public_address());
    EXPECT_TRUE(checksums_right(out.packet)) << text(out.packet);
}

TEST_P(Errors, about_nothing_known_are_invalid) {
    World world({masquerade()});
    world.slave(3, 1);
    const Outcome back = world.in(packet_of(error(router(), public_address(), packet_of(ask()))));
    EXPECT_TRUE(back.passed());
    EXPECT_EQ(back.ctx.state, CtState::invalid);
    EXPECT_FALSE(back.ctx.knows_way);
    EXPECT_EQ(back.packet, packet_of(error(router(), public_address(), packet_of(ask()))));
}

TEST_P(Errors, do_not_keep_a_connection_alive) {
    World world({masquerade()});
    const Outcome out = world.out(packet_of(ask()), 3);
    const auto ref = out.ctx.connection;
    const std::uint32_t end = world.conntrack.at(ref).expires;
    world.now += 5'000;
    ASSERT_TRUE(world.in(packet_of(error(router(), public_address(), out.packet))).passed());
    EXPECT_EQ(world.conntrack.at(ref).expires, end);
}

INSTANTIATE_TEST_SUITE_P(
    All, Errors,
    testing::Values(Kind{"udp4", kUdp, false, 10'000}, Kind{"udp4_short", kUdp, false, 28},
                    Kind{"tcp4", kTcp, false, 10'000}, Kind{"tcp4_short", kTcp, false, 28},
                    Kind{"icmp4", kIcmp, false, 10'000}, Kind{"icmp4_short", kIcmp, false, 28},
                    Kind{"udp6", kUdp, true, 10'000}, Kind{"udp6_short", kUdp, true, 48},
                    Kind{"tcp6", kTcp, true, 10'000}, Kind{"tcp6_short", kTcp, true, 48},
                    Kind{"icmp6", kIcmp6, true, 10'000}, Kind{"icmp6_short", kIcmp6, true, 48}),
    [](const auto& kind) { return std::string(kind.param.name); });

TEST(IcmpErrors, a_redirect_about_a_translated_connection_is_dropped) {
    World world({masquerade()});
    const Outcome out = world.out(packet_of({}), 3);
    Words w{.source = "192.0.2.77", .destination = World::kPublic4, .protocol = kIcmp};
    w.icmp_type = 5;
    w.quoted = out.packet;
    EXPECT_EQ(world.in(packet_of(w)).reason(), DropReason::ct_invalid);
}

TEST(IcmpErrors, a_quotation_of_less_than_eight_bytes_is_of_no_connection) {
    World world({masquerade()});
    const Outcome out = world.out(packet_of({}), 3);
    Words w{.source = "192.0.2.77", .destination = World::kPublic4, .protocol = kIcmp};
    w.icmp_type = 3;
    w.quoted = out.packet;
    for (w.quote = 0; w.quote < 28; ++w.quote) {
        const Outcome back = world.in(packet_of(w));
        EXPECT_EQ(back.ctx.state, CtState::invalid) << w.quote;
    }
}

TEST(IcmpErrors, a_quoted_udp_packet_without_checksum_keeps_none) {
    World world({masquerade(2000, 2000)});
    Words ask;
    ask.no_udp_checksum = true;
    const Outcome out = world.out(packet_of(ask), 3);
    Words w{.source = "192.0.2.77", .destination = World::kPublic4, .protocol = kIcmp};
    w.icmp_type = 3;
    w.quoted = out.packet;
    const Outcome back = world.in(packet_of(w));
    EXPECT_EQ(quoted(back.packet), packet_of(ask));
    EXPECT_TRUE(checksums_right(back.packet));
}

}  // namespace
}  // namespace vxplane::support::hooks
