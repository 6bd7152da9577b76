// Sockets and interfaces of the kernel for tests.
#include "kernel_side.hpp"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace vxplane::port::test {
namespace {

constexpr std::uint16_t experimental = 0x88B5;

void run(const std::string& command) {
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

}  // namespace

VethPair::VethPair() {
    run("ip link add " + near + " type veth peer name " + far);
    for (const std::string& name : {near, far}) run("ip link set " + name + " up");
}

VethPair::~VethPair() {
    run("ip link del " + near);
}

RawSocket::RawSocket(const std::string& interface)
    : fd_{::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(experimental))} {
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(experimental);
    address.sll_ifindex = static_cast<int>(::if_nametoindex(interface.c_str()));
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const timeval patience{2, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

RawSocket::~RawSocket() {
    ::close(fd_);
}

void RawSocket::send(const Frame& frame) const {
    EXPECT_EQ(::send(fd_, frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
}

Frame RawSocket::receive() const {
    Frame frame(16384);
    const ssize_t size = ::recv(fd_, frame.data(), frame.size(), 0);
    frame.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return frame;
}

void set_mtu_of(const std::string& interface, int mtu) {
    run("ip link set " + interface + " mtu " + std::to_string(mtu));
}

InterfaceState interface_state(const std::string& name) {
    InterfaceState state;
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    if (::ioctl(fd, SIOCGIFFLAGS, &request) == 0) {
        state.exists = true;
        state.up = (request.ifr_flags & IFF_UP) != 0;
        if (::ioctl(fd, SIOCGIFMTU, &request) == 0) state.mtu = request.ifr_mtu;
        if (::ioctl(fd, SIOCGIFHWADDR, &request) == 0)
            std::memcpy(state.mac.data(), request.ifr_hwaddr.sa_data, state.mac.size());
    }
    ::close(fd);
    return state;
}

}  // namespace vxplane::port::test
