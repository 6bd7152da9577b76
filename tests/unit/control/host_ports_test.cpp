// Masquerade and the connections of the host itself, which share an address.
#include "control/apply/host_ports.hpp"

#include <gtest/gtest.h>

namespace vxplane::control {
namespace {

config::Topology of(config::Ports ports, const std::string& host, bool masquerade = true) {
    config::Topology topology;
    config::Port link;
    link.name = "up";
    link.host = host;
    topology.ports = {link};
    config::Ipvlan ipvlan;
    ipvlan.name = "a";
    ipvlan.link = "up";
    ipvlan.masquerade = masquerade;
    ipvlan.masquerade_ports = ports;
    topology.ipvlans = {ipvlan};
    return topology;
}
std::optional<std::string> clash(const config::Topology& topology) {
    return clash_of_ports(topology, topology.ipvlans[0], {32768, 60999});
}

TEST(HostPorts, RP52_masquerade_with_ports_of_the_hosts_kernel_is_said) {
    EXPECT_EQ(
        clash(of({1024, 65535}, "up0")),
        "ipvlans.a.masquerade-ports: 1024-65535 has ports that the kernel behind up0 gives to "
        "its own connections (net.ipv4.ip_local_port_range 32768-60999): answers to these may "
        "be taken for a slave's (masquerade-ports: 61000-65535)");
    EXPECT_TRUE(clash(of({60999, 65535}, "up0")));
    EXPECT_TRUE(clash(of({1024, 32768}, "up0")));
    EXPECT_FALSE(clash(of({61000, 65535}, "up0")));
    EXPECT_FALSE(clash(of({1024, 32767}, "up0")));
}

TEST(HostPorts, without_a_kernel_or_without_masquerade_there_is_nothing_to_say) {
    EXPECT_FALSE(clash(of({1024, 65535}, "")));
    EXPECT_FALSE(clash(of({1024, 65535}, "up0", false)));
}

TEST(HostPorts, the_range_is_read_as_the_kernel_writes_it) {
    EXPECT_EQ(read_port_range("32768\t60999\n"), (config::Ports{32768, 60999}));
    EXPECT_EQ(read_port_range(""), std::nullopt);
    EXPECT_EQ(read_port_range("5 4"), std::nullopt);
}

}  // namespace
}  // namespace vxplane::control
