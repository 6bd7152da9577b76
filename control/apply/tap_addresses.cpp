// Files of /proc and calls of the kernel within the namespace of a container: addrconf.c there.
#include "control/apply/tap_addresses.hpp"

#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "control/apply/interface_id.hpp"
#include "control/apply/slave_routes.hpp"

namespace vxplane::control {

namespace {

// Values of net.ipv6.conf.*.addr_gen_mode.
constexpr const char* kFromMac = "0";
constexpr const char* kNone = "1";

std::string setting(const std::string& interface, const char* key) {
    return "/proc/sys/net/ipv6/conf/" + interface + "/" + key;
}
std::string read_setting(const std::string& interface, const char* key) {
    std::string value;
    std::ifstream(setting(interface, key)) >> value;
    return value;
}
bool write_setting(const std::string& interface, const char* key, const char* value) {
    std::ofstream file(setting(interface, key));
    file << value << std::flush;
    return file.good();
}

struct Address {
    std::array<std::uint8_t, 16> bytes{};
    unsigned length = 0;
    [[nodiscard]] bool has(const InterfaceId& id) const {
        return std::equal(id.begin(), id.end(), bytes.begin() + 8);
    }
    [[nodiscard]] bool is_link_local() const { return bytes[0] == 0xFE && bytes[1] == 0x80; }
};

/// Of one interface; /proc/net would be that of the process.
std::vector<Address> addresses_of(const std::string& interface) {
    std::vector<Address> all;
    std::ifstream file("/proc/thread-self/net/if_inet6");
    std::string digits, index, length, scope, flags, name;
    while (file >> digits >> index >> length >> scope >> flags >> name) {
        if (name != interface || digits.size() != 32) {
            continue;
        }
        Address one;
        for (std::size_t i = 0; i < 16; ++i) {
            one.bytes[i] =
                static_cast<std::uint8_t>(std::stoul(digits.substr(2 * i, 2), nullptr, 16));
        }
        one.length = static_cast<unsigned>(std::stoul(length, nullptr, 16));
        all.push_back(one);
    }
    return all;
}

bool change(unsigned long request, const std::string& interface, const Address& address) {
    in6_ifreq about{};
    about.ifr6_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    about.ifr6_prefixlen = address.length;
    std::memcpy(&about.ifr6_addr, address.bytes.data(), address.bytes.size());
    const int fd = ::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const bool done = fd >= 0 && ::ioctl(fd, request, &about) == 0;
    if (fd >= 0) {
        ::close(fd);
    }
    return done;
}

/// `ip token set ::ID dev INTERFACE`. Refused where router advertisements are not listened to.
void set_token(const std::string& interface, const InterfaceId& id) {
    struct {
        nlmsghdr header;
        ifinfomsg link;
        rtattr spec;
        rtattr family;
        rtattr token;
        std::array<std::uint8_t, 16> value;
    } message{};
    message.header = {sizeof message, RTM_SETLINK, NLM_F_REQUEST, 1, 0};
    message.link.ifi_family = AF_UNSPEC;
    message.link.ifi_index = static_cast<int>(if_nametoindex(interface.c_str()));
    const auto after = [&](const rtattr& from) {
        return static_cast<unsigned short>(reinterpret_cast<const char*>(&message + 1) -
                                           reinterpret_cast<const char*>(&from));
    };
    message.spec = {after(message.spec), IFLA_AF_SPEC};
    message.family = {after(message.family), AF_INET6};
    message.token = {after(message.token), IFLA_INET6_TOKEN};
    std::copy(id.begin(), id.end(), message.value.begin() + 8);
    const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd >= 0) {
        const auto sent = ::send(fd, &message, sizeof message, 0);
        static_cast<void>(sent);  // nothing hangs on it
        ::close(fd);
    }
}

/// In the namespace of the interface. `fresh`: it was not taken over yet. `before`: the MAC address
/// that it had when it was looked at last. True when it is taken over now.
bool settle(const std::string& interface, net::MacAddress mac, std::uint16_t number, bool fresh,
            net::MacAddress before) {
    const InterfaceId own = interface_id(mac, number);
    const auto remove = [&interface](const InterfaceId& id) {
        for (const Address& one : addresses_of(interface)) {
            if (one.has(id)) {
                change(SIOCDIFADDR, interface, one);
            }
        }
    };
    if (!fresh && before != mac) {
        remove(interface_id(before, number));
        set_token(interface, own);
    }
    if (fresh) {
        if (read_setting(interface, "addr_gen_mode") != kFromMac ||
            !write_setting(interface, "addr_gen_mode", kNone)) {
            return false;
        }
        set_token(interface, own);
        remove(plain_interface_id(mac));
    }
    // The kernel takes it away whenever the interface goes down; another MAC address is another id.
    bool there = false;
    for (const Address& one : addresses_of(interface)) {
        there = there || (one.is_link_local() && one.has(own));
    }
    if (!there && read_setting(interface, "disable_ipv6") == "0") {
        Address address;
        address.bytes = link_local(own).bytes;
        address.length = 64;
        change(SIOCSIFADDR, interface, address);
    }
    return true;
}

}  // namespace

void TapAddresses::turn(const Machine& machine, const Slaves& slaves) {
    const std::vector<SlaveView> views = slaves.views();
    if (views.empty()) {
        return;
    }
    std::vector<std::string> names;
    for (std::uint16_t i = 0; !slaves.name_of(i).empty(); ++i) {
        names.push_back(slaves.name_of(i));
    }
    const std::vector<std::uint16_t> numbers = interface_numbers(names);
    for (std::size_t i = 0; i < std::min(kAtOnce, views.size()); ++i) {
        const std::uint16_t slave = views[next_++ % views.size()].number;
        const OpenPort* open = machine.by_id(slaves.slave(slave).port);
        if (open == nullptr || !open->port->tap_end()) {
            continue;
        }
        const std::uint64_t home = open->port->tap_end().home();
        const auto known = taken_.find(slave);
        const bool fresh = known == taken_.end() || known->second.home != home;
        const auto mac =
            net::MacAddress::from_number(slaves.master(slaves.slave(slave).master).mac);
        const auto before = fresh ? mac : net::MacAddress::from_number(known->second.mac);
        const bool done = open->port->tap_end().visit([&](const std::string& interface) {
            return settle(interface, mac, numbers[slave], fresh, before);
        });
        if (done) {
            taken_[slave] = {home, mac.number()};
        }
    }
}

}  // namespace vxplane::control
