// Builds the tree out of yaml-cpp's events. Bytes that yaml-cpp treats in its own way (NUL, the
// end-of-transmission mark, broken UTF-8) are found before it sees them.
#include "config/yaml_tree.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <array>
#include <cstdio>
#include <exception>
#include <sstream>
#include <utility>

namespace vxplane::config {
namespace {

/// A topology needs six levels; this bounds recursion over hostile text.
constexpr std::size_t max_depth = 32;

Position position_of(const YAML::Mark& mark) {
    if (mark.is_null()) return {};
    return {mark.line + 1, mark.column + 1};
}

/// Leaves the parser from inside an event.
struct Refused {
    Position where;
    std::string message;
};

class TreeBuilder final : public YAML::EventHandler {
  public:
    [[nodiscard]] YamlNode take() { return std::move(root_); }

    void OnDocumentStart(const YAML::Mark& /*mark*/) override {}
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
        add({YamlNode::Kind::null, position_of(mark)});
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
        throw Refused{position_of(mark), "an alias is not allowed here (write the value out)"};
    }

    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t /*anchor*/,
                  const std::string& value) override {
        refuse_tag(mark, tag);
        add({YamlNode::Kind::scalar, position_of(mark), value});
    }

    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t /*anchor*/,
                         YAML::EmitterStyle::value /*style*/) override {
        open(mark, tag, YamlNode::Kind::list);
    }
    void OnSequenceEnd() override { close(); }

    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t /*anchor*/,
                    YAML::EmitterStyle::value /*style*/) override {
        open(mark, tag, YamlNode::Kind::map);
    }
    void OnMapEnd() override { close(); }

  private:
    static void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
        if (tag.empty() || tag == "?" || tag == "!") return;
        throw Refused{position_of(mark), "a tag is not allowed here (write the value alone)"};
    }

    void open(const YAML::Mark& mark, const std::string& tag, YamlNode::Kind kind) {
        refuse_tag(mark, tag);
        if (open_.size() >= max_depth) {
            throw Refused{position_of(mark), "nested too deeply (at most 32 levels)"};
        }
        open_.push_back({kind, position_of(mark)});
    }

    void close() {
        YamlNode done = std::move(open_.back());
        open_.pop_back();
        // yaml-cpp puts "nothing" where the next token begins, often lines below its key.
        for (std::size_t i = 1; done.kind == YamlNode::Kind::map && i < done.items.size(); i += 2) {
            if (done.items[i].kind == YamlNode::Kind::null) {
                done.items[i].where = done.items[i - 1].where;
            }
        }
        add(std::move(done));
    }

    void add(YamlNode node) {
        if (open_.empty()) {
            root_ = std::move(node);
        } else {
            open_.back().items.push_back(std::move(node));
        }
    }

    YamlNode root_;
    std::vector<YamlNode> open_;
};

/// Refuses what follows the first document.
class SecondDocument final : public YAML::EventHandler {
  public:
    void OnDocumentStart(const YAML::Mark& mark) override {
        throw Refused{position_of(mark), "a second document begins (one per file)"};
    }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
    void OnAlias(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
    void OnScalar(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                  const std::string& /*value*/) override {}
    void OnSequenceStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/,
                         YAML::anchor_t /*anchor*/, YAML::EmitterStyle::value /*s*/) override {}
    void OnSequenceEnd() override {}
    void OnMapStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/,
                    YAML::anchor_t /*anchor*/, YAML::EmitterStyle::value /*s*/) override {}
    void OnMapEnd() override {}
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

void refuse_foreign_bytes(std::string_view text) {
    Position where{1, 1};
    while (!text.empty()) {
        const auto byte = static_cast<unsigned char>(text.front());
        const std::size_t length = utf8_length(text);
        const bool control = byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r';
        if (length == 0 || control || byte == 0x7F) {
            std::array<char, 64> message{};
            std::snprintf(message.data(), message.size(), "byte 0x%02x is not allowed (%s)", byte,
                          length == 0 ? "the file is UTF-8" : "text, tabs and line breaks are");
            throw Refused{where, message.data()};
        }
        if (byte == '\n') {
            where = {where.line + 1, 1};
        } else {
            ++where.column;
        }
        text.remove_prefix(length);
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
        std::istringstream stream{std::string(text)};
        YAML::Parser parser(stream);
        TreeBuilder builder;
        if (parser.HandleNextDocument(builder)) {
            SecondDocument second;
            parser.HandleNextDocument(second);
        }
        tree.root = builder.take();
    } catch (const Refused& refused) {
        refuse(refused.where, refused.message);
    } catch (const YAML::Exception& error) {
        refuse(position_of(error.mark), "not YAML: " + error.msg);
    } catch (const std::exception& error) {
        refuse({}, std::string("cannot be read: ") + error.what());
    }
    return tree;
}

}  // namespace vxplane::config
