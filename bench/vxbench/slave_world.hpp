// Tables and frames of an ipvlan: one master, many slaves behind one port in memory, routes and
// connections as many as the case asks for.
#pragma once

#include <rte_mbuf.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bench/vxbench/network.hpp"
#include "dataplane/table/conntrack.hpp"

namespace vxplane::bench {

enum class SlaveWay : std::uint8_t { to_wire, from_wire, to_sibling, to_segment };

/// One row of `vxbench slaves`.
struct SlaveCase {
    SlaveWay way = SlaveWay::to_wire;
    std::uint32_t slaves = 1;
    std::uint32_t routes = 1;       ///< in the slaves' table
    std::uint32_t connections = 0;  ///< 0: nothing is tracked
    bool nat = false;               ///< connections are translated
    bool tcp = false;               ///< they are TCP, and established; else UDP, not answered yet
    [[nodiscard]] std::string text() const;
};

/// Everything but the ports is its own. Slaves send by one port each in turn: DPDK has few ports,
/// so the port changes hands between bursts.
class SlaveWorld {
  public:
    SlaveWorld(const SlaveCase& which, PortIds ports);

    [[nodiscard]] const table::Tables* tables() const noexcept { return &tables_; }
    /// The slave that the next burst from the access port comes from.
    void enter(std::uint32_t slave) noexcept { access_->slave = static_cast<std::uint16_t>(slave); }
    /// A frame of 64 bytes of `slave`, or to it; `random` chooses route and connection.
    void write(rte_mbuf* mbuf, std::uint32_t slave, std::uint32_t random) const;
    /// What is wrong with a frame that came out; empty when nothing is.
    [[nodiscard]] std::string check(const rte_mbuf* mbuf) const;
    [[nodiscard]] const SlaveCase& subject() const noexcept { return case_; }

  private:
    /// Who talks to whom, and by which ports.
    struct Flow {
        std::uint32_t slave = 0;
        std::uint32_t remote = 0;
        std::uint16_t slave_port = 0;
    };
    [[nodiscard]] Flow flow(std::uint32_t slave, std::uint32_t random) const noexcept;
    [[nodiscard]] Flow connection(std::uint32_t number) const noexcept;
    void fill_routes(PortIds ports);
    void fill_connections();
    void fill_tables(PortIds ports);

    SlaveCase case_;
    table::Tables tables_;
    std::unique_ptr<table::Fdb> fdb_;
    std::unique_ptr<table::RouteTable> empty_, main_, own_;
    std::unique_ptr<table::Conntrack> conntrack_;
    std::vector<table::NextHop> hops_;
    table::PortEntry* access_ = nullptr;
};

}  // namespace vxplane::bench
