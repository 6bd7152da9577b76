// A frame from the wire at the master of an ipvlan: which slave has the address that it is for?
// Behaviour of the kernel's ipvlan_handle_frame() and ipvlan_l3_rcv().
#pragma once

#include "dataplane/net/dhcp.hpp"
#include "dataplane/packet/large.hpp"
#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/classify_underlay.hpp"
#include "dataplane/step/context.hpp"
#include "dataplane/step/slave_address.hpp"
#include "dataplane/step/slave_hooks.hpp"

namespace vxplane::step {

/// Goes on with `slaves.to`, for GiveToSlave. What no slave has goes where frames of an underlay
/// port go: to control or to the host.
class SelectSlave {
  public:
    SelectSlave(const Context& ctx, std::uint16_t in_port) noexcept
        : port_(ctx.tables->ports[in_port]),
          master_(ctx.tables->masters[port_.master]),
          addresses_(*ctx.tables->slave_addresses),
          scope_(table::slave_scope(port_.master, 0)),
          exits_(ctx.tables->slave_exits.data()),
          hooked_(master_.hooked),
          dhcp_snoop_(master_.dhcp_snoop) {}

    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        meta.slaves = packet::SlaveWay::at(port_.master);
        if (p.contiguous() < sizeof(net::EthernetHeader)) {
            return Verdict::drop(DropReason::eth_runt);
        }
        if (p.length() > port_.max_frame &&
            p.length() > port_.max_frame + net::tag_bytes(p.data(), p.contiguous()) &&
            !packet::is_large(p.mbuf())) [[unlikely]] {
            return Verdict::drop(DropReason::eth_too_long);
        }
        const auto* ethernet = p.at<net::EthernetHeader>(0);
        const bool ours = ethernet->destination.number() == port_.mac;
        if (ours && !dhcp_snoop_ && ethernet->type == net::ether_type::kIpv4) [[likely]] {
            if (const net::Ipv4Header* ip = read_ipv4(p); ip != nullptr) [[likely]] {
                if (hooked_) {
                    return through_hooks(p, meta, ctx, ours);
                }
                const std::uint32_t found = addresses_.find(scope_, ip->destination);
                if (found < table::kNoSlave) [[likely]] {
                    return found_slave(meta, found);
                }
            }
        }
        return other(p, meta, ctx, ours);
    }

    /// To a slave as it is; leaves `out_port`.
    static packet::Verdict deliver(packet::Packet& p, packet::PacketMeta& meta,
                                   std::uint16_t number, table::SlaveExit exit) noexcept {
        using packet::DropReason;
        using packet::Verdict;
        if (p.length() > exit.max_frame && packet::longest_arrived(p.mbuf()) > exit.max_frame)
            [[unlikely]] {
            return Verdict::drop(exit.max_frame == 0 ? DropReason::slave_down
                                                     : DropReason::slave_oversize);
        }
        meta.slaves.to = number;
        meta.out_port = exit.port;
        return Verdict::go_on();
    }

    /// As any underlay port does with what is no tunnel packet; what the host's twin can judge
    /// better, as the kernel does, is left to it.
    [[gnu::noinline]] static packet::Verdict to_host(packet::Packet& p, packet::PacketMeta& meta,
                                                     Context& ctx) noexcept {
        const packet::Verdict verdict = ClassifyUnderlay{}(p, meta, ctx);
        const bool has_twin = ctx.tables->ports[meta.in_port].partner != table::kNoPort;
        return verdict.goes_on() || (verdict.is_drop() && has_twin)
                   ? packet::Verdict::divert(packet::Lane::host)
                   : verdict;
    }

    /// What no slave has, and a route of the host says is behind one. Goes on with `slaves.to`, or
    /// kNoSlave in it where no route does. The slave counts the hop, and not who gives it to it.
    [[gnu::noinline]] static packet::Verdict by_route(packet::PacketMeta& meta,
                                                      const table::Tables& tables,
                                                      net::IpAddress wanted) noexcept;

