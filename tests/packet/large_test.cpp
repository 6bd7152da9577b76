// Large packets on their way through a worker: merged where they arrive, judged by the frames that
// they stand for, encapsulated once, and cut or handed on at the exit.
#include <gtest/gtest.h>

#include <numeric>

#include "tests/support/nic.hpp"
#include "tests/support/scene.hpp"
#include "tests/support/stream.hpp"

namespace vxplane::support {
namespace {

/// A stream from vm1 to host 12, behind the remote 10.0.0.2.
StreamWords from_vm1(bool inner6 = false) {
    StreamWords words;
    words.inner6 = inner6;
    words.from = host(1);
    words.to = host(12);
    return words;
}
/// A stream from host 12 to vm1 in its tunnel.
StreamWords from_host12(bool inner6 = false, bool outer_checksum = false) {
    return {.tunnel = true, .inner6 = inner6, .outer_checksum = outer_checksum};
}
StreamWords inside(StreamWords words) {
    words.tunnel = false;
    return words;
}
SceneWords merging() {
    SceneWords words;
    words.underlay.gro = true;
    words.access.gro = true;
    return words;
}
std::vector<Bytes> clean(std::vector<Bytes> frames, const StreamWords& words) {
    for (Bytes& frame : frames) frame = without_ids(std::move(frame), words);
    return frames;
}

TEST(Large, RP21_a_guest_that_takes_them_gets_one_packet_for_a_burst) {
    for (const bool inner6 : {false, true}) {
        SceneWords words = merging();
        words.access.tso.plain = true;
        Scene s(words);
        const StreamWords flow = from_host12(inner6, true);
        const Seen seen = s.lab.receive(s.up, stream(flow, 13'800, 1380));
        EXPECT_EQ(seen.broken_law, "");
        ASSERT_EQ(seen.sent_by(s.vm1).size(), 1U);
        Tcp tcp;
        tcp.flags = 0x18;
        // Checksums are begun only: whoever cuts ends them.
        const auto without_checksum = [&](Bytes frame) {
            const std::size_t at = 14U + (inner6 ? 40U : 20U) + 16U;
            frame.at(at) = frame.at(at + 1) = 0;
            if (!inner6) frame.at(24) = frame.at(25) = 0;
            return hex(frame);
        };
        EXPECT_EQ(without_checksum(seen.sent_by(s.vm1)[0]),
                  without_checksum(segment(inside(flow), 0, tcp, stream_bytes(0, 13'800))));
        Counts moved = seen.moved;
        EXPECT_EQ(moved["received"], 10U);
        EXPECT_EQ(moved["merged"], 9U);
        EXPECT_EQ(moved["sent"], 1U);
        EXPECT_EQ(moved["port.up.rx_packets"], 10U);
        EXPECT_EQ(moved["port.up.merged"], 9U);
        EXPECT_EQ(moved["port.up.large"], 1U);
        EXPECT_EQ(moved["port.up.end.complete"], 1U);
        EXPECT_EQ(moved["port.vm1.passed"], 1U);
        std::uint64_t bytes = 0;
        for (const Bytes& frame : stream(flow, 13'800, 1380)) bytes += frame.size();
        EXPECT_EQ(moved["port.up.rx_bytes"], bytes) << "as they came on the wire";
    }
}

TEST(Large, RP31_a_port_without_TSO_gets_the_frames_that_came) {
    for (const bool inner6 : {false, true}) {
        Scene s(merging());
        const StreamWords flow = from_host12(inner6);
        const auto frames = stream(flow, 13'799, 1380);
        const Seen seen = s.lab.receive(s.up, frames);
        EXPECT_EQ(seen.broken_law, "");
        const auto got = seen.sent_by(s.vm1);
        EXPECT_EQ(clean(got, inside(flow)),
                  clean(stream(inside(flow), 13'799, 1380), inside(flow)));
        Counts moved = seen.moved;
        EXPECT_EQ(moved["merged"], 9U);
        EXPECT_EQ(moved["cut_frames"], 9U);
        EXPECT_EQ(moved["sent"], 10U);
        EXPECT_EQ(moved["port.vm1.cut"], 1U);
    }
}

TEST(Large, VX20_RP31_encapsulated_once_and_cut_to_the_underlay) {
    for (const bool checksum : {false, true}) {
        for (const bool inner6 : {false, true}) {
            SceneWords words = merging();
            words.tunnel.udp_checksum = checksum;
            Scene s(words);
            const StreamWords flow = from_vm1(inner6);
            const std::size_t each = 1450 - (inner6 ? 60 : 40);
            const auto frames = stream(flow, 40 * each, each);
            const Seen seen = s.lab.receive(s.vm1, frames);
            EXPECT_EQ(seen.broken_law, "");
            const auto got = seen.sent_by(s.up);
            ASSERT_EQ(got.size(), 40U);
            std::uint16_t id = 0;
            for (std::size_t i = 0; i < got.size(); ++i) {
                const Outer outer = take_apart(got[i]);
                ASSERT_TRUE(outer.whole && outer.ip_checksum_right && outer.udp_checksum_right);
                EXPECT_LE(got[i].size(), 1514U);
                EXPECT_EQ(outer.udp_checksum != 0, checksum);
                EXPECT_EQ(outer.total_length + 14U, got[i].size());
                EXPECT_EQ(outer.udp_length + 34U, got[i].size());
                if (i != 0) {
                    EXPECT_EQ(outer.id, static_cast<std::uint16_t>(id + 1));
                }
                id = outer.id;
                EXPECT_EQ(hex(without_ids(outer.inner, flow)), hex(without_ids(frames[i], flow)));
            }
            EXPECT_EQ(seen.moved.at("port.up.cut"), 1U);
            // The next packet goes on where the pieces ended.
            const auto next = s.lab.receive(s.vm1, small(host(12))).sent_by(s.up);
            ASSERT_EQ(next.size(), 1U);
            EXPECT_GE(static_cast<std::uint16_t>(take_apart(next[0]).id - id), 1U);
        }
    }
}

TEST(Large, VX20_RP31_over_ipv6_encapsulated_once_and_cut_to_the_underlay) {
    for (const bool checksum : {false, true}) {
        for (const bool inner6 : {false, true}) {
            SceneWords words = merging();
            words.red.ipv6 = true;
            words.red.mtu = 1430;
            Scene s(words);
            s.lab.own(address("2001:db8::1"), s.up);
            table::TunnelSpec spec = s.spec(2);
            spec.local = address("2001:db8::1");
            spec.remote = address("2001:db8::2");
            spec.udp_checksum = checksum;
            s.lab.fdb(s.red, host(12), FdbKind::tunnel, s.lab.tunnel(spec), FdbState::dynamic);
            const StreamWords flow = from_vm1(inner6);
            const std::size_t each = 1430 - (inner6 ? 60 : 40);
            const auto frames = stream(flow, 39 * each + 7, each);
            const Seen seen = s.lab.receive(s.vm1, frames);
            EXPECT_EQ(seen.broken_law, "");
            const auto got = seen.sent_by(s.up);
            ASSERT_EQ(got.size(), 40U);
            for (std::size_t i = 0; i < got.size(); ++i) {
                const Bytes& frame = got[i];
                const auto word = [&frame](std::size_t at) {
                    return static_cast<std::uint16_t>(frame.at(at) << 8 | frame.at(at + 1));
                };
                EXPECT_EQ(word(12), 0x86DD);
                EXPECT_EQ(frame.size(), i + 1 != got.size() ? 1514U : frames[i].size() + 70);
                EXPECT_EQ(word(18) + 54U, frame.size());
                EXPECT_EQ(word(58), word(18));
                EXPECT_EQ(word(60) != 0, checksum);
                if (checksum) {
                    EXPECT_EQ(rfc1071({frame.begin() + 22, frame.end()}, word(18) + 17U), 0U);
                }
                EXPECT_EQ(hex(without_ids({frame.begin() + 70, frame.end()}, flow)),
                          hex(without_ids(frames[i], flow)));
            }
            EXPECT_EQ(seen.moved.at("port.up.cut"), 1U);
            EXPECT_EQ(seen.moved.at("merged"), 39U);
        }
    }
}

TEST(Large, RP32_a_NIC_with_tunnel_offload_sends_the_same_bytes) {
    for (const bool inner6 : {false, true}) {
        const StreamWords flow = from_vm1(inner6);
        const auto frames = stream(flow, 20'001, 1300);
        Scene software(merging());
        const auto expected = software.lab.receive(software.vm1, frames).sent_by(software.up);
        SceneWords words = merging();
        words.underlay.tso = {.plain = true, .tunnel4 = true};
        Scene hardware(words);
        std::vector<Bytes> got;
        hardware.lab.look_at_sent = [&](PortId, rte_mbuf* mbuf) {
            const auto pieces = cut_by_nic(mbuf);
            got.insert(got.end(), pieces.begin(), pieces.end());
        };
        const Seen seen = hardware.lab.receive(hardware.vm1, frames);
        EXPECT_EQ(seen.broken_law, "");
        EXPECT_EQ(seen.moved.at("port.up.passed"), 1U);
        EXPECT_EQ(seen.sent.size(), 1U);
        StreamWords as_sent = flow;
        as_sent.tunnel = true;
        EXPECT_EQ(clean(got, as_sent), clean(expected, as_sent));
        // With a checksum outside, or for a family that the NIC does not name, software cuts.
        for (const bool checksum : {true, false}) {
            SceneWords other = words;
            other.tunnel.udp_checksum = checksum;
            other.underlay.tso.tunnel4 = checksum;
            Scene s(other);
            EXPECT_EQ(s.lab.receive(s.vm1, frames).sent_by(s.up).size(), frames.size());
        }
    }
}

TEST(Large, RP32_plain_packets_for_a_NIC_or_a_guest) {
    for (const bool inner6 : {false, true}) {
        SceneWords words = merging();
        words.access.tso.plain = true;
        Scene s(words);
        std::vector<Bytes> got;
        s.lab.look_at_sent = [&](PortId, rte_mbuf* mbuf) {
            const auto pieces = cut_by_nic(mbuf);
            got.insert(got.end(), pieces.begin(), pieces.end());
        };
        const StreamWords flow = from_host12(inner6);
        s.lab.receive(s.up, stream(flow, 9'999, 1000));
        EXPECT_EQ(clean(got, inside(flow)), clean(stream(inside(flow), 9'999, 1000), inside(flow)));
    }
}

TEST(Large, RP32_more_buffers_than_the_NIC_takes_are_cut_in_software) {
    SceneWords words = merging();
    words.access.tso = {.plain = true, .max_buffers = 8};
    Scene s(words);
    EXPECT_EQ(s.lab.receive(s.up, stream(from_host12(), 8'000, 1000)).sent_by(s.vm1).size(), 1U);
    EXPECT_EQ(s.lab.receive(s.up, stream(from_host12(), 9'000, 1000)).sent_by(s.vm1).size(), 9U);
}

TEST(Large, pieces_that_do_not_fit_are_dropped_whole) {
    Scene s(merging());
    s.lab.segment_entry(s.red).max_frame = 1000;
    s.lab.publish();
    const auto frames = stream(from_vm1(), 4'000, 1000);
    const Seen seen = s.lab.receive(s.vm1, frames);
    EXPECT_EQ(seen.broken_law, "");
    EXPECT_EQ(seen.only_reason(), DropReason::tunnel_oversize);
    s.lab.port_entry(s.vm1).max_frame = 1000;
    s.lab.publish();
    EXPECT_EQ(s.lab.receive(s.up, stream(from_host12(), 4'000, 1000)).only_reason(),
              DropReason::port_oversize);
}

TEST(Large, an_unknown_destination_floods_pieces_everywhere) {
    Scene s(merging());
    StreamWords flow = from_vm1();
    flow.to = host(77);
    const auto frames = stream(flow, 5'500, 1000);
    const Seen seen = s.lab.receive(s.vm1, frames);
    EXPECT_EQ(seen.broken_law, "");
    EXPECT_EQ(clean(seen.sent_by(s.vm2), flow), clean(frames, flow));
    const auto out = seen.sent_by(s.up);
    ASSERT_EQ(out.size(), 3 * frames.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
        const Outer outer = take_apart(out[i]);
        EXPECT_TRUE(outer.whole && outer.ip_checksum_right);
        EXPECT_EQ(hex(without_ids(outer.inner, flow)),
                  hex(without_ids(frames[i % frames.size()], flow)));
    }
}

TEST(Large, without_buffers_for_the_pieces_the_rest_is_dropped_and_counted) {
    Scene s(merging());
    StreamWords flow = from_vm1();
    flow.to = host(77);
    s.lab.push(s.vm1, stream(flow, 5'500, 1000));
    const auto famine = s.lab.starve(s.lab.packet_pool());
    s.lab.poll();
    const Seen seen = s.lab.collect();
    EXPECT_EQ(seen.broken_law, "");
    EXPECT_GT(seen.moved.at("drop.tx_no_buffer"), 0U);
}

TEST(Large, another_worker_that_owns_the_queue_cuts) {
    SceneWords words = merging();
    words.lab.workers = 2;
    words.underlay.owner = 1;
    Scene s(words);
    const auto frames = stream(from_vm1(), 5'500, 1000);
    const Seen seen = s.lab.receive(s.vm1, frames);
    EXPECT_EQ(seen.broken_law, "");
    EXPECT_EQ(seen.sent_by(s.up).size(), frames.size());
    EXPECT_EQ(seen.moved.at("handed_off"), 1U);
    EXPECT_EQ(seen.moved.at("w1.cut_frames"), frames.size() - 1);
}

TEST(Large, the_kernel_twin_gets_what_the_host_was_sent) {
    SceneWords words = merging();
    words.twin = true;
    Scene s(words);
    StreamWords flow;
    flow.from = s.remote_mac(2);
    flow.to = s.local_mac;
    flow.ip4.destination = Scene::kLocal;
    const auto frames = stream(flow, 13'800, 1380);
    const Seen seen = s.lab.receive(s.up, frames);
    EXPECT_EQ(seen.broken_law, "");
    EXPECT_EQ(clean(seen.sent_by(s.host_twin), flow), clean(frames, flow));
    EXPECT_EQ(seen.moved.at("merged"), 9U);
}

TEST(Large, a_packet_of_a_guest_is_taken_as_it_is) {
    for (const bool in_one_buffer : {true, false}) {
        SceneWords words = merging();
        Scene s(words);
        const StreamWords flow = from_vm1();
        Tcp tcp;
        tcp.flags = 0x99;  // CWR, PSH, FIN
        tcp.checksum = 0x1234;
        const std::size_t total = in_one_buffer ? 1'900 : 5'000;
        s.lab.rx_flags = RTE_MBUF_F_RX_LRO | RTE_MBUF_F_RX_L4_CKSUM_NONE;
        s.lab.rx_segment = 600;
        const Seen seen = s.lab.receive(s.vm1, {segment(flow, 0, tcp, stream_bytes(0, total))});
        EXPECT_EQ(seen.broken_law, "");
        const auto got = seen.sent_by(s.up);
        ASSERT_EQ(got.size(), (total + 599) / 600);
        for (std::size_t i = 0; i < got.size(); ++i) {
            const bool last = i + 1 == got.size();
            Tcp piece;
            piece.sequence = static_cast<std::uint32_t>(1 + 600 * i);
            piece.flags = static_cast<std::uint8_t>(0x10 | (i == 0 ? 0x80 : 0) | (last ? 9 : 0));
            const Bytes expected = segment(flow, static_cast<unsigned>(i), piece,
                                           stream_bytes(600 * i, last ? total - 600 * i : 600));
            EXPECT_EQ(hex(take_apart(got[i]).inner), hex(expected)) << "piece " << i;
        }
    }
}

// --- jumbo frames, larger than a buffer

SceneWords jumbo() {
    SceneWords words;
    words.red.mtu = 8950;
    words.access.mtu = 9000;
    words.underlay.mtu = 9000;
    words.twin = true;
    return words;
}

TEST(Jumbo, through_every_path) {
    Scene s(jumbo());
    for (const std::size_t size : {2'500UL, 8'964UL}) {
        const auto sized = [size](std::uint8_t from, net::MacAddress to) {
            return a_frame().from(host(from)).to(to).ipv4().udp(1, 2).payload(size - 42);
        };
        const auto check = [](Golden golden) { golden.uncut().as_received().check(); };
        const Frame out = sized(1, host(12));
        check(Golden(s.lab, s.vm1, out).out(s.up, s.to_remote(out)).tunnelled(s.red, 1, size));
        const Frame in = sized(12, host(1));
        check(Golden(s.lab, s.up, s.from_remote(in)).out(s.vm1, in).arrived(s.red, size));
        const Frame across = sized(1, host(2));
        check(Golden(s.lab, s.vm1, across).out(s.vm2, across));
        const Frame all = sized(1, net::MacAddress::broadcast());
        check(Golden(s.lab, s.vm1, all)
                  .out(s.vm2, all)
                  .out(s.up, s.to_remote(all, 3))
                  .out(s.up, s.to_remote(all, 4))
                  .out(s.up, s.to_remote(all, 2))
                  .tunnelled(s.red, 3, 3 * size)
                  .flooded(s.red, 3));
        const Frame host_frame = sized(2, s.local_mac);
        check(Golden(s.lab, s.up, host_frame).out(s.host_twin, host_frame));
        check(Golden(s.lab, s.host_twin, host_frame).out(s.up, host_frame));
    }
    Golden(s.lab, s.vm1, a_frame().to(host(12)).ipv4().udp(1, 2).payload(8'965 - 42))
        .drops(DropReason::tunnel_oversize)
        .counts("segment.red.oversize", 1)
        .uncut()
        .as_received()
        .check();
}

TEST(Jumbo, outer_checksums_cover_all_buffers) {
    SceneWords words = jumbo();
    words.tunnel.udp_checksum = true;
    Scene s(words);
    const Frame out = a_frame().to(host(12)).ipv4().udp(1, 2).payload(8'001);
    Golden(s.lab, s.vm1, out)
        .out(s.up, s.to_remote(out))
        .tunnelled(s.red, 1, out.size())
        .uncut()
        .as_received()
        .check();
}

TEST(Jumbo, merged_and_cut_in_pieces_of_several_buffers) {
    SceneWords words = jumbo();
    words.access.gro = words.underlay.gro = true;
    Scene s(words);
    const auto frames = stream(from_vm1(), 7 * 8'910, 8'910);
    const Seen seen = s.lab.receive(s.vm1, frames);
    EXPECT_EQ(seen.broken_law, "");
    EXPECT_EQ(seen.moved.at("merged"), 6U);
    const auto got = seen.sent_by(s.up);
    ASSERT_EQ(got.size(), frames.size());
    for (std::size_t i = 0; i < got.size(); ++i)
        EXPECT_EQ(without_ids(take_apart(got[i]).inner, from_vm1()),
                  without_ids(frames[i], from_vm1()));
}

}  // namespace
}  // namespace vxplane::support
