// Clients' lines in, replies and events out. The rules that keep a client from costing more than
// its own connection are in `work` (how much is done in one turn) and `update` (when to listen, to
// wait and to part).
#include "control/rpc/server.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>

#include "control/rpc/client.hpp"
#include "control/rpc/protocol.hpp"

namespace vxplane::control::rpc {

namespace {

using Clock = EventLoop::Clock;

constexpr std::size_t read_chunk = 64 << 10;
constexpr std::size_t write_per_turn = 1 << 20;     // of one client
constexpr std::size_t parsed_per_turn = 256 << 10;  // of one client, checked between lines
constexpr int accepts_per_turn = 32;
constexpr std::size_t spare_files = 512;  // for everything in the daemon that is not a client

void raise_file_limit(std::size_t wanted) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, wanted);
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

bool is_blank(std::string_view line) {
    return line.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace

// One entry into the server. Clients that die meanwhile stay in memory until the outermost one
// ends.
class Server::Turn {
  public:
    explicit Turn(Server& server) : server_(server) { ++server_.depth_; }
    ~Turn() {
        if (--server_.depth_ == 0) server_.bury();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

  private:
    Server& server_;
};

Server::Server(EventLoop& loop, ServerOptions options) : loop_(loop), options_(std::move(options)) {
    add_own_methods();
}

Server::~Server() {
    close();
}

std::optional<std::string> Server::open() {
    if (auto problem = socket_.open(options_.path, options_.group)) return problem;
    raise_file_limit(options_.max_clients + spare_files);
    reserve_fd_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (!loop_.add(socket_.fd(), EPOLLIN, [this](std::uint32_t) { accept_clients(); })) {
        close();
        return options_.path + ": cannot watch the socket";
    }
    const auto check = std::max(options_.stall / 4, std::chrono::milliseconds{10});
    stall_timer_ = loop_.every(check, [this] { on_stall_check(); });
    return std::nullopt;
}

void Server::close() {
    const Turn turn(*this);
    if (socket_.fd() >= 0) loop_.remove(socket_.fd());
    socket_.close();
    loop_.cancel(later_timer_);
    loop_.cancel(stall_timer_);
    later_timer_ = stall_timer_ = 0;
    for (auto& [id, client] : clients_) {
        if (!client->dead) flush(*client);
        doom(*client);
    }
    if (reserve_fd_ >= 0) ::close(reserve_fd_);
    reserve_fd_ = -1;
}

void Server::turn_away(int fd, std::string_view why) {
    const std::string text = error_text({Code::too_many_clients, std::string(why)}) + "\n";
    [[maybe_unused]] const auto ignored =
        ::send(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    ::close(fd);
    ++stats_.refused_clients;
}

void Server::accept_clients() {
    const Turn turn(*this);
    for (int i = 0; i < accepts_per_turn; ++i) {
        int fd = ::accept4(socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE) && reserve_fd_ >= 0) {
            // Left in the queue, the client would keep the listener readable and the loop spinning.
            ::close(reserve_fd_);
            fd = ::accept4(socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
            if (fd >= 0) turn_away(fd, "no file descriptor left");
            reserve_fd_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
            continue;
        }
        if (fd < 0) return;
        if (clients_.size() - doomed_.size() >= options_.max_clients) {
            turn_away(fd,
                      "too many clients (at most " + std::to_string(options_.max_clients) + ")");
            continue;
        }
        const std::uint64_t id = next_client_++;
        if (!loop_.add(fd, EPOLLIN, [this, id](std::uint32_t events) { on_client(id, events); })) {
            turn_away(fd, "cannot be watched");
            continue;
        }
        clients_.emplace(id, std::make_unique<Client>(id, fd));
        ++stats_.accepted;
    }
}

void Server::on_client(std::uint64_t id, std::uint32_t events) {
    const Turn turn(*this);
    const auto found = clients_.find(id);
    if (found == clients_.end() || found->second->dead) return;
    Client& client = *found->second;
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) client.hang_up();
    if ((events & EPOLLOUT) != 0) flush(client);
    if ((events & (EPOLLIN | EPOLLHUP)) != 0 && client.reads(options_.max_output)) {
        read_from(client);
    }
    work(client);
    flush(client);
    update(client);
}

void Server::read_from(Client& client) {
    std::array<char, read_chunk> chunk;
    const ssize_t got = ::recv(client.fd, chunk.data(), chunk.size(), 0);
    if (got > 0) {
        client.in.append(chunk.data(), static_cast<std::size_t>(got));
        account(client);
    } else if (got == 0) {
        client.eof = true;
    } else if (errno != EAGAIN && errno != EINTR) {
        doom(client);
    }
}

void Server::work(Client& client) {
    std::size_t done = 0;  // bytes of `in`
    const std::uint64_t until = stats_.requests + options_.requests_per_turn;
    while (!client.dead && !client.closing && stats_.requests < until && done < parsed_per_turn &&
           client.unread() <= options_.max_output) {
        std::size_t end = client.in.find('\n', std::max(done, client.scanned));
        const bool whole = end != std::string::npos;
        if (!whole) end = client.scanned = client.in.size();
        if (end - done > options_.max_line) {
            ++stats_.closed_long_line;
            ++stats_.errors;
            append(client, error_text({Code::invalid_request,
                                       "line longer than " + std::to_string(options_.max_line) +
                                           " bytes; closing"}));
            client.closing = true;
            done = client.in.size();
            break;
        }
        // A client that has shut its side may leave the last line without an end.
        if (!whole && (!client.eof || end == done)) break;
        handle_line(client, std::string_view(client.in).substr(done, end - done));
        done = whole ? end + 1 : end;
    }
    client.consume(done);
}

void Server::handle_line(Client& client, std::string_view line) {
    if (is_blank(line)) return;
    ProtocolCounts counts;
    Client* const outer = std::exchange(current_, &client);
    const std::string text = answer(methods_, line, options_.max_reply, counts);
    current_ = outer;
    stats_.requests += counts.requests;
    stats_.errors += counts.errors;
    if (!text.empty()) append(client, text);
}

void Server::append(Client& client, std::string_view text) {
    if (client.dead || client.hup) return;
    if (client.unread() == 0) client.progress = Clock::now();
    client.out.append(text);
    client.out.push_back('\n');
    account(client);
}

void Server::flush(Client& client) {
    std::size_t sent = 0;
    while (!client.dead && client.unread() > 0 && sent < write_per_turn) {
        const ssize_t took =
            ::send(client.fd, client.out.data() + client.sent,
                   std::min(client.unread(), write_per_turn - sent), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (took < 0) {
            if (errno == EPIPE || errno == ECONNRESET) {
                client.hang_up();  // what it asked for before it left is still done
            } else if (errno != EAGAIN && errno != EINTR) {
                doom(client);
            }
            break;
        }
        client.progress = Clock::now();
        client.sent += static_cast<std::size_t>(took);
        sent += static_cast<std::size_t>(took);
    }
    client.compact();
    account(client);
}

void Server::update(Client& client) {
    if (client.dead) return;
    const bool paused = client.unread() > options_.max_output;
    const bool has_work = !client.closing && client.has_line();
    const bool follows = client.topics != 0 && !client.hup;
    if (client.unread() == 0 && !has_work && (client.closing || (client.eof && !follows))) {
        doom(client);
        return;
    }
    if (has_work && !paused && !client.later) {
        client.later = true;
        later_.push_back(client.id);
        if (later_timer_ == 0) {
            later_timer_ = loop_.after(std::chrono::milliseconds{0}, [this] { on_later(); });
        }
    }
    std::uint32_t wanted = 0;
    if (client.reads(options_.max_output)) wanted |= EPOLLIN;
    if (client.unread() > 0) wanted |= EPOLLOUT;
    if (wanted != client.watched && loop_.modify(client.fd, wanted)) client.watched = wanted;
}

void Server::on_later() {
    const Turn turn(*this);
    later_timer_ = 0;
    std::vector<std::uint64_t> todo;
    todo.swap(later_);
    for (const std::uint64_t id : todo) {
        const auto found = clients_.find(id);
        if (found == clients_.end() || found->second->dead) continue;
        Client& client = *found->second;
        client.later = false;
        work(client);
        flush(client);
        update(client);
    }
}

void Server::on_stall_check() {
    const Turn turn(*this);
    const auto now = Clock::now();
    for (auto& [id, client] : clients_) {
        if (client->dead || client->unread() == 0 || now - client->progress < options_.stall)
            continue;
        // A follower that pauses only loses events.
        if (client->topics != 0 && !client->closing && client->unread() <= options_.max_output)
            continue;
        ++stats_.closed_slow;
        doom(*client);
    }
}

void Server::publish(std::string_view topic, const Json& fields) {
    const Turn turn(*this);
    const std::uint64_t bit = topic_bit(topic);
    if (bit == 0) return;
    Json event{{"jsonrpc", "2.0"}, {"method", "event"}, {"params", Json::object()}};
    Json& params = event["params"];
    if (fields.is_object()) params = fields;
    params["topic"] = topic;
    std::string common;  // for all that lost nothing
    for (auto& [id, client] : clients_) {
        if (client->dead || client->closing || (client->topics & bit) == 0) continue;
        if (client->unread() > options_.max_events) {
            ++client->lost;
            ++stats_.events_lost;
            continue;
        }
        if (client->lost != 0) {
            params["lost"] = std::exchange(client->lost, 0);
            append(*client, to_text(event));
            params.erase("lost");
        } else {
            if (common.empty()) common = to_text(event);
            append(*client, common);
        }
        ++stats_.events_sent;
        flush(*client);
        update(*client);
    }
}

bool Server::has_subscriber(std::string_view topic) const {
    const std::uint64_t bit = topic_bit(topic);
    return bit != 0 && std::any_of(clients_.begin(), clients_.end(), [bit](const auto& entry) {
               return !entry.second->dead && (entry.second->topics & bit) != 0;
           });
}

void Server::doom(Client& client) {
    if (client.dead) return;
    client.dead = true;
    loop_.remove(client.fd);
    ::close(client.fd);
    doomed_.push_back(client.id);
}

void Server::bury() {
    for (const std::uint64_t id : doomed_) {
        const auto found = clients_.find(id);
        stats_.memory_bytes -= found->second->accounted;
        clients_.erase(found);
    }
    doomed_.clear();
}

void Server::account(Client& client) {
    const std::size_t size = client.in.capacity() + client.out.capacity();
    stats_.memory_bytes = stats_.memory_bytes - client.accounted + size;
    client.accounted = size;
    stats_.memory_high_water = std::max(stats_.memory_high_water, stats_.memory_bytes);
    if (stats_.memory_bytes > options_.max_memory) evict_largest();
}

void Server::evict_largest() {
    Client* largest = nullptr;
    for (auto& [id, client] : clients_) {
        if (client->dead) return;  // one is on its way out already
        if (largest == nullptr || client->accounted > largest->accounted) largest = client.get();
    }
    if (largest == nullptr) return;
    ++stats_.closed_slow;
    doom(*largest);
}

ServerStats Server::stats() const {
    ServerStats now = stats_;
    now.clients = clients_.size() - doomed_.size();
    now.subscribers = static_cast<std::uint64_t>(std::count_if(
        clients_.begin(), clients_.end(),
        [](const auto& entry) { return !entry.second->dead && entry.second->topics != 0; }));
    return now;
}

}  // namespace vxplane::control::rpc
