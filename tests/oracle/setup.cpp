// Commands to configuration, word by word.
#include "setup.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>

#include "around.hpp"
#include "bare.hpp"
#include "dataplane/net/icmpv6.hpp"
#include "dataplane/table/fib.hpp"
#include "dataplane/table/segment_watch.hpp"
#include "tests/support/frame.hpp"
#include "words.hpp"

namespace vxplane::oracle {
namespace {

constexpr const char* kZeroMac = "00:00:00:00:00:00";

net::IpAddress ip_of(const std::string& text, const std::string& what) {
    try {
        return support::address(text);
    } catch (const std::exception&) {
        throw Unsupported{what + " " + text};
    }
}

/// Length 0 to 32 or 128; host bits cleared.
net::IpAddress network_of(net::IpAddress address, std::uint8_t length) {
    const unsigned bits = length + (address.is_v4() ? 96U : 0U);
    for (unsigned bit = bits; bit < 128; ++bit)
        address.bytes[bit / 8] &= static_cast<std::uint8_t>(~(0x80U >> bit % 8));
    return address;
}

/// "dev under 10.10.10.12/24, fd10::12/64, fe80::12/64, MTU 1500 ...; permanent neighbours
/// 10.10.10.13-16 and fd10::13-16 ..."
void read_underlay(const Topology& topology, Setup& setup) {
    for (std::string word : words_of(topology.underlay)) {
        while (!word.empty() && (word.back() == ',' || word.back() == ';')) word.pop_back();
        const std::size_t dash = word.find('-');
        const std::size_t slash = word.find('/');
        const bool is_address = word.find_first_of(".:") != std::string::npos &&
                                word.find_first_not_of("0123456789abcdef.:/-") == std::string::npos;
        if (is_address && slash != std::string::npos) {
            const net::IpAddress own = ip_of(word.substr(0, slash), "address");
            const auto length = static_cast<std::uint8_t>(number(word.substr(slash + 1)));
            setup.addresses.push_back(own);
            setup.routes.push_back({network_of(own, length), length, {}, {}});
        } else if (is_address && dash != std::string::npos) {
            const std::size_t last = word.find_last_of(".:", dash) + 1;
            const unsigned long end = number(word.substr(dash + 1), 10);
            for (unsigned long i = number(word.substr(last, dash - last), 10); i <= end; ++i)
                if (const auto mac = topology.macs.find("r" + std::to_string(i));
                    mac != topology.macs.end())
                    setup.neighbours[ip_of(word.substr(0, last) + std::to_string(i), "neighbour")] =
                        mac->second;
        }
    }
    const std::vector<std::string> words = words_of(topology.underlay);
    for (std::size_t i = 0; i + 1 < words.size(); ++i)
        if (words[i] == "MTU")
            setup.underlay_mtu = static_cast<std::uint16_t>(std::stoul(words[i + 1]));
    if (setup.addresses.empty()) throw Unsupported{"underlay without an address"};
}

void set_source_ports(Setup& setup, unsigned long lo, unsigned long hi) {
    if (lo >= hi) return;  // "srcport N N" is no range
    setup.options.source_port_lo = static_cast<std::uint16_t>(lo);
    setup.options.source_port_span = static_cast<std::uint16_t>(hi - lo);
}

void read_link(Words words, Setup& setup);

/// ip link add NAME type vxlan ...
void add_link(Words words, Setup& setup) {
    words.next();
    if (setup.vni != 0 || !setup.local.is_unset()) {
        if (setup.second) throw Unsupported{"a third vxlan device"};
        Setup other;
        other.addresses = setup.addresses;
        other.underlay_mtu = setup.underlay_mtu;
        read_link(words, other);
        if (other.local != setup.local || other.ipv6 != setup.ipv6 || !other.flood.empty())
            throw Unsupported{"a second vxlan device with another local address"};
        setup.second = Setup::Second{other.vni, other.dstport};
        return;
    }
    read_link(words, setup);
}

void read_link(Words words, Setup& setup) {
    if (!words.skip("type") || !words.skip("vxlan")) throw Unsupported{"link of another type"};
    static const std::set<std::string> kSwitchedOff{
        "noproxy",    "norsc",     "nol2miss",    "nol3miss",    "nogbp",      "nogpe",
        "noexternal", "nornocsum", "noremcsumtx", "noremcsumrx", "localbypass"};
    // As the kernel does, what the proxy does not answer stays away from the tunnels.
    static const std::map<std::string, std::uint16_t> kWatched{
        {"proxy", table::watch::kProxy | table::watch::kProxyLocal},
        {"rsc", table::watch::kRsc},
        {"l2miss", table::watch::kL2Miss},
        {"l3miss", table::watch::kL3Miss}};
    bool on_device = false;
    bool udp_checksum = true;  // the kernel's defaults
    bool udp6_checksum = true;
    const bool gpe = words.has("gpe") && words.has("external");
    while (!words.empty()) {
        const std::string word = words.next();
        if (word == "id" || word == "vni") {
            setup.vni = static_cast<std::uint32_t>(number(words.next()));
        } else if (word == "local") {
            setup.local = ip_of(words.next(), "local");
            setup.local_given = true;
            setup.ipv6 = setup.ipv6 || !setup.local.is_v4();
        } else if (word == "remote") {
            setup.flood.push_back(ip_of(words.next(), "remote"));
            setup.flood_numbers.emplace_back();
            setup.ipv6 = setup.ipv6 || !setup.flood.back().is_v4();
        } else if (word == "group") {
            setup.group = ip_of(words.next(), "group");
            setup.flood.push_back(setup.group);
            setup.flood_numbers.emplace_back();
            setup.ipv6 = setup.ipv6 || !setup.group.is_v4();
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
            setup.ttl_given = value != "inherit" && value != "auto" && value != "0";
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
        } else if (word == "nolocalbypass") {
            setup.local_bypass = false;
        } else if (word == "learning" || word == "nolearning") {
            setup.learning = word == "learning";
        } else if (word == "udpcsum" || word == "noudpcsum") {
            udp_checksum = word == "udpcsum";
        } else if (word == "udp6zerocsumtx" || word == "noudp6zerocsumtx") {
            udp6_checksum = word != "udp6zerocsumtx";
        } else if (word == "udp6zerocsumrx" || word == "noudp6zerocsumrx") {
            setup.udp6_zero_rx = word == "udp6zerocsumrx";
        } else if (word == "flowlabel") {
            const std::string label = words.next();
            setup.options.flow_label.inherit = label == "inherit";
            if (label != "inherit")
                setup.options.flow_label.fixed = static_cast<std::uint32_t>(number(label));
        } else if (word == "reserved_bits") {
            setup.reserved_bits = std::stoull(words.next(), nullptr, 16);
        } else if (word == "gbp") {
            setup.options.group_policy = true;
            setup.watch |= table::watch::kGroupPolicy;
        } else if (word == "remcsumtx") {
            setup.options.remote_sum = true;
        } else if (word == "remcsumrx") {
            setup.watch |= table::watch::kRemoteSum;
        } else if (gpe && (word == "gpe" || word == "external")) {
            setup.bare = setup.options.gpe = true;
            setup.watch |= table::watch::kGpe;
        } else if (const auto bit = kWatched.find(word); bit != kWatched.end()) {
            setup.watch |= bit->second;
        } else if (!kSwitchedOff.contains(word)) {
            throw Unsupported{word};
        }
    }
    setup.options.udp_checksum = setup.ipv6 ? udp6_checksum : udp_checksum;
    if (on_device) setup.mtu = setup.most();
}

/// The words behind the address. What is missing concerns this address alone.
net::IpAddress fdb_remote(Words& words, const Setup& setup, Setup::Numbers& numbers) {
    std::optional<net::IpAddress> remote;
    while (!words.empty()) {
        const std::string word = words.next();
        if (word == "dev" || word == "via") {
            words.next();
        } else if (word == "dst") {
            remote = ip_of(words.next(), "fdb dst");
        } else if (word == "vni") {
            numbers.vni = static_cast<std::uint32_t>(number(words.next()));
        } else if (word == "port") {
            numbers.port = static_cast<std::uint16_t>(number(words.next()));
        } else if (word != "self" && word != "permanent" && word != "router") {
            throw Unsupported{"fdb " + word};
        }
    }
    if (!remote) throw Unsupported{"fdb entry without dst"};
    if (remote->is_v4() == setup.ipv6) throw Unsupported{"fdb dst of the other family"};
    return *remote;
}

/// bridge fdb add|append|replace MAC dev NAME dst ADDRESS ...
void add_fdb(Words words, Setup& setup) {
    const std::string verb = words.next();
    if (verb != "add" && verb != "append" && verb != "replace")
        throw Unsupported{"bridge fdb " + verb};
    const std::string address = words.next();
    if (address == kZeroMac) {
        Setup::Numbers numbers;
        const net::IpAddress remote = fdb_remote(words, setup, numbers);
        if (!net::is_host(remote)) throw Unsupported{"flood to what is no host"};
        for (std::size_t i = 0; i < setup.flood.size(); ++i)
            if (setup.flood[i] == remote && setup.flood_numbers[i] == numbers) return;
        setup.flood.push_back(remote);
        setup.flood_numbers.push_back(numbers);
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
        Setup::Numbers numbers;
        const net::IpAddress remote = fdb_remote(words, setup, numbers);
        if (!net::is_host(remote)) {
            setup.refused_macs[address] = "remote_is_no_host";
            return;
        }
        setup.fdb[address] = remote;
        setup.fdb_numbers[address] = numbers;
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
    route.to = ip_of(to.substr(0, slash), "route to");
    const unsigned whole = route.to.is_v4() ? 32 : 128;
    route.length = static_cast<std::uint8_t>(
        slash == std::string::npos ? whole : number(to.substr(slash + 1)));
    while (!words.empty()) {
        const std::string word = words.next();
        if (word == "via") {
            route.via = ip_of(words.next(), "route via");
        } else if (word == "dev") {
            if (const std::string dev = words.next(); dev == "vx0")
                route.into_itself = true;
            else if (dev != "under")
                throw Unsupported{"route over " + dev};
        } else if (word == "src") {
            route.src = ip_of(words.next(), "route src");
        } else if (word == "mtu") {
            words.skip("lock");
            route.mtu = static_cast<std::uint16_t>(number(words.next(), 10));
        } else if (word == "tos") {
            const unsigned long tos = number(words.next(), 16);
            // Never looked for, and refused by us.
            if ((tos & ~std::uint32_t{table::kRouteTosMask}) != 0) return;
            route.tos = static_cast<std::uint8_t>(tos);
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

void apply(const std::string& command, Setup& setup) {
    if (set_tunnel_key(command, setup) || is_around(command, setup)) return;
    if (const std::vector<std::string> all = words_of(command);
        all.size() == 5 && all[0] == "echo" && all[4].ends_with("/ip_local_port_range")) {
        set_source_ports(setup, number(all[1], 10), number(all[2], 10));
        return;
    }
    std::vector<std::string> said = words_of(command);
    if (said.size() > 1 && said[0] == "ip" && (said[1] == "-6" || said[1] == "-4"))
        said.erase(said.begin() + 1);
    Words words{said};
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
        setup.addresses.push_back(ip_of(address.substr(0, address.find('/')), "address"));
    } else if (tool == "ip" && object == "neigh" && verb == "add" &&
               (command.find(" dev vx") != std::string::npos ||
                command.find(" dev br0") != std::string::npos)) {
        add_segment_host(words, setup);
    } else if (command == "bridge link set dev vx0 neigh_suppress on") {
        // What it cannot answer is flooded.
        setup.neigh_suppress = true;
        setup.watch |= table::watch::kProxy;
    } else if (tool == "bridge" && object == "fdb" && command.ends_with(" master static")) {
        // The bridge's own table: vxplane has one for both.
    } else if (tool == "bridge" && object == "fdb") {
        add_fdb(words, setup);
    } else {
        throw Unsupported{"`" + command.substr(0, 40) + "`"};
    }
}

bool owns(const Setup& setup, const net::IpAddress& address) {
    return std::find(setup.addresses.begin(), setup.addresses.end(), address) !=
           setup.addresses.end();
}

/// What can be judged when all commands are known.
void finish(Setup& setup) {
    for (const net::IpAddress& own : setup.addresses)
        if (setup.local.is_unset() && own.is_v4() != setup.ipv6 && !own.is_link_local())
            setup.local = own;
    setup.local_foreign = !owns(setup, setup.local);
    for (const auto& [mac, remote] : setup.fdb)
        if (const Setup::Route* route = setup.route_to(remote);
            route != nullptr && route->into_itself)
            setup.refused_macs[mac] = "route_into_itself";
    // As the kernel does over IPv4, what is too long leaves in fragments.
    setup.options.fragments = !setup.ipv6 && !setup.options.dont_fragment;
    constexpr std::uint16_t kUnbound = 1500;  // of a device without `dev`
    if (setup.mtu == 0) setup.mtu = setup.options.fragments ? kUnbound : setup.most();
    if (!setup.options.fragments) setup.mtu = std::min(setup.mtu, setup.most());
}

}  // namespace

std::uint16_t Setup::most() const {
    return static_cast<std::uint16_t>(underlay_mtu - (ipv6 ? 70 : 50));
}

const Setup::Route* Setup::route_to(const net::IpAddress& address, std::uint8_t tos) const {
    const Route* best = nullptr;
    const auto rank = [](const Route& route) { return std::pair(route.length, route.tos); };
    for (const Route& route : routes)
        if (route.to.is_v4() == address.is_v4() && network_of(address, route.length) == route.to &&
            (route.tos == 0 || route.tos == (tos & table::kRouteTosMask)) &&
            (best == nullptr || rank(route) > rank(*best)))
            best = &route;
    return best;
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
        all.insert(all.end(), config.shown.begin(), config.shown.end());
        all.insert(all.end(), config.later.begin(), config.later.end());
        all.insert(all.end(), before.begin(), before.end());
        for (const std::string& command : all)
            if (std::find(config.refused.begin(), config.refused.end(), command) ==
                config.refused.end())
                apply(command, setup);
        setup.down = !config.up;
        if (setup.down) setup.watch |= table::watch::kDown;
        finish(setup);
    } catch (const Unsupported& problem) {
        setup.unsupported = problem.what;
    } catch (const std::exception& problem) {
        setup.unsupported = std::string("unreadable configuration: ") + problem.what();
    }
    return setup;
}

}  // namespace vxplane::oracle
