// Aligned text tables from JSON rows. One list of columns serves both ways of looking: totals, and
// rates between two samples.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace vxplane::control::ctl {

using Json = nlohmann::json;

/// How a column is shown. Counters (`count`, `bytes`) become rates when two samples are compared:
/// bytes as bits per second.
enum class Kind : std::uint8_t { text, number, count, bytes };

struct Column {
    std::string header;
    std::string path;  ///< JSON pointer within a row, e.g. `/rx/packets`
    Kind kind = Kind::text;
};

/// Two samples of the same rows. `seconds` is the time between them; 0: there is no earlier one.
struct Interval {
    Json before = Json::array();
    double seconds = 0;
};

/// Text of `rows`: a header, then one line each, columns parted by two spaces, numbers to the
/// right. A missing value is `-`. With `interval`, counters are shown per second in human units;
/// rows are matched by the values at the pointers `key`.
[[nodiscard]] std::string table(const std::vector<Column>& columns, const Json& rows,
                                const std::vector<std::string>& key, const Interval* interval);

/// One value as a cell: lists joined by commas, `-` for nothing, control characters replaced.
[[nodiscard]] std::string cell(const Json& value);
/// The value at a pointer, or null.
[[nodiscard]] const Json& at(const Json& row, const std::string& path);
/// The row of `rows` with the same values at the pointers `key`, or null.
[[nodiscard]] const Json* same_row(const Json& rows, const Json& row,
                                   const std::vector<std::string>& key);
/// 0, 999, 1.25k, 98.7M, 1.00G: at most three digits of worth; powers of 1000.
[[nodiscard]] std::string human(double value);

}  // namespace vxplane::control::ctl
