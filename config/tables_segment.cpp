// Keys of what stands in lists of a segment: neighbours, and the multicast database.
#include <array>

#include "config/access.hpp"

namespace vxplane::config {
namespace {

using namespace values;  // NOLINT(google-build-using-namespace): made for this file

constexpr std::array segment_neighbour_keys{
    Key<SegmentNeighbour>{{"ip", true, &ip, "IP address of a host in the segment"},
                          scalar<&SegmentNeighbour::ip>()},
    Key<SegmentNeighbour>{{"lladdr", true, &mac, "its MAC address"},
                          scalar<&SegmentNeighbour::lladdr>()},
    Key<SegmentNeighbour>{{"router", false, &boolean, "advertised as a router; false unless said"},
                          scalar<&SegmentNeighbour::router>()},
    Key<SegmentNeighbour>{
        {"src-vni", false, &vni, "of an external vxlan: VNI of the host; all unless said"},
        scalar<&SegmentNeighbour::src_vni>()},
};
constexpr std::array mdb_keys{
    Key<MdbEntry>{{"group", true, &ip, "multicast group of tenants"}, scalar<&MdbEntry::group>()},
    Key<MdbEntry>{{"source", false, &ip, "only what this host sends; none: any"},
                  scalar<&MdbEntry::source>()},
    Key<MdbEntry>{{"filter-mode", false, &filter_mode,
                   "exclude: all but source-list; include: only those; exclude unless said"},
                  scalar<&MdbEntry::filter_mode>()},
    Key<MdbEntry>{{"source-list", false, &ip_or_ips, "hosts that filter-mode is about"},
                  placed<&MdbEntry::source_list, &MdbEntry::source_where>()},
    Key<MdbEntry>{{"dst", false, &ip_or_ips, "remote VTEPs that get it; none: those of floods"},
                  placed<&MdbEntry::dst, &MdbEntry::dst_where>()},
    Key<MdbEntry>{
        {"port", false, &texts_or_one, "access ports that get it; none: as without the entry"},
        placed<&MdbEntry::ports, &MdbEntry::port_where>()},
    Key<MdbEntry>{{"vni", false, &vni, "to send with to dst; that of the segment unless said"},
                  scalar<&MdbEntry::vni>()},
    Key<MdbEntry>{{"dstport", false, &udp_port, "of dst; that of the segment unless said"},
                  scalar<&MdbEntry::dstport>()},
    Key<MdbEntry>{
        {"src-vni", false, &vni, "of an external vxlan: VNI of the entry; all unless said"},
        scalar<&MdbEntry::src_vni>()},
};

}  // namespace

template <>
std::span<const Key<SegmentNeighbour>> keys_of<SegmentNeighbour>() {
    return segment_neighbour_keys;
}
template <>
std::span<const Key<MdbEntry>> keys_of<MdbEntry>() {
    return mdb_keys;
}

}  // namespace vxplane::config
