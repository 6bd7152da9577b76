// What later stages are going to ask for is fetched: whose address it is, and the packet's
// connection.
#pragma once

#include <new>

#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"
#include "dataplane/step/slave_hooks.hpp"

namespace vxplane::step {

/// So many later packets of the burst give the line of the index time to come: it says where the
/// connection itself is.
constexpr std::uint16_t kConnectionBehind = 16;

/// What AheadOfSlaves asked for has come: the connection of packet `at` is fetched.
inline void fetch_connection(const Context& ctx, std::uint16_t at) noexcept {
    const FlowKey& key = ctx.flow_keys[at];
    if (key.conntrack != nullptr) {
        key.conntrack->prefetch_place(key.hash,
                                      (key.words[4] >> 32 & 0xFF) == net::ip_protocol::kUdp);
    } else {
        ctx.journeys[at].fetch();
    }
}

/// First of the paths of masters and slaves; judges nothing. With `Hooked`, which the master has to
/// be, leaves `source_bucket`, the number of the packet's journey.
template <bool Hooked>
class AheadOfSlaves {
  public:
    AheadOfSlaves(const Context& ctx, std::uint16_t in_port) noexcept
        : number_(ctx.tables->ports[in_port].slave),
          master_number_(number_ == table::kNoSlave ? ctx.tables->ports[in_port].master
                                                    : ctx.tables->slaves[number_].master),
          master_(ctx.tables->masters[master_number_]),
          addresses_(*ctx.tables->slave_addresses),
          scope_(table::slave_scope(master_number_, number_ == table::kNoSlave
                                                        ? std::uint16_t{0}
                                                        : ctx.tables->slaves[number_].vrf)),
          zone_(number_ == table::kNoSlave ? std::uint16_t{0} : ctx.tables->slaves[number_].vrf),
          short_(Hooked && has_short_way(*ctx.tables, master_, number_)) {}

    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        if constexpr (Hooked) {
            begin(p, meta, ctx);
        } else {
            prefetch(p);
        }
        return packet::Verdict::go_on();
    }

  private:
    static constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);

    /// The line of its address; false when it has none.
    [[gnu::always_inline]] bool prefetch(const packet::Packet& p) const noexcept {
        if (p.contiguous() < kIp + sizeof(net::Ipv4Header)) {
            return false;
        }
        const net::Be16 type = p.at<net::EthernetHeader>(0)->type;
        if (type == net::ether_type::kIpv4) [[likely]] {
            addresses_.prefetch(scope_, p.at<net::Ipv4Header>(kIp)->destination);
        } else if (type != net::ether_type::kIpv6 ||
                   p.contiguous() < kIp + sizeof(net::Ipv6Header)) {
            return false;
        } else {
            addresses_.prefetch(scope_, net::IpAddress(p.at<net::Ipv6Header>(kIp)->destination));
        }
        return true;
    }

    [[gnu::always_inline]] void begin(packet::Packet& p, packet::PacketMeta& meta,
                                      Context& ctx) const noexcept {
        const std::uint16_t at = ctx.journey_count;
        FlowKey& key = ctx.flow_keys[at];
        if (short_ && p.contiguous() >= kIp + sizeof(net::Ipv4Header) &&
            p.at<net::EthernetHeader>(0)->type == net::ether_type::kIpv4 &&
            read_flow_key(p, *master_.conntrack, zone_, key)) [[likely]] {
            if (number_ != table::kNoSlave) {
                // Siblings are looked for first.
                addresses_.prefetch(scope_, p.at<net::Ipv4Header>(kIp)->destination);
            }
        } else if (prefetch(p)) {
            key.conntrack = nullptr;
            SlaveHooks::start(p, ctx, at, master_, number_);
        } else {
            return;
        }
        meta.source_bucket = at;
        ctx.journey_count = static_cast<std::uint16_t>(at + 1);
        if (at >= kConnectionBehind) {
            fetch_connection(ctx, static_cast<std::uint16_t>(at - kConnectionBehind));
        }
    }

    std::uint16_t number_;
    std::uint16_t master_number_;
    const table::Master& master_;
    const table::AddressMap& addresses_;
    std::uint32_t scope_;
    std::uint16_t zone_;
    bool short_;
};

/// First step of the stage after AheadOfSlaves: when it is made for a burst, it fetches the last
/// connections, which no packet came behind.
template <bool Hooked>
class FetchConnections {
  public:
    FetchConnections([[maybe_unused]] const Context& ctx, std::uint16_t /*in_port*/) noexcept {
        if constexpr (Hooked) {
            fetch_last(ctx);
        }
    }
    packet::Verdict operator()(packet::Packet& /*p*/, packet::PacketMeta& /*meta*/,
                               Context& /*ctx*/) const noexcept {
        return packet::Verdict::go_on();
    }

  private:
    static void fetch_last(const Context& ctx) noexcept {
        constexpr std::uint16_t kBehind = kConnectionBehind;
        const std::uint16_t count = ctx.journey_count;
        for (std::uint16_t at = count > kBehind ? count - kBehind : 0; at < count; ++at) {
            fetch_connection(ctx, at);
        }
    }
};

}  // namespace vxplane::step
