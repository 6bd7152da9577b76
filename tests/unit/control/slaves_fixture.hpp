// An ipvlan in the stack of control and data plane: `ipv` on `up` with slaves red and blue.
#pragma once

#include <string>
#include <vector>

#include "control/apply/slave_routes.hpp"
#include "stack.hpp"

namespace vxplane::control {

inline const net::MacAddress kGateway = mac("02:bb:00:00:00:02");

inline config::IpAddress address(const std::string& text) {
    config::IpAddress out;
    const net::Ipv4Address parsed = ip(text);
    for (unsigned i = 0; i < 4; ++i) {
        out.bytes[i] = static_cast<std::uint8_t>(parsed.number() >> (24 - 8 * i));
    }
    return out;
}

inline config::TableRoute via(const std::string& to, std::uint8_t length,
                              const std::vector<std::string>& gateways) {
    config::TableRoute route;
    route.to = {address(to), length};
    for (const std::string& one : gateways) {
        route.hops.emplace_back();
        route.hops.back().via = address(one);
    }
    return route;
}

/// `ipv` on `up` with slaves red (vm1, 10.1.0.5) and blue (vm2, 10.1.0.6), mode l3; red has a
/// default route of its own by 10.0.0.2.
class ControlSlaves : public Stack {
  protected:
    ControlSlaves() {
        topology.ports = world.topology.ports;
        config::Ipvlan ipvlan;
        ipvlan.name = "ipv";
        ipvlan.link = "up";
        ipvlan.slaves.resize(2);
        ipvlan.slaves[0].name = "red";
        ipvlan.slaves[0].port = "vm1";
        ipvlan.slaves[0].addresses = {{address("10.1.0.5"), 32}};
        ipvlan.slaves[0].routes = {via("0.0.0.0", 0, {"10.0.0.2"})};
        ipvlan.slaves[1].name = "blue";
        ipvlan.slaves[1].port = "vm2";
        ipvlan.slaves[1].addresses = {{address("10.1.0.6"), 32}};
        topology.ipvlans = {ipvlan};
    }
    void apply() {
        const auto problem = slaves.prepare(topology, now);
        ASSERT_FALSE(problem) << *problem;
        slaves.accept(topology, now);
    }
    void begin_ipvlan() {
        apply();
        bridge.finish_loading();
        tick();
        forget_sent();
    }
    [[nodiscard]] const table::Tables& tables() const { return *publisher.current(); }
    [[nodiscard]] table::RouteValue lookup(const std::string& name, const std::string& to) const {
        return routing.content(*routing.find_table(name)).lookup(ip(to));
    }
    [[nodiscard]] std::uint32_t owner(const std::string& of) const {
        return tables().slave_addresses->find(table::slave_scope(0, 0), ip(of));
    }
    Frame from_red(const std::string& to) {
        Frame frame = a_frame();
        frame.to(world.mac_of(world.up))
            .from(world.mac_of(world.up))
            .ipv4({.source = "10.1.0.5", .destination = to})
            .udp(1000, 2000)
            .payload(64);
        return frame;
    }
    Bytes arp_of_red(const std::string& sender, const std::string& target) {
        return a_frame()
            .to(net::MacAddress::broadcast())
            .from(world.mac_of(world.up))
            .arp({.operation = 1,
                  .sender_mac = world.mac_of(world.up),
                  .sender = sender,
                  .target_mac = {},
                  .target = target})
            .padded()
            .bytes();
    }

    config::Topology topology;
};

}  // namespace vxplane::control
