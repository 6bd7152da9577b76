// One network port: opened from a PCI address or a vdev string, configured as far as its driver
// allows, closed by its destructor. Control opens and closes ports; workers only use the id and the
// queue counts.
#pragma once

#include <rte_config.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/port/device_lock.hpp"
#include "dataplane/port/expected.hpp"
#include "dataplane/port/pool.hpp"
#include "dataplane/port/rss.hpp"
#include "dataplane/port/tap_end.hpp"
#include "dataplane/port/tso.hpp"

namespace vxplane::port {

/// A MAC address in wire order.
using MacBytes = std::array<std::uint8_t, 6>;

struct PortOptions {
    std::string name{};
    /// PCI address (`0000:3b:00.0`, devargs may follow after a comma) or vdev string
    /// (`net_tap0,iface=vm1`).
    std::string device{};
    std::uint16_t mtu = 1500;            ///< bytes after the Ethernet header
    std::optional<MacBytes> mac{};       ///< none = the device's own
    std::uint16_t rx_queues_wanted = 0;  ///< 0 = one per worker
    std::uint16_t workers = 1;
    std::uint16_t rx_descriptors = 1024;
    std::uint16_t tx_descriptors = 1024;
    RssOptions rss{};
    enum class RxChecksum : std::uint8_t { where_possible, required, off };
    RxChecksum rx_checksum = RxChecksum::where_possible;
    bool promiscuous = true;
    Wish tso = Wish::automatic;  ///< large packets on transmit
    bool large_rx = false;       ///< take large packets of a virtio device
    /// Asks the driver for an interrupt per receive queue, for workers that sleep.
    bool rx_interrupts = false;
    /// NUMA nodes of the workers that poll the receive queues, whose pools feed them: one of each
    /// queue, in order. Called once, with the node of the device (-1: none) and the number of
    /// queues. Without it all queues take the device's own node.
    std::function<std::vector<int>(int node, std::uint16_t queues)> place_queues{};
    std::string lock_directory = "/run/vxplane/lock";
};

/// What the device itself lost or refused, apart from all drops of ours. Since open or reset.
struct DeviceCounters {
    std::uint64_t imissed = 0;    ///< no free receive descriptor
    std::uint64_t ierrors = 0;    ///< bad frames
    std::uint64_t rx_nombuf = 0;  ///< no free packet buffer
    std::uint64_t oerrors = 0;    ///< frames that could not be sent
};

struct LinkStatus {
    bool up = false;
    std::uint32_t mbps = 0;  ///< 0 = unknown
    bool full_duplex = true;
};

/// An open port. All functions are control's, except the plain reads of id and queue counts.
class Port {
  public:
    /// Stops and closes the device, which hands all its buffers back; a net_tap interface vanishes.
    /// No worker may use the port any more.
    ~Port();
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;

    [[nodiscard]] std::uint16_t id() const noexcept { return id_; }
    [[nodiscard]] const std::string& name() const noexcept { return options_.name; }
    [[nodiscard]] const std::string& device() const noexcept { return options_.device; }
    /// As DPDK calls it, such as `net_tap` or `net_ixgbe`.
    [[nodiscard]] const std::string& driver() const noexcept { return driver_; }
    [[nodiscard]] const MacBytes& mac() const noexcept { return mac_; }
    /// The address of another port, which the host behind this one shares: the kernel's end of a
    /// net_tap gets it too. A device that refuses it gets a note, and is used with it all the same.
    void share_mac(const MacBytes& mac);
    /// Another address of its own while it runs. A device that refuses it is used with it all the
    /// same, in promiscuous mode, and gets a note; the kernel's end of a net_tap keeps its own.
    void set_mac(const MacBytes& mac);
    /// Another MTU while it runs, at both ends of a net_tap. With a Failure nothing has changed.
    [[nodiscard]] Outcome set_mtu(std::uint16_t mtu);
    /// A lesser one for the host behind a net_tap alone, whose interface keeps what it has when it
    /// cannot be told. Others have no way to tell it, and nothing is done.
    void offer_mtu(std::uint16_t mtu);
    /// As told by set_mtu() or offer_mtu(), whichever was later.
    [[nodiscard]] std::uint16_t offered_mtu() const noexcept { return std::min(offered_, mtu_); }
    /// Where the device is an interface of the kernel, `ip link set ... mtu` reaches it behind our
    /// back: from now on mtu() is the lesser one of that and of what was asked for. True when it
    /// has changed.
    bool follow_mtu() noexcept;
    /// Lets in frames to these MAC addresses, and none that an earlier call named besides. Ports
    /// take all multicast as far as their devices do; some have a filter behind that. Says what
    /// lets them in: `list`, `allmulticast`, `promiscuous`, or `device` where nothing can be set.
    std::string hear_groups(const std::vector<MacBytes>& groups);
    /// Whether the host behind the port is to see a carrier: on a net_tap its interface has none, a
    /// kernel interface that we use is set down so that the other end of a veth has none, and a NIC
    /// turns off its link. False when this device has no way to tell it.
    bool set_carrier(bool on) noexcept;
    /// As set_carrier() left it.
    [[nodiscard]] bool carrier() const noexcept { return carrier_; }
    /// The kernel's end of a net_tap; leads nowhere for all others.
    [[nodiscard]] const TapEnd& tap_end() const noexcept { return tap_end_; }
    [[nodiscard]] std::uint16_t mtu() const noexcept { return mtu_; }
    /// NUMA node of the device, -1 when it stands on none.
    [[nodiscard]] int socket() const noexcept { return socket_; }
    [[nodiscard]] std::uint16_t rx_queues() const noexcept { return rx_queues_; }
    /// May be fewer than the workers: then workers must share a queue under a lock.
    [[nodiscard]] std::uint16_t tx_queues() const noexcept { return tx_queues_; }
    /// Whether chained mbufs leave as one whole frame. False = linearize before sending.
    [[nodiscard]] bool multi_segment_tx() const noexcept { return multi_segment_tx_; }
    /// Large packets that may be sent as they are; all others must be cut before.
    [[nodiscard]] const TsoAbility& tso() const noexcept { return tso_; }
    /// Whether large packets, and such with unfinished checksums, may be received.
    [[nodiscard]] bool large_rx() const noexcept { return large_rx_; }
    /// Whether received mbufs carry the NIC's verdict on IPv4, TCP and UDP checksums.
    [[nodiscard]] bool rx_checksum() const noexcept { return rx_checksum_; }
    /// Whether the NIC spreads flows over the receive queues.
    [[nodiscard]] bool rss() const noexcept { return rss_; }
    /// By what it does so, as of start() or the last set_reta().
    [[nodiscard]] const RssState& rss_state() const noexcept { return rss_state_; }
    /// Another indirection table, on a port that is started. A Failure changes nothing.
    [[nodiscard]] Outcome set_reta(const std::vector<std::uint16_t>& pattern) noexcept;
    /// What was asked for and could not be had, one sentence each.
    [[nodiscard]] const std::vector<std::string>& notes() const noexcept { return notes_; }
    /// Adds one, of something that shows only when the port is in use.
    void note(const std::string& what) { notes_.push_back("port " + options_.name + ": " + what); }

