// A file of recorded kernel behaviour (format vxlan-oracle/1) as plain values. Met first by the
// replay, which takes everything it knows of a case from here.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/frame.hpp"

namespace vxplane::oracle {

using support::Bytes;

/// Bytes of a frame that may differ from one run to the next.
struct Field {
    std::string name;
    std::size_t offset = 0;
    std::size_t length = 0;
};
using Mask = std::vector<Field>;

struct Injected {
    std::string port;
    Bytes frame{};
};

/// Frames by port, in order.
using Frames = std::map<std::string, std::vector<Bytes>>;

struct Case {
    std::string id;
    std::string config;
    std::vector<Injected> inject{};
    Frames expect{};
    std::map<std::string, std::vector<std::string>> masks{};  ///< beside `expect`
    std::vector<std::string> before{};                        ///< commands
    std::vector<int> source_ports{};  ///< equal numbers: equal source ports; empty: nothing said
    std::optional<std::vector<std::uint32_t>> marks{};  ///< that what was delivered had
    std::string not_comparable{};                       ///< what two recordings did not agree on
};

struct Config {
    std::vector<std::string> commands{};
    std::vector<std::string> refused{};  ///< of `commands`: the kernel said no
    std::vector<std::string> shown{};    ///< entries, where no command tells of any
    std::vector<std::string> environment{};
    std::vector<std::string> later{};  ///< after the device is in its bridge, and up
    bool up = true;
};

/// Commands, then frames, then what was seen.
struct LiveStep {
    struct Command {
        std::string text;
        bool refused = false;
        std::string said{};  ///< on its standard output
    };
    std::vector<Command> commands{};
    Case seen{};                                    ///< `id`: place and note
    std::optional<std::vector<std::string>> fdb{};  ///< of vx0, as bridge(8) shows it
    double wait = 0;                                ///< seconds between commands and what was seen
};

struct LiveScenario {
    std::string id;
    std::string config;
    std::vector<LiveStep> steps{};
};

struct Topology {
    std::map<std::string, std::string> macs{};
    std::string underlay{};  ///< addresses, neighbours and MTU in a sentence
};

struct Recording {
    std::string group;
    Topology topology{};
    std::map<std::string, Mask> masks{};
    std::map<std::string, Config> configs{};
    std::vector<Case> cases{};
    std::vector<LiveScenario> scenarios{};
};

/// Whether cases of a configuration are played through control: many VNIs, next-hop groups, remotes
/// of group addresses.
bool is_live(const Config& config);

/// Reads a .json file, or one packed by xz or gzip. Throws std::runtime_error with the file's name.
Recording load_recording(const std::string& path);

Bytes from_hex(std::string_view text);
std::vector<std::string> words_of(const std::string& text);

}  // namespace vxplane::oracle
