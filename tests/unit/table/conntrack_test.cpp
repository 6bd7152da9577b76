// The table of connections by itself: states and times, capacity, what ends, and what control sees.
#include "dataplane/table/conntrack.hpp"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace vxplane::table {
namespace {

constexpr std::uint8_t kFin = 1, kSyn = 2, kRst = 4, kAck = 16;
constexpr std::uint8_t kTcp = net::ip_protocol::kTcp;
constexpr std::uint8_t kUdp = net::ip_protocol::kUdp;

ConnTuple tuple(std::uint32_t number, std::uint8_t protocol = kUdp) {
    ConnTuple t;
    t.source = net::Ipv4Address::of(0x0A000000U + number);
    t.destination = net::Ipv4Address::of(0xC0000201U);
    t.source_port = net::Be16::of(1000);
    t.destination_port = net::Be16::of(80);
    t.protocol = protocol;
    return t;
}

/// One tracker, whose packets are named by what they say.
class Tracker {
  public:
    explicit Tracker(std::uint32_t capacity = 64, const ConnTimeouts& timeouts = {})
        : conntrack(capacity, timeouts) {}

    ConnRef open(std::uint32_t number, std::uint8_t protocol = kUdp, std::uint8_t flags = kSyn) {
        NewConnection c;
        c.original = tuple(number, protocol);
        c.reply = inverse(c.original, 0);
        c.original_slave = 1;
        return conntrack.add(c, {100, flags, 1, 0}, now);
    }
    ConnRef find(std::uint32_t number, std::uint8_t protocol = kUdp) {
        const ConnTuple t = tuple(number, protocol);
        return conntrack.find(t, conntrack.hash(t), now);
    }
    Conntrack::Seen note(ConnRef ref, Direction d, std::uint8_t flags = 0,
                         std::uint32_t sequence = 1, std::uint32_t ack = 1) {
        return conntrack.note(ConnRef(ref.place(), d), {100, flags, sequence, ack}, now);
    }
    std::uint32_t left(ConnRef ref) { return conntrack.at(ref).expires - now; }
    void pass(std::uint32_t milliseconds) {
        const std::uint32_t end = now + milliseconds;
        while (now != end) {
            now += std::min(end - now, 100U);
            conntrack.poll(now);
        }
    }
    /// An assured TCP connection.
    ConnRef established(std::uint32_t number) {
        const ConnRef ref = open(number, kTcp);
        note(ref, Direction::reply, kSyn | kAck);
        note(ref, Direction::original, kAck, 2, 500);
        return ref;
    }

