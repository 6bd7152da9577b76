// The life of an open port. How it comes to be is in port_open.cpp.
#include "dataplane/port/port.hpp"

#include <net/if.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <string_view>

#include "dataplane/port/device.hpp"
#include "dataplane/port/log_stream.hpp"

namespace vxplane::port {

namespace {

/// Carrier and administrative state of a kernel interface; none when there is no such interface in
/// this network namespace.
std::optional<bool> is_running(const std::string& interface) {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    interface.copy(request.ifr_name, sizeof request.ifr_name - 1);
    const bool known = fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0;
    if (fd >= 0) close(fd);
    if (!known) return std::nullopt;
    constexpr int both = IFF_UP | IFF_RUNNING;
    return (request.ifr_flags & both) == both;
}

}  // namespace

Port::~Port() {
    if (id_ == RTE_MAX_ETHPORTS) return;
    if (!carrier_) set_carrier(true);
    stop();
    tap_end_.close();
    rte_eth_dev_close(id_);
    if (!bus_.empty()) rte_eal_hotplug_remove(bus_.c_str(), device_name_.c_str());
}

std::optional<bool> Port::tap_runs() const noexcept {
    constexpr std::chrono::seconds kLook{1};
    const auto now = std::chrono::steady_clock::now();
    if (now - seen_.when >= kLook) {
        constexpr unsigned both = IFF_UP | IFF_RUNNING;
        const std::optional<unsigned> flags = tap_end_.flags();
        seen_ = {now, flags ? std::optional((*flags & both) == both) : std::nullopt};
    }
    return seen_.runs;
}

LinkStatus Port::link() const noexcept {
    // These drivers name an interface and do not follow its state. A tap that was moved to another
    // network namespace has carrier as long as we hold its descriptor; a lost interface has none.
    if (const auto device = parse_device(options_.device); device && device->facts != nullptr) {
        const std::string_view driver = device->facts->name;
        const bool tap = driver == "net_tap";
        const std::string interface = device->argument("iface");
        if (!interface.empty() && (tap || driver == "net_af_packet" || driver == "net_af_xdp")) {
            std::optional<bool> runs = is_running(interface);
            if (!runs && tap) runs = tap_runs().value_or(true);
            return {.up = runs.value_or(false), .mbps = 0, .full_duplex = true};
        }
    }
    rte_eth_link link{};
    if (rte_eth_link_get_nowait(id_, &link) != 0) return {};
    LinkStatus status;
    status.up = link.link_status == RTE_ETH_LINK_UP;
    status.mbps = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
    status.full_duplex = link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX;
    return status;
}

DeviceCounters Port::read_device() const noexcept {
    rte_eth_stats stats{};
    if (rte_eth_stats_get(id_, &stats) != 0) return zero_;
    return {stats.imissed, stats.ierrors, stats.rx_nombuf, stats.oerrors};
}

DeviceCounters Port::counters() const noexcept {
    const DeviceCounters now = read_device();
    // A driver that starts over on its own (at link loss, say) must not yield huge differences.
    const auto since = [](std::uint64_t value, std::uint64_t zero) {
        return value >= zero ? value - zero : value;
    };
    return {since(now.imissed, zero_.imissed), since(now.ierrors, zero_.ierrors),
            since(now.rx_nombuf, zero_.rx_nombuf), since(now.oerrors, zero_.oerrors)};
}

void Port::reset_counters() noexcept {
    zero_ = read_device();
}

Outcome Port::start() noexcept {
    if (started_) return Done{};
    if (const int error = rte_eth_dev_start(id_); error != 0)
        return Failure{"port " + options_.name + " (" + options_.device +
                       ") does not start: " + rte_strerror(-error)};
    started_ = true;
    Outcome rss = Done{};
    if (rss_) rss = ensure_rss(id_, rss_bits_, rss_key_);
    if (rss && rss_ && !options_.rss.reta.empty())
        rss = write_reta(id_, options_.rss.reta, rx_queues_);
    if (!rss)
        return Failure{"port " + options_.name + ": " + rss.failure().text, rss.failure().key};
    rss_state_ = read_rss(id_, rx_queues_);
    return Done{};
}

Outcome Port::set_reta(const std::vector<std::uint16_t>& pattern) noexcept {
    if (const Outcome done = write_reta(id_, pattern, rss_ ? rx_queues_ : 0); !done) return done;
    rss_state_ = read_rss(id_, rx_queues_);
    return Done{};
}

void Port::stop() noexcept {
    if (!started_) return;
    started_ = false;
    rte_eth_dev_stop(id_);
}

}  // namespace vxplane::port
