// Reads the bytes and hands the tree to the tables; sorts what was found wrong.
#include "config/load.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <tuple>

#include "config/expand.hpp"
#include "config/reader.hpp"
#include "config/resolve.hpp"
#include "config/validate.hpp"
#include "config/yaml_tree.hpp"

namespace vxplane::config {
namespace {

/// A million FDB entries are some 70 MB of text. A device file would never end.
constexpr std::size_t largest_file = std::size_t{256} << 20;

struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
};

/// The content, or what went wrong.
struct Content {
    std::string text;
    std::optional<std::string> error;
};

Content read_all(const std::string& path) {
    Content content;
    const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "re"));
    if (!file) {
        content.error = std::string("cannot be opened: ") + std::strerror(errno);
        return content;
    }
    std::string chunk(std::size_t{1} << 16, '\0');
    while (const std::size_t got = std::fread(chunk.data(), 1, chunk.size(), file.get())) {
        content.text.append(chunk, 0, got);
        if (content.text.size() > largest_file) {
            content.error = "is too large (at most 256 MiB)";
            return content;
        }
    }
    if (std::ferror(file.get()) != 0) {
        content.error = std::string("cannot be read: ") + std::strerror(errno);
    }
    return content;
}

void sort_by_position(Problems& problems) {
    std::ranges::stable_sort(problems, {}, [](const Problem& problem) {
        return std::tuple(problem.where.line, problem.where.column);
    });
}

void fill_in(std::vector<Rule>& rules) {
    for (Rule& rule : rules) {
        if (!rule.keys.has("priority")) rule.priority = default_priority(rule.action);
    }
}

/// Defaults that depend on other keys.
void fill_in(Topology& topology) {
    for (Port& port : topology.ports) {
        if (!port.keys.has("promiscuous")) port.promiscuous = port.role == PortRole::access;
    }
    for (Ipvlan& ipvlan : topology.ipvlans) {
        fill_in(ipvlan.rules);
        for (Slave& slave : ipvlan.slaves) {
            fill_in(slave.rules);
            for (NatPair& pair : slave.nat) {
                if (!pair.keys.has("private")) pair.private_ = first_like(slave, pair.public_);
            }
        }
    }
}

LoadResult failed(const std::string& name, Position where, std::string message) {
    LoadResult result;
    result.topology.file = name;
    result.problems.push_back({name, where, {}, std::move(message)});
    return result;
}

LoadResult checked(LoadResult result) {
    if (result.problems.empty()) {
        result.problems = validate(result.topology);
        sort_by_position(result.problems);
    }
    return result;
}

}  // namespace

LoadResult load_file(const std::string& path) {
    try {
        const Content content = read_all(path);
        if (content.error) return failed(path, {}, *content.error);
        return load_text(content.text, path);
    } catch (const std::exception& error) {
        return failed(path, {}, std::string("cannot be read: ") + error.what());
    }
}

LoadResult load_text(std::string_view text, const std::string& name) {
    try {
        const YamlTree tree = parse_yaml(text, name);
        if (tree.problem) return failed(name, tree.problem->where, tree.problem->message);
        if (tree.root.kind == YamlNode::Kind::null) {
            return failed(name, {1, 1}, "the file is empty (at least `version: 1`)");
        }
        LoadResult result;
        result.topology.file = name;
        Reader reader(name);
        reader.object(tree.root, result.topology);
        fill_in(result.topology);
        result.problems = reader.take();
        expand_external(result.topology, result.problems);
        sort_by_position(result.problems);
        return result;
    } catch (const std::exception& error) {
        return failed(name, {}, std::string("cannot be read: ") + error.what());
    }
}

LoadResult check_file(const std::string& path) {
    return checked(load_file(path));
}

LoadResult check_text(std::string_view text, const std::string& name) {
    return checked(load_text(text, name));
}

namespace {

bool is_live(const KeyDescription& row) {
    using Kind = ValueType::Kind;
    const Kind kind = row.type->kind;
    const bool plain = kind != Kind::list && kind != Kind::one_or_list && kind != Kind::map &&
                       kind != Kind::object;
    return row.effect == Effect::live && (plain || row.name == "peers");
}

/// `a,b` as a file has it; nothing is the empty list.
std::string list_of_words(std::string_view text) {
    std::string list;
    while (!text.empty() && text != "none") {
        const std::size_t end = std::min(text.find(','), text.size());
        list += (list.empty() ? "\"" : ", \"") + std::string(text.substr(0, end)) + "\"";
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return "[" + list + "]";
}

}  // namespace

std::vector<LiveKey> live_keys_of_vxlans() {
    std::vector<LiveKey> all;
    for (const Key<Vxlan>& key : keys_of<Vxlan>()) {
        const KeyDescription& row = key.description;
        if (is_live(row)) all.push_back({std::string(row.name), std::string(row.help)});
    }
    return all;
}

std::optional<std::string> set_live_key(Vxlan& vxlan, std::string_view key, std::string_view text) {
    for (const Key<Vxlan>& row : keys_of<Vxlan>()) {
        if (row.description.name != key || !is_live(row.description)) continue;
        const bool is_list = row.description.type->kind == ValueType::Kind::list;
        const YamlTree tree =
            parse_yaml(is_list ? list_of_words(text) : std::string(text), std::string(key));
        if (tree.problem) return tree.problem->message;
        Vxlan changed = vxlan;
        if (key == "peers") {
            changed.peers.clear();
            changed.peer_where.clear();
        }
        Reader reader{std::string(key)};
        row.access.read(reader, tree.root, *row.description.type, changed);
        if (const Problems problems = reader.take(); !problems.empty()) {
            return problems.front().message;
        }
        if (!changed.keys.has(key)) changed.keys.add(row.description.name, vxlan.where);
        vxlan = std::move(changed);
        return std::nullopt;
    }
    return "is no key that changes while the vxlan runs";
}

}  // namespace vxplane::config
