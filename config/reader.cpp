// Conversions of single values, and the wording of everything the reader refuses.
#include "config/reader.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "config/nearest.hpp"

namespace vxplane::config {
namespace {

std::string joined(std::span<const std::string_view> words) {
    std::string out;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
        out += words[i];
    }
    return out;
}

std::string commas(std::span<const std::string_view> words) {
    std::string out;
    for (const std::string_view word : words) {
        if (!out.empty()) out += ", ";
        out += word;
    }
    return out;
}

std::vector<std::string_view> names_of(const std::vector<KeyDescription>& keys) {
    std::vector<std::string_view> names;
    for (const KeyDescription& key : keys) names.push_back(key.name);
    return names;
}

std::string_view kind_name(const YamlNode& node) {
    switch (node.kind) {
        case YamlNode::Kind::null:
            return "nothing";
        case YamlNode::Kind::scalar:
            return "a single value";
        case YamlNode::Kind::list:
            return "a list";
        case YamlNode::Kind::map:
            return "a map";
    }
    return "a value";
}

}  // namespace

std::string ValueType::allowed() const {
    switch (kind) {
        case Kind::boolean:
            return "true or false";
        case Kind::integer: {
            std::string text = words.empty() ? "" : std::string(words[0]) + ", or ";
            text += "a number";
            if (min == max) return text + ", " + std::to_string(min);
            return text + " from " + std::to_string(min) + " to " + std::to_string(max);
        }
        case Kind::word:
            return joined(words);
        case Kind::text:
            return "text";
        case Kind::mac:
            return "a MAC address such as \"02:00:00:00:00:01\"";
        case Kind::ip:
            return "an IP address such as 10.0.0.1";
        case Kind::prefix:
            return (words.empty() ? "" : commas(words) + ", or ") +
                   "an address with its prefix length such as 10.0.0.1/24";
        case Kind::network:
            return "an address or a prefix such as 10.0.0.0/24";
        case Kind::named_number:
            return commas(words) + ", or a number from " +
                   std::to_string(static_cast<std::int64_t>(min)) + " to " + std::to_string(max);
        case Kind::rate:
            return "bits per second such as 100mbit, from 1kbit to 4000gbit";
        case Kind::ports:
            return "a port or a range such as 1024-2047, from " + std::to_string(min) +
                   " to 65535, the low end first";
        case Kind::size:
            return "a size such as 512M, at least " + std::to_string(min >> 20) + "M";
        case Kind::cpus:
            return "CPU numbers such as [1, 2] or 1-3, each from 0 to 1023";
        case Kind::port_range:
            return "[lo, hi] with lo <= hi and hi <= 65536, or dynamic for 49152 to 65535";
        case Kind::list:
            return item->kind == Kind::object ? "a list of maps"
                                              : "a list, each item " + item->allowed();
        case Kind::one_or_list:
            return item->allowed() + ", or a list of them";
        case Kind::map:
            return "a map of " + std::string(name_is) + "s";
        case Kind::object:
            return "a map";
    }
    return {};
}

Reader::Step::Step(Reader& reader, std::string_view name)
    : reader_(reader), length_(reader.path_.size()) {
    constexpr std::size_t longest = 64;
    if (length_ > 0) reader_.path_ += '.';
    for (const char c : name.substr(0, longest)) {
        const auto byte = static_cast<unsigned char>(c);
        reader_.path_ += byte < 0x20 || byte >= 0x7F ? '?' : c;
    }
}

Reader::Step::Step(Reader& reader, std::size_t index)
    : reader_(reader), length_(reader.path_.size()) {
    reader_.path_ += '[';
    reader_.path_ += std::to_string(index);
    reader_.path_ += ']';
}

void Reader::refuse(Position where, std::string message) {
    problems_.push_back({file_, where, path_, std::move(message)});
}

