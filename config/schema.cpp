// Turns the tables of keys into a JSON schema. Scalars that editors may read as numbers or as text
// (`1`, `0x10`, `auto`) are allowed as both.
#include "config/schema.hpp"

#include <nlohmann/json.hpp>

#include "config/keys.hpp"

namespace vxplane::config {
namespace {

using Json = nlohmann::ordered_json;
using Kind = ValueType::Kind;

constexpr const char* mac_pattern = "^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$";
constexpr const char* ip_pattern = "^([0-9]{1,3}(\\.[0-9]{1,3}){3}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)$";
constexpr const char* prefix_pattern =
    "^([0-9]{1,3}(\\.[0-9]{1,3}){3}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)/[0-9]{1,3}$";

Json schema_of(const ValueType& type);

Json text_like(const char* pattern) {
    return {{"type", "string"}, {"pattern", pattern}};
}

Json words_of(const ValueType& type) {
    Json words = Json::array();
    for (const std::string_view word : type.words) words.push_back(word);
    return {{"enum", words}};
}

/// `plain`, or one of the words of the type where it has some.
Json or_words(const ValueType& type, Json plain) {
    if (type.words.empty()) return plain;
    return {{"anyOf", Json::array({words_of(type), std::move(plain)})}};
}

Json number(std::uint64_t min, std::uint64_t max) {
    return {{"type", "integer"}, {"minimum", min}, {"maximum", max}};
}

Json list_of(Json item) {
    return {{"type", "array"}, {"items", std::move(item)}};
}

Json object_of(const std::vector<KeyDescription>& keys) {
    Json properties = Json::object();
    Json required = Json::array();
    for (const KeyDescription& key : keys) {
        Json property = schema_of(*key.type);
        property["description"] = key.help;
        properties[std::string(key.name)] = std::move(property);
        if (key.required) required.push_back(key.name);
    }
    Json object{
        {"type", "object"}, {"additionalProperties", false}, {"properties", std::move(properties)}};
    if (!required.empty()) object["required"] = std::move(required);
    return object;
}

Json map_of(const ValueType& type) {
    const char* const names =
        type.max != 0 ? "^(0x[0-9a-fA-F]+|[1-9][0-9]*)$" : "^[A-Za-z0-9._-]{1,63}$";
    return {{"type", {"object", "null"}},
            {"additionalProperties", false},
            {"patternProperties", {{names, schema_of(*type.item)}}}};
}

Json schema_of(const ValueType& type) {
    switch (type.kind) {
        case Kind::boolean:
            return {{"type", "boolean"}};
        case Kind::integer:
            return or_words(type, number(type.min, type.max));
        case Kind::word:
            return words_of(type);
        case Kind::text:
            return {{"type", {"string", "number"}}, {"minLength", 1}};
        case Kind::mac:
            return text_like(mac_pattern);
        case Kind::ip:
            return text_like(ip_pattern);
        case Kind::prefix:
            return or_words(type, text_like(prefix_pattern));
        case Kind::network:
            return {{"anyOf", Json::array({text_like(ip_pattern), text_like(prefix_pattern)})}};
        case Kind::named_number:
            return or_words(type, {{"type", "integer"},
                                   {"minimum", static_cast<std::int64_t>(type.min)},
                                   {"maximum", type.max}});
        case Kind::rate:
            return {{"anyOf",
                     Json::array({text_like("^[0-9]+[kmg]?bit$"), number(type.min, type.max)})}};
        case Kind::ports: {
            const Json one = number(type.min, 65535);
            Json pair = list_of(one);
            pair["minItems"] = 2;
            pair["maxItems"] = 2;
            return {{"anyOf", Json::array({one, text_like("^[0-9]+(-[0-9]+)?$"), pair})}};
        }
        case Kind::size:
            return {
                {"anyOf", Json::array({text_like("^[0-9]+[KMG]?$"), number(type.min, type.max)})}};
        case Kind::cpus: {
            const Json one = number(0, type.max);
            return {{"anyOf", Json::array({list_of(one), one,
                                           text_like("^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$")})}};
        }
        case Kind::port_range: {
            Json pair = list_of(number(0, type.max));
            pair["minItems"] = 2;
            pair["maxItems"] = 2;
            return or_words(type, {{"anyOf", Json::array({pair, text_like("^[0-9]+ [0-9]+$")})}});
        }
        case Kind::list: {
            Json list = list_of(schema_of(*type.item));
            if (type.item->kind == Kind::object) list["type"] = {"array", "null"};
            return list;
        }
        case Kind::one_or_list: {
            const Json item = schema_of(*type.item);
            return {{"anyOf", Json::array({item, list_of(item)})}};
        }
        case Kind::map:
            return map_of(type);
        case Kind::object:
            return object_of(type.object());
    }
    return {};
}

}  // namespace

std::string schema_text() {
    Json schema{{"$schema", "http://json-schema.org/draft-07/schema#"},
                {"title", "vxplane topology"}};
    schema.update(object_of(describe_topology()));
    return schema.dump(2) + "\n";
}

}  // namespace vxplane::config
