// The network that a case plays in: which address of which segment is where. Fills the forwarding
// database and the tables of the worker, and chooses the addresses of frames from the same plan.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "bench/vxbench/options.hpp"
#include "dataplane/table/tables.hpp"

namespace vxplane::bench {

/// DPDK ids of the two ports; ids from kFirstTenant on are further names of the access port, one
/// per segment, for a worker delivers a segment's frames only to ports of that segment.
struct PortIds {
    std::uint16_t access = 0;
    std::uint16_t underlay = 1;
};
constexpr std::uint16_t kFirstTenant = 2;

/// A tenant's address, by its number in the plan.
struct Host {
    std::uint32_t number = 0;
    std::uint64_t mac = 0;
    std::uint32_t remote = 0;  ///< VTEP it is behind, if it is remote
};

/// `macs` entries that packets use. Without learning all are destinations; with learning one half
/// are destinations and the other half sources. There is at least one of each in each segment.
class Network {
  public:
    /// What a full network holds: entries in the FDB, those of packets among them, segments,
    /// remotes of one flood list that all segments have.
    static constexpr std::uint32_t kFullEntries = 1'000'000;
    static constexpr std::uint32_t kFullSegments = 10'000;
    static constexpr std::uint32_t kFullRemotes = 4096;
    /// More remotes than these share them.
    static constexpr std::uint32_t kNextHops = 1000;

    Network(const Case& which, const Options& options, PortIds ports);

    /// Segments and entries that packets use.
    [[nodiscard]] std::uint32_t vnis() const noexcept { return vnis_; }
    [[nodiscard]] std::uint32_t entries() const noexcept { return destinations_ + sources_; }
    /// Segment i has VNI 1000 + i.
    [[nodiscard]] static net::Vni vni(std::uint32_t segment) noexcept { return {1000 + segment}; }
    /// The destination that `random` chooses in a segment.
    [[nodiscard]] Host destination(std::uint32_t segment, std::uint32_t random) const noexcept;
    /// The source likewise; without learning, one that is in no table.
    [[nodiscard]] Host source(std::uint32_t segment, std::uint32_t random) const noexcept;

    [[nodiscard]] static net::Ipv4Address local_vtep() noexcept;
    [[nodiscard]] static net::Ipv4Address remote_vtep(std::uint32_t remote) noexcept;
    [[nodiscard]] static net::IpAddress local_vtep6() noexcept;
    [[nodiscard]] static net::IpAddress remote_vtep6(std::uint32_t remote) noexcept;
    [[nodiscard]] static net::MacAddress underlay_mac() noexcept;
    [[nodiscard]] static net::MacAddress next_hop(std::uint32_t remote) noexcept;
    static constexpr std::uint16_t kDstport = 4789;
    static constexpr std::uint16_t kInsideMtu = 1450;
    /// Of all tenants' frames, with Extra::gbp.
    static constexpr std::uint16_t kGroup = 7;
    /// With Extra::trunk: the VLAN of a segment, and segments on one trunk.
    [[nodiscard]] static std::uint16_t vid(std::uint32_t segment) noexcept {
        return static_cast<std::uint16_t>(1 + segment % kOnTrunk);
    }
    static constexpr std::uint32_t kOnTrunk = 4000;

    [[nodiscard]] const table::Tables* tables() const noexcept { return &tables_; }
    /// The access port is in `segment` from now on, as if the next burst came by another port: an
    /// access port is in one segment, and there are fewer ports than segments to measure.
    void enter(std::uint32_t segment) const noexcept {
        if (case_.extra == Extra::trunk) {
            access_->trunk = static_cast<std::uint16_t>(segment / kOnTrunk);
        } else {
            access_->segment = static_cast<std::uint16_t>(segment);
        }
    }

  private:
    [[nodiscard]] Host host(std::uint32_t number) const noexcept;
    [[nodiscard]] std::uint16_t segment_of(std::uint32_t number) const noexcept;
    /// Where decapsulated frames of a segment leave.
    [[nodiscard]] std::uint16_t exit_of(std::uint32_t segment) const noexcept;
    void fill_fdb();
    void fill_segments();
    void fill_tunnels();
    void fill_ports();

    Case case_;
    PortIds ports_;
    std::uint32_t remotes_;
    std::uint32_t vnis_;
    std::uint32_t segments_;
    std::uint32_t destinations_;
    std::uint32_t sources_;
    std::unique_ptr<table::Fdb> fdb_;
    table::Tables tables_;
    table::PortEntry* access_ = nullptr;  ///< in tables_
};

}  // namespace vxplane::bench
