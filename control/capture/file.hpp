// A capture file: pcapng as Wireshark and tcpdump read it, made safely and kept within limits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace vxplane::control::capture {

enum class Direction : std::uint8_t { received, sent };

/// Control thread only. Texts say what is wrong with which path.
class File {
  public:
    using Problem = std::optional<std::string>;

    File() = default;
    ~File() { close(); }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    /// Makes `path`, an absolute one in a directory that is there, for its owner alone. What is
    /// there already is kept, unless it is an ordinary file and `force`. `port` names the
    /// interface.
    Problem open(const std::string& path, bool force, const std::string& port,
                 std::uint32_t snaplen);
    /// One frame; `nanoseconds` since 1970. Buffered.
    void add(std::span<const std::byte> bytes, std::uint32_t wire_bytes, std::uint64_t nanoseconds,
             Direction direction);
    /// Writes what is buffered.
    Problem flush();
    /// Renames PATH to PATH.1, that to PATH.2 and so on, `keep` of them, and begins anew.
    Problem rotate(unsigned keep);
    void close();
    /// Of the file of now, what is buffered included.
    [[nodiscard]] std::uint64_t bytes() const noexcept { return written_ + buffer_.size(); }

  private:
    Problem make(bool force);
    template <class T>
    void put(T value);
    void put_option(std::uint16_t code, std::span<const std::byte> value);
    void begin_block(std::uint32_t type);
    void end_block();

    std::string path_;
    std::string port_;
    std::uint32_t snaplen_ = 0;
    int fd_ = -1;
    std::uint64_t written_ = 0;
    std::size_t block_ = 0;
    std::vector<std::byte> buffer_;
};

}  // namespace vxplane::control::capture
