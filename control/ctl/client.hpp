// A blocking connection from vxctl to the daemon.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "control/ctl/table.hpp"

namespace vxplane::control::ctl {

/// Not reachable, or refused: the text is for the person at the terminal.
struct Failure {
    std::string problem;
};

class Client {
  public:
    Client() = default;
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    /// Connects. A failure names the path and what to try.
    [[nodiscard]] std::optional<Failure> connect(const std::string& path);
    /// One request and its result. Events that come meanwhile are skipped.
    [[nodiscard]] std::variant<Json, Failure> call(const std::string& method, const Json& params);
    /// The params of the next event; waits without limit.
    [[nodiscard]] std::variant<Json, Failure> next_event();

  private:
    [[nodiscard]] std::variant<Json, Failure> next_text(bool wait_for_ever);

    std::string path_;
    int fd_ = -1;
    std::uint64_t next_id_ = 1;
    std::string in_;
};

/// How long the daemon may take to answer.
inline constexpr std::chrono::seconds answer_within{10};

}  // namespace vxplane::control::ctl
