// What can be said of a case from its frames and its configuration alone: the words that
// differences.yaml is written in.
#pragma once

#include <set>
#include <string>

#include "setup.hpp"

namespace vxplane::oracle {

using Facts = std::set<std::string>;

/// Facts of what went in and of what the kernel sent, for all frames of a case together:
///   from the underlay  outer_fragment outer_options outer_to_group outer_tagged outer_ecn
///                      outer_ipv6 outer_from_nobody outer_from_own
///                      inner_tagged inner_to_bridge_mac inner_truncated
///   from a tenant      tagged not_ip oversize to_bridge_mac
///                      truncated known_destination
///   of the kernel      kernel_silent kernel_at_wire kernel_delivers kernel_fragments
///   kernel_too_big configured         vni_zero gbp gpe
///                      uplink_down bridge_hairpin bridge_isolated
///   of the entry for an address in the frame
///                      remote_is_no_host route_into_itself
/// The replay adds what it saw: we_are_silent nothing_goes_on (answers of control
/// aside) we_deliver we_ask_control we_drop:REASON, and of the
/// comparison: only_own_stack_differs only_source_ports_differ only_inner_ecn_differs
/// only_copies_to_tenants_differ only_outer_df_differs
Facts facts_of(const Case& one, const Setup& setup, const Topology& topology);

/// Whether a MAC stands anywhere in the frame: as its own address, or as one of the frame inside.
bool names(const Bytes& frame, const std::string& mac);

/// ARP, ICMP, IGMP or ND that the VTEP's own IP stack sends to the underlay.
bool is_own_stack(const Bytes& frame);

/// With the ECN bits and the checksum of the IP header cleared in what was delivered to tenants.
Frames without_inner_ecn(Frames frames);

/// With DF of the outer IPv4 header cleared, and a checksum that fits, in what left by the
/// underlay.
Frames without_outer_df(Frames frames);

}  // namespace vxplane::oracle
