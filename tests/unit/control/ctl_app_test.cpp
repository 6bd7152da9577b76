// vxctl as a whole against a server with canned results: what it prints and how it ends.
#include <atomic>
#include <sstream>

#include "control/ctl/app.hpp"
#include "control/ctl/table.hpp"
#include "rpc_fixture.hpp"

namespace vxplane::control::ctl {
namespace {

using rpc::Fake;
using rpc::Reply;

struct Result {
    int code;
    std::string out;
    std::string err;
};

Result vxctl(std::vector<std::string> words) {
    words.insert(words.begin(), "vxctl");
    std::vector<const char*> argv;
    for (const auto& word : words) argv.push_back(word.c_str());
    std::ostringstream out;
    std::ostringstream err;
    const int code = run(static_cast<int>(argv.size()), argv.data(), out, err);
    return {code, out.str(), err.str()};
}

class CtlApp : public testing::Test {
  protected:
    void SetUp() override {
        auto& methods = fake_.server.methods();
        methods.add({.name = "routes", .call = [](const Json&) -> Reply {
                         return Json::parse(
                             R"([{"to":"default","via":"10.0.0.1","dev":"u0","type":"unicast"}])");
                     }});
        methods.add({.name = "drops",
                     .params = {{.name = "all", .type = rpc::Type::boolean}},
                     .call = [this](const Json&) -> Reply {
                         drops_ += 1000;
                         return Json{{{"reason", "neigh_failed"},
                                      {"severity", "warn"},
                                      {"packets", drops_.load()},
                                      {"text", "no answer"}}};
                     }});
        methods.add({.name = "fdb.flush",
                     .params = {{.name = "segment"}, {.name = "state"}},
                     .writes = true,
                     .call = [](const Json& p) -> Reply {
                         return Json{{"removed", p.value("state", "") == "static" ? 2 : 5}};
                     }});
        methods.add({.name = "fdb.del",
                     .params = {{.name = "mac"}, {.name = "segment"}},
                     .writes = true,
                     .call = [](const Json& p) -> Reply {
                         return rpc::refuse("no segment '" + p.value("segment", "") + "'");
                     }});
        methods.add({.name = "stats.reset", .writes = true, .call = [](const Json&) -> Reply {
                         return Json::object();
                     }});
        fake_.server.add_topic("fdb", "");
        fake_.start();
    }
    Result ask(std::vector<std::string> words) {
        words.insert(words.begin(), {"-s", fake_.path()});
        return vxctl(std::move(words));
    }

