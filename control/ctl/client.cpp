// Connecting, asking, reading lines.
#include "control/ctl/client.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace vxplane::control::ctl {

namespace {

std::string hint(int error) {
    if (error == EACCES || error == EPERM) {
        return "run it as root, or as a member of the socket's group";
    }
    if (error == EAGAIN) return "the daemon is busy; try again";
    return "is vxplane running? (another socket: -s PATH or VXPLANE_SOCKET)";
}

}  // namespace

Client::~Client() {
    if (fd_ >= 0) ::close(fd_);
}

std::optional<Failure> Client::connect(const std::string& path) {
    path_ = path;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return Failure{"cannot reach the daemon at '" + path + "': not a usable socket path"};
    }
    std::memcpy(&address.sun_path, path.data(), path.size());
    fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd_ >= 0 &&
        ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
        return std::nullopt;
    }
    const int error = errno;
    return Failure{"cannot reach the daemon at " + path + ": " +
                   std::generic_category().message(error) + "; " + hint(error)};
}

std::variant<Json, Failure> Client::call(const std::string& method, const Json& params) {
    const std::uint64_t id = next_id_++;
    const Json request{{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", params}};
    const std::string text = request.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    for (std::size_t sent = 0; sent < text.size();) {
        const ssize_t took = ::send(fd_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
        // A daemon that turns clients away says why before it closes: read on.
        if (took < 0 && errno != EINTR) break;
        if (took > 0) sent += static_cast<std::size_t>(took);
    }
    for (;;) {
        auto got = next_text(false);
        if (std::holds_alternative<Failure>(got)) return got;
        const Json& reply = std::get<Json>(got);
        const Json& error = at(reply, "/error");
        if (error.is_object() && (at(reply, "/id") == id || at(reply, "/id").is_null())) {
            const Json& code = at(error, "/code");
            const std::string suffix =
                code.is_number() && code > -32000 - 1 ? "" : " (" + cell(code) + ")";
            return Failure{cell(at(error, "/message")) + suffix};
        }
        if (at(reply, "/id") == id) return at(reply, "/result");
    }
}

std::variant<Json, Failure> Client::next_event() {
    for (;;) {
        auto got = next_text(true);
        if (std::holds_alternative<Failure>(got)) return got;
        const Json& text = std::get<Json>(got);
        if (at(text, "/method") == "event") return at(text, "/params");
    }
}

std::variant<Json, Failure> Client::next_text(bool wait_for_ever) {
    const auto deadline = std::chrono::steady_clock::now() + answer_within;
    std::size_t scanned = 0;
    for (;;) {
        const auto end = in_.find('\n', scanned);
        if (end != std::string::npos) {
            Json value = Json::parse(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(end),
                                     nullptr, false);
            in_.erase(0, end + 1);
            if (value.is_discarded()) {
                return Failure{"the daemon at " + path_ + " did not answer in JSON"};
            }
            return value;
        }
        scanned = in_.size();
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        pollfd wait{fd_, POLLIN, 0};
        const int ready = ::poll(
            &wait, 1, wait_for_ever ? -1 : static_cast<int>(std::max<long>(left.count(), 0)));
        if (ready < 0 && errno == EINTR) continue;
        if (ready == 0) {
            return Failure{"the daemon at " + path_ + " did not answer within " +
                           std::to_string(answer_within.count()) + " s"};
        }
        std::array<char, 65536> chunk;
        const ssize_t got = ::recv(fd_, chunk.data(), chunk.size(), 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return Failure{"the daemon at " + path_ + " closed the connection"};
        in_.append(chunk.data(), static_cast<std::size_t>(got));
    }
}

}  // namespace vxplane::control::ctl
