// A recorded master and its slaves as ports and tables of the data plane, and what came of a case.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "dataplane/table/conntrack.hpp"
#include "facts.hpp"
#include "ipvlan_setup.hpp"
#include "tests/support/lab.hpp"

namespace vxplane::oracle {

/// What the data plane did with the frames of a case.
struct Outcome {
    Frames
        frames{};  ///< by the recording's ports; `host` is the twin, and control for ARP and echo
    std::vector<net::IpAddress> asked{};  ///< neighbours whose MAC address control was asked for
    std::vector<Bytes> refused{};         ///< frames whose sender control was asked to tell so
    Facts facts{};
};

class IpvlanScene {
  public:
    explicit IpvlanScene(const IpvlanSetup& setup);
    Outcome play(const std::vector<Injected>& stimuli, support::Memory memory);
    /// The same ports in another state; connections stay.
    void change(const IpvlanSetup& setup);
    void pass_time(std::uint32_t milliseconds) { lab_.pass_time(milliseconds); }
    /// How often a rule of the setup has matched; 0 for a namespace without rules.
    [[nodiscard]] table::RuleCounters::Count matched(const std::string& name, std::uint32_t rule);
    /// Null where no rules are.
    [[nodiscard]] const table::Conntrack* conntrack() const { return conntrack_.get(); }

  private:
    void configure();
    void fill(table::Tables& tables);
    std::uint32_t next_hop(const Network::Route& route);
    void note(const support::Seen& seen, Outcome& outcome) const;

    IpvlanSetup setup_;
    support::Lab lab_{};
    std::map<std::string, support::PortId> ports_{};
    std::vector<std::unique_ptr<table::RouteTable>> routes_{};  ///< the last one is in use
    table::RouteTable none_{1};
    std::vector<table::NextHop> next_hops_{{}};
    std::vector<table::Neighbour> neighbours_{};
    std::map<net::IpAddress, std::uint32_t> neighbour_numbers_{};
    std::unique_ptr<table::Conntrack> conntrack_{};
    bool played_ = false;
};

}  // namespace vxplane::oracle
