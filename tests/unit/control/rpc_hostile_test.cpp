// Clients that mean harm: each costs bounded memory, and a client that behaves hardly notices.
#include <sys/resource.h>

#include <algorithm>
#include <vector>

#include "rpc_fixture.hpp"

namespace vxplane::control::rpc {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// The slowest of `count` requests. The machine may be busy: limits in these tests are loose, what
// they find is a loop that is held up for good.
milliseconds slowest(LineClient& client, int count) {
    milliseconds worst{0};
    for (int i = 0; i < count; ++i) {
        const auto begin = Clock::now();
        EXPECT_EQ(client.ask("echo")["result"], "nothing");
        worst = std::max(worst, std::chrono::duration_cast<milliseconds>(Clock::now() - begin));
    }
    return worst;
}

const std::string request =
    R"({"jsonrpc":"2.0","id":1,"method":"echo","params":["xxxxxxxxxxxxxxxx"]})"
    "\n";

TEST(RpcHostile, a_10_MB_line_without_an_end_is_refused_at_the_limit) {
    Fake fake;
    fake.start();
    LineClient good = fake.connect();
    LineClient bad = fake.connect();
    std::size_t sent = 0;
    const std::string part(1 << 20, 'a');
    for (int i = 0; i < 10; ++i) {
        if (!bad.send(part)) break;
        sent += part.size();
    }
    EXPECT_LT(sent, 10U << 20);
    EXPECT_EQ(bad.reply()["error"]["message"], "line longer than 1048576 bytes; closing");
    EXPECT_EQ(bad.line(), "");
    EXPECT_LT(slowest(good, 20), milliseconds{500});
    const ServerStats stats = fake.stats();
    EXPECT_EQ(stats.closed_long_line, 1U);
    EXPECT_EQ(stats.clients, 1U);
    EXPECT_LT(stats.memory_high_water, 4U << 20);
    EXPECT_LT(stats.memory_bytes, 64U << 10);
}

TEST(RpcHostile, a_line_of_just_the_limit_is_served_and_one_more_is_not) {
    Fake fake({.max_line = 4096});
    fake.start();
    const std::string head = R"({"jsonrpc":"2.0","id":1,"method":"echo","params":[")";
    const std::string tail = "\"]}";
    const std::string fits = head + std::string(4096 - head.size() - tail.size(), 'x') + tail;
    LineClient client = fake.connect();
    ASSERT_TRUE(client.send(fits + "\n" + fits + "\n"));
    EXPECT_TRUE(client.reply().contains("result"));
    EXPECT_TRUE(client.reply().contains("result"));
    ASSERT_TRUE(client.send(" " + fits + "\n"));
    EXPECT_EQ(client.reply()["error"]["code"], -32600);
    EXPECT_EQ(client.line(), "");
}

TEST(RpcHostile, malformed_texts_cost_an_error_each_and_not_the_connection) {
    Fake fake;
    fake.start();
    LineClient client = fake.connect();
    std::string zeros(100, '\0');
    for (const std::string& bad :
         {std::string("{"), std::string("\xff\xfe"), zeros, std::string(100000, '['),
          std::string("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ec\xffho\"}"),
          std::string("[") + std::string(50000, '1') + "]"}) {
        ASSERT_TRUE(client.send(bad + "\n"));
        const Json reply = client.reply();
        EXPECT_TRUE(reply.contains("error") || (reply.is_array() && reply[0].contains("error")));
    }
    EXPECT_EQ(client.ask("echo")["result"], "nothing");
    EXPECT_EQ(fake.stats().errors, 6U);
}

TEST(RpcHostile, a_thousand_idle_clients_are_carried) {
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 4096);  // both ends are in this process
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 2500) GTEST_SKIP() << "too few descriptors allowed";
    Fake fake;
    fake.start();
    std::vector<LineClient> idle;
    for (int i = 0; i < 1000; ++i) {
        idle.push_back(fake.connect());
        ASSERT_TRUE(idle.back().connected());
    }
    ASSERT_TRUE(fake.eventually([](const ServerStats& s) { return s.clients == 1000; }));
    LineClient good = fake.connect();
    EXPECT_LT(slowest(good, 100), milliseconds{500});
    EXPECT_LT(fake.stats().memory_high_water, 1U << 20);
    EXPECT_EQ(idle.front().ask("echo")["result"], "nothing");
    EXPECT_EQ(idle.back().ask("echo")["result"], "nothing");
    idle.clear();
    EXPECT_TRUE(fake.eventually([](const ServerStats& s) { return s.clients == 1; }));
}

TEST(RpcHostile, clients_over_the_limit_are_told_and_closed) {
    Fake fake({.max_clients = 3});
    fake.start();
    std::vector<LineClient> first;
    for (int i = 0; i < 3; ++i) {
        first.push_back(fake.connect());
        EXPECT_EQ(first.back().ask("echo")["result"], "nothing");
    }
    LineClient over = fake.connect();
    EXPECT_EQ(over.reply()["error"]["message"], "too many clients (at most 3)");
    EXPECT_EQ(over.line(), "");
    EXPECT_EQ(first[0].ask("echo")["result"], "nothing");
    EXPECT_EQ(fake.stats().refused_clients, 1U);
    first.pop_back();
    EXPECT_TRUE(fake.eventually([](const ServerStats& s) { return s.clients == 2; }));
    EXPECT_EQ(fake.connect().ask("echo")["result"], "nothing");
}

