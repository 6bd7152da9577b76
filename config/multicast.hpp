// What a segment says of multicast groups of its tenants. Met as `mdb:` of a segment.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/values.hpp"

namespace vxplane::config {

enum class FilterMode : std::uint8_t { exclude, include };

/// One entry of `mdb:`; the words are those of `bridge mdb`.
struct MdbEntry {
    IpAddress group;
    std::optional<IpAddress> source;               ///< (S,G); none is (*,G)
    FilterMode filter_mode = FilterMode::exclude;  ///< of `source_list`; for (*,G) alone
    std::vector<IpAddress> source_list{};
    std::vector<IpAddress> dst{};      ///< remote VTEPs
    std::vector<std::string> ports{};  ///< access ports of the segment
    std::uint32_t vni = 0;             ///< to send with to `dst`; 0 = that of the segment
    std::uint16_t dstport = 0;         ///< the same
    std::uint32_t src_vni = 0;  ///< of an external vxlan: the VNI that the entry is of; 0 = all
    std::uint32_t place = 0;    ///< made by the loader: of an external vxlan, in its list
    Position where;
    std::vector<Position> source_where{};
    std::vector<Position> dst_where{};
    std::vector<Position> port_where{};
    KeyPositions keys{};
};

}  // namespace vxplane::config
