// Neighbour discovery and echo requests for our IPv6 addresses, as workers hand them to control.
#include "punts_fixture.hpp"

namespace vxplane::control {
namespace {

/// 2001:db8::last, the first of which is ours.
net::IpAddress six(std::uint8_t last) {
    net::IpAddress address;
    address.bytes[0] = 0x20;
    address.bytes[1] = 0x01;
    address.bytes[2] = 0x0D;
    address.bytes[3] = 0xB8;
    address.bytes[15] = last;
    return address;
}
Bytes nd(const net::NdWords& words) {
    const auto frame = net::make_nd(words);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(frame.data());
    return {bytes, bytes + frame.size()};
}

class ControlPunts6 : public ControlPunts {
  protected:
    void begin6() {
        const std::vector<OwnAddress> own{{ip("10.0.0.1"), 24}, {six(1), 64}};
        neighbours.set_port(world.up, world.mac_of(world.up), own);
        punts.set_addresses(own);
        bridge.set_addresses({{own[0], world.up}, {own[1], world.up}});
        begin();
    }
    [[nodiscard]] Bytes solicitation() const {
        const auto group = net::solicited_node(six(1));
        return nd({net::group_mac(group), kPeerMac, six(2), group, net::Icmpv6Header::kSolicitation,
                   0, six(1)});
    }
};

TEST_F(ControlPunts6, RP65_solicitations_of_our_address_are_answered) {
    begin6();
    receive(world.up, {solicitation()});
    tick();
    const auto answer = sent_by(world.up);
    ASSERT_EQ(answer.size(), 1U);
    EXPECT_EQ(answer[0], nd({kPeerMac, world.mac_of(world.up), six(1), six(2),
                             net::Icmpv6Header::kAdvertisement,
                             net::NdHeader::kSolicited | net::NdHeader::kOverride, six(1)}));
    const NeighbourKey peer{world.up, six(2)};
    EXPECT_EQ(neighbours.find(peer, now)->mac, kPeerMac);
    expect_law();
}

TEST_F(ControlPunts6, echo_requests_to_our_ipv6_address_are_answered) {
    begin6();
    Bytes request = nd({world.mac_of(world.up), kPeerMac, six(2), six(1),
                        net::Icmpv6Header::kEchoRequest, 7, six(9)});
    receive(world.up, {request});
    tick();
    const auto answer = sent_by(world.up);
    ASSERT_EQ(answer.size(), 1U);
    EXPECT_EQ(cut(answer[0], 0, 6), Bytes(kPeerMac.bytes.begin(), kPeerMac.bytes.end()));
    EXPECT_EQ(cut(answer[0], 54, 1), Bytes{129});
    EXPECT_EQ(cut(answer[0], 58, 28), cut(request, 58, 28));
    request[60] ^= 1;
    receive(world.up, {request});
    tick();
    EXPECT_EQ(control_drops(DropReason::icmp_malformed), 1U);
    expect_law();
}

TEST_F(ControlPunts6, malformed_neighbour_discovery_is_dropped_for_that_reason) {
    begin6();
    Bytes from_afar = solicitation();
    from_afar[21] = 64;
    receive(world.up, {from_afar});
    tick();
    EXPECT_EQ(control_drops(DropReason::nd_malformed), 1U);
    EXPECT_TRUE(sent_by(world.up).empty());
    expect_law();
}

}  // namespace
}  // namespace vxplane::control
