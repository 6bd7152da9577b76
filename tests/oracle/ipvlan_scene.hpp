// A recorded master and its slaves as ports and tables of the data plane, and what came of a case.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "facts.hpp"
#include "ipvlan_setup.hpp"
#include "tests/support/lab.hpp"

namespace vxplane::oracle {

/// What the data plane did with the frames of a case.
struct Outcome {
    Frames
        frames{};  ///< by the recording's ports; `host` is the twin, and control for ARP and echo
    std::vector<net::IpAddress> asked{};  ///< neighbours whose MAC address control was asked for
    Facts facts{};
};

class IpvlanScene {
  public:
    explicit IpvlanScene(const IpvlanSetup& setup);
    Outcome play(const IpvlanCase& one, support::Memory memory);

  private:
    void fill(table::Tables& tables);
    std::uint32_t next_hop(const Network::Route& route);
    void note(const support::Seen& seen, Outcome& outcome) const;

    IpvlanSetup setup_;
    support::Lab lab_{};
    std::map<std::string, support::PortId> ports_{};
    table::RouteTable routes_{};
    table::RouteTable none_{1};
    std::vector<table::NextHop> next_hops_{{}};
    std::vector<table::Neighbour> neighbours_{};
    std::map<net::IpAddress, std::uint32_t> neighbour_numbers_{};
};

}  // namespace vxplane::oracle
