// The merge stage and the cutting of large packets with nothing around them but buffers. What may
// never happen ends the process, so that fuzz targets can stand on it too.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "dataplane/path/segment.hpp"
#include "dataplane/step/merge_tcp.hpp"
#include "tests/support/environment.hpp"
#include "tests/support/stream.hpp"

namespace vxplane::support {

inline Bytes bytes_of_chain(const rte_mbuf* mbuf) {
    Bytes bytes;
    for (; mbuf != nullptr; mbuf = mbuf->next) {
        const auto* data = rte_pktmbuf_mtod(mbuf, const std::uint8_t*);
        bytes.insert(bytes.end(), data, data + mbuf->data_len);
    }
    return bytes;
}

/// One underlay port with VXLAN on port 4789. Buffers that a test does not give back fail it.
class MergeBench {
  public:
    struct Out {
        Bytes bytes;
        std::uint16_t segment = 0;  ///< 0: not large
        std::uint16_t buffers = 0;
    };
    struct Result {
        std::vector<Out> frames;
        step::MergeTally tally;
    };

    explicit MergeBench(std::uint16_t mtu = 1600) : worker_pools{pools(), 0} {
        entry.role = table::PortRole::underlay;
        entry.max_frame = static_cast<std::uint16_t>(mtu + 14);
        level_ = pools().in_use();
    }
    ~MergeBench() { require(pools().in_use() == level_, "buffers were lost"); }
    MergeBench(const MergeBench&) = delete;
    MergeBench& operator=(const MergeBench&) = delete;

    static void require(bool truth, const char* text) {
        if (truth) return;
        std::fprintf(stderr, "merge bench: %s\n", text);
        std::abort();
    }

    /// Frames in packet buffers, as received. `exact`: behind the frame lies somebody else's
    /// memory, as far as the sanitizer can tell.
    std::vector<rte_mbuf*> buffers(const std::vector<Bytes>& frames, bool exact = false) {
        std::vector<rte_mbuf*> made;
        for (const Bytes& frame : frames) {
            rte_mbuf* first = nullptr;
            rte_mbuf* last = nullptr;
            for (std::size_t at = 0; at < frame.size();) {
                rte_mbuf* one = rte_pktmbuf_alloc(pools().of(0).packets);
                if (one == nullptr) throw std::bad_alloc();
                if (exact)
                    one->data_off = static_cast<std::uint16_t>(
                        one->buf_len - std::min<std::size_t>(frame.size(), one->buf_len));
                const std::size_t here =
                    std::min<std::size_t>(frame.size() - at, rte_pktmbuf_tailroom(one));
                std::memcpy(rte_pktmbuf_append(one, static_cast<std::uint16_t>(here)),
                            frame.data() + at, here);
                at += here;
                if (first == nullptr) {
                    first = one;
                } else {
                    last->next = one;
                    ++first->nb_segs;
                    first->pkt_len += one->data_len;
                }
                last = one;
            }
            first->ol_flags |= rx_flags;
            made.push_back(first);
        }
        return made;
    }

    std::vector<rte_mbuf*> merge(std::vector<rte_mbuf*> mbufs, step::MergeTally& tally) {
        table::Tables tables;
        tables.ports = table::Shared{std::vector<table::PortEntry>{entry}};
        tables.dstports = std::make_shared<const table::FlatMap>(
            std::vector<std::pair<std::uint64_t, std::uint32_t>>{{4789, 0}});
        mbufs.resize(merger.run(mbufs.data(), static_cast<std::uint16_t>(mbufs.size()), tables, 0,
                                worker_pools, tally));
        return mbufs;
    }

    Result run(const std::vector<Bytes>& frames, bool exact = false) {
        Result result;
        for (rte_mbuf* mbuf : merge(buffers(frames, exact), result.tally)) {
            const bool large = (mbuf->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0;
            require(mbuf->pkt_len == bytes_of_chain(mbuf).size(), "a chain of another length");
            result.frames.push_back({bytes_of_chain(mbuf),
                                     static_cast<std::uint16_t>(large ? mbuf->tso_segsz : 0),
                                     mbuf->nb_segs});
            rte_pktmbuf_free(mbuf);
        }
        return result;
    }

    /// What a large packet is cut into.
    std::vector<Bytes> cut(rte_mbuf* large) {
        std::vector<Bytes> frames;
        path::Segmenter segmenter(large, worker_pools);
        while (rte_mbuf* frame = segmenter.next()) {
            require(frame->pkt_len == bytes_of_chain(frame).size(), "a chain of another length");
            require((frame->ol_flags & RTE_MBUF_F_TX_TCP_SEG) == 0, "cut, and still large");
            frames.push_back(bytes_of_chain(frame));
            rte_pktmbuf_free(frame);
        }
        require(segmenter.left() == 0, "not all was cut");
        return frames;
    }

    std::vector<Bytes> merge_and_cut(const std::vector<Bytes>& frames) {
        std::vector<Bytes> out;
        step::MergeTally tally;
        for (rte_mbuf* mbuf : merge(buffers(frames), tally)) {
            if ((mbuf->ol_flags & RTE_MBUF_F_TX_TCP_SEG) == 0) {
                out.push_back(bytes_of_chain(mbuf));
                rte_pktmbuf_free(mbuf);
                continue;
            }
            const auto pieces = cut(mbuf);
            out.insert(out.end(), pieces.begin(), pieces.end());
        }
        return out;
    }

    table::PortEntry entry;
    std::uint64_t rx_flags = 0;
    port::WorkerPools worker_pools;
    step::TcpMerger merger;

  private:
    std::uint64_t level_ = 0;
};

}  // namespace vxplane::support
