// What slaves' own packets tell of them: the multicast groups that they want, and the addresses
// that DHCP servers lease them. It is published together with what the topology says.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "config/resolve.hpp"
#include "control/apply/from_topology.hpp"
#include "control/apply/slaves.hpp"
#include "control/apply/words.hpp"
#include "control/resolve/leases.hpp"
#include "dataplane/net/group_query.hpp"

namespace vxplane::control {

namespace {

// A slave that joins and leaves without end makes us publish this often, and no oftener.
constexpr std::chrono::milliseconds kPublishEvery{50};
constexpr std::chrono::seconds kLogEvery{10};
constexpr std::size_t kEthernetBytes = sizeof(net::EthernetHeader);

}  // namespace

void Slaves::adapt_learned() {
    for (std::size_t i = 0; i < slaves_.size(); ++i) {
        const table::Slave& slave = slaves_[i];
        const auto number = static_cast<std::uint16_t>(i);
        const table::Master* master =
            slave.port == table::kNoPort ? nullptr : &masters_[slave.master];
        if (master != nullptr && master->mcast_snooping && !slave.groups.all &&
            master->mode == table::IpvlanMode::l2) {
            memberships_.listen(number, {slave.groups.macs.begin(),
                                         slave.groups.macs.begin() + slave.groups.count});
        } else {
            memberships_.forget(number);
        }
    }
    adapt_leases();
}

void Slaves::adapt_leases() {
    const auto may_lease = [this](std::uint16_t number) {
        const table::Slave& slave = slaves_[number];
        return slave.port != table::kNoPort && slave.vrf == 0 &&
               masters_[slave.master].dhcp_snoop &&
               masters_[slave.master].mode == table::IpvlanMode::l2;
    };
    for (std::size_t i = 0; i < slaves_.size(); ++i) {
        if (!may_lease(static_cast<std::uint16_t>(i))) {
            leases_->forget(static_cast<std::uint16_t>(i));
        }
    }
    for (const Leases::View& lease : leases_->all({})) {
        const auto problem = slaves_[lease.client].master != lease.link
                                 ? Problem("its slave is of another ipvlan")
                                 : lease_problem(lease.client, lease.address);
        if (problem) {
            spdlog::warn("slave {}: its lease of {} ends: {}", name_of(lease.client),
                         text(lease.address), *problem);
            leases_->remove(lease.link, lease.address);
        }
    }
}

Slaves::Problem Slaves::lease_problem(std::uint16_t slave, const net::IpAddress& address) const {
    const std::uint16_t master = slaves_[slave].master;
    if (!net::is_host(address)) {
        return "it is no address of a host";
    }
    const auto is_it = [&address](const config::IpAddress& one) { return ip_of(one) == address; };
    for (const config::Ipvlan& ipvlan : topology_->ipvlans) {
        if (master_numbers_.at(ipvlan.name) != master) {
            continue;
        }
        for (const config::IpPrefix& own : config::find_port(*topology_, ipvlan.link)->addresses) {
            if (is_it(own.address)) {
                return "it is the address of the link, port " + ipvlan.link;
            }
        }
        for (const config::Neighbour& other : topology_->neighbours) {
            if (other.dev == ipvlan.link && is_it(other.address)) {
                return "it is the address of a neighbour of the link";
            }
        }
    }
    for (const auto& [known, number] : addresses_) {
        if (known == table::ScopedAddress{address, table::slave_scope(master, 0)} &&
            number != slave) {
            return "it is the address of slave " +
                   name_of(static_cast<std::uint16_t>(number & ~table::kPublicAddress));
        }
    }
    const auto leased = leases_->owner(master, address.v4());
    return leased && *leased != slave ? Problem("it is leased to slave " + name_of(*leased))
                                      : std::nullopt;
}

void Slaves::hear_dhcp_request(std::uint16_t slave_port, std::span<const std::byte> frame,
                               Time now) {
    const std::uint16_t number = bridge_.port(slave_port).slave;
    if (number == table::kNoSlave || frame.size() <= kEthernetBytes) {
        return;
    }
    const table::Slave& slave = slaves_[number];
    const auto message = net::read_dhcp(frame.subspan(kEthernetBytes));
    // Addresses of tenants mean nothing on the wire.
    if (message && !message->from_server && slave.vrf == 0 && masters_[slave.master].dhcp_snoop) {
        leases_->ask(slave.master, number, *message, now);
    }
}

Slaves::DhcpAnswer Slaves::hear_dhcp_reply(std::uint16_t link_port,
                                           std::span<const std::byte> frame, Time now) {
    const std::uint16_t master = bridge_.port(link_port).master;
    const auto message = frame.size() <= kEthernetBytes || master == table::kNoMaster
                             ? std::nullopt
                             : net::read_dhcp(frame.subspan(kEthernetBytes));
    if (!message || !message->from_server) {
        return {};
    }
    const auto client = leases_->who_asked(master, *message, now);
    if (!client) {
        return {};
    }
    const std::uint16_t port = slaves_[*client].port;
    if (message->type == net::DhcpType::nak) {
        leases_->deny(master, *client, *message);
    }
    // An answer to DHCPINFORM gives no address.
    if (message->type != net::DhcpType::ack || message->yours.is_zero() ||
        message->lease_seconds.value_or(0) == 0) {
        return {port, false};
    }
    if (const auto problem = lease_problem(*client, message->yours)) {
        spdlog::warn(
            "slave {}: DHCP leases it {}: {}. Clients behind one MAC address need "
            "client identifiers of their own",
            name_of(*client), text(message->yours), *problem);
        return {port, true};
    }
    const net::IpAddress address = message->yours;
    const bool its_own = std::any_of(addresses_.begin(), addresses_.end(), [&](const auto& one) {
        return one.first == table::ScopedAddress{address, table::slave_scope(master, 0)};
    });
    if (its_own) {
        return {port, false};
    }
    const Leases::Granted granted = leases_->grant(master, *client, *message, now);
    if (granted == Leases::Granted::no_room) {
        spdlog::warn("slave {}: DHCP leases it {}: no room for more leases", name_of(*client),
                     text(message->yours));
    } else if (granted == Leases::Granted::added) {
        spdlog::info("slave {}: {} is leased to it", name_of(*client), text(message->yours));
    }
    return {port, granted == Leases::Granted::no_room};
}

const table::Slave* Slaves::owner(std::uint16_t link_port, const net::IpAddress& address) const {
    const std::uint16_t master = bridge_.port(link_port).master;
    const table::ScopedAddress wanted{address, table::slave_scope(master, 0)};
    for (const auto& [known, number] : addresses_) {
        if (known == wanted && number < table::kPublicAddress) {
            return &slaves_[number];
        }
    }
    const auto leased = address.is_v4() ? leases_->owner(master, address.v4()) : std::nullopt;
    return leased ? &slaves_[*leased] : nullptr;
}

std::vector<std::pair<table::ScopedAddress, std::uint32_t>> Slaves::all_addresses() const {
    auto all = addresses_;
    for (const Leases::View& lease : leases_->all({})) {
        if (slaves_[lease.client].up) {
            all.push_back({{lease.address, table::slave_scope(lease.link, 0)}, lease.client});
        }
    }
    return all;
}

void Slaves::hear_report(std::uint16_t slave_port, std::span<const std::byte> frame, Time now) {
    const std::uint16_t number = bridge_.port(slave_port).slave;
    if (number != table::kNoSlave && frame.size() > kEthernetBytes) {
        memberships_.hear(number, frame.subspan(kEthernetBytes), now);
    }
}

void Slaves::tick(Time now,
                  const std::function<void(std::uint16_t, std::span<const std::byte>)>& ask) {
    if (const auto due = memberships_.next_due(); due && *due <= now) {
        memberships_.tick(now);
    }
    for (const Memberships::Question& one : memberships_.take_questions()) {
        const table::Slave& slave = slaves_[one.listener];
        std::array<std::byte, net::kGroupQueryFrame> frame{};
        const std::size_t size =
            net::make_group_query(net::MacAddress::from_number(masters_[slave.master].mac),
                                  one.group, one.response, frame);
        if (slave.up) {
            ask(slave.port, std::span(frame).first(size));
        }
    }
    if (const auto refused = memberships_.take_refused();
        refused && now - refusal_logged_ >= kLogEvery) {
        refusal_logged_ = now;
        spdlog::warn("slave {}: no room for group {} ({} were refused, at most {} groups)",
                     name_of(static_cast<std::uint16_t>(refused->first)), text(refused->second),
                     memberships_.refused(refused->first), table::GroupFilter::kRoom);
    }
    if (const auto due = leases_->next_due(); due && *due <= now) {
        leases_->tick(now);
    }
    learned_ = memberships_.take_changed() || learned_;
    learned_ = leases_->take_changed() || learned_;
    if (learned_ && now - learned_published_ >= kPublishEvery) {
        learned_ = false;
        learned_published_ = now;
        changed_ = true;
    }
}

void Slaves::fill(table::Tables& next) {
    std::vector<std::uint16_t> list;
    for (std::size_t i = 0; i < masters_.size(); ++i) {
        masters_[i].slave_begin = static_cast<std::uint32_t>(list.size());
        masters_[i].slave_count = static_cast<std::uint32_t>(of_master_[i].size());
        list.insert(list.end(), of_master_[i].begin(), of_master_[i].end());
    }
    std::vector<table::Slave> slaves = visible();
    for (std::size_t i = 0; i < slaves.size(); ++i) {
        table::GroupFilter& groups = slaves[i].groups;
        for (const std::uint64_t mac : memberships_.macs(static_cast<Memberships::Listener>(i))) {
            if (groups.count < table::GroupFilter::kRoom) {
                groups.macs[groups.count++] = mac;
            }
        }
    }
    next.masters = table::Shared<table::Master>(masters_);
    table::set_slaves(next, std::move(slaves));
    next.slave_list = table::Shared<std::uint16_t>(std::move(list));
    next.slave_addresses = std::make_shared<const table::AddressMap>(all_addresses());
    next.hook_sets = table::Shared<table::HookSet>(hook_sets_);
    changed_ = false;
}

}  // namespace vxplane::control
