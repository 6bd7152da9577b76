// Cutting at the exit (generic segmentation offload): a large packet becomes the frames that it
// stands for, for a port that takes no large packets. Where each piece of the payload still lies in
// a buffer of its own, the buffer is sent with headers written in front of it; else it is copied.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/port/pool.hpp"
#include "dataplane/port/tso.hpp"
#include "dataplane/step/tcp_frame.hpp"

namespace vxplane::path {

/// Owns one large packet, plain or in a tunnel, and hands out its frames in order. What was not
/// handed out is freed with it.
class Segmenter {
  public:
    Segmenter(rte_mbuf* large, port::WorkerPools& pools) noexcept;
    ~Segmenter();
    Segmenter(const Segmenter&) = delete;
    Segmenter& operator=(const Segmenter&) = delete;

    /// The next frame, which is the caller's; null at the end, or when no buffer was free. Then
    /// left() is not 0.
    [[nodiscard]] rte_mbuf* next() noexcept;
    /// Bytes of payload that have not been handed out.
    [[nodiscard]] std::uint32_t left() const noexcept { return left_; }

  private:
    bool cut_headers(rte_mbuf* large) noexcept;
    [[nodiscard]] rte_mbuf* take_buffers(std::uint32_t bytes) noexcept;
    [[nodiscard]] rte_mbuf* copy(std::uint32_t bytes, net::Sum& sum) noexcept;
    void write_headers(std::byte* to, std::uint32_t bytes, net::Sum sum) noexcept;

    port::WorkerPools& pools_;
    rte_mbuf* rest_ = nullptr;  ///< buffers that hold what is left
    std::uint32_t skip_ = 0;    ///< bytes of the first of them that are gone already
    std::uint32_t left_ = 0;
    std::uint32_t sent_ = 0;  ///< payload bytes handed out
    std::uint16_t segment_ = 0;
    std::uint16_t number_ = 0;
    std::uint16_t port_ = 0;
    step::TcpFrame at_;
    std::array<std::byte, step::kMaxHeaders> headers_;
};

/// Prepares a large packet for a port that takes such ones: the checksum begun, flags and lengths
/// set. False, with nothing changed, when the port cannot cut this one.
[[nodiscard]] bool prepare_for_nic(rte_mbuf* large, const port::TsoAbility& can) noexcept;

}  // namespace vxplane::path