bool Reader::refuse_value(const YamlNode& node, const ValueType& type) {
    const std::string found =
        node.kind == YamlNode::Kind::scalar ? quoted(node.text) : std::string(kind_name(node));
    refuse(node.where, found + " is not valid here (" + type.allowed() + ")");
    return false;
}

void Reader::refuse_kind(const YamlNode& node, const std::vector<KeyDescription>& known) {
    refuse(node.where, std::string(kind_name(node)) + " is not valid here (a map with the keys " +
                           joined(names_of(known)) + ")");
}

void Reader::refuse_unknown(const YamlNode& key, const std::vector<KeyDescription>& known) {
    const auto names = names_of(known);
    if (const std::string instead = instead_of(key.text, names); !instead.empty()) {
        refuse(key.where, "unknown key: " + instead);
        return;
    }
    const std::string_view guess = nearest(key.text, names);
    std::string message = "unknown key";
    if (!guess.empty()) message += ", the nearest is " + quoted(guess);
    refuse(key.where, message + " (" + joined(names) + ")");
}

void Reader::refuse_missing(Position where, const KeyDescription& key) {
    refuse(where, "key " + quoted(key.name) + " is missing (" + key.type->allowed() + ")");
}

void Reader::refuse_name(const YamlNode& key, const ValueType& type) {
    refuse(key.where, quoted(key.text) + " is not a " + std::string(type.name_is) +
                          (type.max != 0 ? " (a number from " + std::to_string(type.min) + " to " +
                                               std::to_string(type.max) + ")"
                                         : " (1 to 63 letters, digits, '.', '_' and '-')"));
}

bool Reader::key_is_scalar(const YamlNode& key) {
    if (key.kind == YamlNode::Kind::scalar) return true;
    refuse(key.where, std::string(kind_name(key)) + " cannot be a key (a word)");
    return false;
}

std::optional<std::uint64_t> Reader::integer(const YamlNode& node, const ValueType& type) {
    if (node.kind == YamlNode::Kind::scalar) {
        if (!type.words.empty() && node.text == type.words[0]) return 0;
        const auto number = parse_number(node.text);
        if (number && *number >= type.min && *number <= type.max) return number;
    }
    refuse_value(node, type);
    return std::nullopt;
}

std::optional<std::uint64_t> Reader::number(const YamlNode& node, const ValueType& type) {
    if (type.kind == ValueType::Kind::integer) return integer(node, type);
    if (type.kind == ValueType::Kind::named_number) return named_number(node, type);
    if (node.kind == YamlNode::Kind::scalar) {
        const auto value =
            type.kind == ValueType::Kind::size ? parse_size(node.text) : parse_rate(node.text);
        if (value && *value >= type.min && *value <= type.max) return value;
    }
    refuse_value(node, type);
    return std::nullopt;
}

std::optional<std::int64_t> Reader::named_number(const YamlNode& node, const ValueType& type) {
    if (node.kind == YamlNode::Kind::scalar) {
        const auto named = std::ranges::find(type.words, std::string_view(node.text));
        if (named != type.words.end()) {
            return type.numbers[static_cast<std::size_t>(named - type.words.begin())];
        }
        const auto number = parse_signed(node.text);
        if (number && *number >= static_cast<std::int64_t>(type.min) &&
            *number <= static_cast<std::int64_t>(type.max)) {
            return number;
        }
    }
    refuse_value(node, type);
    return std::nullopt;
}

bool Reader::same_key(std::string_view known, std::string_view given) {
    // What ip-link(8) takes beside, or instead of, the names that it shows.
    constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kOthers{
        {{"maxaddr", "maxaddress"},
         {"local-bypass", "localbypass"},
         {"ttl", "hoplimit"},
         {"ttl", "hlim"},
         {"tos", "dsfield"}}};
    if (std::ranges::find(kOthers, std::pair(known, given)) != kOthers.end()) return true;
    return std::ranges::equal(
        known, given, {}, [](char c) { return c == '_' ? '-' : c; },
        [](char c) { return c == '_' ? '-' : c; });
}

