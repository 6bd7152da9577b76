// The parts of validate, and what they share. Not for use outside this folder.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/problem.hpp"
#include "config/topology.hpp"

namespace vxplane::config {

/// Notes problems of one topology.
class Judge {
  public:
    explicit Judge(const Topology& topology) : topology_(topology) {}

    [[nodiscard]] const Topology& topology() const { return topology_; }
    void refuse(Position where, std::string path, std::string message);
    [[nodiscard]] Problems take() { return std::move(problems_); }

    /// The port of that name if it exists and has the role; otherwise null, with a problem noted.
    const Port* port(Position where, const std::string& path, const std::string& name,
                     PortRole role);

    /// Refuses a number outside [min, max]: for topologies that no file was behind.
    void range(Position where, const std::string& path, std::uint64_t value, std::uint64_t min,
               std::uint64_t max);

    /// Refuses what cannot be the address of one remote host: another family, multicast,
    /// broadcast, zero, loopback, one of our own. Returns whether it can.
    bool remote(Position where, const std::string& path, const IpAddress& address);

  private:
    const Topology& topology_;
    Problems problems_;
};

/// ` (line N)` when the position is known.
[[nodiscard]] std::string line_text(Position where);
[[nodiscard]] std::string item_path(std::string_view list, std::size_t index,
                                    std::string_view key = {});
/// Position of item `index`, or `otherwise` for topologies made by hand.
[[nodiscard]] Position position_at(const std::vector<Position>& all, std::size_t index,
                                   Position otherwise);
/// What makes the address unfit as a unicast host, as the beginning of a message; none if it fits.
[[nodiscard]] std::optional<std::string> unfit_host(const IpAddress& address);

void judge_system(Judge& judge);
void judge_ports(Judge& judge);
void judge_queues(Judge& judge);
void judge_routes(Judge& judge);
void judge_neighbours(Judge& judge);
void judge_nexthops(Judge& judge);
void judge_vxlans(Judge& judge);
void judge_fdb(Judge& judge, const Vxlan& vxlan);

}  // namespace vxplane::config
