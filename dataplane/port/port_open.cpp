// Opens ports: lock, attach, configure, queues. Every wish that a driver refuses becomes a note;
// only what makes the port useless is a failure.
#include <net/if.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "dataplane/port/device.hpp"
#include "dataplane/port/kernel_device.hpp"
#include "dataplane/port/log_stream.hpp"
#include "dataplane/port/port.hpp"

namespace vxplane::port {
namespace {

constexpr std::uint64_t checksum_offloads =
    RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;

/// Fill and completion queue of net_af_xdp, per socket, whatever is asked for.
constexpr std::uint32_t xdp_ring = 2048;

std::string strerror_of(int error) {
    return rte_strerror(error < 0 ? -error : error);
}

std::string mac_text(const MacBytes& mac) {
    char text[18];
    std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
                  mac[3], mac[4], mac[5]);
    return text;
}

}  // namespace

/// Walks a port from its device string to stopped and configured. A class only because it fills in
/// the private members of Port.
class PortOpener {
  public:
    PortOpener(const PortOptions& options, const PoolSet& pools)
        : options_{options}, pools_{pools}, port_{new Port} {
        port_->options_ = options;
    }

    Expected<std::unique_ptr<Port>> open();
    Expected<std::unique_ptr<Port>> adopt(std::uint16_t id);

  private:
    Outcome attach(const Device& device);
    Outcome configure();
    Outcome set_up_queues(const rte_eth_dev_info& info);
    Outcome choose_queues(const rte_eth_dev_info& info);
    Outcome choose_offloads(const rte_eth_dev_info& info, rte_eth_conf& conf);
    void set_mtu(const rte_eth_dev_info& info);
    void set_mac();
    void set_filters();

    Failure failed(const std::string& what, const std::string& key = {}) const {
        return Failure{"port " + options_.name + " (" + options_.device + "): " + what, key};
    }
    void note(const std::string& what) const { port_->note(what); }
    bool is_tap() const { return port_->driver_ == "net_tap"; }

    const PortOptions& options_;
    const PoolSet& pools_;
    Device device_{};
    const DriverFacts* facts_ = nullptr;
    std::unique_ptr<Port> port_;
};

Outcome PortOpener::attach(const Device& device) {
    // net_af_packet walks its ring as if frames lay without gaps, the kernel leaves the rest of
    // each block empty: with such a ring only the first block's frames would ever arrive.
    if (facts_ != nullptr && device.name.starts_with("net_af_packet")) {
        const auto frame = device.number("framesz", 2048);
        const auto block = device.number("blocksz", 4096);
        if (frame == 0 || block % frame != 0)
            return failed("blocksz=" + std::to_string(block) + " is not a multiple of framesz=" +
                          std::to_string(frame) + "; both must be set so that frames fill blocks");
    }
    if (std::uint16_t taken = 0; rte_eth_dev_get_port_by_name(device.name.c_str(), &taken) == 0)
        return failed("device busy: another port has opened " + device.name + " already");
    const char* bus = device.pci ? "pci" : "vdev";
    const LogCapture log;
    const int error = rte_eal_hotplug_add(bus, device.name.c_str(), device.arguments.c_str());
    if (error != 0) {
        std::string text = "DPDK cannot open it: " + strerror_of(error);
        if (const std::string said = log.text(); !said.empty()) text += " (" + said + ")";
        return failed(text);
    }
    std::uint16_t id = RTE_MAX_ETHPORTS;
    rte_dev_iterator iterator{};
    const std::string match = std::string{"bus="} + bus + ",name=" + device.name;
    if (rte_eth_dev_get_port_by_name(device.name.c_str(), &id) != 0 && device.pci) {
        // A NIC with several ports on one function names them after the function.
        RTE_ETH_FOREACH_MATCHING_DEV(id, match.c_str(), &iterator) {
            rte_eth_iterator_cleanup(&iterator);
            break;
        }
    }
    if (id == RTE_MAX_ETHPORTS) {
        rte_eal_hotplug_remove(bus, device.name.c_str());
        return failed(device.pci ? "no DPDK driver takes this PCI device"
                                 : "the driver made no port");
    }
    port_->id_ = id;
    port_->bus_ = bus;
    port_->device_name_ = device.name;
    return Done{};
}

