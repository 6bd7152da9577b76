// IGMP and MLD reports from their bytes, and the queries that we make.
#include "dataplane/net/membership.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dataplane/net/group_query.hpp"

namespace vxplane::net {
namespace {

using Bytes = std::vector<std::byte>;

Bytes bytes_of(const std::string& hex) {
    Bytes bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += hex[i] == ' ' ? 1 : 2) {
        if (hex[i] != ' ') {
            bytes.push_back(static_cast<std::byte>(std::stoul(hex.substr(i, 2), nullptr, 16)));
        }
    }
    bytes.shrink_to_fit();
    return bytes;
}

// As scapy makes them.
const Bytes kV2Report =
    bytes_of("46000020000100000102 29cd 0a010005 ef010203 94040000 1614f8e6ef010203");
const Bytes kV2Leave =
    bytes_of("46000020000100000102 3acf 0a010005 e0000002 94040000 1714f7e6ef010203");
const Bytes kV3 = bytes_of(
    "46c00038000100000102 39e3 0a010005 e0000016 94040000 2200d8d000000002"
    "04000000ef010203 01000002e8010101 0a090909 0a090908");
const std::string kNear = "fe800000000000000000000000000005";
const std::string kAlert = "3a00050200000100";
const Bytes kMldReport = bytes_of("6000000000200001" + kNear + "ff020000000000000000000000010003" +
                                  kAlert + "8300801900000000 ff020000000000000000000000010003");
const Bytes kMldDone = bytes_of("6000000000200001" + kNear + "ff020000000000000000000000000002" +
                                kAlert + "84007f1b00000000 ff020000000000000000000000010003");
const Bytes kMld2 = bytes_of(
    "6000000000480001 00000000000000000000000000000000 ff020000000000000000000000000016" + kAlert +
    "8f003d6800000002 04000000 ff0200000000000000000001ff000005"
    "05000001 ff350000000000000000000000000007 20010db8000000000000000000000001");

std::string text(const IpAddress& address) {
    std::string out;
    for (const std::uint8_t byte : address.bytes) {
        constexpr const char* kDigits = "0123456789abcdef";
        out += {kDigits[byte >> 4], kDigits[byte & 15]};
    }
    return address.is_v4() ? "v4:" + out.substr(24) : out;
}

/// "CHANGE GROUP SOURCE..., ..." or the kind when it is no report.
std::string read(const Bytes& packet) {
    const ReportReader reader(packet);
    std::string out = reader.kind() == ReportKind::report      ? ""
                      : reader.kind() == ReportKind::malformed ? "malformed"
                                                               : "none";
    reader.records([&out](const GroupRecord& record) {
        out += (out.empty() ? "" : ", ") + std::to_string(static_cast<int>(record.change)) + " " +
               text(record.group);
        for (std::size_t i = 0; i < record.source_count(); ++i) {
            out += " " + text(record.source(i));
        }
    });
    return out;
}

void put_sum(Bytes& packet, std::size_t header, std::size_t at) {
    packet[header + at] = packet[header + at + 1] = std::byte{0};
    Sum sum = 0;
    const auto length = static_cast<std::uint16_t>(packet.size() - header);
    if (packet[0] == std::byte{0x60}) {
        sum = pseudo_header(load<Ipv6Header>(packet.data()), ip_protocol::kIcmpv6, length);
    }
    const Be16 made = finish(add_bytes(sum, packet.data() + header, length));
    std::memcpy(packet.data() + header + at, &made, sizeof made);
}

Bytes in_frame(const Bytes& packet) {
    Bytes frame(14);
    frame[0] = std::byte{1};
    frame[12] = packet[0] == std::byte{0x60} ? std::byte{0x86} : std::byte{0x08};
    frame[13] = packet[0] == std::byte{0x60} ? std::byte{0xDD} : std::byte{0x00};
    frame.insert(frame.end(), packet.begin(), packet.end());
    frame.shrink_to_fit();
    return frame;
}

TEST(Membership, IV15_old_messages_mean_records_without_sources) {
    EXPECT_EQ(read(kV2Report), "2 v4:ef010203");
    EXPECT_EQ(read(kV2Leave), "3 v4:ef010203");
    EXPECT_EQ(read(kMldReport), "2 ff020000000000000000000000010003");
    EXPECT_EQ(read(kMldDone), "3 ff020000000000000000000000010003");
    Bytes first = kV2Report;
    first[24] = std::byte{0x12};
    put_sum(first, 24, 2);
    EXPECT_EQ(read(first), "2 v4:ef010203") << "IGMPv1";
}

TEST(Membership, IV15_records_with_their_sources) {
    EXPECT_EQ(read(kV3), "4 v4:ef010203, 1 v4:e8010101 v4:0a090909 v4:0a090908");
    EXPECT_EQ(read(kMld2),
              "4 ff0200000000000000000001ff000005, 5 ff350000000000000000000000000007 "
              "20010db8000000000000000000000001");
}

TEST(Membership, padding_of_ethernet_is_not_read) {
    for (const Bytes& one : {kV2Report, kV3, kMld2}) {
        Bytes padded = one;
        padded.resize(padded.size() + 14, std::byte{0xFF});
        EXPECT_EQ(read(padded), read(one));
    }
}

TEST(Membership, cut_anywhere_is_never_a_report) {
    for (const Bytes& one : {kV2Report, kV2Leave, kV3, kMldReport, kMldDone, kMld2}) {
        for (std::size_t size = 0; size < one.size(); ++size) {
            Bytes cut(one.begin(), one.begin() + static_cast<std::ptrdiff_t>(size));
            cut.shrink_to_fit();
            const std::string said = read(cut);
            EXPECT_TRUE(said == "none" || said == "malformed") << size << ": " << said;
        }
    }
}

TEST(Membership, any_wrong_bit_is_found_by_a_checksum) {
    for (const Bytes& one : {kV2Report, kV3, kMld2}) {
        const std::size_t header = one[0] == std::byte{0x60} ? 48 : 24;
        for (std::size_t at = header + 1; at < one.size(); ++at) {
            Bytes wrong = one;
            wrong[at] ^= std::byte{0x10};
            EXPECT_EQ(read(wrong), "malformed") << at;
        }
    }
}

TEST(Membership, a_record_beyond_the_message_spoils_all_of_it) {
    for (const auto& [at, value] : std::vector<std::pair<std::size_t, int>>{
             {31, 3}, {31, 255}, {30, 255}, {33, 1}, {33, 255}, {35, 5}, {34, 255}, {43, 3}}) {
        Bytes wrong = kV3;
        wrong[at] = static_cast<std::byte>(value);
        put_sum(wrong, 24, 2);
        EXPECT_EQ(read(wrong), "malformed") << at << " = " << value;
    }
}

TEST(Membership, records_that_do_not_count_are_left_out) {
    Bytes unknown = kV3;
    unknown[32] = std::byte{7};
    put_sum(unknown, 24, 2);
    EXPECT_EQ(read(unknown), "1 v4:e8010101 v4:0a090909 v4:0a090908");
    Bytes no_group = kV2Report;
    no_group[28] = std::byte{10};
    put_sum(no_group, 24, 2);
    EXPECT_EQ(read(no_group), "");
    Bytes all_hosts = kV2Report;
    const auto group = Ipv4Address::of(224, 0, 0, 1);
    std::memcpy(all_hosts.data() + 28, &group, sizeof group);
    put_sum(all_hosts, 24, 2);
    EXPECT_EQ(read(all_hosts), "");
    for (const int scope : {0x00, 0x01, 0x11}) {
        Bytes inside = kMldReport;
        inside[57] = static_cast<std::byte>(scope);
        put_sum(inside, 48, 2);
        EXPECT_EQ(read(inside), "") << scope;
    }
}

TEST(Membership, mld_comes_from_the_link_and_no_further) {
    Bytes far = kMld2;
    far[7] = std::byte{64};
    EXPECT_EQ(read(far), "malformed");
    Bytes global = kMldReport;
    global[8] = std::byte{0x20};
    put_sum(global, 48, 2);
    EXPECT_EQ(read(global), "malformed");
}

TEST(Membership, fragments_and_queries_are_no_reports) {
    Bytes fragment = kV2Report;
    fragment[6] = std::byte{0x20};
    fragment[10] = std::byte{0x09};  // the checksum of it
    EXPECT_EQ(read(fragment), "malformed");
    Bytes query = kV2Report;
    query[24] = std::byte{0x11};
    put_sum(query, 24, 2);
    EXPECT_EQ(read(query), "none");
    EXPECT_FALSE(may_be_report(in_frame(query).data(), 46));
    Bytes asks = kMldReport;
    asks[48] = std::byte{130};
    EXPECT_EQ(read(asks), "none");
    EXPECT_FALSE(may_be_report(in_frame(asks).data(), 86));
}

TEST(Membership, workers_see_what_control_reads) {
    for (const Bytes& one : {kV2Report, kV2Leave, kV3, kMldReport, kMldDone, kMld2}) {
        const Bytes frame = in_frame(one);
        EXPECT_TRUE(may_be_report(frame.data(), frame.size()));
        for (std::size_t size = 0; size < frame.size(); ++size) {
            Bytes cut(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(size));
            cut.shrink_to_fit();
            if (!may_be_report(cut.data(), cut.size())) {
                EXPECT_LE(size, 14U + 48U);
            }
        }
    }
    Bytes udp = kV2Report;
    udp[9] = std::byte{17};
    EXPECT_FALSE(may_be_report(in_frame(udp).data(), 46));
}

TEST(Membership, IV15_queries_are_as_the_rfcs_say) {
    const auto from = MacAddress::from_number(0x020000AA0001);
    std::array<std::byte, kGroupQueryFrame> out{};
    const IpAddress group4 = Ipv4Address::of(239, 1, 2, 3);
    std::size_t size = make_group_query(from, group4, std::chrono::seconds(1), out);
    // scapy: IP(src="0.0.0.0", dst="239.1.2.3", ttl=1, tos=0xc0, id=0, options=router alert) /
    // IGMPv3(mrcode=10) / IGMPv3mq(gaddr="239.1.2.3", qrv=2, qqic=125)
    EXPECT_EQ(Bytes(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size)),
              bytes_of("01005e010203020000aa00010800"
                       "46c00024000000000102 3310 00000000 ef010203 94040000"
                       "110afb73ef010203 027d0000"));
    size = make_group_query(from, Ipv4Address{}, std::chrono::seconds(10), out);
    EXPECT_EQ(Bytes(out.begin(), out.begin() + 6), bytes_of("01005e000001"));
    EXPECT_EQ(Bytes(out.begin() + 30, out.begin() + static_cast<std::ptrdiff_t>(size)),
              bytes_of("e0000001 94040000 1164ec1e 00000000 027d0000"));
    make_group_query(from, IpAddress{}, std::chrono::seconds(10), out);
    EXPECT_EQ(Bytes(out.begin(), out.begin() + 6), bytes_of("333300000001"));
    EXPECT_EQ(Bytes(out.begin() + 38, out.begin() + 54),
              bytes_of("ff020000000000000000000000000001"));
    IpAddress group6;
    group6.bytes = {0xFF, 0x05};
    group6.bytes[15] = 9;
    size = make_group_query(from, group6, std::chrono::seconds(10), out);
    EXPECT_EQ(size, 90U);
    const auto ip = load<Ipv6Header>(out.data() + 14);
    EXPECT_EQ(fold(add_bytes(pseudo_header(ip, ip_protocol::kIcmpv6, 28), out.data() + 62, 28)),
              0xFFFF);
    EXPECT_EQ(Bytes(out.begin() + 14, out.end() - 28 + 2),
              bytes_of("6000000000240001 fe80000000000000 0000020000aa0001"
                       "ff050000000000000000000000000009 3a00050200000100 8200"));
    EXPECT_EQ(Bytes(out.begin() + 66, out.end()),
              bytes_of("27100000 ff050000000000000000000000000009 027d0000"));
}

}  // namespace
}  // namespace vxplane::net
