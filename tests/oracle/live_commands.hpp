// Commands of ip(8) and bridge(8) done to a running vxplane: what they say of devices becomes a
// topology file and a reload, what they say of the forwarding database goes there.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "live_world.hpp"
#include "words.hpp"

namespace vxplane::oracle {

/// What became of one command.
struct Done {
    bool refused = false;
    std::string why{};                                ///< what we say of a refusal
    std::optional<std::vector<std::string>> shown{};  ///< what a command that shows something shows
};

/// A vxlan as commands describe it.
struct LiveDevice {
    std::map<std::string, std::string> keys{};  ///< of the topology file
    bool external = false;
    bool filtered = false;  ///< `vnifilter`: only `vnis`
    std::set<std::uint32_t> vnis{};
    std::map<std::uint32_t, std::vector<std::string>> remotes{};  ///< of VNIs of an external one
    std::string port{};                                           ///< that is a member
    [[nodiscard]] bool over_ipv6() const;
};

class LiveCommands {
  public:
    /// Device `vx0`, and `vx1` where a recording has it.
    LiveCommands(Live& live, LiveMachine& world, const Topology& topology);

    /// Throws Unsupported, and whatever std::stoul does.
    Done run(const std::string& command);
    /// As `ip link add`, seen with apply(); `known`: VNIs of one that takes any.
    void begin(const std::string& command, const std::set<std::uint32_t>& known);

    /// `vni` is that of frames without a tag, seen with apply(); 0: they have none.
    void untagged(std::uint32_t vni);
    /// What a program says of the tunnel of each frame: keys of the vxlan, and where frames go.
    void set_tunnel(const std::map<std::string, std::string>& keys, std::uint32_t vni,
                    const std::string& remote);
    /// Makes it run. Empty: done.
    Live::Problems apply(bool in_place);

    /// Of vx0 and its VNIs, one line for each remote: `MAC dst ADDRESS ... STATE`.
    [[nodiscard]] std::vector<std::string> fdb(const std::string& device = "vx0") const;
    [[nodiscard]] bool has_device() const { return devices_.contains("vx0"); }
    [[nodiscard]] const LiveDevice& device() const { return devices_.at("vx0"); }

  private:
    Done add_link(Words words);
    Done set_link(Words words);
    Done fdb_command(Words words);
    Done fdb_flush(Words words);
    Done vni_command(Words words);
    void nexthop(Words words);
    [[nodiscard]] std::string text() const;
    Done change_to(std::map<std::string, LiveDevice> next, bool in_place);
    [[nodiscard]] std::optional<std::uint16_t> segment_of(const std::string& device,
                                                          std::uint32_t vni) const;

    Live& live_;
    LiveMachine& world_;
    const Topology& topology_;
    std::map<std::string, LiveDevice> devices_{};
    std::map<unsigned, std::string> nexthops_{};
    std::map<unsigned, std::vector<std::string>> groups_{};
    std::string environment_{};
    std::uint32_t pvid_ = 0;
};

/// A line of `bridge fdb show` in the words of vxplane. Empty: it is of the bridge.
std::string in_our_words(const std::string& line);

}  // namespace vxplane::oracle
