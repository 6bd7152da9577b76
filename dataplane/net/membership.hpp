// What a host says of the multicast groups that it wants: IGMP (RFC 1112, 2236, 3376) and MLD (RFC
// 2710, 3810) in one form. Met by workers, which tell reports apart from other frames, and by
// control, which reads them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "dataplane/net/checksum.hpp"
#include "dataplane/net/flow_hash.hpp"
#include "dataplane/net/headers.hpp"
#include "dataplane/net/icmpv6.hpp"
#include "dataplane/net/ip_address.hpp"

namespace vxplane::net {

constexpr std::uint8_t kIgmp = 2;  ///< IP protocol number (IANA)

namespace igmp_type {
constexpr std::uint8_t kQuery = 0x11;
constexpr std::uint8_t kReportV1 = 0x12;
constexpr std::uint8_t kReportV2 = 0x16;
constexpr std::uint8_t kLeave = 0x17;
constexpr std::uint8_t kReportV3 = 0x22;
}  // namespace igmp_type

/// ICMPv6 types of MLD.
namespace mld_type {
constexpr std::uint8_t kQuery = 130;
constexpr std::uint8_t kReport = 131;
constexpr std::uint8_t kDone = 132;
constexpr std::uint8_t kReportV2 = 143;
}  // namespace mld_type

/// Record types of RFC 3376 section 4.2.12 and RFC 3810 section 5.2.12, with their numbers there.
/// Older messages mean one of them: a report is `is_exclude` without sources, a leave or done is
/// `to_include` without sources (RFC 3376 section 7.3.2, RFC 3810 section 8.3.2).
enum class GroupChange : std::uint8_t {
    is_include = 1,
    is_exclude,
    to_include,
    to_exclude,
    allow,
    block
};

/// One group of a report. Points into the packet.
struct GroupRecord {
    GroupChange change;
    IpAddress group;
    std::span<const std::byte> sources;  ///< addresses of the group's family, one after the other

    [[nodiscard]] std::size_t source_size() const noexcept {
        return group.is_v4() ? sizeof(Ipv4Address) : sizeof(IpAddress);
    }
    [[nodiscard]] std::size_t source_count() const noexcept {
        return sources.size() / source_size();
    }
    [[nodiscard]] IpAddress source(std::size_t i) const noexcept {
        const std::byte* at = sources.data() + i * source_size();
        return group.is_v4() ? IpAddress(load<Ipv4Address>(at)) : load<IpAddress>(at);
    }
};

enum class ReportKind : std::uint8_t {
    none,  ///< something else
    malformed,
    report
};

/// Whether a frame of `size` readable bytes looks like a report; cheap, and nothing is checked.
inline bool may_be_report(const std::byte* frame, std::size_t size) noexcept {
    constexpr std::size_t kIp = sizeof(EthernetHeader);
    if (size < kIp + sizeof(Ipv4Header)) {
        return false;
    }
    const Be16 type = view<EthernetHeader>(frame).type;
    if (type == ether_type::kIpv4) {
        const auto& ip = view<Ipv4Header>(frame + kIp);
        const std::size_t at = kIp + ip.header_length();
        return ip.protocol == kIgmp && size > at &&
               static_cast<std::uint8_t>(frame[at]) != igmp_type::kQuery;
    }
    if (type != ether_type::kIpv6 || size < kIp + sizeof(Ipv6Header) ||
        view<Ipv6Header>(frame + kIp).next_header != ipv6_extension::kHopByHop) {
        return false;
    }
    const Ipv6Upper upper = upper_of(frame + kIp, size - kIp);
    if (upper.protocol != ip_protocol::kIcmpv6 || !upper.is_whole || upper.is_later ||
        size <= kIp + upper.offset) {
        return false;
    }
    const auto what = static_cast<std::uint8_t>(frame[kIp + upper.offset]);
    return what == mld_type::kReport || what == mld_type::kDone || what == mld_type::kReportV2;
}

/// Reads one report; `packet` begins with the IP header and may have Ethernet padding behind its
/// end. `visit(const GroupRecord&)` is called for every record that counts, and for none when the
/// report is malformed at any place. Left out are records of types that the RFCs do not know, of
/// addresses that are no groups, and of groups that everybody hears without a report.
class ReportReader {
  public:
    explicit ReportReader(std::span<const std::byte> packet) noexcept {
        if (packet.size() < sizeof(Ipv4Header)) {
            return;
        }
        const unsigned version = view<Ipv4Header>(packet.data()).version();
        if (version == 4) {
            find_igmp(packet);
        } else if (version == 6 && packet.size() >= sizeof(Ipv6Header)) {
            find_mld(packet);
        }
        if (kind_ == ReportKind::report && !walk([](const GroupRecord&) {})) {
            kind_ = ReportKind::malformed;
        }
    }

    [[nodiscard]] ReportKind kind() const noexcept { return kind_; }

    template <class Visit>
    void records(Visit&& visit) const {
        if (kind_ == ReportKind::report) {
            walk([&visit](const GroupRecord& record) {
                if (counts(record)) {
                    visit(record);
                }
            });
        }
    }

  private:
    /// Of IGMPv1, v2 and v3 and of MLDv2 before the records, and of MLDv1 before the group.
    static constexpr std::size_t kHead = 8;
    static constexpr std::size_t kRecordHead = 4;  ///< before the group

