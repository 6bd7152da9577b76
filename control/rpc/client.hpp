// What the server remembers of one client. Private to server.cpp and topics.cpp.
#pragma once

#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "control/rpc/server.hpp"

namespace vxplane::control::rpc {

struct Server::Client {
    Client(std::uint64_t number, int descriptor) : id(number), fd(descriptor) {}

    std::uint64_t id;
    int fd;
    std::uint32_t watched = EPOLLIN;  // what the loop waits for
    bool eof = false;                 // it sends no more
    bool hup = false;                 // it reads no more either
    bool closing = false;             // parted with when `out` is read
    bool dead = false;
    bool later = false;       // has its place in `later_`
    std::string in;           // an unfinished line, or lines of which the turn had no time
    std::size_t scanned = 0;  // bytes of `in` known to hold no end of line
    std::string out;
    std::size_t sent = 0;                     // bytes of `out` that the kernel has
    EventLoop::Clock::time_point progress{};  // when the kernel last took something
    std::uint64_t topics = 0;                 // one bit for each of the server's topics
    std::uint64_t lost = 0;                   // events, since the last one that it got
    std::size_t accounted = 0;

    [[nodiscard]] std::size_t unread() const noexcept { return out.size() - sent; }
    [[nodiscard]] bool has_line() const noexcept {
        return (eof && !in.empty()) || in.find('\n', scanned) != std::string::npos;
    }
    /// Whether to take more input: only with room for it and nothing left to do.
    [[nodiscard]] bool reads(std::size_t max_output) const noexcept {
        return !eof && !closing && !dead && unread() <= max_output && !has_line();
    }
    void hang_up() noexcept {
        hup = true;
        out.clear();
        sent = 0;
    }
    void consume(std::size_t bytes) {
        in.erase(0, bytes);
        scanned -= scanned < bytes ? scanned : bytes;
        if (in.empty()) shrink(in);
    }
    void compact() {
        if (sent == out.size()) {
            out.clear();
            sent = 0;
            shrink(out);
        } else if (sent > out.size() / 2) {
            out.erase(0, sent);
            sent = 0;
        }
    }

  private:
    static void shrink(std::string& text) {
        constexpr std::size_t kept = 4096;
        if (text.capacity() > kept) std::string{}.swap(text);
    }
};

}  // namespace vxplane::control::rpc
