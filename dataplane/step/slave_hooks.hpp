// Where packets of ipvlan slaves are judged, tracked and translated: the order of hooks in each
// mode, as the kernel's netfilter sees ipvlan. Met only by masters with rules or connections.
#pragma once

#include <array>
#include <new>

#include "dataplane/step/context.hpp"
#include "dataplane/step/flow_key.hpp"
#include "dataplane/step/hooks.hpp"
#include "dataplane/step/slave_address.hpp"
#include "dataplane/step/track.hpp"

namespace vxplane::step {

/// One packet on its way through the hooks.
class SlaveHooks {
  public:
    SlaveHooks(const Context& ctx, const table::Master& master) noexcept
        : tables_(*ctx.tables), master_(master) {
        hooks_.conntrack = master.conntrack;
        hooks_.counters = ctx.rule_counters;
        hooks_.now = ctx.now;
        hooks_.masquerade4 = master.address4;
        hooks_.masquerade6 = master.address6;
    }

    /// Behind the Ethernet header. Drops what is no whole datagram.
    packet::Verdict read(packet::Packet& p) noexcept {
        return read_ = parse(p, sizeof(net::EthernetHeader), l3_);
    }
    /// Reads, and fetches the first line of what is known of its connection; fetch() goes on.
    void begin_at(packet::Packet& p, std::uint16_t slave) noexcept {
        if (read(p).goes_on() && hooks_.conntrack != nullptr) {
            if (slave != table::kNoSlave) {
                hooks_.zone = tables_.slaves[slave].vrf;
                hooks_.slave = slave;
            }
            begin(l3_, hooks_);
        }
    }
    void fetch() const noexcept { step::fetch(hooks_); }
    /// The long way of a packet that stays the number of its journey, from where `slave` is.
    [[gnu::noinline]] static SlaveHooks& start(packet::Packet& p, Context& ctx, std::uint32_t at,
                                               const table::Master& master,
                                               std::uint16_t slave) noexcept {
        auto* journey = new (ctx.journeys + at) SlaveHooks(ctx, master);
        journey->begin_at(p, slave);
        return *journey;
    }
    /// After begin_at(): what find_steady() found.
    void know(table::ConnRef ref) noexcept {
        hooks_.looked = true;
        set_connection(hooks_, ref);
    }
    /// In a later stage, where the packet has another view.
    packet::Verdict resume(packet::Packet& p) noexcept {
        l3_.p = &p;
        return read_;
    }
    [[nodiscard]] net::IpAddress destination() const noexcept { return l3_.destination(); }
    /// The slave that the packet's connection or rule is about; kNoSlave: by address.
    [[nodiscard]] std::uint16_t way() const noexcept {
        return hooks_.knows_way ? hooks_.to_slave : table::kNoSlave;
    }

    /// The packet begins a connection, as far as is known.
    [[nodiscard]] bool is_new() const noexcept { return hooks_.is_new; }

    // --- from the wire
    packet::Verdict from_wire(packet::PacketMeta& meta) noexcept {
        hooks_.hooks = host_rules();
        if (hooks_.hooks == nullptr) [[likely]] {
            return arrive();
        }
        hooks_.nat_only = master_.mode != table::IpvlanMode::l3s;
        const packet::Verdict verdict = prerouting(l3_, hooks_, meta);
        hooks_.nat_only = false;
        return verdict;
    }
    /// From a segment: the rules of the link are for its wire, but connections are the same.
    packet::Verdict from_segment(packet::PacketMeta& /*meta*/) noexcept {
        hooks_.hooks = nullptr;
        return arrive();
    }
    packet::Verdict into_slave(packet::PacketMeta& meta, std::uint16_t number) noexcept {
        const table::Slave& slave = tables_.slaves[number];
        if (slave.hooks == 0 && master_.hooks == 0) [[likely]] {
            // Its input or on its way through: without rules there is no difference.
            hooks_.exit_zone = slave.vrf;
            hooks_.exit_slave = number;
            hooks_.hooks = nullptr;
            return depart(meta);
        }
        if (master_.mode != table::IpvlanMode::l3s) {
            hooks_.hooks = rules(slave.hooks);
            const packet::Verdict verdict = prerouting(l3_, hooks_, meta);
            if (!verdict.goes_on()) {
                return verdict;
            }
        }
        return end_at(meta, number);
    }

