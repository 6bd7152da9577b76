// The few values whose text needs more than a line.
#include "config/show.hpp"

namespace vxplane::config {

std::string show_number(std::uint64_t value, const ValueType& type) {
    if (value == 0 && !type.words.empty()) return std::string(type.words[0]);
    constexpr std::uint64_t mebibyte = 1ULL << 20;
    if (type.kind == ValueType::Kind::size && value % mebibyte == 0) {
        return std::to_string(value / mebibyte) + "M";
    }
    return std::to_string(value);
}

std::string show(const IpPrefix& value, const ValueType& type) {
    if (!type.words.empty() && value == IpPrefix{}) return std::string(type.words[0]);
    return value.text();
}

std::string show(const PortRange& value, const ValueType& /*type*/) {
    std::string text = std::to_string(value.lo);
    text += " to ";
    return text + std::to_string(value.hi);
}

}  // namespace vxplane::config
