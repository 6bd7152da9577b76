// Output of ip(8) to values, line by line.
#include "ipvlan_setup.hpp"

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "ip_commands.hpp"

namespace vxplane::oracle {

bool Network::owns(const net::IpAddress& address) const {
    return std::any_of(addresses.begin(), addresses.end(),
                       [&](const Address& one) { return one.address == address; });
}

bool Network::is_broadcast(const net::IpAddress& address) const {
    if (!address.is_v4()) return false;
    const std::uint32_t number = address.v4().number();
    return std::any_of(addresses.begin(), addresses.end(), [&](const Address& one) {
        return one.address.is_v4() && one.length < 31 && one.device != "lo" &&
               within(address, one.address, one.length) &&
               (number | net::prefix_mask(static_cast<std::uint8_t>(one.length))) == ~0U;
    });
}

bool Network::is_network(const net::IpAddress& address) const {
    return std::any_of(routes.begin(), routes.end(), [&](const Route& route) {
        return address.is_v4() && route.to == address && route.length != 0 && route.length < 31 &&
               route.via.is_unset() && route.device == device;
    });
}

bool Network::hears(const net::IpAddress& group) const {
    static const std::set<net::IpAddress> kAlways{ip_address("224.0.0.1"), ip_address("ff02::1"),
                                                  ip_address("ff01::1")};
    if (kAlways.contains(group) || joined.contains(group)) return true;
    return arp && std::any_of(addresses.begin(), addresses.end(), [&](const Address& one) {
               return !one.address.is_v4() && net::solicited_node(one.address) == group;
           });
}

std::vector<std::uint64_t> Network::group_macs() const {
    std::set<std::uint64_t> all{mac_of_group(ip_address("224.0.0.1")).number(),
                                mac_of_group(ip_address("ff02::1")).number()};
    for (const net::IpAddress& group : joined) all.insert(mac_of_group(group).number());
    for (const Address& one : addresses)
        if (!one.address.is_v4() && one.device == device)
            all.insert(mac_of_group(net::solicited_node(one.address)).number());
    return {all.begin(), all.end()};
}

const Network::Route* Network::route_to(const net::IpAddress& address) const {
    const Route* best = nullptr;
    for (const Route& route : routes)
        if (route.to.is_v4() == address.is_v4() && within(address, route.to, route.length) &&
            (best == nullptr || route.length > best->length))
            best = &route;
    return best;
}

const Network* IpvlanSetup::owner(const net::IpAddress& address) const {
    for (const auto& [name, slave] : slaves)
        if (slave.up && slave.owns(address)) return &slave;
    return nullptr;
}

bool within(const net::IpAddress& address, const net::IpAddress& prefix, unsigned length) {
    if (address.is_v4() != prefix.is_v4()) return false;
    const unsigned bits = length + (prefix.is_v4() ? 96U : 0U);
    for (unsigned i = 0; i < bits; ++i) {
        const unsigned mask = 0x80U >> (i % 8);
        if ((address.bytes[i / 8] & mask) != (prefix.bytes[i / 8] & mask)) return false;
    }
    return true;
}

net::MacAddress mac_of_group(const net::IpAddress& group) {
    net::MacAddress mac{};
    if (group.is_v4())
        mac.bytes = {0x01,
                     0x00,
                     0x5E,
                     static_cast<std::uint8_t>(group.bytes[13] & 0x7FU),
                     group.bytes[14],
                     group.bytes[15]};
    else
        mac.bytes = {0x33,           0x33, group.bytes[12], group.bytes[13], group.bytes[14],
                     group.bytes[15]};
    return mac;
}

namespace {

using Json = nlohmann::json;

/// "dummy0", "master@if3"
std::string device_name(const std::string& text) {
    return text.substr(0, text.find('@'));
}

/// What every namespace has for itself.
bool is_loopback(const std::string& prefix) {
    return prefix.starts_with("127.") || prefix.starts_with("::1/");
}

struct Link {
    net::MacAddress mac{};
    std::string flags;
};

/// The sections of `ip -br link`, `ip -br addr`, `ip route` and `ip neigh` of one namespace.
std::map<std::string, Link> read_output(const std::string& text, Network& network) {
    std::map<std::string, Link> links;
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);) {
        const std::vector<std::string> words = words_of(line);
        static const std::set<std::string> kStates{"UP", "DOWN", "UNKNOWN", "LOWERLAYERDOWN"};
        if (words.size() < 2) continue;
        if (kStates.contains(words[1])) {
            const std::string name = device_name(words[0]);
            if (words.size() >= 4 && words[3].starts_with("<")) {
                links[name] = {support::mac(words[2]), words[3]};
                continue;
            }
            for (std::size_t i = 2; i < words.size(); ++i)
                if (words[i].find('/') != std::string::npos && !is_loopback(words[i]))
                    add_address(network, name, words[i], false);
        } else if (std::find(words.begin(), words.end(), "lladdr") != words.end()) {
            change_neighbour(network, Words{words}, true);
        } else {
            change_route(network, Words{words}, true);
        }
    }
    return links;
}

void name_device(Network& network, const std::map<std::string, Link>& links,
                 const std::string& device) {
    network.device = device;
    network.mac = links.at(device).mac;
    network.arp = links.at(device).flags.find("NOARP") == std::string::npos;
}

void read_topology(const Json& topology, IpvlanSetup& setup) {
    const Json& outputs = topology.at("as_configured");
    const auto host_links = read_output(outputs.at("host").get<std::string>(), setup.host);
    std::string master;
    for (const auto& [name, text] : outputs.items()) {
        if (name == "host") continue;
        Network& slave = setup.slaves[name];
        const auto links = read_output(text.get<std::string>(), slave);
        // The device that shares its address with one of the host's is the slave, that one the
        // master.
        for (const auto& [device, link] : links)
            for (const auto& [of_host, other] : host_links)
                if (link.mac.number() != 0 && link.mac == other.mac) {
                    name_device(slave, links, device);
                    master = of_host;
                }
        if (slave.device.empty()) throw std::runtime_error(name + " has no slave device");
    }
    if (master.empty()) throw std::runtime_error("no master in the host's namespace");
    name_device(setup.host, host_links, master);
}

table::IpvlanMode mode_of(const std::string& text) {
    if (text == "l2") return table::IpvlanMode::l2;
    if (text == "l3") return table::IpvlanMode::l3;
    if (text == "l3s") return table::IpvlanMode::l3s;
    throw Unsupported{"mode " + text};
}

table::IpvlanFlag flag_of(const std::string& text) {
    if (text == "bridge") return table::IpvlanFlag::bridge;
    if (text == "private") return table::IpvlanFlag::private_;
    if (text == "vepa") return table::IpvlanFlag::vepa;
    throw Unsupported{"flag " + text};
}

}  // namespace

IpvlanSetup ipvlan_setup_of(const IpvlanRecording& recording, const std::vector<Json>& before) {
    IpvlanSetup setup;
    try {
        setup.mode = mode_of(recording.mode);
        setup.flag = flag_of(recording.flag);
        read_topology(recording.topology, setup);
        for (const Json& action : before) apply_action(setup, action);
    } catch (const Unsupported& problem) {
        setup.unsupported = problem.what;
    } catch (const std::exception& problem) {
        setup.unsupported = std::string("unreadable state: ") + problem.what();
    }
    return setup;
}

}  // namespace vxplane::oracle
