// The kernel's end of a device: a veth pair, and a raw socket on an interface.
#pragma once

#include <string>

#include "lab.hpp"

namespace vxplane::port::test {

/// A veth pair, up, without IPv6 chatter; removed with the object.
class VethPair {
  public:
    VethPair();
    ~VethPair();
    VethPair(const VethPair&) = delete;
    VethPair& operator=(const VethPair&) = delete;
    const std::string near = interface_name("a");
    const std::string far = interface_name("b");
};

/// A packet socket for frames of EtherType 0x88B5.
class RawSocket {
  public:
    explicit RawSocket(const std::string& interface);
    ~RawSocket();
    RawSocket(const RawSocket&) = delete;
    RawSocket& operator=(const RawSocket&) = delete;

    void send(const Frame& frame) const;
    /// Waits two seconds at most; empty when nothing came.
    [[nodiscard]] Frame receive() const;

  private:
    int fd_ = -1;
};

/// MTU, flags and MAC address of an interface, as `ip link` shows them.
struct InterfaceState {
    bool exists = false;
    bool up = false;
    int mtu = 0;
    MacBytes mac{};
};
InterfaceState interface_state(const std::string& name);
void set_mtu_of(const std::string& interface, int mtu);

}  // namespace vxplane::port::test
