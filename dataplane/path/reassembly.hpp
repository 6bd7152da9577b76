// Tunnel packets that the underlay cut into fragments, put together again, for ports that ask for
// it (RFC 791 section 3.2, RFC 8200 section 4.5).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/path/exit.hpp"
#include "dataplane/table/fragment_table.hpp"

namespace vxplane::path {

/// Fragments that wait for the rest of their datagram. One per worker, which alone uses it; all
/// memory is taken when it is made. Fragments of datagrams that turn out to be no tunnel packets
/// go to the host as they came.
class Reassembly {
  public:
    /// Datagrams that wait; the oldest makes room for one more.
    static constexpr std::uint32_t kDatagrams = 1024;
    /// The most fragments that all of them may have, and the most buffers of those that are held.
    static constexpr std::uint32_t kPieces = 4096;
    /// Of one of them: the longest datagram takes 45 over Ethernet.
    static constexpr std::uint32_t kMostPieces = 64;
    /// Milliseconds that a datagram waits: ip_local.ipfrag_time of Linux.
    static constexpr std::uint32_t kPatience = 30'000;

    /// `buffers` that fragments may keep while they wait; at most kPieces. Throws std::bad_alloc.
    explicit Reassembly(std::uint32_t buffers);
    ~Reassembly();
    Reassembly(const Reassembly&) = delete;
    Reassembly& operator=(const Reassembly&) = delete;

    /// A fragment of a UDP datagram for us, whose IP header is right and all there.
    void take(packet::Packet p, packet::PacketMeta& meta, step::Context& ctx, Exit& exit) noexcept;
    /// Gives up what has waited too long.
    void expire(step::Context& ctx, Exit& exit) noexcept {
        while (oldest_ != kNone && is_over(datagrams_[oldest_], ctx.now)) {
            give_up(oldest_, packet::DropReason::outer_fragment_lost, ctx, exit);
        }
    }

    /// Datagrams that became whole since clear(), as frames of the port that their last fragment
    /// came by; at most one for each fragment taken. Whose they are then is the caller's business.
    [[nodiscard]] std::span<rte_mbuf*> whole() noexcept { return {whole_.data(), whole_count_}; }
    void clear() noexcept { whole_count_ = 0; }
    /// Fragments.
    [[nodiscard]] std::uint32_t held() const noexcept { return held_; }

  private:
    using Index = std::uint16_t;
    static constexpr Index kNone = 0xFFFF;
    static constexpr std::uint32_t kIp = sizeof(net::EthernetHeader);
    /// What the length field of either IP header can say: in IPv4 its header counts.
    static constexpr std::uint32_t kLongest = 0xFFFF;
    static constexpr std::uint32_t kFragmentHeader6 = 8;  ///< RFC 8200 section 4.5

    struct Piece {
        rte_mbuf* mbuf = nullptr;  ///< none of a foreign datagram: it is at the host
        std::uint16_t from = 0;    ///< offset in the payload of the datagram
        std::uint16_t size = 0;    ///< bytes of payload
        std::uint16_t header = 0;  ///< bytes in front of it
        Index next = kNone;        ///< by `from`; of free ones, the next free one
    };
    struct Datagram {
        table::FragmentKey key;
        std::uint32_t began = 0;  ///< milliseconds of the shared clock
        std::uint32_t have = 0;   ///< bytes of payload
        std::uint32_t total = 0;  ///< bytes of payload; 0: the last fragment is missing
        Index first = kNone;      ///< of its pieces
        Index pieces = 0;
        Index next = kNone;  ///< of the same bucket; of free ones, the next free one
        Index older = kNone;
        Index newer = kNone;
        std::uint8_t ecn = 0;  ///< a bit for each field seen
        bool foreign = false;  ///< no tunnel packet: its fragments go to the host
    };
    struct Fragment;

    static bool is_over(const Datagram& datagram, std::uint32_t now) noexcept {
        return static_cast<std::int32_t>(now - datagram.began - kPatience) >= 0;
    }
    static bool read(const packet::Packet& p, Fragment& out) noexcept;
    static bool is_possible(const Fragment& fragment) noexcept;
    [[nodiscard]] bool is_tunnel(const packet::Packet& p, const Fragment& fragment,
                                 const table::Tables& tables) const noexcept;
    [[nodiscard]] Index* bucket_of(const table::FragmentKey& key) noexcept;
    [[nodiscard]] Index find(const table::FragmentKey& key) noexcept;
    Index begin(const table::FragmentKey& key, step::Context& ctx, Exit& exit) noexcept;
    /// How a fragment goes with those that are there.
    enum class Fit : std::uint8_t { fits, twice, overlaps, full };
    /// `mbuf`: none to remember only what has passed.
    Fit put(Index at, rte_mbuf* mbuf, const Fragment& fragment, step::Context& ctx,
            Exit& exit) noexcept;
    /// Gives up others, the oldest first, until one more piece of `buffers` has room.
    bool make_room(Index at, std::uint32_t buffers, step::Context& ctx, Exit& exit) noexcept;
    /// Its datagram turned out to be no tunnel packet.
    void release_to_host(Index at, step::Context& ctx, Exit& exit) noexcept;
    void pass_to_host(Index at, packet::Packet p, packet::PacketMeta& meta,
                      const Fragment& fragment, step::Context& ctx, Exit& exit) noexcept;
    void join(Index at, std::uint16_t port, step::Context& ctx, Exit& exit) noexcept;
    void give_up(Index at, packet::DropReason reason, step::Context& ctx, Exit& exit) noexcept;
    /// The buffer of one of them, if it is still there.
    rte_mbuf* take_piece(Datagram& datagram) noexcept;
    rte_mbuf* take_buffer(Piece& piece) noexcept;
    void forget(Index at) noexcept;
    void end(Index at) noexcept;

    std::unique_ptr<Datagram[]> datagrams_;
    std::unique_ptr<Piece[]> pieces_;
    std::unique_ptr<Index[]> buckets_;
    std::uint64_t seed_;
    Index free_datagram_ = 0;
    Index free_piece_ = 0;
    Index oldest_ = kNone;
    Index newest_ = kNone;
    std::uint32_t most_buffers_;
    std::uint32_t buffers_ = 0;
    std::uint32_t held_ = 0;
    std::uint16_t whole_count_ = 0;
    std::array<rte_mbuf*, packet::kBurstSize> whole_{};
};

}  // namespace vxplane::path