    // --- from a slave
    packet::Verdict from_slave(packet::PacketMeta& meta, std::uint16_t number) noexcept {
        const table::Slave& slave = tables_.slaves[number];
        hooks_.zone = slave.vrf;
        hooks_.slave = number;
        packet::Verdict verdict = packet::Verdict::go_on();
        if (slave.hooks != 0) {
            hooks_.hooks = rules(slave.hooks);
            hooks_.more_hooks = true;
            verdict = output(l3_, hooks_, meta);
            if (verdict.goes_on()) {
                verdict = postrouting(l3_, hooks_, meta);
            }
            hooks_.more_hooks = false;
        }
        return verdict;
    }
    /// After from_slave(), unless the packet stays among slaves.
    packet::Verdict into_host(packet::PacketMeta& meta) noexcept {
        hooks_.hooks = host_rules();
        return hooks_.hooks == nullptr ? arrive() : output(l3_, hooks_, meta);
    }
    /// By the wire, or into a segment, where addresses of pods mean something.
    packet::Verdict leave(packet::PacketMeta& meta, bool by_wire) noexcept {
        hooks_.hooks = by_wire ? host_rules() : nullptr;
        hooks_.exit_zone = 0;
        hooks_.exit_slave = table::kNoSlave;
        return hooks_.hooks == nullptr ? depart(meta) : postrouting(l3_, hooks_, meta);
    }
    /// From the host's side to a slave, without the wire between: by the public address of a
    /// sibling, or by a route.
    packet::Verdict turn_back(packet::PacketMeta& meta, std::uint16_t number) noexcept {
        hooks_.hooks = host_rules();
        hooks_.exit_zone = tables_.slaves[number].vrf;
        hooks_.exit_slave = number;
        hooks_.more_hooks = true;
        const packet::Verdict verdict = postrouting(l3_, hooks_, meta);
        hooks_.more_hooks = false;
        // Public addresses are translated by the host's rules in mode l3s, else by the slave's.
        return verdict.goes_on() ? enter(meta, number,
                                         master_.mode == table::IpvlanMode::l3s
                                             ? host_rules()
                                             : rules(tables_.slaves[number].hooks))
                                 : verdict;
    }
    packet::Verdict to_sibling(packet::PacketMeta& meta, std::uint16_t number) noexcept {
        return enter(meta, number, rules(tables_.slaves[number].hooks));
    }

    // --- broadcasts and multicasts of mode l2, for slaves with rules of their own
    packet::Verdict group_from(packet::PacketMeta& meta, std::uint16_t number) noexcept {
        hooks_.zone = tables_.slaves[number].vrf;
        hooks_.slave = number;
        hooks_.hooks = rules(tables_.slaves[number].hooks);
        const packet::Verdict verdict = output(l3_, hooks_, meta);
        return verdict.goes_on() ? postrouting(l3_, hooks_, meta) : verdict;
    }
    /// What is for the address of somebody else goes no further than prerouting.
    packet::Verdict group_into(packet::PacketMeta& meta, std::uint16_t number) noexcept {
        hooks_.hooks = rules(tables_.slaves[number].hooks);
        return hear(l3_, hooks_, meta, may_be_for(number));
    }

