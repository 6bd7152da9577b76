// A host that was known behind a remote VTEP announces itself at a local port, and back: where
// frames go, who answers for it, and who hears of it.
#include "control/apply/segment_neighbours.hpp"
#include "control/apply/words.hpp"
#include "stack.hpp"

namespace vxplane::control {
namespace {

const net::MacAddress kEverybody = mac("ff:ff:ff:ff:ff:ff");
constexpr const char* kMover = "192.0.2.20";

/// Host 1 is at vm1, host 20 comes and goes; 10.0.0.2 and 10.0.0.3 are in the flood list.
class Announcements : public Stack {
  protected:
    Announcements() : known(bridge) {
        bridge.add_part(known);
        punts.on_heard([this](const path::PuntItem& item, std::span<const std::byte> frame) {
            if (item.why == packet::Punt::neighbour) known.hear(item.segment, frame, now);
        });
    }
    void start() {
        SegmentSpec spec = red();
        spec.watch = table::watch::kProxy | table::watch::kSnoop;
        segment(spec);
        begin();
        for (const char* remote : {"10.0.0.2", "10.0.0.3"})
            ASSERT_FALSE(bridge.add(to_remote({}, remote), now));
        tick();
        for (const char* remote : {"10.0.0.2", "10.0.0.3"})
            receive(world.up, {arp_reply(remote, mac("02:00:00:00:00:99"))});
        receive(world.vm1, unicast(1, 99));
        go_on();
    }
    /// Longer than a worker keeps what it told.
    void go_on() {
        for (int i = 0; i < 60; ++i) {
            now += 20ms;
            known.tick(now);
            tick();
        }
        forget_sent();
    }
    /// Gratuitous ARP, as a request or as an answer.
    static Frame announces(std::uint8_t who, std::uint16_t operation = 1) {
        return a_frame()
            .to(kEverybody)
            .from(host(who))
            .arp({.operation = operation,
                  .sender_mac = host(who),
                  .sender = kMover,
                  .target = kMover});
    }
    static Frame asks(std::uint8_t who) {
        return a_frame()
            .to(kEverybody)
            .from(host(who))
            .arp({.sender_mac = host(who),
                  .sender = "192.0.2." + std::to_string(who),
                  .target = kMover});
    }
    /// Ports, and last bytes of remotes, in the order in which they were served; where a frame is
    /// not `frame` itself, it is an answer.
    std::string went(const Frame& frame) {
        std::string words;
        for (const SentFrame& one : world.sent) {
            const bool out = one.port == world.up;
            const Bytes bytes = out ? take_apart(one.bytes).inner : one.bytes;
            words += (words.empty() ? "" : " ") +
                     (out ? std::to_string(one.bytes.at(33))
                          : world.machine.by_id(one.port)->port->name()) +
                     (bytes == frame.bytes() ? "" : "!");
        }
        forget_sent();
        return words;
    }
    std::string at_port(std::uint16_t port, const Frame& frame) {
        forget_sent();
        receive(port, frame);
        return went(frame);
    }
    std::string at_tunnel(const char* remote, const Frame& frame) {
        forget_sent();
        from_remote(remote, frame);
        return went(frame);
    }
    std::string neighbours_shown() {
        std::string all;
        known.for_each(std::nullopt, now, [&](const SegmentNeighbours::View& view) {
            if (text(view.address) == kMover) all += text(view.mac).substr(15);
        });
        return all;
    }
    SegmentNeighbours known;
};

TEST_F(Announcements, VX87_VX53_a_host_that_comes_from_a_vtep_to_a_port_and_goes_back) {
    start();
    for (const std::uint16_t operation : {std::uint16_t{1}, std::uint16_t{2}}) {
        EXPECT_EQ(at_tunnel("10.0.0.2", announces(20, operation)), "vm1 vm2");
        go_on();
        EXPECT_EQ(dst(host(20)), "10.0.0.2");
        EXPECT_EQ(neighbours_shown(), "14");
        EXPECT_EQ(at_port(world.vm1, unicast(1, 20)), "2");
        EXPECT_EQ(at_port(world.vm1, asks(1)), "vm1!") << "we answer for it";
        go_on();

        EXPECT_EQ(at_port(world.vm2, announces(20, operation)), "vm1 3 2") << "to all VTEPs";
        go_on();
        EXPECT_EQ(dst(host(20)), "port vm2");
        EXPECT_EQ(neighbours_shown(), "14") << "the same station, elsewhere";
        EXPECT_EQ(at_port(world.vm1, unicast(1, 20)), "vm2");
        EXPECT_EQ(at_tunnel("10.0.0.2", unicast(30, 20)), "vm2");
        EXPECT_EQ(at_port(world.vm1, asks(1)), "vm2 3 2") << "it answers for itself";
        EXPECT_EQ(at_tunnel("10.0.0.2", asks(30)), "vm1 vm2");
        go_on();

        // Another VTEP, to which it moved; the first one hears nothing of it from us.
        EXPECT_EQ(at_tunnel("10.0.0.3", announces(20, operation)), "vm1 vm2");
        go_on();
        EXPECT_EQ(dst(host(20)), "10.0.0.3");
        EXPECT_EQ(neighbours_shown(), "14");
        EXPECT_EQ(at_port(world.vm2, unicast(2, 20)), "3");
        EXPECT_EQ(at_port(world.vm1, asks(1)), "vm1!");
        go_on();
    }
    EXPECT_EQ(count(FdbNews::Kind::moved), 5U);
    EXPECT_EQ(known.counters().moved, 0U);
    expect_law();
}

TEST_F(Announcements, VX87_an_address_that_another_station_announces_is_there) {
    start();
    at_tunnel("10.0.0.2", announces(20));
    go_on();
    EXPECT_EQ(neighbours_shown(), "14");
    // It fails over to host 21, at a port: from now on nobody is told the old one.
    EXPECT_EQ(at_port(world.vm2, announces(21)), "vm1 3 2");
    go_on();
    EXPECT_EQ(neighbours_shown(), "15");
    EXPECT_EQ(dst(host(21)), "port vm2");
    EXPECT_EQ(dst(host(20)), "10.0.0.2") << "the station did not move";
    EXPECT_EQ(at_port(world.vm1, asks(1)), "vm2 3 2");
    go_on();
    EXPECT_EQ(at_tunnel("10.0.0.3", announces(22)), "vm1 vm2");
    go_on();
    EXPECT_EQ(neighbours_shown(), "16");
    receive(world.vm1, asks(1));
    const auto answers = sent_by(world.vm1);
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].at(27), 0x16) << "the answer is of the new station";
    go_on();
    EXPECT_EQ(known.counters().moved, 2U);
    expect_law();
}

}  // namespace
}  // namespace vxplane::control
