#include "bare.hpp"

#include <algorithm>

#include "dataplane/step/gpe.hpp"
#include "tests/support/frame.hpp"
#include "words.hpp"

namespace vxplane::oracle {
namespace {

std::string text_of_mac(net::MacAddress mac) {
    std::string text;
    for (const std::uint8_t byte : mac.bytes)
        text += (text.empty() ? "" : ":") + support::hex({byte});
    return text;
}

}  // namespace

bool set_tunnel_key(const std::string& command, Setup& setup) {
    const std::size_t at = command.find("(VNI=");
    if (!setup.bare || !command.starts_with("tc bpf egress ") || at == std::string::npos ||
        command.back() != ')')
        return false;
    for (Words words{words_of(command.substr(at + 1, command.size() - at - 2))}; !words.empty();) {
        const std::string word = words.next();
        if (word.starts_with("VNI=")) {
            setup.vni = static_cast<std::uint32_t>(number(word.substr(4)));
        } else if (word.starts_with("TTL=")) {
            setup.options.ttl = static_cast<std::uint8_t>(number(word.substr(4)));
        } else if (word == "remote") {
            const net::IpAddress remote = support::address(words.next());
            const std::string mac = text_of_mac(step::gpe_peer_mac(remote));
            setup.fdb[mac] = remote;
            setup.fdb_numbers[mac] = {};
        } else {
            throw Unsupported{"tunnel key " + word};
        }
    }
    return true;
}

std::uint32_t vni_of(const Case& one) {
    for (const Injected& injected : one.inject) {
        const Bytes& frame = injected.frame;
        if (injected.port == "wire" && frame.size() >= 50 && frame[12] == 0x08 && frame[14] == 0x45)
            return std::uint32_t{frame[46]} << 16 | std::uint32_t{frame[47]} << 8 | frame[48];
    }
    return 0;
}

Bytes with_macs(const Bytes& packet, const Setup& setup) {
    if (setup.fdb.empty() || packet.empty()) return packet;
    support::Frame frame = support::a_frame();
    frame.to(support::mac(setup.fdb.begin()->first)).from(support::host(1));
    frame.type(packet[0] >> 4 == 4 ? 0x0800 : 0x86DD).payload(packet);
    return frame.bytes();
}

Bytes without_macs(const Bytes& frame) {
    net::MacAddress source;
    std::copy_n(frame.begin() + 6, source.bytes.size(), source.bytes.begin());
    const bool made = step::is_gpe_peer(source.number());
    return {frame.begin() + (made ? 14 : 0), frame.end()};
}

}  // namespace vxplane::oracle
