// Cases of vxlans with many VNIs. What a program at the kernel's device says of the tunnel of each
// frame is said by the topology: the VNI by the VLAN of untagged frames, where to and how by the
// vxlan.
#include <algorithm>

#include "compare.hpp"
#include "live_judge.hpp"
#include "live_replay.hpp"

namespace vxplane::oracle {
namespace {

/// A tunnel key, or what of one a program reads.
struct Program {
    bool sends = false;
    bool reads = false;
    std::string read_field{"id"};  ///< what of the outer header becomes the mark
    std::uint32_t vni = 0;
    std::string remote{};
    std::map<std::string, std::string> keys{};
};

/// "tc bpf egress runner/tunkey.c (VNI=100 remote 10.10.10.13 TTL=64)", or -DNAME=VALUE instead.
Program program_of(const std::vector<std::string>& before) {
    Program program;
    for (const std::string& command : before) {
        const std::vector<std::string> words = words_of(command);
        if (words.size() < 3 || words[0] != "tc" || words[1] != "bpf") continue;
        program.sends = words[2] == "egress";
        program.reads = words[2] == "ingress";
        program.vni = 100;
        program.remote = "10.10.10.13";
        for (const std::string& word : words) {
            const std::size_t equals = word.find('=');
            const std::string name = word.substr(0, equals);
            const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
            if (name == "-DVNI")
                program.vni = static_cast<std::uint32_t>(number(value));
            else if (name == "-DTTL")
                program.keys["ttl"] = value == "0" ? "auto" : value;
            else if (name == "-DTOS")  // its ECN bits are those of the frame, here as there
                program.keys["tos"] = std::to_string(number(value) & 0xFCU);
            else if (name == "-DV6")
                program.remote = "fd10::13";
            else if (name == "-DLABEL")
                program.keys["flowlabel"] = value;
            else if (name.starts_with("-DWHAT_"))
                program.read_field = name.substr(7);
            else if (name.starts_with("-D") && name != "-DFLAGS")
                throw Unsupported{"program with " + name};
        }
    }
    return program;
}

class ManyVnis {
  public:
    ManyVnis(const Recording& recording, const Case& one, const std::set<std::uint32_t>& known)
        : recording_{recording},
          case_{one},
          known_{known},
          world_{LiveMachine::get(recording.topology)},
          live_{world_},
          commands_{live_, world_, recording.topology} {}

    Result play(const std::vector<Rule>& rules) {
        Facts facts{"vxlan", "external"};
        const Program program = program_of(case_.before);
        std::uint32_t vni = program.sends ? program.vni : 0;
        for (const Injected& injected : case_.inject)
            if (const std::uint32_t carried = vni_of(injected)) vni = carried;
        if (program.sends && vni == 0) facts.insert("vni_zero");
        prepare(program, vni);
        if (program.sends && vni != 0 && !commands_.device().vnis.contains(vni))
            facts.insert("key_of_another_vni");

        const std::vector<std::uint64_t> before = live_.received_by_segment();
        Frames ours;
        for (const Injected& injected : case_.inject)
            for (auto& [port, frames] : live_.receive(injected.port, injected.frame, facts))
                for (Bytes& frame : frames) ours[port].push_back(std::move(frame));
        Setup setup = live_setup(recording_.topology, commands_.device());
        setup.ipv6 = program.remote.find(':') != std::string::npos;
        facts.merge(facts_of(case_, setup, recording_.topology));
        if (ours.empty()) facts.insert("we_are_silent");
        if (ours.contains("host")) facts.insert("we_deliver");
        if (const std::string law = live_.broken_law(); !law.empty())
            facts.insert("broken_law: " + law);
        std::string what = difference(recording_, case_, ours, setup);
        if (what.empty() && case_.marks && program.read_field != "id") {
            what = "the outer header as a mark: " + program.read_field;
            facts.insert("outer_header_is_read");
        } else if (what.empty() && case_.marks && *case_.marks != received_for(before)) {
            what = "counted for another VNI";
        }
        return verdict_of(case_.id, what, facts, rules);
    }

  private:
    void prepare(const Program& program, std::uint32_t vni) {
        const Config& config = recording_.configs.at(case_.config);
        for (const auto* list : {&config.environment, &config.commands, &config.later})
            for (const std::string& command : *list) {
                if (command.starts_with("ip link add")) {
                    commands_.begin(command, known_);
                    // One of many VNIs is nothing before it has some.
                    if (!commands_.device().external) apply();
                } else if (const Done done = commands_.run(command); done.refused) {
                    throw Unsupported{"`" + command + "`: " + done.why};
                }
            }
        const bool without_key = !program.sends && case_.inject.front().port == "host";
        commands_.untagged(without_key ? 0 : commands_.device().vnis.contains(vni) ? vni : 100);
        if (program.sends) {
            commands_.set_tunnel(program.keys, vni, program.remote);
            if (!commands_.device().vnis.contains(vni)) commands_.untagged(0);
        }
        apply();
    }
    void apply() {
        if (const Live::Problems problems = commands_.apply(false); !problems.empty())
            throw Unsupported{problems.front()};
    }

    /// VNIs of the segments that frames came out of since `before`, as the program tells them.
    std::vector<std::uint32_t> received_for(const std::vector<std::uint64_t>& before) {
        std::vector<std::uint32_t> vnis;
        const std::vector<std::uint64_t> after = live_.received_by_segment();
        for (std::size_t i = 0; i < after.size() && i < live_.bridge().segment_count(); ++i)
            if (after[i] != before[i])
                vnis.push_back(live_.bridge().segment(static_cast<std::uint16_t>(i)).vni.number);
        return vnis;
    }

    const Recording& recording_;
    const Case& case_;
    const std::set<std::uint32_t>& known_;
    LiveMachine& world_;
    Live live_;
    LiveCommands commands_;
};

}  // namespace

std::vector<Result> replay_live_cases(const Recording& recording, const std::vector<Rule>& rules) {
    std::vector<Result> results;
    std::set<std::uint32_t> known{100};
    for (const Case& one : recording.cases) {
        for (const Injected& injected : one.inject) known.insert(vni_of(injected));
        try {
            known.insert(program_of(one.before).vni);
        } catch (const Unsupported&) {
            continue;  // said below
        }
    }
    known.erase(0);
    for (const Case& one : recording.cases) {
        const auto config = recording.configs.find(one.config);
        if (config == recording.configs.end() || !is_live(config->second)) continue;
        try {
            results.push_back(ManyVnis(recording, one, known).play(rules));
        } catch (const Unsupported& problem) {
            results.push_back({one.id, Verdict::unsupported, problem.what});
        }
    }
    return results;
}

}  // namespace vxplane::oracle
