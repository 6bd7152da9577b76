#include "control/capture/filter.hpp"

#include <algorithm>

#include "dataplane/net/headers.hpp"

namespace vxplane::control::capture {

namespace {

// More than any device carries; the compiled program checks nothing against it.
constexpr int kSnaplen = 262'144;

}  // namespace

Filter::~Filter() {
    if (compiled_) {
        pcap_freecode(&program_);
    }
}

std::optional<std::string> Filter::compile(const std::string& expression) {
    if (expression.empty()) {
        return std::nullopt;
    }
    pcap_t* const dead = pcap_open_dead(DLT_EN10MB, kSnaplen);
    if (dead == nullptr) {
        return "filter: no memory";
    }
    std::optional<std::string> problem;
    if (pcap_compile(dead, &program_, expression.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0) {
        problem = "filter: '" + expression + "': " + pcap_geterr(dead);
    } else {
        compiled_ = true;
    }
    pcap_close(dead);
    return problem;
}

bool Filter::fits(std::span<const std::byte> bytes, std::uint32_t wire_bytes) const {
    if (!compiled_) {
        return true;
    }
    pcap_pkthdr header{};
    header.caplen = static_cast<bpf_u_int32>(bytes.size());
    header.len = wire_bytes;
    return pcap_offline_filter(&program_, &header,
                               reinterpret_cast<const unsigned char*>(bytes.data())) != 0;
}

std::span<const std::byte> inner_frame(std::span<const std::byte> frame,
                                       const std::vector<std::uint16_t>& dstports) {
    const auto byte = [frame](std::size_t at) { return std::to_integer<unsigned>(frame[at]); };
    const auto word = [&byte](std::size_t at) { return byte(at) << 8 | byte(at + 1); };
    constexpr std::size_t kEthernet = sizeof(net::EthernetHeader);
    std::size_t udp = 0;
    if (frame.size() >= kEthernet + sizeof(net::Ipv4Header) && word(12) == 0x0800 &&
        byte(kEthernet + 9) == net::ip_protocol::kUdp) {
        udp = kEthernet + (byte(kEthernet) & 0xFU) * 4;
    } else if (frame.size() >= kEthernet + sizeof(net::Ipv6Header) && word(12) == 0x86DD &&
               byte(kEthernet + 6) == net::ip_protocol::kUdp) {
        udp = kEthernet + sizeof(net::Ipv6Header);
    } else {
        return {};
    }
    const std::size_t inside = udp + sizeof(net::UdpHeader) + sizeof(net::VxlanHeader);
    const bool is_vxlan =
        frame.size() > inside &&
        std::find(dstports.begin(), dstports.end(), word(udp + 2)) != dstports.end() &&
        (byte(udp + sizeof(net::UdpHeader)) & 0x08U) != 0;
    return is_vxlan ? frame.subspan(inside) : std::span<const std::byte>{};
}

}  // namespace vxplane::control::capture
