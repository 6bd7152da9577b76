// Which worker polls which receive queue, and by which transmit queue each one sends. Pure: control
// calls it while it opens ports, tests call it with machines that are not there.
#pragma once

#include <cstdint>
#include <vector>

namespace vxplane::worker {

/// Shares receive queues out. Workers of the device's NUMA node come first, the least loaded of
/// them before the others; a queue more than there are such workers goes to another node, so that
/// no worker is idle while another has several queues of one port.
class QueuePlan {
  public:
    /// `nodes`: NUMA node of each worker.
    explicit QueuePlan(std::vector<int> nodes);

    /// The workers of queues 0 to `queues` - 1 of a port. `node`: of the device, -1 when it stands
    /// on none. `only`: workers to use, in turn; empty = all, chosen.
    std::vector<unsigned> place(int node, unsigned queues, const std::vector<unsigned>& only);

  private:
    std::vector<int> nodes_;
    std::vector<unsigned> load_;
};

/// How one worker sends by a port.
struct TxPlace {
    std::uint16_t queue = 0;
    unsigned owner = 0;  ///< worker that fills the queue; others reach it by a ring
};

/// By worker. With fewer queues than workers, those that poll the port own the queues first.
[[nodiscard]] std::vector<TxPlace> place_tx(unsigned workers, unsigned queues,
                                            const std::vector<unsigned>& pollers);

}  // namespace vxplane::worker
