// Interface ioctls: netdevice(7). They see this process's network namespace, which /sys may not.
#include "dataplane/port/kernel_device.hpp"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace vxplane::port {
namespace {

bool ask(unsigned long request, const std::string& interface, ifreq& about) {
    if (interface.empty() || interface.size() >= IFNAMSIZ) return false;
    interface.copy(about.ifr_name, IFNAMSIZ - 1);
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    const bool done = ::ioctl(fd, request, &about) == 0;
    ::close(fd);
    return done;
}

}  // namespace

std::string kernel_driver(const std::string& interface) noexcept {
    ethtool_drvinfo info{};
    info.cmd = ETHTOOL_GDRVINFO;
    ifreq about{};
    about.ifr_data = reinterpret_cast<char*>(&info);
    return ask(SIOCETHTOOL, interface, about) ? std::string{info.driver} : std::string{};
}

std::optional<std::uint16_t> kernel_mtu(const std::string& interface) noexcept {
    ifreq about{};
    if (!ask(SIOCGIFMTU, interface, about)) return std::nullopt;
    return static_cast<std::uint16_t>(std::clamp(about.ifr_mtu, 0, 0xFFFF));
}

bool set_kernel_mtu(const std::string& interface, std::uint16_t mtu) noexcept {
    ifreq about{};
    about.ifr_mtu = mtu;
    return ask(SIOCSIFMTU, interface, about);
}

bool hear_kernel_group(const std::string& interface, const std::uint8_t* mac, bool on) noexcept {
    ifreq about{};
    about.ifr_hwaddr.sa_family = AF_UNSPEC;
    std::copy_n(mac, 6, about.ifr_hwaddr.sa_data);
    return ask(on ? SIOCADDMULTI : SIOCDELMULTI, interface, about);
}

bool set_kernel_up(const std::string& interface, bool up) noexcept {
    ifreq about{};
    if (!ask(SIOCGIFFLAGS, interface, about)) return false;
    const int flags = up ? about.ifr_flags | IFF_UP : about.ifr_flags & ~IFF_UP;
    about.ifr_flags = static_cast<short>(flags);
    return ask(SIOCSIFFLAGS, interface, about);
}

}  // namespace vxplane::port
