// Workers are reached by the callbacks that ethdev keeps for each queue: without one, a burst costs
// the branch that ethdev has anyway.
#include "control/capture/capture.hpp"

#include <rte_malloc.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace vxplane::control::capture {

namespace {

/// Memory of one queue's ring, and copies it has place for at least.
constexpr std::uint32_t kRingBytes = 4U << 20;
constexpr std::uint32_t kFewestPlaces = 64;
constexpr std::uint32_t kMostPlaces = 8192;
/// No device carries more than this (Ethernet header, tag and the largest MTU).
constexpr std::uint32_t kLongestFrame = 9728;
/// Filters need this much, whatever is written: outer and inner headers with options.
constexpr std::uint32_t kForFilter = 256;
/// Copies that one turn takes from a queue.
constexpr unsigned kPerTurn = 256;

std::uint32_t places_for(std::uint32_t bytes) {
    std::uint32_t places = kFewestPlaces;
    while (places < kMostPlaces && std::uint64_t{places} * 2 * bytes <= kRingBytes) {
        places *= 2;
    }
    return places;
}

std::uint16_t on_receive(std::uint16_t /*port*/, std::uint16_t /*queue*/, rte_mbuf** frames,
                         std::uint16_t count, std::uint16_t /*room*/, void* ring) {
    static_cast<Ring*>(ring)->put(frames, count);
    return count;
}

std::uint16_t on_send(std::uint16_t /*port*/, std::uint16_t /*queue*/, rte_mbuf** frames,
                      std::uint16_t count, void* ring) {
    static_cast<Ring*>(ring)->put(frames, count);
    return count;
}

}  // namespace

struct Captures::Tap {
    Direction direction = Direction::received;
    std::uint16_t queue = 0;
    std::shared_ptr<Ring> ring;
    const rte_eth_rxtx_callback* hook = nullptr;
};

struct Captures::Capture {
    unsigned id = 0;
    Request request;
    File file;
    Filter filter;
    std::vector<Tap> taps;
    std::uint64_t written = 0;
    std::uint64_t filtered = 0;
    std::uint64_t lost = 0;  ///< of taps that are gone
    std::string ended;       ///< empty while it runs
};

Captures::Captures(Publisher& publisher)
    : publisher_(publisher),
      tsc_origin_(rte_rdtsc()),
      origin_(static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                             std::chrono::system_clock::now().time_since_epoch())
                                             .count())),
      nanoseconds_per_cycle_(1e9 / static_cast<double>(rte_get_tsc_hz())) {}

Captures::~Captures() {
    stop_all();
}

std::uint64_t Captures::nanoseconds(std::uint64_t tsc) const {
    return origin_ + static_cast<std::uint64_t>(static_cast<double>(tsc - tsc_origin_) *
                                                nanoseconds_per_cycle_);
}

std::optional<std::string> Captures::start(const Request& request, unsigned& id) {
    // Only the last that ended is of interest.
    std::erase_if(captures_, [](const auto& one) { return !one->ended.empty(); });
    if (captures_.size() >= kMost) {
        return "there are " + std::to_string(kMost) + " captures already";
    }
    for (const auto& other : captures_) {
        if (other->request.file == request.file) {
            return "file: capture " + std::to_string(other->id) + " writes it";
        }
    }
    auto capture = std::make_unique<Capture>();
    capture->request = request;
    if (auto problem = capture->filter.compile(request.filter)) {
        return problem;
    }
    if (auto problem =
            capture->file.open(request.file, request.force, request.port, request.snaplen)) {
        return problem;
    }
    id = capture->id = ++last_id_;
    for (std::uint16_t queue = 0; request.received && queue < request.rx_queues; ++queue) {
        listen(*capture, Direction::received, queue);
    }
    for (std::uint16_t queue = 0; request.sent && queue < request.tx_queues; ++queue) {
        listen(*capture, Direction::sent, queue);
    }
    const bool all = std::all_of(capture->taps.begin(), capture->taps.end(),
                                 [](const Tap& tap) { return tap.hook != nullptr; });
    captures_.push_back(std::move(capture));
    if (!all) {
        end(*captures_.back(), "a queue takes no listener");
        return "port " + request.port + ": a queue takes no listener";
    }
    spdlog::info("capture {}: port {} into {}", id, request.port, request.file);
    return std::nullopt;
}

void Captures::listen(Capture& capture, Direction direction, std::uint16_t queue) {
    const std::uint32_t bytes = std::clamp(capture.request.snaplen, kForFilter, kLongestFrame);
    Tap tap{direction, queue, std::make_shared<Ring>(bytes, places_for(bytes)), nullptr};
    const std::uint16_t port = capture.request.port_id;
    tap.hook = direction == Direction::received
                   ? rte_eth_add_rx_callback(port, queue, on_receive, tap.ring.get())
                   : rte_eth_add_tx_callback(port, queue, on_send, tap.ring.get());
    capture.taps.push_back(std::move(tap));
}

