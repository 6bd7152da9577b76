// External vxlans: many segments behind one trunk, as people change them.
#include "stack.hpp"

namespace vxplane::control {
namespace {

class ControlTrunks : public Stack {
  protected:
    /// VNI 100 + n is VLAN 10 + n on vm1, and without a tag on vm2 where n is 0.
    SegmentSpec part(std::uint32_t n) {
        SegmentSpec spec = red();
        spec.name = "ext:" + std::to_string(100 + n);
        spec.part_of = "ext";
        spec.vni = {100 + n};
        spec.vid = static_cast<std::uint16_t>(10 + n);
        spec.ports = {world.vm1};
        if (n == 0) {
            spec.ports.push_back(world.vm2);
            spec.untagged = {world.vm2};
        }
        return spec;
    }
    static Frame in_vlan(std::uint16_t vid, std::uint8_t from, std::uint8_t to) {
        Frame frame = unicast(from, to);
        return frame.vlan(vid);
    }
};

TEST_F(ControlTrunks, VX96_each_vni_learns_for_itself) {
    for (const std::uint32_t n : {0U, 1U}) segment(part(n));
    begin();
    receive(world.vm1, in_vlan(10, 1, 2));
    receive(world.vm1, in_vlan(11, 3, 2));
    receive(world.vm2, unicast(4, 1));
    tick();
    EXPECT_EQ(dst(host(1), 0), "port vm1");
    EXPECT_EQ(dst(host(4), 0), "port vm2");
    EXPECT_FALSE(entry(host(3), 0));
    EXPECT_EQ(dst(host(3), 1), "port vm1");
    FdbFilter all;
    all.part_of = "ext";
    EXPECT_EQ(entries(all).size(), 3U);
    forget_sent();
    from_remote("10.0.0.2", unicast(20, 3), 101);
    ASSERT_EQ(sent_by(world.vm1).size(), 1U);
    expect_law();
}

TEST_F(ControlTrunks, VX96_VX97_vnis_come_and_go) {
    for (const std::uint32_t n : {0U, 1U}) segment(part(n));
    begin();
    receive(world.vm1, in_vlan(10, 1, 2));
    receive(world.vm1, in_vlan(11, 3, 2));
    tick();
    bridge.set_in_use(1, false);
    bridge.commit();
    bridge.sweep({}, now);
    receive(world.vm1, in_vlan(11, 3, 2));
    EXPECT_EQ(worker_drops(DropReason::access_unknown_vid), 1U);
    EXPECT_EQ(dst(host(1), 0), "port vm1");
    segment(part(2));
    bridge.commit();
    receive(world.vm1, in_vlan(12, 5, 2));
    tick();
    EXPECT_EQ(worker_drops(DropReason::access_unknown_vid), 1U);
    expect_law();
}

TEST_F(ControlTrunks, VX23_VX96_what_control_tells_a_tenant_has_the_tag_of_its_vni) {
    for (const std::uint32_t n : {0U, 1U}) segment(part(n));
    begin();
    FdbRequest there = to_remote(host(20), "10.0.0.2", 1);
    ASSERT_FALSE(bridge.add(there, now));
    tick();
    receive(world.up, {arp_reply("10.0.0.2", mac("02:00:00:00:00:99"))});
    tick();
    forget_sent();
    Frame large = a_frame();
    large.to(host(20))
        .from(host(1))
        .vlan(11)
        .ipv4({.source = "192.0.2.1", .destination = "192.0.2.20", .fragment = 0x4000})
        .udp(1, 2)
        .payload(1460 - 28);
    receive(world.vm1, large);
    tick();
    const auto told = sent_by(world.vm1);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ((Bytes{told[0][12], told[0][13], told[0][14], told[0][15]}), (Bytes{0x81, 0, 0, 11}));
    EXPECT_EQ((Bytes{told[0][16], told[0][17]}), (Bytes{8, 0}));
    expect_law();
}

}  // namespace
}  // namespace vxplane::control
