// Walks the tree by tables of keys and fills values in, noting every problem on its way. Met by
// whoever adds a key: its C++ type selects the conversion here, its row in tables.cpp the limits.
#pragma once

#include <concepts>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "config/keys.hpp"
#include "config/parse.hpp"
#include "config/problem.hpp"
#include "config/topology.hpp"
#include "config/yaml_tree.hpp"

namespace vxplane::config {

class Reader;

/// How a value gets into a `T`, and back into text for a person. No `show` for objects.
template <class T>
struct Access {
    void (*read)(Reader&, const YamlNode&, const ValueType&, T&);
    std::string (*show)(const T&, const ValueType&);
};

/// One row of an object's table.
template <class T>
struct Key {
    KeyDescription description;
    Access<T> access;
};

/// The table of each object; defined in tables.cpp.
template <class T>
std::span<const Key<T>> keys_of();

template <class T>
std::vector<KeyDescription> describe() {
    std::vector<KeyDescription> all;
    for (const Key<T>& key : keys_of<T>()) all.push_back(key.description);
    return all;
}

class Reader {
  public:
    explicit Reader(std::string file) : file_(std::move(file)) {}

    void refuse(Position where, std::string message);
    /// Says that the value of `node` is not what `type` allows. Returns false.
    bool refuse_value(const YamlNode& node, const ValueType& type);
    [[nodiscard]] Problems take() { return std::move(problems_); }

    /// Adds a step to the path that messages name, for as long as it lives.
    class Step {
      public:
        Step(Reader& reader, std::string_view name);
        Step(Reader& reader, std::size_t index);
        ~Step() { reader_.path_.resize(length_); }
        Step(const Step&) = delete;
        Step& operator=(const Step&) = delete;

      private:
        Reader& reader_;
        std::size_t length_;
    };

    // Scalars. All return false, with a problem noted, when the value is not of the type.
    bool value(const YamlNode& node, const ValueType& type, bool& out);
    bool value(const YamlNode& node, const ValueType& type, std::string& out);
    bool value(const YamlNode& node, const ValueType& type, MacAddress& out);
    bool value(const YamlNode& node, const ValueType& type, IpAddress& out);
    bool value(const YamlNode& node, const ValueType& type, IpPrefix& out);
    bool value(const YamlNode& node, const ValueType& type, PortRange& out);
    bool value(const YamlNode& node, const ValueType& type, Ports& out);
    bool value(const YamlNode& node, const ValueType& type, int& out);

    template <std::unsigned_integral T>
    bool value(const YamlNode& node, const ValueType& type, T& out) {
        const auto number = this->number(node, type);
        if (number) out = static_cast<T>(*number);
        return number.has_value();
    }

    template <class T>
    requires std::is_enum_v<T>
    bool value(const YamlNode& node, const ValueType& type, T& out) {
        const auto index = word(node, type);
        if (index) out = static_cast<T>(*index);
        return index.has_value();
    }

    template <class T>
    bool value(const YamlNode& node, const ValueType& type, std::optional<T>& out) {
        T inner{};
        if (!value(node, type, inner)) return false;
        out = inner;
        return true;
    }

    /// A list, or one item alone where the type says so; `where` gets a position per item.
    template <class T>
    void list(const YamlNode& node, const ValueType& type, std::vector<T>& out,
              std::vector<Position>* where = nullptr) {
        if (node.kind == YamlNode::Kind::scalar && type.kind == ValueType::Kind::one_or_list) {
            item(node, *type.item, out, where);
        } else if (node.kind == YamlNode::Kind::list) {
            for (std::size_t i = 0; i < node.items.size(); ++i) {
                const Step step(*this, i);
                item(node.items[i], *type.item, out, where);
            }
        } else {
            refuse_value(node, type);
        }
    }

    /// A list of objects.
    template <class T>
    void objects(const YamlNode& node, const ValueType& type, std::vector<T>& out) {
        if (node.kind == YamlNode::Kind::null) return;
        if (node.kind != YamlNode::Kind::list) {
            refuse_value(node, type);
            return;
        }
        for (std::size_t i = 0; i < node.items.size(); ++i) {
            const Step step(*this, i);
            object(node.items[i], out.emplace_back());
        }
    }

