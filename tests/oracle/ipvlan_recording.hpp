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

struct IpvlanRecording {
    std::string group;
    std::string mode;
    std::string flag;
    nlohmann::json topology{};
    std::vector<IpvlanCase> cases{};
    std::vector<std::string> scenarios{};  ///< ids; live stacks, rules, and time
};

/// Throws std::runtime_error with the file's name.
IpvlanRecording load_ipvlan_recording(const std::string& path);

}  // namespace vxplane::oracle
