// What a frame looks like after it went into a tunnel.
#include <gtest/gtest.h>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

TEST(VxlanEncap, VX01_VX02_VX03_adds_fifty_bytes_of_outer_header) {
    Scene s;
    const Frame inner = small(host(12));
    const Frame outer = s.to_remote(inner);
    ASSERT_EQ(outer.size(), inner.size() + 50);
    Golden(s.lab, s.vm1, inner)
        .out(s.up, outer)
        .tunnelled(s.red, 1, inner.size())
        .cut_may({DropReason::eth_bad_source})
        .check();
}

}  // namespace
}  // namespace vxplane::support
