// Commands to changes of state.
#include "ip_commands.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <stdexcept>

#include "nft_rules.hpp"
#include "shell_words.hpp"

namespace vxplane::oracle {

net::IpAddress ip_address(const std::string& text) {
    in_addr v4{};
    if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return net::Ipv4Address::of(ntohl(v4.s_addr));
    std::array<std::uint8_t, 16> v6{};
    if (inet_pton(AF_INET6, text.c_str(), v6.data()) == 1) return net::IpAddress{v6};
    throw std::runtime_error("not an address: " + text);
}

namespace {

struct Prefix {
    net::IpAddress address;
    unsigned length = 0;
};

Prefix prefix_from(const std::string& text, bool ipv6) {
    if (text == "default" || text == "all") return {ip_address(ipv6 ? "::" : "0.0.0.0"), 0};
    const std::size_t slash = text.find('/');
    Prefix prefix{ip_address(text.substr(0, slash)), 0};
    const unsigned whole = prefix.address.is_v4() ? 32 : 128;
    prefix.length = slash == std::string::npos
                        ? whole
                        : static_cast<unsigned>(number(text.substr(slash + 1), 10));
    if (prefix.length > whole) throw Unsupported{"prefix " + text};
    return prefix;
}

net::IpAddress masked(net::IpAddress address, unsigned length) {
    const unsigned bits = length + (address.is_v4() ? 96U : 0U);
    for (unsigned i = bits; i < 128; ++i)
        address.bytes[i / 8] =
            static_cast<std::uint8_t>(address.bytes[i / 8] & ~(0x80U >> (i % 8)));
    return address;
}

void add_subnet(Network& network, const std::string& device, const Prefix& prefix) {
    Network::Route route;
    route.device = device;
    route.to = masked(prefix.address, prefix.length);
    route.length = prefix.length;
    route.by_address = true;
    network.routes.push_back(route);
}

void delete_address(Network& network, const Prefix& prefix) {
    std::erase_if(network.addresses, [&](const Network::Address& one) {
        return one.address == prefix.address && one.length == prefix.length;
    });
    const net::IpAddress subnet = masked(prefix.address, prefix.length);
    const bool shared = std::any_of(
        network.addresses.begin(), network.addresses.end(), [&](const Network::Address& one) {
            return one.length == prefix.length && masked(one.address, one.length) == subnet;
        });
    if (shared) return;
    std::erase_if(network.routes, [&](const Network::Route& route) {
        return route.to == subnet && route.length == prefix.length && route.via.is_unset();
    });
}

Network& network_named(IpvlanSetup& setup, const std::string& name) {
    if (name == "host" || name == "master" || name == setup.host.device) return setup.host;
    const auto found = setup.slaves.find(name);
    if (found == setup.slaves.end()) throw Unsupported{"namespace " + name};
    return found->second;
}

void change_link(IpvlanSetup& setup, Network& network, Words words) {
    std::string name = words.next();
    if (name == "dev") name = words.next();
    while (!words.empty()) {
        const std::string word = words.next();
        if (name == "lo") continue;
        if (name != network.device) throw Unsupported{"ip link set " + name};
        if ((word == "up" || word == "down") && &network != &setup.host) {
            network.up = word == "up";
        } else if (word == "promisc" || word == "allmulticast") {
            network.all_groups = words.next() == "on";
        } else if (word == "mtu") {
            network.mtu = static_cast<unsigned>(number(words.next(), 10));
            // A slave follows its master.
            if (&network == &setup.host)
                for (auto& [slave_name, slave] : setup.slaves) slave.mtu = network.mtu;
        } else if (word == "address" && &network == &setup.host) {
            network.mac = support::mac(words.next());
            for (auto& [slave_name, slave] : setup.slaves) slave.mac = network.mac;
        } else if (word == "arp") {
            network.arp = words.next() == "on";
        } else if (word != "up") {
            throw Unsupported{"ip link set " + word};
        }
    }
}

/// The kernel refuses an address that another slave of the master has.
bool is_taken(const IpvlanSetup& setup, const Network& by, const net::IpAddress& address) {
    return &by != &setup.host &&
           std::any_of(setup.slaves.begin(), setup.slaves.end(), [&](const auto& one) {
               return &one.second != &by && one.second.owns(address);
           });
}

void change_address(IpvlanSetup& setup, Network& network, const std::string& verb, Words words) {
    const std::string text = words.next();
    if (text == "dev") throw Unsupported{"ip addr " + verb + " dev"};
    std::string device = network.device;
    while (!words.empty())
        if (words.next() == "dev") device = words.next();
    const Prefix prefix = prefix_from(text, false);
    if (verb == "add" || verb == "replace") {
        if (!is_taken(setup, network, prefix.address)) add_address(network, device, text, true);
    } else if (verb == "del" || verb == "delete") {
        delete_address(network, prefix);
    } else {
        throw Unsupported{"ip addr " + verb};
    }
}

void run_ip(IpvlanSetup& setup, Words words) {
    Network* network = &setup.host;
    bool ipv6 = false;
    std::string object = words.next();
    for (; object.starts_with("-"); object = words.next()) {
        if (object == "-n" || object == "-netns")
            network = &network_named(setup, words.next());
        else if (object == "-6")
            ipv6 = true;
        else if (object != "-4")
            throw Unsupported{"ip " + object};
    }
    if (object == "netns" && words.skip("exec")) {
        network = &network_named(setup, words.next());
        if (!words.skip("ip")) throw Unsupported{"netns exec " + words.next()};
        object = words.next();
        if (object == "-6") {
            ipv6 = true;
            object = words.next();
        }
    }
    const std::string verb = words.next();
    if (verb == "show" || verb == "list") return;
    const bool add = verb == "add" || verb == "replace" || verb == "change" || verb == "append";
    if (!add && verb != "del" && verb != "delete" && verb != "set" && verb != "flush")
        throw Unsupported{"ip " + object + " " + verb};
    if (object == "route" || object == "r") {
        std::vector<std::string> rest;
        while (!words.empty()) rest.push_back(words.next());
        // `default` says nothing of its family.
        if (ipv6)
            std::replace(rest.begin(), rest.end(), std::string("default"), std::string("::/0"));
        if (verb == "flush" || verb == "set") throw Unsupported{"ip route " + verb};
        if (verb == "replace" || verb == "change") {
            const bool typed = rest.size() > 1 && rest[1].find_first_of("./:") != std::string::npos;
            change_route(*network, Words{{rest.begin(), rest.begin() + (typed ? 2 : 1)}}, false);
        }
        change_route(*network, Words{rest}, add);
    } else if (object == "neigh" || object == "neighbour" || object == "n") {
        if (verb == "flush" || verb == "set") throw Unsupported{"ip neigh " + verb};
        change_neighbour(*network, words, add);
    } else if (object == "addr" || object == "address" || object == "a") {
        change_address(setup, *network, verb, words);
    } else if ((object == "link" || object == "l") && verb == "set") {
        change_link(setup, *network, words);
    } else {
        throw Unsupported{"ip " + object + " " + verb};
    }
}

/// A value below /proc/sys/net of one namespace.
void write_setting(IpvlanSetup& setup, const std::string& name, const std::string& path,
                   const std::string& value) {
    if (path == "/proc/sys/net/ipv4/ip_forward")
        network_named(setup, name).forwards = value == "1";
    else if (path.find("/icmp_") == std::string::npos)  // those are about answers only
        throw Unsupported{"writing to " + path};
}

/// What a command printed, for the next one; most print nothing.
std::string run_command(IpvlanSetup& setup, const std::string& name, const ShellCommand& command,
                        const std::string& input);

void run_shell(IpvlanSetup& setup, const std::string& text, const std::string& name = "host") {
    std::string input;
    for (const ShellCommand& command : shell_commands(text)) {
        const std::string output = run_command(setup, name, command, input);
        input = command.feeds_next ? output : std::string{};
    }
}

std::string run_command(IpvlanSetup& setup, const std::string& name, const ShellCommand& command,
                        const std::string& input) {
    const std::vector<std::string>& words = command.words;
    const std::string& tool = words.front();
    if (tool == "printf" && words.size() == 2) return printed(words[1]);
    if (tool == "echo" && words.size() == 2 && !command.into.empty()) {
        write_setting(setup, name, command.into, words[1]);
    } else if (tool == "sh" && words.size() == 3 && words[1] == "-c") {
        run_shell(setup, words[2], name);
    } else if (tool == "ip" && words.size() > 4 && words[1] == "netns" && words[2] == "exec" &&
               words[4] != "ip") {
        ShellCommand inside = command;
        inside.words.erase(inside.words.begin(), inside.words.begin() + 4);
        return run_command(setup, words[3], inside, input);
    } else if (tool == "ip" && words.size() > 2 && words[words.size() - 2] == "-batch") {
        std::vector<std::string> options(words.begin() + 1, words.end() - 2);
        std::erase(options, "-force");
        for (const ShellCommand& line : shell_commands(input)) {
            std::vector<std::string> all = options;
            all.insert(all.end(), line.words.begin(), line.words.end());
            run_ip(setup, Words{all});
        }
    } else if (tool == "ip") {
        run_ip(setup, Words{{words.begin() + 1, words.end()}});
    } else {
        throw Unsupported{"`" + tool + "`"};
    }
    return {};
}

void change_group(IpvlanSetup& setup, Network& network, const std::string& verb, Words words) {
    const net::IpAddress group = ip_address(words.next());
    if (verb == "join") {
        network.joined.insert(group);
        return;
    }
    network.joined.erase(group);
    if (words.skip("norefresh")) setup.just_left = true;
}

}  // namespace

void add_address(Network& network, const std::string& device, const std::string& text,
                 bool with_route) {
    const Prefix prefix = prefix_from(text, false);
    network.addresses.push_back({device, prefix.address, prefix.length});
    const bool whole = prefix.length == (prefix.address.is_v4() ? 32 : 128);
    if (with_route && !whole) add_subnet(network, device, prefix);
}

void change_route(Network& network, Words words, bool add) {
    using table::RouteType;
    static const std::map<std::string, RouteType> kTypes{
        {"unicast", RouteType::unicast},     {"local", RouteType::local},
        {"blackhole", RouteType::blackhole}, {"unreachable", RouteType::unreachable},
        {"prohibit", RouteType::prohibit},   {"throw", RouteType::throw_}};
    Network::Route route;
    std::string to = words.next();
    if (const auto type = kTypes.find(to); type != kTypes.end()) {
        route.type = type->second;
        to = words.next();
    }
    while (!words.empty()) {
        const std::string word = words.next();
        if (word == "via") {
            std::string via = words.next();
            if (via == "inet6" || via == "inet") via = words.next();
            route.via = ip_address(via);
        } else if (word == "dev") {
            route.device = words.next();
        } else if (word == "mtu") {
            words.skip("lock");
            route.mtu = static_cast<unsigned>(number(words.next(), 10));
        } else if (word == "proto" || word == "scope" || word == "src" || word == "metric" ||
                   word == "pref" || word == "error") {
            words.next();
        } else if (word != "onlink") {
            throw Unsupported{"route " + word};
        }
    }
    const Prefix prefix = prefix_from(to, !route.via.is_unset() && !route.via.is_v4());
    route.to = masked(prefix.address, prefix.length);
    route.length = prefix.length;
    const auto same = [&](const Network::Route& one) {
        return one.to == route.to && one.length == route.length &&
               (add || route.device.empty() || route.device == one.device);
    };
    if (!add) {
        std::erase_if(network.routes, same);
        return;
    }
    // The best metric comes first in what ip(8) prints.
    if (std::none_of(network.routes.begin(), network.routes.end(), same))
        network.routes.push_back(route);
}

void change_neighbour(Network& network, Words words, bool add) {
    const net::IpAddress address = ip_address(words.next());
    Network::Neighbour neighbour;
    while (!words.empty()) {
        const std::string word = words.next();
        if (word == "dev")
            neighbour.device = words.next();
        else if (word == "lladdr")
            neighbour.mac = support::mac(words.next());
        else if (word == "FAILED" || word == "INCOMPLETE")
            return;
    }
    if (add)
        network.neighbours[address] = neighbour;
    else
        network.neighbours.erase(address);
}

void apply_action(IpvlanSetup& setup, const nlohmann::json& action) {
    std::vector<std::string> all;
    for (const nlohmann::json& word : action)
        all.push_back(word.is_string() ? word.get<std::string>() : word.dump());
    Words words{all};
    const std::string verb = words.next();
    if (verb == "sh" || verb == "cmd") {
        while (!words.empty()) run_shell(setup, words.next());
        return;
    }
    if (verb == "nft") {
        const std::string name = words.next();
        read_nft(words.next(), network_named(setup, name).device, setup.rules[name]);
        return;
    }
    Network& network = network_named(setup, words.next());
    if (verb == "join" || verb == "leave") {
        change_group(setup, network, verb, words);
    } else if (verb == "link") {
        const std::string state = words.next();
        if ((state != "up" && state != "down") || &network == &setup.host)
            throw Unsupported{"link of the host " + state};
        network.up = state == "up";
    } else if (verb == "promisc" || verb == "allmulti") {
        const std::string state = words.next();
        if (&network == &setup.host) return;  // is as if it were
        network.all_groups = state == "on" || state == "1" || state == "true";
    } else if (verb == "addr") {
        const std::string word = words.next();
        const bool is_verb = word == "add" || word == "del";
        change_address(setup, network, is_verb ? word : "add",
                       Words{{is_verb ? words.next() : word}});
    } else {
        throw Unsupported{"action " + verb};
    }
}

}  // namespace vxplane::oracle
