#include "dataplane/port/tso.hpp"

#include <rte_ethdev.h>

namespace vxplane::port {

namespace {

constexpr std::uint64_t kPlain = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
constexpr std::uint64_t kSums = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;

bool has(std::uint64_t offloads, std::uint64_t all) {
    return (offloads & all) == all;
}

}  // namespace

Expected<TsoAbility> choose_tso(Wish wish, bool vhost_tso, std::string_view driver,
                                const rte_eth_dev_info& info, rte_eth_conf& conf) noexcept {
    TsoAbility can;
    if (wish == Wish::off) return can;
    const std::uint64_t capa = info.tx_offload_capa;
    if (info.tx_desc_lim.nb_seg_max != 0) can.max_buffers = info.tx_desc_lim.nb_seg_max;
    // What net_tap reports is rte_gso inside the driver, which also drops any frame above its MTU.
    const bool in_software = driver == "net_tap" || driver.starts_with("net_ring");
    if (driver == "net_vhost") {
        can.plain = vhost_tso;
    } else if (driver == "net_virtio" || driver == "net_virtio_user") {
        // A virtio device finishes the TCP checksum; IPv4's is written by its driver.
        can.plain = has(capa, kPlain);
        if (can.plain) conf.txmode.offloads |= kPlain | (capa & RTE_ETH_TX_OFFLOAD_TCP_CKSUM);
    } else if (!in_software && has(capa, kPlain | kSums)) {
        can.plain = true;
        conf.txmode.offloads |= kPlain | kSums;
        if (has(capa, RTE_ETH_TX_OFFLOAD_VXLAN_TNL_TSO)) {
            can.tunnel6 = true;
            can.tunnel4 = has(capa, RTE_ETH_TX_OFFLOAD_OUTER_IPV4_CKSUM);
            conf.txmode.offloads |=
                RTE_ETH_TX_OFFLOAD_VXLAN_TNL_TSO | (capa & RTE_ETH_TX_OFFLOAD_OUTER_IPV4_CKSUM);
        }
    }
    if (wish == Wish::on && !can.any())
        return Failure{
            "tso: on, but the device cuts no TCP packets (auto or off; a net_vhost needs "
            "tso=1 in its device string)",
            "tso"};
    return can;
}

bool choose_large_rx(bool wanted, bool vhost_tso, std::string_view driver,
                     const rte_eth_dev_info& info, rte_eth_conf& conf) noexcept {
    if (driver == "net_vhost") return vhost_tso;
    if (!wanted || driver != "net_virtio_user" ||
        !has(info.rx_offload_capa, RTE_ETH_RX_OFFLOAD_TCP_LRO))
        return false;
    conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_TCP_LRO;
    return true;
}

}  // namespace vxplane::port
