// The file: a line `vxplane-fdb 1 SECONDS` (since 1970), a line for each learned entry, and
// `end COUNT`, without which it is not whole. It is written beside and renamed.
#include "control/persist.hpp"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

#include "control/apply/words.hpp"

namespace vxplane::control {

namespace {

constexpr std::uint32_t kBucketsPerTurn = 2048;
constexpr std::size_t kBuffer = std::size_t{64} << 10;

std::int64_t seconds_since_1970() {
    return std::chrono::duration_cast<std::chrono::seconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

}  // namespace

/// `SEGMENT VNI MAC AGE dst IP` or `SEGMENT VNI MAC AGE port NAME`.
struct Persist::Line {
    std::string segment;
    std::uint32_t vni = 0;
    std::string mac;
    std::int64_t age = 0;
    std::string kind;
    std::string place;

    static std::optional<Line> read(const std::string& text) {
        Line line;
        std::istringstream words(text);
        std::string rest;
        if (!(words >> line.segment >> line.vni >> line.mac >> line.age >> line.kind >>
              line.place) ||
            (words >> rest) || line.age < 0) {
            return std::nullopt;
        }
        return line;
    }
};

Persist::Persist(std::string path, std::chrono::seconds interval, Bridge& bridge,
                 const Machine& machine)
    : path_(std::move(path)), interval_(interval), bridge_(bridge), machine_(machine) {}

Persist::~Persist() {
    if (fd_ >= 0) {
        ::close(fd_);
    }
}

bool Persist::teach(const Line& line, std::chrono::seconds since, Time now) {
    const auto index = bridge_.find_segment(line.segment);
    const auto mac = parse_mac(line.mac);
    if (!index || !mac || mac->is_zero() || mac->is_group() ||
        bridge_.segment(*index).vni.number != line.vni) {
        return false;
    }
    const std::chrono::seconds age = std::min<std::chrono::seconds>(
        std::chrono::seconds(line.age) + since, kOldest - std::chrono::seconds(1));
    const std::uint32_t ageing = bridge_.segment(*index).ageing;
    step::LearnEvent event;
    event.key = table::FdbKey::make(mac->number(), *index).raw;
    if (line.kind == "dst") {
        const auto remote = parse_ip(line.place);
        if (!remote || !bridge_.segment(*index).learning) {
            return false;
        }
        event.remote = *remote;
    } else {
        const OpenPort* open = machine_.by_name(line.place);
        const auto& members = bridge_.segment(*index).ports;
        if (line.kind != "port" || open == nullptr ||
            std::find(members.begin(), members.end(), open->port->id()) == members.end()) {
            return false;
        }
        event.port = open->port->id();
    }
    if (ageing != 0 && age >= std::chrono::seconds(ageing)) {
        return false;
    }
    const std::uint64_t before = bridge_.counters().learned;
    bridge_.learn({&event, 1}, now - age);
    return bridge_.counters().learned != before;
}

void Persist::restore(Time now) {
    next_ = now + interval_;
    std::ifstream file(path_);
    if (!file) {
        spdlog::info("persist: {}: {}", path_, std::strerror(errno));
        return;
    }
    std::string text;
    std::string word;
    unsigned version = 0;
    std::int64_t taken = 0;
    std::getline(file, text);
    std::istringstream head(text);
    if (!(head >> word >> version >> taken) || word != "vxplane-fdb" || version != 1) {
        spdlog::error("persist: {}: not a snapshot of this version, nothing is restored", path_);
        return;
    }
    // A clock that was set back makes entries younger, not older.
    const std::chrono::seconds since{std::max<std::int64_t>(0, seconds_since_1970() - taken)};
    std::vector<Line> lines;
    std::uint64_t wrong = 0;
    std::optional<std::uint64_t> promised;
    while (std::getline(file, text)) {
        if (text.starts_with("end ")) {
            promised = std::strtoull(text.c_str() + 4, nullptr, 10);
            break;
        }
        if (auto line = Line::read(text)) {
            lines.push_back(*std::move(line));
        } else {
            ++wrong;
        }
    }
    if (!promised || *promised != lines.size() || wrong != 0) {
        spdlog::error("persist: {}: the snapshot is not whole, nothing is restored", path_);
        return;
    }
    for (const Line& line : lines) {
        ++(teach(line, since, now) ? counters_.restored : counters_.skipped);
    }
    spdlog::info("persist: {} entries of {} s ago restored, {} skipped", counters_.restored,
                 since.count(), counters_.skipped);
}

bool Persist::begin() {
    const std::string beside = path_ + ".new";
    // Left by a process that was killed, or a trap: in no case written through.
    ::unlink(beside.c_str());
    fd_ = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd_ < 0) {
        give_up(beside + ": " + std::strerror(errno));
        return false;
    }
    bucket_ = 0;
    lines_ = 0;
    buffer_ = "vxplane-fdb 1 " + std::to_string(seconds_since_1970()) + "\n";
    return true;
}

void Persist::step(std::uint32_t buckets, Time now) {
    bucket_ = bridge_.show_some(bucket_, buckets, now, [this](const FdbView& view) {
        const OpenPort* port = view.port ? machine_.by_id(*view.port) : nullptr;
        if (view.state != table::FdbState::dynamic || (port == nullptr && view.remotes.empty())) {
            return;
        }
        const SegmentSpec& segment = bridge_.segment(view.segment);
        const auto age = std::chrono::duration_cast<std::chrono::seconds>(
            view.age.value_or(std::chrono::milliseconds{0}));
        buffer_ +=
            segment.name + " " + std::to_string(segment.vni.number) + " " + text(view.mac) + " " +
            std::to_string(age.count()) + " " +
            (port == nullptr ? "dst " + text(view.remotes.front()) : "port " + port->port->name()) +
            "\n";
        ++lines_;
    });
}

void Persist::finish() {
    buffer_ += "end " + std::to_string(lines_) + "\n";
    if (!write_out()) {
        return;
    }
    ::close(fd_);
    fd_ = -1;
    if (std::rename((path_ + ".new").c_str(), path_.c_str()) != 0) {
        give_up(path_ + ": " + std::strerror(errno));
        return;
    }
    told_ = false;
    ++counters_.snapshots;
}

bool Persist::write_out() {
    std::size_t done = 0;
    while (done < buffer_.size()) {
        const ssize_t n = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            give_up(path_ + ".new: " + std::strerror(errno));
            return false;
        }
        done += static_cast<std::size_t>(n);
    }
    buffer_.clear();
    return true;
}

void Persist::give_up(const std::string& what) {
    if (!told_) {
        spdlog::error("persist: {}", what);
        told_ = true;
    }
    if (fd_ >= 0) {
        ::close(fd_);
        fd_ = -1;
        ::unlink((path_ + ".new").c_str());
    }
    buffer_.clear();
}

void Persist::turn(Time now) {
    if (fd_ < 0) {
        if (now < next_) {
            return;
        }
        next_ = now + interval_;
        if (!begin()) {
            return;
        }
    }
    step(kBucketsPerTurn, now);
    if (bucket_ >= bridge_.fdb().bucket_count()) {
        finish();
    } else if (buffer_.size() >= kBuffer) {
        write_out();
    }
}

void Persist::save(Time now) {
    if (fd_ >= 0) {
        ::close(fd_);
        fd_ = -1;
    }
    if (begin()) {
        step(bridge_.fdb().bucket_count(), now);
        finish();
    }
}

}  // namespace vxplane::control
