// What control overhears of ipvlan slaves: reports of multicast groups and DHCP. The frames
// themselves go where they would have gone.
#include <gtest/gtest.h>

#include "dataplane/net/membership.hpp"
#include "tests/support/slave_scene.hpp"

namespace vxplane::support {
namespace {

Frame igmp(std::uint8_t type) {
    return a_frame()
        .to(mac("01:00:5e:01:02:03"))
        .from(kMaster)
        .ipv4({.source = "10.1.0.1", .destination = "239.1.2.3", .ttl = 1, .protocol = net::kIgmp})
        .payload(Bytes{type, 0, 0, 0, 239, 1, 2, 3});
}
Frame dhcp(const char* from, const char* to, std::uint16_t source, std::uint16_t destination) {
    return a_frame()
        .to(kMaster)
        .from(kPeer)
        .ipv4({.source = from, .destination = to})
        .udp(source, destination)
        .payload(240);
}

TEST(IpvlanSnooping, IV15_a_report_goes_on_and_control_gets_a_copy) {
    Slaves off(IpvlanMode::l2), s(IpvlanMode::l2);
    const Frame report = igmp(net::igmp_type::kReportV2);
    Golden(off.lab, off.red, report).out(off.up, report).uncut().check();
    s.master().mcast_snooping = true;
    Golden(s.lab, s.red, report)
        .out(s.up, report)
        .punts(Punt::slave_report)
        .counts("copies", 1)
        .uncut()
        .as_received()
        .check();
    const Frame query = igmp(net::igmp_type::kQuery);
    Golden(s.lab, s.red, query).out(s.up, query).uncut().check();
    // Of the wire, control hears nothing: who is behind it does not matter.
    const Frame outside = igmp(net::igmp_type::kReportV2).from(kPeer);
    Golden(s.lab, s.up, outside).out(s.host_twin, outside).uncut().check();
}

TEST(IpvlanSnooping, IV19_a_request_by_unicast_goes_on_and_control_gets_a_copy) {
    Slaves off(IpvlanMode::l2), s(IpvlanMode::l2);
    const Frame request = dhcp("10.1.0.1", "10.1.0.100", 68, 67).to(kPeer).from(kMaster);
    Golden(off.lab, off.red, request).out(off.up, request).uncut().check();
    s.master().dhcp_snoop = true;
    Golden(s.lab, s.red, request)
        .out(s.up, request)
        .punts(Punt::dhcp)
        .counts("copies", 1)
        .uncut()
        .as_received()
        .check();
    const Frame other = datagram("10.1.0.1", "10.1.0.100").to(kPeer);
    Golden(s.lab, s.red, other).out(s.up, other).uncut().check();
    // A client's port alone does not make a request.
    const Frame answer = dhcp("10.1.0.1", "10.1.0.100", 67, 68).to(kPeer).from(kMaster);
    Golden(s.lab, s.red, answer).out(s.up, answer).uncut().check();
}

TEST(IpvlanSnooping, IV19_an_answer_by_unicast_is_controls_to_give_away) {
    Slaves off(IpvlanMode::l2), s(IpvlanMode::l2);
    const Frame answer = dhcp("10.1.0.100", "10.1.0.77", 67, 68);
    Golden(off.lab, off.up, answer).out(off.host_twin, answer).uncut().check();
    s.master().dhcp_snoop = true;
    Golden(s.lab, s.up, answer).punts(Punt::dhcp).uncut().as_received().check();
    const Frame to_red = dhcp("10.1.0.100", "10.1.0.1", 67, 68);
    Golden(s.lab, s.up, to_red).punts(Punt::dhcp).uncut().as_received().check();
    const Frame request = dhcp("10.1.0.100", "10.1.0.1", 68, 67);
    Golden(s.lab, s.up, request).out(s.red, request).uncut().check();
}

TEST(IpvlanSnooping, IV19_broadcasts_are_overheard) {
    Slaves s(IpvlanMode::l2);
    s.master().dhcp_snoop = true;
    const Frame answer = dhcp("10.1.0.100", "255.255.255.255", 67, 68).to(kBroadcast);
    Golden(s.lab, s.up, answer)
        .out(s.red, answer)
        .out(s.blue, answer)
        .out(s.far, answer)
        .out(s.host_twin, answer)
        .punts(Punt::dhcp)
        .counts("copies", 4)
        .counts("port.red.tx_groups", 1)
        .counts("port.blue.tx_groups", 1)
        .counts("port.far.tx_groups", 1)
        .uncut()
        .as_received()
        .check();
}

}  // namespace
}  // namespace vxplane::support
