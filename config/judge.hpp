// The parts of validate, and what they share. Not for use outside this folder.
#pragma once

#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_set>
#include <utility>
#include <vector>

#include "config/problem.hpp"
#include "config/topology.hpp"

namespace vxplane::config {

/// A topology may name the same few hosts a million times.
struct IpAddressHash {
    std::size_t operator()(const IpAddress& address) const noexcept {
        std::uint64_t high = 0;
        std::uint64_t low = 0;
        std::memcpy(&high, address.bytes.data(), sizeof high);
        std::memcpy(&low, address.bytes.data() + sizeof high, sizeof low);
        // Fibonacci hashing twice, so that neither half is lost.
        const std::uint64_t mixed = (high * 0x9E3779B97F4A7C15ULL ^ low) * 0x9E3779B97F4A7C15ULL;
        return static_cast<std::size_t>(mixed ^ mixed >> 32);
    }
};

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
    /// broadcast, zero, loopback, and unless said otherwise one of our own. Returns whether it can.
    bool remote(Position where, const std::string& path, const IpAddress& address,
                bool may_be_ours = false);
    /// The same for a remote of a segment, which may be link-local where the segment is.
    bool remote_of(const Vxlan& vxlan, Position where, const std::string& path,
                   const IpAddress& address, bool may_be_ours = false);
    /// It can, and was asked for already.
    [[nodiscard]] bool is_known_remote(const IpAddress& address) const {
        return remotes_.contains(address);
    }

  private:
    const Topology& topology_;
    Problems problems_;
    std::set<std::tuple<int, int, std::string, std::string>> told_;
    std::unordered_set<IpAddress, IpAddressHash> remotes_;
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
/// The same for the address of a VTEP.
[[nodiscard]] std::optional<std::string> unfit_vtep(const IpAddress& address);
/// The same for an interface address with its prefix length.
[[nodiscard]] std::optional<std::string> unfit_prefix(const IpPrefix& prefix);

/// `, the nearest is 'NAME'`, or nothing when there is no name.
[[nodiscard]] std::string nearest_text(std::string_view word,
                                       const std::vector<std::string>& names);
/// As the file says it.
[[nodiscard]] std::string_view type_name(RouteType type);

void judge_system(Judge& judge);
void judge_ports(Judge& judge);
void judge_queues(Judge& judge);
void judge_routes(Judge& judge);
void judge_neighbours(Judge& judge);
void judge_nexthops(Judge& judge);
void judge_vxlans(Judge& judge);
void judge_tables(Judge& judge);
void judge_leaks(Judge& judge);
void judge_ipvlans(Judge& judge);
void judge_rules(Judge& judge, const Ipvlan& ipvlan);
void judge_nat(Judge& judge, const Ipvlan& ipvlan);

/// Routes of a table; `home` is the ipvlan and `slave` the slave that it belongs to, both null for
/// one of `tables:`.
void judge_table_routes(Judge& judge, const std::vector<TableRoute>& routes,
                        const std::string& path, const Ipvlan* home, const Slave* slave);
void judge_fdb(Judge& judge, const Vxlan& vxlan);
void judge_watch(Judge& judge, const Vxlan& vxlan);
void judge_group(Judge& judge, const Vxlan& vxlan);
void judge_mdb(Judge& judge, const Vxlan& vxlan);
void judge_groups(Judge& judge);
void judge_trunks(Judge& judge);

}  // namespace vxplane::config
