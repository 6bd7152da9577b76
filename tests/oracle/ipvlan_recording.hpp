// A file of recorded ipvlan behaviour (format ipvlan-oracle/1) as plain values: one master in one
// mode, its slaves, and cases of one stimulus each.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "recording.hpp"

namespace vxplane::oracle {

/// A datagram as the IP layer of a namespace got it, by what survives reassembly and options: see
/// ip_layer.hpp.
using Datagrams = std::map<std::string, std::vector<std::string>>;

struct IpvlanCase {
    std::string id;
    std::vector<Injected> inject{};
    Frames expect{};
    Datagrams accepted{};                  ///< namespace -> what its IP layer took
    std::vector<Injected> by_stack{};      ///< ARP requests and NS of the host's stack
    std::vector<nlohmann::json> before{};  ///< actions, as in the file
};

/// What was seen of a scenario at one place.
struct Event {
    enum class Kind : std::uint8_t {
        sent,     ///< by a live stack, at its device
        seen,     ///< at the wire, a slave's device, the host's
        accepted  ///< by the IP layer of a namespace: `bytes` begin with the IP header
    };
    double time = 0;  ///< seconds; order within 20 ms says nothing across ports
    Kind kind = Kind::seen;
    std::string port;  ///< or namespace
    Bytes bytes{};
    bool checksum_open = false;  ///< of UDP or TCP: still to be completed by the device
};

/// ["inject", "ext", "0200..."], ["wait", 0.2], ["cmd", "ip -n s1 addr add ..."], ...
struct Step {
    double time = 0;
    nlohmann::json words{};
    bool failed = false;  ///< a command that was refused
};

/// Live stacks, rules and time.
struct Scenario {
    std::string id;
    std::vector<nlohmann::json> setup{};  ///< actions, as in the file
    std::vector<Step> steps{};
    std::vector<Event> events{};
    /// namespace -> "v4_input" -> packets
    std::map<std::string, std::map<std::string, unsigned>> hooks{};
    std::map<std::string, std::string> queries{};  ///< command -> what it printed in the end
};

struct IpvlanRecording {
    std::string group;
    std::string mode;
    std::string flag;
    nlohmann::json topology{};
    std::vector<IpvlanCase> cases{};
    std::vector<Scenario> scenarios{};
};

/// Throws std::runtime_error with the file's name.
IpvlanRecording load_ipvlan_recording(const std::string& path);

}  // namespace vxplane::oracle
