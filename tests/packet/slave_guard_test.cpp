// What keeps slaves from speaking in each other's name, from more than their rate, and from using
// up the lane to control.
#include <gtest/gtest.h>

#include <thread>

#include "dataplane/net/icmpv6.hpp"
#include "tests/support/slave_scene.hpp"

namespace vxplane::support {
namespace {

constexpr const char* kRed6 = "2001:db8::1";
constexpr const char* kBlue6 = "2001:db8::2";

/// Red may speak in its own name only.
struct Checked : Slaves {
    explicit Checked(IpvlanMode mode) : Slaves(mode) {
        slaves[0].check_source = true;
        own(0, kRed6);
        own(1, kBlue6);
    }
    void passes(Frame frame) {
        frame.to(kPeer);
        Golden(lab, red, frame).out(up, frame).uncut().check();
    }
    void refuses(Frame frame, DropReason reason = DropReason::slave_spoofed) {
        Golden(lab, red, frame.to(kPeer)).drops(reason).uncut().check();
    }
};
Frame udp(const char* from, std::uint16_t source, std::uint16_t destination,
          std::uint16_t fragment = 0) {
    return a_frame()
        .from(kMaster)
        .ipv4({.source = from, .destination = "255.255.255.255", .fragment = fragment})
        .udp(source, destination)
        .payload(30);
}
Frame arp(std::uint16_t operation, const char* sender) {
    return a_frame().from(kMaster).arp(
        {.operation = operation, .sender = sender, .target = "10.1.0.100"});
}
/// ICMPv6 of that type from `from` about `target`, behind `extensions`.
Frame nd(std::uint8_t type, const char* from, const char* target, const Bytes& extensions = {},
         std::uint8_t first = 58) {
    Bytes payload = extensions;
    payload.insert(payload.end(), {type, 0, 0, 0, 0, 0, 0, 0});
    const net::IpAddress address = any_ip(target);
    payload.insert(payload.end(), address.bytes.begin(), address.bytes.end());
    Ip6 header;
    header.source = from;
    header.destination = "ff02::1";
    header.next_header = first;
    return a_frame().from(kMaster).ipv6(header).payload(payload);
}
constexpr std::uint8_t kSolicitation = net::Icmpv6Header::kSolicitation;
constexpr std::uint8_t kAdvertisement = net::Icmpv6Header::kAdvertisement;

TEST(SlaveGuard, IV44_a_slave_whose_source_is_checked_speaks_in_its_own_name_in_l2) {
    Checked s(IpvlanMode::l2);
    s.passes(datagram("10.1.0.1", "10.1.0.100"));
    s.refuses(datagram("10.1.0.2", "10.1.0.100"));
    s.refuses(datagram("192.0.2.7", "10.1.0.100"));
    s.passes(a_frame().from(kMaster).type(0x88B5).payload(46));
}

TEST(SlaveGuard, IV44_without_an_address_only_dhcp_is_spoken) {
    Checked s(IpvlanMode::l2);
    s.passes(udp("0.0.0.0", 68, 67));
    s.refuses(udp("0.0.0.0", 68, 53));
    s.refuses(udp("0.0.0.0", 67, 68));
    s.refuses(udp("0.0.0.0", 68, 67, 0x2000));
    s.refuses(a_frame()
                  .from(kMaster)
                  .ipv4({.source = "0.0.0.0", .destination = "10.1.0.100"})
                  .icmp_echo());
}

TEST(SlaveGuard, IV44_arp_is_judged_by_its_sender) {
    Checked s(IpvlanMode::l2);
    s.passes(arp(1, "10.1.0.1"));
    s.passes(arp(2, "10.1.0.1"));
    s.passes(arp(1, "0.0.0.0"));
    s.refuses(arp(2, "0.0.0.0"));
    s.refuses(arp(1, "10.1.0.2"));
    s.refuses(arp(2, "10.1.0.2"));
    s.refuses(a_frame().from(kMaster).type(0x0806).payload(20));
}

TEST(SlaveGuard, IV44_advertisements_are_judged_by_their_target_too) {
    Checked s(IpvlanMode::l2);
    s.passes(nd(kAdvertisement, kRed6, kRed6));
    s.refuses(nd(kAdvertisement, kRed6, kBlue6));
    s.refuses(nd(kAdvertisement, kBlue6, kBlue6));
    s.refuses(nd(kAdvertisement, "::", kRed6));
    s.passes(nd(kSolicitation, kRed6, kBlue6));
    s.passes(nd(kSolicitation, "::", kRed6));
    // Behind a header of options it is the same, and nobody takes it in fragments.
    s.passes(nd(kAdvertisement, kRed6, kRed6, {58, 0, 1, 4, 0, 0, 0, 0}, 60));
    s.refuses(nd(kAdvertisement, kRed6, kBlue6, {58, 0, 1, 4, 0, 0, 0, 0}, 60));
    s.refuses(nd(kAdvertisement, kRed6, kRed6, {58, 0, 0, 1, 0, 0, 0, 1}, 44));
}

TEST(SlaveGuard, IV44_what_cannot_be_seen_is_refused) {
    Checked s(IpvlanMode::l2);
    const auto header = [](Ip4 words) {
        words.source = "10.1.0.1";
        words.destination = "10.1.0.100";
        return a_frame().from(kMaster).ipv4(words).udp(1, 2).payload(18);
    };
    s.refuses(header({.version_ihl = 0x44}), DropReason::ip4_bad_header_length);
    s.refuses(header({.version_ihl = 0x65}), DropReason::ip4_bad_version);
    s.refuses(header({.total_length = 900}), DropReason::ip4_bad_total_length);
    s.refuses(a_frame().from(kMaster).type(0x0800).payload(12), DropReason::ip4_truncated);
    s.refuses(a_frame().from(kMaster).type(0x86DD).payload(30), DropReason::ip6_malformed);
    s.refuses(nd(kSolicitation, kRed6, kRed6, {58, 200, 1, 4, 0, 0, 0, 0}, 60),
              DropReason::ip6_malformed);
    s.refuses(a_frame().from(kMaster).vlan(5).ipv4({.source = "10.1.0.1"}).udp(1, 2).payload(18),
              DropReason::slave_vlan);
    // Who is not checked may.
    const Frame tagged = a_frame().to(kPeer).from(kMaster).vlan(5).type(0x88B5).payload(46);
    Golden(s.lab, s.blue, tagged).out(s.up, tagged).uncut().check();
}

TEST(SlaveGuard, IV44_routed_slaves_are_checked_as_well) {
    Checked s(IpvlanMode::l3);
    Golden(s.lab, s.red, datagram("10.1.0.1", "10.1.0.100"))
        .out(s.up, datagram("10.1.0.1", "10.1.0.100").to(kPeer))
        .uncut()
        .check();
    s.refuses(datagram("10.1.0.2", "10.1.0.100"));
    s.refuses(datagram("0.0.0.0", "10.1.0.100"));
}

// --- the rate

TEST(SlaveGuard, IV54_broadcasts_of_a_bridged_slave_count_against_its_rate) {
    Slaves s(IpvlanMode::l2);
    s.slaves[0].policer = 8;  // a kilobyte per second, and 65,600 bytes at once
    s.slaves[0].limit = &s.limit;
    s.lab.pass_time(100'000);
    const Frame all =
        a_frame().to(kBroadcast).from(kMaster).ipv4({.source = "10.1.0.1"}).udp(1, 2).payload(1400);
    const auto on_the_wire = [&] {
        const Seen seen = s.lab.receive(s.red, std::vector<Bytes>(60, all.bytes()));
        note_reasons(seen);
        return seen.sent_by(s.up).size();
    };
    EXPECT_EQ(on_the_wire(), 65'600U / all.size());
    EXPECT_EQ(on_the_wire(), 0U);
}

// --- the lane to control

TEST(SlaveGuard, a_storm_of_one_slave_leaves_the_lane_to_control_to_the_others) {
    LabWords words;
    words.punt_rate = 1000;
    words.punt_slots = 4096;
    Slaves s(IpvlanMode::l3, IpvlanFlag::bridge, words);
    for (table::Slave& slave : s.slaves) slave.answers_gateway = true;
    s.lab.poll();
    // What a worker and a port may have at once comes together in half a second.
    std::this_thread::sleep_for(std::chrono::milliseconds(600));
    s.lab.poll();
    const Frame arp_red = request("10.1.0.1", "10.1.0.99").from(kMaster);
    const Seen storm = s.lab.receive(s.red, std::vector<Bytes>(200, arp_red.bytes()));
    note_reasons(storm);
    EXPECT_GE(storm.punted.size(), 64U);
    EXPECT_LT(storm.punted.size(), 100U);
    EXPECT_EQ(storm.moved.at("drop.control_share"), 200U - storm.punted.size());
    // To unreachable next hops it is the same lane.
    const Seen more =
        s.lab.receive(s.red, std::vector<Bytes>(200, datagram("10.1.0.1", "10.1.0.50").bytes()));
    EXPECT_LT(more.punted.size(), 40U);
    const Seen other = s.lab.receive(s.blue, request("10.1.0.2", "10.1.0.99").from(kMaster));
    ASSERT_EQ(other.punted.size(), 1U);
    EXPECT_EQ(other.punted[0].why, Punt::slave_arp);
}

}  // namespace
}  // namespace vxplane::support
