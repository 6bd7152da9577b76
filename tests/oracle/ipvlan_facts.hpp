// What can be said of an ipvlan case from its frames and its configuration alone: words that
// differences.yaml is written in.
#pragma once

#include "facts.hpp"
#include "ipvlan_scene.hpp"

namespace vxplane::oracle {

/// Facts of what went in and of what the kernel did, for all frames of a case together.
// clang-format off
///   always             ipvlan mode_l2 mode_l3 mode_l3s flag_bridge flag_private flag_vepa
///   of the place       from_wire from_slave from_host
///   of the frame       tagged double_tagged group_frame own_mac padded oversize ipv4 ipv6
///                      ip4_malformed ip4_bad_checksum ip6_malformed
///   of the source      from_loopback from_group from_broadcast from_unspecified bad_source (any)
///                      icmp6_from_unspecified mapped_address (or the destination)
///   of the destination to_loopback to_zero to_group to_broadcast to_network_address to_host
///                      to_slave between_private (siblings)
///   of the host's route to the destination, when neither slave nor host has the address
///                      route_none route_unreachable route_blackhole route_prohibit
///                      route_other_device
///   configured         group_just_left host_address_at_slave
///   of the kernel      kernel_silent kernel_sends kernel_delivers kernel_gives_to_host kernel_asks
// clang-format on
/// The scene adds what it saw: we_are_silent we_send we_deliver we_give_to_host we_ask_neighbour
/// we_ask_for_unreachable we_ask_for_ttl_exceeded we_ask_for_too_big we_ask_control
/// we_drop:REASON we_drop_malformed, and the replay: only_tag_at_host_differs only_padding_differs
Facts ipvlan_facts_of(const IpvlanCase& one, const IpvlanSetup& setup);

/// As the host's stack sees a frame whose outer VLAN tag its device took off.
Frames without_tag_at_host(Frames frames);
/// With the lengths that the packets had before the kernel counted what stands behind them as
/// theirs: cut to the length in what was injected.
Frames without_padding(const IpvlanCase& one);

}  // namespace vxplane::oracle
