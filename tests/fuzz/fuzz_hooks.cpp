// Arbitrary packets of several slaves and of the wire, one after the other, through parse, rules,
// tracker and translation: lengths stay, a right IPv4 checksum stays right, entries are accounted
// for. An input is a row of packets, each behind two bytes: who sends, and how long it is.
#include <cstdio>
#include <cstdlib>

#include "tests/support/hook_world.hpp"

namespace {

using namespace vxplane::support::hooks;

void require(bool truth, const char* what, const Bytes& packet) {
    if (truth) return;
    std::fprintf(stderr, "%s\n%s\n", what, text(packet).c_str());
    std::abort();
}

std::vector<vxplane::table::HookRule> rules() {
    using vxplane::table::Hook;
    using vxplane::table::RuleVerdict;
    auto list = one_to_one("203.0.113.2", "10.0.0.5", 1, 1);
    for (const auto& rule : one_to_one("2001:db8:ff::2", "fd00::5", 1, 1)) list.push_back(rule);
    list.push_back(masquerade(2000, 2003));
    vxplane::table::HookRule drop;
    drop.hook = Hook::postrouting;
    drop.verdict = RuleVerdict::drop;
    drop.destination_ports = {666, 666};
    list.push_back(drop);
    return list;
}

bool ip4_is_right(const Bytes& packet) {
    if (packet.size() < 20 || packet[0] >> 4 != 4) return false;
    const std::size_t header = (packet[0] & 0xFU) * 4U;
    return header >= 20 && packet.size() >= header && checksums_right(packet, false);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    World world(rules(), 8);
    world.slave(1, 1);
    world.slave(2, 2);
    world.slave(3, 0);
    std::size_t at = 0;
    while (at + 2 <= size) {
        const std::uint8_t who = data[at];
        const std::size_t length = std::min<std::size_t>(data[at + 1], size - at - 2);
        const Bytes packet(data + at + 2, data + at + 2 + length);
        at += 2 + length;
        if ((who & 0x80U) != 0) world.now += 20'000;
        if ((who & 0x40U) != 0) world.conntrack.poll(world.now);
        const auto slave = static_cast<std::uint16_t>((who >> 2) % 4);
        Outcome o;
        if ((who & 3U) == 0) {
            o = world.in(packet, slave);
        } else if ((who & 3U) == 1) {
            o = world.across(packet, slave, static_cast<std::uint16_t>((who >> 4) % 4));
        } else {
            o = world.out(packet, slave);
        }
        require(o.packet.size() == packet.size(), "the length has changed", packet);
        if (ip4_is_right(packet))
            require(ip4_is_right(o.packet), "a right checksum has become wrong", packet);
        const auto s = world.conntrack.stats();
        require(s.created == s.used + s.expired + s.closed + s.early_drops + s.flushed,
                "entries are not accounted for", packet);
        require(s.used <= 8, "more entries than there is room for", packet);
    }
    return 0;
}
