// What differs between a step of a scenario as recorded and as we did it, each difference with its
// facts: those of facts.hpp for the step's frames, and
//   all           scenario external maxaddr gbp df_unset path_was_told outer_link_local; after RULE
//   of a command  command command:VERB word:WORD earlier:WORD (in this step) kernel_refuses
//                 we_refuse local_foreign remote_is_ours link_local vni_zero vni_too_large
//   of an entry   entry only_we_have_it only_kernel_has_it flood_list ours:STATE kernel:STATE
//                 entry:WORD (of its lines) entry_of_this_frame entry_was_refused
//   of frames     about:WORD (of the kernel's entries of their addresses), entry_differs
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "facts.hpp"
#include "live_commands.hpp"

namespace vxplane::oracle {

struct Difference {
    std::string what;
    Facts facts{};
    std::string address{};  ///< of the entry of the FDB that it is about
};

/// The underlay as a Setup, for the facts of frames and their comparison.
Setup live_setup(const Topology& topology, const LiveDevice& device);

/// Of our FDB and the recorded one, by address. Both in our words.
std::map<std::string, std::string> fdb_differences(const std::vector<std::string>& ours,
                                                   const std::vector<std::string>& theirs);

/// Of the words of a command, what it did, and to whom.
Facts facts_of_command(const LiveStep::Command& command, const Done& done,
                       const Topology& topology);

/// What a recorded `bridge fdb show` or `bridge vni show` printed, as our Done::shown.
std::vector<std::string> shown_in_our_words(const LiveStep::Command& command);

/// A packet of the underlay from a link-local address.
bool is_from_link_local(const Injected& injected);

/// ICMP that says which length a path takes.
bool tells_of_a_path(const Injected& injected);

/// MAC addresses at the beginning of a frame, and of the frame that it carries.
std::set<std::string> addresses_in(const Bytes& frame);

/// VNI of a tunnel packet of the underlay; 0: it is none.
std::uint32_t vni_of(const Injected& injected);

}  // namespace vxplane::oracle
