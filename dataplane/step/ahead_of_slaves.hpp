// What later stages are going to ask for is fetched: whose address it is, and the packet's
// connection.
#pragma once

#include <new>

#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"
#include "dataplane/step/slave_hooks.hpp"

namespace vxplane::step {

/// First of the paths of masters and slaves; judges nothing. Leaves `source_bucket`, the number of
/// the packet's journey, when the master has hooks.
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
          hooked_(master_.hooked) {}

    packet::Verdict operator()(packet::Packet& p, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
        if (p.contiguous() < kIp + sizeof(net::Ipv4Header)) {
            return packet::Verdict::go_on();
        }
        const net::Be16 type = p.at<net::EthernetHeader>(0)->type;
        if (type == net::ether_type::kIpv4) [[likely]] {
            addresses_.prefetch(scope_, p.at<net::Ipv4Header>(kIp)->destination);
        } else if (type != net::ether_type::kIpv6 ||
                   p.contiguous() < kIp + sizeof(net::Ipv6Header)) {
            return packet::Verdict::go_on();
        } else {
            addresses_.prefetch(scope_, net::IpAddress(p.at<net::Ipv6Header>(kIp)->destination));
        }
        if (hooked_) {
            begin_journey(p, meta, ctx);
        }
        return packet::Verdict::go_on();
    }

    /// So many later packets of the burst give the line of the index time to come: it says where
    /// the connection itself is.
    static constexpr std::uint16_t kBehind = 8;

  private:
    [[gnu::noinline]] void begin_journey(packet::Packet& p, packet::PacketMeta& meta,
                                         Context& ctx) const noexcept {
        const std::uint16_t at = ctx.journey_count++;
        meta.source_bucket = at;
        auto* journey = new (ctx.journeys + at) SlaveHooks(ctx, master_);
        journey->begin_at(p, number_);
        if (at >= kBehind) {
            ctx.journeys[at - kBehind].fetch();
        }
    }

    std::uint16_t number_;
    std::uint16_t master_number_;
    const table::Master& master_;
    const table::AddressMap& addresses_;
    std::uint32_t scope_;
    bool hooked_;
};

/// First step of the stage after AheadOfSlaves: when it is made for a burst, it fetches the last
/// connections, which no packet came behind.
class FetchConnections {
  public:
    FetchConnections(const Context& ctx, std::uint16_t /*in_port*/) noexcept {
        constexpr std::uint16_t kBehind = AheadOfSlaves::kBehind;
        const std::uint16_t count = ctx.journey_count;
        for (std::uint16_t at = count > kBehind ? count - kBehind : 0; at < count; ++at) {
            ctx.journeys[at].fetch();
        }
    }
    packet::Verdict operator()(packet::Packet& /*p*/, packet::PacketMeta& /*meta*/,
                               Context& /*ctx*/) const noexcept {
        return packet::Verdict::go_on();
    }
};

}  // namespace vxplane::step
