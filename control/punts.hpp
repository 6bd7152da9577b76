// What workers hand to control: ARP and ICMP to our own addresses, and packets whose next hop is
// not resolved or not reachable. Control answers through the inject rings.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "control/apply/bridge.hpp"
#include "control/apply/routing.hpp"
#include "control/apply/slaves.hpp"
#include "control/machine.hpp"
#include "control/resolve/icmp.hpp"
#include "control/resolve/neighbours.hpp"

namespace vxplane::control {

/// taken + made = consumed + forwarded + dropped + held, always.
struct PuntCounters {
    std::uint64_t taken = 0;      ///< packets from workers
    std::uint64_t made = 0;       ///< frames of our own
    std::uint64_t consumed = 0;   ///< understood, and at their end
    std::uint64_t forwarded = 0;  ///< given to a worker to be sent
    std::uint64_t dropped = 0;
    std::uint64_t no_buffer = 0;  ///< answers that were due and not made; not part of the sum
    packet::DropCounts drops{};
};

/// Control thread only.
class Punts final : public NeighbourSink {
  public:
    using Time = Neighbours::Time;
    /// Neighbour news for the event subscription: what happened, key, MAC.
    using News = std::function<void(std::string_view, NeighbourKey, net::MacAddress)>;

    Punts(Machine& machine, Publisher& publisher);

    void connect(Neighbours& neighbours, Tunnels& tunnels) {
        neighbours_ = &neighbours;
        tunnels_ = &tunnels;
    }
    /// What packets of slaves go by.
    void connect(Routing& routing, Slaves& slaves) {
        routing_ = &routing;
        slaves_ = &slaves;
    }
    /// From now on news of neighbours is nobody's: the end has begun.
    void disconnect() {
        tunnels_ = nullptr;
        routing_ = nullptr;
        news_ = {};
    }
    void on_news(News news) { news_ = std::move(news); }
    /// Copies of frames of segments that ask for them; the frame begins with its own Ethernet
    /// header, whatever carried it.
    using Heard = std::function<void(const path::PuntItem&, std::span<const std::byte>)>;
    void on_heard(Heard heard) { heard_ = std::move(heard); }
    /// All of our own: one is answered for on every underlay port, as the kernel does.
    void set_addresses(std::vector<OwnAddress> addresses) { addresses_ = std::move(addresses); }

    /// What slaves' packets told: ends what is due, and asks slaves.
    void tick_slaves(Time now);
    /// Takes what is in the punt rings, a bounded number of packets.
    void take(Time now);
    /// Sends the packets whose next hop was resolved; the tables must have been published.
    void send_released();
    /// Frees everything that waits.
    void drop_all();

    [[nodiscard]] const PuntCounters& counters() const noexcept { return counters_; }
    /// Packets that wait for a next hop.
    [[nodiscard]] std::uint64_t held() const noexcept;
    [[nodiscard]] const Neighbours* neighbours() const noexcept { return neighbours_; }
    /// Packets that came and are nowhere, in two's complement; 0 between calls.
    [[nodiscard]] std::uint64_t difference() const noexcept;
    /// Next hops that packets of one port may wait for at the same time, and how many may wait: who
    /// asks for each address of a network takes nothing from others.
    static constexpr std::uint32_t kAskedByOne = 128;
    static constexpr std::uint32_t kHeldForOne = 256;
    /// Packets that were dropped as their port had asked for so many.
    [[nodiscard]] std::uint64_t over_quota() const noexcept { return over_quota_; }
    /// Messages a second to one source.
    void set_icmp_rate(std::uint32_t rate) noexcept { limiter_.set_rate(rate); }
    [[nodiscard]] std::uint64_t icmp_suppressed() const noexcept { return limiter_.suppressed(); }

    /// Remotes whose path takes less than the uplink.
    [[nodiscard]] std::size_t path_mtus() const noexcept {
        return tunnels_ == nullptr ? 0 : tunnels_->path_mtus();
    }
    /// ICMP "fragmentation needed" about packets that we did not send.
    [[nodiscard]] std::uint64_t path_mtu_forged() const noexcept { return path_mtu_forged_; }

    // --- NeighbourSink
    void send_frame(std::uint16_t port, std::span<const std::byte> frame) override;
    void reachable(NeighbourKey key, net::MacAddress mac) override;
    void unreachable(NeighbourKey key) override;
    void release(NeighbourKey key, net::MacAddress mac, Held&& held) override;
    void give_up(NeighbourKey key, Held&& held, packet::DropReason reason) override;
    void conflict(NeighbourKey own, net::MacAddress other) override;
    void table_full(NeighbourKey refused) override;

