#include "control/apply/underlay_groups.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "control/apply/words.hpp"
#include "dataplane/net/icmpv6.hpp"

namespace vxplane::control {

UnderlayGroups::UnderlayGroups(Machine& machine, Bridge& bridge, std::uint64_t seed)
    : machine_(machine), bridge_(bridge), joined_(seed) {}

void UnderlayGroups::follow_segments(Time now) {
    shape_ = bridge_.shape_version();
    std::map<Key, std::set<std::uint16_t>> wanted;
    for (std::size_t i = 0; i < bridge_.segment_count(); ++i) {
        const auto index = static_cast<std::uint16_t>(i);
        const SegmentSpec& spec = bridge_.segment(index);
        if (bridge_.is_up(index) && !spec.group.is_unset()) {
            wanted[{spec.profile.dev, spec.group}].insert(index);
        }
    }
    for (const auto& [key, segments] : wanted) {
        joined_.set_port(key.first, net::MacAddress::from_number(bridge_.port(key.first).mac),
                         bridge_.addresses_of(key.first));
        joined_.join(key.first, key.second, now);  // before another one is left
        uses_[key];
    }
    for (auto& [key, use] : uses_) {
        const auto at = wanted.find(key);
        std::set<std::uint16_t> next = at == wanted.end() ? std::set<std::uint16_t>{} : at->second;
        for (const std::uint16_t segment : use.segments) {
            if (!next.contains(segment) && bridge_.is_up(segment) &&
                !bridge_.segment(segment).group.is_unset()) {
                use.lingering[segment] = now + kLinger;
            }
        }
        std::erase_if(use.lingering, [&](const auto& one) {
            return next.contains(one.first) || !bridge_.is_up(one.first);
        });
        use.segments = std::move(next);
    }
    changed_ = true;
    end_lingering(now);
    std::set<std::uint16_t> ports;
    for (const auto& [port, filter] : filters_) {
        ports.insert(port);
    }
    for (const auto& [key, use] : uses_) {
        ports.insert(key.first);
    }
    std::ranges::for_each(ports, [this](std::uint16_t port) { tell_device(port); });
}

void UnderlayGroups::end_lingering(Time now) {
    for (auto at = uses_.begin(); at != uses_.end();) {
        auto& [key, use] = *at;
        const auto over =
            std::erase_if(use.lingering, [now](const auto& one) { return one.second <= now; });
        changed_ = changed_ || over != 0;
        if (use.segments.empty() && use.lingering.empty()) {
            joined_.leave(key.first, key.second, now);
            at = uses_.erase(at);
            changed_ = true;
            continue;
        }
        ++at;
    }
}

void UnderlayGroups::tell_device(std::uint16_t port) {
    const OpenPort* open = machine_.by_id(port);
    if (open == nullptr) {
        return;
    }
    std::set<std::uint64_t> macs;
    for (const auto& [key, use] : uses_) {
        if (key.first == port) {
            macs.insert(net::group_mac(key.second).number());
        }
    }
    std::vector<port::MacBytes> list;
    for (const std::uint64_t mac : macs) {
        list.push_back(net::MacAddress::from_number(mac).bytes);
    }
    std::string& filter = filters_[port];
    const std::string now = open->port->hear_groups(list);
    if (filter != now && !list.empty()) {
        spdlog::info("port {}: multicast of groups comes in by {}", open->port->name(), now);
    }
    filter = now;
}

void UnderlayGroups::follow_links(Time now) {
    constexpr std::chrono::milliseconds kLook{100};
    if (now - looked_ < kLook) {
        return;
    }
    looked_ = now;
    for (const auto& [port, filter] : filters_) {
        const OpenPort* open = machine_.by_id(port);
        const bool up = open != nullptr && open->port->link().up;
        const auto [at, fresh] = links_.try_emplace(port, up);
        if (!fresh && up && !at->second) {
            joined_.link_is_back(port, now);
        }
        at->second = up;
    }
}

void UnderlayGroups::tick(
    Time now, const std::function<void(std::uint16_t, std::span<const std::byte>)>& send) {
    if (shape_ != bridge_.shape_version()) {
        follow_segments(now);
    }
    if (uses_.empty() && filters_.empty()) {
        return;
    }
    end_lingering(now);
    follow_links(now);
    joined_.tick(now);
    for (const JoinedGroups::Frame& frame : joined_.take_frames()) {
        send(frame.port, frame.bytes);
    }
}

void UnderlayGroups::hear(std::uint16_t port, std::span<const std::byte> frame, Time now) {
    if (frame.size() > sizeof(net::EthernetHeader)) {
        joined_.hear(port, frame.subspan(sizeof(net::EthernetHeader)), now);
    }
}

std::vector<UnderlayGroups::View> UnderlayGroups::views(Time now) const {
    std::vector<View> all;
    for (const JoinedGroups::View& group : joined_.views(now)) {
        View view{group, {}, {}};
        if (const auto use = uses_.find({group.port, group.group}); use != uses_.end()) {
            view.segments.assign(use->second.segments.begin(), use->second.segments.end());
        }
        if (const auto filter = filters_.find(group.port); filter != filters_.end()) {
            view.filter = filter->second;
        }
        all.push_back(std::move(view));
    }
    return all;
}

void UnderlayGroups::fill(table::Tables& next) {
    std::vector<std::pair<table::ScopedAddress, std::uint32_t>> joined;
    std::vector<std::pair<std::uint64_t, std::uint32_t>> segments;
    for (const auto& [key, use] : uses_) {
        const auto number = static_cast<std::uint32_t>(joined.size());
        joined.emplace_back(table::ScopedAddress{key.second, key.first}, number);
        for (const std::uint16_t segment : use.segments) {
            segments.emplace_back(table::group_segment_key(number, segment), 0);
        }
        for (const auto& [segment, until] : use.lingering) {
            segments.emplace_back(table::group_segment_key(number, segment), 0);
        }
    }
    next.joined = joined.empty() ? nullptr : std::make_shared<const table::AddressMap>(joined);
    next.group_segments = std::make_shared<const table::FlatMap>(segments);
    changed_ = false;
}

}  // namespace vxplane::control
