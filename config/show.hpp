// Values as text, in the words of the file: for differences between topologies.
#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "config/keys.hpp"
#include "config/topology.hpp"

namespace vxplane::config {

[[nodiscard]] std::string show_number(std::uint64_t value, const ValueType& type);

[[nodiscard]] inline std::string show(const std::string& value, const ValueType& /*type*/) {
    return value.empty() ? "none" : value;
}
[[nodiscard]] inline std::string show(const MacAddress& value, const ValueType& /*type*/) {
    return value.text();
}
[[nodiscard]] inline std::string show(const IpAddress& value, const ValueType& /*type*/) {
    return value.text();
}
[[nodiscard]] std::string show(const IpPrefix& value, const ValueType& type);
[[nodiscard]] std::string show(const PortRange& value, const ValueType& type);
[[nodiscard]] std::string show(const Ports& value, const ValueType& type);
/// `via 10.0.0.1 dev up weight 2`
[[nodiscard]] std::string show(const Hop& value, const ValueType& type);
[[nodiscard]] std::string show(int value, const ValueType& type);

[[nodiscard]] inline std::string show(bool value, const ValueType& /*type*/) {
    return value ? "true" : "false";
}

template <std::unsigned_integral T>
requires(!std::same_as<T, bool>) [[nodiscard]] std::string show(T value, const ValueType& type) {
    return show_number(value, type);
}

template <class T>
requires std::is_enum_v<T>
[[nodiscard]] std::string show(T value, const ValueType& type) {
    return std::string(type.words[static_cast<std::size_t>(value)]);
}

template <class T>
[[nodiscard]] std::string show(const std::optional<T>& value, const ValueType& type) {
    return value ? show(*value, type) : "none";
}

template <class T>
[[nodiscard]] std::string show(const std::vector<T>& values, const ValueType& type) {
    const ValueType& item = type.item == nullptr ? type : *type.item;
    std::string text = "[";
    for (const T& value : values) {
        if (text.size() > 1) text += ", ";
        text += show(value, item);
    }
    return text + "]";
}

}  // namespace vxplane::config
