// Taking a unix socket path: refused when another daemon lives on it, taken over when a dead one
// left it. Met by the RPC server at start.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace vxplane::control::rpc {

/// A listening unix stream socket (non-blocking, close-on-exec, mode 0660) and the lock file beside
/// it
/// (`path` + ".lock"), which keeps two daemons that start at once from taking over each other's
/// socket.
class ListenSocket {
  public:
    ListenSocket() = default;
    ~ListenSocket() { close(); }
    ListenSocket(const ListenSocket&) = delete;
    ListenSocket& operator=(const ListenSocket&) = delete;

    /// Binds and listens. The last folder of `path` is made when missing. `group` is a name or a
    /// number; empty leaves the process's own. On a problem returns its text and leaves nothing
    /// behind.
    [[nodiscard]] std::optional<std::string> open(const std::string& path,
                                                  const std::string& group);
    /// Removes the socket, when it is still ours, and the lock.
    void close() noexcept;
    /// -1 when not open.
    [[nodiscard]] int fd() const noexcept { return fd_; }

  private:
    [[nodiscard]] std::optional<std::string> take_lock();
    [[nodiscard]] std::optional<std::string> clear_path() const;
    [[nodiscard]] std::optional<std::string> bind_and_listen(const std::string& group);

    std::string path_;
    int fd_ = -1;
    int lock_ = -1;
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

}  // namespace vxplane::control::rpc
