// The schema that editors read says what the loader says.
#include "config/schema.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "config/keys.hpp"

namespace vxplane::config {
namespace {

using Json = nlohmann::json;

/// The schema of a value inside lists and maps.
const Json& inner(const Json& schema) {
    if (schema.contains("items")) return inner(schema["items"]);
    if (schema.contains("patternProperties")) return schema["patternProperties"].front();
    return schema;
}

void compare(const Json& schema, const std::vector<KeyDescription>& keys, const std::string& path) {
    std::set<std::string> known;
    std::set<std::string> required;
    for (const KeyDescription& key : keys) {
        const std::string name(key.name);
        const std::string where = path + "." + name;
        known.insert(name);
        if (key.required) required.insert(name);
        ASSERT_TRUE(schema["properties"].contains(name)) << where;
        const Json& property = schema["properties"][name];
        EXPECT_EQ(property["description"], key.help) << where;
        const ValueType& type = *key.type;
        if (type.kind == ValueType::Kind::word) {
            EXPECT_EQ(property["enum"].size(), type.words.size()) << where;
        }
        if (type.kind == ValueType::Kind::integer && type.words.empty()) {
            EXPECT_EQ(property["minimum"], type.min) << where;
            EXPECT_EQ(property["maximum"], type.max) << where;
        }
        const ValueType& deepest = type.item == nullptr ? type : *type.item;
        if (deepest.object != nullptr) compare(inner(property), deepest.object(), where);
    }
    EXPECT_EQ(schema["properties"].size(), known.size()) << path;
    EXPECT_EQ(schema["additionalProperties"], false) << path;
    const std::set<std::string> listed = schema.contains("required")
                                             ? schema["required"].get<std::set<std::string>>()
                                             : std::set<std::string>{};
    EXPECT_EQ(listed, required) << path;
}

TEST(ConfigSchema, the_file_is_what_the_tables_yield) {
    std::ifstream file(SCHEMA_FILE);
    ASSERT_TRUE(file);
    const std::string tracked{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(tracked, schema_text()) << "run vxplane-schema > config/schema/topology.schema.json";
}

TEST(ConfigSchema, every_key_limit_and_word_of_the_tables_is_in_it) {
    compare(Json::parse(schema_text()), describe_topology(), "");
}

}  // namespace
}  // namespace vxplane::config
