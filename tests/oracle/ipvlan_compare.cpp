// The comparison.
#include "ipvlan_compare.hpp"

#include <algorithm>

#include "ip_layer.hpp"

namespace vxplane::oracle {
namespace {

constexpr std::size_t kNetwork = 14;

/// What is expected at a port; of some frames only what begins with the IP header.
struct Expected {
    Bytes bytes{};
    bool from_ip = false;
};

bool is_device_of_host(const std::string& port) {
    return port.starts_with("host_");
}

Bytes from_ip(const Bytes& frame) {
    return {frame.begin() + std::min<long>(kNetwork, long(frame.size())), frame.end()};
}

std::string frame_difference(const Expected& expected, const Bytes& ours) {
    const Bytes theirs = expected.from_ip ? from_ip(expected.bytes) : expected.bytes;
    const Bytes mine = expected.from_ip ? from_ip(ours) : ours;
    if (theirs == mine) return {};
    if (theirs.size() != mine.size())
        return std::to_string(mine.size()) + " bytes, kernel " + std::to_string(theirs.size());
    const auto [a, b] = std::mismatch(mine.begin(), mine.end(), theirs.begin());
    return "byte " + std::to_string(a - mine.begin()) + " is " + support::hex({*a}) + ", kernel " +
           support::hex({*b});
}

std::string count_difference(const std::string& what, std::size_t ours, std::size_t theirs) {
    return what + ": " + std::to_string(ours) + " frames, kernel " + std::to_string(theirs);
}

std::string list_difference(const std::string& port, const std::vector<Expected>& theirs,
                            const std::vector<Bytes>& mine) {
    if (theirs.size() != mine.size()) return count_difference(port, mine.size(), theirs.size());
    for (std::size_t i = 0; i < mine.size(); ++i)
        if (const std::string text = frame_difference(theirs[i], mine[i]); !text.empty())
            return port + " frame " + std::to_string(i) + ": " + text;
    return {};
}

/// What control asked for, beside what the host's stack sent: the target of each ARP request and of
/// each neighbour solicitation.
std::string asked_difference(const IpvlanCase& one, const Outcome& ours) {
    std::set<net::IpAddress> theirs;
    for (const Injected& made : one.by_stack) {
        const Bytes& frame = made.frame;
        if (frame.size() >= kNetwork + 28 && frame[12] == 0x08 && frame[13] == 0x06) {
            theirs.insert(net::Ipv4Address::of(frame[38], frame[39], frame[40], frame[41]));
        } else if (frame.size() >= kNetwork + 64 && frame[12] == 0x86 &&
                   frame[kNetwork + 6] == 58) {
            net::IpAddress target;
            std::copy_n(frame.begin() + kNetwork + 48, 16, target.bytes.begin());
            theirs.insert(target);
        }
    }
    const std::set<net::IpAddress> mine(ours.asked.begin(), ours.asked.end());
    if (mine == theirs) return {};
    return "asks for " + std::to_string(mine.size()) + " neighbours, kernel " +
           std::to_string(theirs.size());
}

std::string accepted_difference(const std::string& name, const Network& network,
                                const std::vector<Bytes>& frames, const Datagrams& expected) {
    std::vector<std::string> mine = accepted_by(network, frames);
    const auto found = expected.find(name);
    std::vector<std::string> theirs =
        found == expected.end() ? std::vector<std::string>{} : found->second;
    std::sort(mine.begin(), mine.end());
    std::sort(theirs.begin(), theirs.end());
    if (mine == theirs) return {};
    if (mine.size() != theirs.size())
        return name + ": " + std::to_string(mine.size()) + " datagrams, kernel " +
               std::to_string(theirs.size());
    return name + ": another datagram";
}

/// Mode l3s: all that was passed up, wherever it went, and what came of it.
std::string passed_up_difference(const IpvlanCase& one, Frames ours, const Frames& delivered,
                                 const std::vector<Expected>& by_device, const IpvlanSetup& setup) {
    std::vector<Bytes> up = ours["host"];
    std::vector<Bytes> theirs;
    if (const auto host = one.expect.find("host"); host != one.expect.end()) theirs = host->second;
    for (const auto& [name, network] : setup.slaves) {
        std::vector<Bytes>& mine = ours[name];
        // What siblings sent is seen at the slave's device in this mode too.
        if (const auto seen = one.expect.find(name); seen != one.expect.end())
            for (const Bytes& frame : seen->second) {
                const auto same = std::find(mine.begin(), mine.end(), frame);
                if (same == mine.end()) return name + ": a frame of the kernel is not here";
                mine.erase(same);
            }
        up.insert(up.end(), mine.begin(), mine.end());
    }
    for (const Expected& frame : by_device) {
        const auto same = std::find_if(up.begin(), up.end(), [&](const Bytes& mine) {
            return frame_difference(frame, mine).empty();
        });
        if (same == up.end()) return "host: a datagram of the kernel is not here";
        up.erase(same);
    }
    if (up.size() != theirs.size())
        return count_difference("host and slaves", up.size(), theirs.size());
    const auto as_set = [](const std::vector<Bytes>& frames) {
        std::multiset<std::string> all;
        for (const Bytes& frame : frames) all.insert(support::hex(frame));
        return all;
    };
    if (as_set(up) != as_set(theirs)) return "host and slaves: not the same frames";
    for (const auto& [name, network] : setup.slaves) {
        const auto mine = delivered.find(name);
        const std::vector<Bytes> none;
        if (std::string text = accepted_difference(
                name, network, mine == delivered.end() ? none : mine->second, one.accepted);
            !text.empty())
            return text;
    }
    const auto at_host = delivered.find("host");
    return accepted_difference("host", setup.host,
                               at_host == delivered.end() ? std::vector<Bytes>{} : at_host->second,
                               one.accepted);
}

}  // namespace

std::string ipvlan_difference(const IpvlanCase& one, const Outcome& ours, const Frames& frames,
                              const IpvlanSetup& setup) {
    std::map<std::string, std::vector<Expected>> expected;
    std::vector<Expected> by_device;
    for (const auto& [port, all] : one.expect)
        for (const Bytes& frame : all)
            if (is_device_of_host(port))
                by_device.push_back({frame, true});
            else
                expected[port].push_back({frame, false});
    if (std::string text = asked_difference(one, ours); !text.empty()) return text;
    const bool by_layer = setup.mode == table::IpvlanMode::l3s;
    if (!by_layer)
        expected["host"].insert(expected["host"].end(), by_device.begin(), by_device.end());
    std::set<std::string> ports;
    for (const auto& [port, all] : expected) ports.insert(port);
    for (const auto& [port, all] : frames) ports.insert(port);
    for (const std::string& port : ports) {
        if (by_layer && port != "ext") continue;
        const auto mine = frames.find(port);
        if (std::string text = list_difference(
                port, expected[port], mine == frames.end() ? std::vector<Bytes>{} : mine->second);
            !text.empty())
            return text;
    }
    return by_layer ? passed_up_difference(one, frames, ours.frames, by_device, setup)
                    : std::string{};
}

}  // namespace vxplane::oracle
