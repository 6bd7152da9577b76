// What a key of the file may hold, said once: the reader checks values by it, messages quote it and
// the schema for editors is written from it, so the three cannot drift apart.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vxplane::config {

struct KeyDescription;

/// Kind and limits of a value.
struct ValueType {
    enum class Kind : std::uint8_t {
        boolean,
        integer,  ///< `min` to `max`; `words[0]`, where there is one, stands for 0
        word,     ///< one of `words`, in the order of the C++ enumeration
        text,     ///< any text that is not empty
        mac,
        ip,
        prefix,        ///< `words` stand for 0.0.0.0/0 and ::/0
        network,       ///< a prefix, or an address alone
        named_number,  ///< one of `words`, which stand for `numbers`; or `min` to `max`, signed
        size,          ///< bytes, `512M`
        rate,          ///< bits per second, `100mbit`
        ports,         ///< of TCP or UDP: `80`, `1024-2047` or `[1024, 2047]`; from `min`
        cpus,          ///< list of CPU numbers, or text such as `1-3,6`
        port_range,    ///< `[lo, hi]`, `lo hi` or `dynamic`
        list,          ///< of `item`
        one_or_list,   ///< `item` alone, or a list of them
        map,           ///< name -> `item`
        object         ///< the keys of `object`
    };
    Kind kind;
    std::uint64_t min = 0;
    std::uint64_t max = 0;
    std::span<const std::string_view> words{};
    const ValueType* item = nullptr;
    std::vector<KeyDescription> (*object)() = nullptr;
    std::span<const std::int64_t> numbers{};
    std::string_view name_is{};  ///< of a map: what its names are, e.g. "port name"

    /// What is allowed, for the end of a message: `auto, or a number from 1 to 64`.
    [[nodiscard]] std::string allowed() const;
};

/// What it takes to change a value while the daemon runs.
enum class Effect : std::uint8_t {
    live,      ///< nothing: no packet is lost
    items,     ///< live, item by item
    recreate,  ///< the object goes and comes back
    restart    ///< the daemon has to start again
};

/// One key of an object.
struct KeyDescription {
    std::string_view name;
    bool required;
    const ValueType* type;
    std::string_view help;
    Effect effect = Effect::live;
};

/// Keys of the whole file, outermost object first.
[[nodiscard]] std::vector<KeyDescription> describe_topology();

}  // namespace vxplane::config
