// The stream behind DPDK's log: fopencookie(3) hands every write to `write_bytes`, which cuts it
// into lines.
#include "dataplane/port/log_stream.hpp"

#include <rte_log.h>
#include <stdio.h>
#include <unistd.h>

#include <vector>

namespace vxplane::port {
namespace {

constexpr std::size_t captured_lines = 4;

LogLine hook = nullptr;
std::FILE* stream = nullptr;
// Level of the last write: stdio may flush outside of rte_log, where DPDK knows no level.
thread_local std::string partial;
thread_local std::vector<std::string>* capture = nullptr;
thread_local std::vector<std::string> captured;

void emit(int level, std::string_view line) {
    if (line.empty()) return;
    if (capture != nullptr && level <= static_cast<int>(RTE_LOG_ERR)) {
        if (capture->size() == captured_lines) capture->erase(capture->begin());
        capture->emplace_back(line);
    }
    if (hook != nullptr) {
        hook(level, line);
        return;
    }
    const std::string text = std::string{line} + '\n';
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

ssize_t write_bytes(void*, const char* bytes, std::size_t size) {
    int level = rte_log_cur_msg_loglevel();
    if (level <= 0) level = static_cast<int>(RTE_LOG_INFO);
    partial.append(bytes, size);
    std::size_t begin = 0;
    for (std::size_t end = partial.find('\n'); end != std::string::npos;
         end = partial.find('\n', begin)) {
        emit(level, std::string_view{partial}.substr(begin, end - begin));
        begin = end + 1;
    }
    partial.erase(0, begin);
    return static_cast<ssize_t>(size);
}

}  // namespace

void open_log_stream(LogLine line) noexcept {
    hook = line;
    if (stream != nullptr) return;
    cookie_io_functions_t functions{};
    functions.write = write_bytes;
    stream = ::fopencookie(nullptr, "w", functions);
    if (stream == nullptr) return;
    rte_openlog_stream(stream);
}

LogCapture::LogCapture() noexcept {
    captured.clear();
    capture = &captured;
}

LogCapture::~LogCapture() {
    capture = nullptr;
}

std::string LogCapture::text() const noexcept {
    std::string all;
    for (const std::string& line : captured) all += (all.empty() ? "" : "; ") + line;
    return all;
}

}  // namespace vxplane::port
