// The scene of most packet tests: a VTEP with one underlay port, two segments, three local members
// and three remote VTEPs.
#pragma once

#include "tests/support/golden.hpp"

namespace vxplane::support {

using table::FdbKind;
using table::FdbState;

struct SceneWords {
    LabWords lab{};
    SegmentWords red{};
    PortWords underlay{};
    PortWords access{};
    /// Options of every tunnel; remote and next hop are filled in.
    table::TunnelSpec tunnel{};
    bool twin = false;
};

/// Members of red: vm1 (host 1), vm2; of blue: vm9. Remotes: 10.0.0.2 (host 12 behind it in red),
/// 10.0.0.3, 10.0.0.4, all of them in red's flood list. Hosts 1, 2 and 12 are known.
struct Scene {
    explicit Scene(SceneWords words = {});

    static constexpr const char* kLocal = "10.0.0.1";
    net::MacAddress local_mac = mac("02:00:00:aa:00:01");
    [[nodiscard]] static net::MacAddress remote_mac(unsigned last);
    /// As `last` sends it: from 10.0.0.last, port 40000, no UDP checksum.
    [[nodiscard]] Frame from_remote(const Frame& inner, unsigned last = 2, Vxlan header = {},
                                    Ip4 outer = {}) const;
    /// As we send it: any id, any source port.
    [[nodiscard]] Frame to_remote(const Frame& inner, unsigned last = 2, std::uint8_t tos = 0,
                                  std::uint32_t vni = 7) const;
    table::TunnelSpec spec(unsigned last) const;

    SceneWords words;
    Lab lab;
    SegmentId red, blue;
    PortId up, vm1, vm2, vm9;
    PortId host_twin = table::kNoPort;
    TunnelId t2, t3, t4;
};

/// From host 1 to `to`: IPv4, UDP, 18 bytes of payload, 60 bytes in all.
inline Frame small(net::MacAddress to, std::uint8_t tos = 0) {
    return a_frame().to(to).ipv4({.tos = tos}).udp(1000, 2000).payload(18);
}
/// From host `from` to `to`, as small().
inline Frame small_from(std::uint8_t from, net::MacAddress to, std::uint8_t tos = 0) {
    return small(to, tos).from(host(from));
}

}  // namespace vxplane::support
