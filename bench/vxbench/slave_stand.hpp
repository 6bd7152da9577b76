// One case of ipvlan: its worker, its tables and its frames. Timed by `vxbench slaves`, counted by
// tests/instructions.
#pragma once

#include <atomic>
#include <memory>
#include <random>
#include <vector>

#include "bench/vxbench/rig.hpp"
#include "bench/vxbench/slave_world.hpp"

namespace vxplane::bench {

class SlaveStand {
  public:
    SlaveStand(Bench& bench, const SlaveCase& which, std::uint32_t batch);

    /// Writes a batch of frames into the receive ring.
    void fill();
    /// Everything that a worker does with them.
    void poll_all();
    /// Takes what came out and looks at it; ends the program when anything is wrong.
    void drain();

    /// Cycles per packet, drivers included.
    double time_batch();
    /// Cycles per packet of the same rings without a worker between.
    double time_drivers();
    [[nodiscard]] const SlaveCase& subject() const { return world_.subject(); }

  private:
    std::uint32_t random() { return static_cast<std::uint32_t>(random_() >> 16); }

    Bench& bench_;
    SlaveWorld world_;
    port::MemoryPort& from_;
    port::MemoryPort& to_;
    std::atomic<const table::Tables*> published_;
    worker::SharedClock clock_;
    std::vector<rte_mbuf*> mbufs_;
    std::vector<std::uint32_t> senders_;
    std::mt19937_64 random_{7};
    std::unique_ptr<worker::Worker> worker_;
};

}  // namespace vxplane::bench
