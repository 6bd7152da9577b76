// The methods that the server brings itself: help, its own figures, and the subscription to events.
#include <algorithm>
#include <stdexcept>

#include "control/rpc/client.hpp"
#include "control/rpc/server.hpp"

namespace vxplane::control::rpc {

void Server::add_topic(std::string name, std::string help) {
    constexpr std::size_t most = 64;  // one bit each in Client::topics
    if (topics_.size() == most || topic_bit(name) != 0) {
        throw std::logic_error("rpc topic declared twice, or one too many: " + name);
    }
    topics_.emplace_back(std::move(name), std::move(help));
}

std::uint64_t Server::topic_bit(std::string_view topic) const noexcept {
    for (std::size_t i = 0; i < topics_.size(); ++i) {
        if (topics_[i].first == topic) return std::uint64_t{1} << i;
    }
    return 0;
}

Reply Server::subscribe(const Json& params, bool on) {
    if (current_ == nullptr) return refuse("only a client of the socket can subscribe");
    std::uint64_t bits = 0;
    std::vector<std::string> known;
    for (const auto& topic : topics_) known.push_back(topic.first);
    if (!params.contains("topics")) {
        for (const auto& name : known) bits |= topic_bit(name);
    }
    for (const auto& topic : params.value("topics", Json::array())) {
        if (!topic.is_string()) return invalid("topics: must hold strings");
        const auto& name = topic.get_ref<const std::string&>();
        const std::uint64_t bit = topic_bit(name);
        if (bit == 0) {
            std::string message = "topics: '" + name.substr(0, 64) + "' is not known";
            if (const auto near = nearest_name(name, known)) {
                message += ", did you mean '" + *near + "'?";
            }
            return invalid(std::move(message), {{"param", "topics"}, {"allowed", known}});
        }
        bits |= bit;
    }
    current_->topics = on ? current_->topics | bits : current_->topics & ~bits;
    Json now = Json::array();
    for (std::size_t i = 0; i < topics_.size(); ++i) {
        if ((current_->topics >> i & 1) != 0) now.push_back(topics_[i].first);
    }
    return Json{{"topics", std::move(now)}};
}

void Server::add_own_methods() {
    const Param topics{
        .name = "topics", .type = Type::array, .help = "which ones; all when left out"};
    methods_.add({.name = "rpc.methods",
                  .help = "every method with its parameters",
                  .call = [this](const Json&) -> Reply { return methods_.describe(); }});
    methods_.add({.name = "rpc.stats",
                  .help = "figures of this server",
                  .call = [this](const Json&) -> Reply { return to_json(stats()); }});
    methods_.add({.name = "rpc.topics",
                  .help = "what can be subscribed to",
                  .call = [this](const Json&) -> Reply {
                      Json list = Json::array();
                      for (const auto& [name, help] : topics_) {
                          list.push_back({{"name", name}, {"help", help}});
                      }
                      return list;
                  }});
    methods_.add({.name = "subscribe",
                  .help = "send events of these topics on this connection",
                  .params = {topics},
                  .call = [this](const Json& params) { return subscribe(params, true); }});
    methods_.add({.name = "unsubscribe",
                  .help = "stop to send events of these topics",
                  .params = {topics},
                  .call = [this](const Json& params) { return subscribe(params, false); }});
}

Json to_json(const ServerStats& stats) {
    return {{"clients", stats.clients},           {"subscribers", stats.subscribers},
            {"accepted", stats.accepted},         {"refused_clients", stats.refused_clients},
            {"requests", stats.requests},         {"errors", stats.errors},
            {"closed_slow", stats.closed_slow},   {"closed_long_line", stats.closed_long_line},
            {"events_sent", stats.events_sent},   {"events_lost", stats.events_lost},
            {"memory_bytes", stats.memory_bytes}, {"memory_high_water", stats.memory_high_water}};
}

}  // namespace vxplane::control::rpc