Expected<std::unique_ptr<Port>> PortOpener::open() {
    const Expected<Device> device = parse_device(options_.device);
    if (!device) return failed(device.failure().text);
    device_ = *device;
    facts_ = device->facts;
    for (const std::string& key : lock_keys(*device)) {
        Expected<DeviceLock> lock = DeviceLock::take(options_.lock_directory, key);
        if (!lock) return failed(lock.failure().text);
        port_->locks_.push_back(std::move(*lock));
    }
    if (const Outcome there = check_device(*device, ""); !there)
        return failed(there.failure().text);
    if (const Outcome attached = attach(*device); !attached) return attached.failure();
    if (const Outcome configured = configure(); !configured) return configured.failure();
    return std::move(port_);
}

Expected<std::unique_ptr<Port>> PortOpener::adopt(std::uint16_t id) {
    if (rte_eth_dev_is_valid_port(id) == 0) return failed("DPDK knows no such port");
    port_->id_ = id;
    if (const Outcome configured = configure(); !configured) {
        port_->id_ = RTE_MAX_ETHPORTS;  // Still the caller's.
        return configured.failure();
    }
    return std::move(port_);
}

Outcome PortOpener::choose_queues(const rte_eth_dev_info& info) {
    const std::uint16_t workers = std::max<std::uint16_t>(options_.workers, 1);
    const bool single = facts_ != nullptr && facts_->single_queue;
    const auto limit = [single](std::uint16_t most) {
        return single ? std::uint16_t{1} : std::max<std::uint16_t>(most, 1);
    };
    const std::uint16_t rx_limit = limit(info.max_rx_queues);
    const std::uint16_t tx_limit = limit(info.max_tx_queues);
    const std::uint16_t asked = options_.rx_queues_wanted;
    // Queues that exist by the device string get packets, whether somebody looks or not.
    const bool all = facts_ != nullptr && facts_->all_rx_queues;
    port_->rx_queues_ = all ? rx_limit : std::min(asked != 0 ? asked : workers, rx_limit);
    port_->tx_queues_ = std::min(workers, tx_limit);
    if (asked != 0 && asked != port_->rx_queues_)
        return failed(std::to_string(asked) + " receive queues are asked for, and the device has " +
                          (all || single ? "" : "at most ") + std::to_string(port_->rx_queues_) +
                          " (auto, or " + (all || rx_limit == 1 ? "" : "a number from 1 to ") +
                          std::to_string(rx_limit) + ")",
                      "rx-queues");
    return Done{};
}

