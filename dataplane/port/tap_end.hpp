// The kernel's end of a net_tap. It is a container's interface as soon as it was moved into a
// network namespace, perhaps under another name, where DPDK's driver, which goes by the name, loses
// sight of it. The open descriptor of the tap still leads there.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace vxplane::port {

/// Control thread only. Does nothing, and says so, when it leads nowhere.
class TapEnd {
  public:
    TapEnd() = default;
    /// Looks for the descriptor that the driver has opened for this interface: before it is moved.
    explicit TapEnd(const std::string& interface) noexcept;
    ~TapEnd() { close(); }
    TapEnd(TapEnd&& other) noexcept;
    TapEnd& operator=(TapEnd&& other) noexcept;
    TapEnd(const TapEnd&) = delete;
    TapEnd& operator=(const TapEnd&) = delete;
    /// The interface vanishes only when this is closed, too.
    void close() noexcept;

    explicit operator bool() const noexcept { return fd_ >= 0; }
    /// What is called NO-CARRIER when it is off.
    [[nodiscard]] bool set_carrier(bool on) const noexcept;
    [[nodiscard]] bool set_mac(const std::uint8_t* mac) const noexcept;
    [[nodiscard]] bool set_mtu(std::uint16_t mtu) const noexcept;
    /// IFF_UP and the other flags of the interface, where it is now.
    [[nodiscard]] std::optional<unsigned> flags() const noexcept;
    /// Tells namespaces apart: the inode of the one where it is. 0 when the kernel does not say.
    [[nodiscard]] std::uint64_t home() const noexcept;

    /// Calls `act` with the name that the interface has now, on a thread that is in its network
    /// namespace. Sockets must not outlive the call: they would keep a namespace that was deleted.
    /// False when there is no way in, and what `act` returned otherwise.
    bool visit(const std::function<bool(const std::string& name)>& act) const noexcept;

  private:
    [[nodiscard]] std::string name() const noexcept;
    [[nodiscard]] int open_home() const noexcept;

    int fd_ = -1;
};

}  // namespace vxplane::port
