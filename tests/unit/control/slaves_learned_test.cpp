// What is learned of slaves from what they say: groups by IGMP and MLD, addresses by DHCP.
#include "dataplane/net/dhcp_message.hpp"
#include "dataplane/net/membership.hpp"
#include "slaves_fixture.hpp"

namespace vxplane::control {
namespace {

/// The ipvlan in mode l2, and IGMPv2 messages of red.
class ControlGroups : public ControlSlaves {
  protected:
    ControlGroups() { topology.ipvlans[0].mode = config::IpvlanMode::l2; }
    Bytes igmp(std::uint8_t type, const std::string& group) {
        const net::Ipv4Address to = ip(group);
        Bytes message{type, 0, 0, 0, 0, 0, 0, 0};
        std::memcpy(message.data() + 4, &to, sizeof to);
        const std::uint16_t sum = support::rfc1071(message);
        message[2] = static_cast<std::uint8_t>(sum >> 8);
        message[3] = static_cast<std::uint8_t>(sum);
        return a_frame()
            .to(net::group_mac(to))
            .from(world.mac_of(world.up))
            .ipv4({.source = "10.1.0.5", .destination = group, .ttl = 1, .protocol = net::kIgmp})
            .payload(message)
            .bytes();
    }
    void joins(const std::string& group) {
        receive(world.vm1, {igmp(net::igmp_type::kReportV2, group)});
        tick();
    }
    [[nodiscard]] bool hears(const std::string& group, std::uint16_t slave = 0) const {
        return tables().slaves[slave].groups.hears(net::group_mac(ip(group)).number());
    }
};

TEST_F(ControlGroups, IV15_a_slave_hears_the_group_that_it_joins_until_it_leaves) {
    begin_ipvlan();
    EXPECT_FALSE(hears("239.1.2.3"));
    joins("239.1.2.3");
    EXPECT_TRUE(hears("239.1.2.3"));
    EXPECT_FALSE(hears("239.1.2.3", 1));
    const auto report = igmp(net::igmp_type::kReportV2, "239.1.2.3");
    EXPECT_EQ(sent_by(world.up), std::vector<Bytes>{report}) << "the frame goes on its way";
    pass(100ms);
    receive(world.vm1, {igmp(net::igmp_type::kLeave, "239.1.2.3")});
    pass(1900ms);
    EXPECT_TRUE(hears("239.1.2.3"));
    EXPECT_EQ(sent_by(world.vm1).size(), 2U) << "is asked twice whether somebody else wants it";
    pass(200ms);
    EXPECT_FALSE(hears("239.1.2.3"));
    expect_law();
}

TEST_F(ControlGroups, IV15_silence_ends_a_group_after_260_seconds) {
    begin_ipvlan();
    joins("239.1.2.3");
    pass(250s, 1s);
    EXPECT_TRUE(hears("239.1.2.3"));
    pass(11s, 1s);
    EXPECT_FALSE(hears("239.1.2.3"));
}

TEST_F(ControlGroups, IV15_groups_stay_over_a_reload_and_go_with_the_key_or_the_mode) {
    begin_ipvlan();
    joins("239.1.2.3");
    topology.ipvlans[0].slaves[1].up = false;
    apply();
    tick();
    EXPECT_TRUE(hears("239.1.2.3"));
    topology.ipvlans[0].mcast_snooping = false;
    apply();
    tick();
    EXPECT_FALSE(hears("239.1.2.3"));
    joins("239.1.2.3");
    EXPECT_FALSE(hears("239.1.2.3"));
    topology.ipvlans[0].mcast_snooping = true;
    topology.ipvlans[0].mode = config::IpvlanMode::l3;
    apply();
    tick();
    joins("239.1.2.3");
    EXPECT_FALSE(hears("239.1.2.3"));
    expect_law();
}

TEST_F(ControlGroups, IV15_a_thousand_groups_of_one_slave_are_refused_beyond_its_filter) {
    topology.ipvlans[0].slaves[0].groups = {address("239.9.9.9")};
    begin_ipvlan();
    std::vector<Bytes> reports;
    for (unsigned i = 0; i < 1000; ++i) {
        reports.push_back(igmp(net::igmp_type::kReportV2,
                               "239.1." + std::to_string(i / 250) + "." + std::to_string(i % 250)));
    }
    receive(world.vm1, reports);
    for (int i = 0; i < 3; ++i) {
        now += 100ms;
        tick();
    }
    const table::GroupFilter& groups = tables().slaves[0].groups;
    EXPECT_EQ(groups.count, table::GroupFilter::kRoom);
    EXPECT_FALSE(groups.all);
    EXPECT_TRUE(hears("239.9.9.9"));
    EXPECT_GT(slaves.memberships().refused(0), 0U);
    // Many were not taken at all: the rate limit of the way to control.
    EXPECT_EQ(slaves.memberships().refused(0) + 26 + worker_drops(DropReason::control_rate) +
                  worker_drops(DropReason::control_share) +
                  worker_drops(DropReason::control_ring_full) +
                  worker_drops(DropReason::slave_no_copy),
              1000U);
    EXPECT_EQ(sent_by(world.up).size(), 1000U) << "and all went on their way";
    expect_law();
}

/// The ipvlan in mode l2 with DHCP: red and blue ask, a server at 10.0.0.2 answers.
class ControlLeases : public ControlSlaves {
  protected:
    ControlLeases() {
        topology.ipvlans[0].mode = config::IpvlanMode::l2;
        topology.ipvlans[0].dhcp_snoop = true;
        topology.ipvlans[0].slaves[0].routes.clear();
    }
    [[nodiscard]] Bytes bootp(bool answer, std::uint32_t transaction, net::DhcpType type,
                              const std::string& address, std::uint32_t seconds) const {
        net::DhcpHeader head{};
        head.operation = answer ? net::DhcpHeader::kReply : net::DhcpHeader::kRequest;
        head.hardware_type = 1;
        head.hardware_length = 6;
        head.transaction = net::Be32::of(transaction);
        head.cookie = net::DhcpHeader::kCookie;
        const auto link = world.mac_of(world.up);
        std::copy(link.bytes.begin(), link.bytes.end(), head.hardware.begin());
        (answer ? head.yours : head.client) = ip(address);
        Bytes bytes(sizeof head);
        std::memcpy(bytes.data(), &head, sizeof head);
        const std::vector<unsigned> options{53,
                                            1,
                                            static_cast<unsigned>(type),
                                            51,
                                            4,
                                            seconds >> 24,
                                            seconds >> 16,
                                            seconds >> 8,
                                            seconds,
                                            255};
        for (const unsigned one : options) {
            bytes.push_back(static_cast<std::uint8_t>(one));
        }
        return bytes;
    }
    void asks(std::uint16_t port, std::uint32_t transaction, net::DhcpType type,
              const std::string& client = "0.0.0.0") {
        const bool by_broadcast = client == "0.0.0.0";
        receive(port, a_frame()
                          .to(by_broadcast ? net::MacAddress::broadcast() : kGateway)
                          .from(world.mac_of(world.up))
                          .ipv4({.source = client,
                                 .destination = by_broadcast ? "255.255.255.255" : "10.0.0.2"})
                          .udp(68, 67)
                          .payload(bootp(false, transaction, type, client, 0)));
        tick();
    }
    Bytes answer(std::uint32_t transaction, net::DhcpType type, const std::string& address,
                 std::uint32_t seconds = 100) {
        const Bytes bytes = a_frame()
                                .to(world.mac_of(world.up))
                                .from(kGateway)
                                .ipv4({.source = "10.0.0.2", .destination = address})
                                .udp(67, 68)
                                .payload(bootp(true, transaction, type, address, seconds))
                                .bytes();
        receive(world.up, {bytes});
        tick();
        return bytes;
    }
};

TEST_F(ControlLeases, IV19_an_answer_by_unicast_finds_the_slave_that_asked) {
    begin_ipvlan();
    asks(world.vm2, 7, net::DhcpType::discover);
    EXPECT_EQ(sent_by(world.up).size(), 1U);
    const Bytes offer = answer(7, net::DhcpType::offer, "10.1.0.77");
    EXPECT_EQ(sent_by(world.vm2), std::vector<Bytes>{offer});
    EXPECT_EQ(owner("10.1.0.77"), table::AddressMap::kNone);
    answer(8, net::DhcpType::offer, "10.1.0.77");
    EXPECT_TRUE(sent_by(world.vm2).empty());
    EXPECT_EQ(control_drops(DropReason::host_unclaimed), 1U);
    expect_law();
}

TEST_F(ControlLeases, IV19_a_leased_address_is_the_slaves_until_the_lease_ends) {
    begin_ipvlan();
    asks(world.vm2, 7, net::DhcpType::request);
    answer(7, net::DhcpType::ack, "10.1.0.77");
    EXPECT_EQ(tables().slaves[owner("10.1.0.77")].port, world.vm2);
    pass(60s, 1s);
    asks(world.vm2, 8, net::DhcpType::request, "10.1.0.77");
    EXPECT_EQ(sent_by(world.up).size(), 2U) << "requests go on, by unicast too";
    answer(8, net::DhcpType::ack, "10.1.0.77");
    EXPECT_EQ(sent_by(world.vm2).size(), 1U);
    pass(99s, 1s);
    EXPECT_NE(owner("10.1.0.77"), table::AddressMap::kNone);
    pass(2s, 100ms);
    EXPECT_EQ(owner("10.1.0.77"), table::AddressMap::kNone);
    expect_law();
}

TEST_F(ControlLeases, IV06_a_lease_of_what_is_somebody_elses_is_refused) {
    begin_ipvlan();
    std::uint32_t transaction = 7;
    for (const char* taken : {"10.1.0.5", "10.0.0.1"}) {
        asks(world.vm2, ++transaction, net::DhcpType::request);
        forget_sent();
        answer(transaction, net::DhcpType::ack, taken);
        EXPECT_TRUE(sent_by(world.vm2).empty());
    }
    EXPECT_EQ(control_drops(DropReason::slave_lease_refused), 2U);
    // Its own is given to it as it is, and is no lease.
    asks(world.vm2, 20, net::DhcpType::request);
    answer(20, net::DhcpType::ack, "10.1.0.6");
    pass(200s, 1s);
    EXPECT_NE(owner("10.1.0.6"), table::AddressMap::kNone);
    expect_law();
}

TEST_F(ControlLeases, IV08_the_lease_of_a_slave_that_is_down_leads_nowhere_and_comes_back) {
    begin_ipvlan();
    asks(world.vm2, 7, net::DhcpType::request);
    answer(7, net::DhcpType::ack, "10.1.0.77");
    topology.ipvlans[0].slaves[1].up = false;
    apply();
    tick();
    EXPECT_EQ(owner("10.1.0.77"), table::AddressMap::kNone);
    topology.ipvlans[0].slaves[1].up = true;
    apply();
    tick();
    EXPECT_NE(owner("10.1.0.77"), table::AddressMap::kNone);
    // A topology that says otherwise ends it.
    topology.ipvlans[0].slaves[0].addresses.push_back({address("10.1.0.77"), 32});
    apply();
    tick();
    EXPECT_EQ(tables().slaves[owner("10.1.0.77")].port, world.vm1);
    expect_law();
}

}  // namespace
}  // namespace vxplane::control