Outcome PortOpener::choose_offloads(const rte_eth_dev_info& info, rte_eth_conf& conf) {
    std::string missing;
    const Expected<std::uint64_t> rss = choose_rss(options_.rss, info, port_->rx_queues_, missing);
    if (!rss) return failed(rss.failure().text, rss.failure().key);
    if (!missing.empty()) note("the device cannot hash " + missing + " to spread flows");
    port_->rss_ = *rss != 0;
    port_->rss_bits_ = *rss;
    port_->rss_key_ = choose_rss_key(options_.rss, info);
    conf.rxmode.mq_mode = *rss != 0 ? RTE_ETH_MQ_RX_RSS : RTE_ETH_MQ_RX_NONE;
    conf.rx_adv_conf.rss_conf.rss_hf = *rss;
    if (*rss != 0 && !port_->rss_key_.empty()) {
        conf.rx_adv_conf.rss_conf.rss_key = port_->rss_key_.data();
        conf.rx_adv_conf.rss_conf.rss_key_len = static_cast<std::uint8_t>(port_->rss_key_.size());
    }
    // Virtual drivers offer this check in software, at our cost, or leave sums unfinished. Who asks
    // for that of net_tap gets it.
    const bool hardware = facts_ == nullptr && port_->driver_ != "net_virtio";
    const bool asked =
        options_.rx_checksum == PortOptions::RxChecksum::required && port_->driver_ == "net_tap";
    const std::uint64_t sums = hardware || asked ? info.rx_offload_capa & checksum_offloads : 0;
    if (options_.rx_checksum == PortOptions::RxChecksum::required && sums != checksum_offloads)
        return failed("the device does not check the sums of IPv4, UDP and TCP (auto or off)",
                      "rx-checksum");
    if (options_.rx_checksum != PortOptions::RxChecksum::off) {
        conf.rxmode.offloads = sums;
        port_->rx_checksum_ = sums == checksum_offloads;
    }
    conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    const Expected<TsoAbility> tso =
        choose_tso(options_.tso, device_.argument("tso") == "1", port_->driver_, info, conf);
    if (!tso) return failed(tso.failure().text, tso.failure().key);
    port_->tso_ = *tso;
    port_->large_rx_ = choose_large_rx(options_.large_rx, device_.argument("tso") == "1",
                                       port_->driver_, info, conf);
    return Done{};
}

Outcome PortOpener::configure() {
    rte_eth_dev_info info{};
    if (const int error = rte_eth_dev_info_get(port_->id_, &info); error != 0)
        return failed("DPDK tells nothing of the device: " + strerror_of(error));
    port_->driver_ = info.driver_name;
    port_->socket_ = rte_eth_dev_socket_id(port_->id_);
    if (facts_ == nullptr)
        for (const DriverFacts& one : known_drivers())
            if (one.name == port_->driver_) facts_ = &one;
    if (const Outcome queues = choose_queues(info); !queues) return queues;

    rte_eth_conf conf{};
    conf.rxmode.mtu = std::clamp(options_.mtu, info.min_mtu, info.max_mtu);
    if (const Outcome chosen = choose_offloads(info, conf); !chosen) return chosen;
    conf.intr_conf.rxq = options_.rx_interrupts ? 1 : 0;
    port_->multi_segment_tx_ =
        facts_ != nullptr ? facts_->multi_segment_tx : conf.txmode.offloads != 0;

    const LogCapture log;
    int error = rte_eth_dev_configure(port_->id_, port_->rx_queues_, port_->tx_queues_, &conf);
    if (error == -EINVAL) {
        // Some drivers take frames only up to the default here, and more by set_mtu.
        conf.rxmode.mtu = 0;
        error = rte_eth_dev_configure(port_->id_, port_->rx_queues_, port_->tx_queues_, &conf);
    }
    if (error != 0)
        return failed("the device refuses " + std::to_string(port_->rx_queues_) + " receive and " +
                      std::to_string(port_->tx_queues_) +
                      " transmit queues: " + strerror_of(error) + " " + log.text());
    if (const Outcome queues = set_up_queues(info); !queues) return queues;
    if (char name[IF_NAMESIZE]; is_tap() && if_indextoname(info.if_index, name) != nullptr)
        port_->tap_end_ = TapEnd{name};
    set_mtu(info);
    set_mac();
    set_filters();
    port_->reset_counters();
    return Done{};
}