    [[nodiscard]] LinkStatus link() const noexcept;
    [[nodiscard]] DeviceCounters counters() const noexcept;
    void reset_counters() noexcept;

    [[nodiscard]] Outcome start() noexcept;
    void stop() noexcept;

  private:
    friend class PortOpener;
    Port() = default;
    [[nodiscard]] DeviceCounters read_device() const noexcept;
    [[nodiscard]] std::optional<bool> tap_runs() const noexcept;
    /// Of a driver that works on an interface of the kernel in this network namespace, by its name.
    [[nodiscard]] std::string kernel_interface() const;

    PortOptions options_{};
    std::vector<DeviceLock> locks_{};
    std::uint16_t id_ = RTE_MAX_ETHPORTS;
    std::string driver_{};
    MacBytes mac_{};
    std::uint16_t mtu_ = 0;
    std::uint16_t offered_ = 0xFFFF;
    int socket_ = -1;
    std::uint16_t rx_queues_ = 0;
    std::uint16_t tx_queues_ = 0;
    bool multi_segment_tx_ = false;
    TsoAbility tso_{};
    bool large_rx_ = false;
    bool rx_checksum_ = false;
    bool rss_ = false;
    std::uint64_t rss_bits_ = 0;  ///< RTE_ETH_RSS_, as configured
    std::vector<std::uint8_t> rss_key_{};
    RssState rss_state_{};
    bool started_ = false;
    std::string bus_{};          ///< set when the device was attached by us, so detached by us
    std::string device_name_{};  ///< on that bus
    std::vector<std::string> notes_{};
    DeviceCounters zero_{};
    TapEnd tap_end_{};
    bool carrier_ = true;
    std::vector<MacBytes> kernel_groups_{};  ///< in the filter of kernel_interface()
    struct Seen {
        std::chrono::steady_clock::time_point when{};
        std::optional<bool> runs{};
    };
    mutable Seen seen_{};  ///< of a tap in another network namespace, where to look takes a thread
};

/// Buffers that the port can hold, as far as the options tell before it is open: an upper bound for
/// sizing pools. A device string that `open_port` refuses counts as one queue per worker.
[[nodiscard]] PortDemand demand_of(const PortOptions& options) noexcept;

/// Takes the device's lock, makes it known to DPDK, configures it and sets up its queues. The port
/// is stopped afterwards. Fails with a text that says what stands in the way: unknown driver, no
/// such device, device busy, held by another daemon (with its pid), bound to a kernel driver.
[[nodiscard]] Expected<std::unique_ptr<Port>> open_port(const PortOptions& options,
                                                        const PoolSet& pools) noexcept;

/// Configures a device that DPDK knows already (made by `rte_eth_from_rings`, say). No lock is
/// taken.
[[nodiscard]] Expected<std::unique_ptr<Port>> adopt_port(std::uint16_t id,
                                                         const PortOptions& options,
                                                         const PoolSet& pools) noexcept;

/// The kernel's side of an underlay port: a net_tap interface with the port's own MAC address, over
/// which the host's own traffic goes.
struct TwinOptions {
    std::string name{};    ///< port name, unique
    std::string ifname{};  ///< name of the interface in the kernel
    MacBytes mac{};
    std::uint16_t mtu = 1500;
    std::uint16_t descriptors = 512;
    bool rx_interrupts = false;  ///< as in PortOptions
    std::string lock_directory = "/run/vxplane/lock";
};

/// Opens a net_tap whose kernel interface is called `ifname`, carries `mac` and `mtu` and is up
/// once the port is started. The MAC address is the interface's, as the host is the one who owns
/// it.
[[nodiscard]] Expected<std::unique_ptr<Port>> make_twin(const TwinOptions& options,
                                                        const PoolSet& pools) noexcept;

}  // namespace vxplane::port
