#include "control/ctl/external.hpp"

#include <algorithm>
#include <map>

namespace vxplane::control::ctl {

namespace {

std::string part_of(const Json& segment) {
    const Json& name = at(segment, "/part_of");
    return name.is_string() ? name.get<std::string>() : std::string();
}

/// Adds the numbers of `more` to those of `sum`, one level deep.
void add_numbers(Json& sum, const Json& more) {
    for (const char* path : {"/fdb_used", "/flooded", "/oversize", "/answered", "/untold",
                             "/ecn_odd", "/rx/packets", "/rx/bytes", "/rx/drops", "/rx/errors",
                             "/tx/packets", "/tx/bytes", "/tx/drops", "/tx/errors"}) {
        const Json& one = at(more, path);
        if (!one.is_number_integer()) continue;
        Json& total = sum[Json::json_pointer(path)];
        total =
            (total.is_number_integer() ? total.get<std::uint64_t>() : 0) + one.get<std::uint64_t>();
    }
}

void add_words(Json& all, const Json& more) {
    for (const Json& word : more) {
        if (std::find(all.begin(), all.end(), word) == all.end()) all.push_back(word);
    }
}

}  // namespace

std::string ranges(std::vector<std::uint64_t> numbers) {
    std::sort(numbers.begin(), numbers.end());
    std::string text;
    for (std::size_t first = 0; first < numbers.size();) {
        std::size_t last = first;
        while (last + 1 < numbers.size() && numbers[last + 1] <= numbers[last] + 1) ++last;
        text += (text.empty() ? "" : ",") + std::to_string(numbers[first]);
        if (numbers[last] != numbers[first]) text += "-" + std::to_string(numbers[last]);
        first = last + 1;
    }
    return text;
}

Json one_row_each(const Json& segments) {
    Json rows = Json::array();
    std::map<std::string, std::size_t> places;
    std::map<std::string, std::vector<std::uint64_t>> vnis;
    for (const Json& segment : segments) {
        const std::string name = part_of(segment);
        if (name.empty()) {
            rows.push_back(segment);
            continue;
        }
        if (const Json& vni = at(segment, "/vni"); vni.is_number_integer()) {
            vnis[name].push_back(vni.get<std::uint64_t>());
        }
        const auto [known, fresh] = places.try_emplace(name, rows.size());
        if (fresh) {
            rows.push_back(segment);
            rows.back()["name"] = name;
            continue;
        }
        Json& row = rows[known->second];
        add_numbers(row, segment);
        for (const char* key : {"ports", "remotes"}) {
            if (row.contains(key)) add_words(row[key], at(segment, std::string("/") + key));
        }
    }
    for (const auto& [name, place] : places) rows[place]["vni"] = ranges(vnis[name]);
    return rows;
}

bool is_one_external(const Json& segments) {
    return segments.is_array() && !segments.empty() &&
           std::all_of(segments.begin(), segments.end(), [&](const Json& segment) {
               const std::string name = part_of(segment);
               return !name.empty() && name == part_of(segments.front()) && segments.size() > 1;
           });
}

std::string show_vnis(const Json& segments) {
    using enum Kind;
    static const std::vector<Column> columns{{"VNI", "/vni", number},
                                             {"VID", "/vid", number},
                                             {"PORTS", "/ports"},
                                             {"REMOTES", "/remotes"},
                                             {"FDB", "/fdb_used", number},
                                             {"RX-PACKETS", "/rx/packets", count},
                                             {"RX-BYTES", "/rx/bytes", bytes},
                                             {"RX-DROPS", "/rx/drops", count},
                                             {"RX-ERRORS", "/rx/errors", count},
                                             {"TX-PACKETS", "/tx/packets", count},
                                             {"TX-BYTES", "/tx/bytes", bytes},
                                             {"TX-DROPS", "/tx/drops", count},
                                             {"TX-ERRORS", "/tx/errors", count}};
    const bool gpe = at(segments.front(), "/gpe") == true;
    return (gpe ? part_of(segments.front()) + ": gpe\n" : "") +
           table(columns, segments, {"/name"}, nullptr);
}

}  // namespace vxplane::control::ctl
