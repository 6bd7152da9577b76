// The life of an open port. How it comes to be is in port_open.cpp.
#include "dataplane/port/port.hpp"

#include <net/if.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include "dataplane/port/device.hpp"

namespace vxplane::port {

namespace {

/// The kernel interface of a net_tap that was given a name; empty for every other device.
std::string tap_interface(const std::string& text) {
    const auto device = parse_device(text);
    return device && device->facts != nullptr && device->facts->name == "net_tap"
               ? device->argument("iface")
               : std::string{};
}

}  // namespace

Port::~Port() {
    if (id_ == RTE_MAX_ETHPORTS) return;
    stop();
    rte_eth_dev_close(id_);
    if (!bus_.empty()) rte_eal_hotplug_remove(bus_.c_str(), device_name_.c_str());
}

LinkStatus Port::link() const noexcept {
    // The driver asks the kernel by name and takes "no such interface" for "down". An interface
    // that was moved to another network namespace has carrier as long as we hold its descriptor.
    if (const std::string ifname = tap_interface(options_.device);
        !ifname.empty() && if_nametoindex(ifname.c_str()) == 0) {
        return {.up = true, .mbps = 0, .full_duplex = true};
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
    return Done{};
}

void Port::stop() noexcept {
    if (!started_) return;
    started_ = false;
    rte_eth_dev_stop(id_);
}

}  // namespace vxplane::port
