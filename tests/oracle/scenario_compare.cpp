// The comparison.
#include "scenario_compare.hpp"

#include <algorithm>

#include "ip_layer.hpp"
#include "stack_frames.hpp"

namespace vxplane::oracle {
namespace {

constexpr std::size_t kIp = 14;

std::string first_difference(const Bytes& mine, const Bytes& theirs) {
    if (mine.size() != theirs.size())
        return std::to_string(mine.size()) + " bytes, kernel " + std::to_string(theirs.size());
    const auto [a, b] = std::mismatch(mine.begin(), mine.end(), theirs.begin());
    return "byte " + std::to_string(a - mine.begin()) + " is " + support::hex({*a}) + ", kernel " +
           support::hex({*b});
}

/// A datagram at the host's loopback is ours at the twin but for its Ethernet header.
struct Sight {
    Bytes bytes;
    bool from_ip = false;
    [[nodiscard]] bool is(const Bytes& mine) const {
        if (!from_ip) return bytes == mine;
        return mine.size() == bytes.size() &&
               std::equal(mine.begin() + kIp, mine.end(), bytes.begin() + kIp);
    }
};

std::vector<Bytes> frames_at(const std::string& port, const Outcome& ours) {
    std::vector<Bytes> all;
    if (const auto found = ours.frames.find(port); found != ours.frames.end())
        for (const Bytes& frame : found->second) all.push_back(completed_frame(frame));
    return all;
}

std::string take_out_sights(const std::string& port, const Outcomes& ours,
                            std::vector<Sight>& theirs) {
    for (const Outcome& outcome : ours) {
        std::ptrdiff_t from = 0;
        for (const Bytes& mine : frames_at(port, outcome)) {
            const auto begin =
                theirs.begin() + std::min<std::ptrdiff_t>(from, std::ptrdiff_t(theirs.size()));
            const auto same =
                std::find_if(begin, theirs.end(), [&](const Sight& one) { return one.is(mine); });
            if (same == theirs.end()) {
                std::string text = port + ": the kernel has no frame " + one_line(mine);
                if (theirs.size() == 1)
                    text = port + ": " + first_difference(mine, theirs.front().bytes);
                return text;
            }
            from = same - theirs.begin();
            theirs.erase(same);
        }
    }
    return {};
}

std::vector<Sight> sights_at(const std::string& name, const Passage& passage) {
    std::vector<Sight> all;
    for (const auto& [port, frames] : passage.seen) {
        const bool by_device = name == "host" && port.starts_with("host_");
        if (port != name && !by_device) continue;
        for (const Bytes& frame : frames) all.push_back({completed_frame(frame), by_device});
    }
    return all;
}

std::string left_over(const std::string& port, const std::vector<Sight>& theirs) {
    return theirs.empty() ? std::string{}
                          : port + ": ours lacks " + std::to_string(theirs.size()) +
                                " frames, the first is " + one_line(theirs.front().bytes);
}

/// Mode l3s: slaves' devices show what siblings sent; everything from the wire passes the host's.
std::string passed_up_difference(const Passage& passage, const Outcomes& ours,
                                 const IpvlanSetup& setup) {
    Outcomes up = ours;
    for (const auto& [name, network] : setup.slaves) {
        std::vector<Sight> seen = sights_at(name, passage);
        for (Outcome& outcome : up) {
            for (const Bytes& mine : frames_at(name, outcome)) {
                const auto same = std::find_if(seen.begin(), seen.end(),
                                               [&](const Sight& one) { return one.is(mine); });
                if (same == seen.end())
                    outcome.frames["host"].push_back(mine);
                else
                    seen.erase(same);
            }
        }
    }
    std::vector<Sight> theirs = sights_at("host", passage);
    // Where the frames went has no order between slaves and host.
    std::string text = take_out_sights("host", up, theirs);
    return text.empty() ? left_over("host", theirs) : text;
}

std::string datagrams_at(const std::string& name, const Network& network, const Passage& passage,
                         const Outcomes& ours) {
    std::vector<Bytes> frames;
    for (const Outcome& outcome : ours)
        for (Bytes& frame : frames_at(name, outcome)) frames.push_back(std::move(frame));
    std::vector<std::string> mine = accepted_by(network, frames);
    if (const auto found = passage.accepted.find(name); found != passage.accepted.end())
        for (const Bytes& packet : found->second) {
            const auto same =
                std::find(mine.begin(), mine.end(), datagram_text(completed_packet(packet)));
            if (same != mine.end())
                mine.erase(same);
            else if (!passage.speakers.contains(name) || !network.owns(packet_sender(packet)))
                return name + " does not take " + one_line(packet);
        }
    if (mine.empty()) return {};
    std::string text = name + ": its kernel does not take " + mine.front().substr(0, 200);
    std::erase(text, '\n');
    return text;
}

}  // namespace

std::string take_out(const std::string& port, const Outcomes& ours, std::vector<Bytes>& theirs) {
    std::vector<Sight> sights;
    for (const Bytes& frame : theirs) sights.push_back({completed_frame(frame), false});
    std::string text = take_out_sights(port, ours, sights);
    theirs.clear();
    for (Sight& one : sights) theirs.push_back(std::move(one.bytes));
    return text;
}

std::string device_difference(const std::string& name, const Passage& passage, const Outcomes& ours,
                              const IpvlanSetup& setup) {
    const bool by_layer = setup.mode == table::IpvlanMode::l3s;
    if (by_layer && name == "host") return passed_up_difference(passage, ours, setup);
    std::vector<Sight> theirs = sights_at(name, passage);
    if (!by_layer) {
        std::string text = take_out_sights(name, ours, theirs);
        return text.empty() ? left_over(name, theirs) : text;
    }
    // The others came from the wire.
    for (const Outcome& outcome : ours)
        for (const Bytes& mine : frames_at(name, outcome))
            if (const auto same = std::find_if(theirs.begin(), theirs.end(),
                                               [&](const Sight& one) { return one.is(mine); });
                same != theirs.end())
                theirs.erase(same);
    return left_over(name, theirs);
}

std::string datagram_difference(const Passage& passage, const Outcomes& ours,
                                const IpvlanSetup& setup) {
    for (const auto& [name, network] : setup.slaves)
        if (std::string text = datagrams_at(name, network, passage, ours); !text.empty())
            return text;
    // Behind the twin the host's own rules come once more, and only the kernel knows them there.
    if (setup.rules.contains("host") && setup.mode != table::IpvlanMode::l3s) return {};
    return datagrams_at("host", setup.host, passage, ours);
}

}  // namespace vxplane::oracle
