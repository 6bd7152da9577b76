// Blocks, options and numbers are those of draft-ietf-opsawg-pcapng.
#include "control/capture/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace vxplane::control::capture {

namespace {

constexpr std::uint32_t kSectionHeader = 0x0A0D0D0A;
constexpr std::uint32_t kInterface = 1;
constexpr std::uint32_t kEnhancedPacket = 6;
constexpr std::uint32_t kByteOrderMagic = 0x1A2B3C4D;
constexpr std::uint16_t kEthernet = 1;
constexpr std::uint16_t kOptionEnd = 0;
constexpr std::uint16_t kInterfaceName = 2;
constexpr std::uint16_t kApplication = 4;     // of the section header
constexpr std::uint16_t kTimeResolution = 9;  // value 9: nanoseconds
constexpr std::uint16_t kPacketFlags = 2;     // 1: inbound, 2: outbound

std::string failed(const std::string& path) {
    return path + ": " + std::strerror(errno);
}

std::span<const std::byte> bytes_of(const std::string& text) {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

}  // namespace

template <class T>
void File::put(T value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    buffer_.insert(buffer_.end(), bytes, bytes + sizeof value);
}

void File::put_option(std::uint16_t code, std::span<const std::byte> value) {
    put(code);
    put(static_cast<std::uint16_t>(value.size()));
    buffer_.insert(buffer_.end(), value.begin(), value.end());
    buffer_.resize((buffer_.size() - block_ + 3) / 4 * 4 + block_);
}

void File::begin_block(std::uint32_t type) {
    block_ = buffer_.size();
    put(type);
    put(std::uint32_t{0});
}

void File::end_block() {
    put(kOptionEnd);
    put(std::uint16_t{0});
    const auto size = static_cast<std::uint32_t>(buffer_.size() - block_ + sizeof(std::uint32_t));
    put(size);
    std::memcpy(buffer_.data() + block_ + sizeof(std::uint32_t), &size, sizeof size);
}

File::Problem File::open(const std::string& path, bool force, const std::string& port,
                         std::uint32_t snaplen) {
    path_ = path;
    port_ = port;
    snaplen_ = snaplen;
    if (path.empty() || path.front() != '/') {
        return "file: '" + path + "' is not an absolute path";
    }
    return make(force);
}

File::Problem File::make(bool force) {
    // Neither a link nor a device is followed or overwritten.
    int flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    fd_ = ::open(path_.c_str(), flags | O_CREAT | O_EXCL, 0600);
    if (fd_ < 0 && errno == EEXIST && force) {
        fd_ = ::open(path_.c_str(), flags);
        struct stat found {};
        if (fd_ >= 0 && (fstat(fd_, &found) != 0 || !S_ISREG(found.st_mode))) {
            close();
            return "file: " + path_ + " is not an ordinary file";
        }
        if (fd_ >= 0 && ftruncate(fd_, 0) != 0) {
            close();
            return "file: " + failed(path_);
        }
    }
    if (fd_ < 0) {
        return "file: " + failed(path_) + (errno == EEXIST ? " (force overwrites it)" : "");
    }
    written_ = 0;
    buffer_.clear();
    begin_block(kSectionHeader);
    put(kByteOrderMagic);
    put(std::uint16_t{1});
    put(std::uint16_t{0});
    put(~std::uint64_t{0});  // length of the section: not said
    put_option(kApplication, bytes_of("vxplane " VXPLANE_VERSION));
    end_block();
    begin_block(kInterface);
    put(kEthernet);
    put(std::uint16_t{0});
    put(snaplen_);
    put_option(kInterfaceName, bytes_of(port_));
    constexpr std::byte kNano{9};
    put_option(kTimeResolution, {&kNano, 1});
    end_block();
    return flush();
}

void File::add(std::span<const std::byte> bytes, std::uint32_t wire_bytes,
               std::uint64_t nanoseconds, Direction direction) {
    begin_block(kEnhancedPacket);
    put(std::uint32_t{0});
    put(static_cast<std::uint32_t>(nanoseconds >> 32));
    put(static_cast<std::uint32_t>(nanoseconds));
    put(static_cast<std::uint32_t>(bytes.size()));
    put(wire_bytes);
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    buffer_.resize((buffer_.size() - block_ + 3) / 4 * 4 + block_);
    const std::uint32_t flags = direction == Direction::received ? 1 : 2;
    put_option(kPacketFlags, std::as_bytes(std::span(&flags, 1)));
    end_block();
}

File::Problem File::flush() {
    std::size_t done = 0;
    while (done < buffer_.size()) {
        const ssize_t n = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return "file: " + failed(path_);
        }
        done += static_cast<std::size_t>(n);
    }
    written_ += done;
    buffer_.clear();
    return std::nullopt;
}

File::Problem File::rotate(unsigned keep) {
    if (auto problem = flush()) {
        return problem;
    }
    close();
    const auto name = [this](unsigned n) {
        return n == 0 ? path_ : path_ + "." + std::to_string(n);
    };
    for (unsigned n = keep; n > 0; --n) {
        if (std::rename(name(n - 1).c_str(), name(n).c_str()) != 0 && errno != ENOENT) {
            return "file: " + failed(name(n));
        }
    }
    return make(false);
}

void File::close() {
    if (fd_ >= 0) {
        ::close(fd_);
        fd_ = -1;
    }
}

}  // namespace vxplane::control::capture
