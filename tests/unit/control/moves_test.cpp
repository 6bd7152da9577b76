// Addresses that move: counted, frozen when they do so too often, and told by a controller.
#include "control/apply/moves.hpp"

#include "stack.hpp"

namespace vxplane::control {
namespace {

using Kind = FdbNews::Kind;
using State = table::FdbState;

class MacMoves : public Stack {
  protected:
    /// Host 20 is seen behind `remote`.
    void seen_behind(const std::string& remote) {
        pass(200ms);
        from_remote(remote, unicast(20, 1));
        tick();
    }
    /// Host 20 is learned, and moves `times` times between 10.0.0.2 and 10.0.0.3.
    void move(int times) {
        seen_behind("10.0.0.2");
        for (int i = 1; i <= times; ++i) {
            seen_behind(i % 2 == 0 ? "10.0.0.2" : "10.0.0.3");
        }
    }
    static FdbRequest told(const std::string& remote, std::uint32_t sequence) {
        FdbRequest request = to_remote(host(20), remote);
        request.state = State::controller;
        request.sequence = sequence;
        return request;
    }
};

TEST_F(MacMoves, VX53_VX68_five_moves_are_followed) {
    begin();
    move(5);
    EXPECT_EQ(count(Kind::moved), 5U);
    EXPECT_EQ(dst(host(20)), "10.0.0.3");
    EXPECT_FALSE(entry(host(20))->duplicate);
    EXPECT_EQ(count(Kind::duplicate), 0U);
}

TEST_F(MacMoves, VX68_an_address_that_moves_too_often_stays_where_it_is) {
    begin();
    move(6);
    EXPECT_EQ(count(Kind::moved), 5U);
    EXPECT_EQ(count(Kind::duplicate), 1U);
    EXPECT_EQ(bridge.counters().duplicates, 1U);
    EXPECT_EQ(dst(host(20)), "10.0.0.3");
    EXPECT_TRUE(entry(host(20))->duplicate);
    // What comes from elsewhere is not believed any more; the place that has it may send.
    const std::uint64_t before = worker_drops(DropReason::fdb_conflict);
    seen_behind("10.0.0.2");
    EXPECT_EQ(worker_drops(DropReason::fdb_conflict), before + 1);
    seen_behind("10.0.0.3");
    EXPECT_EQ(worker_drops(DropReason::fdb_conflict), before + 1);
    EXPECT_EQ(count(Kind::moved), 5U);
    expect_law();
}

TEST_F(MacMoves, VX68_a_duplicate_may_move_again_after_the_freeze) {
    SegmentSpec spec = red();
    spec.moves.freeze = 60;
    segment(spec);
    begin();
    move(6);
    pass(58s, 1s);
    EXPECT_TRUE(entry(host(20))->duplicate);
    EXPECT_EQ(entry(host(20))->state, State::static_);
    pass(4s, 1s);
    EXPECT_EQ(count(Kind::recovered), 1U);
    EXPECT_FALSE(entry(host(20))->duplicate);
    EXPECT_EQ(entry(host(20))->state, State::dynamic);
    seen_behind("10.0.0.2");
    EXPECT_EQ(dst(host(20)), "10.0.0.2");
    EXPECT_EQ(tunnels.used(), 1U);
    // It is a dynamic entry like any other.
    pass(302s, 1s);
    EXPECT_FALSE(entry(host(20)));
    EXPECT_EQ(tunnels.used(), 0U);
}

TEST_F(MacMoves, VX68_a_person_ends_it_by_removing_or_replacing_the_entry) {
    begin();
    move(6);
    EXPECT_FALSE(bridge.remove(0, host(20), std::nullopt));
    seen_behind("10.0.0.2");
    EXPECT_EQ(dst(host(20)), "10.0.0.2");
    EXPECT_FALSE(entry(host(20))->duplicate);
    for (int i = 0; i < 6; ++i) seen_behind(i % 2 == 0 ? "10.0.0.3" : "10.0.0.2");
    EXPECT_TRUE(entry(host(20))->duplicate);
    EXPECT_FALSE(bridge.replace(told("10.0.0.4", 1), now));
    EXPECT_FALSE(entry(host(20))->duplicate);
    EXPECT_EQ(entry(host(20))->state, State::controller);
}

TEST_F(MacMoves, VX68_zero_moves_let_an_address_move_as_often_as_it_likes) {
    SegmentSpec spec = red();
    spec.moves.moves = 0;
    segment(spec);
    begin();
    move(20);
    EXPECT_EQ(count(Kind::moved), 20U);
    EXPECT_EQ(bridge.moves().watched(), 0U);
}

TEST_F(MacMoves, VX67_only_a_newer_sequence_number_moves_an_entry) {
    begin();
    EXPECT_FALSE(bridge.replace(told("10.0.0.2", 7), now));
    for (const std::uint32_t old : {7U, 6U, 0U}) {
        const auto problem = bridge.replace(told("10.0.0.3", old), now);
        ASSERT_TRUE(problem);
        EXPECT_NE(problem->find("sequence 7"), std::string::npos) << *problem;
        EXPECT_EQ(dst(host(20)), "10.0.0.2");
    }
    EXPECT_FALSE(bridge.replace(told("10.0.0.3", 8), now));
    EXPECT_EQ(dst(host(20)), "10.0.0.3");
    EXPECT_EQ(entry(host(20))->sequence, 8U);
    // With the entry the number is forgotten.
    EXPECT_FALSE(bridge.remove(0, host(20), std::nullopt));
    EXPECT_FALSE(bridge.replace(told("10.0.0.2", 1), now));
}

TEST_F(MacMoves, VX58_a_controller_does_not_take_over_what_a_person_made) {
    begin();
    for (const State state : {State::permanent, State::static_}) {
        FdbRequest own = to_remote(host(20), "10.0.0.2");
        own.state = state;
        EXPECT_FALSE(bridge.replace(own, now));
        const auto problem = bridge.replace(told("10.0.0.3", 1), now);
        ASSERT_TRUE(problem);
        EXPECT_NE(problem->find("a person made"), std::string::npos) << *problem;
        EXPECT_EQ(dst(host(20)), "10.0.0.2");
        EXPECT_EQ(entry(host(20))->state, state);
    }
    // What was learned is a controller's to correct.
    EXPECT_FALSE(bridge.remove(0, host(20), std::nullopt));
    seen_behind("10.0.0.2");
    EXPECT_FALSE(bridge.replace(told("10.0.0.3", 1), now));
    EXPECT_EQ(dst(host(20)), "10.0.0.3");
}

TEST_F(MacMoves, VX58_what_a_controller_is_refused_is_told_and_told_at_most_ten_times_a_second) {
    begin();
    EXPECT_FALSE(bridge.add(to_remote(host(20), "10.0.0.2"), now));
    // As an add, too, which another entry is in the way of.
    EXPECT_TRUE(bridge.add(told("10.0.0.3", 1), now));
    EXPECT_TRUE(bridge.replace(told("10.0.0.4", 1), now));
    ASSERT_EQ(count(Kind::refused), 2U);
    const FdbView& asked = news.back().entry;
    EXPECT_EQ(news.back().kind, Kind::refused);
    EXPECT_EQ(name(news.back().kind), "refused");
    EXPECT_EQ(asked.segment, 0U);
    EXPECT_EQ(asked.mac, host(20));
    ASSERT_EQ(asked.remotes.size(), 1U);
    EXPECT_EQ(asked.remotes[0], ip("10.0.0.4"));
    EXPECT_EQ(asked.state, State::controller);
    EXPECT_EQ(dst(host(20)), "10.0.0.2");
    for (unsigned i = 0; i < 100; ++i) {
        EXPECT_TRUE(bridge.replace(told("10.0.0.4", 1), now));
    }
    EXPECT_EQ(count(Kind::refused), 10U);
    now += 1s;
    EXPECT_TRUE(bridge.replace(told("10.0.0.4", 1), now));
    EXPECT_EQ(count(Kind::refused), 11U);
    EXPECT_EQ(bridge.counters().adds_refused, 103U);
    // Nobody is refused what is a controller's, or a person's own mistake.
    EXPECT_TRUE(bridge.add(to_remote(host(20), "10.0.0.5"), now));
    EXPECT_FALSE(bridge.replace(to_remote(host(20), "10.0.0.5"), now));
    EXPECT_FALSE(bridge.remove(0, host(20), std::nullopt));
    EXPECT_FALSE(bridge.replace(told("10.0.0.3", 5), now));
    EXPECT_TRUE(bridge.replace(told("10.0.0.4", 5), now));
    EXPECT_EQ(count(Kind::refused), 11U);
}

TEST(Moves, are_counted_within_a_time_from_the_first) {
    Moves moves;
    const MoveLimits limits{.moves = 2, .seconds = 10, .freeze = 0};
    Time now = Time::clock::now();
    EXPECT_FALSE(moves.is_too_many(1, limits, now));
    EXPECT_FALSE(moves.is_too_many(1, limits, now + 9s));
    EXPECT_FALSE(moves.is_too_many(1, limits, now + 10s));
    EXPECT_FALSE(moves.is_too_many(1, limits, now + 11s));
    EXPECT_TRUE(moves.is_too_many(1, limits, now + 12s));
    EXPECT_TRUE(moves.is_duplicate(1));
    // For good.
    moves.recover(now + 100'000s, [](std::uint64_t) { FAIL() << "recovered"; });
    EXPECT_EQ(moves.duplicates(), 1U);
    moves.forget(1);
    EXPECT_EQ(moves.duplicates(), 0U);
    EXPECT_EQ(moves.watched(), 0U);
}

TEST(Moves, a_storm_takes_no_more_memory_than_the_limit) {
    Moves moves;
    const Time now = Time::clock::now();
    for (std::uint64_t key = 0; key < Moves::kMost + 1000; ++key) {
        EXPECT_FALSE(moves.is_too_many(key, {}, now));
    }
    EXPECT_EQ(moves.watched(), Moves::kMost);
    EXPECT_EQ(moves.unwatched(), 1000U);
    moves.recover(now + 181s, [](std::uint64_t) { FAIL() << "none was a duplicate"; });
    EXPECT_EQ(moves.watched(), 0U);
}

}  // namespace
}  // namespace vxplane::control
