// The daemon's methods, asked over its socket. The daemon runs in a child process: DPDK starts only
// once in each.
#include <gtest/gtest.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "control/daemon.hpp"

namespace vxplane::control {
namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;

config::Topology topology(const std::string& socket) {
    config::Topology t;
    t.system.socket = socket;
    t.system.hugepages = config::Hugepages::off;
    t.system.memory = 128ULL << 20;
    t.system.mbufs = 8191;
    t.system.fdb_capacity = 20000;
    t.system.eal = {"--no-telemetry"};
    for (const char* name : {"up", "vm1", "vm2"}) {
        config::Port port;
        port.name = name;
        port.device = "net_null" + std::to_string(t.ports.size()) + ",no-rx=1";
        port.role = t.ports.empty() ? config::PortRole::underlay : config::PortRole::access;
        port.rx_descriptors = port.tx_descriptors = 64;
        if (t.ports.empty()) {
            config::IpPrefix address;
            address.address.bytes = {10, 0, 0, 1};
            address.length = 24;
            port.addresses = {address};
        }
        t.ports.push_back(port);
    }
    for (const char* name : {"red", "blue"}) {
        config::Vxlan vxlan;
        vxlan.name = name;
        vxlan.id = static_cast<std::uint32_t>(7 + t.vxlans.size());
        vxlan.ports = {t.vxlans.empty() ? "vm1" : "vm2"};
        vxlan.maxaddr = t.vxlans.empty() ? 0 : 2;
        t.vxlans.push_back(vxlan);
    }
    return t;
}

class Methods : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        const std::string path = "/tmp/vxplane-methods-" + std::to_string(getpid()) + ".sock";
        child_ = fork();
        if (child_ == 0) {
            spdlog::set_level(spdlog::level::off);
            int code = 1;
            {
                Daemon daemon(topology(path));
                code = daemon.run();
            }
            _exit(code);
        }
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
        for (int i = 0; i < 300; ++i) {
            fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
            if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
                return;
            }
            close(fd_);
            fd_ = -1;
            std::this_thread::sleep_for(50ms);
        }
    }
    static void TearDownTestSuite() {
        close(fd_);
        kill(child_, SIGTERM);
        int status = -1;
        waitpid(child_, &status, 0);
        EXPECT_TRUE(WIFEXITED(status));
        EXPECT_EQ(WEXITSTATUS(status), 0);  // it also found all its buffers
    }
    void SetUp() override {
        ASSERT_NE(fd_, -1);
        result("fdb.flush", Json::object());
        result("fdb.flush", {{"state", "permanent"}});
    }

    /// The next reply; events on the way are kept.
    static Json line() {
        for (;;) {
            if (const auto end = input_.find('\n'); end != std::string::npos) {
                const Json json = Json::parse(input_.substr(0, end));
                input_.erase(0, end + 1);
                if (json.contains("method")) {
                    events_.push_back(json["params"]);
                    continue;
                }
                return json;
            }
            std::array<char, 65536> buffer;
            const ssize_t n = recv(fd_, buffer.data(), buffer.size(), 0);
            if (n <= 0) {
                return {};
            }
            input_.append(buffer.data(), static_cast<std::size_t>(n));
        }
    }
    static void post(const std::string& method, const Json& params) {
        const std::string text =
            Json{{"jsonrpc", "2.0"}, {"id", 1}, {"method", method}, {"params", params}}.dump() +
            "\n";
        ASSERT_EQ(send(fd_, text.data(), text.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(text.size()));
    }
    static Json call(const std::string& method, const Json& params) {
        post(method, params);
        return line();
    }
    static Json result(const std::string& method, const Json& params) {
        const Json reply = call(method, params);
        EXPECT_TRUE(reply.contains("result")) << method << params << reply;
        return reply.value("result", Json());
    }
    static std::string refusal(const std::string& method, const Json& params) {
        const Json reply = call(method, params);
        EXPECT_TRUE(reply.contains("error")) << method << params << reply;
        return reply.contains("error") ? reply["error"]["message"].get<std::string>() : "";
    }
    static std::string mac_text(unsigned i) {
        std::array<char, 18> out{};
        std::snprintf(out.data(), out.size(), "02:00:00:%02x:%02x:%02x", i >> 16 & 255U,
                      i >> 8 & 255U, i & 255U);
        return out.data();
    }

    static inline pid_t child_ = -1;
    static inline int fd_ = -1;
    static inline std::string input_;
    static inline std::vector<Json> events_;
};

TEST_F(Methods, an_entry_is_added_shown_replaced_and_deleted) {
    const Json key{{"segment", "red"}, {"mac", "02:00:00:00:00:20"}};
    Json add = key;
    add["dst"] = "10.0.0.2";
    result("fdb.add", add);
    EXPECT_NE(refusal("fdb.add", add).find("is there already"), std::string::npos);
    add["dst"] = "10.0.0.3";
    result("fdb.replace", add);
    const Json shown = result("fdb.show", {{"segment", "red"}});
    ASSERT_EQ(shown["entries"].size(), 1U);
    EXPECT_EQ(shown["entries"][0]["dst"], "10.0.0.3");
    EXPECT_EQ(shown["entries"][0]["state"], "permanent");
    EXPECT_EQ(shown["entries"][0]["vni"], 7);
    EXPECT_EQ(shown["tunnels"]["used"], 1);
    EXPECT_EQ(result("fdb.show", {{"dst", "10.0.0.2"}})["entries"].size(), 0U);
    Json other = key;
    other["dst"] = "10.0.0.9";
    EXPECT_NE(refusal("fdb.del", other).find("has no dst"), std::string::npos);
    result("fdb.del", key);
    EXPECT_NE(refusal("fdb.del", key).find("is not in segment red"), std::string::npos);
    EXPECT_EQ(result("fdb.show", Json::object())["tunnels"]["used"], 0);
}

