// Commands to configuration, word by word.
#include "setup.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <stdexcept>

#include "dataplane/table/segment_watch.hpp"
#include "words.hpp"

namespace vxplane::oracle {
namespace {

constexpr const char* kZeroMac = "00:00:00:00:00:00";

std::uint32_t ipv4(const std::string& text, const std::string& what) {
    in_addr address{};
    if (text.find(':') != std::string::npos) throw Unsupported{"IPv6 underlay"};
    if (inet_pton(AF_INET, text.c_str(), &address) != 1) throw Unsupported{what + " " + text};
    return ntohl(address.s_addr);
}

/// "dev under 10.10.10.12/24, ..., MTU 1500 ...; permanent neighbours 10.10.10.13-16 and ..."
void read_underlay(const Topology& topology, Setup& setup) {
    const std::vector<std::string> words = words_of(topology.underlay);
    for (std::size_t i = 0; i < words.size(); ++i) {
        unsigned a = 0, b = 0, c = 0, d = 0, tail = 0;
        const char* word = words[i].c_str();
        if (std::sscanf(word, "%3u.%3u.%3u.%3u/%2u", &a, &b, &c, &d, &tail) == 5 &&
            setup.addresses.empty()) {
            const std::uint32_t own = a << 24 | b << 16 | c << 8 | d;
            const auto length = static_cast<std::uint8_t>(tail);
            setup.addresses.push_back(own);
            setup.routes.push_back({own & net::prefix_mask(length), length, 0, {}});
        } else if (std::sscanf(word, "%3u.%3u.%3u.%3u-%3u", &a, &b, &c, &d, &tail) == 5) {
            for (; d <= tail; ++d)
                if (const auto mac = topology.macs.find("r" + std::to_string(d));
                    mac != topology.macs.end())
                    setup.neighbours[a << 24 | b << 16 | c << 8 | d] = mac->second;
        } else if (words[i] == "MTU" && i + 1 < words.size()) {
            setup.underlay_mtu = static_cast<std::uint16_t>(std::stoul(words[i + 1]));
        }
    }
    if (setup.addresses.empty()) throw Unsupported{"underlay without an IPv4 address"};
}

void set_source_ports(Setup& setup, unsigned long lo, unsigned long hi) {
    if (lo >= hi) return;  // "srcport N N" is no range
    setup.options.source_port_lo = static_cast<std::uint16_t>(lo);
    setup.options.source_port_span = static_cast<std::uint16_t>(hi - lo);
}

/// ip link add NAME type vxlan ...
void add_link(Words words, Setup& setup) {
    words.next();
    if (setup.vni != 0 || setup.local != 0) throw Unsupported{"a second vxlan device"};
    if (!words.skip("type") || !words.skip("vxlan")) throw Unsupported{"link of another type"};
    static const std::set<std::string> kSwitchedOff{
        "noproxy",    "norsc",     "nol2miss",    "nol3miss",    "nogbp",      "nogpe",
        "noexternal", "nornocsum", "noremcsumtx", "noremcsumrx", "localbypass"};
    // As the kernel does, what the proxy does not answer stays away from the tunnels.
    static const std::map<std::string, std::uint8_t> kWatched{
        {"proxy", table::watch::kProxy | table::watch::kProxyLocal},
        {"rsc", table::watch::kRsc},
        {"l2miss", table::watch::kL2Miss},
        {"l3miss", table::watch::kL3Miss}};
    // Of no account with an IPv4 underlay, or without time passing.
    static const std::set<std::string> kNoMatter{"udp6zerocsumtx", "noudp6zerocsumtx",
                                                 "udp6zerocsumrx", "noudp6zerocsumrx"};
    bool on_device = false;
    while (!words.empty()) {
        const std::string word = words.next();
        if (word == "id" || word == "vni") {
            setup.vni = static_cast<std::uint32_t>(number(words.next()));
        } else if (word == "local") {
            setup.local = ipv4(words.next(), "local");
        } else if (word == "remote") {
            setup.flood.push_back(ipv4(words.next(), "remote"));
        } else if (word == "dev") {
            words.next();
            on_device = true;
        } else if (word == "dstport") {
            const unsigned long port = number(words.next());
            setup.dstport = static_cast<std::uint16_t>(port == 0 ? 8472 : port);
        } else if (word == "srcport" || word == "port") {
            const unsigned long lo = number(words.next());
            set_source_ports(setup, lo, number(words.next()));
        } else if (word == "ttl" || word == "hoplimit") {
            const std::string value = words.next();
            if (value == "inherit")
                setup.options.inherit.ttl = true;
            else if (value != "auto" && value != "0")
                setup.options.ttl = static_cast<std::uint8_t>(number(value));
        } else if (word == "tos" || word == "dsfield") {
            const std::string value = words.next();
            // 1 is how the kernel writes "inherit"; ip(8) reads the number as hexadecimal.
            if (value == "inherit" || number(value, 16) == 1)
                setup.options.inherit.tos = true;
            else
                setup.options.tos = static_cast<std::uint8_t>(number(value, 16));
        } else if (word == "df") {
            const std::string value = words.next();
            setup.options.inherit.df = value == "inherit";
            setup.options.dont_fragment = value == "set";
        } else if (word == "ageing") {
            words.next();
        } else if (word == "learning" || word == "nolearning") {
            setup.learning = word == "learning";
        } else if (word == "udpcsum" || word == "noudpcsum") {
            setup.options.udp_checksum = word == "udpcsum";
        } else if (word == "reserved_bits") {
            setup.reserved_bits = std::stoull(words.next(), nullptr, 16);
        } else if (const auto bit = kWatched.find(word); bit != kWatched.end()) {
            setup.watch |= bit->second;
        } else if (!kSwitchedOff.contains(word) && !kNoMatter.contains(word)) {
            throw Unsupported{word};
        }
    }
    if (on_device) setup.mtu = static_cast<std::uint16_t>(setup.underlay_mtu - 50);
}

/// The words behind the address. What is missing concerns this address alone.
std::uint32_t fdb_remote(Words& words) {
    std::optional<std::uint32_t> remote;
    while (!words.empty()) {
        const std::string word = words.next();
        if (word == "dev" || word == "via") {
            words.next();
        } else if (word == "dst") {
            remote = ipv4(words.next(), "fdb dst");
        } else if (word != "self" && word != "permanent" && word != "router") {
            throw Unsupported{"fdb " + word};
        }
    }
    if (!remote) throw Unsupported{"fdb entry without dst"};
    const net::Ipv4Address where = net::Ipv4Address::of(*remote);
    if (!where.is_unicast() || where.is_loopback()) throw Unsupported{"fdb dst not unicast"};
    return *remote;
}

/// bridge fdb add|append|replace MAC dev NAME dst ADDRESS ...
void add_fdb(Words words, Setup& setup) {
    const std::string verb = words.next();
    if (verb != "add" && verb != "append" && verb != "replace")
        throw Unsupported{"bridge fdb " + verb};
    const std::string address = words.next();
    if (address == kZeroMac) {
        const std::uint32_t remote = fdb_remote(words);
        if (std::find(setup.flood.begin(), setup.flood.end(), remote) == setup.flood.end())
            setup.flood.push_back(remote);
        return;
    }
    try {
        if (support::mac(address).is_group()) throw Unsupported{"fdb multicast MAC"};
        const auto has = [&](const char* word) { return words.has(word); };
        if (has("router")) setup.routers.insert(address);
        if (has("0.0.0.0")) {
            setup.local_macs.insert(address);
            return;
        }
        setup.fdb[address] = fdb_remote(words);
    } catch (const Unsupported& problem) {
        setup.unsupported_macs[address] = problem.what;
    }
}

void add_route(Words words, Setup& setup) {
    using packet::DropReason;
    static const std::map<std::string, DropReason> kTypes{
        {"blackhole", DropReason::tunnel_blackhole},
        {"unreachable", DropReason::tunnel_unreachable},
        {"prohibit", DropReason::tunnel_prohibited}};
    Setup::Route route;
    std::string to = words.next();
    if (const auto type = kTypes.find(to); type != kTypes.end()) {
        route.refusal = type->second;
        to = words.next();
    }
    const std::size_t slash = to.find('/');
    route.length =
        slash == std::string::npos ? 32 : static_cast<std::uint8_t>(number(to.substr(slash + 1)));
    route.to = ipv4(to.substr(0, slash), "route to");
    while (!words.empty()) {
        const std::string word = words.next();
        if (word == "via") {
            route.via = ipv4(words.next(), "route via");
        } else if (word == "dev") {
            if (const std::string dev = words.next(); dev != "under")
                throw Unsupported{"route over " + dev};
        } else {
            throw Unsupported{"route " + word};
        }
    }
    setup.routes.push_back(route);
}

void set_link(Words words, Setup& setup) {
    std::string name = words.next();
    if (name == "dev") name = words.next();
    const std::string word = words.next();
    if (word == "mtu") {
        const auto mtu = static_cast<std::uint16_t>(number(words.next()));
        (name == "under" ? setup.underlay_mtu : setup.mtu) = mtu;
    } else if (word == "master" && name == "acc2" && words.next() == "br0") {
        setup.second_port = true;
    } else if (word != "up") {
        throw Unsupported{"ip link set " + name + " " + word};
    }
}

/// ip neigh add ADDRESS lladdr MAC dev vx0 ...: one that the kernel has confirmed.
void add_segment_host(Words words, Setup& setup) {
    const std::string address = words.next();
    std::string mac;
    bool confirmed = false;
    while (!words.empty()) {
        const std::string word = words.next();
        if (word == "lladdr") mac = words.next();
        if (word == "permanent" || word == "reachable" || word == "noarp") confirmed = true;
    }
    if (confirmed && !mac.empty()) setup.segment_hosts[address] = mac;
}

/// Settings of the bridge and of the recording set-up that no frame shows.
bool no_matter(const std::string& command) {
    const auto has = [&](const char* text) { return command.find(text) != std::string::npos; };
    return has("/disable_ipv6") || has("/addr_gen_mode") || command.starts_with("nft ") ||
           command.starts_with("ip -6 ") ||
           (command.starts_with("bridge link set dev acc") && command.ends_with(" learning off"));
}

void apply(const std::string& command, Setup& setup) {
    if (no_matter(command)) return;
    if (const std::vector<std::string> all = words_of(command);
        all.size() == 5 && all[0] == "echo" && all[4].ends_with("/ip_local_port_range")) {
        set_source_ports(setup, number(all[1], 10), number(all[2], 10));
        return;
    }
    Words words{words_of(command)};
    const std::string tool = words.next();
    const std::string object = words.empty() ? "" : words.next();
    const std::string verb = tool == "ip" && !words.empty() ? words.next() : "";
    if (tool == "ip" && object == "link" && verb == "add") {
        add_link(words, setup);
    } else if (tool == "ip" && object == "link" && verb == "set") {
        set_link(words, setup);
    } else if (tool == "ip" && object == "route" && verb == "add") {
        add_route(words, setup);
    } else if (tool == "ip" && (object == "addr" || object == "address") && verb == "add") {
        const std::string address = words.next();
        if (address.find(':') == std::string::npos)
            setup.addresses.push_back(ipv4(address.substr(0, address.find('/')), "address"));
    } else if (tool == "ip" && object == "neigh" && verb == "add" &&
               command.find(" dev vx") != std::string::npos) {
        add_segment_host(words, setup);
    } else if (tool == "bridge" && object == "fdb") {
        add_fdb(words, setup);
    } else {
        throw Unsupported{"`" + command.substr(0, 40) + "`"};
    }
}

bool owns(const Setup& setup, std::uint32_t address) {
    return std::find(setup.addresses.begin(), setup.addresses.end(), address) !=
           setup.addresses.end();
}

/// What can be judged when all commands are known.
void finish(Setup& setup) {
    if (setup.local == 0) setup.local = setup.addresses.front();
    if (!owns(setup, setup.local)) throw Unsupported{"local is not an own address"};
    for (const std::uint32_t remote : setup.flood)
        if (owns(setup, remote)) throw Unsupported{"localbypass"};
    for (const auto& [mac, remote] : setup.fdb)
        if (owns(setup, remote)) setup.unsupported_macs[mac] = "localbypass";
    // A larger MTU than the underlay can carry is refused, the kernel fragments instead.
    const auto most = static_cast<std::uint16_t>(setup.underlay_mtu - 50);
    if (setup.mtu == 0 || setup.mtu > most) setup.mtu = most;
}

}  // namespace

const Setup::Route* Setup::route_to(std::uint32_t address) const {
    const Route* best = nullptr;
    for (const Route& route : routes)
        if ((address & net::prefix_mask(route.length)) == route.to &&
            (best == nullptr || route.length > best->length))
            best = &route;
    return best;
}

std::uint32_t number_of_ip(const std::string& text) {
    return ipv4(text, "address");
}

Setup setup_of(const Topology& topology, const Config& config,
               const std::vector<std::string>& before) {
    Setup setup;
    // The kernel's defaults, and its way of showing congestion outside.
    setup.options.udp_checksum = true;
    setup.options.ecn = net::EcnMode::rfc3168;
    try {
        read_underlay(topology, setup);
        std::vector<std::string> all = config.environment;
        all.insert(all.end(), config.commands.begin(), config.commands.end());
        all.insert(all.end(), config.later.begin(), config.later.end());
        all.insert(all.end(), before.begin(), before.end());
        for (const std::string& command : all)
            if (std::find(config.refused.begin(), config.refused.end(), command) ==
                config.refused.end())
                apply(command, setup);
        if (!config.up) throw Unsupported{"device down"};
        finish(setup);
    } catch (const Unsupported& problem) {
        setup.unsupported = problem.what;
    } catch (const std::exception& problem) {
        setup.unsupported = std::string("unreadable configuration: ") + problem.what();
    }
    return setup;
}

}  // namespace vxplane::oracle