Outcome PortOpener::set_up_queues(const rte_eth_dev_info& info) {
    std::uint16_t rx = options_.rx_descriptors;
    std::uint16_t tx = options_.tx_descriptors;
    rte_eth_dev_adjust_nb_rx_tx_desc(port_->id_, &rx, &tx);
    if (rx != options_.rx_descriptors || tx != options_.tx_descriptors)
        note("the device takes " + std::to_string(rx) + " receive and " + std::to_string(tx) +
             " transmit descriptors");
    const auto socket = static_cast<unsigned>(port_->socket_);
    std::vector<int> nodes;
    if (options_.place_queues) nodes = options_.place_queues(port_->socket_, port_->rx_queues_);
    for (std::uint16_t queue = 0; queue < port_->rx_queues_; ++queue) {
        const int node = queue < nodes.size() ? nodes[queue] : port_->socket_;
        if (node >= 0 && !pools_.has(node))
            note("receive queue " + std::to_string(queue) +
                 " takes buffers of another node, as node " + std::to_string(node) +
                 " has no pool");
        rte_eth_rxconf conf = info.default_rxconf;
        const LogCapture log;
        const int error =
            rte_eth_rx_queue_setup(port_->id_, queue, rx, socket, &conf, pools_.of(node).packets);
        if (error != 0)
            return failed("receive queue " + std::to_string(queue) + " with " + std::to_string(rx) +
                          " descriptors: " + strerror_of(error) + " " + log.text());
    }
    for (std::uint16_t queue = 0; queue < port_->tx_queues_; ++queue) {
        rte_eth_txconf conf = info.default_txconf;
        conf.offloads = 0;
        const LogCapture log;
        const int error = rte_eth_tx_queue_setup(port_->id_, queue, tx, socket, &conf);
        if (error != 0)
            return failed("transmit queue " + std::to_string(queue) + " with " +
                          std::to_string(tx) + " descriptors: " + strerror_of(error) + " " +
                          log.text());
    }
    return Done{};
}

void PortOpener::set_mtu(const rte_eth_dev_info& info) {
    const int error = rte_eth_dev_set_mtu(port_->id_, options_.mtu);
    port_->mtu_ = options_.mtu;
    if (error == 0 || error == -ENOTSUP) return;  // Without the function the driver has no limit.
    // net_af_packet names 1518 bytes as its longest frame, but sends and receives what fits into
    // its ring, given that the interface takes it.
    if (port_->driver_ == "net_af_packet" && fits_packet_ring(device_, options_.mtu) &&
        set_kernel_mtu(device_.argument("iface"), options_.mtu))
        return;
    constexpr std::uint32_t overhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
    const std::uint32_t most =
        std::min<std::uint32_t>(info.max_mtu, std::max(info.max_rx_pktlen, overhead) - overhead);
    if (most < options_.mtu) rte_eth_dev_set_mtu(port_->id_, static_cast<std::uint16_t>(most));
    std::uint16_t kept = RTE_ETHER_MTU;
    if (rte_eth_dev_get_mtu(port_->id_, &kept) == 0) port_->mtu_ = std::min(kept, options_.mtu);
    note("the device refuses MTU " + std::to_string(options_.mtu) + " (" + strerror_of(error) +
         ") and keeps " + std::to_string(port_->mtu_));
}

void PortOpener::set_mac() {
    rte_ether_addr address{};
    rte_eth_macaddr_get(port_->id_, &address);
    std::memcpy(port_->mac_.data(), address.addr_bytes, port_->mac_.size());
    if (is_tap()) {
        // net_tap gives one address to both ends, and the kernel's end is another host to us.
        if (options_.mac)
            port_->mac_ = *options_.mac;
        else
            port_->mac_[1] ^= 0x80;
        return;
    }
    if (!options_.mac || *options_.mac == port_->mac_) return;
    std::memcpy(address.addr_bytes, options_.mac->data(), options_.mac->size());
    const int error = rte_eth_dev_default_mac_addr_set(port_->id_, &address);
    if (error == 0 || (facts_ != nullptr && facts_->no_mac_filter)) {
        port_->mac_ = *options_.mac;
        return;
    }
    // Our address all the same: promiscuous mode brings its frames in.
    port_->mac_ = *options_.mac;
    note("the device refuses MAC address " + mac_text(*options_.mac) + " (" + strerror_of(error) +
         "): it is used with promiscuous mode on");
    port_->options_.promiscuous = true;
}

