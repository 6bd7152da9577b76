// Any bytes from a tenant: nothing but the tenant's own frame may leave, as it is or in a right
// outer header.
#include <algorithm>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace vxplane;
    if (size == 0) return 0;
    support::Scene& s = fuzz::scene();
    fuzz::Bytes frame;
    const support::Seen seen = fuzz::run(s.vm1, data, size, frame);
    for (const support::SentFrame& sent : seen.sent) {
        fuzz::require(sent.port != s.vm1 && sent.port != s.vm9, "left by a wrong port", frame);
        if (sent.port != s.up) {
            fuzz::require(sent.bytes == frame, "changed on its way to a local port", sent.bytes);
            continue;
        }
        if (sent.bytes[12] == 0x86) {
            // Over IPv6: 70 bytes, of which the length counts what follows the IP header.
            constexpr std::size_t kOuter = net::kVxlanIpv6Overhead;
            fuzz::require(sent.bytes.size() == kOuter + frame.size() && sent.bytes.size() <= 1514,
                          "wrong length over IPv6", sent.bytes);
            fuzz::require((sent.bytes[18] << 8 | sent.bytes[19]) + 54U == sent.bytes.size(),
                          "another length in the IPv6 header", sent.bytes);
            fuzz::require(std::equal(frame.begin(), frame.end(), sent.bytes.begin() + kOuter),
                          "changed on its way into a tunnel over IPv6", sent.bytes);
            continue;
        }
        const support::Outer outer = support::take_apart(sent.bytes);
        fuzz::require(outer.whole && outer.ip_checksum_right && outer.udp_checksum_right,
                      "not a right outer header", sent.bytes);
        fuzz::require(outer.inner == frame, "changed on its way into a tunnel", sent.bytes);
        fuzz::require(outer.total_length + 14U == sent.bytes.size(), "wrong length", sent.bytes);
        fuzz::require(sent.bytes.size() <= 1514, "longer than the underlay takes", sent.bytes);
    }
    for (const support::PuntedFrame& punted : seen.punted)
        fuzz::require(punted.bytes == frame, "changed on its way to control", punted.bytes);
    return 0;
}
