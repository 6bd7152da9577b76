// Any VXLAN flags and any frame into a segment with group policies: what a port gives out is of a
// group that it accepts, and what a tunnel tells is the group of the port. Bytes 1 to 4 are the
// first word of the VXLAN header; bit 4 of the first byte: from a tenant.
#include "fuzz.hpp"

namespace {

using namespace vxplane;
using namespace vxplane::fuzz;

constexpr std::uint8_t kFromTenant = 0x10;
constexpr std::uint16_t kAccepted = 7;
constexpr auto kMark = net::GroupPolicy::of(0x1234, net::GroupPolicy::kDontLearn);

support::Scene& grouped() {
    static support::Scene& made = *[] {
        support::SceneWords words;
        words.tunnel.group_policy = true;
        words.red.inner_vlan = true;
        auto* scene = new support::Scene(words);  // NOLINT(cppcoreguidelines-owning-memory)
        scene->lab.segment_entry(scene->red).watch = table::watch::kGroupPolicy;
        scene->lab.port_entry(scene->vm1).policy = kMark;
        scene->lab.port_entry(scene->vm2).accepted_count = 1;
        scene->lab.complete = [](table::Tables& tables) {
            tables.accepted_groups =
                table::Shared<std::uint16_t>(std::vector<std::uint16_t>{kAccepted});
        };
        scene->lab.count_by_name = false;
        return scene;
    }();
    return made;
}

void from_tenant(support::Scene& s, const Bytes& frame, support::Memory memory) {
    for (const support::SentFrame& sent : s.lab.receive(s.vm1, {frame}, memory).sent) {
        require(sent.port != s.vm2, "a group that is not accepted leaves", sent.bytes);
        if (sent.port == s.up) {
            require(sent.bytes.size() > 50 && sent.bytes[42] == 0x88 && sent.bytes[43] == 0x40 &&
                        sent.bytes[44] == 0x12 && sent.bytes[45] == 0x34,
                    "another group than that of the port", sent.bytes);
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 5 + 14 || size > kLongest) return 0;
    support::Scene& s = grouped();
    const auto memory = static_cast<support::Memory>((data[0] & kMemory) % 3);
    const Bytes frame(data + 5, data + size);
    if ((data[0] & kFromTenant) != 0) {
        from_tenant(s, frame, memory);
        return 0;
    }
    const std::uint32_t bits = std::uint32_t{data[2]} << 16 | std::uint32_t{data[3]} << 8 | data[4];
    const support::Frame outer =
        s.from_remote(support::raw_frame(frame), 2, {.flags = data[1], .reserved = bits});
    const support::Seen seen = s.lab.receive(s.up, outer, memory);
    require(seen.broken_law.empty(), seen.broken_law.c_str(), frame);
    const bool has_group = (data[1] & 0x80) != 0;
    for (const support::SentFrame& sent : seen.sent) {
        require(sent.port == s.vm1 || sent.port == s.vm2, "to another port", sent.bytes);
        require(sent.bytes.size() == frame.size(), "another length", sent.bytes);
        require((data[1] & 0x7F) == 0x08 && (bits & (has_group ? 0xB70000U : 0xFFFFFFU)) == 0,
                "with a bit that means nothing", frame);
        const bool applied = (bits & 0x080000U) != 0;
        require(sent.port == s.vm1 || (has_group && (applied || (bits & 0xFFFFU) == kAccepted)),
                "a group that is not accepted leaves", frame);
    }
    require(seen.learned.empty() || !has_group || (bits & 0x400000U) == 0,
            "it teaches, and says that it does not", frame);
    return 0;
}
