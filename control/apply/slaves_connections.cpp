// What changes of slaves mean to connections: who has gone takes them along, and how long the
// others are remembered.
#include <algorithm>

#include "config/resolve.hpp"
#include "control/apply/slaves.hpp"

namespace vxplane::control {

namespace {

table::ConnTimeouts timeouts_of(const config::ConntrackOptions& options) {
    table::ConnTimeouts out;
    const auto tcp = [&out](table::TcpState state, std::uint32_t seconds) {
        out.tcp[static_cast<std::size_t>(state)] = seconds * 1000;
    };
    tcp(table::TcpState::syn_sent, options.tcp_syn_sent);
    tcp(table::TcpState::syn_sent2, options.tcp_syn_sent);
    tcp(table::TcpState::syn_recv, options.tcp_syn_recv);
    tcp(table::TcpState::established, options.tcp_established);
    tcp(table::TcpState::fin_wait, options.tcp_fin_wait);
    tcp(table::TcpState::close_wait, options.tcp_close_wait);
    tcp(table::TcpState::last_ack, options.tcp_last_ack);
    tcp(table::TcpState::time_wait, options.tcp_time_wait);
    tcp(table::TcpState::close, options.tcp_close);
    out.udp = options.udp * 1000;
    out.udp_stream = options.udp_stream * 1000;
    out.icmp = options.icmp * 1000;
    out.generic = options.generic * 1000;
    return out;
}

}  // namespace

void Slaves::set_timeouts() {
    for (const config::Ipvlan& ipvlan : topology_->ipvlans) {
        if (table::Conntrack* tracker = conntrack(ipvlan.name)) {
            tracker->set_timeouts(timeouts_of(ipvlan.conntrack));
        }
    }
}

void Slaves::flush_connections_of_the_gone(
    const std::vector<table::Slave>& before,
    const std::vector<std::pair<table::ScopedAddress, std::uint32_t>>& addresses) {
    const auto is_there = [](const table::Slave& slave) {
        return slave.port != table::kNoPort && slave.up;
    };
    const auto ask = [this](std::size_t slave, const net::IpAddress& address) {
        const std::string& name = slave_names_[slave];
        table::ConnFilter filter;
        filter.slave = static_cast<std::uint16_t>(slave);
        filter.address = address;
        flushes_.emplace_back(name.substr(0, name.find('/')), filter);
    };
    for (const auto& [name, conntrack] : conntracks_) {
        const auto master = find_master(name);
        if (!master || masters_[*master].conntrack == nullptr) {
            flushes_.emplace_back(name, table::ConnFilter{});
        }
    }
    std::vector<bool> whole(before.size(), false);
    for (std::size_t i = 0; i < before.size(); ++i) {
        whole[i] =
            is_there(before[i]) && (!is_there(slaves_[i]) || before[i].vrf != slaves_[i].vrf ||
                                    before[i].master != slaves_[i].master);
        if (whole[i]) {
            ask(i, {});
        }
    }
    // Of a slave that stays, those of an address that it has no more.
    auto now = addresses_;
    const auto order = [](const auto& one, const auto& other) {
        return std::tuple(one.second, one.first.scope, one.first.address) <
               std::tuple(other.second, other.first.scope, other.first.address);
    };
    std::sort(now.begin(), now.end(), order);
    for (const auto& one : addresses) {
        if (one.second < whole.size() && !whole[one.second] && is_there(before[one.second]) &&
            !std::binary_search(now.begin(), now.end(), one, order)) {
            ask(one.second, one.first.address);
        }
    }
    tick();
}

void Slaves::tick() {
    for (; !flushes_.empty(); flushes_.pop_front()) {
        const auto& [name, filter] = flushes_.front();
        const auto known = conntracks_.find(name);
        if (known != conntracks_.end() && known->second->request_flush(filter) == 0) {
            return;  // the worker has enough to do: later
        }
    }
}

}  // namespace vxplane::control
