// Keeps containers behind net_taps from making the same IPv6 address of the MAC address that they
// share: their interfaces get the link-local address, and the token for router advertisements, that
// goes with the slave's interface id.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "control/apply/slaves.hpp"
#include "control/machine.hpp"

namespace vxplane::control {

/// Control thread only.
class TapAddresses {
  public:
    /// Looks at some of the slaves' taps; called often. An interface that is found with addresses
    /// from its MAC address (addr_gen_mode eui64, the default) is taken over; all others are their
    /// owner's.
    void turn(const Machine& machine, const Slaves& slaves);

  private:
    /// Taps that are looked at in one turn: where one is elsewhere it takes a thread.
    static constexpr std::size_t kAtOnce = 16;
    struct Taken {
        std::uint64_t home = 0;  ///< namespace
        std::uint64_t mac = 0;
    };
    std::map<std::uint16_t, Taken> taken_;  ///< interfaces that were taken over, by slave
    std::size_t next_ = 0;
};

}  // namespace vxplane::control