    Conntrack conntrack;
    std::uint32_t now = 0xFFFF'0000;  // soon to wrap
};

constexpr Direction kThere = Direction::original;
constexpr Direction kBack = Direction::reply;

TEST(Conntrack, both_directions_are_found_and_nothing_else) {
    Tracker t;
    const ConnRef ref = t.open(1);
    ASSERT_TRUE(ref);
    EXPECT_EQ(t.find(1).bits, ref.bits);
    const ConnTuple back = inverse(tuple(1), 0);
    EXPECT_EQ(t.conntrack.find(back, t.conntrack.hash(back), t.now).direction(), kBack);
    EXPECT_FALSE(t.find(2));
    ConnTuple other_zone = tuple(1);
    other_zone.zone = 5;
    EXPECT_FALSE(t.conntrack.find(other_zone, t.conntrack.hash(other_zone), t.now));
    EXPECT_FALSE(t.find(1, kTcp));
}

TEST(Conntrack, tcp_goes_through_its_states_with_their_times) {
    Tracker t;
    const ConnRef ref = t.open(1, kTcp);
    const Connection& c = t.conntrack.at(ref);
    const auto expect = [&](TcpState state, std::uint32_t seconds) {
        EXPECT_EQ(c.tcp, state);
        EXPECT_EQ(t.left(ref), seconds * 1000);
    };
    expect(TcpState::syn_sent, 120);
    t.note(ref, kBack, kSyn | kAck);
    expect(TcpState::syn_recv, 60);
    EXPECT_FALSE(c.has(Connection::kAssured));
    t.note(ref, kThere, kAck);
    expect(TcpState::established, 432'000);
    EXPECT_TRUE(c.has(Connection::kAssured));
    t.note(ref, kThere, kFin | kAck);
    expect(TcpState::fin_wait, 120);
    t.note(ref, kBack, kAck);
    expect(TcpState::close_wait, 60);
    t.note(ref, kBack, kFin | kAck);
    expect(TcpState::last_ack, 30);
    t.note(ref, kThere, kAck);
    expect(TcpState::time_wait, 120);
}

TEST(Conntrack, two_ends_that_open_at_once_are_one_connection) {
    Tracker t;
    const ConnRef ref = t.open(1, kTcp);
    t.note(ref, kBack, kSyn);
    EXPECT_EQ(t.conntrack.at(ref).tcp, TcpState::syn_sent2);
    t.note(ref, kThere, kSyn | kAck);
    EXPECT_EQ(t.conntrack.at(ref).tcp, TcpState::syn_recv);
    t.note(ref, kThere, kAck);
    EXPECT_EQ(t.conntrack.at(ref).tcp, TcpState::established);
}

TEST(Conntrack, a_reset_closes_and_one_far_from_the_window_does_not) {
    Tracker t;
    ConnRef ref = t.established(1);
    EXPECT_EQ(t.note(ref, kBack, kRst, 500 + (1U << 20)), Conntrack::Seen::fine);
    EXPECT_EQ(t.conntrack.at(ref).tcp, TcpState::established);
    EXPECT_EQ(t.note(ref, kBack, kRst, 499), Conntrack::Seen::fine);
    EXPECT_EQ(t.conntrack.at(ref).tcp, TcpState::established);
    t.note(ref, kBack, kRst, 500);
    EXPECT_EQ(t.conntrack.at(ref).tcp, TcpState::close);
    EXPECT_EQ(t.left(ref), 10'000U);
    ref = t.established(2);
    t.note(ref, kThere, kRst, 77);
    EXPECT_EQ(t.conntrack.at(ref).tcp, TcpState::close) << "our own end knows what it does";
}

TEST(Conntrack, a_refused_connection_ends_at_once) {
    Tracker t;
    const ConnRef ref = t.open(1, kTcp);
    t.note(ref, kBack, kRst | kAck);
    EXPECT_FALSE(t.find(1, kTcp));
    EXPECT_EQ(t.conntrack.stats().used, 0U);
}

TEST(Conntrack, a_connection_that_is_over_is_opened_anew_by_a_syn) {
    Tracker t;
    const ConnRef ref = t.established(1);
    EXPECT_EQ(t.note(ref, kThere, kSyn), Conntrack::Seen::fine) << "ignored while it lives";
    EXPECT_EQ(t.conntrack.at(ref).tcp, TcpState::established);
    t.note(ref, kThere, kRst);
    EXPECT_EQ(t.note(ref, kThere, kSyn), Conntrack::Seen::reopens);
    EXPECT_FALSE(t.find(1, kTcp));
    EXPECT_EQ(t.conntrack.stats().closed, 1U);
}

TEST(Conntrack, impossible_segments_are_invalid_and_change_nothing) {
    Tracker t;
    const ConnRef ref = t.established(1);
    const Connection before = t.conntrack.at(ref);
    for (const std::uint8_t flags : {0, kFin | kSyn, kSyn | kRst, kFin | kRst, int{kFin}, 0x3F})
        EXPECT_EQ(t.note(ref, kThere, flags), Conntrack::Seen::invalid) << int{flags};
    EXPECT_EQ(t.note(ref, kThere, kSyn | kAck), Conntrack::Seen::invalid);
    EXPECT_EQ(t.conntrack.at(ref).original.packets, before.original.packets);
    EXPECT_EQ(t.conntrack.at(ref).expires, before.expires);
}

TEST(Conntrack, what_begins_a_connection) {
    const auto begins = [](std::uint8_t protocol, std::uint8_t flags, std::uint16_t icmp = 0) {
        ConnTuple c = tuple(1, protocol);
        if (c.is_icmp()) c.destination_port = net::Be16::of(icmp);
        return Conntrack::begins(c, {100, flags, 0, 0});
    };
    EXPECT_TRUE(begins(kTcp, kSyn));
    EXPECT_TRUE(begins(kTcp, kAck)) << "picked up midway";
    EXPECT_FALSE(begins(kTcp, kSyn | kAck));
    EXPECT_FALSE(begins(kTcp, kRst));
    EXPECT_FALSE(begins(kTcp, kFin | kAck));
    EXPECT_FALSE(begins(kTcp, 0));
    EXPECT_TRUE(begins(kUdp, 0));
    EXPECT_TRUE(begins(1, 0, 8 << 8));
    EXPECT_FALSE(begins(1, 0, 0));
    EXPECT_TRUE(begins(58, 0, 128 << 8));
    EXPECT_FALSE(begins(58, 0, 129 << 8));
    EXPECT_TRUE(begins(47, 0));
}

TEST(Conntrack, udp_is_a_stream_when_it_is_answered_for_two_seconds) {
    Tracker t;
    const ConnRef ref = t.open(1);
    EXPECT_EQ(t.left(ref), 30'000U);
    t.note(ref, kBack);
    EXPECT_EQ(t.left(ref), 30'000U);
    t.now += 2'001;
    t.note(ref, kThere);
    EXPECT_EQ(t.left(ref), 120'000U);
    EXPECT_TRUE(t.conntrack.at(ref).has(Connection::kAssured));
}

TEST(Conntrack, other_protocols_have_their_times) {
    Tracker t;
    EXPECT_EQ(t.left(t.open(1, 1)), 30'000U);
    EXPECT_EQ(t.left(t.open(2, 47)), 600'000U);
    ConnTimeouts timeouts;
    timeouts.generic = 5'000;
    timeouts.tcp[static_cast<std::size_t>(TcpState::syn_sent)] = 7'000;
    Tracker other(8, timeouts);
    EXPECT_EQ(other.left(other.open(1, 47)), 5'000U);
    EXPECT_EQ(other.left(other.open(2, kTcp)), 7'000U);
}

TEST(Conntrack, an_entry_ends_at_its_time_whether_or_not_it_is_looked_for) {
    Tracker t;
    ASSERT_TRUE(t.open(1));
    ASSERT_TRUE(t.open(2));
    t.now += 29'999;
    EXPECT_TRUE(t.find(1));
    t.now += 1;
    EXPECT_FALSE(t.find(1)) << "found when looked for";
    EXPECT_EQ(t.conntrack.stats().used, 1U);
    t.pass(5'000);
    EXPECT_EQ(t.conntrack.stats().used, 0U) << "found by the sweep";
    EXPECT_EQ(t.conntrack.stats().expired, 2U);
}

TEST(Conntrack, the_sweep_passes_a_large_table_in_a_few_seconds) {
    Tracker t(100'000);
    for (std::uint32_t i = 0; i < 100'000; ++i) ASSERT_TRUE(t.open(i));
    t.now += 30'000;
    for (int ms = 0; ms < 5'000; ++ms) {
        ++t.now;
        t.conntrack.poll(t.now);
    }
    EXPECT_EQ(t.conntrack.stats().used, 0U);
}

TEST(Conntrack, when_it_is_full_the_oldest_unanswered_goes) {
    Tracker t(4);
    const ConnRef kept = t.established(1);
    for (std::uint32_t i = 2; i <= 4; ++i) ASSERT_TRUE(t.open(i));
    ASSERT_TRUE(t.open(5));
    EXPECT_FALSE(t.find(2));
    EXPECT_TRUE(t.find(3) && t.find(4) && t.find(5));
    EXPECT_EQ(t.find(1, kTcp).bits, kept.bits);
    const ConntrackStats s = t.conntrack.stats();
    EXPECT_EQ(s.early_drops, 1U);
    EXPECT_EQ(s.used, 4U);
    EXPECT_EQ(s.high_water, 4U);
    EXPECT_EQ(s.created, 5U);
    EXPECT_EQ(s.refused, 0U);
}

TEST(Conntrack, when_all_are_assured_a_new_one_is_refused) {
    Tracker t(3);
    for (std::uint32_t i = 1; i <= 3; ++i) t.established(i);
    EXPECT_FALSE(t.open(4));
    EXPECT_EQ(t.conntrack.stats().refused, 1U);
    EXPECT_FALSE(t.find(4));
    for (std::uint32_t i = 1; i <= 3; ++i) EXPECT_TRUE(t.find(i, kTcp));
}

TEST(Conntrack, a_full_table_holds_what_its_capacity_says_at_any_size) {
    for (const std::uint32_t capacity : {1U, 2U, 7U, 100U, 5'000U, 65'536U}) {
        Tracker t(capacity);
        for (std::uint32_t i = 0; i < capacity; ++i) t.established(i);
        const ConntrackStats s = t.conntrack.stats();
        EXPECT_EQ(s.used, capacity);
        EXPECT_EQ(s.refused, 0U);
        std::uint32_t found = 0;
        for (std::uint32_t i = 0; i < capacity; ++i) found += t.find(i, kTcp) ? 1U : 0U;
        EXPECT_EQ(found, capacity);
    }
}

TEST(Conntrack, places_are_used_again_for_ever) {
    Tracker t(32);
    std::uint32_t random = 1;
    std::set<std::uint32_t> there;
    for (int step = 0; step < 200'000; ++step) {
        random = random * 1'664'525 + 1'013'904'223;
        const std::uint32_t number = (random >> 16) % 100;
        if (const ConnRef ref = t.find(number)) {
            ASSERT_TRUE(there.contains(number));
            t.conntrack.remove(ref.place());
            there.erase(number);
        } else {
            ASSERT_FALSE(there.contains(number));
            if (there.size() < 32) {
                ASSERT_TRUE(t.open(number));
                there.insert(number);
            }
        }
        ASSERT_EQ(t.conntrack.stats().used, there.size());
    }
}

TEST(Conntrack, flush_takes_what_the_filter_names) {
    const auto left = [](const ConnFilter& filter) {
        Tracker t;
        t.open(1, kUdp);
        t.open(2, kTcp);
        NewConnection c;
        c.original = tuple(3);
        c.original.zone = 7;
        c.original_slave = 9;
        c.reply = inverse(c.original, 0);
        c.reply.destination_port = net::Be16::of(4444);
        t.conntrack.add(c, {}, t.now);
        const std::uint64_t ticket = t.conntrack.request_flush(filter);
        EXPECT_FALSE(t.conntrack.is_flushed(ticket));
        t.conntrack.poll(t.now);
        EXPECT_TRUE(t.conntrack.is_flushed(ticket));
        EXPECT_EQ(t.conntrack.stats().flushed, 3 - t.conntrack.stats().used);
        return t.conntrack.stats().used;
    };
    ConnFilter all;
    EXPECT_EQ(left(all), 0U);
    ConnFilter f = all;
    f.zone = 7;
    EXPECT_EQ(left(f), 2U);
    f = all;
    f.slave = 1;
    EXPECT_EQ(left(f), 1U);
    f = all;
    f.protocol = kTcp;
    EXPECT_EQ(left(f), 2U);
    f = all;
    f.address = net::Ipv4Address::of(0x0A000001U);
    EXPECT_EQ(left(f), 2U);
    f = all;
    f.port = 4444;
    EXPECT_EQ(left(f), 2U);
    f.port = 9;
    EXPECT_EQ(left(f), 3U);
}

TEST(Conntrack, flush_requests_have_a_limit) {
    Tracker t;
    std::uint64_t last = 0;
    for (int i = 0; i < 16; ++i) {
        const std::uint64_t ticket = t.conntrack.request_flush({});
        ASSERT_GT(ticket, last);
        last = ticket;
    }
    EXPECT_EQ(t.conntrack.request_flush({}), 0U);
    for (int i = 0; i < 16; ++i) t.conntrack.poll(t.now);
    EXPECT_TRUE(t.conntrack.is_flushed(last));
    EXPECT_NE(t.conntrack.request_flush({}), 0U);
}

TEST(Conntrack, control_reads_counters_and_times) {
    Tracker t;
    const ConnRef ref = t.open(1);
    t.now += 10;
    t.note(ref, kBack);
    t.now += 90;
    Connection copy;
    ASSERT_EQ(t.conntrack.places(), 1U);
    ASSERT_TRUE(t.conntrack.read(ref.place(), copy));
    EXPECT_EQ(copy.original.tuple, tuple(1));
    EXPECT_EQ(copy.original.packets, 1U);
    EXPECT_EQ(copy.reply.bytes, 100U);
    EXPECT_EQ(copy.original_slave, 1);
    EXPECT_EQ(t.conntrack.idle(copy, t.now), 90U);
    t.conntrack.remove(ref.place());
    EXPECT_FALSE(t.conntrack.read(ref.place(), copy));
}

TEST(Conntrack, a_copy_never_mixes_two_connections) {
    Tracker t(2);
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> copies{0};
    std::thread control([&] {
        Connection copy;
        while (!stop.load()) {
            for (std::uint32_t place = 0; place < t.conntrack.places(); ++place) {
                if (t.conntrack.read(place, copy)) {
                    EXPECT_EQ(copy.reply.tuple, inverse(copy.original.tuple, 0));
                    EXPECT_EQ(copy.original_slave, 1);
                    copies.fetch_add(1, std::memory_order_relaxed);
                }
            }
        }
    });
    for (std::uint32_t i = 0; i < 300'000 || copies.load() < 100; ++i) {
        const ConnRef ref = t.open(i, i % 2 == 0 ? kUdp : kTcp);
        t.note(ref, kBack, kSyn | kAck);
        if (i % 1'000 == 0) std::this_thread::yield();
    }
    stop = true;
    control.join();
    EXPECT_GT(copies.load(), 0U);
}

// A port scan, or a load test: ports in a row, all answers to one address. These seeds of the hash
// are some of those by which an index of the lower bits put such answers into a few buckets.
TEST(Conntrack, ports_in_a_row_find_room_in_an_index_that_is_half_empty) {
    for (const Conntrack::Seeds& seeds :
         {Conntrack::Seeds{0x98A61007CF1F214F, 0x58C8A222C03D80FB, 0xA262919A7A217E3F,
                           0xE75EED0C3A6D549B},
          {0x67053418F71433AD, 0x96883BAFB9515DBF, 0x8589D1411B27B977, 0x1CEF8DE18BA73673},
          {0x9AABE7E079C0F041, 0xAA7D37FD2F61A3C1, 0x84CBAA17185E24A5, 0x1A46F41200D3BBA3},
          {0x297747D590BE0B15, 0x683E936B66722E15, 0xD8A60ACF2FE4BC6B, 0x3C561B3CB8F0C7CF}}) {
        Conntrack conntrack(120'000, {}, seeds);
        for (std::uint32_t i = 0; i < 100'000; ++i) {
            NewConnection c;
            c.original.source = net::Ipv4Address::of(0x0A400001);
            c.original.destination = net::Ipv4Address::of(0x20000001 + i / 50'000);
            c.original.source_port = net::Be16::of(static_cast<std::uint16_t>(10'000 + i % 50'000));
            c.original.destination_port = net::Be16::of(5001);
            c.original.protocol = kUdp;
            c.reply = inverse(c.original, 0);
            c.reply.destination = net::Ipv4Address::of(0x0A000001);
            c.flags = Connection::kSourceNat;
            ASSERT_TRUE(conntrack.add(c, {64, 0, 0, 0}, 0)) << "connection " << i;
        }
        EXPECT_EQ(conntrack.stats().refused, 0U);
    }
}

TEST(Conntrack, no_capacity_and_too_much_are_refused) {
    EXPECT_THROW(Conntrack(0), std::bad_alloc);
    EXPECT_THROW(Conntrack(Conntrack::kMaxCapacity + 1), std::bad_alloc);
}

TEST(Conntrack, icmp_answers_belong_to_their_queries) {
    ConnTuple query = tuple(1, 1);
    query.destination_port = net::Be16::of(8 << 8);
    const ConnTuple answer = inverse(query, 3);
    EXPECT_EQ(answer.destination_port.value(), 0);
    EXPECT_EQ(answer.source_port, query.source_port);
    EXPECT_EQ(answer.zone, 3);
    EXPECT_EQ(inverse(answer, 0), query);
    EXPECT_EQ(icmp_answer(58, 128), 129);
    EXPECT_EQ(icmp_answer(1, 3), 0xFF);
}

}  // namespace
}  // namespace vxplane::table