  private:
    /// prerouting() or output() without rules.
    packet::Verdict arrive() noexcept {
        const packet::Verdict verdict = track(l3_, hooks_);
        if (verdict.goes_on()) [[likely]] {
            translate_tracked(l3_, hooks_, Half::destination);
        }
        return verdict;
    }
    /// input() or postrouting() without rules, the last one.
    packet::Verdict depart(packet::PacketMeta& meta) noexcept {
        if (!hooks_.connection || hooks_.state == table::CtState::invalid) [[unlikely]] {
            return postrouting(l3_, hooks_, meta);
        }
        translate_tracked(l3_, hooks_, Half::source);
        return packet::Verdict::go_on();
    }
    packet::Verdict enter(packet::PacketMeta& meta, std::uint16_t number,
                          const table::HookSet* set) noexcept {
        hooks_.hooks = set;
        const packet::Verdict verdict = prerouting(l3_, hooks_, meta);
        return verdict.goes_on() ? end_at(meta, number) : verdict;
    }
    [[nodiscard]] const table::HookSet* rules(std::uint32_t number) const noexcept {
        return number == 0 ? nullptr : &tables_.hook_sets[number];
    }
    /// In mode l2 the host's IP layer sees nothing.
    [[nodiscard]] const table::HookSet* host_rules() const noexcept {
        return master_.mode == table::IpvlanMode::l2 ? nullptr : rules(master_.hooks);
    }
    /// In a frame to a group. Where its subnets are not all known, what nobody has is for it too.
    [[nodiscard]] bool may_be_for(std::uint16_t number) const noexcept {
        const table::Slave& slave = tables_.slaves[number];
        const net::IpAddress to = l3_.destination();
        if (to.is_v4() ? to.v4().is_multicast() || to.v4().is_broadcast() : to.is_multicast()) {
            return true;
        }
        const std::uint32_t owner =
            tables_.slave_addresses->find(table::slave_scope(slave.master, slave.vrf), to);
        if (owner != table::AddressMap::kNone) {
            return owner == number;
        }
        if (slave.length4 == 0 || !to.is_v4()) {
            return true;
        }
        const std::uint32_t hosts = ~net::prefix_mask(slave.length4);
        return hosts > 1 && to.v4().number() == (slave.address4.number() | hosts);
    }
    /// A slave's own address is its input; anything else goes through it.
    packet::Verdict end_at(packet::PacketMeta& meta, std::uint16_t number) noexcept {
        const table::Slave& slave = tables_.slaves[number];
        hooks_.exit_zone = slave.vrf;
        hooks_.exit_slave = number;
        hooks_.hooks =
            rules(master_.mode == table::IpvlanMode::l3s && hooks_.slave == table::kNoSlave
                      ? master_.hooks
                      : slave.hooks);
        const bool own = tables_.slave_addresses->find(table::slave_scope(slave.master, slave.vrf),
                                                       l3_.destination()) == number;
        if (own) {
            return input(l3_, hooks_, meta);
        }
        const packet::Verdict verdict = forward(l3_, hooks_, meta);
        return verdict.goes_on() ? postrouting(l3_, hooks_, meta) : verdict;
    }

    const table::Tables& tables_;
    const table::Master& master_;
    packet::Verdict read_;
    L3Packet l3_;
    HookContext hooks_;
};

/// Whether the rules of that number (0: none) let packets of connections that are there pass.
inline bool asks_first_only(const table::Tables& tables, std::uint32_t hooks) noexcept {
    return hooks == 0 || tables.hook_sets[hooks].asks_first_packets_only();
}
/// Packets may take the short way of a FlowKey: they are tracked, and where they begin, at `slave`
/// or, with kNoSlave, at the wire, only first packets are asked.
inline bool has_short_way(const table::Tables& tables, const table::Master& master,
                          std::uint16_t slave) noexcept {
    return master.conntrack != nullptr &&
           (master.mode == table::IpvlanMode::l2 || asks_first_only(tables, master.hooks)) &&
           (slave == table::kNoSlave || asks_first_only(tables, tables.slaves[slave].hooks));
}

/// The packet's connection, if it has taken the short way; it leads away from slaves, and not by
/// the public address of one. As find_steady().
[[gnu::always_inline]] inline table::ConnRef find_leaving(const packet::Packet& p,
                                                          const packet::PacketMeta& meta,
                                                          const Context& ctx) noexcept {
    const FlowKey& key = ctx.flow_keys[meta.source_bucket];
    if (key.conntrack == nullptr) {
        return {};
    }
    return find_steady(p, key, ctx.now, [](const table::Connection& c, table::Direction d) {
        return c.slave_towards(d) == table::kNoSlave && !c.has(nat_of(d, Half::destination));
    });
}

/// Room for the journeys of a burst; each is made in its place when it begins.
class Journeys {
  public:
    [[nodiscard]] SlaveHooks* places() noexcept {
        return reinterpret_cast<SlaveHooks*>(room_.data());
    }
    [[nodiscard]] FlowKey* flow_keys() noexcept { return flow_keys_.data(); }

  private:
    std::array<FlowKey, packet::kBurstSize> flow_keys_;
    alignas(SlaveHooks) std::array<std::byte, sizeof(SlaveHooks) * packet::kBurstSize> room_;
};

}  // namespace vxplane::step
