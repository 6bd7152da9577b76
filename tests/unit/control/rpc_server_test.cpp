// The server with clients that behave: lines, order, half-closed connections, events.
#include "rpc_fixture.hpp"

namespace vxplane::control::rpc {
namespace {

TEST(RpcServer, RP94_answers_newline_delimited_json) {
    Fake fake;
    fake.start();
    LineClient client = fake.connect();
    EXPECT_EQ(client.ask("echo", {{"text", "hi"}}),
              Json::parse(R"({"jsonrpc":"2.0","id":1,"result":"hi"})"));
    ASSERT_TRUE(client.send("\r\n  \n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"echo\"}\r\n"));
    EXPECT_EQ(client.reply()["id"], 2);
}

TEST(RpcServer, a_request_may_come_in_pieces_and_many_in_one) {
    Fake fake;
    fake.start();
    LineClient client = fake.connect();
    const std::string text = R"({"jsonrpc":"2.0","id":1,"method":"echo"})";
    for (const char c : text + "\n") ASSERT_TRUE(client.send({&c, 1}));
    EXPECT_EQ(client.reply()["result"], "nothing");
    std::string many;
    constexpr int count = 5000;
    for (int i = 0; i < count; ++i) {
        many += R"({"jsonrpc":"2.0","method":"echo","id":)" + std::to_string(i) + "}\n";
    }
    std::thread writer([&] { EXPECT_TRUE(client.send(many)); });
    int in_order = 0;
    for (int i = 0; i < count; ++i) in_order += client.reply()["id"] == i ? 1 : 0;
    writer.join();
    EXPECT_EQ(in_order, count);
    EXPECT_EQ(fake.stats().requests, static_cast<std::uint64_t>(count) + 1);
}

TEST(RpcServer, a_client_that_shut_its_side_still_gets_its_answers) {
    Fake fake;
    fake.start();
    LineClient client = fake.connect();
    std::string text;
    for (int i = 0; i < 100; ++i)
        text += R"({"jsonrpc":"2.0","id":1,"method":"echo"})"
                "\n";
    text += R"({"jsonrpc":"2.0","id":"last","method":"big","params":[1000000]})";  // without an end
    ASSERT_TRUE(client.send(text));
    client.shut();
    for (int i = 0; i < 100; ++i) ASSERT_EQ(client.reply()["result"], "nothing");
    const Json last = client.reply();
    EXPECT_EQ(last["id"], "last");
    EXPECT_EQ(last["result"].get<std::string>().size(), 1000000U);
    EXPECT_EQ(client.line(), "");
    EXPECT_TRUE(fake.eventually([](const ServerStats& s) { return s.clients == 0; }));
}

TEST(RpcServer, what_a_client_asked_before_it_left_is_done) {
    Fake fake;
    int calls = 0;
    fake.server.methods().add(
        {.name = "count", .call = [&](const Json&) -> Reply { return Json(++calls); }});
    fake.start();
    {
        LineClient client = fake.connect();
        for (int i = 0; i < 200; ++i) {
            ASSERT_TRUE(client.send(R"({"jsonrpc":"2.0","id":1,"method":"count"})"
                                    "\n"));
        }
    }
    EXPECT_TRUE(fake.eventually([](const ServerStats& s) { return s.clients == 0; }));
    fake.on_loop([&] { EXPECT_EQ(calls, 200); });
}

TEST(RpcServer, a_reply_larger_than_the_output_limit_reaches_a_client_that_reads) {
    Fake fake({.max_output = 64 << 10});
    fake.start();
    LineClient client = fake.connect();
    const std::string ask = R"({"jsonrpc":"2.0","id":1,"method":"big","params":[8000000]})"
                            "\n";
    ASSERT_TRUE(client.send(ask + ask + ask));
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(client.reply()["result"].get<std::string>().size(), 8000000U);
    }
    EXPECT_EQ(fake.stats().closed_slow, 0U);
    EXPECT_LT(fake.stats().memory_bytes, 1U << 20);
}

TEST(RpcServer, its_own_methods) {
    Fake fake;
    fake.server.add_topic("fdb", "entries come and go");
    fake.start();
    LineClient client = fake.connect();
    EXPECT_EQ(client.ask("rpc.methods")["result"][1]["name"], "echo");
    EXPECT_EQ(client.ask("rpc.topics")["result"],
              Json::parse(R"([{"name":"fdb","help":"entries come and go"}])"));
    EXPECT_EQ(client.ask("rpc.stats")["result"]["clients"], 1);
}

TEST(RpcServer, events_reach_those_who_subscribed) {
    Fake fake;
    fake.server.add_topic("fdb", "");
    fake.server.add_topic("link", "");
    fake.start();
    LineClient fdb = fake.connect();
    LineClient all = fake.connect();
    LineClient none = fake.connect();
    EXPECT_EQ(fdb.ask("subscribe", {{"topics", {"fdb"}}})["result"],
              Json::parse(R"({"topics":["fdb"]})"));
    EXPECT_EQ(all.ask("subscribe")["result"]["topics"].size(), 2U);
    EXPECT_EQ(none.ask("echo")["result"], "nothing");
    EXPECT_EQ(fdb.ask("subscribe", {{"topics", {"fbd"}}})["error"]["message"],
              "topics: 'fbd' is not known, did you mean 'fdb'?");
    fake.on_loop([&] {
        EXPECT_TRUE(fake.server.has_subscriber("link"));
        EXPECT_FALSE(fake.server.has_subscriber("other"));
        fake.server.publish("link", {{"port", "vm1"}});
        fake.server.publish("fdb", {{"mac", "02::"}});
        fake.server.publish("other", {{"x", 1}});
    });
    const Json event =
        Json::parse(R"({"jsonrpc":"2.0","method":"event","params":{"topic":"fdb","mac":"02::"}})");
    EXPECT_EQ(fdb.reply(), event);
    EXPECT_EQ(all.reply()["params"]["topic"], "link");
    EXPECT_EQ(all.reply(), event);
    EXPECT_EQ(all.ask("unsubscribe", {{"topics", {"fdb"}}})["result"]["topics"],
              Json::parse(R"(["link"])"));
    EXPECT_EQ(none.ask("echo")["result"], "nothing");
    EXPECT_EQ(fake.stats().events_sent, 3U);
    EXPECT_EQ(fake.stats().subscribers, 2U);
}

TEST(RpcServer, a_follower_that_shut_its_side_keeps_its_events) {
    Fake fake;
    fake.server.add_topic("fdb", "");
    fake.start();
    LineClient client = fake.connect();
    EXPECT_TRUE(client.ask("subscribe").contains("result"));
    client.shut();
    fake.on_loop([&] { fake.server.publish("fdb", {{"n", 1}}); });
    EXPECT_EQ(client.reply()["params"]["n"], 1);
    client.close();
    EXPECT_TRUE(fake.eventually([](const ServerStats& s) { return s.clients == 0; }));
}

TEST(RpcServer, a_slow_follower_loses_events_and_is_told_how_many) {
    Fake fake({.max_events = 16 << 10, .stall = std::chrono::milliseconds{50}});
    fake.server.add_topic("fdb", "");
    fake.start();
    LineClient slow = fake.connect();
    EXPECT_TRUE(slow.ask("subscribe").contains("result"));
    constexpr std::uint64_t count = 5000;
    const std::string filling(500, 'f');
    fake.on_loop([&] {
        for (std::uint64_t i = 0; i < count; ++i)
            fake.server.publish("fdb", {{"n", i}, {"f", filling}});
    });
    std::this_thread::sleep_for(std::chrono::milliseconds{200});  // longer than a stall
    const ServerStats stats = fake.stats();
    EXPECT_GT(stats.events_lost, 0U);
    EXPECT_EQ(stats.events_lost + stats.events_sent, count);
    EXPECT_LT(stats.memory_high_water, 128U << 10);
    EXPECT_EQ(stats.closed_slow, 0U);
    for (std::uint64_t i = 0; i < stats.events_sent; ++i) {
        ASSERT_EQ(slow.reply()["params"]["n"], i);
    }
    ASSERT_TRUE(fake.eventually([](const ServerStats& s) { return s.clients == 1; }));
    fake.on_loop([&] { fake.server.publish("fdb", {{"n", "next"}}); });
    fake.on_loop([&] { fake.server.publish("fdb", {{"n", "after"}}); });
    EXPECT_EQ(slow.reply()["params"],
              (Json{{"topic", "fdb"}, {"n", "next"}, {"lost", stats.events_lost}}));
    EXPECT_EQ(slow.reply()["params"], (Json{{"topic", "fdb"}, {"n", "after"}}));
}

TEST(RpcServer, a_method_may_publish_and_even_close_the_server) {
    Fake fake;
    fake.server.add_topic("t", "");
    fake.server.methods().add({.name = "tell", .call = [&](const Json&) -> Reply {
                                   fake.server.publish("t", {{"n", 1}});
                                   return Json("told");
                               }});
    fake.server.methods().add({.name = "end", .call = [&](const Json&) -> Reply {
                                   fake.server.close();
                                   return Json("gone");
                               }});
    fake.start();
    LineClient client = fake.connect();
    EXPECT_TRUE(client.ask("subscribe").contains("result"));
    EXPECT_EQ(client.ask("tell")["method"], "event");
    EXPECT_EQ(client.reply()["result"], "told");
    ASSERT_TRUE(client.send(R"({"jsonrpc":"2.0","id":1,"method":"end"})"
                            "\n"));
    EXPECT_EQ(client.line(), "");
    EXPECT_FALSE(fake.connect().connected());
}

}  // namespace
}  // namespace vxplane::control::rpc
