// Asks memory for the FDB lines of a frame. The stage border behind this step gives the lines the
// time to arrive.
#pragma once

#include "dataplane/packet/verdict.hpp"
#include "dataplane/step/context.hpp"

namespace vxplane::step {

struct PrefetchFdb {
    packet::Verdict operator()(packet::Packet& /*p*/, packet::PacketMeta& meta,
                               Context& ctx) const noexcept {
        const table::Fdb& fdb = *ctx.tables->fdb;
        meta.destination_bucket = fdb.bucket_of(table::FdbKey{meta.destination_key});
        fdb.prefetch(meta.destination_bucket);
        const bool learns = meta.from_tunnel ? ctx.tables->segments[meta.segment].learning
                                             : ctx.tables->ports[meta.in_port].learning;
        if (learns) {
            meta.source_bucket = fdb.bucket_of(table::FdbKey{meta.source_key});
            fdb.prefetch(meta.source_bucket);
        }
        return packet::Verdict::go_on();
    }
};

}  // namespace vxplane::step
