// ioctls of the tun driver (linux/if_tun.h), which ask for no name and no namespace.
#include "dataplane/port/tap_end.hpp"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <thread>
#include <utility>

namespace vxplane::port {
namespace {

constexpr const char* kTun = "/dev/net/tun";
constexpr const char* kOwnNamespace = "/proc/self/ns/net";

/// The interface behind a descriptor of the tun driver; nothing when its queue is not attached.
std::string name_of(int fd) noexcept {
    ifreq about{};
    if (::ioctl(fd, TUNGETIFF, &about) != 0) return {};
    about.ifr_name[IFNAMSIZ - 1] = '\0';
    return std::string{about.ifr_name};
}

std::uint64_t inode_of(int fd) noexcept {
    struct stat about {};
    return ::fstat(fd, &about) == 0 ? about.st_ino : 0;
}

std::uint64_t own_namespace() noexcept {
    struct stat about {};
    return ::stat(kOwnNamespace, &about) == 0 ? about.st_ino : 0;
}

/// An interface ioctl in the network namespace of the calling thread.
bool ask(unsigned long request, const std::string& interface, ifreq& about) noexcept {
    interface.copy(about.ifr_name, IFNAMSIZ - 1);
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    const bool done = ::ioctl(fd, request, &about) == 0;
    ::close(fd);
    return done;
}

}  // namespace

TapEnd::TapEnd(const std::string& interface) noexcept {
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", none)) {
        if (std::filesystem::read_symlink(entry.path(), none) != kTun || none) continue;
        const int fd = std::atoi(entry.path().filename().c_str());
        if (name_of(fd) == interface) {
            fd_ = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
            return;
        }
    }
}

TapEnd::TapEnd(TapEnd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

TapEnd& TapEnd::operator=(TapEnd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
}

void TapEnd::close() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

std::string TapEnd::name() const noexcept {
    return fd_ < 0 ? std::string{} : name_of(fd_);
}

bool TapEnd::set_carrier(bool on) const noexcept {
    int value = on ? 1 : 0;
    return fd_ >= 0 && ::ioctl(fd_, TUNSETCARRIER, &value) == 0;
}

bool TapEnd::set_mac(const std::uint8_t* mac) const noexcept {
    ifreq about{};
    about.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    std::memcpy(about.ifr_hwaddr.sa_data, mac, 6);
    return fd_ >= 0 && ::ioctl(fd_, SIOCSIFHWADDR, &about) == 0;
}

int TapEnd::open_home() const noexcept {
    return fd_ < 0 ? -1 : ::ioctl(fd_, TUNGETDEVNETNS, nullptr);
}

std::uint64_t TapEnd::home() const noexcept {
    const int fd = open_home();
    if (fd < 0) return 0;
    const std::uint64_t inode = inode_of(fd);
    ::close(fd);
    return inode;
}

bool TapEnd::visit(const std::function<bool(const std::string& name)>& act) const noexcept {
    const int there = open_home();
    const std::string known_as = name();
    if (there < 0 || known_as.empty()) {
        if (there >= 0) ::close(there);
        return false;
    }
    bool done = false;
    if (inode_of(there) == own_namespace()) {
        done = act(known_as);
    } else {
        try {
            std::thread([&] { done = ::setns(there, CLONE_NEWNET) == 0 && act(known_as); }).join();
        } catch (const std::system_error&) {
            done = false;  // no thread is to be had: the next try may have more luck
        }
    }
    ::close(there);
    return done;
}

bool TapEnd::set_mtu(std::uint16_t mtu) const noexcept {
    return visit([mtu](const std::string& interface) {
        ifreq about{};
        about.ifr_mtu = mtu;
        return ask(SIOCSIFMTU, interface, about);
    });
}

std::optional<unsigned> TapEnd::flags() const noexcept {
    ifreq about{};
    const bool known = visit(
        [&about](const std::string& interface) { return ask(SIOCGIFFLAGS, interface, about); });
    return known
               ? std::optional(static_cast<unsigned>(static_cast<unsigned short>(about.ifr_flags)))
               : std::nullopt;
}

}  // namespace vxplane::port
