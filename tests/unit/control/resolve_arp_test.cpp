// What is believed of ARP frames, and what is answered.
#include "resolve_fixture.hpp"

namespace vxplane::control {
namespace {

using enum NeighbourState;
using net::ArpHeader;
constexpr auto kBroadcast = net::MacAddress::broadcast();
constexpr auto kStranger = net::Ipv4Address::of(10, 0, 0, 77);

TEST_F(ResolveTest, RP64_unsolicited_replies_and_announcements_create_nothing) {
    EXPECT_EQ(hear(ArpHeader::kReply, kPeerMac, kPeer, kOwn), ArpResult::handled);
    EXPECT_EQ(hear_gratuitous(kPeerMac), ArpResult::not_ours);
    EXPECT_EQ(hear(ArpHeader::kReply, kPeerMac, kPeer, kPeer, kBroadcast, kPeerMac),
              ArpResult::not_ours);
    EXPECT_EQ(hear(ArpHeader::kRequest, kPeerMac, kPeer, kStranger, kBroadcast),
              ArpResult::not_ours);
    EXPECT_EQ(table->size(), 0U);
}

TEST_F(ResolveTest, RP64_a_second_answer_within_a_second_does_not_override) {
    resolve();
    pass(900ms);
    hear_reply(kOtherMac);
    EXPECT_EQ(table->use(kKey, now), kPeerMac) << "the first of two answers wins";
    pass(200ms);
    hear_reply(kOtherMac);
    EXPECT_EQ(table->use(kKey, now), kOtherMac);
    EXPECT_EQ(state(), reachable);
    EXPECT_EQ(sink.up.back().second, kOtherMac);
    EXPECT_EQ(table->counters().mac_changes, 1U);
}

TEST_F(ResolveTest, RP64_request_of_a_known_sender_for_another_updates_but_does_not_confirm) {
    resolve();
    pass(46s);
    ASSERT_EQ(state(), stale);
    hear(ArpHeader::kRequest, kPeerMac, kPeer, kStranger, kBroadcast);
    EXPECT_EQ(state(), stale) << "same MAC address: nothing new";
    hear(ArpHeader::kRequest, kOtherMac, kPeer, kStranger, kBroadcast);
    EXPECT_EQ(state(), stale);
    EXPECT_EQ(table->use(kKey, now), kOtherMac);
}

TEST_F(ResolveTest, RP64_broadcast_reply_makes_stale_not_reachable) {
    table->use(kKey, now);
    hear(ArpHeader::kReply, kPeerMac, kPeer, kOwn, kBroadcast);
    EXPECT_EQ(state(), stale);
    EXPECT_EQ(sink.up.size(), 1U);
}

TEST_F(ResolveTest, RP64_announcement_completes_what_is_asked_and_revives_what_failed) {
    table->hold(kKey, packet(1), now);
    hear_gratuitous(kPeerMac);
    EXPECT_EQ(state(), stale);
    EXPECT_EQ(sink.released.size(), 1U);
    table->forget(kKey, now);
    table->use(kKey, now);
    pass(4s);
    ASSERT_EQ(state(), failed);
    hear_gratuitous(kPeerMac);
    EXPECT_EQ(state(), stale);
}

TEST_F(ResolveTest, RP66_changed_mac_is_taken_from_a_gratuitous_request_at_once) {
    table->want(kKey, now);
    hear_reply();
    hear_gratuitous(kOtherMac);
    ASSERT_EQ(sink.up.size(), 2U) << "without waiting for the lock time";
    EXPECT_EQ(sink.up[1], std::pair(kKey, kOtherMac));
    EXPECT_EQ(state(), delay) << "wanted, so it is confirmed soon";
    pass(5s);
    EXPECT_EQ(sink.sent.back().ethernet.destination, kOtherMac);
    EXPECT_TRUE(sink.down.empty());
}

TEST_F(ResolveTest, RP66_gratuitous_reply_counts_only_if_it_names_itself_twice) {
    resolve();
    hear(ArpHeader::kReply, kOtherMac, kPeer, kPeer, kBroadcast, kBroadcast);
    EXPECT_EQ(table->use(kKey, now), kPeerMac);
    hear(ArpHeader::kReply, kOtherMac, kPeer, kPeer, kBroadcast, kOtherMac);
    EXPECT_EQ(table->use(kKey, now), kOtherMac);
}

TEST_F(ResolveTest, RP65_request_for_our_address_is_answered_and_creates_the_sender) {
    EXPECT_EQ(hear(ArpHeader::kRequest, kPeerMac, kPeer, kOwn, kBroadcast), ArpResult::handled);
    ASSERT_EQ(sink.sent.size(), 1U);
    const SentArp& reply = sink.sent[0];
    EXPECT_EQ(reply.ethernet.destination, kPeerMac);
    EXPECT_EQ(reply.ethernet.source, kOwnMac);
    EXPECT_EQ(reply.arp.operation, ArpHeader::kReply);
    EXPECT_EQ(reply.arp.sender_mac, kOwnMac);
    EXPECT_EQ(reply.arp.sender, kOwn);
    EXPECT_EQ(reply.arp.target_mac, kPeerMac);
    EXPECT_EQ(reply.arp.target, kPeer);
    EXPECT_EQ(state(), stale);
}

TEST_F(ResolveTest, RP65_request_for_another_address_is_not_answered) {
    EXPECT_EQ(hear(ArpHeader::kRequest, kPeerMac, kPeer, kStranger, kBroadcast),
              ArpResult::not_ours);
    EXPECT_TRUE(sink.sent.empty());
}

TEST_F(ResolveTest, RP65_address_probe_for_our_address_is_answered_and_creates_nothing) {
    EXPECT_EQ(hear(ArpHeader::kRequest, kPeerMac, {}, kOwn, kBroadcast), ArpResult::handled);
    ASSERT_EQ(sink.sent.size(), 1U);
    EXPECT_TRUE(sink.sent[0].arp.target.is_zero());
    EXPECT_EQ(table->size(), 0U);
}

TEST_F(ResolveTest, RP65_our_address_with_another_mac_is_a_conflict_told_once_in_ten_seconds) {
    for (int i = 0; i < 50; ++i) {
        EXPECT_EQ(hear(ArpHeader::kRequest, kOtherMac, kOwn, kOwn, kBroadcast), ArpResult::handled);
    }
    ASSERT_EQ(sink.conflicts.size(), 1U);
    EXPECT_EQ(sink.conflicts[0].first, (NeighbourKey{kPort, kOwn}));
    EXPECT_EQ(sink.conflicts[0].second, kOtherMac);
    EXPECT_EQ(table->counters().conflicts, 50U);
    EXPECT_EQ(table->size(), 0U);
    EXPECT_TRUE(sink.sent.empty());
    pass(10s);
    hear(ArpHeader::kReply, kOtherMac, kOwn, kPeer);
    EXPECT_EQ(sink.conflicts.size(), 2U);
}

TEST_F(ResolveTest, RP65_our_own_frame_coming_back_is_no_conflict) {
    hear(ArpHeader::kRequest, kOwnMac, kOwn, kOwn, kBroadcast);
    EXPECT_TRUE(sink.conflicts.empty());
    table->use(kKey, now);
    hear(ArpHeader::kReply, kOwnMac, kPeer, kOwn);
    EXPECT_EQ(state(), incomplete) << "our own MAC address is nobody else's";
}

TEST_F(ResolveTest, frames_for_another_station_are_not_read) {
    table->use(kKey, now);
    EXPECT_EQ(hear(ArpHeader::kReply, kPeerMac, kPeer, kOwn, kOtherMac), ArpResult::not_ours);
    EXPECT_EQ(state(), incomplete);
}

TEST_F(ResolveTest, malformed_frames_are_refused_and_change_nothing) {
    table->use(kKey, now);
    using net::MacAddress;
    EXPECT_EQ(hear_reply(MacAddress{}), ArpResult::malformed);
    EXPECT_EQ(hear_reply(MacAddress::broadcast()), ArpResult::malformed);
    EXPECT_EQ(hear_reply(MacAddress::from_number(0x01005E000001ULL)), ArpResult::malformed);
    for (const auto sender :
         {net::Ipv4Address{}, net::Ipv4Address::of(127, 0, 0, 1),
          net::Ipv4Address::of(224, 0, 0, 1), net::Ipv4Address::of(255, 255, 255, 255)}) {
        EXPECT_EQ(hear(ArpHeader::kReply, kPeerMac, sender, kOwn), ArpResult::malformed);
    }
    EXPECT_EQ(table->counters().malformed, 7U);
    EXPECT_EQ(state(), incomplete);
    EXPECT_EQ(table->size(), 1U);
}

TEST_F(ResolveTest, frames_cut_at_any_length_are_malformed) {
    const net::EthernetHeader ethernet{kOwnMac, kPeerMac, net::ether_type::kArp};
    const ArpHeader arp{net::Be16::of(1),
                        net::ether_type::kIpv4,
                        6,
                        4,
                        ArpHeader::kRequest,
                        kPeerMac,
                        kPeer,
                        {},
                        kOwn};
    for (std::size_t size = 0; size <= 42; ++size) {
        std::vector<std::byte> frame(42);
        std::memcpy(frame.data(), &ethernet, sizeof ethernet);
        std::memcpy(frame.data() + sizeof ethernet, &arp, sizeof arp);
        frame.resize(size);
        frame.shrink_to_fit();
        EXPECT_EQ(table->on_arp(kPort, frame, now),
                  size < 42 ? ArpResult::malformed : ArpResult::handled);
    }
    ArpHeader other = arp;
    other.hardware_length = 8;
    std::vector<std::byte> frame(42);
    std::memcpy(frame.data(), &ethernet, sizeof ethernet);
    std::memcpy(frame.data() + sizeof ethernet, &other, sizeof other);
    EXPECT_EQ(table->on_arp(kPort, frame, now), ArpResult::malformed);
}

TEST_F(ResolveTest, other_operations_and_unknown_ports_are_not_ours) {
    EXPECT_EQ(hear(net::Be16::of(3), kPeerMac, kPeer, kOwn), ArpResult::not_ours);
    table->remove_port(kPort);
    EXPECT_EQ(hear(ArpHeader::kRequest, kPeerMac, kPeer, kOwn), ArpResult::not_ours);
    EXPECT_TRUE(sink.sent.empty());
}

TEST_F(ResolveTest, announce_tells_every_address_of_the_port) {
    const auto second = net::Ipv4Address::of(10, 9, 0, 1);
    table->set_port(kPort, kOwnMac, {{kOwn, 24}, {second, 16}});
    table->announce(kPort);
    ASSERT_EQ(sink.sent.size(), 2U);
    for (const SentArp& sent : sink.sent) {
        EXPECT_EQ(sent.ethernet.destination, kBroadcast);
        EXPECT_EQ(sent.arp.operation, ArpHeader::kRequest);
        EXPECT_EQ(sent.arp.sender, sent.arp.target);
        EXPECT_EQ(sent.arp.sender_mac, kOwnMac);
    }
    EXPECT_EQ(sink.sent[1].arp.sender, second);
}

}  // namespace
}  // namespace vxplane::control
