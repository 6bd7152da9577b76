// The few values whose text needs more than a line.
#include "config/show.hpp"

#include <algorithm>
#include <array>

namespace vxplane::config {

namespace {

/// The word that stands for a number, or the number.
std::string named_text(std::int64_t value, const ValueType& type) {
    const auto named = std::ranges::find(type.numbers, value);
    if (named == type.numbers.end()) return std::to_string(value);
    return std::string(type.words[static_cast<std::size_t>(named - type.numbers.begin())]);
}

std::string rate_text(std::uint64_t value) {
    if (value == 0) return "none";
    static constexpr std::array<std::string_view, 4> units{"bit", "kbit", "mbit", "gbit"};
    std::size_t unit = 0;
    while (unit + 1 < units.size() && value % 1000 == 0) {
        value /= 1000;
        ++unit;
    }
    return std::to_string(value) + std::string(units[unit]);
}

}  // namespace

std::string show(int value, const ValueType& type) {
    return named_text(value, type);
}

std::string show(const Ports& value, const ValueType& /*type*/) {
    if (value == Ports{}) return "any";
    std::string text = std::to_string(value.lo);
    if (value.lo != value.hi) text += "-" + std::to_string(value.hi);
    return text;
}

std::string show(const Hop& value, const ValueType& /*type*/) {
    std::string text;
    const auto add = [&](std::string_view key, const std::string& word) {
        if (word.empty()) return;
        if (!text.empty()) text += ' ';
        text.append(key).append(" ").append(word);
    };
    add("via", value.via ? value.via->text() : "");
    add("dev", value.dev);
    add("slave", value.slave);
    add("vxlan", value.vxlan);
    add("remote", value.remote ? value.remote->text() : "");
    add("lladdr", value.lladdr ? value.lladdr->text() : "");
    add("table", value.table);
    add("weight", value.weight == 1 ? "" : std::to_string(value.weight));
    return text;
}

std::string show_number(std::uint64_t value, const ValueType& type) {
    if (type.kind == ValueType::Kind::named_number) {
        return named_text(static_cast<std::int64_t>(value), type);
    }
    if (type.kind == ValueType::Kind::rate) return rate_text(value);
    if (value == 0 && !type.words.empty()) return std::string(type.words[0]);
    constexpr std::uint64_t mebibyte = 1ULL << 20;
    if (type.kind == ValueType::Kind::size && value % mebibyte == 0) {
        return std::to_string(value / mebibyte) + "M";
    }
    return std::to_string(value);
}

std::string show(const IpPrefix& value, const ValueType& type) {
    if (!type.words.empty() && value.length == 0 && value.address.is_unspecified()) {
        return std::string(type.words[value.address.is_ipv4() ? 0 : 1]);
    }
    return value.text();
}

std::string show(const PortRange& value, const ValueType& /*type*/) {
    std::string text = std::to_string(value.lo);
    text += " to ";
    return text + std::to_string(value.hi);
}

}  // namespace vxplane::config
