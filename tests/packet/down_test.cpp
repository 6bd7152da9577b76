// Segments that are down: nothing passes, and peers are told when nobody is left at their port.
#include <gtest/gtest.h>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

TEST(SegmentDown, VX49_nothing_passes_either_way) {
    Scene s;
    s.lab.segment_entry(s.red).watch = table::watch::kDown;
    Golden(s.lab, s.vm1, small(host(12))).drops(DropReason::admin_down).uncut().check();
    Golden(s.lab, s.vm1, small(host(2))).drops(DropReason::admin_down).uncut().check();
    Golden(s.lab, s.up, s.from_remote(small_from(12, host(1))))
        .drops(DropReason::admin_down)
        .uncut()
        .check();
    // The other segment of the port goes on.
    const Frame inner = small_from(12, host(9));
    Golden(s.lab, s.up, s.from_remote(inner, 2, {.vni = 8}))
        .out(s.vm9, inner)
        .arrived(s.blue, 60)
        .flooded(s.blue, 0)
        .learns_behind("10.0.0.2")
        .uncut()
        .check();
}

TEST(SegmentDown, VX49_control_tells_peers_when_all_segments_of_the_port_are) {
    Scene s;
    s.lab.segment_entry(s.red).watch = table::watch::kDown;
    s.lab.segment_entry(s.blue).watch = table::watch::kDown;
    s.lab.complete = [](table::Tables& tables) {
        tables.dstports = std::make_shared<const table::FlatMap>(
            std::vector<std::pair<std::uint64_t, std::uint32_t>>{
                {table::dstport_key(4789), table::kPortClosed}});
    };
    for (const std::uint32_t vni : {7U, 9U}) {
        const Seen seen =
            s.lab.receive(s.up, s.from_remote(small_from(12, host(1)), 2, {.vni = vni}));
        expect_law(seen);
        ASSERT_EQ(seen.punted.size(), 1U) << vni;
        EXPECT_EQ(seen.punted[0].why, packet::Punt::port_closed);
        EXPECT_EQ(seen.punted[0].if_refused,
                  vni == 7 ? DropReason::admin_down : DropReason::vxlan_unknown_vni);
    }
}

}  // namespace
}  // namespace vxplane::support