  private:
    packet::Verdict found_slave(packet::PacketMeta& meta, std::uint32_t number) const noexcept {
        meta.slaves.to = static_cast<std::uint16_t>(number);
        __builtin_prefetch(&exits_[number]);
        return packet::Verdict::go_on();
    }

    /// Whatever is not IPv4 to the MAC address of a master that reads no DHCP.
    [[gnu::noinline]] packet::Verdict other(packet::Packet& p, packet::PacketMeta& meta,
                                            Context& ctx, bool ours) const noexcept {
        using packet::DropReason;
        using packet::Verdict;
        const auto* ethernet = p.at<net::EthernetHeader>(0);
        const bool group = ethernet->destination.is_group();
        if (!ours && !group && !port_.promiscuous) {
            return Verdict::drop(DropReason::eth_not_for_us);
        }
        if (group && master_.mode == table::IpvlanMode::l2) [[unlikely]] {
            return is_external(p, ethernet->source.number()) ? Verdict::divert(packet::Lane::group)
                                                             : to_host(p, meta, ctx);
        }
        net::IpAddress wanted;
        const Spoken spoken = read_address(p, End::destination, wanted);
        if (spoken == Spoken::nothing || (master_.mode == table::IpvlanMode::l3s &&
                                          !is_datagram(spoken, ours || group))) [[unlikely]] {
            return to_host(p, meta, ctx);
        }
        if (spoken != Spoken::ipv4 && asks_for_slave(p)) [[unlikely]] {
            return to_host(p, meta, ctx);
        }
        if ((hooked_ || dhcp_snoop_) && spoken != Spoken::arp && spoken != Spoken::probe) {
            if (dhcp_snoop_ && ours &&
                net::is_dhcp(p.data(), p.contiguous(), net::DhcpWay::to_client)) [[unlikely]] {
                // Control finds who asked, whoever the address says.
                meta.punt = packet::Punt::dhcp;
                meta.if_refused = DropReason::none;
                return Verdict::divert(packet::Lane::control);
            }
            if (hooked_) {
                return through_hooks(p, meta, ctx, ours);
            }
        }
        const std::uint32_t found = owner_of(wanted);
        // Who asks for a public address is answered by control.
        if (found >= table::kNoSlave) [[unlikely]] {
            if (found == table::AddressMap::kNone && master_.routes_to_slaves && ours &&
                (spoken == Spoken::ipv4 || spoken == Spoken::ipv6)) {
                const packet::Verdict verdict = by_route(meta, *ctx.tables, wanted);
                if (!verdict.goes_on() || meta.slaves.to != table::kNoSlave) {
                    return verdict;
                }
            }
            return to_host(p, meta, ctx);
        }
        return found_slave(meta, found);
    }

    /// A neighbour solicitation that control answers: of slaves of a routed master, which speak
    /// none, and of public addresses. Odd probes for an address, to our station alone or in its
    /// name, are left to the slave, as in the kernel.
    [[nodiscard]] bool asks_for_slave(const packet::Packet& p) const noexcept {
        const auto* ethernet = p.at<net::EthernetHeader>(0);
        const auto* ip = p.at<net::Ipv6Header>(sizeof *ethernet);
        net::IpAddress target;
        if (ethernet->type != net::ether_type::kIpv6 ||
            ip->next_header != net::ip_protocol::kIcmpv6 || !read_target(p, target)) {
            return false;
        }
        const bool odd =
            !ethernet->destination.is_group() || ethernet->source.number() == master_.mac;
        return !(odd && net::IpAddress(ip->source).is_unset()) &&
               ClassifyUnderlay::is_answered(owner_of(target), master_);
    }
    /// Why the slave does not get from the wire what is for this address; `none` when it does.
    [[gnu::noinline]] static packet::DropReason unfit(const table::Tables& tables,
                                                      std::uint16_t number,
                                                      const net::IpAddress& wanted) noexcept;
    /// kNoSlave, AddressMap::kNone or with kPublicAddress: none to give it to as it is.
    [[nodiscard]] std::uint32_t owner_of(const net::IpAddress& wanted) const noexcept {
        return addresses_.find(scope_, wanted);
    }

