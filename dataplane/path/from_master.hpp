// The journey of a frame from the wire at the master of an ipvlan, tunnel packets for us aside: to
// the slave that has its address, or to the host.
#pragma once

#include "dataplane/path/path.hpp"
#include "dataplane/step/ahead_of_slaves.hpp"
#include "dataplane/step/select_slave.hpp"

namespace vxplane::path {

struct FromMasterName {
    static constexpr std::string_view text = "from_master";
    static constexpr PathId id = PathId::from_master;
};
struct SelectStage {
    static constexpr std::string_view text = "select";
};

struct FetchStage {
    static constexpr std::string_view text = "fetch";
};
struct GiveStage {
    static constexpr std::string_view text = "give";
};

/// As FromSlaveOf.
template <bool Hooked>
using FromMasterOf = Path<FromMasterName, Stage<FetchStage, step::AheadOfSlaves<Hooked>>,
                          Stage<SelectStage, step::FetchConnections<Hooked>, step::SelectSlave>,
                          Stage<GiveStage, step::GiveToSlave>>;
using FromMaster = FromMasterOf<true>;

}  // namespace vxplane::path
