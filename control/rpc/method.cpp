// The schema at work: validation and help come from the same list of parameters.
#include "control/rpc/method.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace vxplane::control::rpc {

namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = row[0]++;
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t swapped = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({swapped, row[j] + 1, diagonal + 1});
        }
    }
    return row.back();
}

// What a client wrote may be a megabyte: error messages quote the beginning.
std::string quote(std::string_view word) {
    constexpr std::size_t longest = 64;
    std::string text;
    text.push_back('\'');
    text.append(word.substr(0, longest));
    if (word.size() > longest) text.append("...");
    text.push_back('\'');
    return text;
}

std::string join(const std::vector<std::string>& words) {
    std::string text;
    for (const auto& word : words) {
        if (!text.empty()) text += ", ";
        text += word;
    }
    return text;
}

std::string article(Type type) {
    const std::string name{type_name(type)};
    return (std::string_view{"aio"}.find(name[0]) == std::string_view::npos ? "a " : "an ") + name;
}

bool has_type(const Json& value, Type type) {
    switch (type) {
        case Type::string:
            return value.is_string();
        case Type::integer:
            return value.is_number_integer();
        case Type::boolean:
            return value.is_boolean();
        case Type::array:
            return value.is_array();
        case Type::object:
            return value.is_object();
    }
    return false;
}

Error bad_param(const Param& param, std::string why) {
    Json data{{"param", param.name}, {"type", type_name(param.type)}};
    if (!param.allowed.empty()) data["allowed"] = param.allowed;
    return invalid(param.name + ": " + std::move(why), std::move(data));
}

std::optional<Error> check_word(const Param& param, const Json& value) {
    if (param.allowed.empty()) return std::nullopt;
    if (!value.is_string()) return bad_param(param, "must hold strings");
    const auto& word = value.get_ref<const std::string&>();
    if (std::find(param.allowed.begin(), param.allowed.end(), word) != param.allowed.end()) {
        return std::nullopt;
    }
    return bad_param(param, quote(word) + " is not known (" + join(param.allowed) + ")");
}

std::optional<Error> check_value(const Param& param, const Json& value) {
    if (!has_type(value, param.type)) {
        return bad_param(param, "must be " + article(param.type) + ", not " + value.type_name());
    }
    if (param.type == Type::string) return check_word(param, value);
    if (param.type == Type::integer) {
        // Above the signed range nothing is ever meant.
        const bool fits = !value.is_number_unsigned() ||
                          value.get<std::uint64_t>() <=
                              static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
        const std::int64_t number = fits ? value.get<std::int64_t>() : 0;
        if (!fits || number < param.least || number > param.most) {
            return bad_param(param, "must be from " + std::to_string(param.least) + " to " +
                                        std::to_string(param.most));
        }
    }
    if (param.type == Type::array) {
        for (const auto& member : value) {
            if (auto error = check_word(param, member)) return error;
        }
    }
    return std::nullopt;
}

std::vector<std::string> param_names(const Method& method) {
    std::vector<std::string> names;
    for (const auto& param : method.params) names.push_back(param.name);
    return names;
}

Error unknown_param(const Method& method, const std::string& key) {
    const auto names = param_names(method);
    std::string message = quote(key) + " is not a parameter of " + method.name;
    if (const auto near = nearest_name(key, names)) message += ", did you mean '" + *near + "'?";
    message += names.empty() ? " (it takes none)" : " (allowed: " + join(names) + ")";
    return invalid(std::move(message), {{"param", quote(key)}, {"allowed", names}});
}

}  // namespace

std::string_view type_name(Type type) noexcept {
    switch (type) {
        case Type::string:
            return "string";
        case Type::integer:
            return "integer";
        case Type::boolean:
            return "boolean";
        case Type::array:
            return "array";
        case Type::object:
            return "object";
    }
    return "?";
}

std::optional<std::string> nearest_name(std::string_view word,
                                        const std::vector<std::string>& known) {
    constexpr std::size_t longest =
        64;  // nobody means a known name by more, and the work is bounded
    if (word.empty() || word.size() > longest) return std::nullopt;
    std::optional<std::string> best;
    std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
    for (const auto& name : known) {
        std::size_t distance = edit_distance(word, name);
        if (name.starts_with(word) || word.starts_with(name))
            distance = std::min<std::size_t>(distance, 1);
        if (distance < best_distance) {
            best_distance = distance;
            best = name;
        }
    }
    return best;
}

Reply check_params(const Method& method, const Json& params) {
    Json named = Json::object();
    if (params.is_array()) {
        if (params.size() > method.params.size()) {
            return invalid(method.name + " takes at most " + std::to_string(method.params.size()) +
                               " parameters, not " + std::to_string(params.size()),
                           {{"allowed", param_names(method)}});
        }
        for (std::size_t i = 0; i < params.size(); ++i) named[method.params[i].name] = params[i];
    } else if (params.is_object()) {
        named = params;
    }
    for (const auto& item : named.items()) {
        const auto param = std::find_if(method.params.begin(), method.params.end(),
                                        [&](const Param& p) { return p.name == item.key(); });
        if (param == method.params.end()) return unknown_param(method, item.key());
        if (auto error = check_value(*param, item.value())) return *std::move(error);
    }
    for (const auto& param : method.params) {
        if (param.required && !named.contains(param.name)) return bad_param(param, "is missing");
    }
    return named;
}

void MethodTable::add(Method method) {
    if (!method.call) throw std::logic_error("rpc method without a call: " + method.name);
    std::string name = method.name;
    if (!methods_.try_emplace(std::move(name), std::move(method)).second) {
        throw std::logic_error("rpc method declared twice: " + method.name);
    }
}

const Method* MethodTable::find(std::string_view name) const {
    const auto found = methods_.find(name);
    return found == methods_.end() ? nullptr : &found->second;
}

Json MethodTable::describe() const {
    Json list = Json::array();
    for (const auto& [name, method] : methods_) {
        Json params = Json::array();
        for (const auto& param : method.params) {
            Json entry{{"name", param.name},
                       {"type", type_name(param.type)},
                       {"required", param.required},
                       {"help", param.help}};
            if (!param.allowed.empty()) entry["enum"] = param.allowed;
            params.push_back(std::move(entry));
        }
        list.push_back({{"name", name},
                        {"help", method.help},
                        {"writes", method.writes},
                        {"params", std::move(params)}});
    }
    return list;
}

Reply MethodTable::call(std::string_view name, const Json& params) const {
    const Method* method = find(name);
    if (method == nullptr) {
        std::vector<std::string> names;
        for (const auto& entry : methods_) names.push_back(entry.first);
        std::string message = "unknown method " + quote(name);
        if (const auto near = nearest_name(name, names))
            message += ", did you mean '" + *near + "'?";
        return Error{Code::unknown_method, std::move(message), {{"methods", names}}};
    }
    Reply checked = check_params(*method, params);
    if (!checked.ok()) return checked;
    try {
        Reply reply = method->call(checked.result());
        if (method->writes && settle_ && reply.ok()) settle_();
        return reply;
    } catch (const std::exception& problem) {
        return Error{Code::internal, method->name + ": " + problem.what()};
    }
}

}  // namespace vxplane::control::rpc
