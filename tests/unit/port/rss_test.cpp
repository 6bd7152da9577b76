// Hash types, keys and indirection tables: what is asked for, what a device has, and what is said
// when the two do not fit. net_null keeps types, key and table as a NIC does.
#include <rte_ethdev.h>

#include "dataplane/port/rss.hpp"
#include "lab.hpp"

namespace vxplane::port::test {
namespace {

using RssTest = PortTest;

rte_eth_dev_info a_device(std::uint64_t types) {
    rte_eth_dev_info info{};
    info.flow_type_rss_offloads = types;
    info.hash_key_size = 40;
    info.reta_size = 128;
    return info;
}

Failure refused(const RssOptions& options, const rte_eth_dev_info& info, std::uint16_t queues = 2) {
    std::string missing;
    const auto chosen = choose_rss(options, info, queues, missing);
    if (!chosen.ok()) return chosen.failure();
    ADD_FAILURE() << "not refused";
    return {};
}

TEST(Rss, RP02_types_that_a_device_lacks_are_refused_with_those_that_it_has) {
    RssOptions options;
    options.types = {"ipv4", "ipv4-tcp", "ipv6-udp"};
    const Failure failure =
        refused(options, a_device(RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_UDP));
    EXPECT_EQ(failure.key, "rss");
    EXPECT_EQ(failure.text,
              "the device cannot hash ipv4-tcp, ipv6-udp (accepted: ipv4, udp, ipv4-udp)");
}

TEST(Rss, without_a_word_the_device_does_what_it_can_and_the_rest_is_told) {
    std::string missing;
    const auto bits = choose_rss(
        {}, a_device(RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_L2_PAYLOAD), 4,
        missing);
    ASSERT_TRUE(bits.ok());
    EXPECT_EQ(*bits, RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_UDP);
    EXPECT_EQ(missing, "ipv6, tcp");
}

TEST(Rss, one_queue_needs_no_hash) {
    std::string missing;
    const auto bits = choose_rss({}, a_device(RTE_ETH_RSS_IPV4), 1, missing);
    ASSERT_TRUE(bits.ok());
    EXPECT_EQ(*bits, 0U);
    EXPECT_EQ(missing, "");
}

TEST(Rss, RP02_inner_headers_need_a_device_that_can_hash_them) {
    RssOptions options;
    options.inner = true;
    const Failure failure = refused(options, a_device(RTE_ETH_RSS_IPV4));
    EXPECT_EQ(failure.key, "rss-level");
    EXPECT_NE(failure.text.find("steering: software"), std::string::npos) << failure.text;
    std::string missing;
    const auto bits =
        choose_rss(options, a_device(RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_LEVEL_INNERMOST), 2, missing);
    ASSERT_TRUE(bits.ok());
    EXPECT_EQ(*bits, RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_LEVEL_INNERMOST);
}

TEST(Rss, keys_have_the_length_of_the_device) {
    RssOptions options;
    options.key = RssOptions::Key::given;
    options.bytes = {1, 2, 3};
    const Failure failure = refused(options, a_device(RTE_ETH_RSS_IPV4));
    EXPECT_EQ(failure.key, "rss-key");
    EXPECT_NE(failure.text.find("a key of 3 bytes, and the device takes 40"), std::string::npos)
        << failure.text;
    options.key = RssOptions::Key::symmetric;
    const auto key = choose_rss_key(options, a_device(RTE_ETH_RSS_IPV4));
    ASSERT_EQ(key.size(), 40U);
    for (std::size_t i = 0; i < key.size(); i += 2) {
        EXPECT_EQ(key[i], 0x6D);
        EXPECT_EQ(key[i + 1], 0x5A);
    }
}

TEST(Rss, indirection_tables_name_queues_that_are_there) {
    RssOptions options;
    options.reta = {0, 2};
    EXPECT_EQ(refused(options, a_device(RTE_ETH_RSS_IPV4)).key, "rss-reta");
    rte_eth_dev_info none = a_device(RTE_ETH_RSS_IPV4);
    none.reta_size = 0;
    options.reta = {0, 1};
    EXPECT_EQ(refused(options, none).key, "rss-reta");
}

TEST_F(RssTest, RP02_key_types_and_table_of_a_port_are_shown) {
    PortOptions wanted = options("net_null0");
    wanted.workers = 2;
    wanted.rss.types = {"ipv4", "ipv4-udp"};
    wanted.rss.key = RssOptions::Key::symmetric;
    wanted.rss.reta = {1, 0, 0};
    const auto port = started(wanted);
    EXPECT_TRUE(port->rss());
    const RssState& state = port->rss_state();
    EXPECT_EQ(state.types, (std::vector<std::string>{"ipv4", "ipv4-udp"}));
    EXPECT_FALSE(state.possible.empty());
    EXPECT_TRUE(state.symmetric);
    EXPECT_EQ(state.key, symmetric_key(40));
    EXPECT_FALSE(state.inner);
    ASSERT_EQ(state.reta.size(), 128U);
    EXPECT_EQ((std::vector<std::uint16_t>{state.reta.begin(), state.reta.begin() + 6}),
              (std::vector<std::uint16_t>{1, 0, 0, 1, 0, 0}));
}

TEST_F(RssTest, RP02_the_table_of_a_running_port_can_be_set) {
    PortOptions wanted = options("net_null0");
    wanted.workers = 2;
    const auto port = started(wanted);
    const auto before = port->rss_state().reta;
    EXPECT_FALSE(port->set_reta({0, 2}).ok());
    EXPECT_FALSE(port->set_reta({}).ok());
    EXPECT_EQ(port->rss_state().reta, before) << "a refused table changes nothing";
    ASSERT_TRUE(port->set_reta({1}).ok());
    EXPECT_EQ(port->rss_state().reta, std::vector<std::uint16_t>(128, 1));
}

TEST_F(RssTest, a_port_with_one_queue_has_no_table_to_set) {
    const auto port = started(options("net_null0"));
    EXPECT_FALSE(port->rss());
    EXPECT_TRUE(port->rss_state().types.empty());
    const Outcome done = port->set_reta({0});
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.failure().key, "rss-reta");
}

TEST_F(RssTest, checks_of_sums_that_a_device_does_not_do_are_refused) {
    PortOptions wanted = options("net_null0");
    wanted.rx_checksum = PortOptions::RxChecksum::required;
    const auto port = open_port(wanted, *set_);
    ASSERT_FALSE(port.ok());
    EXPECT_EQ(port.failure().key, "rx-checksum");
}

}  // namespace
}  // namespace vxplane::port::test