void PortOpener::set_filters() {
    const bool filters = facts_ == nullptr || !facts_->no_mac_filter;
    const int promiscuous = port_->options_.promiscuous ? rte_eth_promiscuous_enable(port_->id_)
                                                        : rte_eth_promiscuous_disable(port_->id_);
    if (promiscuous != 0 && filters)
        note("the device refuses to turn promiscuous mode " +
             std::string{port_->options_.promiscuous ? "on" : "off"} + " (" +
             strerror_of(promiscuous) + ")");
    const int multicast = rte_eth_allmulticast_enable(port_->id_);
    if (multicast != 0 && filters && !port_->options_.promiscuous)
        note("the device refuses to take all multicast (" + strerror_of(multicast) + ")");
}

PortDemand demand_of(const PortOptions& options) noexcept {
    PortDemand demand;
    demand.rx_queues = std::max<std::uint32_t>({options.workers, options.rx_queues_wanted, 1});
    demand.tx_queues = std::max<std::uint32_t>(options.workers, 1);
    demand.rx_descriptors = options.rx_descriptors;
    demand.tx_descriptors = options.tx_descriptors;
    const Expected<Device> device = parse_device(options.device);
    if (!device || device->facts == nullptr) return demand;
    const std::string_view driver = device->facts->name;
    if (device->facts->single_queue) {
        demand.rx_queues = demand.tx_queues = 1;
    } else if (driver == "net_af_packet") {
        demand.rx_queues = device->number("qpairs", 1);
    } else if (driver == "net_af_xdp") {
        demand.rx_queues = device->number("queue_count", 1);
        demand.kept = 2 * xdp_ring * demand.rx_queues;
    } else if (driver == "net_vhost") {
        demand.rx_queues = device->number("queues", 1);
    } else if (driver == "net_pcap") {
        for (const auto& [key, value] : device->pairs) {
            std::error_code none;
            const auto bytes = std::filesystem::file_size(value, none);
            if (key != "rx_pcap" || none || device->argument("infinite_rx") != "1") continue;
            // The driver reads the whole file into buffers: a record is 16 bytes and a frame.
            demand.kept += static_cast<std::uint32_t>(bytes / (16 + 60)) + 1;
        }
        const auto files = std::ranges::count_if(
            device->pairs, [](const auto& pair) { return pair.first.starts_with("rx_"); });
        demand.rx_queues = std::max<std::uint32_t>(1, static_cast<std::uint32_t>(files));
    }
    return demand;
}

Expected<std::unique_ptr<Port>> open_port(const PortOptions& options,
                                          const PoolSet& pools) noexcept {
    return PortOpener{options, pools}.open();
}

Expected<std::unique_ptr<Port>> adopt_port(std::uint16_t id, const PortOptions& options,
                                           const PoolSet& pools) noexcept {
    return PortOpener{options, pools}.adopt(id);
}

Expected<std::unique_ptr<Port>> make_twin(const TwinOptions& options,
                                          const PoolSet& pools) noexcept {
    // The first free number: a net_tap's name is the driver and a number.
    std::string device;
    for (unsigned number = 100; device.empty(); ++number) {
        std::uint16_t taken = 0;
        const std::string name = "net_tap" + std::to_string(number);
        if (rte_eth_dev_get_port_by_name(name.c_str(), &taken) != 0) device = name;
    }
    PortOptions port;
    port.name = options.name;
    port.device = device + ",iface=" + options.ifname + ",mac=" + mac_text(options.mac);
    port.mtu = options.mtu;
    port.mac = options.mac;
    port.rx_descriptors = options.descriptors;
    port.tx_descriptors = options.descriptors;
    port.rx_interrupts = options.rx_interrupts;
    port.lock_directory = options.lock_directory;
    return open_port(port, pools);
}

}  // namespace vxplane::port
