// What routers said of the paths to remotes.
#include <algorithm>

#include "control/apply/tunnels.hpp"

namespace vxplane::control {

void Tunnels::reroute_to(const net::IpAddress& remote, Time now) {
    for (std::uint32_t profile = 0; profile < profile_list_.size(); ++profile) {
        if (const auto id = find(profile, remote)) {
            reroute_one(*id, now);
        }
    }
}

std::optional<std::uint16_t> Tunnels::path_mtu(const net::IpAddress& remote) const {
    const auto at = path_mtus_.find(remote);
    return at == path_mtus_.end() ? std::nullopt : std::optional(at->second.mtu);
}

PathMtuResult Tunnels::learn_path_mtu(const PathMtuNews& news, Time now) {
    std::optional<std::uint16_t> uplink_mtu;
    for (std::uint32_t profile = 0; profile < profile_list_.size() && !uplink_mtu; ++profile) {
        const auto id = find(profile, news.remote);
        if (!id) {
            continue;
        }
        const table::TunnelSpec& spec = records_[*id].built;
        const auto uplink = uplinks_.find(spec.out_port);
        const unsigned port = unsigned{news.source_port} - spec.source_port_lo;
        if (uplink != uplinks_.end() && records_[*id].next_hop && spec.local == news.local &&
            spec.dstport == news.dstport && port < spec.source_port_span && news.dont_fragment &&
            (spec.dont_fragment || spec.inherit.df || !news.remote.is_v4()) &&
            news.length <= uplink->second.mtu) {
            uplink_mtu = uplink->second.mtu;
        }
    }
    // What fits is no reason to complain.
    if (!uplink_mtu || news.mtu >= news.length) {
        return PathMtuResult::forged;
    }
    if (!news.remote.is_v4() && news.mtu < kLeastPathMtu6) {
        return PathMtuResult::forged;
    }
    const auto mtu = static_cast<std::uint16_t>(std::max<std::uint32_t>(news.mtu, kLeastPathMtu));
    if (mtu >= *uplink_mtu) {
        return PathMtuResult::known;
    }
    const auto [at, is_new] = path_mtus_.try_emplace(news.remote);
    if (!is_new && mtu > at->second.mtu) {
        return PathMtuResult::known;  // of a packet that left before we knew
    }
    const bool lower = is_new || mtu < at->second.mtu;
    at->second = {mtu, now + kPathMtuLife};
    if (lower) {
        reroute_to(news.remote, now);
    }
    return lower ? PathMtuResult::lowered : PathMtuResult::known;
}

void Tunnels::tick(Time now) {
    for (auto at = path_mtus_.begin(); at != path_mtus_.end();) {
        if (at->second.until > now) {
            ++at;
            continue;
        }
        const net::IpAddress remote = at->first;
        at = path_mtus_.erase(at);
        reroute_to(remote, now);
    }
}

std::size_t Tunnels::flush_path_mtus(const std::optional<net::IpAddress>& remote, Time now) {
    std::vector<net::IpAddress> gone;
    for (const auto& [address, path] : path_mtus_) {
        if (!remote || *remote == address) {
            gone.push_back(address);
        }
    }
    for (const net::IpAddress& address : gone) {
        path_mtus_.erase(address);
        reroute_to(address, now);
    }
    return gone.size();
}

}  // namespace vxplane::control