  private:
    void take_one(const path::PuntItem& item, Time now);
    void take_arp(const path::PuntItem& item, Time now);
    void take_nd(const path::PuntItem& item, Time now);
    void take_icmp(const path::PuntItem& item);
    void take_heard(const path::PuntItem& item);
    void take_unresolved(const path::PuntItem& item, Time now);
    void answer(rte_mbuf* frame, std::uint16_t in_port, std::uint16_t segment, IcmpError error);
    /// To a tenant whose frame is too long for its tunnel.
    bool told_of_held(packet::Packet p, const packet::PacketMeta& meta);
    void answer_too_big(const path::PuntItem& item);
    /// ICMP port unreachable to a peer whose segments are all down.
    void answer_closed(const path::PuntItem& item);
    /// False when it is no news of a path.
    bool take_path_mtu(const path::PuntItem& item, Time now);
    /// The quoted packet is of a segment of ours.
    [[nodiscard]] bool has_vni(const PathMtuNews& news) const;
    void forward(rte_mbuf* mbuf, std::uint16_t port);
    void drop(rte_mbuf* mbuf, packet::DropReason reason);
    void consume(rte_mbuf* mbuf);
    void send_made(std::uint16_t port, std::span<const std::byte> frame);
    /// The same by an access port; a trunk gets the tag of the segment.
    void send_to_tenant(std::uint16_t port, std::uint16_t segment,
                        std::span<const std::byte> frame);
    void encapsulate(const Held& held);
    void encapsulate(rte_mbuf* mbuf, std::uint32_t tunnel, std::uint16_t segment,
                     std::uint16_t in_port, bool one_of_many = false);
    void send_in_fragments(packet::Packet p, packet::PacketMeta& meta);
    [[nodiscard]] rte_mbuf* made_of(std::span<const std::byte> frame);
    // Of slaves and routes: punts_slaves.cpp.
    void take_next_hop(const path::PuntItem& item, Time now);
    /// Whether packets of the port may make us ask for this neighbour; notes that they do.
    bool may_ask(std::uint16_t port, const NeighbourKey& key, Time now);
    void note_answered(const NeighbourKey& key);
    void note_released(const Held& held);
    /// Workers are told of the neighbours that held packets were released to.
    void follow_released(Time now);
    void take_slave_arp(const path::PuntItem& item);
    void take_slave_nd(const path::PuntItem& item);
    void take_slave_report(const path::PuntItem& item, Time now);
    void take_dhcp(const path::PuntItem& item, Time now);
    void take_refused(const path::PuntItem& item);
    /// An ICMP error about `frame` to the slave at `port`.
    void reject(const path::PuntItem& item);
    bool may_answer(std::span<const std::byte> frame, std::uint16_t port);
    void answer_slave(rte_mbuf* frame, std::uint16_t port, IcmpError error, std::uint16_t mtu);
    void answer_slave(const path::PuntItem& item, IcmpError error, std::uint16_t mtu = 0);
    /// To where the packet came from: a port, or the VTEP at the other end of a tunnel.
    void send_back(const path::PuntItem& item, std::span<const std::byte> frame);
    /// The master in whose name the sender at that port is told something; null = its own.
    [[nodiscard]] const table::Master* router_of(const path::PuntItem& item) const;
    void send_routed(NeighbourKey key, net::MacAddress mac, const Held& held);

    Machine& machine_;
    Publisher& publisher_;
    Neighbours* neighbours_ = nullptr;
    Tunnels* tunnels_ = nullptr;
    Routing* routing_ = nullptr;
    Slaves* slaves_ = nullptr;
    News news_;
    Heard heard_;
    IcmpLimiter limiter_;
    std::vector<OwnAddress> addresses_;
    struct Released {
        NeighbourKey key;
        net::MacAddress mac;
        Held held;
    };
    std::vector<Released> released_;
    struct Asker {
        std::uint32_t asked = 0;  ///< neighbours that have not answered yet
        std::uint32_t held = 0;   ///< packets
    };
    std::map<std::uint16_t, Asker> askers_;           ///< by the port that packets came from
    std::map<NeighbourKey, std::uint16_t> asked_by_;  ///< who has not answered yet, for which port
    std::uint64_t over_quota_ = 0;
    std::uint64_t path_mtu_forged_ = 0;
    Time full_logged_{};
    step::Context context_;
    PuntCounters counters_;
    std::size_t first_ring_ = 0;
};

}  // namespace vxplane::control
