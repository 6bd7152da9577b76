// The frames of a batch: written fresh into buffers before it is timed, and compared with what came
// out afterwards, so that a path that does its work badly or not at all cannot look fast.
#pragma once

#include <rte_mbuf.h>

#include <random>
#include <span>
#include <string>
#include <vector>

#include "bench/vxbench/network.hpp"

namespace vxplane::bench {

class Frames {
  public:
    Frames(const Case& which, const Network& network, const Options& options);

    /// Chooses the addresses of a new batch, at random, and writes its frames into `mbufs`.
    void write(std::span<rte_mbuf*> mbufs);
    /// The segment of the burst that begins with frame `first` of the batch.
    [[nodiscard]] std::uint32_t segment_of(std::size_t first) const noexcept {
        return plans_[first].segment;
    }
    /// Counts each frame once and looks closely at some. Empty when all is well, else what is
    /// wrong.
    [[nodiscard]] std::string check(std::span<rte_mbuf*> sent);

  private:
    struct Plan {
        Host destination;
        Host source;
        std::uint32_t segment = 0;
        std::uint32_t flow = 0;
        bool seen = false;
    };
    /// The inner headers; the payload begins with the frame's number in the batch.
    static constexpr std::uint32_t kInnerHeaders = 42;
    static constexpr std::uint32_t kStamped = kInnerHeaders + sizeof(std::uint32_t);
    /// One frame in so many is compared byte by byte.
    static constexpr std::uint32_t kLookEvery = 61;

    void choose(std::size_t count);
    void write_outer(char* at, const Plan& plan) const;
    void write_inner(char* at, std::uint32_t number) const;
    /// Moves the addresses of a frame forward by 4 bytes and puts the segment's tag behind them.
    void put_tag(char* at, const Plan& plan) const;
    [[nodiscard]] std::uint32_t vxlan_flags() const noexcept;
    [[nodiscard]] std::string check_outer_ip(const char* at, const Plan& plan) const;
    [[nodiscard]] std::string check_outer(const char* at, const Plan& plan) const;

    Case case_;
    const Network& network_;
    std::uint32_t vnis_per_burst_;
    std::uint32_t ip_size_;   ///< of the outer header
    std::uint32_t overhead_;  ///< all that encapsulation adds
    std::uint32_t tag_;       ///< of tenants' frames
    std::vector<Plan> plans_;
    std::mt19937 random_{1};
};

}  // namespace vxplane::bench