    void find_igmp(std::span<const std::byte> packet) noexcept {
        const auto& ip = view<Ipv4Header>(packet.data());
        if (ip.protocol != kIgmp) {
            return;
        }
        const std::size_t header = ip.header_length();
        const std::size_t total = ip.total_length.value();
        kind_ = ReportKind::malformed;
        if (header < sizeof ip || total < header + kHead || packet.size() < total ||
            ip.is_fragment() || !ipv4_checksum_is_right(ip)) {
            return;
        }
        message_ = packet.subspan(header, total - header);
        if (fold(add_bytes(0, message_.data(), message_.size())) != 0xFFFF) {
            return;
        }
        address_size_ = sizeof(Ipv4Address);
        switch (static_cast<std::uint8_t>(message_[0])) {
            case igmp_type::kReportV1:
            case igmp_type::kReportV2:
                only_ = GroupChange::is_exclude;
                break;
            case igmp_type::kLeave:
                only_ = GroupChange::to_include;
                break;
            case igmp_type::kReportV3:
                has_records_ = true;
                break;
            default:
                kind_ = ReportKind::none;  // a query, or of a routing protocol
                return;
        }
        kind_ = ReportKind::report;
    }

    void find_mld(std::span<const std::byte> packet) noexcept {
        const auto& ip = view<Ipv6Header>(packet.data());
        const std::size_t total = sizeof ip + ip.payload_length.value();
        const Ipv6Upper upper = upper_of(packet.data(), std::min(total, packet.size()));
        if (upper.protocol != ip_protocol::kIcmpv6 || upper.is_later || !upper.is_whole ||
            packet.size() <= upper.offset) {
            return;
        }
        switch (static_cast<std::uint8_t>(packet[upper.offset])) {
            case mld_type::kReport:
                only_ = GroupChange::is_exclude;
                break;
            case mld_type::kDone:
                only_ = GroupChange::to_include;
                break;
            case mld_type::kReportV2:
                has_records_ = true;
                break;
            default:
                return;
        }
        kind_ = ReportKind::malformed;
        const IpAddress source(ip.source);
        // RFC 3810 sections 5 and 5.2.13; the hop-by-hop header has the router alert.
        if (packet.size() < total || total < upper.offset + kHead || upper.is_fragment ||
            ip.hop_limit != 1 || ip.next_header != ipv6_extension::kHopByHop ||
            (!source.is_link_local() && !source.is_unset())) {
            return;
        }
        message_ = packet.subspan(upper.offset, total - upper.offset);
        const auto length = static_cast<std::uint16_t>(message_.size());
        if (fold(add_bytes(pseudo_header(ip, ip_protocol::kIcmpv6, length), message_.data(),
                           length)) != 0xFFFF) {
            return;
        }
        address_size_ = sizeof(IpAddress);
        kind_ = ReportKind::report;
    }

    [[nodiscard]] IpAddress address(std::size_t at) const noexcept {
        return address_size_ == sizeof(Ipv4Address)
                   ? IpAddress(load<Ipv4Address>(message_.data() + at))
                   : load<IpAddress>(message_.data() + at);
    }

    /// False when a record does not end within the message.
    template <class Visit>
    bool walk(Visit&& visit) const {
        const std::size_t size = message_.size();
        if (!has_records_) {
            // The group of IGMP is within the first eight bytes, that of MLD behind them.
            const std::size_t at = address_size_ == sizeof(Ipv4Address) ? kHead / 2 : kHead;
            if (size < at + address_size_) {
                return false;
            }
            visit(GroupRecord{only_, address(at), {}});
            return true;
        }
        std::size_t at = kHead;
        for (unsigned left = load<Be16>(message_.data() + 6).value(); left != 0; --left) {
            if (size - at < kRecordHead + address_size_) {
                return false;
            }
            const auto type = static_cast<std::uint8_t>(message_[at]);
            const std::size_t auxiliary = static_cast<std::size_t>(message_[at + 1]) * 4;
            const std::size_t sources =
                load<Be16>(message_.data() + at + 2).value() * address_size_;
            const IpAddress group = address(at + kRecordHead);
            at += kRecordHead + address_size_;
            if (size - at < sources + auxiliary) {
                return false;
            }
            if (type >= static_cast<std::uint8_t>(GroupChange::is_include) &&
                type <= static_cast<std::uint8_t>(GroupChange::block)) {
                visit(GroupRecord{static_cast<GroupChange>(type), group,
                                  message_.subspan(at, sources)});
            }
            at += sources + auxiliary;
        }
        return true;
    }

    static bool counts(const GroupRecord& record) noexcept {
        if (record.group.is_v4()) {
            return record.group.is_multicast() &&
                   record.group.v4() != Ipv4Address::of(224, 0, 0, 1);
        }
        // Scopes 0 and 1 stay within the host (RFC 4291 section 2.7).
        return record.group.is_multicast() && (record.group.bytes[1] & 0xFU) > 1 &&
               record.group != all_nodes();
    }

    ReportKind kind_ = ReportKind::none;
    bool has_records_ = false;
    GroupChange only_ = GroupChange::is_exclude;
    std::size_t address_size_ = 0;
    std::span<const std::byte> message_;
};

}  // namespace vxplane::net
