// The daemon's JSON-RPC 2.0 server: newline-delimited texts on a unix stream socket. Meets every
// client, the hostile ones too: each costs bounded memory and bounded work per turn of the loop.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "control/loop/event_loop.hpp"
#include "control/rpc/listen.hpp"
#include "control/rpc/method.hpp"

namespace vxplane::control::rpc {

/// Sizes in bytes. The defaults suit the daemon; tests make them small.
struct ServerOptions {
    std::string path = "/run/vxplane/vxplane.sock";
    std::string group{};                 ///< name or number; empty: the process's own
    std::size_t max_clients = 1024;      ///< further ones are told so and closed
    std::size_t max_line = 1 << 20;      ///< a longer line is answered with an error, then closed
    std::size_t max_output = 4 << 20;    ///< unread output above this: no request is taken
    std::size_t max_reply = 64 << 20;    ///< a longer reply becomes error -32001
    std::size_t max_events = 128 << 10;  ///< unread output above this: events are lost
    std::size_t max_memory = 256 << 20;  ///< of all clients; beyond, the largest is closed
    std::size_t requests_per_turn = 16;  ///< of one client in one turn of the loop
    std::chrono::milliseconds stall{5000};  ///< unread output, nothing read for so long: closed
};

/// Since `open`, but `clients`, `subscribers` and `memory_bytes`, which are of now.
struct ServerStats {
    std::uint64_t clients = 0;
    std::uint64_t subscribers = 0;
    std::uint64_t accepted = 0;
    std::uint64_t refused_clients = 0;  ///< over max_clients, or no descriptor left
    std::uint64_t requests = 0;         ///< every member of a batch is one
    std::uint64_t errors = 0;           ///< error replies, and errors of notifications
    std::uint64_t closed_slow = 0;      ///< did not read, or was the largest when memory ran out
    std::uint64_t closed_long_line = 0;
    std::uint64_t events_sent = 0;
    std::uint64_t events_lost = 0;
    std::uint64_t memory_bytes = 0;  ///< held for clients' unfinished lines and unread output
    std::uint64_t memory_high_water = 0;
};
[[nodiscard]] Json to_json(const ServerStats& stats);

/// Lives on the loop's thread; every member is called there. Must end before the loop does. Brings
/// the methods `rpc.methods`, `rpc.stats`, `rpc.topics`, `subscribe` and `unsubscribe` of its own.
class Server {
  public:
    explicit Server(EventLoop& loop, ServerOptions options = {});
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Fill it before `open`.
    [[nodiscard]] MethodTable& methods() noexcept { return methods_; }
    /// Declares a topic that clients may subscribe to.
    void add_topic(std::string name, std::string help);

    /// Takes the socket and starts to answer. A problem text when it cannot (in use by a live
    /// daemon, not a socket, no such group, ...); then nothing has been changed. Raises the soft
    /// limit of open files to fit `max_clients`.
    [[nodiscard]] std::optional<std::string> open();
    /// Closes every client and removes the socket. Replies that fit into the socket are still sent.
    void close();

    /// Sends `{"jsonrpc":"2.0","method":"event","params":{"topic":topic, ...fields}}` to the
    /// subscribers of `topic`. A subscriber that does not keep up loses it, and finds `"lost": n`
    /// in the next one it gets. Never blocks.
    void publish(std::string_view topic, const Json& fields);
    /// Whether anybody would get it: spares building the fields.
    [[nodiscard]] bool has_subscriber(std::string_view topic) const;

    [[nodiscard]] ServerStats stats() const;
    [[nodiscard]] const std::string& path() const noexcept { return options_.path; }

  private:
    struct Client;
    class Turn;

    void add_own_methods();
    [[nodiscard]] std::uint64_t topic_bit(std::string_view topic) const noexcept;
    [[nodiscard]] Reply subscribe(const Json& params, bool on);
    void accept_clients();
    void turn_away(int fd, std::string_view why);
    void on_client(std::uint64_t id, std::uint32_t events);
    void on_later();
    void on_stall_check();
    void read_from(Client& client);
    void work(Client& client);
    void handle_line(Client& client, std::string_view line);
    void append(Client& client, std::string_view text);
    void flush(Client& client);
    void update(Client& client);
    void doom(Client& client);
    void bury();
    void account(Client& client);
    void evict_largest();

    EventLoop& loop_;
    ServerOptions options_;
    MethodTable methods_;
    std::vector<std::pair<std::string, std::string>> topics_;
    ListenSocket socket_;
    int reserve_fd_ = -1;  // given up for a moment to turn a client away when no descriptor is left
    std::unordered_map<std::uint64_t, std::unique_ptr<Client>> clients_;
    std::vector<std::uint64_t> later_;  // clients with work left over from their last turn
    std::vector<std::uint64_t> doomed_;
    std::uint64_t next_client_ = 1;
    Client* current_ = nullptr;  // whose request is being answered
    int depth_ = 0;              // entries into the server on the stack; the dead are buried at 0
    TimerId later_timer_ = 0;
    TimerId stall_timer_ = 0;
    ServerStats stats_;
};

}  // namespace vxplane::control::rpc
