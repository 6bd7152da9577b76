#include "dataplane/table/fib.hpp"

namespace vxplane::table {

bool Fib4::add(std::uint32_t prefix, std::uint8_t length, Route route) {
    const Lpm<4>::Bits bytes = bytes_of(prefix);
    if (const std::uint32_t known = prefixes_.find(bytes.data(), length); known != 0) {
        routes_[known - 1] = route;
        return true;
    }
    if (free_.empty()) {
        routes_.emplace_back();
        free_.push_back(static_cast<std::uint32_t>(routes_.size()));
    }
    const std::uint32_t value = free_.back();
    if (!prefixes_.add(bytes.data(), length, value)) {
        return false;
    }
    free_.pop_back();
    routes_[value - 1] = route;
    free_nodes();
    return true;
}

bool Fib4::remove(std::uint32_t prefix, std::uint8_t length) {
    const Lpm<4>::Bits bytes = bytes_of(prefix);
    const std::uint32_t value = prefixes_.find(bytes.data(), length);
    if (value == 0) {
        return false;
    }
    prefixes_.remove(bytes.data(), length);
    free_.push_back(value);
    free_nodes();
    return true;
}

/// One thread: nobody can be inside a node.
void Fib4::free_nodes() noexcept {
    prefixes_.begin_grace();
    prefixes_.end_grace();
}

bool Fib6::add(const net::IpAddress& prefix, std::uint8_t length, const Route6& route) {
    if (const std::uint32_t known = prefixes_.find(prefix.bytes.data(), length); known != 0) {
        routes_[known - 1] = route;
        return true;
    }
    if (free_.empty()) {
        routes_.emplace_back();
        free_.push_back(static_cast<std::uint32_t>(routes_.size()));
    }
    const std::uint32_t value = free_.back();
    if (!prefixes_.add(prefix.bytes.data(), length, value)) {
        return false;
    }
    free_.pop_back();
    routes_[value - 1] = route;
    free_nodes();
    return true;
}

bool Fib6::remove(const net::IpAddress& prefix, std::uint8_t length) {
    const std::uint32_t value = prefixes_.find(prefix.bytes.data(), length);
    if (value == 0) {
        return false;
    }
    prefixes_.remove(prefix.bytes.data(), length);
    free_.push_back(value);
    free_nodes();
    return true;
}

void Fib6::free_nodes() noexcept {
    prefixes_.begin_grace();
    prefixes_.end_grace();
}

}  // namespace vxplane::table
