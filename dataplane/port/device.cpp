// Reads device strings and looks at the machine before DPDK does, whose own errors are short.
#include "dataplane/port/device.hpp"

#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <initializer_list>

#include "dataplane/port/kernel_device.hpp"

namespace vxplane::port {
namespace {

namespace fs = std::filesystem;

bool is_hex(std::string_view text) {
    return std::ranges::all_of(text, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    });
}

/// `0000:3b:00.0` or `3b:00.0`; empty when it is neither.
std::string pci_address(std::string_view text) {
    std::string full = text.size() == 7 ? "0000:" + std::string{text} : std::string{text};
    if (full.size() != 12 || full[4] != ':' || full[7] != ':' || full[10] != '.') return {};
    const std::string_view view = full;
    if (!is_hex(view.substr(0, 4)) || !is_hex(view.substr(5, 2)) || !is_hex(view.substr(8, 2)) ||
        full[11] < '0' || full[11] > '7')
        return {};
    std::ranges::transform(full, full.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return full;
}

std::string all_drivers() {
    std::string text;
    for (const DriverFacts& one : known_drivers())
        text += (text.empty() ? "" : ", ") + std::string{one.name};
    return text;
}

Outcome need_interface(const Device& device, std::initializer_list<const char*> keys) {
    for (const auto& [key, value] : device.pairs) {
        if (std::ranges::find(keys, key) == keys.end()) continue;
        if (::if_nametoindex(value.c_str()) == 0)
            return Failure{"network interface " + value + " does not exist in this namespace"};
    }
    return Done{};
}

Outcome need_folder_of(const std::string& file) {
    const fs::path folder = fs::absolute(file).parent_path();
    std::error_code none;
    if (fs::is_directory(folder, none)) return Done{};
    return Failure{"folder " + folder.string() + " of " + file + " does not exist"};
}

/// Who holds the tap interface: its file's fdinfo has a line `iff:` with the name.
std::string tap_holder(const std::string& interface) {
    std::error_code none;
    for (const auto& process : fs::directory_iterator{"/proc", none}) {
        const std::string pid = process.path().filename();
        if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
        for (const auto& info : fs::directory_iterator{process.path() / "fdinfo", none}) {
            std::ifstream file{info.path()};
            for (std::string line; std::getline(file, line);)
                if (line == "iff:\t" + interface) return "process " + pid;
        }
    }
    return {};
}

Outcome check_tap(const Device& device) {
    const std::string interface = device.argument("iface");
    if (interface.size() >= IFNAMSIZ)
        return Failure{"interface name " + interface + " is longer than " +
                       std::to_string(IFNAMSIZ - 1) + " characters"};
    if (interface.empty() || ::if_nametoindex(interface.c_str()) == 0) return Done{};
    if (const std::string who = tap_holder(interface); !who.empty())
        return Failure{"device busy: tap interface " + interface + " is in use by " + who};
    if (kernel_driver(interface) != "tun")
        return Failure{"network interface " + interface +
                       " exists already and is not a tap: choose another name"};
    return Done{};
}

Outcome check_pcap(const Device& device) {
    if (device.pairs.empty())
        return Failure{"net_pcap needs rx_pcap=, tx_pcap=, rx_iface=, tx_iface= or iface="};
    for (const auto& [key, value] : device.pairs) {
        if (key == "rx_pcap" && ::access(value.c_str(), R_OK) != 0)
            return Failure{"capture file " + value + " does not exist or cannot be read"};
        if (key == "tx_pcap")
            if (const Outcome folder = need_folder_of(value); !folder) return folder;
    }
    return need_interface(device, {"iface", "rx_iface", "rx_iface_in", "tx_iface"});
}

Outcome check_socket(const Device& device, const char* key, bool must_exist) {
    const std::string path = device.argument(key);
    if (path.empty())
        return Failure{std::string{device.facts->name} + " needs " + key + "=PATH of the socket"};
    std::error_code none;
    if (must_exist && !fs::exists(path, none))
        return Failure{"socket " + path + " does not exist: is the other side running?"};
    return need_folder_of(path);
}

Outcome check_pci(const Device& device, const std::string& root) {
    const fs::path folder = root + "/sys/bus/pci/devices/" + device.name;
    std::error_code none;
    if (!fs::exists(folder, none))
        return Failure{"no PCI device at " + device.name + " (`lspci -D` lists what is there)"};
    const fs::path driver = fs::read_symlink(folder / "driver", none).filename();
    // Drivers that leave the device to user space, and the bifurcated ones that share it.
    for (const char* fit : {"vfio-pci", "uio_pci_generic", "igb_uio", "mlx4_core", "mlx5_core",
                            "uio_hv_generic", "mana"})
        if (driver == fit) return Done{};
    const std::string bind =
        ": take it with `modprobe vfio-pci && dpdk-devbind.py --bind=vfio-pci " + device.name + "`";
    if (driver.empty())
        return Failure{"PCI device " + device.name + " is bound to no driver" + bind};
    return Failure{"device busy: PCI device " + device.name + " is bound to the kernel driver " +
                   driver.string() + bind + ", which takes its interface from the kernel"};
}

/// Interface names mean something within one network namespace only.
std::string namespace_key() {
    std::error_code none;
    return fs::read_symlink("/proc/self/ns/net", none).string();
}

std::string file_key(const std::string& path) {
    std::error_code none;
    const fs::path canonical = fs::weakly_canonical(path, none);
    return none ? path : canonical.string();
}

}  // namespace

const std::vector<DriverFacts>& known_drivers() noexcept {
    static const std::vector<DriverFacts> drivers = {
        // name            multi   all rx  single  no filter
        {"net_tap", true, false, true, true},          {"net_pcap", true, true, false, true},
        {"net_af_packet", true, true, false, false},   {"net_af_xdp", false, true, false, false},
        {"net_memif", true, false, false, true},       {"net_vhost", true, true, false, true},
        {"net_virtio_user", true, false, false, true}, {"net_ring", true, false, false, true},
        {"net_null", true, false, false, true},
    };
    return drivers;
}

std::string Device::argument(std::string_view key) const {
    for (const auto& [name_of, value] : pairs)
        if (name_of == key) return value;
    return {};
}

std::uint32_t Device::number(std::string_view key, std::uint32_t fallback) const {
    const std::string value = argument(key);
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    return error == std::errc{} && number != 0 ? number : fallback;
}

bool Device::has(std::string_view key) const {
    return std::ranges::any_of(pairs, [&](const auto& pair) { return pair.first == key; });
}

bool fits_packet_ring(const Device& device, std::uint16_t mtu) {
    // What a frame in the ring needs besides its payload: ring header (TPACKET2_HDRLEN, 68 with
    // alignment), Ethernet header and a VLAN tag.
    constexpr std::uint32_t overhead = 68 + 14 + 4;
    return mtu + overhead <= device.number("framesz", 2048);
}

Expected<Device> parse_device(const std::string& text) noexcept {
    Device device;
    const std::size_t comma = text.find(',');
    device.name = text.substr(0, comma);
    if (comma != std::string::npos) device.arguments = text.substr(comma + 1);
    for (std::size_t at = 0; at < device.arguments.size();) {
        const std::size_t end = std::min(device.arguments.find(',', at), device.arguments.size());
        const std::string word = device.arguments.substr(at, end - at);
        const std::size_t equals = word.find('=');
        device.pairs.emplace_back(word.substr(0, equals),
                                  equals == std::string::npos ? "" : word.substr(equals + 1));
        at = end + 1;
    }
    if (std::string address = pci_address(device.name); !address.empty()) {
        device.pci = true;
        device.name = std::move(address);
        return device;
    }
    for (const DriverFacts& one : known_drivers()) {
        if (!device.name.starts_with(one.name)) continue;
        const std::string_view rest = std::string_view{device.name}.substr(one.name.size());
        if (rest.find_first_not_of("0123456789") == std::string_view::npos) {
            device.facts = &one;
            return device;
        }
    }
    return Failure{"\"" + device.name +
                   "\" is neither a PCI address (0000:3b:00.0) nor a virtual device: its name is a "
                   "driver and a number (drivers: " +
                   all_drivers() + ")"};
}

std::uint16_t mtu_of_buffers(const std::string& device, std::uint16_t mtu) noexcept {
    const Expected<Device> parsed = parse_device(device);
    if (!parsed || parsed->facts == nullptr || parsed->facts->name != "net_af_packet") return mtu;
    // The driver takes 32 bytes of each frame for itself, and 26 more go to Ethernet header, two
    // tags and CRC, for which every buffer has room.
    constexpr std::uint32_t overhead = 32 + 26;
    const std::uint32_t frame =
        std::clamp<std::uint32_t>(parsed->number("framesz", 2048), overhead, UINT16_MAX);
    return std::max(mtu, static_cast<std::uint16_t>(frame - overhead));
}

Outcome check_device(const Device& device, const std::string& root) noexcept {
    if (device.pci) return check_pci(device, root);
    const std::string_view driver = device.facts->name;
    if (driver == "net_tap") return check_tap(device);
    if (driver == "net_pcap") return check_pcap(device);
    if (driver == "net_af_packet" || driver == "net_af_xdp") {
        if (!device.has("iface")) return Failure{std::string{driver} + " needs iface=INTERFACE"};
        return need_interface(device, {"iface"});
    }
    if (driver == "net_vhost")
        return check_socket(device, "iface", device.argument("client") == "1");
    if (driver == "net_virtio_user")
        return check_socket(device, "path", device.argument("server") != "1");
    if (driver == "net_memif" && device.has("socket") && device.argument("socket-abstract") == "no")
        return need_folder_of(device.argument("socket"));
    return Done{};
}

std::vector<std::string> lock_keys(const Device& device) noexcept {
    if (device.pci) return {"pci-" + device.name};
    const std::string driver{device.facts->name};
    std::vector<std::string> keys;
    if (driver == "net_tap" || driver == "net_af_packet") {
        const std::string interface = device.argument("iface");
        if (!interface.empty()) keys.push_back(driver + "-" + interface + "-" + namespace_key());
    } else if (driver == "net_af_xdp") {
        keys.push_back(driver + "-" + device.argument("iface") + "-" +
                       device.argument("start_queue") + "-" + namespace_key());
    } else if (driver == "net_pcap") {
        // Files may be read by many; what is written, or an interface, has one owner.
        for (const auto& [key, value] : device.pairs) {
            if (key == "tx_pcap") keys.push_back(driver + "-" + file_key(value));
            if (key.find("iface") != std::string::npos)
                keys.push_back(driver + "-" + key + "-" + value + "-" + namespace_key());
        }
    } else if (driver == "net_vhost") {
        keys.push_back(driver + "-" + file_key(device.argument("iface")));
    } else if (driver == "net_virtio_user") {
        keys.push_back(driver + "-" + file_key(device.argument("path")));
    } else if (driver == "net_memif") {
        keys.push_back(driver + "-" + device.argument("role") + "-" + device.argument("id") + "-" +
                       device.argument("socket"));
    }
    // The same key twice in one device would lock the device out by itself.
    std::ranges::sort(keys);
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    return keys;
}

}  // namespace vxplane::port
