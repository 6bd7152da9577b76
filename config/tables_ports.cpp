// Keys of the system and of ports; the other objects are in tables.cpp.
#include <array>
#include <limits>

#include "config/access.hpp"
#include "config/limits.hpp"
#include "config/value_types.hpp"

namespace vxplane::config {
namespace {

using namespace values;  // NOLINT(google-build-using-namespace): made for this file

void read_cpus(Reader& reader, const YamlNode& node, const ValueType& type, System& out) {
    if (node.kind != YamlNode::Kind::scalar) {
        const ValueType numbers = list_of(cpu);
        if (node.kind == YamlNode::Kind::list) {
            reader.list(node, numbers, out.workers, &out.worker_where);
        } else {
            reader.refuse_value(node, type);
        }
        return;
    }
    const auto numbers = parse_cpu_list(node.text);
    if (!numbers) {
        reader.refuse_value(node, type);
        return;
    }
    out.workers = *numbers;
    out.worker_where.assign(numbers->size(), node.where);
}

constexpr ValueType persist_interval = integer(1, 86400);

constexpr std::array system_keys{
    Key<System>{{"workers", false, &cpus, "CPU numbers, one worker each; none: one, chosen",
                 Effect::restart},
                {read_cpus, shown<&System::workers>}},
    Key<System>{
        {"control", false, &cpu, "CPU of the control thread; none: chosen", Effect::restart},
        scalar<&System::control>()},
    Key<System>{{"memory", false, &memory, "given to DPDK; 512M unless said", Effect::restart},
                scalar<&System::memory>()},
    Key<System>{
        {"hugepages", false, &hugepages, "auto uses them when there are enough", Effect::restart},
        scalar<&System::hugepages>()},
    Key<System>{{"idle", false, &idle,
                 "busy polls always; adaptive naps when there is no work; interrupt sleeps until "
                 "a port has packets; adaptive unless said",
                 Effect::restart},
                scalar<&System::idle>()},
    Key<System>{
        {"idle-after", false, &idle_after,
         "microseconds without a packet until a worker naps; 200 unless said", Effect::restart},
        scalar<&System::idle_after>()},
    Key<System>{{"idle-sleep", false, &idle_sleep, "longest nap, in microseconds; 2000 unless said",
                 Effect::restart},
                scalar<&System::idle_sleep>()},
    Key<System>{{"steering", false, &steering,
                 "software: frames go to the worker of their inner flow; none unless said",
                 Effect::restart},
                scalar<&System::steering>()},
    Key<System>{
        {"backlog", false, &backlog,
         "packets that may be steered to one worker and wait; 2000 unless said", Effect::restart},
        scalar<&System::backlog>()},
    Key<System>{{"flow-limit", false, &boolean,
                 "no flow may take most of a backlog that is half full; false unless said",
                 Effect::restart},
                scalar<&System::flow_limit>()},
    Key<System>{{"socket", false, &text, "unix socket that vxctl talks to", Effect::restart},
                scalar<&System::socket>()},
    Key<System>{{"socket-group", false, &text, "group that may use the socket", Effect::restart},
                scalar<&System::socket_group>()},
    Key<System>{{"icmp-rate", false, &icmp_rate,
                 "ICMP messages a second to one source, of every kind that is not asked for; 0: "
                 "none; 100 unless said"},
                scalar<&System::icmp_rate>()},
    Key<System>{{"log", false, &log_level, "least severe lines that are written"},
                scalar<&System::log_level>()},
    Key<System>{{"mbufs", false, &mbufs, "packet buffers per NUMA node", Effect::restart},
                scalar<&System::mbufs>()},
    Key<System>{
        {"fdb-capacity", false, &fdb_capacity, "FDB entries over all segments", Effect::restart},
        scalar<&System::fdb_capacity>()},
    Key<System>{
        {"tunnel-capacity", false, &tunnel_capacity, "remotes over all segments", Effect::restart},
        scalar<&System::tunnel_capacity>()},
    Key<System>{
        {"persist", false, &text,
         "file that keeps learned FDB entries over a restart; none unless said", Effect::restart},
        scalar<&System::persist>()},
    Key<System>{{"persist-interval", false, &persist_interval,
                 "seconds between snapshots; 30 unless said", Effect::restart},
                scalar<&System::persist_interval>()},
    Key<System>{{"eal", false, &texts, "further EAL arguments", Effect::restart},
                list<&System::eal>()},
};

constexpr std::array port_keys{
    Key<Port>{{"device", true, &text, "PCI address or vdev, e.g. \"net_tap0,iface=vm1\"",
               Effect::restart},
              scalar<&Port::device>()},
    Key<Port>{{"role", true, &role, "underlay carries the tunnels, access the inner frames",
               Effect::restart},
              scalar<&Port::role>()},
    Key<Port>{
        {"addresses", false, &prefixes, "of an underlay port, with prefix length", Effect::items},
        placed<&Port::addresses, &Port::address_where>()},
    Key<Port>{{"mtu", false, &mtu,
               "bytes after the Ethernet header; unless said 1500, and the kernel's end of a "
               "net_tap has what its segments take"},
              scalar<&Port::mtu>()},
    Key<Port>{{"mac", false, &mac, "none: the device's own"}, scalar<&Port::mac>()},
    Key<Port>{{"rx-queues", false, &queues, "auto: one per worker as far as the device allows",
               Effect::restart},
              scalar<&Port::rx_queues>()},
    Key<Port>{{"rx-descriptors", false, &descriptors, "per receive queue", Effect::restart},
              scalar<&Port::rx_descriptors>()},
    Key<Port>{{"tx-descriptors", false, &descriptors, "per transmit queue", Effect::restart},
              scalar<&Port::tx_descriptors>()},
    Key<Port>{{"workers", false, &cpu_list,
               "CPUs whose workers poll the receive queues, in turn; none: chosen by NUMA node",
               Effect::restart},
              placed<&Port::workers, &Port::worker_where>()},
    Key<Port>{{"rss", false, &rss, "what is hashed to choose a queue; none: what the device has",
               Effect::restart},
              list<&Port::rss>()},
    Key<Port>{
        {"rss-key", false, &text,
         "default, symmetric (both directions alike) or bytes in hexadecimal", Effect::restart},
        scalar<&Port::rss_key>()},
    Key<Port>{{"rss-level", false, &rss_level,
               "inner: hash what a tunnel carries; outer unless said", Effect::restart},
              scalar<&Port::rss_level>()},
    Key<Port>{{"rss-reta", false, &queue_list,
               "receive queues of the indirection table, repeated until it is full; none: in turn",
               Effect::restart},
              list<&Port::rss_reta>()},
    Key<Port>{{"rx-checksum", false, &auto_on_off,
               "whether the NIC checks received sums, once its verdicts were found right; auto: "
               "where it can",
               Effect::restart},
              scalar<&Port::rx_checksum>()},
    Key<Port>{
        {"host", false, &text, "kernel interface for everything that is not ours", Effect::restart},
        scalar<&Port::host>()},
    Key<Port>{{"promiscuous", false, &boolean, "underlay: false unless said; access: true"},
              scalar<&Port::promiscuous>()},
    Key<Port>{{"reassembly", false, &boolean,
               "underlay: tunnel packets that arrive in fragments are put together; false unless "
               "said"},
              scalar<&Port::reassembly>()},
    Key<Port>{{"gro", false, &auto_on_off,
               "merge received TCP segments; auto: where another port takes large packets",
               Effect::restart},
              scalar<&Port::gro>()},
    Key<Port>{{"tso", false, &auto_on_off,
               "send large TCP packets whole; auto: where the device cuts them or a guest takes "
               "them",
               Effect::restart},
              scalar<&Port::tso>()},
    Key<Port>{{"learning", false, &boolean, "access: learn source addresses; true unless said"},
              scalar<&Port::learning>()},
    Key<Port>{{"group-policy", false, &group, "of gbp: id of the frames that come in here"},
              scalar<&Port::group_policy>()},
    Key<Port>{{"policy-flags", false, &policy_flags,
               "with group-policy: applied (A bit), dont-learn (D bit)"},
              list<&Port::policy_flags>()},
    Key<Port>{{"accept-groups", false, &groups,
               "of gbp: ids of the frames that may leave here, 0 those of no group; any unless "
               "said"},
              list<&Port::accept_groups>()},
    Key<Port>{{"pvid", false, &vid, "of a trunk: VLAN of untagged frames; none unless said"},
              scalar<&Port::pvid>()},
    Key<Port>{
        {"vlans", false, &text, "of a trunk: VLANs such as 10-20,30; all of its vxlan unless said"},
        scalar<&Port::vlans>()},
};

}  // namespace

template <>
std::span<const Key<System>> keys_of<System>() {
    return system_keys;
}
template <>
std::span<const Key<Port>> keys_of<Port>() {
    return port_keys;
}

}  // namespace vxplane::config