std::optional<std::size_t> Reader::word(const YamlNode& node, const ValueType& type) {
    if (node.kind == YamlNode::Kind::scalar) {
        const auto found = std::ranges::find(type.words, std::string_view(node.text));
        if (found != type.words.end()) {
            return static_cast<std::size_t>(found - type.words.begin());
        }
    }
    refuse_value(node, type);
    return std::nullopt;
}

bool Reader::value(const YamlNode& node, const ValueType& type, bool& out) {
    const bool legal =
        node.kind == YamlNode::Kind::scalar && (node.text == "true" || node.text == "false");
    if (!legal) return refuse_value(node, type);
    out = node.text == "true";
    return true;
}

bool Reader::value(const YamlNode& node, const ValueType& type, std::string& out) {
    const bool legal =
        node.kind == YamlNode::Kind::scalar && !node.text.empty() &&
        (type.kind != ValueType::Kind::word ||
         std::ranges::find(type.words, std::string_view(node.text)) != type.words.end());
    if (!legal) return refuse_value(node, type);
    out = node.text;
    return true;
}

bool Reader::value(const YamlNode& node, const ValueType& type, MacAddress& out) {
    const auto mac = node.kind == YamlNode::Kind::scalar ? parse_mac(node.text) : std::nullopt;
    if (!mac) return refuse_value(node, type);
    out = *mac;
    return true;
}

bool Reader::value(const YamlNode& node, const ValueType& type, IpAddress& out) {
    const auto ip = node.kind == YamlNode::Kind::scalar ? parse_ip(node.text) : std::nullopt;
    if (!ip) return refuse_value(node, type);
    out = *ip;
    return true;
}

bool Reader::value(const YamlNode& node, const ValueType& type, IpPrefix& out) {
    if (node.kind == YamlNode::Kind::scalar) {
        const auto word = std::ranges::find(type.words, std::string_view(node.text));
        if (word != type.words.end()) {
            out = {};
            if (word != type.words.begin()) out.address.family = IpAddress::Family::ipv6;
            return true;
        }
        const bool network = type.kind == ValueType::Kind::network;
        if (const auto prefix = network ? parse_network(node.text) : parse_prefix(node.text)) {
            out = *prefix;
            return true;
        }
    }
    return refuse_value(node, type);
}

bool Reader::value(const YamlNode& node, const ValueType& type, int& out) {
    const auto number = named_number(node, type);
    if (number) out = static_cast<int>(*number);
    return number.has_value();
}

bool Reader::value(const YamlNode& node, const ValueType& type, Ports& out) {
    std::string text = node.text;
    if (node.kind == YamlNode::Kind::list && node.items.size() == 2) {
        text = node.items[0].text + "-" + node.items[1].text;
    }
    const auto ports = parse_ports(text);
    if (!ports || ports->lo < type.min) {
        const YamlNode shown{YamlNode::Kind::scalar, node.where, text};
        return refuse_value(text.empty() ? node : shown, type);
    }
    out = *ports;
    return true;
}

bool Reader::value(const YamlNode& node, const ValueType& type, PortRange& out) {
    std::optional<PortRange> range;
    if (node.kind == YamlNode::Kind::scalar) {
        range = parse_port_range(node.text);
    } else if (node.kind == YamlNode::Kind::list && node.items.size() == 2) {
        const auto lo = parse_number(node.items[0].text);
        const auto hi = parse_number(node.items[1].text);
        if (lo && hi) range = make_port_range(*lo, *hi);
    }
    if (!range) {
        if (node.kind != YamlNode::Kind::list) return refuse_value(node, type);
        std::string items;
        for (std::size_t i = 0; i < node.items.size() && i < 3; ++i) {
            items += (i == 0 ? "" : ", ") + node.items[i].text;
        }
        YamlNode pair{YamlNode::Kind::scalar, node.where, "[" + items + "]"};
        return refuse_value(pair, type);
    }
    out = *range;
    return true;
}

}  // namespace vxplane::config
