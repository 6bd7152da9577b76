// Control and data plane together in one process: real ports (net_null), real workers that the test
// polls by hand, and Bridge, Tunnels, Neighbours and Punts over them on a clock that the test
// turns.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/apply/bridge.hpp"
#include "control/apply/routing.hpp"
#include "control/apply/slaves.hpp"
#include "control/machine.hpp"
#include "control/punts.hpp"
#include "control/stats/stats.hpp"
#include "tests/support/frame.hpp"

namespace vxplane::control {

using namespace std::chrono_literals;
using packet::DropReason;
using support::a_frame;
using support::Bytes;
using support::Frame;
using support::host;
using support::ip;
using support::mac;
using support::Outer;
using support::take_apart;
using Time = Neighbours::Time;

struct SentFrame {
    std::uint16_t port = 0;
    Bytes bytes;
};

/// What lasts as long as the process, because DPDK starts only once: one underlay port `up`
/// (10.0.0.1/24), access ports `vm1` to `vm3`, two workers.
class World {
  public:
    static World& get();

    config::Topology topology;
    Machine machine;
    worker::SharedClock clock;
    /// With one reader more than workers: see kReader.
    std::unique_ptr<Publisher> publisher;
    /// A test that gives a running worker frames between its polls uses the tables of the last one,
    /// and is a reader of its own.
    static constexpr unsigned kReader = 2;
    std::uint16_t up = 0, vm1 = 0, vm2 = 0, vm3 = 0;
    /// Everything that any worker sent while `records`.
    std::vector<SentFrame> sent;
    std::atomic<bool> records{true};
    /// The clock of the last test. It goes on in the next one, as workers remember what they told.
    Neighbours::Time now = Neighbours::Clock::now();

    [[nodiscard]] net::MacAddress mac_of(std::uint16_t port) const;

  private:
    World();
};

/// The control side anew for each test: what the daemon makes, without its loop and socket.
class Stack : public testing::Test {
  protected:
    explicit Stack(std::uint32_t fdb_capacity = 4096, std::uint32_t tunnel_capacity = 64,
                   NeighbourOptions options = {});
    ~Stack() override;

    /// VNI 7 as `red`, ports vm1 and vm2, unless said otherwise.
    static SegmentSpec red();
    std::uint16_t segment(const SegmentSpec& spec) { return bridge.add_segment(spec, now); }
    /// Ends loading: red is segment 0 when no segment was made before.
    void begin();

    // --- traffic
    /// One worker gets frames on a port, and its poll ends.
    void receive(std::uint16_t port, const std::vector<Bytes>& frames, unsigned worker = 0);
    void receive(std::uint16_t port, const Frame& frame) { receive(port, {frame.bytes()}); }
    std::uint64_t rx_flags = 0;  ///< what the device says of the frames that come next
    /// A frame from `remote` with the inner frame `inner` arrives at the underlay.
    void from_remote(const std::string& remote, const Frame& inner, std::uint32_t vni = 7);
    static Frame unicast(std::uint8_t from, std::uint8_t to);
    [[nodiscard]] Bytes arp_reply(const std::string& sender, net::MacAddress address) const;
    void poll(unsigned worker = 0);
    /// One turn of control as the daemon does it, then the workers send what it made.
    void tick();
    void pass(std::chrono::milliseconds time, std::chrono::milliseconds step = 10ms);
    /// What was sent on `port` since the last call for any port.
    std::vector<Bytes> sent_by(std::uint16_t port);
    void forget_sent() { world.sent.clear(); }

    // --- looks
    [[nodiscard]] std::optional<FdbView> entry(net::MacAddress address, std::uint16_t segment = 0);
    [[nodiscard]] std::vector<FdbView> entries(const FdbFilter& filter = {});
    [[nodiscard]] std::string dst(net::MacAddress address, std::uint16_t segment = 0);
    [[nodiscard]] std::uint64_t worker_drops(DropReason reason) const;
    [[nodiscard]] std::uint64_t control_drops(DropReason reason) const;
    [[nodiscard]] std::size_t count(FdbNews::Kind kind) const;
    /// RP96, on both sides.
    void expect_law();

    static FdbRequest to_remote(net::MacAddress address, const std::string& remote,
                                std::uint16_t segment = 0);

    /// Keeps a worker at its old tables until it goes out of scope.
    class Stuck {
      public:
        explicit Stuck(unsigned worker) : worker_(worker) {
            rte_rcu_qsbr_thread_online(World::get().publisher->rcu(), worker_);
        }
        ~Stuck() { rte_rcu_qsbr_thread_offline(World::get().publisher->rcu(), worker_); }
        Stuck(const Stuck&) = delete;
        Stuck& operator=(const Stuck&) = delete;

      private:
        unsigned worker_;
    };

    World& world = World::get();
    Publisher& publisher = *world.publisher;
    Time now = world.now + std::chrono::seconds(1);
    table::UnderlayRoutes routes{1024};
    Punts punts{world.machine, publisher};
    Neighbours neighbours;
    Tunnels tunnels;
    Bridge bridge;
    Routing routing{bridge, tunnels, neighbours, publisher};
    Slaves slaves{world.machine, bridge, routing};
    std::vector<FdbNews> news;

  private:
    packet::DropCounts drops_before_{};
    bool loaded_ = false;
};

}  // namespace vxplane::control
