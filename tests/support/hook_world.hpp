// Packets built and read field by field, and a master with its slaves reduced to what the hooks
// see of them. Nothing here uses the checksum code of the data plane.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dataplane/step/hooks.hpp"

namespace vxplane::support::hooks {

using Bytes = std::vector<std::uint8_t>;

/// "10.0.0.1" or "2001:db8::1"
net::IpAddress address(const std::string& text);

constexpr std::uint8_t kTcp = 6, kUdp = 17, kIcmp = 1, kIcmp6 = 58;

/// An IP packet in words; every field is right by itself.
struct Words {
    std::string source = "10.0.0.5";
    std::string destination = "198.51.100.9";
    std::uint8_t protocol = kUdp;
    std::uint16_t source_port = 1000;  ///< ICMP: identifier
    std::uint16_t destination_port = 53;
    std::uint8_t tcp_flags = 0x10;
    std::uint32_t sequence = 1;
    std::uint32_t acknowledgement = 1;
    std::uint8_t icmp_type = 8;
    std::uint8_t icmp_code = 0;
    bool no_udp_checksum = false;
    Bytes payload{1, 2, 3, 4, 5};
    Bytes quoted{};  ///< an ICMP error about this packet, cut to `quote` bytes
    std::size_t quote = 10'000;
    std::uint16_t fragment = 0;  ///< flags and offset as in IPv4; IPv6 gets a header for it
    std::uint32_t id = 7;
    Bytes rest{};  ///< of a later fragment: all behind the network header
};
/// Without Ethernet header.
Bytes packet_of(const Words& words);

/// What a packet says.
struct Read {
    std::string source, destination;
    std::uint16_t source_port = 0, destination_port = 0;  ///< ICMP query: identifier, 0
    std::uint8_t protocol = 0;
};
Read read(const Bytes& packet);
/// The packet that an ICMP error quotes.
Bytes quoted(const Bytes& error);
/// All checksums, those of quoted headers included where they are whole. `whole` false: only the
/// headers, not the transport (first fragments, cut quotations).
bool checksums_right(const Bytes& packet, bool whole = true);
std::string text(const Bytes& packet);

/// What happened to one packet.
struct Outcome {
    packet::Verdict verdict = packet::Verdict::go_on();
    Bytes packet{};
    step::HookContext ctx{};
    packet::PacketMeta meta{};
    [[nodiscard]] bool passed() const { return verdict.goes_on(); }
    [[nodiscard]] packet::DropReason reason() const {
        return verdict.is_drop() ? verdict.reason() : packet::DropReason::none;
    }
    [[nodiscard]] Read read() const { return hooks::read(packet); }
};

/// A frame around bytes in memory of its own.
class Buffer {
  public:
    explicit Buffer(const Bytes& packet);
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    step::L3Packet l3;
    packet::Packet view{&mbuf_};
    [[nodiscard]] packet::Verdict parse() { return step::parse(view, kEthernet, l3); }
    [[nodiscard]] Bytes bytes() const;

  private:
    static constexpr std::uint16_t kEthernet = 14;
    std::vector<std::uint8_t> memory_;
    rte_mbuf mbuf_{};
};

/// A master in mode l3s, whose hooks see all packets of its slaves.
class World {
  public:
    explicit World(std::vector<table::HookRule> rules = {}, std::uint32_t capacity = 1024,
                   table::ConnTimeouts timeouts = {});

    static constexpr const char* kPublic4 = "203.0.113.1";
    static constexpr const char* kPublic6 = "2001:db8:ff::1";

    /// Slave `number` is of tenant `zone`.
    void slave(std::uint16_t number, std::uint16_t zone);
    /// A slave's packet on its way to the wire.
    Outcome out(const Bytes& packet, std::uint16_t slave);
    /// A packet from the wire; delivered to the slave that its connection, or `to`, names.
    Outcome in(const Bytes& packet, std::uint16_t to = table::kNoSlave);
    /// From one slave to the slave that the hooks or `to` name, by the master.
    Outcome across(const Bytes& packet, std::uint16_t slave, std::uint16_t to);

    table::Conntrack conntrack;
    table::HookSet rules;
    table::RuleCounters counters;
    std::uint32_t now = 1'000'000;

  private:
    step::HookContext context(std::uint16_t slave) const;
    /// That of the port (0) for what is no slave: a known connection may send there what was meant
    /// for a slave.
    [[nodiscard]] std::uint16_t zone(std::uint16_t slave) const;

    std::vector<std::uint16_t> zones_ = std::vector<std::uint16_t>(64, 0);
};

/// Masquerade of everything that leaves for the wire.
table::HookRule masquerade(std::uint16_t low = 0, std::uint16_t high = 0xFFFF);
/// 1:1 of a public address and a slave's: for prerouting, output and postrouting.
std::vector<table::HookRule> one_to_one(const std::string& public_, const std::string& private_,
                                        std::uint16_t slave, std::uint16_t zone);

}  // namespace vxplane::support::hooks
