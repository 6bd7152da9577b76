// Reading and unpacking.
#include "json_file.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>

namespace vxplane::oracle {
namespace {

std::string shell_quoted(const std::string& text) {
    std::string quoted = "'";
    for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return quoted + "'";
}

std::string output_of(const std::string& command) {
    std::string text;
    const auto close = [](FILE* file) { return pclose(file); };
    std::unique_ptr<FILE, decltype(close)> pipe{popen(command.c_str(), "r"), close};
    if (!pipe) throw std::runtime_error("cannot run " + command);
    std::array<char, 65536> part{};
    while (const std::size_t got = fread(part.data(), 1, part.size(), pipe.get()))
        text.append(part.data(), got);
    if (pclose(pipe.release()) != 0) throw std::runtime_error("failed: " + command);
    return text;
}

std::string text_of(const std::string& path) {
    if (path.ends_with(".xz")) return output_of("xz -dc < " + shell_quoted(path));
    if (path.ends_with(".gz")) return output_of("gzip -dc < " + shell_quoted(path));
    std::ifstream file{path, std::ios::binary};
    if (!file) throw std::runtime_error("cannot be read");
    return {std::istreambuf_iterator<char>{file}, {}};
}

}  // namespace

nlohmann::json read_json(const std::string& path) {
    return nlohmann::json::parse(text_of(path));
}

std::vector<std::string> recordings_in(const std::string& folder) {
    std::vector<std::string> found;
    std::error_code problem;
    for (const auto& entry : std::filesystem::directory_iterator(folder, problem)) {
        const std::string name = entry.path().filename().string();
        if (name.ends_with(".json") || name.ends_with(".json.xz") || name.ends_with(".json.gz"))
            found.push_back(entry.path().string());
    }
    if (problem) throw std::runtime_error(folder + ": " + problem.message());
    if (found.empty()) throw std::runtime_error(folder + ": no *.json, *.json.xz or *.json.gz");
    std::sort(found.begin(), found.end());
    return found;
}

std::string format_of(const std::string& path) {
    try {
        return read_json(path).at("format");
    } catch (const std::exception& problem) {
        throw std::runtime_error(path + ": " + problem.what());
    }
}

}  // namespace vxplane::oracle
