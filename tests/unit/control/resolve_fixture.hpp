// A neighbour table on a clock that the test turns, with a sink that writes down what it is told.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <vector>

#include "control/resolve/neighbours.hpp"
#include "dataplane/net/flow_hash.hpp"

namespace vxplane::control {

using namespace std::chrono_literals;

constexpr net::MacAddress kOwnMac = net::MacAddress::from_number(0x020000000001ULL);
constexpr net::MacAddress kPeerMac = net::MacAddress::from_number(0x020000000002ULL);
constexpr net::MacAddress kOtherMac = net::MacAddress::from_number(0x020000000003ULL);
constexpr net::Ipv4Address kOwn = net::Ipv4Address::of(10, 0, 0, 1);
constexpr net::Ipv4Address kPeer = net::Ipv4Address::of(10, 0, 0, 2);
constexpr std::uint16_t kPort = 3;
constexpr NeighbourKey kKey{kPort, kPeer};

/// One ARP frame as it was sent.
struct SentArp {
    std::uint16_t port;
    net::EthernetHeader ethernet;
    net::ArpHeader arp;
};

/// One ND frame as it was sent.
struct SentNd {
    std::uint16_t port;
    net::EthernetHeader ethernet;
    net::NdMessage nd;
};

class RecordingSink : public NeighbourSink {
  public:
    void send_frame(std::uint16_t port, std::span<const std::byte> frame) override {
        if (frame.size() == net::kNdFrame) {
            SentNd nd{port, net::load<net::EthernetHeader>(frame.data()),
                      net::read_nd(frame.subspan(sizeof(net::EthernetHeader)))};
            sent_nd.push_back(nd);
            return;
        }
        ASSERT_EQ(frame.size(), 60U);
        sent.push_back({port, net::load<net::EthernetHeader>(frame.data()),
                        net::load<net::ArpHeader>(frame.data() + sizeof(net::EthernetHeader))});
    }
    void reachable(NeighbourKey key, net::MacAddress mac) override { up.emplace_back(key, mac); }
    void unreachable(NeighbourKey key) override { down.push_back(key); }
    void release(NeighbourKey, net::MacAddress mac, Held&& held) override {
        released.push_back(held);
        release_mac = mac;
    }
    void give_up(NeighbourKey, Held&& held, packet::DropReason reason) override {
        given_up.emplace_back(held, reason);
    }
    void conflict(NeighbourKey own, net::MacAddress other) override {
        conflicts.emplace_back(own, other);
    }
    void table_full(NeighbourKey refused) override { full.push_back(refused); }

    std::vector<SentArp> sent;
    std::vector<SentNd> sent_nd;
    std::vector<std::pair<NeighbourKey, net::MacAddress>> up;
    std::vector<NeighbourKey> down;
    std::vector<Held> released;
    net::MacAddress release_mac;
    std::vector<std::pair<Held, packet::DropReason>> given_up;
    std::vector<std::pair<NeighbourKey, net::MacAddress>> conflicts;
    std::vector<NeighbourKey> full;
};

class ResolveTest : public ::testing::Test {
  protected:
    ResolveTest() { restart({}); }
    void restart(NeighbourOptions options) {
        table.emplace(sink, options, 1);
        table->set_port(kPort, kOwnMac, {{kOwn, 24}});
    }
    /// Turns the clock in steps of 100 ms, as the daemon does.
    void pass(std::chrono::milliseconds time) {
        for (const auto end = now + time; now < end;) {
            now +=
                std::min(100ms, std::chrono::duration_cast<std::chrono::milliseconds>(end - now));
            table->tick(now);
        }
    }
    ArpResult hear(net::Be16 operation, net::MacAddress sender_mac, net::Ipv4Address sender,
                   net::Ipv4Address target, net::MacAddress destination = kOwnMac,
                   net::MacAddress target_mac = {}) {
        const net::EthernetHeader ethernet{destination, sender_mac, net::ether_type::kArp};
        const net::ArpHeader arp{net::Be16::of(1),
                                 net::ether_type::kIpv4,
                                 6,
                                 4,
                                 operation,
                                 sender_mac,
                                 sender,
                                 target_mac,
                                 target};
        std::byte frame[60]{};
        std::memcpy(frame, &ethernet, sizeof ethernet);
        std::memcpy(frame + sizeof ethernet, &arp, sizeof arp);
        return table->on_arp(kPort, frame, now);
    }
    ArpResult hear_reply(net::MacAddress mac = kPeerMac) {
        return hear(net::ArpHeader::kReply, mac, kPeer, kOwn, kOwnMac, kOwnMac);
    }
    ArpResult hear_gratuitous(net::MacAddress mac) {
        return hear(net::ArpHeader::kRequest, mac, kPeer, kPeer, net::MacAddress::broadcast());
    }
    void resolve() {
        table->use(kKey, now);
        hear_reply();
    }
    [[nodiscard]] NeighbourState state(NeighbourKey key = kKey) const {
        const auto view = table->find(key, now);
        return view ? view->state : NeighbourState::none;
    }
    static Held packet(std::uint64_t opaque, std::uint32_t bytes = 100) {
        return {nullptr, bytes, 7, 8, opaque};
    }
    /// Every packet is somewhere, and only once.
    void expect_packets_accounted() const {
        const auto& c = table->counters();
        EXPECT_EQ(c.held, c.released + c.given_up + table->held_packets());
        EXPECT_EQ(c.released, sink.released.size());
        EXPECT_EQ(c.given_up, sink.given_up.size());
    }

    RecordingSink sink;
    Neighbours::Time now{1'000s};
    std::optional<Neighbours> table;
};

}  // namespace vxplane::control
