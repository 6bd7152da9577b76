// `remcsumtx`, `remcsumrx`: checksums that one end of a tunnel leaves to the other.
#include <gtest/gtest.h>

#include "tests/support/scene.hpp"

namespace vxplane::support {
namespace {

constexpr std::uint32_t kFlag = 0x200000;  ///< of Vxlan::reserved
constexpr std::uint8_t kUdp = 0x80;        ///< of Vxlan::last

std::uint16_t word_at(const Bytes& bytes, std::size_t at) {
    return static_cast<std::uint16_t>(bytes[at] << 8 | (at + 1 < bytes.size() ? bytes[at + 1] : 0));
}
void put_word(Bytes& bytes, std::size_t at, std::uint32_t word) {
    bytes[at] = static_cast<std::uint8_t>(word >> 8);
    bytes[at + 1] = static_cast<std::uint8_t>(word);
}
std::uint32_t folded(std::uint32_t sum) {
    while (sum > 0xFFFF) sum = (sum >> 16) + (sum & 0xFFFF);
    return sum;
}

/// A frame whose message begins `start` bytes into it, with its checksum and with that of the
/// pseudo header alone.
struct Message {
    Frame frame;
    std::size_t start;
    bool udp;

    [[nodiscard]] std::size_t field() const { return start + (udp ? 6 : 16); }
    [[nodiscard]] Bytes open() const {
        Bytes bytes = frame.bytes();
        const std::size_t l3 = bytes[start - 20] == 0x45 ? start - 20 : start - 40;
        std::uint32_t sum = static_cast<std::uint32_t>(bytes.size() - start) + (udp ? 17 : 6);
        for (std::size_t at = l3 + (start - l3 == 20 ? 12 : 8); at < start; at += 2)
            sum += word_at(bytes, at);
        put_word(bytes, field(), folded(sum));
        return bytes;
    }
    [[nodiscard]] Vxlan header() const {
        return {.reserved = kFlag, .last = static_cast<std::uint8_t>(start / 2 | (udp ? kUdp : 0))};
    }
};

/// With a payload of `size` bytes.
std::vector<Message> messages(net::MacAddress to, net::MacAddress from, std::size_t size) {
    const auto start = [&] { return a_frame().to(to).from(from); };
    const Bytes payload(size, 0xC7);
    return {{start().ipv4().tcp(1, 2).payload(payload), 34, false},
            {start().ipv4().udp(1, 2).payload(payload), 34, true},
            {start().ipv6().tcp(1, 2).payload(payload), 54, false},
            {start().ipv6().udp(1, 2).payload(payload), 54, true},
            {start().vlan(5).ipv4().tcp(1, 2).payload(payload), 38, false},
            {start().vlan(5).ipv6().udp(1, 2).payload(payload), 58, true}};
}
std::vector<Message> arriving(std::size_t size) {
    return messages(host(1), host(12), size);
}

struct Receiving : Scene {
    explicit Receiving(std::uint16_t more = 0) : Scene(with_tags()) {
        lab.segment_entry(red).watch = static_cast<std::uint16_t>(table::watch::kRemoteSum | more);
    }
    static SceneWords with_tags() {
        SceneWords words;
        words.red.inner_vlan = true;
        return words;
    }
    [[nodiscard]] Frame packet(Vxlan header, const Bytes& inner,
                               Udp outer = {.checksum = 0}) const {
        return a_frame()
            .to(local_mac)
            .from(remote_mac(2))
            .ipv4({.source = "10.0.0.2", .destination = kLocal})
            .udp(40000, 4789, outer)
            .vxlan(header, inner);
    }
    void refuses(Vxlan header, const Bytes& inner, DropReason reason) {
        Golden(lab, up, packet(header, inner)).drops(reason).uncut().check();
    }
    /// What arrives at vm1 of a tunnel packet around `inner`.
    Bytes arrived(Vxlan header, const Bytes& inner) {
        const Seen seen = lab.receive(up, packet(header, inner));
        expect_law(seen);
        const std::vector<Bytes> frames = seen.sent_by(vm1);
        EXPECT_EQ(frames.size(), 1U);
        return frames.empty() ? Bytes{} : frames.front();
    }
};

TEST(RemoteSum, VX33_a_checksum_left_open_is_made_on_arrival) {
    Receiving s;
    for (const std::size_t size : {0U, 1U, 18U, 19U, 300U, 1301U}) {
        for (const Message& message : arriving(size)) {
            SCOPED_TRACE(testing::Message() << "start " << message.start << ", payload " << size);
            ASSERT_NE(message.open(), message.frame.bytes());
            for (const Udp outer : {Udp{.checksum = 0}, Udp{}}) {
                Golden(s.lab, s.up, s.packet(message.header(), message.open(), outer))
                    .out(s.vm1, message.frame)
                    .arrived(s.red, message.frame.size())
                    .uncut()
                    .check();
            }
        }
    }
}

TEST(RemoteSum, VX33_cut_anywhere_nothing_behind_the_end_is_read) {
    Receiving s;
    const Message message = arriving(64).front();
    Golden(s.lab, s.up, s.packet(message.header(), message.open()))
        .out(s.vm1, message.frame)
        .arrived(s.red, message.frame.size())
        .check();
}

TEST(RemoteSum, VX33_without_the_option_the_flag_is_a_reserved_bit) {
    Receiving s;
    s.lab.segment_entry(s.red).watch = 0;
    const Message message = arriving(18).front();
    s.refuses(message.header(), message.open(), DropReason::vxlan_reserved_bits);
    s.lab.segment_entry(s.red).reserved_flags = 0;
    s.lab.segment_entry(s.red).reserved_vni = 0;
    s.lab.publish();
    EXPECT_EQ(s.arrived(message.header(), message.open()), message.open());
}

TEST(RemoteSum, VX33_with_the_option_the_last_byte_is_not_reserved_and_other_bits_are) {
    Receiving s;
    const Message message = arriving(18).front();
    const Bytes whole = message.frame.bytes();
    EXPECT_EQ(s.arrived({.last = 0x91}, whole), whole);
    for (const std::uint32_t bit : {0x100000U, 0x400000U, 0x080000U, 0x000001U}) {
        Vxlan header = message.header();
        header.reserved |= bit;
        s.refuses(header, message.open(), DropReason::vxlan_reserved_bits);
    }
    s.refuses({.flags = 0x88, .reserved = kFlag}, whole, DropReason::vxlan_reserved_bits);
}

TEST(RemoteSum, VX33_a_checksum_outside_of_the_frame_drops_it) {
    Receiving s;
    const auto number = [&] { return s.lab.counts()["drop.vxlan_bad_remcsum"]; };
    // 60 bytes: TCP's field ends 18 bytes behind the start, UDP's 8.
    const Bytes frame = small_from(12, host(1)).bytes();
    ASSERT_EQ(frame.size(), 60U);
    for (const std::uint32_t start : {44U, 52U, 60U, 254U}) {
        for (const bool udp : {false, true}) {
            const std::uint32_t end = start + (udp ? 8 : 18);
            const Vxlan header{.reserved = kFlag,
                               .last = static_cast<std::uint8_t>(start / 2 | (udp ? kUdp : 0))};
            SCOPED_TRACE(end);
            if (end > frame.size()) {
                s.refuses(header, frame, DropReason::vxlan_bad_remcsum);
                continue;
            }
            const std::uint64_t before = number();
            EXPECT_EQ(s.arrived(header, frame).size(), frame.size());
            EXPECT_EQ(number(), before);
        }
    }
}

TEST(RemoteSum, VX33_any_place_gets_what_sums_up_to_the_end) {
    Receiving s;
    const Bytes frame = small_from(12, host(1)).bytes();
    for (std::uint32_t start = 34; start + 8 <= frame.size(); start += 2) {
        std::uint32_t sum = 0;
        for (std::size_t at = start; at < frame.size(); at += 2) sum += word_at(frame, at);
        Bytes expected = frame;
        put_word(expected, start + 6, folded(sum) == 0xFFFF ? 0xFFFF : ~folded(sum));
        const Vxlan header{.reserved = kFlag, .last = static_cast<std::uint8_t>(start / 2 | kUdp)};
        EXPECT_EQ(hex(s.arrived(header, frame)), hex(expected)) << start;
    }
}

TEST(RemoteSum, VX14_a_checksum_that_comes_out_as_zero_is_all_ones) {
    Receiving s;
    Message message{a_frame().to(host(1)).from(host(12)).ipv4().udp(1, 2).payload(Bytes{0, 0}), 34,
                    true};
    // The payload is what is missing to all ones.
    const std::uint16_t rest = word_at(message.frame.bytes(), message.field());
    const Bytes payload{static_cast<std::uint8_t>(rest >> 8), static_cast<std::uint8_t>(rest)};
    message.frame = a_frame().to(host(1)).from(host(12)).ipv4().udp(1, 2).payload(payload);
    const Bytes seen = s.arrived(message.header(), message.open());
    EXPECT_EQ(word_at(seen, message.field()), 0xFFFF);
}

TEST(RemoteSum, VX46_goes_together_with_a_group_policy) {
    Receiving s(table::watch::kGroupPolicy);
    const Message message = arriving(18).front();
    Vxlan header = message.header();
    header.flags |= 0x80;
    header.reserved |= 0x000123;
    EXPECT_EQ(s.arrived(header, message.open()), message.frame.bytes());
}

TEST(RemoteSum, VX47_goes_together_with_gpe) {
    Receiving s(table::watch::kGpe);
    const Message message = arriving(18).front();
    Vxlan header = message.header();
    header.flags = 0x0C;
    header.reserved |= 3;
    EXPECT_EQ(s.arrived(header, message.open()), message.frame.bytes());
    // Of bare IP the place is counted from the IP header on.
    s.lab.complete = [&s](table::Tables& tables) {
        const std::vector<std::pair<table::ScopedAddress, std::uint32_t>> known{
            {{address("192.0.2.2"), s.red}, 0}};
        tables.segment_neighbours = std::make_shared<const table::AddressMap>(known);
        tables.known_neighbours =
            table::Shared(std::vector<table::SegmentNeighbour>{{host(1), false}});
    };
    s.lab.publish();
    const Bytes open = message.open();
    header.reserved = kFlag | 1;
    header.last = 20 / 2;
    const Bytes seen = s.arrived(header, {open.begin() + 14, open.end()});
    const Bytes whole = message.frame.bytes();
    ASSERT_EQ(seen.size(), whole.size());
    EXPECT_EQ(Bytes(seen.begin() + 14, seen.end()), Bytes(whole.begin() + 14, whole.end()));
    header.reserved = kFlag | 1 | 0x010000;
    s.refuses(header, {open.begin() + 14, open.end()}, DropReason::vxlan_reserved_bits);
}

/// vm1 is a guest that leaves its checksums to the device.
struct Sending : Scene {
    explicit Sending(bool udp_checksum = false, bool asked = true, bool guest = true)
        : Scene(words_of(udp_checksum, asked, guest)) {
        lab.rx_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    }
    static SceneWords words_of(bool udp_checksum, bool asked, bool guest) {
        SceneWords words;
        words.red.inner_vlan = true;
        words.red.ipv6 = true;
        words.access.from_guest = guest;
        words.tunnel.remote_sum = asked;
        words.tunnel.udp_checksum = udp_checksum;
        return words;
    }
    Bytes sent(const Frame& frame, Memory memory = Memory::pool) {
        const Seen seen = lab.receive(vm1, frame, memory);
        expect_law(seen);
        const std::vector<Bytes> frames = seen.sent_by(up);
        EXPECT_EQ(frames.size(), 1U);
        return frames.empty() ? Bytes{} : frames.front();
    }
    /// Leaves as it would without the option.
    void completes(const Frame& frame, Memory memory = Memory::pool) {
        const Outer outer = take_apart(sent(frame, memory));
        EXPECT_EQ(outer.inner, frame.bytes());
        EXPECT_EQ(outer.flags_word, 0x08000000U);
        EXPECT_EQ(outer.vni_word, 0x00000700U);
        EXPECT_TRUE(outer.udp_checksum_right);
    }
};

TEST(RemoteSum, VX02_a_checksum_that_a_guest_left_is_left_to_the_remote) {
    for (const bool udp_checksum : {false, true}) {
        Sending s(udp_checksum);
        for (const std::size_t size : {0U, 1U, 18U, 19U, 300U, 1301U}) {
            for (const Message& message : messages(host(12), host(1), size)) {
                SCOPED_TRACE(testing::Message()
                             << "start " << message.start << ", payload " << size);
                const Outer outer = take_apart(s.sent(message.frame));
                EXPECT_EQ(hex(outer.inner), hex(message.open()));
                EXPECT_EQ(outer.flags_word, 0x08000000U | kFlag);
                EXPECT_EQ(outer.vni_word, 0x00000700U | message.header().last);
                EXPECT_TRUE(outer.whole && outer.ip_checksum_right && outer.udp_checksum_right);
                EXPECT_EQ(outer.udp_checksum != 0, udp_checksum);
            }
        }
    }
}

TEST(RemoteSum, VX02_over_ipv6_too) {
    Sending s;
    s.lab.own(address("2001:db8::1"), s.up);
    table::TunnelSpec spec = s.words.tunnel;
    spec.local = address("2001:db8::1");
    spec.remote = address("2001:db8::2");
    spec.out_port = s.up;
    spec.source_mac = s.local_mac;
    spec.next_hop = s.remote_mac(6);
    spec.udp_checksum = true;
    s.lab.fdb(s.red, host(12), FdbKind::tunnel, s.lab.tunnel(spec), FdbState::dynamic);
    for (const Message& message : messages(host(12), host(1), 77)) {
        const Bytes seen = s.sent(message.frame);
        ASSERT_EQ(seen.size(), message.frame.size() + 70);
        EXPECT_EQ(hex({seen.begin() + 70, seen.end()}), hex(message.open()));
        EXPECT_EQ(word_at(seen, 62), 0x0820);
        EXPECT_EQ(word_at(seen, 68), 0x0700 | message.header().last);
        // Addresses, and from the UDP header on; its length and number count twice.
        std::uint32_t sum = static_cast<std::uint32_t>(seen.size() - 54) + 17;
        for (std::size_t at = 22; at < seen.size(); at += 2) sum += word_at(seen, at);
        EXPECT_EQ(folded(sum), 0xFFFFU);
    }
}

TEST(RemoteSum, VX02_what_is_sent_arrives_as_the_guest_meant_it) {
    Sending sender(true);
    Receiving receiver;
    for (const Message& message : messages(host(12), host(1), 501)) {
        const Outer outer = take_apart(sender.sent(message.frame));
        Frame meant = message.frame;
        receiver.lab.fdb(receiver.red, host(12), FdbKind::port, receiver.vm1, FdbState::permanent);
        receiver.lab.fdb(receiver.red, host(1), FdbKind::tunnel, receiver.t2, FdbState::permanent);
        const Vxlan header{.reserved = outer.flags_word & 0xFFFFFFU,
                           .last = static_cast<std::uint8_t>(outer.vni_word)};
        EXPECT_EQ(hex(receiver.arrived(header, outer.inner)), hex(meant.bytes()));
    }
}

TEST(RemoteSum, VX02_other_frames_leave_as_always) {
    Sending s(true);
    const Frame tcp = a_frame().to(host(12)).ipv4().tcp(1, 2).payload(18);
    const auto start = [] { return a_frame().to(host(12)); };
    const Bytes options(40, 1);
    for (const Frame& frame :
         {start().ipv4().icmp_echo().payload(20), start().arp(), start().type(0x88B5).payload(60),
          start().ipv4({.fragment = 0x2000}).udp(1, 2).payload(16),
          start().ipv4().udp(1, 2, {.checksum = 0}).payload(16),
          start().ipv4().udp(1, 2, {.length = std::uint16_t{12}}).payload(16),
          start().ipv4({.total_length = std::uint16_t{60}}).tcp(1, 2).payload(40),
          start().ipv4().tcp(1, 2).payload(1).padded(60),
          start().ipv6({.next_header = std::uint8_t{0}}).udp(1, 2).payload(16)})
        s.completes(frame);
    // Not in one buffer of our own.
    s.completes(tcp, Memory::exact);
    // Whose guest made the sum, whose port is none of a guest, and where nobody asks.
    s.lab.rx_flags = 0;
    s.completes(tcp);
    Sending none(true, true, false);
    none.completes(tcp);
    Sending off(true, false, true);
    off.completes(tcp);
}

TEST(RemoteSum, VX72_copies_of_a_flood_keep_what_others_read) {
    Sending s;
    const Message message = messages(host(77), host(1), 100)[1];
    const Frame& frame = message.frame;
    const Seen seen = s.lab.receive(s.vm1, frame);
    expect_law(seen);
    const std::vector<Bytes> near = seen.sent_by(s.vm2);
    ASSERT_EQ(near.size(), 1U);
    EXPECT_EQ(near.front(), frame.bytes());
    for (const Bytes& one : seen.sent_by(s.up)) {
        const Outer outer = take_apart(one);
        const bool open = (outer.flags_word & kFlag) != 0;
        EXPECT_EQ(hex(outer.inner), hex(open ? message.open() : frame.bytes()));
    }
}

}  // namespace
}  // namespace vxplane::support
