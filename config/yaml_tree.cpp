// Builds the tree out of libyaml's events. Bytes that libyaml treats in its own way (NUL, a byte
// order mark, broken UTF-8) are found before it sees them.
#include "config/yaml_tree.hpp"

#include <yaml.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <iterator>
#include <new>
#include <utility>

namespace vxplane::config {
namespace {

/// A topology needs six levels; this bounds recursion over hostile text.
constexpr std::size_t max_depth = 32;

Position position_of(const yaml_mark_t& mark) {
    return {static_cast<int>(mark.line) + 1, static_cast<int>(mark.column) + 1};
}

/// What ends the reading, wherever it happens.
struct Refused {
    Position where;
    std::string message;
};

/// libyaml's parser over text that outlives it.
class Events {
  public:
    explicit Events(std::string_view text) {
        if (yaml_parser_initialize(&parser_) == 0) throw std::bad_alloc();
        yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                     text.size());
    }
    ~Events() {
        yaml_event_delete(&event_);
        yaml_parser_delete(&parser_);
    }
    Events(const Events&) = delete;
    Events& operator=(const Events&) = delete;

    /// The next event, until the one after. Throws Refused where the text is not YAML.
    const yaml_event_t& next() {
        yaml_event_delete(&event_);
        if (yaml_parser_parse(&parser_, &event_) == 0) {
            if (parser_.error == YAML_MEMORY_ERROR) throw std::bad_alloc();
            std::string message = "not YAML: " + std::string(parser_.problem);
            if (message.ends_with("cannot start any token")) {
                message += " (blanks indent, tabs do not; text may stand in quotes)";
            }
            throw Refused{position_of(parser_.problem_mark), std::move(message)};
        }
        return event_;
    }

  private:
    yaml_parser_t parser_{};
    yaml_event_t event_{};
};

class TreeBuilder {
  public:
    /// False for the event that ends the document.
    bool take(const yaml_event_t& event) {
        const Position where = position_of(event.start_mark);
        switch (event.type) {
            case YAML_ALIAS_EVENT:
                throw Refused{where, "an alias is not allowed here (write the value out)"};
            case YAML_SCALAR_EVENT:
                scalar(event, where);
                break;
            case YAML_SEQUENCE_START_EVENT:
                open(event.data.sequence_start.tag, where, YamlNode::Kind::list);
                break;
            case YAML_MAPPING_START_EVENT:
                open(event.data.mapping_start.tag, where, YamlNode::Kind::map);
                break;
            case YAML_SEQUENCE_END_EVENT:
            case YAML_MAPPING_END_EVENT:
                close();
                break;
            case YAML_DOCUMENT_END_EVENT:
            case YAML_STREAM_END_EVENT:
                return false;
            default:
                break;
        }
        return true;
    }
    [[nodiscard]] YamlNode root() { return done_.empty() ? YamlNode{} : std::move(done_.front()); }

  private:
    struct Open {
        YamlNode node;
        std::size_t first;  ///< where its items begin in done_
    };

    static void refuse_tag(const yaml_char_t* tag, Position where) {
        if (tag == nullptr || std::string_view(reinterpret_cast<const char*>(tag)) == "!") return;
        throw Refused{where, "a tag is not allowed here (write the value alone)"};
    }

    void scalar(const yaml_event_t& event, Position where) {
        const auto& scalar = event.data.scalar;
        refuse_tag(scalar.tag, where);
        const std::string_view text(reinterpret_cast<const char*>(scalar.value), scalar.length);
        // YAML 1.2 section 10.3.2.
        constexpr std::array<std::string_view, 5> nothing{"", "~", "null", "Null", "NULL"};
        if (scalar.style == YAML_PLAIN_SCALAR_STYLE &&
            std::ranges::find(nothing, text) != nothing.end()) {
            done_.push_back({YamlNode::Kind::null, where});
        } else {
            done_.push_back({YamlNode::Kind::scalar, where, std::string(text)});
        }
    }

    void open(const yaml_char_t* tag, Position where, YamlNode::Kind kind) {
        refuse_tag(tag, where);
        if (open_.size() >= max_depth) {
            throw Refused{where, "nested too deeply (at most 32 levels)"};
        }
        open_.push_back({{kind, where}, done_.size()});
    }

    void close() {
        YamlNode node = std::move(open_.back().node);
        const auto first = done_.begin() + static_cast<std::ptrdiff_t>(open_.back().first);
        open_.pop_back();
        node.items.assign(std::make_move_iterator(first), std::make_move_iterator(done_.end()));
        done_.erase(first, done_.end());
        // libyaml puts "nothing" where the next token begins, often lines below its key.
        for (std::size_t i = 1; node.kind == YamlNode::Kind::map && i < node.items.size(); i += 2) {
            if (node.items[i].kind == YamlNode::Kind::null) {
                node.items[i].where = node.items[i - 1].where;
            }
        }
        done_.push_back(std::move(node));
    }

    std::vector<Open> open_;
    /// Values whose list or map is still open, so that each gets its items in one piece.
    std::vector<YamlNode> done_;
};

/// Length of the UTF-8 sequence that begins `text`, 0 when it is none (RFC 3629 section 4).
std::size_t utf8_length(std::string_view text) {
    const auto byte = [&](std::size_t i) {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
    };
    const unsigned first = byte(0);
    if (first < 0x80) return 1;
    const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4) return 0;
    if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) ||
        (first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F)) {
        return 0;
    }
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0U) != 0x80) return 0;
    }
    return length;
}

/// Line and column, in characters, of what follows `text`.
Position position_behind(std::string_view text) {
    Position where{1, 1};
    while (!text.empty()) {
        where = text.front() == '\n' ? Position{where.line + 1, 1}
                                     : Position{where.line, where.column + 1};
        text.remove_prefix(utf8_length(text));
    }
    return where;
}

void refuse_foreign_bytes(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const auto byte = static_cast<unsigned char>(text[at]);
        if (byte >= 0x20 && byte < 0x7F) {
            ++at;
            continue;
        }
        const std::size_t length = utf8_length(text.substr(at));
        const bool control = byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r';
        if (length == 0 || control || byte == 0x7F) {
            std::array<char, 64> message{};
            std::snprintf(message.data(), message.size(), "byte 0x%02x is not allowed (%s)", byte,
                          length == 0 ? "the file is UTF-8" : "text, tabs and line breaks are");
            throw Refused{position_behind(text.substr(0, at)), message.data()};
        }
        at += length;
    }
}

}  // namespace

YamlTree parse_yaml(std::string_view text, const std::string& file) {
    YamlTree tree;
    const auto refuse = [&](Position where, std::string message) {
        tree.problem = Problem{file, where, {}, std::move(message)};
    };
    try {
        refuse_foreign_bytes(text);
        Events events(text);
        TreeBuilder builder;
        while (builder.take(events.next())) {
        }
        for (;;) {
            const yaml_event_t& event = events.next();
            if (event.type == YAML_DOCUMENT_START_EVENT) {
                throw Refused{position_of(event.start_mark),
                              "a second document begins (one per file)"};
            }
            if (event.type == YAML_STREAM_END_EVENT || event.type == YAML_NO_EVENT) break;
        }
        tree.root = builder.root();
    } catch (const Refused& refused) {
        refuse(refused.where, refused.message);
    } catch (const std::exception& error) {
        refuse({}, std::string("cannot be read: ") + error.what());
    }
    return tree;
}

}  // namespace vxplane::config
