// Edit distance (optimal string alignment): words here are short, so plain quadratic work will do.
#include "config/nearest.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <limits>

namespace vxplane::config {
namespace {

constexpr std::size_t longest_word = 64;

std::size_t distance(std::string_view a, std::string_view b) {
    std::array<std::array<std::size_t, longest_word + 1>, longest_word + 1> d{};
    for (std::size_t i = 0; i <= a.size(); ++i) {
        for (std::size_t j = 0; j <= b.size(); ++j) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            const std::size_t replace = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, replace});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
            }
        }
    }
    return d[a.size()][b.size()];
}

}  // namespace

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
    std::string_view best;
    if (word.size() > longest_word) return best;
    std::size_t fewest = std::numeric_limits<std::size_t>::max();
    for (const std::string_view candidate : candidates) {
        if (candidate.size() > longest_word) continue;
        const std::size_t edits = distance(word, candidate);
        if (edits < fewest) {
            fewest = edits;
            best = candidate;
        }
    }
    return best;
}

std::string quoted(std::string_view word) {
    std::string out = "'";
    for (const char c : word.substr(0, longest_word)) {
        const auto byte = static_cast<unsigned char>(c);
        out += byte < 0x20 || byte == 0x7F ? '?' : c;
    }
    // A cut inside a character would make the message invalid UTF-8.
    while (word.size() > longest_word && (static_cast<unsigned char>(out.back()) & 0x80U) != 0) {
        out.pop_back();
    }
    return out + (word.size() > longest_word ? "...'" : "'");
}

std::string instead_of(std::string_view word, std::span<const std::string_view> names) {
    struct Other {
        std::string_view word;
        std::string_view key;
        std::string_view text;
    };
    static constexpr std::array kOthers{
        Other{"ageing-time", "ageing", "write 'ageing'"},
        Other{"collect-metadata", "external", "write 'external'"},
        Other{"label", "flowlabel", "write 'flowlabel'"},
        Other{"via", "src-vni", "routes choose the port to a remote (routes: with dev)"},
    };
    const auto plain = [](std::string_view text) {
        std::string out;
        std::ranges::copy_if(text, std::back_inserter(out),
                             [](char one) { return one != '-' && one != '_'; });
        return out;
    };
    const std::string said = plain(word);
    for (const Other& other : kOthers) {
        if (said == plain(other.word) && std::ranges::find(names, other.key) != names.end())
            return std::string(other.text);
    }
    for (const std::string_view name : names) {
        // `nolearning` of ip-link(8).
        if (said == "no" + plain(name)) return "write '" + std::string(name) + ": false'";
    }
    return {};
}

}  // namespace vxplane::config
