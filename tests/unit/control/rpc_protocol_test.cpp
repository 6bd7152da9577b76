// JSON-RPC 2.0 as the specification has it, and the schema behind each method.
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "control/rpc/method.hpp"
#include "control/rpc/protocol.hpp"

namespace vxplane::control::rpc {
namespace {

class RpcProtocol : public testing::Test {
  protected:
    RpcProtocol() {
        table_.add({.name = "subtract",
                    .help = "a minus b",
                    .params = {{.name = "a", .type = Type::integer, .required = true},
                               {.name = "b", .type = Type::integer, .required = true}},
                    .call = [](const Json& p) -> Reply {
                        return Json(p["a"].get<int>() - p["b"].get<int>());
                    }});
        table_.add({.name = "fdb.show",
                    .help = "entries",
                    .params = {{.name = "segment"},
                               {.name = "state", .allowed = {"permanent", "static", "dynamic"}},
                               {.name = "words", .type = Type::array, .allowed = {"x", "y"}},
                               {.name = "all", .type = Type::boolean},
                               {.name = "more", .type = Type::object}},
                    .call = [](const Json& p) -> Reply { return p; }});
        table_.add({.name = "count",
                    .help = "counts its calls",
                    .writes = true,
                    .call = [this](const Json&) -> Reply { return Json(++calls_); }});
        table_.add({.name = "no", .call = [](const Json&) -> Reply {
                        return refuse("no segment 'x'", {{"segment", "x"}});
                    }});
        table_.add({.name = "throws",
                    .call = [](const Json&) -> Reply { throw std::runtime_error("broken"); }});
        table_.add(
            {.name = "dirty", .call = [](const Json&) -> Reply { return Json("a\xff\xc3(z"); }});
        table_.add({.name = "long",
                    .call = [](const Json&) -> Reply { return Json(std::string(5000, 'x')); }});
    }

    std::string text(std::string_view request) { return answer(table_, request, 4096, counts_); }
    Json ask(std::string_view request) { return Json::parse(text(request)); }
    int code(std::string_view request) { return ask(request).at("error").at("code").get<int>(); }
    std::string message(std::string_view request) { return ask(request)["error"]["message"]; }
    static std::string call(const std::string& method, const std::string& params) {
        return R"({"jsonrpc":"2.0","id":1,"method":")" + method + R"(","params":)" + params + "}";
    }

