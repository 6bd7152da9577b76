// Which frames a capture keeps: an expression of pcap-filter(7), compiled once, applied by control.
#pragma once

#include <pcap/pcap.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace vxplane::control::capture {

class Filter {
  public:
    Filter() = default;
    ~Filter();
    Filter(const Filter&) = delete;
    Filter& operator=(const Filter&) = delete;

    /// Empty: every frame fits. A text when it is no such expression.
    std::optional<std::string> compile(const std::string& expression);
    /// `bytes` may be cut; `wire_bytes` is the length of the whole frame.
    [[nodiscard]] bool fits(std::span<const std::byte> bytes, std::uint32_t wire_bytes) const;

  private:
    bpf_program program_{};
    bool compiled_ = false;
};

/// The Ethernet frame inside a VXLAN frame to one of `dstports`; empty when it is none.
[[nodiscard]] std::span<const std::byte> inner_frame(std::span<const std::byte> frame,
                                                     const std::vector<std::uint16_t>& dstports);

}  // namespace vxplane::control::capture
