// The comparison.
#include "compare.hpp"

#include <cmath>
#include <cstdio>
#include <map>
#include <set>

namespace vxplane::oracle {
namespace {

constexpr std::size_t kIp = 14;

std::string number_text(const char* format, std::size_t a, std::size_t b) {
    char text[64];
    std::snprintf(text, sizeof text, format, a, b);
    return text;
}

bool is_ipv6(const Bytes& frame) {
    return frame.size() >= 62 && frame[12] == 0x86 && frame[13] == 0xDD;
}

std::uint16_t source_port(const Bytes& frame) {
    const std::size_t at = is_ipv6(frame) ? 54 : 34;
    return static_cast<std::uint16_t>(frame[at] << 8 | frame[at + 1]);
}

/// Of UDP right behind the IPv6 header.
bool udp6_checksum_is_right(const Bytes& frame) {
    const std::uint32_t length = static_cast<std::uint32_t>(frame[18] << 8 | frame[19]) + 17U;
    const bool is_absent = frame[60] == 0 && frame[61] == 0;
    return frame[20] == 17 && !is_absent &&
           support::rfc1071(Bytes(frame.begin() + 22, frame.end()), length) == 0;
}

bool covers(const Mask& mask, std::size_t at) {
    for (const Field& field : mask)
        if (at >= field.offset && at < field.offset + field.length) return true;
    return false;
}

bool ip_checksum_is_right(const Bytes& frame) {
    const std::size_t header = (frame[kIp] & 0xFU) * 4U;
    if (frame.size() < kIp + header) return false;
    return support::rfc1071(Bytes(frame.begin() + kIp, frame.begin() + long(kIp + header))) == 0;
}

bool is_fragment(const Bytes& frame) {
    return frame.size() >= kIp + 20 && frame[12] == 0x08 && frame[13] == 0x00 &&
           ((frame[kIp + 6] & 0x3FU) != 0 || frame[kIp + 7] != 0);
}

/// The packet that begins with frame `first`, put together from the fragments that follow.
Bytes whole_from(const std::vector<Bytes>& frames, std::size_t first) {
    Bytes whole = frames[first];
    if (!is_fragment(whole)) return whole;
    for (std::size_t i = first + 1; i < frames.size() && is_fragment(frames[i]); ++i) {
        const Bytes& next = frames[i];
        const std::size_t at = ((next[kIp + 6] & 0x1FU) << 8 | next[kIp + 7]) * 8U;
        if (next[kIp + 4] != whole[kIp + 4] || next[kIp + 5] != whole[kIp + 5] ||
            at + kIp + 20 != whole.size())
            break;
        whole.insert(whole.end(), next.begin() + kIp + 20, next.end());
    }
    const std::size_t total = whole.size() - kIp;
    whole[kIp + 2] = static_cast<std::uint8_t>(total >> 8);
    whole[kIp + 3] = static_cast<std::uint8_t>(total);
    whole[kIp + 6] = whole[kIp + 7] = whole[kIp + 10] = whole[kIp + 11] = 0;
    const std::uint16_t sum =
        support::rfc1071(Bytes(whole.begin() + kIp, whole.begin() + kIp + 20));
    whole[kIp + 10] = static_cast<std::uint8_t>(sum >> 8);
    whole[kIp + 11] = static_cast<std::uint8_t>(sum);
    return whole;
}

/// What a field under a mask has to be all the same. `whole` is the packet of which `frame` is the
/// first fragment, or the frame itself.
std::string field_fault(const Field& field, const Bytes& frame, const Bytes& whole,
                        const Setup& setup) {
    if (field.name == "ipv4_csum" && !ip_checksum_is_right(frame)) return "IPv4 checksum is wrong";
    if (field.name == "udp_csum") {
        const support::Outer outer = support::take_apart(whole);
        if (is_ipv6(frame))
            return udp6_checksum_is_right(frame) ? "" : "outer UDP checksum is absent or wrong";
        if (!outer.whole || outer.udp_checksum == 0 || !outer.udp_checksum_right)
            return "outer UDP checksum is absent or wrong";
    }
    if (field.name == "udp_sport") {
        const unsigned port = source_port(frame);
        const unsigned lo = setup.options.source_port_lo;
        if (port < lo || port >= lo + setup.options.source_port_span)
            return "source port " + std::to_string(port) + " is out of range";
    }
    return {};
}

std::string frame_difference(const Mask& mask, const Bytes& expected, const Bytes& ours,
                             const Bytes& whole, const Setup& setup) {
    if (expected.size() != ours.size())
        return number_text("%zu bytes, kernel %zu", ours.size(), expected.size());
    for (std::size_t i = 0; i < ours.size(); ++i)
        if (ours[i] != expected[i] && !covers(mask, i))
            return number_text("byte %zu", i, 0) +
                   number_text(" is %02zx, kernel %02zx", ours[i], expected[i]);
    for (const Field& field : mask)
        if (std::string fault = field_fault(field, ours, whole, setup); !fault.empty())
            return fault;
    return {};
}

}  // namespace

std::string difference(const Recording& recording, const Case& one, const Frames& ours,
                       const Setup& setup) {
    std::set<std::string> ports;
    for (const auto& [port, frames] : one.expect) ports.insert(port);
    for (const auto& [port, frames] : ours) ports.insert(port);
    static const std::vector<Bytes> kNone;
    for (const std::string& port : ports) {
        const auto expected = one.expect.find(port);
        const auto sent = ours.find(port);
        const auto& theirs = expected == one.expect.end() ? kNone : expected->second;
        const auto& mine = sent == ours.end() ? kNone : sent->second;
        if (theirs.size() != mine.size())
            return port + number_text(": %zu frames, kernel %zu", mine.size(), theirs.size());
        const auto masks = one.masks.find(port);
        for (std::size_t i = 0; i < mine.size(); ++i) {
            Mask mask;
            if (masks != one.masks.end() && i < masks->second.size()) {
                const auto named = recording.masks.find(masks->second[i]);
                if (named == recording.masks.end()) return "unknown mask " + masks->second[i];
                mask = named->second;
            }
            const std::string text =
                frame_difference(mask, theirs[i], mine[i], whole_from(mine, i), setup);
            if (!text.empty()) return port + " frame " + std::to_string(i) + ": " + text;
        }
    }
    return {};
}

std::string port_pattern_difference(const Case& one, const Frames& ours, const Setup& setup) {
    if (one.source_ports.empty() || !ours.contains("wire")) return {};
    const auto& frames = ours.at("wire");
    if (frames.size() != one.source_ports.size()) return {};
    std::map<int, std::uint16_t> of_class;
    std::set<std::uint16_t> distinct;
    for (std::size_t i = 0; i < frames.size(); ++i)
        if (frames[i].size() < 36) return {};
    // In a narrow range flows share a port by chance. The kernel's equal ports mean something when
    // chance is unlikely: a wide range, or many flows that are all equal.
    const std::set<int> classes(one.source_ports.begin(), one.source_ports.end());
    const double count = static_cast<double>(frames.size());
    const double span = setup.options.source_port_span;
    const bool wide = count * count / (2 * span) < 0.01;
    const bool all_equal = classes.size() == 1 && std::pow(span, 1 - count) < 0.02;
    for (std::size_t i = 0; i < frames.size(); ++i) {
        const std::uint16_t port = source_port(frames[i]);
        distinct.insert(port);
        const auto [known, fresh] = of_class.emplace(one.source_ports[i], port);
        if ((wide || all_equal) && !fresh && known->second != port)
            return "source ports differ where the kernel's are equal";
    }
    if (classes.size() >= 4 && distinct.size() == 1 && setup.options.source_port_span > 1)
        return "source ports are equal where the kernel's differ";
    return {};
}

}  // namespace vxplane::oracle
