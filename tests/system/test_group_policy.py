"""Group policies between vxplane and the kernel's vxlan device, which takes them from skb->mark and puts
them there; nftables sees and sets the marks."""
import copy
import re

from lab import wait_until
from scene import TENANT4, Scene
from test_reload import reload, varied

APPLIED, DONT_LEARN = 0x80000, 0x400000
PEER_MAC, TENANT_MAC = "02:00:00:00:0b:01", "02:00:00:00:0a:01"


class Marks:
    """Of frames at the peer's vxlan device: those that arrive are noted, those that leave get one."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.nft("add table netdev seen",
                 "add chain netdev seen arrives { type filter hook ingress device vx0 priority 0; }",
                 "add set netdev seen marks { type mark; flags dynamic; size 64; }",
                 "add rule netdev seen arrives add @marks { meta mark }",
                 "add table inet marked",
                 "add chain inet marked leaves { type filter hook output priority 0; }")

    def nft(self, *lines):
        for line in lines:
            self.namespace.run(f"nft {line}")

    def leave_with(self, mark):
        self.nft("flush chain inet marked leaves",
                 f"add rule inet marked leaves oifname vx0 meta mark set {mark:#x}")

    def arrived(self):
        """Which marks arrived since this was asked last."""
        text = self.namespace.run("nft list set netdev seen marks")
        self.nft("flush set netdev seen marks")
        return {int(word, 16) for word in re.findall(r"0x[0-9a-f]+", text)}


def grouped(lab, **port):
    """One tenant and one kernel VTEP, which know each other without asking: ARP has no mark."""
    scene = Scene(lab)
    tenant = scene.tenant()
    scene.topology["ports"]["acc0"] |= port
    # IPv6 speaks when it likes, and what it says before anybody listens waits for the underlay's ARP.
    peer = scene.peers[0]
    peer.namespace.run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1")
    peer.vxlan(options="gbp", mac=PEER_MAC, addresses=(f"{peer.inner4}/24",))
    scene.segment(gbp=True)
    marks = Marks(peer.namespace)
    scene.start(settle=False)
    tenant.ip(f"link set acc0 address {TENANT_MAC}")
    tenant.ip(f"neighbour replace {peer.inner4} lladdr {PEER_MAC} dev acc0 nud permanent")
    peer.namespace.ip(f"neighbour replace {TENANT4} lladdr {TENANT_MAC} dev vx0 nud permanent")
    tenant.run("sysctl -qw net.ipv6.conf.acc0.disable_ipv6=1")
    return scene, tenant, peer, marks


def groups(daemon):
    return {(row["vni"], row["group"]): (row["packets"], row["applied"], row["dont_learn"])
            for row in daemon.rpc("segments.groups")}


def test_VX46_the_kernel_sees_the_group_of_a_port_as_a_mark(lab):
    scene, tenant, peer, marks = grouped(lab, **{"group-policy": 100, "policy-flags": ["applied"]})
    # The first one waits for the next hop's address, and keeps its group.
    wait_until(lambda: tenant.ping(peer.inner4, count=1), 10, "the tenants reach each other")
    assert marks.arrived() == {100 | APPLIED}

    def other(topology):
        topology["ports"]["acc0"] |= {"group-policy": 65535, "policy-flags": ["dont-learn"]}
    changes = reload(scene.daemon, varied(scene.daemon, other))
    assert any("group-policy: 100 -> 65535" in line for line in changes), changes
    assert tenant.ping(peer.inner4) == 3
    assert marks.arrived() == {65535 | DONT_LEARN}

    def without(topology):
        del topology["ports"]["acc0"]["group-policy"], topology["ports"]["acc0"]["policy-flags"]
    reload(scene.daemon, varied(scene.daemon, without))
    assert tenant.ping(peer.inner4) == 3
    assert marks.arrived() == {0}


def test_VX46_groups_from_the_kernel_are_seen_and_chosen_among(lab):
    scene, tenant, peer, marks = grouped(lab, **{"accept-groups": [4660]})
    daemon = scene.daemon

    def pings(mark, count=3):
        marks.leave_with(mark)
        return peer.namespace.ping(TENANT4, count=count, wait=0.3)
    wait_until(lambda: pings(4660, count=1), 10, "an accepted group arrives")
    assert pings(4660) == 3
    packets, applied, dont_learn = groups(daemon)[(100, 4660)]
    assert packets >= 4 and applied == dont_learn == 0
    before = daemon.drops().get("group_refused", 0)
    assert pings(77) == 0
    assert pings(0) == 0, "no group is not an accepted one"
    assert daemon.drops()["group_refused"] == before + 6
    assert pings(77 | APPLIED) == 3, "applied already"
    assert groups(daemon)[(100, 77)] == (6, 3, 0)
    assert re.search(r"100\s+77\s+6\s+3\s+0", daemon.ctl("groups").stdout)

    def wider(topology):
        topology["ports"]["acc0"]["accept-groups"] = [77, 0]
    reload(daemon, varied(daemon, wider))
    assert pings(77) == 3
    assert pings(0) == 3
    assert pings(4660) == 0


def test_VX46_a_frame_with_the_D_bit_does_not_teach(lab):
    scene, _, peer, marks = grouped(lab)
    marks.leave_with(5 | DONT_LEARN)
    wait_until(lambda: peer.namespace.ping(TENANT4, count=1), 10, "the tenant answers, by flooding")
    assert peer.namespace.ping(TENANT4) == 3
    assert scene.daemon.fdb(PEER_MAC) is None
    marks.leave_with(5)
    assert peer.namespace.ping(TENANT4) == 3
    wait_until(lambda: scene.daemon.fdb(PEER_MAC), 2, "without it it does")


def test_VX46_switched_while_it_runs(lab):
    scene, tenant, peer, marks = grouped(lab, **{"group-policy": 9})
    daemon = scene.daemon
    first = copy.deepcopy(daemon.topology)
    marks.leave_with(9)
    wait_until(lambda: tenant.ping(peer.inner4, count=1), 10, "the tenants reach each other")

    def off(topology):
        topology["vxlans"]["vx100"]["gbp"] = False
        del topology["ports"]["acc0"]["group-policy"]
    reload(daemon, varied(daemon, off))
    marks.arrived()
    before = daemon.drops().get("vxlan_reserved_bits", 0)
    assert tenant.ping(peer.inner4, count=2, wait=0.3) == 0, "the answers have bits that are reserved now"
    assert daemon.drops()["vxlan_reserved_bits"] == before + 2
    assert marks.arrived() == {0}
    reload(daemon, first)
    assert tenant.ping(peer.inner4) == 3
    assert marks.arrived() == {9}
    assert daemon.rpc("segments")[0]["gbp"] is True
