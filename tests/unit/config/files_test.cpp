// The examples are valid; the files in bad/ are refused with exactly the lines beside them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "config/load.hpp"

namespace vxplane::config {
namespace {

namespace fs = std::filesystem;

std::string content(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    EXPECT_TRUE(file) << path;
    return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<fs::path> yaml_files(const char* folder) {
    std::vector<fs::path> all;
    for (const auto& entry : fs::directory_iterator(folder)) {
        if (entry.path().extension() == ".yaml") all.push_back(entry.path());
    }
    std::ranges::sort(all);
    return all;
}

std::string test_name(const testing::TestParamInfo<fs::path>& info) {
    std::string name = info.param.stem().string();
    std::ranges::replace_if(
        name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
    return name;
}

class ConfigExample : public testing::TestWithParam<fs::path> {};

TEST_P(ConfigExample, is_valid) {
    const LoadResult result = check_file(GetParam().string());
    for (const Problem& problem : result.problems) ADD_FAILURE() << problem.text();
    EXPECT_FALSE(result.topology.vxlans.empty() && result.topology.ipvlans.empty());
}

INSTANTIATE_TEST_SUITE_P(Examples, ConfigExample, testing::ValuesIn(yaml_files(EXAMPLES_DIR)),
                         test_name);

class ConfigBad : public testing::TestWithParam<fs::path> {};

TEST_P(ConfigBad, is_refused_with_the_expected_lines) {
    fs::path expected = GetParam();
    expected.replace_extension(".expected");
    std::string lines;
    const std::string name = GetParam().filename().string();
    for (const Problem& problem : check_text(content(GetParam()), name).problems) {
        lines += problem.text() + "\n";
    }
    EXPECT_FALSE(lines.empty()) << "accepted";
    EXPECT_EQ(lines, content(expected));
}

INSTANTIATE_TEST_SUITE_P(Files, ConfigBad, testing::ValuesIn(yaml_files(BAD_DIR)), test_name);

}  // namespace
}  // namespace vxplane::config
