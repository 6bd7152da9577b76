// Most datagrams of slaves leave at once (step/leave_at_once.hpp). What comes of them has to be
// what comes of them step by step, frame for frame and counter for counter.
#include <gtest/gtest.h>

#include <random>

#include "tests/support/slave_scene.hpp"

namespace vxplane::support {
namespace at_once {
namespace {

using table::NextHop;
using table::NextHopKind;
using table::RouteType;
using table::RouteValue;

struct Outcome {
    std::vector<std::pair<PortId, Bytes>> sent{};
    std::vector<std::pair<Punt, Bytes>> punted{};
    Counts moved{};
};

struct Way {
    IpvlanMode mode = IpvlanMode::l3;
    IpvlanFlag flag = IpvlanFlag::bridge;
    bool counts_hops = true;
    bool checks_source = false;
    bool tracks = false;
    Memory memory = Memory::pool;
};

/// Routes of every kind. Red has a table of its own, that of blue is empty, far has none.
class Course {
  public:
    /// A loose check of the way back, which every source here passes, sends all step by step.
    Course(const Way& way, bool step_by_step)
        : scene_(way.mode, way.flag), few_ports_(way.tracks), memory_(way.memory) {
        Slaves& s = scene_;
        s.master().decrement_ttl = way.counts_hops;
        s.slaves[0].routes = 2;
        s.slaves[1].routes = 3;
        if (way.tracks) {
            s.track();
        }
        s.lab.complete = [this](table::Tables& t) {
            scene_.complete(t);
            t.route_tables = table::Shared{std::vector<const table::RouteTable*>{
                &scene_.empty, &scene_.main, &scene_.own_table, &no_routes_}};
        };
        for (table::Slave& slave : s.slaves) {
            slave.check_source = way.checks_source;
            slave.urpf = step_by_step ? table::UrpfMode::loose : table::UrpfMode::off;
        }
        PortWords words;
        words.mac = mac("02:00:00:00:00:20");
        other_ = s.lab.underlay("other", words);

        const RouteValue small = by_gateway(s.up, 60, s.neighbour("10.1.0.98", kGateway));
        const RouteValue unresolved = by_gateway(s.up, 1514, s.neighbour("10.1.0.97", {}, false));
        const RouteValue elsewhere = by_gateway(other_, 1514, s.neighbour("10.1.0.96", kPeer));
        const RouteValue sibling = to(NextHopKind::slave, 1);
        const RouteValue leak = to(NextHopKind::table, 1);
        const RouteValue none = to(NextHopKind::none, 0);
        s.slots = {s.by_gateway, s.on_link};
        const RouteValue group = to(NextHopKind::group, 0);
        for (table::RouteTable* routes : {&s.main, &s.own_table}) {
            unsigned number = 0;
            for (const RouteValue value :
                 {small, unresolved, elsewhere, sibling, leak, none, group, into_segment(),
                  RouteValue(RouteType::blackhole, 0), RouteValue(RouteType::unreachable, 0),
                  RouteValue(RouteType::prohibit, 0), RouteValue(RouteType::throw_, 0),
                  RouteValue(RouteType::local, 0)}) {
                const std::string prefix = "100." + std::to_string(64 + number++) + ".0.0";
                // A leak from the table that it leads to would never end.
                if (value.raw() != leak.raw() || routes != &s.main) {
                    Slaves::route(*routes, prefix.c_str(), 16, value);
                }
            }
        }
        Slaves::route(s.own_table, "100.90.0.0", 16, {RouteType::unicast, s.by_gateway});
        // Though there is a way, nobody has it.
        Slaves::route(s.main, "10.1.0.255", 32, {RouteType::unicast, s.by_gateway});
    }

    Outcome run() {
        Outcome out;
        for (unsigned round = 0; round < 600; ++round) {
            const std::size_t slave = pick(3);
            const PortId from = std::array{scene_.red, scene_.blue, scene_.far}[slave];
            std::vector<Bytes> burst;
            for (std::size_t left = 1 + pick(24); left != 0; --left) {
                burst.push_back(a_frame_of(std::array{"10.1.0.1", "10.1.0.2", "10.2.0.3"}[slave]));
            }
            const Seen seen = scene_.lab.receive(from, burst, memory_);
            EXPECT_EQ(seen.broken_law, "");
            for (const SentFrame& frame : seen.sent) {
                out.sent.emplace_back(frame.port, frame.bytes);
            }
            for (const auto& punted : seen.punted) {
                out.punted.emplace_back(punted.why, punted.bytes);
            }
            for (const auto& [name, by] : seen.moved) {
                out.moved[name] += by;
            }
        }
        return out;
    }

  private:
    RouteValue to(const NextHop& next) { return {RouteType::unicast, scene_.hop(next)}; }
    RouteValue to(NextHopKind kind, std::uint32_t index) {
        NextHop next;
        next.kind = kind;
        next.index = index;
        next.count = kind == NextHopKind::group ? 2 : 0;
        next.max_frame = 1514;
        return to(next);
    }
    RouteValue by_gateway(PortId port, std::uint16_t max_frame, std::uint32_t neighbour) {
        NextHop next;
        next.kind = NextHopKind::gateway;
        next.port = port;
        next.max_frame = max_frame;
        next.neighbour = neighbour;
        return to(next);
    }

