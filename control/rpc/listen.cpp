// The rules for taking a socket path, in the order in which they are asked.
#include "control/rpc/listen.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>
#include <vector>

namespace vxplane::control::rpc {

namespace {

constexpr mode_t socket_mode = 0660;
constexpr int backlog = 256;

std::string reason(int error) {
    return std::generic_category().message(error);
}

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(&address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
    return address;
}

const sockaddr* generic(const sockaddr_un& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

std::string in_use(const std::string& path, long pid) {
    std::string text = path + ": in use by a running daemon";
    if (pid > 0) text += " (pid " + std::to_string(pid) + ")";
    return text + "; stop it or choose another socket path";
}

long pid_in(int lock) {
    std::array<char, 32> text{};
    const auto got = ::pread(lock, text.data(), text.size(), 0);
    long pid = 0;
    if (got > 0) std::from_chars(text.data(), text.data() + got, pid);
    return pid;
}

// The number of a group given by name or number.
std::optional<gid_t> find_group(const std::string& group) {
    gid_t number = 0;
    const auto end = group.data() + group.size();
    if (const auto [stop, error] = std::from_chars(group.data(), end, number);
        error == std::errc{} && stop == end) {
        return number;
    }
    std::vector<char> space(16384);
    ::group entry{};
    ::group* found = nullptr;
    if (::getgrnam_r(group.c_str(), &entry, space.data(), space.size(), &found) != 0 || !found) {
        return std::nullopt;
    }
    return found->gr_gid;
}

}  // namespace

std::optional<std::string> ListenSocket::open(const std::string& path, const std::string& group) {
    close();
    if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path)) {
        return path + ": not a usable socket path (1 to " +
               std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " bytes)";
    }
    path_ = path;
    if (const auto slash = path.rfind('/'); slash != std::string::npos && slash > 0) {
        const std::string folder = path.substr(0, slash);
        if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
            return folder + ": cannot make the folder of the socket: " + reason(errno);
        }
    }
    auto problem = take_lock();
    if (!problem) problem = clear_path();
    if (!problem) problem = bind_and_listen(group);
    if (problem) close();
    return problem;
}

std::optional<std::string> ListenSocket::take_lock() {
    const std::string name = path_ + ".lock";
    for (;;) {
        lock_ = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (lock_ < 0) return name + ": cannot open the lock file: " + reason(errno);
        if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
            const int error = errno;
            const long pid = pid_in(lock_);
            ::close(lock_);
            lock_ = -1;
            if (error == EWOULDBLOCK) return in_use(path_, pid);
            return name + ": cannot lock: " + reason(error);
        }
        // The last owner may have removed the file between our open and our lock: then another
        // daemon can lock a new file of that name, and ours guards nothing.
        struct stat ours {};
        struct stat there {};
        if (::fstat(lock_, &ours) == 0 && ::lstat(name.c_str(), &there) == 0 &&
            ours.st_ino == there.st_ino && ours.st_dev == there.st_dev) {
            break;
        }
        ::close(lock_);
    }
    const std::string pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(lock_, 0) != 0 ||
        ::pwrite(lock_, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
        return name + ": cannot write the lock file: " + reason(errno);
    }
    return std::nullopt;
}

std::optional<std::string> ListenSocket::clear_path() const {
    struct stat there {};
    if (::lstat(path_.c_str(), &there) != 0) {
        if (errno == ENOENT) return std::nullopt;
        return path_ + ": " + reason(errno);
    }
    if (!S_ISSOCK(there.st_mode)) return path_ + ": exists and is not a socket; not touched";
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) return path_ + ": socket: " + reason(errno);
    const sockaddr_un address = address_of(path_);
    const int error = ::connect(probe, generic(address), sizeof address) == 0 ? 0 : errno;
    ucred peer{};
    socklen_t size = sizeof peer;
    if (error == 0) ::getsockopt(probe, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    ::close(probe);
    // EAGAIN: alive, with a full queue of clients.
    if (error == 0 || error == EAGAIN) return in_use(path_, peer.pid);
    if (error != ECONNREFUSED)
        return path_ + ": cannot tell whether it is in use: " + reason(error);
    if (::unlink(path_.c_str()) != 0 && errno != ENOENT) {
        return path_ + ": cannot remove the socket of a dead daemon: " + reason(errno);
    }
    return std::nullopt;
}

std::optional<std::string> ListenSocket::bind_and_listen(const std::string& group) {
    std::optional<gid_t> owner;
    if (!group.empty() && !(owner = find_group(group))) {
        return path_ + ": no group '" + group + "' for the socket";
    }
    fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd_ < 0) return path_ + ": socket: " + reason(errno);
    // The file takes over the descriptor's mode: it is closed to others from its first moment on,
    // whatever the umask.
    ::fchmod(fd_, 0600);
    const sockaddr_un address = address_of(path_);
    if (::bind(fd_, generic(address), sizeof address) != 0) {
        return path_ + ": cannot bind: " + reason(errno);
    }
    struct stat made {};
    if (::lstat(path_.c_str(), &made) == 0) {
        device_ = made.st_dev;
        inode_ = made.st_ino;
    }
    if (owner && ::lchown(path_.c_str(), static_cast<uid_t>(-1), *owner) != 0) {
        return path_ + ": cannot give the socket to group '" + group + "': " + reason(errno);
    }
    if (::chmod(path_.c_str(), socket_mode) != 0) {
        return path_ + ": cannot set the mode: " + reason(errno);
    }
    if (::listen(fd_, backlog) != 0) return path_ + ": cannot listen: " + reason(errno);
    return std::nullopt;
}

void ListenSocket::close() noexcept {
    if (fd_ >= 0) {
        struct stat there {};
        if (inode_ != 0 && ::lstat(path_.c_str(), &there) == 0 && there.st_ino == inode_ &&
            there.st_dev == device_) {
            ::unlink(path_.c_str());
        }
        ::close(fd_);
    }
    if (lock_ >= 0) {
        ::unlink((path_ + ".lock").c_str());  // while locked, see take_lock
        ::close(lock_);
    }
    fd_ = lock_ = -1;
    inode_ = 0;
}

}  // namespace vxplane::control::rpc
