// Bursts of TCP segments, changed at random, through merging and cutting: what comes out is what
// went in, frame by frame, but for the ids of IPv4.
#include <algorithm>

#include "tests/support/merge_bench.hpp"

namespace {

using namespace vxplane::support;

/// The input, byte by byte; zeros behind its end.
class Dice {
  public:
    Dice(const std::uint8_t* data, std::size_t size) : data_{data}, size_{size} {}
    std::uint8_t next() {
        if (size_ == 0) return 0;
        --size_;
        return *data_++;
    }
    [[nodiscard]] bool empty() const { return size_ == 0; }

  private:
    const std::uint8_t* data_;
    std::size_t size_;
};

std::vector<Bytes> burst(Dice& dice, const StreamWords& words) {
    std::vector<Bytes> frames;
    std::uint32_t sequence = 1;
    while (!dice.empty() && frames.size() < vxplane::step::TcpMerger::kRoom) {
        const std::uint8_t what = dice.next();
        Tcp tcp;
        tcp.sequence = sequence;
        tcp.options = Bytes((what & 1U) * 4U, 1);
        if ((what & 0x0EU) == 0x0E) tcp.flags = dice.next();
        if ((what & 0x30U) == 0x30) tcp.sequence += dice.next();
        if ((what & 0xC0U) == 0xC0) tcp.window = dice.next();
        const std::size_t size = (what & 0xC0U) == 0x80 ? dice.next() : 200;
        Bytes frame =
            segment(words, static_cast<unsigned>(frames.size()), tcp, stream_bytes(sequence, size));
        if (what == 0xFF) frame[dice.next() % frame.size()] ^= dice.next();
        sequence = tcp.sequence + static_cast<std::uint32_t>(size);
        frames.push_back(std::move(frame));
    }
    return frames;
}

/// Ids and what depends on them, wherever such a field would stand.
std::vector<Bytes> sorted(std::vector<Bytes> frames, const StreamWords& words) {
    for (Bytes& frame : frames) frame = without_ids(std::move(frame), words);
    std::ranges::sort(frames);
    return frames;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    Dice dice(data, std::min<std::size_t>(size, 1000));
    const auto shapes = all_shapes();
    StreamWords words = shapes[dice.next() % shapes.size()];
    words.outer_checksum = (dice.next() & 1U) != 0;
    const auto frames = burst(dice, words);
    if (frames.empty()) return 0;
    MergeBench bench;
    MergeBench::require(sorted(bench.merge_and_cut(frames), words) == sorted(frames, words),
                        "not the frames that came");
    return 0;
}