    RouteValue into_segment() {
        const SegmentId pods = scene_.lab.segment("pods");
        table::TunnelSpec spec;
        spec.local = ip(kHost);
        spec.remote = ip("10.1.0.100");
        spec.out_port = scene_.up;
        spec.source_mac = kMaster;
        spec.next_hop = kPeer;
        NextHop next;
        next.kind = NextHopKind::vxlan;
        next.segment = pods;
        next.index = scene_.lab.tunnel(spec);
        next.max_frame = 1464;
        next.inner_destination = mac("02:ee:00:00:00:99");
        next.inner_source = mac("02:ee:00:00:00:07");
        return to(next);
    }

    std::size_t pick(std::size_t below) { return random_() % below; }
    /// One of them; the first one more often than not.
    template <class T>
    T mostly(std::initializer_list<T> list) {
        return *(list.begin() + (pick(8) != 0 ? 0 : pick(list.size())));
    }

    Bytes a_frame_of(const char* own) {
        Ip4 ip;
        ip.source =
            mostly<const char*>({own, "0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1",
                                 "255.255.255.255", "1.2.3.4", "223.255.255.1", "240.0.0.1"});
        ip.destination =
            pick(3) == 0
                ? "100." + std::to_string(64 + pick(28)) + ".0.9"
                : std::array<const char*, 13>{
                      "198.51.100.7", "10.1.0.100", "10.1.0.101", "10.1.0.1",  "10.1.0.2",
                      "10.2.0.3",     kHost,        "10.1.0.255", "224.0.0.5", "255.255.255.255",
                      "127.0.0.9",    "0.0.0.0",    "241.0.0.1"}[pick(13)];
        ip.tos = static_cast<std::uint8_t>(pick(256));
        ip.ttl = mostly<std::uint8_t>({64, 0, 1, 2, 255});
        ip.id = static_cast<std::uint16_t>(random_());
        ip.fragment = mostly<std::uint16_t>({0, 0x4000, 0x2000, 0x0003});
        ip.protocol = mostly<std::uint8_t>({17, 6, 1, 47, 132});
        if (pick(16) == 0) {
            ip.options = Bytes(4, std::uint8_t{1});
        }
        if (pick(24) == 0) {
            ip.version_ihl = static_cast<std::uint8_t>(random_());
        }
        if (pick(24) == 0) {
            ip.checksum = static_cast<std::uint16_t>(random_());
        }
        if (pick(24) == 0) {
            ip.total_length = static_cast<std::uint16_t>(pick(100));
        }
        Frame frame = a_frame().to(pick(16) == 0 ? kBroadcast : kMaster).from(kMaster).ipv4(ip);
        if (pick(32) != 0) {
            frame.udp(static_cast<std::uint16_t>(few_ports_ ? 4000 + pick(2) : random_()), 53);
        }
        frame.payload(mostly<std::size_t>({18, 0, 1, 400, 1472}));
        if (pick(12) == 0) {
            frame.padded(pick(2) == 0 ? 60 : 90);
        }
        if (pick(24) == 0) {
            frame.vlan(5);
        }
        Bytes bytes = frame.bytes();
        if (pick(24) == 0) {
            bytes.resize(bytes.size() - pick(bytes.size() - 14));
        }
        if (pick(24) == 0) {
            bytes[pick(std::min<std::size_t>(bytes.size(), 34))] =
                static_cast<std::uint8_t>(random_());
        }
        return bytes;
    }

    Slaves scene_;
    table::RouteTable no_routes_{16};
    bool few_ports_;
    Memory memory_;
    PortId other_ = 0;
    std::mt19937 random_{11};
};

void compare(const Way& way) {
    const Outcome steps = Course(way, true).run();
    const Outcome once = Course(way, false).run();
    EXPECT_GT(steps.sent.size(), 1000U);
    EXPECT_GT(steps.punted.size(), 100U);
    EXPECT_EQ(steps.moved, once.moved);
    EXPECT_EQ(steps.punted, once.punted);
    ASSERT_EQ(steps.sent.size(), once.sent.size());
    for (std::size_t i = 0; i < steps.sent.size(); ++i) {
        ASSERT_EQ(steps.sent[i], once.sent[i]) << "frame " << i;
    }
}

TEST(AtOnce, is_step_by_step_in_mode_l3) {
    compare({});
}
TEST(AtOnce, is_step_by_step_where_the_master_counts_no_hop) {
    compare({.counts_hops = false});
}
TEST(AtOnce, is_step_by_step_in_mode_l3s) {
    compare({.mode = IpvlanMode::l3s});
}
TEST(AtOnce, is_step_by_step_where_siblings_are_private) {
    compare({.flag = IpvlanFlag::private_});
}
TEST(AtOnce, is_step_by_step_where_siblings_are_behind_the_wire) {
    compare({.flag = IpvlanFlag::vepa});
}
TEST(AtOnce, is_step_by_step_where_sources_are_checked) {
    compare({.checks_source = true});
}
TEST(AtOnce, is_step_by_step_with_connections) {
    compare({.tracks = true});
    compare({.mode = IpvlanMode::l3s, .counts_hops = false, .tracks = true});
}
TEST(AtOnce, is_step_by_step_for_frames_in_two_buffers) {
    compare({.memory = Memory::split});
    compare({.tracks = true, .memory = Memory::split});
}

}  // namespace
}  // namespace at_once
}  // namespace vxplane::support
