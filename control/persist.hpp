// What was learned, kept in a file over a restart or a crash: written bit by bit while the daemon
// runs, read when it starts.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "control/apply/bridge.hpp"
#include "control/machine.hpp"

namespace vxplane::control {

/// Control thread only. A file that cannot be written or read is told in the log and no more: what
/// was learned is learned again.
class Persist {
  public:
    using Time = Neighbours::Time;
    /// Entries that were not seen for longer are not kept apart by age.
    static constexpr std::chrono::hours kOldest{1};

    Persist(std::string path, std::chrono::seconds interval, Bridge& bridge,
            const Machine& machine);
    ~Persist();
    Persist(const Persist&) = delete;
    Persist& operator=(const Persist&) = delete;

    /// Teaches the bridge what the file knows and the topology still has. Segments must be there,
    /// loading not finished.
    void restore(Time now);
    /// Goes on with a snapshot, or begins one when it is time. At most about 2048 buckets of the
    /// forwarding database a call.
    void turn(Time now);
    /// A whole snapshot at once: for the end.
    void save(Time now);

    struct Counters {
        std::uint64_t restored = 0;
        std::uint64_t skipped = 0;  ///< segment, port or remote is no more, too old, or no room
        std::uint64_t snapshots = 0;
    };
    [[nodiscard]] const Counters& counters() const noexcept { return counters_; }

  private:
    bool begin();
    void step(std::uint32_t buckets, Time now);
    void finish();
    bool write_out();
    void give_up(const std::string& what);
    struct Line;
    [[nodiscard]] bool teach(const Line& line, std::chrono::seconds since, Time now);

    std::string path_;
    std::chrono::seconds interval_;
    Bridge& bridge_;
    const Machine& machine_;
    Counters counters_;
    int fd_ = -1;
    std::uint32_t bucket_ = 0;
    std::uint64_t lines_ = 0;
    std::string buffer_;
    Time next_{};
    bool told_ = false;  ///< of a failure; once until it works again
};

}  // namespace vxplane::control
