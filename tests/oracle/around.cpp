#include "around.hpp"

#include <string_view>

namespace vxplane::oracle {
namespace {

/// Settings of the bridge and of the recording set-up that no frame shows.
bool no_matter(const std::string& command) {
    const auto has = [&](const char* text) { return command.find(text) != std::string::npos; };
    return has("/disable_ipv6") || has(" in bridge br1") || has("/addr_gen_mode") ||
           command.starts_with("nft ") ||
           (command.starts_with("bridge link set dev acc") && command.ends_with(" learning off"));
}

/// nft add rule ... meta mark set NUMBER: the kernel's way to give a frame a group policy, whose
/// bits stand where the header has them. Any mark but 0 is one.
bool set_mark(const std::string& command, Setup& setup) {
    constexpr std::string_view kWords = " meta mark set ";
    const std::size_t at = command.find(kWords);
    if (!command.starts_with("nft add rule ") || at == std::string::npos) return false;
    const unsigned long mark = std::stoul(command.substr(at + kWords.size()), nullptr, 0);
    constexpr unsigned kFlags = net::GroupPolicy::kApplied | net::GroupPolicy::kDontLearn;
    setup.mark = mark == 0 ? net::GroupPolicy{}
                           : net::GroupPolicy::of(static_cast<std::uint16_t>(mark & 0xFFFFU),
                                                  static_cast<std::uint8_t>(mark >> 16 & kFlags));
    return true;
}

/// What the data plane has no word for; rules say what becomes of it.
bool say(const std::string& command, Setup& setup) {
    const bool of_a_port = command.starts_with("bridge link set dev ");
    const char* fact = command == "ip link set under down"              ? "uplink_down"
                       : of_a_port && command.ends_with(" hairpin on")  ? "bridge_hairpin"
                       : of_a_port && command.ends_with(" isolated on") ? "bridge_isolated"
                                                                        : nullptr;
    if (fact != nullptr) setup.said.insert(fact);
    return fact != nullptr;
}

}  // namespace

bool is_around(const std::string& command, Setup& setup) {
    return set_mark(command, setup) || no_matter(command) || say(command, setup);
}

}  // namespace vxplane::oracle