    MethodTable table_;
    ProtocolCounts counts_;
    int calls_ = 0;
};

TEST_F(RpcProtocol, what_is_written_is_in_force_before_it_is_answered) {
    int settled = 0;
    table_.after_writes([this, &settled] { settled = 10 * calls_ + settled; });
    EXPECT_EQ(table_.call("count", Json::object()).result(), Json(1));
    EXPECT_EQ(settled, 10);
    EXPECT_TRUE(table_.call("subtract", Json{{"a", 1}, {"b", 1}}).ok());
    EXPECT_FALSE(table_.call("no", Json::object()).ok());
    EXPECT_FALSE(table_.call("count", Json{{"x", 1}}).ok());
    EXPECT_EQ(settled, 10);
}

TEST_F(RpcProtocol, takes_params_by_name_and_by_position) {
    EXPECT_EQ(ask(call("subtract", "[42,23]")),
              Json::parse(R"({"jsonrpc":"2.0","result":19,"id":1})"));
    EXPECT_EQ(ask(call("subtract", R"({"b":23,"a":42})"))["result"], 19);
}

TEST_F(RpcProtocol, gives_ids_back_as_they_came) {
    for (const char* id : {"\"x\"", "7", "-1", "null", "1.5", "18446744073709551615"}) {
        const Json reply =
            ask(std::string(R"({"jsonrpc":"2.0","method":"count","id":)") + id + "}");
        EXPECT_EQ(reply.at("id"), Json::parse(id)) << id;
        EXPECT_TRUE(reply.contains("result"));
    }
}

TEST_F(RpcProtocol, notifications_are_done_and_not_answered) {
    EXPECT_EQ(text(R"({"jsonrpc":"2.0","method":"count"})"), "");
    EXPECT_EQ(calls_, 1);
    EXPECT_EQ(text(R"({"jsonrpc":"2.0","method":"nothing"})"), "");
    EXPECT_EQ(text(R"({"jsonrpc":"2.0","method":"subtract","params":[1]})"), "");
    EXPECT_EQ(counts_.requests, 3U);
    EXPECT_EQ(counts_.errors, 2U);
}

TEST_F(RpcProtocol, text_that_is_no_json_is_a_parse_error_without_id) {
    for (const char* bad : {"{", "nonsense", "{\"a\":1,}", "[1,2", "\"\xff\"", "{} {}", "\x01",
                            "1e999", "\"\\ud800\"", "nul", "'a'"}) {
        const Json reply = ask(bad);
        EXPECT_EQ(reply["error"]["code"], -32700) << bad;
        EXPECT_EQ(reply["id"], nullptr);
    }
}

TEST_F(RpcProtocol, what_is_no_request_is_invalid) {
    for (const char* bad :
         {"1", "\"x\"", "null", "{}", R"({"method":"count","id":1})",
          R"({"jsonrpc":2.0,"method":"count","id":1})",
          R"({"jsonrpc":"1.0","method":"count","id":1})", R"({"jsonrpc":"2.0","id":1})",
          R"({"jsonrpc":"2.0","method":1,"id":1})", R"({"jsonrpc":"2.0","method":"count","id":[]})",
          R"({"jsonrpc":"2.0","method":"count","id":true})",
          R"({"jsonrpc":"2.0","method":"count","params":"x","id":1})",
          R"({"jsonrpc":"2.0","method":"count","params":null,"id":1})"}) {
        EXPECT_EQ(code(bad), -32600) << bad;
    }
    EXPECT_EQ(calls_, 0);
    EXPECT_EQ(ask(R"({"jsonrpc":"2.0","id":"k"})")["id"], "k");
}

TEST_F(RpcProtocol, batches_answer_each_member_and_leave_out_notifications) {
    const Json reply = ask(R"([{"jsonrpc":"2.0","method":"subtract","params":[5,3],"id":"1"},
        {"jsonrpc":"2.0","method":"count"}, {"foo":"boo"}, 1,
        {"jsonrpc":"2.0","method":"foo.get","id":"5"},
        {"jsonrpc":"2.0","method":"count","id":9}])");
    ASSERT_EQ(reply.size(), 5U);
    EXPECT_EQ(reply[0]["result"], 2);
    EXPECT_EQ(reply[1]["error"]["code"], -32600);
    EXPECT_EQ(reply[1]["id"], nullptr);
    EXPECT_EQ(reply[2]["error"]["code"], -32600);
    EXPECT_EQ(reply[3]["error"]["code"], -32601);
    EXPECT_EQ(reply[4]["result"], 2);
    EXPECT_EQ(counts_.requests, 6U);
    EXPECT_EQ(counts_.errors, 3U);
}

TEST_F(RpcProtocol, odd_batches) {
    EXPECT_EQ(code("[]"), -32600);
    EXPECT_EQ(ask("[1]").size(), 1U);
    EXPECT_EQ(text(R"([{"jsonrpc":"2.0","method":"count"},{"jsonrpc":"2.0","method":"count"}])"),
              "");
    Json many = Json::array();
    for (std::size_t i = 0; i < max_batch + 1; ++i) many.push_back(1);
    EXPECT_EQ(code(many.dump()), -32600);
}

TEST_F(RpcProtocol, unknown_methods_name_the_nearest) {
    EXPECT_EQ(code(call("fdb.shw", "{}")), -32601);
    EXPECT_EQ(message(call("fdb.shw", "{}")), "unknown method 'fdb.shw', did you mean 'fdb.show'?");
    EXPECT_EQ(message(call("zzzzzzzz", "{}")), "unknown method 'zzzzzzzz'");
    EXPECT_EQ(message(call("sub", "{}")), "unknown method 'sub', did you mean 'subtract'?");
    EXPECT_LT(message(call(std::string(100000, 'q'), "{}")).size(), 200U);
}

TEST_F(RpcProtocol, invalid_params_name_the_key_and_what_is_allowed) {
    const auto refused = [&](const char* method, const char* params, const char* says) {
        const Json reply = ask(call(method, params));
        EXPECT_EQ(reply["error"]["code"], -32602) << params;
        EXPECT_EQ(reply["error"]["message"], says);
    };
    refused("subtract", "[1]", "b: is missing");
    refused("subtract", "{}", "a: is missing");
    refused("subtract", "[1,2,3]", "subtract takes at most 2 parameters, not 3");
    refused("subtract", R"({"a":"1","b":2})", "a: must be an integer, not string");
    refused("subtract", R"({"a":1.5,"b":2})", "a: must be an integer, not number");
    refused("fdb.show", R"({"segment":null})", "segment: must be a string, not null");
    refused("fdb.show", R"({"all":1})", "all: must be a boolean, not number");
    refused("fdb.show", R"({"words":"x"})", "words: must be an array, not string");
    refused("fdb.show", R"({"more":[]})", "more: must be an object, not array");
    refused("fdb.show", R"({"state":"stale"})",
            "state: 'stale' is not known (permanent, static, dynamic)");
    refused("fdb.show", R"({"words":["x","z"]})", "words: 'z' is not known (x, y)");
    refused("fdb.show", R"({"words":[1]})", "words: must hold strings");
    refused("fdb.show", R"({"segmnt":"a"})",
            "'segmnt' is not a parameter of fdb.show, did you mean 'segment'? "
            "(allowed: segment, state, words, all, more)");
    refused("count", R"({"x":1})", "'x' is not a parameter of count (it takes none)");
    EXPECT_EQ(ask(call("fdb.show", R"({"words":["x","y"],"more":{}})"))["result"],
              Json::parse(R"({"words":["x","y"],"more":{}})"));
    EXPECT_EQ(calls_, 0);
}

TEST_F(RpcProtocol, errors_of_methods_carry_code_message_and_data) {
    const Json refused = ask(call("no", "{}"))["error"];
    EXPECT_EQ(refused,
              Json::parse(R"({"code":-32000,"message":"no segment 'x'","data":{"segment":"x"}})"));
    const Json broken = ask(call("throws", "{}"))["error"];
    EXPECT_EQ(broken["code"], -32603);
    EXPECT_EQ(broken["message"], "throws: broken");
    EXPECT_FALSE(broken.contains("data"));
}

TEST_F(RpcProtocol, depth_bombs_are_refused_before_parsing) {
    const std::string deep(500000, '[');
    EXPECT_EQ(code(deep), -32600);
    std::string nested;
    for (int i = 0; i < 100000; ++i) nested += R"({"a":)";
    EXPECT_EQ(code(nested), -32600);
    const auto at = [](std::size_t depth) {
        return std::string(depth, '[') + std::string(depth, ']');
    };
    EXPECT_FALSE(deeper_than(at(64), 64));
    EXPECT_TRUE(deeper_than(at(65), 64));
    EXPECT_FALSE(deeper_than(R"("[[[[" )", 1));
    EXPECT_FALSE(deeper_than(R"({"\"[[[":"\\"} )", 1));
    EXPECT_TRUE(deeper_than(R"("\\"[[)", 1));
}

TEST_F(RpcProtocol, replies_are_always_utf8_on_one_line) {
    const std::string reply = text(call("dirty", "{}"));
    EXPECT_EQ(Json::parse(reply)["result"], "a\xef\xbf\xbd\xef\xbf\xbd(z");
    EXPECT_EQ(reply.find('\n'), std::string::npos);
    EXPECT_EQ(text("{\n\"a\xff").find('\n'), std::string::npos);
}

TEST_F(RpcProtocol, a_reply_over_the_limit_becomes_an_error) {
    EXPECT_EQ(code(call("long", "{}")), -32001);
    const Json batch = ask("[" + call("long", "{}") + "," + call("count", "{}") + "]");
    EXPECT_EQ(batch[0]["error"]["code"], -32001);
    EXPECT_EQ(batch[1]["result"], 1);
}

TEST_F(RpcProtocol, help_comes_from_the_schema) {
    const Json all = table_.describe();
    ASSERT_EQ(all.size(), table_.size());
    EXPECT_EQ(all[0]["name"], "count");
    EXPECT_EQ(all[0]["writes"], true);
    EXPECT_EQ(all[2]["params"][1],
              Json::parse(R"({"name":"state","type":"string","required":false,"help":"",
                              "enum":["permanent","static","dynamic"]})"));
    EXPECT_THROW(table_.add({.name = "x"}), std::logic_error);
    EXPECT_THROW(table_.add({.name = "count", .call = [](const Json&) -> Reply { return Json(); }}),
                 std::logic_error);
}

}  // namespace
}  // namespace vxplane::control::rpc
