// Any bytes as what a router of the underlay says of a packet of ours, and as a tenant's frame that
// is too long for its tunnel. Bit 0 of the first byte: the checksum of the message is repaired.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "control/resolve/icmp.hpp"
#include "control/resolve/path_mtu.hpp"
#include "dataplane/net/checksum.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/headers.hpp"
#include "dataplane/net/icmpv6.hpp"

namespace {

using namespace vxplane;
using namespace vxplane::control;
constexpr std::size_t kIp = sizeof(net::EthernetHeader);

void require(bool truth, const char* text) {
    if (truth) return;
    std::fprintf(stderr, "%s\n", text);
    std::abort();
}

void repair6(std::vector<std::byte>& frame) {
    if (frame.size() < kIp + sizeof(net::Ipv6Header)) return;
    const auto ip = net::load<net::Ipv6Header>(frame.data() + kIp);
    const std::size_t size = ip.payload_length.value();
    const net::Ipv6Upper upper = net::upper_of(frame.data() + kIp, frame.size() - kIp);
    const std::size_t end = sizeof ip + size;
    if (!upper.is_whole || end < upper.offset + 4 || frame.size() < kIp + end) return;
    std::byte* message = frame.data() + kIp + upper.offset;
    const std::size_t length = end - upper.offset;
    std::fill_n(message + 2, 2, std::byte{0});
    const net::Be16 sum = net::finish(net::add_bytes(
        net::pseudo_header(ip, net::ip_protocol::kIcmpv6, static_cast<std::uint16_t>(length)),
        message, length));
    std::memcpy(message + 2, &sum, sizeof sum);
}

void repair(std::vector<std::byte>& frame) {
    if (frame.size() >= kIp &&
        net::load<net::EthernetHeader>(frame.data()).type == net::ether_type::kIpv6) {
        repair6(frame);
        return;
    }
    if (frame.size() < kIp + sizeof(net::Ipv4Header)) return;
    const auto ip = net::load<net::Ipv4Header>(frame.data() + kIp);
    const std::size_t header = ip.header_length();
    const std::size_t total = ip.total_length.value();
    if (total < header + 4 || frame.size() < kIp + total) return;
    std::byte* message = frame.data() + kIp + header;
    std::fill_n(message + 2, 2, std::byte{0});
    const net::Be16 sum = net::finish(net::add_bytes(0, message, total - header));
    std::memcpy(message + 2, &sum, sizeof sum);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    // An exact block: reading beyond it is seen.
    std::vector<std::byte> frame(size - 1);
    std::memcpy(frame.data(), data + 1, size - 1);
    if ((data[0] & 1U) != 0) repair(frame);
    const PathMtuNews news = read_path_mtu(frame);
    if (news.is_whole) {
        require(frame.size() >= kIp + 20 + 8 + 20 + 4, "shorter than its parts");
    }
    std::array<std::byte, kIcmpErrorFrame> out{};
    const auto mtu = static_cast<std::uint16_t>(data[0] << 5);
    const IcmpMade made = make_too_big(frame, mtu, out);
    require(!made || (made.size >= 60 && made.size <= out.size()), "size of the message");
    require(!made || mtu >= 576, "an MTU that no host obeys");
    return 0;
}
