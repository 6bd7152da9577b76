// Who asked a DHCP server, and what was leased for how long.
#include "control/resolve/leases.hpp"

#include <gtest/gtest.h>

namespace vxplane::control {
namespace {

using namespace std::chrono_literals;
using Granted = Leases::Granted;
using net::DhcpMessage;
using net::DhcpType;

net::Ipv4Address ten(unsigned number) {
    return net::Ipv4Address::of(0x0A000000U + number);
}

DhcpMessage message(DhcpType type, std::uint32_t transaction, unsigned address = 0,
                    std::optional<std::uint32_t> seconds = std::nullopt) {
    DhcpMessage out;
    out.type = type;
    out.transaction = transaction;
    out.hardware = {2, 0, 0, 0xAA, 0, 1};
    out.lease_seconds = seconds;
    if (address != 0) {
        out.requested = out.yours = ten(address);
    }
    return out;
}

class LeaseTable : public testing::Test {
  protected:
    void pass(std::chrono::seconds time) {
        now += time;
        table.tick(now);
    }
    /// The whole exchange.
    Granted lease(Leases::Client client, unsigned address, std::uint32_t seconds) {
        const std::uint32_t transaction = ++last_;
        table.ask(0, client, message(DhcpType::request, transaction, address), now);
        const auto ack = message(DhcpType::ack, transaction, address, seconds);
        EXPECT_EQ(table.who_asked(0, ack, now), client);
        return table.grant(0, client, ack, now);
    }
    Leases::Time now{1h};
    Leases table;
    std::uint32_t last_ = 1000;
};

TEST_F(LeaseTable, IV19_an_answer_is_for_whom_asked_with_its_transaction) {
    table.ask(0, 1, message(DhcpType::discover, 7), now);
    table.ask(0, 2, message(DhcpType::discover, 8), now);
    EXPECT_EQ(table.who_asked(0, message(DhcpType::offer, 7), now), 1);
    EXPECT_EQ(table.who_asked(0, message(DhcpType::offer, 8), now), 2);
    EXPECT_FALSE(table.who_asked(0, message(DhcpType::offer, 9), now));
    EXPECT_FALSE(table.who_asked(1, message(DhcpType::offer, 7), now)) << "of another link";
    DhcpMessage other = message(DhcpType::offer, 7);
    other.hardware[5] = 9;
    EXPECT_FALSE(table.who_asked(0, other, now)) << "for another station";
}

TEST_F(LeaseTable, IV19_nobody_waits_longer_than_a_minute) {
    table.ask(0, 1, message(DhcpType::discover, 7), now);
    pass(59s);
    EXPECT_TRUE(table.who_asked(0, message(DhcpType::offer, 7), now));
    pass(1s);
    EXPECT_FALSE(table.who_asked(0, message(DhcpType::offer, 7), now));
    table.ask(0, 2, message(DhcpType::discover, 8), now);
    EXPECT_EQ(table.questions(), 1U);
}

TEST_F(LeaseTable, who_repeats_what_it_overheard_gets_nothing) {
    table.ask(0, 1, message(DhcpType::discover, 7), now);
    table.ask(0, 2, message(DhcpType::discover, 7), now);
    EXPECT_EQ(table.who_asked(0, message(DhcpType::offer, 7), now), 1);
    EXPECT_EQ(table.refused(), 1U);
}

TEST_F(LeaseTable, a_client_that_asks_without_end_pushes_out_its_own_questions_only) {
    table.ask(0, 1, message(DhcpType::discover, 7), now);
    for (std::uint32_t i = 0; i < 10'000; ++i) {
        table.ask(0, 2, message(DhcpType::discover, 100 + i), now);
    }
    EXPECT_EQ(table.questions(), 17U);
    EXPECT_EQ(table.who_asked(0, message(DhcpType::offer, 7), now), 1);
    EXPECT_FALSE(table.who_asked(0, message(DhcpType::offer, 100), now));
    EXPECT_EQ(table.who_asked(0, message(DhcpType::offer, 10'099), now), 2);
}

TEST_F(LeaseTable, IV19_a_lease_counts_until_it_ends_or_is_renewed) {
    EXPECT_EQ(lease(1, 9, 100), Granted::added);
    EXPECT_TRUE(table.take_changed());
    EXPECT_EQ(table.owner(0, ten(9)), 1);
    EXPECT_EQ(table.of(1, now).front().left, 100s);
    pass(50s);
    EXPECT_EQ(lease(1, 9, 100), Granted::renewed);
    EXPECT_FALSE(table.take_changed());
    pass(99s);
    EXPECT_TRUE(table.owner(0, ten(9)));
    pass(1s);
    EXPECT_FALSE(table.owner(0, ten(9)));
    EXPECT_TRUE(table.take_changed());
    EXPECT_FALSE(table.next_due());
}

TEST_F(LeaseTable, a_lease_for_ever_does_not_end) {
    EXPECT_EQ(lease(1, 9, 0xFFFFFFFF), Granted::added);
    pass(std::chrono::hours(24 * 365));
    EXPECT_TRUE(table.owner(0, ten(9)));
    EXPECT_FALSE(table.of(1, now).front().left);
}

TEST_F(LeaseTable, IV19_release_and_decline_of_its_client_end_a_lease) {
    lease(1, 9, 100);
    lease(1, 10, 100);
    DhcpMessage release = message(DhcpType::release, 1);
    release.client = ten(9);
    table.ask(0, 2, release, now);
    EXPECT_EQ(table.owner(0, ten(9)), 1) << "not another's";
    table.ask(0, 1, release, now);
    EXPECT_FALSE(table.owner(0, ten(9)));
    table.ask(0, 1, message(DhcpType::decline, 1, 10), now);
    EXPECT_FALSE(table.owner(0, ten(10)));
}

TEST_F(LeaseTable, a_server_that_says_no_ends_the_lease_that_was_asked_for) {
    lease(1, 9, 100);
    table.ask(0, 1, message(DhcpType::request, 50, 9), now);
    table.deny(0, 2, message(DhcpType::nak, 50));
    EXPECT_TRUE(table.owner(0, ten(9)));
    table.deny(0, 1, message(DhcpType::nak, 50));
    EXPECT_FALSE(table.owner(0, ten(9)));
}

TEST_F(LeaseTable, leases_are_bounded_and_anothers_is_not_given_away) {
    for (unsigned i = 0; i < 8; ++i) {
        EXPECT_EQ(lease(1, 20 + i, 100), Granted::added);
    }
    EXPECT_EQ(lease(1, 40, 100), Granted::no_room);
    EXPECT_EQ(lease(2, 20, 100), Granted::no_room);
    EXPECT_EQ(table.owner(0, ten(20)), 1);
    EXPECT_EQ(table.refused(), 2U);
    table.forget(1);
    EXPECT_TRUE(table.all(now).empty());
    EXPECT_EQ(table.questions(), 1U);
    EXPECT_FALSE(table.next_due());
}

}  // namespace
}  // namespace vxplane::control
