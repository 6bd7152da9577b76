// A server on a thread of its own, and clients that speak lines to it. For rpc_* and ctl_* tests.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>  // NOLINT: mkdtemp
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include "control/loop/event_loop.hpp"
#include "control/rpc/server.hpp"

namespace vxplane::control::rpc {

/// A folder that goes away with the test.
class Folder {
  public:
    Folder() {
        char name[] = "/tmp/vxplane-rpc-XXXXXX";
        path_ = ::mkdtemp(name);
    }
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    [[nodiscard]] std::string operator/(const std::string& name) const {
        return path_ + "/" + name;
    }

  private:
    std::string path_;
};

/// One connection. Everything waits at most five seconds.
class LineClient {
  public:
    explicit LineClient(const std::string& path) : fd_(connect_to(path)) {}
    ~LineClient() { close(); }
    LineClient(LineClient&& other) noexcept
        : fd_(std::exchange(other.fd_, -1)), in_(std::move(other.in_)) {}
    LineClient& operator=(LineClient&&) = delete;

    [[nodiscard]] bool connected() const { return fd_ >= 0; }
    [[nodiscard]] int fd() const { return fd_; }
    void close() {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }
    void shut() const { ::shutdown(fd_, SHUT_WR); }

    /// Bytes taken by the kernel before it would block or the server closed.
    std::size_t push(std::string_view text) const {
        std::size_t sent = 0;
        while (sent < text.size()) {
            const ssize_t took =
                ::send(fd_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (took <= 0) break;
            sent += static_cast<std::size_t>(took);
        }
        return sent;
    }
    /// All of it; false when the server closed or does not take it within five seconds.
    [[nodiscard]] bool send(std::string_view text) const {
        while (!text.empty()) {
            pollfd wait{fd_, POLLOUT, 0};
            if (::poll(&wait, 1, 5000) != 1) return false;
            const std::size_t sent = push(text);
            if (sent == 0) return false;
            text.remove_prefix(sent);
        }
        return true;
    }
    /// A line without its end; empty when the server closed, `*timeout*` when nothing came.
    std::string line() {
        for (;;) {
            if (const auto end = in_.find('\n'); end != std::string::npos) {
                std::string text = in_.substr(0, end);
                in_.erase(0, end + 1);
                return text;
            }
            pollfd wait{fd_, POLLIN, 0};
            if (::poll(&wait, 1, 5000) != 1) return "*timeout*";
            std::array<char, 65536> chunk;
            const ssize_t got = ::recv(fd_, chunk.data(), chunk.size(), 0);
            if (got <= 0) return {};
            in_.append(chunk.data(), static_cast<std::size_t>(got));
        }
    }
    Json reply() { return Json::parse(line(), nullptr, false); }
    Json ask(const std::string& method, const Json& params = Json::object()) {
        const Json request{{"jsonrpc", "2.0"}, {"id", 1}, {"method", method}, {"params", params}};
        if (!send(request.dump() + "\n")) return nullptr;
        return reply();
    }

  private:
    static int connect_to(const std::string& path) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(&address.sun_path, path.data(), path.size());
        const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
            return fd;
        ::close(fd);
        return -1;
    }

    int fd_;
    std::string in_;
};

/// Started by `start`, after its methods were added.
class Fake {
  public:
    explicit Fake(ServerOptions options = {}) : server(loop, with_path(std::move(options))) {
        server.methods().add({.name = "echo",
                              .help = "gives its text back",
                              .params = {{.name = "text"}},
                              .call = [](const Json& params) -> Reply {
                                  return Json(params.value("text", "nothing"));
                              }});
        server.methods().add({.name = "big",
                              .help = "so many bytes",
                              .params = {{.name = "bytes", .type = Type::integer}},
                              .call = [](const Json& params) -> Reply {
                                  return Json(std::string(params.value("bytes", 0U), 'x'));
                              }});
    }
    ~Fake() {
        if (!thread_.joinable()) return;
        loop.stop();
        thread_.join();
    }
    Fake(const Fake&) = delete;
    Fake& operator=(const Fake&) = delete;

    void start() {
        const auto problem = server.open();
        ASSERT_FALSE(problem.has_value()) << *problem;
        thread_ = std::thread([this] { loop.run(); });
    }
    [[nodiscard]] std::string path() const { return folder_ / "s.sock"; }
    [[nodiscard]] LineClient connect() const { return LineClient(path()); }
    /// Runs `fn` on the loop's thread and waits.
    void on_loop(const std::function<void()>& fn) {
        std::promise<void> ran;
        loop.post([&] {
            fn();
            ran.set_value();
        });
        ran.get_future().wait();
    }
    ServerStats stats() {
        ServerStats now;
        on_loop([&] { now = server.stats(); });
        return now;
    }
    /// Waits at most ten seconds for the figures to be as wanted.
    bool eventually(const std::function<bool(const ServerStats&)>& wanted) {
        for (int i = 0; i < 1000; ++i) {
            if (wanted(stats())) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds{10});
        }
        return false;
    }

  private:
    ServerOptions with_path(ServerOptions options) {
        options.path = path();
        return options;
    }

    Folder folder_;

  public:
    EventLoop loop;
    Server server;

  private:
    std::thread thread_;
};

}  // namespace vxplane::control::rpc