TEST(RpcHostile, without_descriptors_clients_are_told_and_the_loop_does_not_spin) {
    Fake fake;
    fake.start();
    LineClient good = fake.connect();
    EXPECT_EQ(good.ask("echo")["result"], "nothing");
    std::vector<int> sockets;  // made before the limit falls, connected after
    for (int i = 0; i < 3; ++i) sockets.push_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const int lowest = ::dup(0);
    ::close(lowest);
    rlimit none = before;
    none.rlim_cur = static_cast<rlim_t>(lowest);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = fake.path();
    std::memcpy(&address.sun_path, path.data(), path.size());
    for (const int fd : sockets) {
        ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    }
    const bool told = fake.eventually([](const ServerStats& s) { return s.refused_clients == 3; });
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_TRUE(told);
    for (const int fd : sockets) {
        std::array<char, 256> text{};
        EXPECT_GT(::recv(fd, text.data(), text.size(), 0), 0);
        EXPECT_NE(std::string(text.data()).find("no file descriptor left"), std::string::npos);
        ::close(fd);
    }
    EXPECT_EQ(good.ask("echo")["result"], "nothing");
}

TEST(RpcHostile, RP94_a_client_that_never_reads_is_closed_and_counted) {
    Fake fake({.max_output = 256 << 10, .stall = milliseconds{300}});
    fake.start();
    LineClient good = fake.connect();
    LineClient bad = fake.connect();
    std::string many;
    for (int i = 0; i < 200; ++i) many += request;
    milliseconds worst{0};
    const auto end = Clock::now() + std::chrono::seconds{5};
    while (fake.stats().closed_slow == 0 && Clock::now() < end) {
        bad.push(many);
        worst = std::max(worst, slowest(good, 5));
    }
    const ServerStats stats = fake.stats();
    EXPECT_EQ(stats.closed_slow, 1U);
    EXPECT_EQ(stats.clients, 1U);
    EXPECT_LT(stats.memory_high_water, 1U << 20);
    EXPECT_LT(worst, milliseconds{500});
}

TEST(RpcHostile, a_never_reading_client_that_asks_for_much_holds_one_reply_at_most) {
    Fake fake({.max_output = 256 << 10, .stall = milliseconds{200}});
    fake.start();
    LineClient bad = fake.connect();
    const std::string ask = R"({"jsonrpc":"2.0","id":1,"method":"big","params":[3000000]})"
                            "\n";
    for (int i = 0; i < 100; ++i) bad.push(ask);
    EXPECT_TRUE(fake.eventually([](const ServerStats& s) { return s.closed_slow == 1; }));
    EXPECT_LT(fake.stats().memory_high_water, 8U << 20);
    EXPECT_TRUE(fake.eventually([](const ServerStats& s) { return s.memory_bytes == 0; }));
}

TEST(RpcHostile, a_flood_of_requests_leaves_room_for_others) {
    Fake fake;
    fake.start();
    std::atomic<bool> stop = false;
    std::vector<std::thread> floods;
    std::vector<LineClient> clients;
    for (int i = 0; i < 4; ++i) clients.push_back(fake.connect());
    std::string many;
    for (int i = 0; i < 500; ++i) many += request;
    floods.emplace_back([&] {
        std::array<char, 65536> sink;
        while (!stop) {
            for (auto& client : clients) {
                client.push(many);
                while (::recv(client.fd(), sink.data(), sink.size(), MSG_DONTWAIT) > 0) {
                }
            }
        }
    });
    LineClient good = fake.connect();
    EXPECT_TRUE(fake.eventually([](const ServerStats& s) { return s.requests > 1000; }));
    const milliseconds worst = slowest(good, 100);
    stop = true;
    for (auto& thread : floods) thread.join();
    EXPECT_LT(worst, milliseconds{500});
    EXPECT_EQ(fake.stats().closed_slow, 0U);
}

TEST(RpcHostile, together_they_cannot_take_more_than_the_memory_limit) {
    Fake fake({.max_memory = 3 << 20});
    fake.start();
    std::vector<LineClient> clients;
    const std::string part(700 << 10, 'a');
    for (int i = 0; i < 12; ++i) {
        clients.push_back(fake.connect());
        // May fail: the one that sends can be the one that has to go.
        [[maybe_unused]] const bool taken = clients.back().send(part);
    }
    EXPECT_TRUE(fake.eventually([](const ServerStats& s) { return s.closed_slow >= 5; }));
    EXPECT_LT(fake.stats().memory_high_water, 6U << 20);
    EXPECT_LE(fake.stats().memory_bytes, 3U << 20);
    EXPECT_EQ(fake.connect().ask("echo")["result"], "nothing");
}

}  // namespace
}  // namespace vxplane::control::rpc
