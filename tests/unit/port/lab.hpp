// What the tests of ports share: an EAL without hugepages that starts once for the program, pools,
// frames, and a scratch folder.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/port/eal.hpp"
#include "dataplane/port/port.hpp"

namespace vxplane::port::test {

using Frame = std::vector<std::uint8_t>;

/// What `start_eal` answered.
const EalInfo& eal();
/// Lines that DPDK logged so far.
std::size_t logged_lines();

/// An Ethernet frame of `size` bytes with the experimental EtherType 0x88B5 and a pattern.
Frame a_frame(std::size_t size, std::uint8_t seed = 1);
/// Bytes of an mbuf chain in one piece.
Frame bytes_of(const rte_mbuf* mbuf);
/// The frame in one packet buffer.
rte_mbuf* whole(const Pools& pools, const Frame& frame);
/// The frame as a flood sends it: its first 50 bytes in a header buffer, the rest shared.
rte_mbuf* chained(const Pools& pools, const Frame& frame);

/// Sends one packet, freeing it when the port refuses it.
bool send(const Port& port, rte_mbuf* mbuf);
/// Polls all queues until a frame with our EtherType comes, for at most two seconds.
Frame receive(const Port& port);

/// A capture file (microseconds, Ethernet) with these frames; and the frames of one.
void write_capture(const std::string& path, const std::vector<Frame>& frames);
std::vector<Frame> read_capture(const std::string& path);

/// Pools, a scratch folder and a lock folder of its own for each test; afterwards all buffers must
/// be back.
class PortTest : public ::testing::Test {
  protected:
    void SetUp() override;
    void TearDown() override;

    const Pools& pools() const { return set_->nodes().front().pools; }
    PortOptions options(const std::string& device) const;
    /// Opens and starts, or fails the test and ends it.
    std::unique_ptr<Port> started(const PortOptions& options) const;
    /// The text with which opening fails; a port that opens fails the test.
    std::string refusal(const std::string& device) const;
    std::string file(const std::string& name) const { return (scratch_ / name).string(); }

    std::unique_ptr<PoolSet> set_;
    /// Buffers that a driver may keep after its port was closed.
    std::uint64_t lost_ = 0;
    std::filesystem::path scratch_;
};

/// A name for a network interface that no other run of the tests uses.
std::string interface_name(const std::string& end);

}  // namespace vxplane::port::test
