// What control changes on an open port while workers use it.
#include <rte_errno.h>
#include <rte_ethdev.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "dataplane/port/device.hpp"
#include "dataplane/port/kernel_device.hpp"
#include "dataplane/port/log_stream.hpp"
#include "dataplane/port/port.hpp"

namespace vxplane::port {

namespace {

int tell_address(std::uint16_t id, const MacBytes& mac) {
    rte_ether_addr address{};
    std::memcpy(address.addr_bytes, mac.data(), mac.size());
    const LogCapture log;
    return rte_eth_dev_default_mac_addr_set(id, &address);
}

}  // namespace

std::string Port::kernel_interface() const {
    const auto device = parse_device(options_.device);
    if (!device || device->facts == nullptr) return {};
    const std::string_view driver = device->facts->name;
    return driver == "net_af_packet" || driver == "net_af_xdp" ? device->argument("iface") : "";
}

void Port::share_mac(const MacBytes& mac) {
    mac_ = mac;
    // The driver of a tap knows its interface by name, and only where it was made.
    const int error = tell_address(id_, mac);
    if (error != 0 && !tap_end_.set_mac(mac.data())) {
        note("the device refuses the MAC address of the ipvlan's link (" +
             std::string(rte_strerror(-error)) +
             "): the host behind it has to take that address by itself");
    }
}

void Port::set_mac(const MacBytes& mac) {
    mac_ = mac;
    if (driver_ == "net_tap") return;  // its kernel's end is another host to us
    if (const int error = tell_address(id_, mac); error != 0) {
        note("the device refuses the MAC address (" + std::string(rte_strerror(-error)) +
             "): it is used with promiscuous mode on");
        rte_eth_promiscuous_enable(id_);
        options_.promiscuous = true;
    }
}

Outcome Port::set_mtu(std::uint16_t mtu) {
    int error = 0;
    {
        const LogCapture log;
        error = rte_eth_dev_set_mtu(id_, mtu);
    }
    const auto device = parse_device(options_.device);
    const bool done = error == 0 || error == -ENOTSUP || tap_end_.set_mtu(mtu) ||
                      (driver_ == "net_af_packet" && device && fits_packet_ring(*device, mtu) &&
                       set_kernel_mtu(kernel_interface(), mtu));
    if (!done) {
        return Failure{"port " + options_.name + ": the device refuses MTU " + std::to_string(mtu) +
                           " while it runs (" + rte_strerror(-error) + ")",
                       "mtu"};
    }
    mtu_ = mtu;
    options_.mtu = mtu;
    offered_ = mtu;
    return Done{};
}

void Port::offer_mtu(std::uint16_t mtu) {
    if (mtu == offered_mtu() || !tap_end_) return;
    if (tap_end_.set_mtu(mtu)) {
        offered_ = mtu;
    } else {
        note("the interface behind it was not told of MTU " + std::to_string(mtu));
    }
}

bool Port::follow_mtu() noexcept {
    const std::string interface = kernel_interface();
    if (interface.empty()) return false;
    const std::uint16_t now = std::min(kernel_mtu(interface).value_or(options_.mtu), options_.mtu);
    return std::exchange(mtu_, now) != now;
}

std::string Port::hear_groups(const std::vector<MacBytes>& groups) {
    bool listed = !kernel_interface().empty();
    if (listed) {
        for (const MacBytes& old : kernel_groups_)
            if (std::ranges::find(groups, old) == groups.end())
                hear_kernel_group(kernel_interface(), old.data(), false);
        for (const MacBytes& one : groups)
            if (std::ranges::find(kernel_groups_, one) == kernel_groups_.end())
                listed = hear_kernel_group(kernel_interface(), one.data(), true) && listed;
        kernel_groups_ = groups;
    }
    std::vector<rte_ether_addr> list(groups.size());
    for (std::size_t i = 0; i < groups.size(); ++i)
        std::memcpy(list[i].addr_bytes, groups[i].data(), groups[i].size());
    const LogCapture log;
    if (listed || rte_eth_dev_set_mc_addr_list(id_, list.data(),
                                               static_cast<std::uint32_t>(list.size())) == 0)
        return "list";
    if (rte_eth_allmulticast_get(id_) == 1 || rte_eth_allmulticast_enable(id_) == 0)
        return "allmulticast";
    return rte_eth_promiscuous_get(id_) == 1 ? "promiscuous" : "device";
}

bool Port::set_carrier(bool on) noexcept {
    carrier_ = on;
    seen_ = {};
    if (tap_end_) return tap_end_.set_carrier(on);
    if (const std::string interface = kernel_interface(); !interface.empty())
        return set_kernel_up(interface, on);
    const LogCapture log;
    return (on ? rte_eth_dev_set_link_up(id_) : rte_eth_dev_set_link_down(id_)) == 0;
}

}  // namespace vxplane::port
