// Tracked connections, some at a time: a table of a million places takes longer to walk than others
// who ask control something should wait.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "dataplane/table/conntrack.hpp"

namespace vxplane::control {

struct ConnectionPage {
    std::vector<table::Connection> entries;
    std::optional<std::uint32_t> next;  ///< place to go on with; none: that were all
};

/// From place `from` on, until there are `limit` entries and one more, or `budget` is used up.
[[nodiscard]] inline ConnectionPage read_connections(const table::Conntrack& conntrack,
                                                     const table::ConnFilter& filter,
                                                     std::uint32_t from, std::size_t limit,
                                                     std::chrono::microseconds budget) {
    constexpr std::uint32_t kLook = 256;  // places between two looks at the clock
    const auto until = std::chrono::steady_clock::now() + budget;
    ConnectionPage page;
    table::Connection one;
    for (std::uint32_t place = from; place < conntrack.places(); ++place) {
        if (place % kLook == 0 && place != from && std::chrono::steady_clock::now() >= until) {
            page.next = place;
            break;
        }
        if (!conntrack.read(place, one) || !filter.takes(one)) {
            continue;
        }
        if (page.entries.size() >= limit) {
            page.next = place;
            break;
        }
        page.entries.push_back(one);
    }
    return page;
}

}  // namespace vxplane::control