    Fake fake_;
    std::atomic<std::uint64_t> drops_ = 0;
};

TEST_F(CtlApp, prints_a_table_for_people) {
    const Result result = ask({"route"});
    EXPECT_EQ(result.code, 0);
    EXPECT_EQ(result.out,
              "TO       TOS  VIA       DEV  TYPE\ndefault  -    10.0.0.1  u0   unicast\n");
    EXPECT_EQ(result.err, "");
}

TEST_F(CtlApp, prints_the_exact_result_for_programs) {
    EXPECT_EQ(ask({"-j", "route"}).out,
              R"([{"dev":"u0","to":"default","type":"unicast","via":"10.0.0.1"}])"
              "\n");
    EXPECT_EQ(ask({"route", "--json"}).code, 0);
    const Result pretty = ask({"--pretty", "route"});
    EXPECT_EQ(pretty.out.substr(0, 13), "[\n    {\n     ");
    EXPECT_EQ(Json::parse(pretty.out), Json::parse(ask({"-j", "route"}).out));
}

TEST_F(CtlApp, a_refusal_of_the_daemon_is_exit_code_1) {
    const Result result = ask({"fdb", "del", "02::", "dev", "nil"});
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(result.err, "vxctl: no segment 'nil'\n");
    EXPECT_EQ(ask({"version"}).err, "vxctl: unknown method 'version' (-32601)\n");
    EXPECT_EQ(ask({"version"}).code, 1);
}

TEST_F(CtlApp, writes_say_little) {
    EXPECT_EQ(ask({"stats", "reset"}).out, "");
    EXPECT_EQ(ask({"stats", "reset"}).code, 0);
    EXPECT_EQ(ask({"fdb", "flush"}).out, "removed 5\n");
    EXPECT_EQ(ask({"fdb", "flush", "static", "dynamic"}).out, "removed 7\n");
}

TEST_F(CtlApp, raw_calls_print_json) {
    EXPECT_EQ(ask({"rpc", "echo", R"({"text":"hi"})"}).out, "\"hi\"\n");
    EXPECT_EQ(ask({"rpc", "echo", R"({"txt":"hi"})"}).code, 1);
}

TEST_F(CtlApp, help_of_methods_comes_from_the_daemon) {
    EXPECT_EQ(ask({"methods", "echo"}).out, "echo: gives its text back\n    text: string\n");
    EXPECT_EQ(ask({"methods", "stats.reset"}).out, "stats.reset (writes): -\n");
    EXPECT_EQ(ask({"methods", "nothing"}).code, 1);
}

TEST_F(CtlApp, watching_shows_rates) {
    const Result result = ask({"drops", "--watch", "0.2", "--count", "3"});
    EXPECT_EQ(result.code, 0);
    EXPECT_EQ(result.out.find('\033'), std::string::npos);
    std::istringstream lines(result.out);
    std::vector<std::string> all;
    for (std::string line; std::getline(lines, line);) all.push_back(line);
    ASSERT_EQ(all.size(), 8U);  // three times header and row, with an empty line between
    EXPECT_EQ(all[0], "REASON        SEVERITY  PACKETS/S  MEANING");
    EXPECT_EQ(all[1], "neigh_failed  warn              -  no answer");
    // 1000 in 0.2 s or, on a busy machine, a little more.
    EXPECT_NE(all[4].find("k  no answer"), std::string::npos) << all[4];
    EXPECT_EQ(all[2], "");
}

TEST_F(CtlApp, watching_with_json_prints_one_line_each) {
    EXPECT_EQ(ask({"-j", "--watch", "0.05", "-n", "2", "route"}).out,
              ask({"-j", "route"}).out + ask({"-j", "route"}).out);
}

TEST_F(CtlApp, follows_events) {
    std::atomic<bool> stop = false;
    std::thread source([&] {
        while (!stop) {
            fake_.on_loop([&] { fake_.server.publish("fdb", {{"mac", "02::"}, {"what", "new"}}); });
            std::this_thread::sleep_for(std::chrono::milliseconds{5});
        }
    });
    const Result text = ask({"events", "fdb", "--count", "2"});
    const Result json = ask({"-j", "events", "--count", "1"});
    const Result wrong = ask({"events", "nix"});
    stop = true;
    source.join();
    EXPECT_EQ(text.out, "fdb mac 02:: what new\nfdb mac 02:: what new\n");
    EXPECT_EQ(text.code, 0);
    EXPECT_EQ(json.out, R"({"mac":"02::","topic":"fdb","what":"new"})"
                        "\n");
    EXPECT_EQ(wrong.code, 1);
}

TEST_F(CtlApp, a_daemon_that_ends_is_exit_code_1) {
    std::thread ender([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds{50});
        fake_.on_loop([&] { fake_.server.close(); });
    });
    const Result result = ask({"events"});
    ender.join();
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(result.err, "vxctl: the daemon at " + fake_.path() + " closed the connection\n");
}

TEST(CtlExit, not_reachable_is_1_and_names_the_path) {
    const Result result = vxctl({"-s", "/nonexistent/sock", "port"});
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(result.err,
              "vxctl: cannot reach the daemon at /nonexistent/sock: No such file or directory; is "
              "vxplane running? (another socket: -s PATH or VXPLANE_SOCKET)\n");
    ::setenv("VXPLANE_SOCKET", "/nonexistent/other", 1);
    EXPECT_NE(vxctl({"port"}).err.find("/nonexistent/other"), std::string::npos);
    ::unsetenv("VXPLANE_SOCKET");
}

TEST(CtlExit, wrong_usage_is_2_and_sends_nothing) {
    for (const std::vector<std::string>& words : {std::vector<std::string>{},
                                                  {"banana"},
                                                  {"--banana", "port"},
                                                  {"port", "show", "a", "b"},
                                                  {"--watch", "x", "port"},
                                                  {"--watch", "0", "port"},
                                                  {"--watch", "1", "stats", "reset"},
                                                  {"--count", "2", "port"},
                                                  {"rpc", "x", "{"},
                                                  {"-s"}}) {
        const Result result = vxctl(words);
        EXPECT_EQ(result.code, 2);
        EXPECT_EQ(result.out, "");
        EXPECT_NE(result.err, "");
    }
}

TEST(CtlExit, help_and_version_are_0) {
    EXPECT_EQ(vxctl({"--help"}).code, 0);
    EXPECT_NE(vxctl({"--help"}).out.find("fdb flush"), std::string::npos);
    EXPECT_EQ(vxctl({"help"}).code, 0);
    EXPECT_EQ(vxctl({"--version"}).out, "vxctl " VXPLANE_VERSION "\n");
}

}  // namespace
}  // namespace vxplane::control::ctl
