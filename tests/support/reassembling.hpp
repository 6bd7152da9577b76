// A scene whose underlay port puts fragments together, and packets to be cut for it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/fragments.hpp"
#include "tests/support/scene.hpp"

namespace vxplane::support::reassembly {

constexpr const char* kOwn6 = "2001:db8::1";
constexpr const char* kPeer6 = "2001:db8::2";
constexpr std::uint16_t kId = 0x4321;

struct Reassembling : Scene {
    explicit Reassembling(SceneWords scene_words = {}) : Scene(with(scene_words)) {
        lab.own(address(kOwn6), up);
    }
    static SceneWords with(SceneWords words) {
        words.underlay.reassembles = true;
        words.red.ipv6 = true;
        words.red.learning = false;
        words.underlay.learning = false;
        return words;
    }
    /// With a UDP checksum.
    [[nodiscard]] Bytes tunnel_packet(const Frame& inner, std::uint8_t tos = 0) const {
        return a_frame()
            .to(local_mac)
            .from(remote_mac(2))
            .ipv4({.source = "10.0.0.2", .destination = kLocal, .tos = tos, .id = kId})
            .udp(40000, 4789)
            .vxlan({}, inner)
            .bytes();
    }
    [[nodiscard]] Bytes tunnel_packet6(const Frame& inner, std::uint8_t tos = 0) const {
        return a_frame()
            .to(local_mac)
            .from(remote_mac(6))
            .ipv6({.source = kPeer6, .destination = kOwn6, .traffic_class = tos})
            .udp(40000, 4789)
            .vxlan({}, inner)
            .bytes();
    }
    /// Between polls, so that each fragment is a burst of its own.
    Seen one_by_one(const std::vector<Bytes>& fragments, Memory memory = Memory::pool) {
        Seen all;
        for (const Bytes& fragment : fragments) {
            const Seen seen = lab.receive(up, std::vector<Bytes>{fragment}, memory);
            all.sent.insert(all.sent.end(), seen.sent.begin(), seen.sent.end());
            all.broken_law += seen.broken_law;
            for (const auto& [name, moved] : seen.moved) all.moved[name] += moved;
        }
        return all;
    }
    [[nodiscard]] std::uint64_t held() const {
        const Counts now = lab.counts();
        const auto found = now.find("held_fragments");
        return found == now.end() ? 0 : found->second;
    }
};

inline Frame inner_of(std::size_t payload) {
    return a_frame().to(host(1)).from(host(12)).ipv4().udp(1000, 2000).payload(payload);
}

inline void expect_alone(const Seen& seen, PortId port, const Frame& frame,
                         const std::string& what) {
    EXPECT_EQ(seen.broken_law, "") << what;
    const std::vector<Bytes> sent = seen.sent_by(port);
    ASSERT_EQ(sent.size(), 1U) << what;
    EXPECT_EQ(sent[0], frame.bytes()) << what;
}

}  // namespace vxplane::support::reassembly
