// Cells, rates and alignment.
#include "control/ctl/table.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace vxplane::control::ctl {

namespace {

std::string fixed(double value, int digits) {
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%.*f", digits, value);
    return text.data();
}

// Columns on screen: continuation bytes of UTF-8 take none.
std::size_t width(const std::string& text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    }));
}

bool is_counter(Kind kind) {
    return kind == Kind::count || kind == Kind::bytes;
}

std::string rate_header(const Column& column) {
    std::string header = column.header;
    if (column.kind == Kind::bytes) {
        if (const auto at_bytes = header.find("BYTES"); at_bytes != std::string::npos) {
            header.replace(at_bytes, 5, "BITS");
        }
    }
    return header + "/S";
}

std::string rate(const Column& column, const Json& row, const Json* before, double seconds) {
    const Json& now = at(row, column.path);
    if (before == nullptr || seconds <= 0 || !now.is_number()) return "-";
    const Json& then = at(*before, column.path);
    if (!then.is_number()) return "-";
    // A counter that went back was reset in between: what it shows has come since.
    const double delta = now >= then ? now.get<double>() - then.get<double>() : now.get<double>();
    return human(delta / seconds * (column.kind == Kind::bytes ? 8 : 1));
}

void add_line(std::string& text, const std::vector<Column>& columns,
              const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) {
    std::string line;
    for (std::size_t i = 0; i < columns.size(); ++i) {
        const std::string fill(widths[i] - width(cells[i]), ' ');
        if (i != 0) line += "  ";
        line += columns[i].kind == Kind::text ? cells[i] + fill : fill + cells[i];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
}

}  // namespace

std::string human(double value) {
    constexpr std::array<const char*, 6> units{"", "k", "M", "G", "T", "P"};
    std::size_t unit = 0;
    // 999.5 would be printed as 1000.
    while (std::abs(value) >= 999.5 && unit + 1 < units.size()) {
        value /= 1000;
        ++unit;
    }
    const double size = std::abs(value);
    int digits = size < 9.995 ? 2 : size < 99.95 ? 1 : 0;
    if (unit == 0 && (size >= 9.995 || value == std::floor(value))) digits = 0;
    return fixed(value, digits) + units.at(unit);
}

const Json& at(const Json& row, const std::string& path) {
    static const Json nothing;
    const Json::json_pointer pointer(path);
    return row.is_structured() && row.contains(pointer) ? row.at(pointer) : nothing;
}

std::string cell(const Json& value) {
    std::string text;
    if (value.is_null()) return "-";
    if (value.is_string()) {
        text = value.get<std::string>();
    } else if (value.is_boolean()) {
        text = value.get<bool>() ? "yes" : "no";
    } else if (value.is_number_float()) {
        text = fixed(value.get<double>(), 2);
    } else if (value.is_array()) {
        for (const auto& member : value) {
            if (!text.empty()) text += ",";
            text += cell(member);
        }
    } else {
        text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    }
    for (char& c : text) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    }
    return text.empty() ? "-" : text;
}

const Json* same_row(const Json& rows, const Json& row, const std::vector<std::string>& key) {
    for (const auto& other : rows) {
        if (std::all_of(key.begin(), key.end(), [&](const std::string& path) {
                return at(other, path) == at(row, path);
            })) {
            return &other;
        }
    }
    return nullptr;
}

std::string table(const std::vector<Column>& columns, const Json& rows,
                  const std::vector<std::string>& key, const Interval* interval) {
    std::vector<std::vector<std::string>> lines(1);
    for (const auto& column : columns) {
        lines[0].push_back(interval != nullptr && is_counter(column.kind) ? rate_header(column)
                                                                          : column.header);
    }
    const bool counts = std::any_of(columns.begin(), columns.end(),
                                    [](const Column& column) { return is_counter(column.kind); });
    for (const auto& row : rows) {
        const Json* before = interval != nullptr && interval->seconds > 0 && counts
                                 ? same_row(interval->before, row, key)
                                 : nullptr;
        auto& line = lines.emplace_back();
        for (const auto& column : columns) {
            line.push_back(interval != nullptr && is_counter(column.kind)
                               ? rate(column, row, before, interval->seconds)
                               : cell(at(row, column.path)));
        }
    }
    std::vector<std::size_t> widths(columns.size());
    for (const auto& line : lines) {
        for (std::size_t i = 0; i < line.size(); ++i)
            widths[i] = std::max(widths[i], width(line[i]));
    }
    std::string text;
    for (const auto& line : lines) add_line(text, columns, line, widths);
    return text;
}

}  // namespace vxplane::control::ctl
