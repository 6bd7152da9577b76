// Ports on their own and against each other: devices, names of kernel twins, addresses.
#include <map>
#include <string_view>
#include <utility>

#include "config/judge.hpp"
#include "config/limits.hpp"
#include "config/nearest.hpp"
#include "config/parse.hpp"
#include "config/resolve.hpp"

namespace vxplane::config {
namespace {

/// What a device string takes hold of: kind and name of the device, and of the kernel interface
/// behind it.
using Claim = std::pair<std::string_view, std::string>;

std::vector<Claim> claims_of(const std::string& device) {
    std::string name = device.substr(0, device.find(','));
    // PCI addresses are hexadecimal, and 3b:00.0 is short for 0000:3b:00.0.
    if (name.find(':') != name.npos) {
        for (char& c : name) {
            if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
        }
        if (name.size() == 7 && name[2] == ':') name.insert(0, "0000:");
    }
    std::vector<Claim> claims{{"device ", name}};
    constexpr std::string_view argument = ",iface=";
    if (const auto found = device.find(argument); found != device.npos) {
        const auto begin = found + argument.size();
        claims.emplace_back("interface ", device.substr(begin, device.find(',', begin) - begin));
    }
    return claims;
}

bool overlap(const IpPrefix& a, const IpPrefix& b) {
    const std::uint8_t all = a.address.is_ipv4() ? 32 : 128;
    const bool single = a.length == all || b.length == all;  // an address of its own is no subnet
    return !single && !is_link_local(a.address) &&
           (contains(a, b.address) || contains(b, a.address));
}

class PortJudge {
  public:
    explicit PortJudge(Judge& judge) : judge_(judge) {}

    void all() {
        for (const Port& port : judge_.topology().ports) one(port);
        number();
    }

  private:
    struct Taken {
        const Port* port;
        IpPrefix prefix;
        Position where;
    };

    void number() {
        std::size_t count = 0;
        const Port* first_too_many = nullptr;
        for (const Port& port : judge_.topology().ports) {
            count += port.host.empty() ? 1 : 2;
            if (count > limits::ports_max && first_too_many == nullptr) first_too_many = &port;
        }
        if (first_too_many == nullptr) return;
        judge_.refuse(first_too_many->where, "ports",
                      std::to_string(count) +
                          " ports, kernel twins included, are too many (at most " +
                          std::to_string(limits::ports_max) + ")");
    }

    void one(const Port& port) {
        const std::string path = "ports." + port.name;
        if (!names_.try_emplace(port.name, &port).second) {
            judge_.refuse(port.where, path, "given twice (each name once)");
        }
        device(port, path);
        numbers(port, path);
        if (port.mac && (port.mac->is_zero() || port.mac->is_multicast())) {
            judge_.refuse(at(port, "mac"), path + ".mac",
                          port.mac->text() + " is not the address of one station (a unicast MAC)");
        }
        reassembly(port, path);
        host(port, path);
        addresses(port, path);
    }

    void device(const Port& port, const std::string& path) {
        for (const Claim& claim : claims_of(port.device)) {
            const auto [earlier, fresh] = devices_.try_emplace(claim, &port);
            if (fresh) continue;
            judge_.refuse(at(port, "device"), path + ".device",
                          std::string(claim.first) + quoted(claim.second) + " is taken by port " +
                              quoted(earlier->second->name) +
                              line_text(at(*earlier->second, "device")) + " (a device of its own)");
            return;
        }
    }

    void numbers(const Port& port, const std::string& path) {
        judge_.range(at(port, "mtu"), path + ".mtu", port.mtu, limits::mtu_min, limits::mtu_max);
        judge_.range(at(port, "rx-queues"), path + ".rx-queues", port.rx_queues, 0,
                     limits::queues_max);
        judge_.range(at(port, "rx-descriptors"), path + ".rx-descriptors", port.rx_descriptors,
                     limits::descriptors_min, limits::descriptors_max);
        judge_.range(at(port, "tx-descriptors"), path + ".tx-descriptors", port.tx_descriptors,
                     limits::descriptors_min, limits::descriptors_max);
    }

    void reassembly(const Port& port, const std::string& path) {
        if (port.reassembly && port.role != PortRole::underlay) {
            judge_.refuse(at(port, "reassembly"), path + ".reassembly",
                          "an access port gets no tunnel packets (role: underlay)");
        }
    }

    void host(const Port& port, const std::string& path) {
        if (port.host.empty()) return;
        const Position where = at(port, "host");
        const std::string host_path = path + ".host";
        if (port.role != PortRole::underlay) {
            judge_.refuse(where, host_path, "an access port has no kernel twin (role: underlay)");
            return;
        }
        if (!is_interface_name(port.host)) {
            judge_.refuse(where, host_path,
                          quoted(port.host) +
                              " cannot name an interface (1 to 15 characters, no blank, '/' or "
                              "':')");
            return;
        }
        const auto [earlier, fresh] = hosts_.try_emplace(port.host, &port);
        if (!fresh) {
            judge_.refuse(where, host_path,
                          quoted(port.host) + " is the twin of port " +
                              quoted(earlier->second->name) +
                              line_text(at(*earlier->second, "host")) + " (a name of its own)");
        }
    }

    void addresses(const Port& port, const std::string& path) {
        if (port.role == PortRole::access) {
            if (!port.addresses.empty()) {
                judge_.refuse(at(port, "addresses"), path + ".addresses",
                              "an access port has no addresses (role: underlay)");
            }
            return;
        }
        if (port.addresses.empty()) {
            judge_.refuse(port.where, path,
                          "an underlay port needs an address (addresses: [10.0.0.1/24])");
        }
        for (std::size_t i = 0; i < port.addresses.size(); ++i) {
            const Position where = position_at(port.address_where, i, at(port, "addresses"));
            address(port, {&port, port.addresses[i], where}, item_path(path + ".addresses", i));
        }
    }

    void address(const Port& port, const Taken& taken, const std::string& path) {
        if (const auto unfit = unfit_prefix(taken.prefix)) {
            judge_.refuse(taken.where, path, *unfit + " (a host address such as 10.0.0.1/24)");
            return;
        }
        for (const Taken& other : taken_) {
            const bool same = other.prefix.address == taken.prefix.address &&
                              (other.port == &port || !is_link_local(other.prefix.address));
            if (!same && (other.port == &port || !overlap(other.prefix, taken.prefix))) continue;
            judge_.refuse(
                taken.where, path,
                (same ? taken.prefix.address.text() + " is given twice, first to port "
                      : taken.prefix.text() + " overlaps " + other.prefix.text() + " of port ") +
                    quoted(other.port->name) + line_text(other.where) +
                    (same ? " (each address once)" : " (subnets apart)"));
            return;
        }
        taken_.push_back(taken);
    }

    static Position at(const Port& port, std::string_view key) {
        return port.keys.of(key, port.where);
    }

    Judge& judge_;
    std::map<std::string, const Port*> names_;
    std::map<Claim, const Port*> devices_;
    std::map<std::string, const Port*> hosts_;
    std::vector<Taken> taken_;
};

}  // namespace

void judge_ports(Judge& judge) {
    PortJudge(judge).all();
}

}  // namespace vxplane::config
