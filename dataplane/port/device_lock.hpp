// Keeps two daemons off one device: a file per device in a lock folder, held with flock(2) for as
// long as the port is open. The kernel gives it up when the process dies.
#pragma once

#include <string>

#include "dataplane/port/expected.hpp"

namespace vxplane::port {

/// A held lock. Movable; gives the lock up when destroyed.
class DeviceLock {
  public:
    DeviceLock() = default;
    ~DeviceLock() { release(); }
    DeviceLock(DeviceLock&& other) noexcept;
    DeviceLock& operator=(DeviceLock&& other) noexcept;
    DeviceLock(const DeviceLock&) = delete;
    DeviceLock& operator=(const DeviceLock&) = delete;

    /// Takes the lock of `key` (made safe as a file name) in `directory`, which is made when it is
    /// missing. Fails naming the pid of the holder.
    [[nodiscard]] static Expected<DeviceLock> take(const std::string& directory,
                                                   const std::string& key) noexcept;

    [[nodiscard]] bool held() const noexcept { return fd_ >= 0; }
    void release() noexcept;

  private:
    int fd_ = -1;
    std::string path_{};
};

}  // namespace vxplane::port
