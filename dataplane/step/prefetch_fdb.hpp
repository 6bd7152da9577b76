// Asks memory for the FDB lines of a frame. The stage border behind this step gives the lines the
// time to arrive.
#pragma once

#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

template <packet::Side kFrom>
class PrefetchFdb {
  public:
    PrefetchFdb(const Context& ctx, std::uint16_t in_port) noexcept
        : fdb_(ctx.tables->fdb->reader()),
          segments_(ctx.tables->segments.data()),
          port_learns_(ctx.tables->ports[in_port].learning) {}

    packet::Verdict operator()(packet::Packet& /*p*/, packet::PacketMeta& meta,
                               Context& /*ctx*/) const noexcept {
        meta.destination_bucket = fdb_.bucket_of(table::FdbKey{meta.destination_key});
        fdb_.prefetch(meta.destination_bucket);
        const bool learns = kFrom == packet::Side::tunnel ? segments_[meta.segment].learning  //
                                                          : port_learns_;
        if (learns) {
            meta.source_bucket = fdb_.bucket_of(table::FdbKey{meta.source_key});
            fdb_.prefetch(meta.source_bucket);
        }
        return packet::Verdict::go_on();
    }

  private:
    table::FdbReader fdb_;
    const table::Segment* segments_;
    bool port_learns_;
};

}  // namespace vxplane::step
