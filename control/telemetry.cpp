#include "control/telemetry.hpp"

#include <rte_telemetry.h>

#include <map>
#include <mutex>
#include <string>

namespace vxplane::control {

/// Rows by command: name -> figure. Flat, because telemetry dictionaries of 22.11 nest only once.
struct Telemetry::Copy {
    std::map<std::string, std::map<std::string, std::uint64_t>> rows;
};

namespace {

using stats::Json;

/// The handlers get no argument of ours. Set while a Telemetry lives.
std::mutex g_lock;
std::map<std::string, std::map<std::string, std::uint64_t>>* g_rows = nullptr;

/// Telemetry takes letters, digits, '_' and '/' in names and refuses a figure with any other.
std::string telemetry_name(std::string name) {
    for (char& c : name) {
        const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '_' || c == '/';
        c = fits ? c : '_';
    }
    return name;
}

void add_figures(std::map<std::string, std::uint64_t>& out, const std::string& prefix,
                 const Json& value) {
    if (value.is_number_unsigned() || value.is_number_integer()) {
        out[prefix] = value.get<std::uint64_t>();
    } else if (value.is_boolean()) {
        out[prefix] = value.get<bool>() ? 1 : 0;
    } else if (value.is_object()) {
        for (const auto& [key, inner] : value.items()) {
            add_figures(out, prefix.empty() ? key : prefix + "/" + key, inner);
        }
    }
}

std::map<std::string, std::uint64_t> figures_of(const Json& list, const char* key) {
    std::map<std::string, std::uint64_t> out;
    for (const Json& row : list) {
        const Json& id = row.at(key);
        add_figures(out, telemetry_name(id.is_string() ? id.get<std::string>() : id.dump()), row);
    }
    return out;
}

int answer(const char* command, const char* /*params*/, rte_tel_data* data) {
    const std::lock_guard guard(g_lock);
    rte_tel_data_start_dict(data);
    if (g_rows == nullptr) {
        return 0;
    }
    for (const auto& [name, figure] : (*g_rows)[command]) {
        // Longer names and more rows than telemetry takes are left out; the RPC has them all.
        if (rte_tel_data_add_dict_u64(data, name.c_str(), figure) == -ENOSPC) {
            break;
        }
    }
    return 0;
}

}  // namespace

Telemetry::Telemetry() : copy_(std::make_unique<Copy>()) {
    {
        const std::lock_guard guard(g_lock);
        g_rows = &copy_->rows;
    }
    rte_telemetry_register_cmd("/vxplane/ports", answer, "Counters by port. Takes no parameters");
    rte_telemetry_register_cmd("/vxplane/workers", answer,
                               "Counters by worker. Takes no parameters");
    rte_telemetry_register_cmd("/vxplane/segments", answer,
                               "Counters by segment. Takes no parameters");
    rte_telemetry_register_cmd("/vxplane/slaves", answer,
                               "Counters by slave of an ipvlan. Takes no parameters");
    rte_telemetry_register_cmd("/vxplane/drops", answer,
                               "Dropped packets by reason. Takes no parameters");
    rte_telemetry_register_cmd("/vxplane/health", answer,
                               "Alarms and unaccounted packets. Takes no parameters");
}

Telemetry::~Telemetry() {
    const std::lock_guard guard(g_lock);
    g_rows = nullptr;
}

void Telemetry::renew(const stats::Reader& reader, const Slaves& slaves) {
    std::map<std::string, std::map<std::string, std::uint64_t>> rows;
    rows["/vxplane/ports"] = figures_of(reader.ports(std::nullopt), "name");
    rows["/vxplane/workers"] = figures_of(reader.workers(), "id");
    rows["/vxplane/segments"] = figures_of(reader.segments(std::nullopt), "name");
    for (const Json& row : reader.slaves(slaves, std::nullopt)) {
        const std::string name =
            row.at("ipvlan").get<std::string>() + "/" + row.at("name").get<std::string>();
        add_figures(rows["/vxplane/slaves"], telemetry_name(name), row);
    }
    for (const Json& row : reader.drops(false)) {
        rows["/vxplane/drops"][row.at("reason")] = row.at("packets");
    }
    add_figures(rows["/vxplane/health"], "", reader.health());
    const std::lock_guard guard(g_lock);
    copy_->rows = std::move(rows);
}

}  // namespace vxplane::control
