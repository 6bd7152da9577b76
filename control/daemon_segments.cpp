// What segments tell besides their traffic: neighbours that were heard, and addresses that nobody
// knows.
#include "control/apply/words.hpp"
#include "control/daemon.hpp"

namespace vxplane::control {

namespace {

net::MacAddress destination_of(std::span<const std::byte> frame) {
    return frame.size() < sizeof(net::EthernetHeader)
               ? net::MacAddress{}
               : net::load<net::EthernetHeader>(frame.data()).destination;
}

}  // namespace

void Daemon::tick_groups(Neighbours::Time now) {
    const auto send = [this](std::uint16_t port, std::span<const std::byte> frame) {
        punts_->send_frame(port, frame);
    };
    underlay_groups_->tick(now, send);
    segment_groups_->tick(now, send);
}

void Daemon::start_segment_events() {
    segment_neighbours_->on_news(
        [this](SegmentNeighbours::What what, const SegmentNeighbours::View& view) {
            if (!server_.has_subscriber("segment-neigh")) {
                return;
            }
            const SegmentSpec& segment = bridge_->segment(view.segment);
            server_.publish("segment-neigh", {{"what", name(what)},
                                              {"address", text(view.address)},
                                              {"lladdr", text(view.mac)},
                                              {"segment", segment.name},
                                              {"vni", segment.vni.number}});
        });
    punts_->on_heard([this](const path::PuntItem& item, std::span<const std::byte> frame) {
        const auto now = Neighbours::Clock::now();
        if (item.why == packet::Punt::neighbour) {
            segment_neighbours_->hear(item.segment, frame, now);
            return;
        }
        if (item.why == packet::Punt::group_query) {
            underlay_groups_->hear(item.in_port, frame, now);
            return;
        }
        if (item.why == packet::Punt::listeners) {
            segment_groups_->hear(item.segment, item.in_port, item.from_tunnel, frame, now);
            return;
        }
        if (item.segment >= bridge_->segment_count() || !bridge_->is_used(item.segment)) {
            return;
        }
        const SegmentSpec& segment = bridge_->segment(item.segment);
        const OpenPort* port = machine_.by_id(item.in_port);
        rpc::Json event{{"segment", segment.name},
                        {"vni", segment.vni.number},
                        {"port", port == nullptr ? "?" : port->port->name()}};
        if (item.why == packet::Punt::l2_miss) {
            const net::MacAddress mac = destination_of(frame);
            if (!misses_.may_tell(item.segment, mac.number(), 0, now)) {
                return;
            }
            event["what"] = "l2miss";
            event["lladdr"] = text(mac);
        } else {
            const auto wanted = wanted_in(frame);
            if (!wanted || !misses_.may_tell(item.segment, wanted->low(), wanted->high(), now)) {
                return;
            }
            event["what"] = "l3miss";
            event["address"] = text(*wanted);
        }
        if (server_.has_subscriber("miss")) {
            server_.publish("miss", event);
        }
    });
}

}  // namespace vxplane::control