TEST_F(Methods, what_cannot_be_is_refused_with_its_name) {
    const Json good{{"segment", "red"}, {"mac", "02:00:00:00:00:20"}, {"dst", "10.0.0.2"}};
    const auto with = [&](const char* key, const Json& value) {
        Json changed = good;
        changed[key] = value;
        return refusal("fdb.add", changed);
    };
    EXPECT_EQ(with("segment", "green"), "no segment 'green'");
    EXPECT_EQ(with("mac", "02:00:00:00:00"), "mac: '02:00:00:00:00' is not a MAC address");
    EXPECT_EQ(with("mac", " 2:00:00:00:00:20"), "mac: ' 2:00:00:00:00:20' is not a MAC address");
    EXPECT_EQ(with("dst", "10.0.0"), "dst: '10.0.0' is not a unicast IP address");
    EXPECT_EQ(with("dst", "224.0.0.1"), "dst: '224.0.0.1' is not a unicast IP address");
    EXPECT_EQ(with("dst", "10.0.0.1"),
              "dst 10.0.0.1 cannot be a remote (ours, or an address that no host has)");
    // Addresses that no other VTEP can have.
    for (const char* dst : {"10.0.0.0", "10.0.0.255", "127.0.0.1", "255.255.255.255", "0.0.0.0"}) {
        EXPECT_NE(with("dst", dst).find(dst), std::string::npos) << dst;
    }
    EXPECT_EQ(with("nhid", 5), "exactly one of dst, nhid and port must be given");
    EXPECT_NE(with("state", "eternal"), "");
    Json group = good;
    group.erase("dst");
    EXPECT_EQ(refusal("fdb.add", group), "exactly one of dst, nhid and port must be given");
    group["nhid"] = 5;
    EXPECT_EQ(refusal("fdb.add", group), "there is no next-hop group 5");
    for (const Json& number : {Json(-5), Json(0), Json(1LL << 32)}) {
        group["nhid"] = number;
        EXPECT_NE(refusal("fdb.add", group).find("nhid: "), std::string::npos);
        EXPECT_EQ(call("fdb.add", group)["error"]["code"], -32602);
        EXPECT_EQ(call("fdb.show", {{"nhid", number}})["error"]["code"], -32602);
    }
    group.erase("nhid");
    group["port"] = "vm2";
    EXPECT_EQ(refusal("fdb.add", group), "the port is not a member of segment red");
    group["port"] = "vm9";
    EXPECT_EQ(refusal("fdb.add", group), "no port 'vm9'");
    EXPECT_NE(refusal("fdb.show", {{"limit", -1}}).find("limit: "), std::string::npos);
    EXPECT_EQ(result("fdb.show", Json::object())["used"], 0);
}

TEST_F(Methods, VX59_maxaddr_is_said_in_words) {
    for (const char* mac : {"02:00:00:00:00:01", "02:00:00:00:00:02"}) {
        result("fdb.add", {{"segment", "blue"}, {"mac", mac}, {"dst", "10.0.0.2"}});
    }
    EXPECT_EQ(refusal("fdb.add",
                      {{"segment", "blue"}, {"mac", "02:00:00:00:00:03"}, {"dst", "10.0.0.2"}}),
              "segment blue holds as many addresses as its maxaddr 2 allows");
    bool found = false;
    const Json health = result("health", Json::object());
    for (const Json& alarm : health["alarms"]) {
        found = found || alarm.get<std::string>().find("segment blue") != std::string::npos;
    }
    EXPECT_TRUE(found);
}

TEST_F(Methods, VX63_ten_thousand_entries_are_flushed_in_one_call_with_few_events) {
    for (unsigned i = 0; i < 10000; ++i) {
        post("fdb.add", {{"segment", "red"}, {"mac", mac_text(i)}, {"dst", "10.0.0.2"}});
        if (i % 10 == 9) {
            for (int j = 0; j < 10; ++j) {
                ASSERT_TRUE(line().contains("result"));
            }
        }
    }
    EXPECT_EQ(result("fdb.show", {{"limit", 5}})["entries"].size(), 5U);
    EXPECT_EQ(result("fdb.show", {{"limit", 5}})["cut"], true);
    EXPECT_EQ(result("fdb.show", Json::object())["used"], 10000);
    result("subscribe", {{"topics", {"fdb"}}});
    events_.clear();
    EXPECT_EQ(result("fdb.flush", {{"segment", "red"}, {"dst", "10.0.0.2"}})["removed"], 10000);
    EXPECT_EQ(result("health", Json::object())["packets_unaccounted"], 0);
    EXPECT_GE(events_.size(), 1U);
    EXPECT_LE(events_.size(), 10U);
    EXPECT_EQ(events_[0]["what"], "flushed");
    EXPECT_EQ(events_[0]["removed"], 10000);
    result("unsubscribe", {{"topics", {"fdb"}}});
    EXPECT_EQ(result("fdb.show", Json::object())["tunnels"]["used"], 0);
}

TEST_F(Methods, every_read_answers) {
    for (const char* method : {"version", "health", "ports", "workers", "segments", "drops",
                               "stages", "neigh", "routes", "fdb.show"}) {
        EXPECT_FALSE(result(method, Json::object()).is_null()) << method;
    }
    const Json routes = result("routes", Json::object());
    EXPECT_EQ(routes.size(), 2U);
    result("stats.reset", Json::object());
    EXPECT_EQ(result("drops", Json::object()).size(), 0U);
}

}  // namespace
}  // namespace vxplane::control