void Captures::end(Capture& capture, std::string why) {
    for (Tap& tap : capture.taps) {
        if (tap.hook == nullptr) {
            continue;
        }
        const std::uint16_t port = capture.request.port_id;
        const int gone = tap.direction == Direction::received
                             ? rte_eth_remove_rx_callback(port, tap.queue, tap.hook)
                             : rte_eth_remove_tx_callback(port, tap.queue, tap.hook);
        if (gone != 0) {
            spdlog::error("capture {}: queue {} keeps its listener", capture.id, tap.queue);
        }
        // A worker may be in the middle of it.
        publisher_.after_grace([ring = tap.ring, hook = tap.hook] {
            rte_free(const_cast<rte_eth_rxtx_callback*>(hook));
        });
        capture.lost += tap.ring->lost();
    }
    capture.taps.clear();
    if (const auto problem = capture.file.flush(); problem && why.empty()) {
        why = *problem;
    }
    capture.file.close();
    capture.ended = why.empty() ? "stopped" : std::move(why);
    spdlog::info("capture {}: {}; {} frames written, {} lost", capture.id, capture.ended,
                 capture.written, capture.lost);
}

bool Captures::stop(unsigned id) {
    const auto at = std::find_if(captures_.begin(), captures_.end(),
                                 [id](const auto& one) { return one->id == id; });
    if (at == captures_.end() || !(*at)->ended.empty()) {
        return false;
    }
    // What was copied until now belongs to it.
    for (Tap& tap : (*at)->taps) {
        for (std::uint32_t n = 0; n < kMostPlaces && take(**at, tap); ++n) {
        }
        if (!(*at)->ended.empty()) {
            return true;
        }
    }
    end(**at, {});
    return true;
}

void Captures::stop_all() {
    for (const auto& capture : captures_) {
        stop(capture->id);
    }
}

bool Captures::take(Capture& capture, Tap& tap) {
    const Copy* const copy = tap.ring->oldest();
    if (copy == nullptr) {
        return false;
    }
    const Request& request = capture.request;
    const std::span<const std::byte> bytes = Ring::bytes_of(*copy);
    bool fits = false;
    if (request.inner) {
        const auto inner = inner_frame(bytes, request.dstports);
        const auto outside = static_cast<std::uint32_t>(bytes.size() - inner.size());
        fits = !inner.empty() && capture.filter.fits(inner, copy->wire_bytes - outside);
    } else {
        fits = capture.filter.fits(bytes, copy->wire_bytes);
    }
    std::optional<std::string> over;
    if (fits) {
        capture.file.add(bytes.first(std::min<std::size_t>(bytes.size(), request.snaplen)),
                         copy->wire_bytes, nanoseconds(copy->tsc), tap.direction);
        ++capture.written;
        if (request.limit_frames != 0 && capture.written >= request.limit_frames) {
            over = "its number of frames is reached";
        } else if (request.limit_bytes != 0 && capture.file.bytes() >= request.limit_bytes) {
            over = request.rotate == 0 ? std::optional<std::string>("its size is reached")
                                       : capture.file.rotate(request.rotate);
        }
    } else {
        ++capture.filtered;
    }
    tap.ring->drop_oldest();
    if (over) {
        end(capture, *over);
        return false;
    }
    return true;
}

void Captures::turn() {
    for (const auto& capture : captures_) {
        for (std::size_t i = 0; i < capture->taps.size(); ++i) {
            for (unsigned n = 0; n < kPerTurn && take(*capture, capture->taps[i]); ++n) {
            }
        }
        if (!capture->ended.empty()) {
            continue;
        }
        if (const auto problem = capture->file.flush()) {
            end(*capture, *problem);
        }
    }
}

nlohmann::json Captures::list() const {
    nlohmann::json out = nlohmann::json::array();
    for (const auto& capture : captures_) {
        const Request& request = capture->request;
        std::uint64_t lost = capture->lost;
        for (const Tap& tap : capture->taps) {
            lost += tap.ring->lost();
        }
        out.push_back({{"id", capture->id},
                       {"port", request.port},
                       {"direction", request.received && request.sent ? "both"
                                     : request.received               ? "rx"
                                                                      : "tx"},
                       {"file", request.file},
                       {"filter", request.filter},
                       {"inner", request.inner},
                       {"state", capture->ended.empty() ? "running" : capture->ended},
                       {"frames", capture->written},
                       {"filtered", capture->filtered},
                       {"lost", lost},
                       {"bytes", capture->file.bytes()}});
    }
    return out;
}

}  // namespace vxplane::control::capture
