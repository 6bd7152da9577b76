// Peers of a `gpe` segment that have no Ethernet: how a MAC address comes to stand for them.
#include "dataplane/table/segment_watch.hpp"
#include "stack.hpp"

namespace vxplane::control {
namespace {

constexpr std::uint32_t kBareIpv4 = 1;
constexpr std::uint32_t kInEthernet = 3;

/// vm1 is the only port of the segment.
class GpePeers : public Stack {
  protected:
    static SegmentSpec extended() {
        SegmentSpec spec = red();
        spec.ports = {World::get().vm1};
        spec.profile.gpe = true;
        spec.watch |= table::watch::kGpe;
        return spec;
    }
    void arrives(const std::string& remote, std::uint32_t protocol, const Bytes& inner) {
        receive(world.up, a_frame()
                              .to(world.mac_of(world.up))
                              .from(mac("02:aa:00:00:00:01"))
                              .ipv4({.source = remote, .destination = "10.0.0.1"})
                              .udp(50000, 4789)
                              .vxlan({.flags = 0x0C, .reserved = protocol}, inner));
    }
    static Bytes datagram() {
        const Bytes frame = a_frame().ipv4().udp(1000, 2000).payload(64).bytes();
        return {frame.begin() + 14, frame.end()};
    }
    static Frame to_peer() {
        Frame frame = unicast(1, 2);
        return frame.to(mac(kPeer));
    }
    static constexpr const char* kPeer = "06:76:0a:00:00:02";  // 10.0.0.2
};

TEST_F(GpePeers, VX47_ip_goes_to_the_host_behind_the_port_and_its_peer_is_learned) {
    segment(extended());
    begin();
    arrives("10.0.0.2", kBareIpv4, datagram());
    tick();
    const auto got = sent_by(world.vm1);
    ASSERT_EQ(got.size(), 1U);
    const net::MacAddress own = world.mac_of(world.vm1);
    EXPECT_TRUE(std::equal(own.bytes.begin(), own.bytes.end(), got[0].begin()));
    EXPECT_EQ(dst(mac(kPeer)), "10.0.0.2");
    expect_law();
}

TEST_F(GpePeers, VX47_a_packet_that_waited_for_its_next_hop_leaves_without_ethernet) {
    segment(extended());
    begin();
    ASSERT_FALSE(bridge.add(to_remote(mac(kPeer), "10.0.0.2"), now));
    tick();
    forget_sent();
    receive(world.vm1, to_peer());
    tick();
    receive(world.up, {arp_reply("10.0.0.2", mac("02:00:00:00:00:99"))});
    tick();
    const Bytes frame = to_peer().bytes();
    std::size_t found = 0;
    for (const Bytes& sent : sent_by(world.up)) {
        const Outer outer = take_apart(sent);
        if (!outer.whole) continue;
        ++found;
        EXPECT_EQ(outer.flags_word, 0x0C000001U);
        EXPECT_EQ(Bytes(sent.begin() + 50, sent.end()), Bytes(frame.begin() + 14, frame.end()));
    }
    EXPECT_EQ(found, 1U);
    expect_law();
}

TEST_F(GpePeers, VX47_nobody_else_takes_the_address_of_a_peer) {
    segment(extended());
    begin();
    Frame forged = unicast(9, 1);
    forged.from(mac(kPeer));
    arrives("10.0.0.3", kInEthernet, forged.bytes());
    tick();
    receive(world.vm1, forged);
    tick();
    EXPECT_FALSE(entry(mac(kPeer)));
    EXPECT_EQ(bridge.counters().learn_refused, 2U);
    arrives("10.0.0.2", kBareIpv4, datagram());
    tick();
    EXPECT_EQ(dst(mac(kPeer)), "10.0.0.2");
    pass(200ms);
    arrives("10.0.0.3", kInEthernet, forged.bytes());
    tick();
    EXPECT_EQ(dst(mac(kPeer)), "10.0.0.2");
}

TEST_F(GpePeers, VX47_a_change_of_the_segment_leads_its_entries_to_other_headers) {
    SegmentSpec spec = extended();
    segment(spec);
    begin();
    ASSERT_FALSE(bridge.add(to_remote(host(20), "10.0.0.2"), now));
    tick();
    receive(world.up, {arp_reply("10.0.0.2", mac("02:00:00:00:00:99"))});
    tick();
    const auto flags = [this] {
        forget_sent();
        receive(world.vm1, unicast(1, 20));
        const auto sent = sent_by(world.up);
        return sent.size() == 1 ? take_apart(sent[0]).flags_word : 0U;
    };
    EXPECT_EQ(flags(), 0x0C000003U);
    spec.profile.gpe = false;
    spec.watch = 0;
    ASSERT_FALSE(bridge.change_segment(0, spec, now));
    tick();
    EXPECT_EQ(flags(), 0x08000000U);
}

}  // namespace
}  // namespace vxplane::control
