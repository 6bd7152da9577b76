// Which client asked a DHCP server, when all clients share one MAC address, and which addresses
// were leased to whom. Met by the daemon for slaves of ipvlans.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "dataplane/net/dhcp_message.hpp"

namespace vxplane::control {

struct LeaseOptions {
    std::chrono::seconds question{60};  ///< that an answer is waited for
    std::size_t questions = 16;         ///< of one client; the oldest goes first
    std::size_t per_client = 8;         ///< leases
    std::size_t total = 65'536;         ///< leases of all clients
};

/// Control thread only; time is handed in. A question is that of who asked first: whoever repeats
/// what it overheard gets nothing by it.
class Leases {
  public:
    using Time = std::chrono::steady_clock::time_point;
    using Client = std::uint16_t;
    using Link = std::uint16_t;

    explicit Leases(LeaseOptions options = {}) : options_(options) {}

    /// A message of a client. A release or decline ends a lease.
    void ask(Link link, Client client, const net::DhcpMessage& message, Time now);
    /// Who asked for this answer of a server.
    [[nodiscard]] std::optional<Client> who_asked(Link link, const net::DhcpMessage& answer,
                                                  Time now);
    enum class Granted : std::uint8_t { added, renewed, no_room };
    /// `answer` is an acknowledgement with an address. It is the caller's to know that the address
    /// is nobody else's.
    Granted grant(Link link, Client client, const net::DhcpMessage& answer, Time now);
    /// The server says no to what the client asked for with this transaction.
    void deny(Link link, Client client, const net::DhcpMessage& answer);

    [[nodiscard]] std::optional<Client> owner(Link link, net::Ipv4Address address) const;
    void remove(Link link, net::Ipv4Address address);
    /// Questions and leases of the client.
    void forget(Client client);
    void tick(Time now);
    [[nodiscard]] std::optional<Time> next_due() const {
        return due_.empty() ? std::nullopt : std::optional(due_.begin()->first);
    }
    /// Whether leases have come or gone since the last call.
    [[nodiscard]] bool take_changed() { return std::exchange(changed_, false); }

    struct View {
        Link link = 0;
        Client client = 0;
        net::Ipv4Address address;
        std::optional<std::chrono::milliseconds> left;  ///< none: for ever
    };
    [[nodiscard]] std::vector<View> all(Time now) const;
    [[nodiscard]] std::vector<View> of(Client client, Time now) const;
    [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }
    [[nodiscard]] std::size_t questions() const noexcept { return questions_.size(); }

  private:
    /// Transaction id and client hardware address; a server gives both back.
    using Question = std::tuple<Link, std::uint32_t, std::array<std::uint8_t, 16>>;
    struct Asked {
        Client client = 0;
        Time until{};
        std::uint64_t order = 0;
        net::Ipv4Address wanted;  ///< that the client asked for; zero = none
    };
    using Key = std::pair<Link, std::uint32_t>;  ///< address in host order
    struct Lease {
        Client client = 0;
        Time until{};
    };
    struct Member {
        std::map<std::uint64_t, Question> questions;  ///< by age
        std::set<Key> leases;
    };

    static Question key_of(Link link, const net::DhcpMessage& message);
    static View view_of(const Key& key, const Lease& lease, Time now);
    void drop_question(std::map<Question, Asked>::iterator at);
    void drop_lease(std::map<Key, Lease>::iterator at);

    LeaseOptions options_;
    std::map<Question, Asked> questions_;
    std::map<Key, Lease> leases_;
    std::map<Client, Member> members_;
    std::set<std::pair<Time, Key>> due_;  ///< leases that end
    std::set<std::pair<Time, Question>> old_;
    std::uint64_t order_ = 0;
    std::uint64_t refused_ = 0;
    bool changed_ = false;
};

}  // namespace vxplane::control