    /// A map of named objects; `set_name(object, name)` says whether the name is legal.
    template <class T, class SetName>
    void named(const YamlNode& node, const ValueType& type, std::vector<T>& out, SetName set_name) {
        if (node.kind == YamlNode::Kind::null) return;
        if (node.kind != YamlNode::Kind::map) {
            refuse_value(node, type);
            return;
        }
        each_key(node, [&](const YamlNode& key, const YamlNode& item_node) {
            T made{};
            if (!set_name(made, std::string_view(key.text))) {
                refuse_name(key, type);
                return;
            }
            object(item_node, made);
            made.where = key.where;
            out.push_back(std::move(made));
        });
    }

    /// One object by its table.
    template <class T>
    void object(const YamlNode& node, T& out) {
        if constexpr (requires { out.where; }) out.where = node.where;
        if (node.kind != YamlNode::Kind::map) {
            refuse_kind(node, describe<T>());
            return;
        }
        const auto table = keys_of<T>();
        std::vector<bool> given(table.size());
        each_key(node, [&](const YamlNode& key, const YamlNode& value_node) {
            for (std::size_t i = 0; i < table.size(); ++i) {
                const KeyDescription& row = table[i].description;
                if (!same_key(row.name, key.text)) continue;
                if (given[i]) {
                    refuse(key.where, "is " + std::string(row.name) +
                                          ", which is given already (each key once)");
                    return;
                }
                given[i] = true;
                if constexpr (requires { out.keys; }) out.keys.add(row.name, value_node.where);
                table[i].access.read(*this, value_node, *row.type, out);
                return;
            }
            refuse_unknown(key, describe<T>());
        });
        for (std::size_t i = 0; i < table.size(); ++i) {
            if (table[i].description.required && !given[i]) {
                refuse_missing(node.where, table[i].description);
            }
        }
    }

  private:
    /// By the kind of the type: integer, size, rate or named_number.
    [[nodiscard]] std::optional<std::uint64_t> number(const YamlNode& node, const ValueType& type);
    [[nodiscard]] std::optional<std::uint64_t> integer(const YamlNode& node, const ValueType& type);
    [[nodiscard]] std::optional<std::int64_t> named_number(const YamlNode& node,
                                                           const ValueType& type);
    [[nodiscard]] std::optional<std::size_t> word(const YamlNode& node, const ValueType& type);
    /// People write `host_access` for `host-access`, and the other way round; and ip-link(8) has
    /// second names for some.
    [[nodiscard]] static bool same_key(std::string_view known, std::string_view given);
    void refuse_kind(const YamlNode& node, const std::vector<KeyDescription>& known);
    void refuse_unknown(const YamlNode& key, const std::vector<KeyDescription>& known);
    void refuse_missing(Position where, const KeyDescription& key);
    void refuse_name(const YamlNode& key, const ValueType& type);
    bool key_is_scalar(const YamlNode& key);

    template <class T>
    void item(const YamlNode& node, const ValueType& type, std::vector<T>& out,
              std::vector<Position>* where) {
        T one{};
        if (!value(node, type, one)) return;
        out.push_back(std::move(one));
        if (where != nullptr) where->push_back(node.where);
    }

    /// Calls `visit` with the path set, for each key that is a word and stands there once.
    template <class Visit>
    void each_key(const YamlNode& map, Visit visit) {
        std::unordered_map<std::string_view, int> first_line;
        for (std::size_t i = 0; i + 1 < map.items.size(); i += 2) {
            const YamlNode& key = map.items[i];
            if (!key_is_scalar(key)) continue;
            const Step step(*this, key.text);
            const auto [earlier, fresh] = first_line.try_emplace(key.text, key.where.line);
            if (!fresh) {
                refuse(key.where, "given twice, first in line " + std::to_string(earlier->second) +
                                      " (each key once)");
                continue;
            }
            visit(key, map.items[i + 1]);
        }
    }

    std::string file_;
    std::string path_;
    Problems problems_;
};

}  // namespace vxplane::config
