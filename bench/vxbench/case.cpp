// Names a case in words.
#include "bench/vxbench/case.hpp"

#include <array>

namespace vxplane::bench {

const char* name(Direction direction) {
    return direction == Direction::encap ? "encap" : "decap";
}

const char* name(Extra extra) {
    constexpr std::array<const char*, 11> kNames{
        "plain",  "ipv6",           "ipv6, no checksum", "trunk", "peers",
        "proxy",  "neigh-learning", "mss-clamp",         "gbp",   "gpe",
        "udpcsum"};
    return kNames[static_cast<std::size_t>(extra)];
}

std::string Case::text() const {
    return std::string{name(direction)} + " " + name(extra) + ", learning " +
           (learning ? "on" : "off") + ", " + std::to_string(macs) + " MACs, " +
           std::to_string(vnis) + " VNIs, " + std::to_string(size) + " bytes" +
           (full ? ", full tables" : "");
}

}  // namespace vxplane::bench
