// Lock files of devices.
#include "dataplane/port/device_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <utility>

namespace vxplane::port {
namespace {

/// File names end at 255 bytes (NAME_MAX); a longer key keeps its end and gets a hash.
constexpr std::size_t longest_name = 200;

std::string file_name(const std::string& key) {
    std::string name = key;
    const auto plain = [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '.' || c == ':' || c == '-';
    };
    std::ranges::replace_if(
        name, [&](char c) { return !plain(c); }, '_');
    // Two keys must not meet in one name because a character was replaced.
    if (name != key || name.size() > longest_name || name.starts_with('.')) {
        if (name.size() > longest_name) name = name.substr(name.size() - longest_name);
        std::string hashed = "k";
        hashed += std::to_string(std::hash<std::string>{}(key) % 100000000);
        name = hashed + "-" + name;
    }
    return name;
}

std::string holder(int fd) {
    char text[32] = {};
    if (::pread(fd, text, sizeof text - 1, 0) <= 0) return "another process";
    return "process " + std::string{text, std::strcspn(text, "\n")};
}

}  // namespace

DeviceLock::DeviceLock(DeviceLock&& other) noexcept
    : fd_{std::exchange(other.fd_, -1)}, path_{std::move(other.path_)} {}

DeviceLock& DeviceLock::operator=(DeviceLock&& other) noexcept {
    if (this != &other) {
        release();
        fd_ = std::exchange(other.fd_, -1);
        path_ = std::move(other.path_);
    }
    return *this;
}

Expected<DeviceLock> DeviceLock::take(const std::string& directory,
                                      const std::string& key) noexcept {
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error) return Failure{"lock folder " + directory + " cannot be made: " + error.message()};
    const std::string path = directory + "/" + file_name(key);
    while (true) {
        const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0)
            return Failure{"lock file " + path + " cannot be opened: " + std::strerror(errno)};
        if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
            const int why = errno;
            const std::string who = holder(fd);
            ::close(fd);
            if (why != EWOULDBLOCK)
                return Failure{"lock file " + path + " cannot be locked: " + std::strerror(why)};
            return Failure{"device is in use by " + who + " (lock file " + path + ")"};
        }
        // The last holder removes the file: a lock on a removed file keeps nobody out.
        struct stat held {};
        struct stat named {};
        if (::fstat(fd, &held) == 0 && ::stat(path.c_str(), &named) == 0 &&
            held.st_ino == named.st_ino && held.st_dev == named.st_dev) {
            const std::string pid = std::to_string(::getpid()) + "\n";
            if (::ftruncate(fd, 0) != 0 ||
                ::pwrite(fd, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
                const int why = errno;
                ::close(fd);
                return Failure{"lock file " + path + " cannot be written: " + std::strerror(why)};
            }
            DeviceLock lock;
            lock.fd_ = fd;
            lock.path_ = path;
            return lock;
        }
        ::close(fd);
    }
}

void DeviceLock::release() noexcept {
    if (fd_ < 0) return;
    ::unlink(path_.c_str());
    ::close(fd_);
    fd_ = -1;
}

}  // namespace vxplane::port