    [[gnu::noinline]] packet::Verdict through_hooks(packet::Packet& p, packet::PacketMeta& meta,
                                                    Context& ctx, bool ours) const noexcept {
        using packet::DropReason;
        if (const FlowKey& key = ctx.flow_keys[meta.source_bucket]; key.conntrack != nullptr) {
            if (take_short_way(p, meta, ctx, key)) [[likely]] {
                return packet::Verdict::go_on();
            }
            SlaveHooks::start(p, ctx, meta.source_bucket, master_, table::kNoSlave);
        }
        SlaveHooks& hooks = ctx.journeys[meta.source_bucket];
        if (!hooks.resume(p).goes_on()) {
            return to_host(p, meta, ctx);
        }
        if (const packet::Verdict verdict = hooks.from_wire(meta); !verdict.goes_on()) {
            return verdict;
        }
        std::uint16_t number = hooks.way();
        if (number == table::kNoSlave) {
            number = static_cast<std::uint16_t>(owner_of(hooks.destination()));
        } else if (hooks.is_new()) [[unlikely]] {
            // A rule has led to it; what a slave began itself is answered in any case.
            const DropReason reason = unfit(*ctx.tables, number, hooks.destination());
            if (reason != DropReason::none) {
                return packet::Verdict::drop(reason);
            }
        }
        if (number == table::kNoSlave && master_.routes_to_slaves && ours) {
            const packet::Verdict verdict = by_route(meta, *ctx.tables, hooks.destination());
            if (!verdict.goes_on()) {
                return verdict;
            }
            number = meta.slaves.to;
        }
        if (number == table::kNoSlave) {
            return to_host(p, meta, ctx);
        }
        meta.slaves.to = number;
        return hooks.into_slave(meta, number);
    }

    /// To a slave whose connection it is, and whose rules are for first packets alone.
    bool take_short_way(packet::Packet& p, packet::PacketMeta& meta, const Context& ctx,
                        const FlowKey& key) const noexcept {
        const table::ConnRef ref =
            find_steady(p, key, ctx.now, [&](const table::Connection& c, table::Direction d) {
                const std::uint16_t to = c.slave_towards(d);
                return to != table::kNoSlave && asks_first_only(*ctx.tables, exits_[to].hooks);
            });
        if (!ref) [[unlikely]] {
            return false;
        }
        const table::Connection& c = key.conntrack->at(ref);
        meta.slaves.to = c.slave_towards(ref.direction());
        if (c.is_translated()) {
            translate_known(p, c, ref.direction(), Half::destination);
            translate_known(p, c, ref.direction(), Half::source);
        }
        return true;
    }

    /// Only what reaches the IP layer is given to a slave in mode l3s.
    static bool is_datagram(Spoken spoken, bool taken) noexcept {
        return taken && (spoken == Spoken::ipv4 || spoken == Spoken::ipv6);
    }
    /// A frame of our own that a switch sent back is not copied once more.
    [[nodiscard]] bool is_external(const packet::Packet& p, std::uint64_t source) const noexcept {
        if (source != master_.mac) {
            return true;
        }
        net::IpAddress sender;
        return read_address(p, End::source, sender) == Spoken::nothing ||
               addresses_.find(scope_, sender) == table::AddressMap::kNone;
    }

    const table::PortEntry& port_;
    const table::Master& master_;
    const table::AddressMap& addresses_;
    std::uint32_t scope_;
    const table::SlaveExit* exits_;
    bool hooked_;
    bool dhcp_snoop_;
};

/// The last step of a frame whose slave is known.
class GiveToSlave {
  public:
    explicit GiveToSlave(const Context& ctx, std::uint16_t /*in_port*/ = 0) noexcept
        : exits_(ctx.tables->slave_exits.data()) {}
    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& /*ctx*/) const noexcept {
        return SelectSlave::deliver(p, meta, meta.slaves.to, exits_[meta.slaves.to]);
    }

  private:
    const table::SlaveExit* exits_;
};

}  // namespace vxplane::step
