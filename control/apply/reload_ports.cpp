// What a reload changes of ports: MAC addresses and MTUs of devices first, as they may refuse; what
// workers know of them is in the one publication of all.
#include <rte_ethdev.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "config/resolve.hpp"
#include "control/apply/from_topology.hpp"
#include "control/apply/reload.hpp"
#include "control/apply/words.hpp"

namespace vxplane::control {

void Reload::refuse_ports(std::vector<std::string>& all) const {
    for (const config::Port& port : to_.ports) {
        const config::Port* before = config::find_port(from_, port.name);
        if (before == nullptr) {
            continue;
        }
        const std::uint16_t mtu = device_mtu(to_, port);
        if (port::packet_data_room(mtu) > port::packet_data_room(parts_.machine.buffer_mtu())) {
            all.push_back("ports." + port.name + ".mtu: packet buffers hold frames of MTU " +
                          std::to_string(parts_.machine.buffer_mtu()) +
                          " since the process started: it takes a restart");
        }
        if (before->mac != port.mac && !port.mac) {
            all.push_back("ports." + port.name +
                          ".mac: the device's own is read when the port is opened: it takes a "
                          "restart");
        } else if (before->mac != port.mac && port.role != config::PortRole::underlay) {
            all.push_back("ports." + port.name +
                          ".mac: is set when the port is opened, unless it is an underlay's: it "
                          "takes a restart");
        }
    }
}

Reload::Problem Reload::prepare_ports() {
    const auto tell = [this](port::Port& port, std::uint16_t mtu) -> Problem {
        const std::uint16_t was = port.mtu();
        if (was == mtu) {
            return std::nullopt;
        }
        if (const port::Outcome done = port.set_mtu(mtu); !done) {
            return done.failure().text;
        }
        undo([&port, was] {
            if (const port::Outcome back = port.set_mtu(was); !back) {
                spdlog::error("reload: {}", back.failure().text);
            }
        });
        return std::nullopt;
    };
    for (const config::Port& port : to_.ports) {
        const config::Port* before = config::find_port(from_, port.name);
        const OpenPort* open = parts_.machine.by_name(port.name);
        if (open == nullptr || before == nullptr) {
            continue;
        }
        const OpenPort* twin =
            open->partner == table::kNoPort ? nullptr : parts_.machine.by_id(open->partner);
        undo([open, was = open->port->offered_mtu()] { open->port->offer_mtu(was); });
        if (const std::uint16_t mtu = device_mtu(to_, port); mtu != device_mtu(from_, *before)) {
            if (auto problem = tell(*open->port, mtu)) {
                return problem;
            }
            if (twin != nullptr) {
                if (auto problem = tell(*twin->port, mtu)) {
                    return problem;
                }
            }
        }
        if (const std::uint16_t mtu = offered_mtu(to_, port);
            open->port->tap_end() && mtu != open->port->offered_mtu()) {
            open->port->offer_mtu(mtu);
            spdlog::info("port {}: the interface behind it has MTU {} now", port.name,
                         open->port->offered_mtu());
        }
        if (port.mac && port.mac->bytes != open->port->mac()) {
            const auto set = [open, twin](const port::MacBytes& mac) {
                open->port->set_mac(mac);
                if (twin != nullptr) {
                    twin->port->share_mac(mac);
                }
            };
            undo([set, was = open->port->mac()] { set(was); });
            set(port.mac->bytes);
        }
    }
    return std::nullopt;
}

void Reload::set_frames() {
    for (const OpenPort& open : parts_.machine.ports()) {
        const config::Port* port = config::find_port(to_, open.config->name);
        if (port == nullptr) {
            continue;
        }
        const std::uint16_t mtu = std::min(device_mtu(to_, *port), open.port->mtu());
        parts_.bridge.set_max_frame(open.port->id(),
                                    static_cast<std::uint16_t>(mtu + sizeof(net::EthernetHeader)));
        if (port->role == config::PortRole::underlay) {
            parts_.bridge.set_mac(open.port->id(), net::MacAddress{open.port->mac()}.number());
        }
    }
}

void Reload::set_ports() {
    for (const config::Port& port : to_.ports) {
        const OpenPort* open = parts_.machine.by_name(port.name);
        if (open == nullptr) {
            continue;
        }
        const std::uint16_t id = open->port->id();
        parts_.bridge.change_port(id, port.learning, port.promiscuous, port.reassembly);
        parts_.bridge.set_group_policy(id, group_policy_of(port), port.accept_groups);
        const config::Port* before = config::find_port(from_, port.name);
        if (before != nullptr && before->promiscuous != port.promiscuous &&
            port.role == config::PortRole::underlay) {
            const int done =
                port.promiscuous ? rte_eth_promiscuous_enable(id) : rte_eth_promiscuous_disable(id);
            if (done != 0) {
                spdlog::warn("port {}: the device keeps its promiscuous mode", port.name);
            }
        }
    }
}

void Reload::announce() {
    for (const config::Port& port : to_.ports) {
        const OpenPort* open = parts_.machine.by_name(port.name);
        const config::Port* before = config::find_port(from_, port.name);
        if (open == nullptr || before == nullptr) {
            continue;
        }
        const bool has_more = std::any_of(
            port.addresses.begin(), port.addresses.end(), [before](const config::IpPrefix& one) {
                return std::find(before->addresses.begin(), before->addresses.end(), one) ==
                       before->addresses.end();
            });
        if (has_more || before->mac != port.mac) {
            parts_.neighbours.announce(open->port->id());
        }
    }
}

}  // namespace vxplane::control
