// What is believed of neighbour discovery, and what is answered.
#include "resolve_fixture.hpp"

namespace vxplane::control {
namespace {

using enum NeighbourState;
using net::Icmpv6Header;
using net::IpAddress;
using net::NdHeader;

IpAddress ip6(std::uint8_t last, std::uint8_t first = 0x20) {
    std::array<std::uint8_t, 16> bytes{first, 0x01, 0x0d, 0xb8};
    bytes[13] = 0xAB;
    bytes[15] = last;
    return IpAddress(bytes);
}
const IpAddress kOwn6 = ip6(1);
const IpAddress kPeer6 = ip6(2);
const NeighbourKey kKey6{kPort, kPeer6};
const auto kAllNodes = net::all_nodes();
const auto kAllNodesMac = net::MacAddress::from_number(0x333300000001ULL);

class NdTest : public ResolveTest {
  protected:
    NdTest() { table->set_port(kPort, kOwnMac, {{kOwn, 24}, {kOwn6, 64}}); }

    using Bytes = std::vector<std::byte>;
    static Bytes solicitation(const IpAddress& target = kOwn6, const IpAddress& source = kPeer6,
                              net::MacAddress mac = kPeerMac) {
        const auto group = net::solicited_node(target);
        const auto frame = net::make_nd(
            {net::group_mac(group), mac, source, group, Icmpv6Header::kSolicitation, 0, target});
        return {frame.begin(), frame.end()};
    }
    static Bytes advertisement(std::uint32_t flags, net::MacAddress mac = kPeerMac,
                               const IpAddress& target = kPeer6,
                               const IpAddress& destination = kOwn6) {
        const auto to = destination.is_multicast() ? net::group_mac(destination) : kOwnMac;
        const auto frame = net::make_nd(
            {to, mac, target, destination, Icmpv6Header::kAdvertisement, flags, target});
        return {frame.begin(), frame.end()};
    }
    /// Without its option; the checksum is made anew.
    static Bytes bare(Bytes frame) {
        frame.resize(net::kNdFrame - sizeof(net::NdLinkOption));
        auto ip = net::load<net::Ipv6Header>(frame.data() + 14);
        ip.payload_length = net::Be16::of(sizeof(NdHeader));
        std::memcpy(frame.data() + 14, &ip, sizeof ip);
        return summed(std::move(frame));
    }
    static Bytes summed(Bytes frame) {
        const auto ip = net::load<net::Ipv6Header>(frame.data() + 14);
        const std::size_t length = frame.size() - 54;
        std::memset(frame.data() + 56, 0, 2);
        const net::Be16 sum = net::finish(net::add_bytes(
            net::pseudo_header(ip, net::ip_protocol::kIcmpv6, static_cast<std::uint16_t>(length)),
            frame.data() + 54, length));
        std::memcpy(frame.data() + 56, &sum, sizeof sum);
        return frame;
    }
    NdResult hear(const Bytes& frame) { return table->on_nd(kPort, frame, now); }
    void resolve6() {
        table->use(kKey6, now);
        hear(advertisement(NdHeader::kSolicited | NdHeader::kOverride));
        ASSERT_EQ(state(kKey6), reachable);
    }
};

TEST_F(NdTest, RP61_asks_the_solicited_node_group_three_times_and_fails) {
    table->want(kKey6, now);
    pass(2500ms);
    ASSERT_EQ(sink.sent_nd.size(), 3U);
    for (const SentNd& sent : sink.sent_nd) {
        EXPECT_EQ(sent.port, kPort);
        EXPECT_EQ(sent.ethernet.destination, net::MacAddress::from_number(0x3333FFAB0002ULL));
        EXPECT_EQ(sent.ethernet.source, kOwnMac);
        EXPECT_EQ(sent.nd.kind, net::NdKind::solicitation);
        EXPECT_EQ(sent.nd.source, kOwn6);
        EXPECT_EQ(sent.nd.destination, net::solicited_node(kPeer6));
        EXPECT_EQ(sent.nd.target, kPeer6);
        EXPECT_EQ(sent.nd.mac, kOwnMac);
    }
    pass(1s);
    EXPECT_EQ(state(kKey6), failed);
    EXPECT_EQ(sink.down, std::vector{kKey6});
    EXPECT_TRUE(sink.sent.empty()) << "no ARP";
}

TEST_F(NdTest, RP62_held_packets_leave_in_order_when_the_answer_comes) {
    table->hold(kKey6, packet(1), now);
    table->hold(kKey6, packet(2), now);
    EXPECT_EQ(hear(advertisement(NdHeader::kSolicited | NdHeader::kOverride)), NdResult::handled);
    ASSERT_EQ(sink.released.size(), 2U);
    EXPECT_EQ(sink.released[0].opaque, 1U);
    EXPECT_EQ(sink.release_mac, kPeerMac);
    EXPECT_EQ(state(kKey6), reachable);
    expect_packets_accounted();
}

TEST_F(NdTest, RP61_a_wanted_neighbour_is_probed_by_unicast_before_it_is_too_old) {
    table->want(kKey6, now);
    hear(advertisement(NdHeader::kSolicited | NdHeader::kOverride));
    sink.sent_nd.clear();
    for (int i = 0; i < 510 && sink.sent_nd.empty(); ++i) {
        pass(100ms);
    }
    ASSERT_EQ(sink.sent_nd.size(), 1U);
    EXPECT_EQ(sink.sent_nd[0].ethernet.destination, kPeerMac);
    EXPECT_EQ(sink.sent_nd[0].nd.destination, kPeer6);
    EXPECT_EQ(hear(bare(advertisement(NdHeader::kSolicited))), NdResult::handled);
    EXPECT_EQ(state(kKey6), reachable) << "an answer without the option confirms";
    EXPECT_TRUE(sink.down.empty());
}

TEST_F(NdTest, RP64_advertisements_create_nothing) {
    EXPECT_EQ(hear(advertisement(NdHeader::kSolicited | NdHeader::kOverride)), NdResult::handled);
    EXPECT_EQ(hear(advertisement(NdHeader::kOverride, kPeerMac, kPeer6, kAllNodes)),
              NdResult::not_ours);
    EXPECT_EQ(table->size(), 0U);
}

TEST_F(NdTest, RP64_an_answer_without_the_option_resolves_nothing) {
    table->use(kKey6, now);
    hear(bare(advertisement(NdHeader::kSolicited | NdHeader::kOverride)));
    EXPECT_EQ(state(kKey6), incomplete);
}

TEST_F(NdTest, RP64_unsolicited_answer_makes_stale_not_reachable) {
    table->use(kKey6, now);
    hear(advertisement(NdHeader::kOverride, kPeerMac, kPeer6, kAllNodes));
    EXPECT_EQ(state(kKey6), stale);
    EXPECT_EQ(sink.up.size(), 1U);
}

TEST_F(NdTest, RP64_without_override_another_mac_raises_doubt_and_changes_nothing) {
    resolve6();
    hear(advertisement(NdHeader::kSolicited, kOtherMac));
    EXPECT_EQ(state(kKey6), stale);
    EXPECT_EQ(table->use(kKey6, now), kPeerMac);
    hear(advertisement(NdHeader::kSolicited, kOtherMac));
    EXPECT_EQ(state(kKey6), delay) << "only a reachable one is doubted";
    EXPECT_EQ(sink.up.size(), 1U);
}

TEST_F(NdTest, RP66_override_changes_the_mac_at_once) {
    resolve6();
    hear(advertisement(NdHeader::kOverride, kOtherMac, kPeer6, kAllNodes));
    EXPECT_EQ(sink.up.back().second, kOtherMac);
    EXPECT_EQ(state(kKey6), stale);
    hear(advertisement(NdHeader::kOverride | NdHeader::kSolicited, kPeerMac));
    EXPECT_EQ(state(kKey6), reachable);
    EXPECT_EQ(table->use(kKey6, now), kPeerMac);
}

TEST_F(NdTest, RP64_a_failed_neighbour_is_not_taken_from_the_air) {
    table->use(kKey6, now);
    pass(4s);
    ASSERT_EQ(state(kKey6), failed);
    hear(advertisement(NdHeader::kOverride, kPeerMac, kPeer6, kAllNodes));
    EXPECT_EQ(state(kKey6), failed);
}

TEST_F(NdTest, RP65_solicitation_of_our_address_is_answered_and_creates_the_sender) {
    EXPECT_EQ(hear(solicitation()), NdResult::handled);
    ASSERT_EQ(sink.sent_nd.size(), 1U);
    const SentNd& answer = sink.sent_nd[0];
    EXPECT_EQ(answer.ethernet.destination, kPeerMac);
    EXPECT_EQ(answer.ethernet.source, kOwnMac);
    EXPECT_EQ(answer.nd.kind, net::NdKind::advertisement);
    EXPECT_EQ(answer.nd.source, kOwn6);
    EXPECT_EQ(answer.nd.destination, kPeer6);
    EXPECT_EQ(answer.nd.target, kOwn6);
    EXPECT_EQ(answer.nd.mac, kOwnMac);
    EXPECT_TRUE(answer.nd.is_solicited);
    EXPECT_TRUE(answer.nd.overrides);
    EXPECT_EQ(state(kKey6), stale);
}

TEST_F(NdTest, RP65_solicitation_without_the_option_is_answered_and_creates_nothing) {
    EXPECT_EQ(hear(bare(solicitation())), NdResult::handled);
    ASSERT_EQ(sink.sent_nd.size(), 1U);
    EXPECT_EQ(sink.sent_nd[0].ethernet.destination, kPeerMac);
    EXPECT_EQ(table->size(), 0U);
}

TEST_F(NdTest, RP65_solicitation_of_another_address_is_not_answered) {
    EXPECT_EQ(hear(solicitation(ip6(77))), NdResult::not_ours);
    EXPECT_TRUE(sink.sent_nd.empty());
    EXPECT_EQ(table->size(), 0U);
}

TEST_F(NdTest, RP65_our_address_is_defended_against_duplicate_address_detection) {
    EXPECT_EQ(hear(bare(solicitation(kOwn6, IpAddress{}))), NdResult::handled);
    ASSERT_EQ(sink.sent_nd.size(), 1U);
    EXPECT_EQ(sink.sent_nd[0].ethernet.destination, kAllNodesMac);
    EXPECT_EQ(sink.sent_nd[0].nd.destination, kAllNodes);
    EXPECT_FALSE(sink.sent_nd[0].nd.is_solicited);
    EXPECT_TRUE(sink.sent_nd[0].nd.overrides);
    EXPECT_EQ(table->size(), 0U);
}

TEST_F(NdTest, RP65_our_address_with_another_mac_is_a_conflict_told_once_in_ten_seconds) {
    for (int i = 0; i < 9; ++i) {
        EXPECT_EQ(hear(advertisement(NdHeader::kOverride, kOtherMac, kOwn6, kAllNodes)),
                  NdResult::handled);
        EXPECT_EQ(hear(solicitation(kPeer6, kOwn6, kOtherMac)), NdResult::handled);
    }
    ASSERT_EQ(sink.conflicts.size(), 1U);
    EXPECT_EQ(sink.conflicts[0], std::pair(NeighbourKey{kPort, kOwn6}, kOtherMac));
    EXPECT_EQ(table->counters().conflicts, 18U);
    EXPECT_EQ(hear(advertisement(NdHeader::kOverride, kOwnMac, kOwn6, kAllNodes)),
              NdResult::not_ours)
        << "our own coming back";
}

TEST_F(NdTest, malformed_messages_are_refused_and_change_nothing) {
    table->use(kKey6, now);
    const auto with = [](Bytes frame, std::size_t at, int value) {
        frame[at] = static_cast<std::byte>(value);
        return frame;
    };
    const Bytes good = advertisement(NdHeader::kSolicited | NdHeader::kOverride);
    const std::vector<Bytes> bad{
        with(good, 21, 254),           // hop limit: sent from beyond the link
        with(good, 56, 0x12),          // checksum
        summed(with(good, 55, 1)),     // code
        summed(with(good, 62, 0xFF)),  // target is a group
        summed(with(good, 79, 0)),     // option of length zero
        summed(with(good, 79, 2)),     // option beyond the end
        summed(with(good, 80, 0x01)),  // MAC address of a group
        with(good, 6, 0x01),           // from a group
        advertisement(NdHeader::kSolicited, kPeerMac, kPeer6, kAllNodes),
        solicitation(kOwn6, IpAddress{}),  // address detection with an option
        summed(with(bare(solicitation(kOwn6, IpAddress{})), 53, 9)),  // and to another group
        advertisement(NdHeader::kOverride, kPeerMac, IpAddress(kPeer)),
    };
    for (const Bytes& frame : bad) {
        EXPECT_EQ(hear(frame), NdResult::malformed) << &frame - bad.data();
    }
    EXPECT_EQ(table->counters().malformed, bad.size());
    EXPECT_EQ(state(kKey6), incomplete);
    EXPECT_EQ(table->size(), 1U);
    EXPECT_EQ(hear(good), NdResult::handled);
}

TEST_F(NdTest, frames_cut_at_any_length_are_refused) {
    const Bytes whole = solicitation();
    for (std::size_t size = 0; size < whole.size(); ++size) {
        Bytes frame(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        frame.shrink_to_fit();
        EXPECT_NE(hear(frame), NdResult::handled) << size;
    }
    EXPECT_TRUE(sink.sent_nd.empty());
    Bytes padded = whole;
    padded.resize(100);
    EXPECT_EQ(hear(padded), NdResult::handled);
}

TEST_F(NdTest, messages_of_routers_and_other_packets_are_not_ours) {
    Bytes router = advertisement(0);
    router[54] = std::byte{134};
    EXPECT_EQ(hear(summed(router)), NdResult::not_ours);
    Bytes echo = advertisement(0);
    echo[54] = std::byte{128};
    EXPECT_EQ(hear(summed(echo)), NdResult::not_ours);
    EXPECT_EQ(table->counters().malformed, 0U);
}

TEST_F(NdTest, nothing_is_asked_without_an_address_to_ask_from) {
    table->set_port(kPort, kOwnMac, {{kOwn, 24}});
    table->use(kKey6, now);
    EXPECT_TRUE(sink.sent_nd.empty());
    pass(4s);
    EXPECT_EQ(state(kKey6), failed);
}

TEST_F(NdTest, RP61_group_addresses_follow_from_the_address) {
    const NeighbourKey group{kPort, kAllNodes};
    EXPECT_EQ(table->use(group, now), kAllNodesMac);
    EXPECT_EQ(state(group), noarp);
    EXPECT_EQ(table->use({kPort, IpAddress{}}, now), std::nullopt);
}

TEST_F(NdTest, announce_tells_both_families) {
    table->announce(kPort);
    ASSERT_EQ(sink.sent.size(), 1U);
    ASSERT_EQ(sink.sent_nd.size(), 1U);
    const SentNd& sent = sink.sent_nd[0];
    EXPECT_EQ(sent.ethernet.destination, kAllNodesMac);
    EXPECT_EQ(sent.nd.kind, net::NdKind::advertisement);
    EXPECT_EQ(sent.nd.target, kOwn6);
    EXPECT_EQ(sent.nd.mac, kOwnMac);
    EXPECT_TRUE(sent.nd.overrides);
    EXPECT_FALSE(sent.nd.is_solicited);
}

TEST_F(NdTest, the_same_number_in_both_families_is_two_neighbours) {
    resolve();
    EXPECT_EQ(state(kKey), reachable);
    EXPECT_EQ(state({kPort, kPeer6}), none);
    EXPECT_EQ(table->size(), 1U);
}

}  // namespace
}  // namespace vxplane::control
