"""Tunnels between link-local addresses, with the kernel's vxlan device at the other end: it wants `local` and
`dev` for them, too."""
import copy

import yaml

from lab import wait_until
from scene import TENANT4, TENANT6, Scene
from test_reload import reload

OWN, PEER = "fe80::1", "fe80::2"


def on_link(lab, **words):
    scene = Scene(lab)
    tenant, peer = scene.tenant(), scene.peers[0]
    scene.topology["ports"]["uplink0"]["addresses"].append(f"{OWN}/64")
    peer.namespace.run("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0")
    peer.namespace.ip(f"address add {PEER}/64 dev eth0 nodad")
    peer.underlay = PEER
    peer.vxlan(remote=OWN, options="dev eth0")
    peer.namespace.ip("link set vx0 mtu 1430")
    scene.segment(local=OWN, dev="uplink0", remotes=[PEER], **words)
    scene.start(settle=False)
    tenant.ip("link set acc0 mtu 1430")
    return scene, tenant, peer


def test_VX01_VX18_tunnels_between_link_local_addresses_go_by_their_port(lab):
    scene, tenant, peer = on_link(lab)
    wait_until(lambda: tenant.ping(peer.inner4, count=1), 5, "the two know each other")
    for address in (peer.inner4, peer.inner6):
        assert tenant.ping(address) == 3
    for address in (TENANT4, TENANT6):
        assert peer.namespace.ping(address) == 3
    for size in (0, 1401, 1402):
        assert tenant.ping(peer.inner4, count=1, options=f"-M do -s {size}") == 1, size
    entry = scene.daemon.fdb(peer.mac())
    assert entry["dst"] == PEER and entry["state"] == "dynamic"
    assert f"dst {OWN}" in str(peer.namespace.run("bridge fdb show dev vx0"))
    known = scene.daemon.neighbour(PEER)
    assert known["lladdr"] == peer.namespace.mac("eth0") and known["dev"] == "uplink0"
    assert scene.daemon.rpc("segments")[0]["local"] == OWN
    assert scene.daemon.rpc("segments")[0]["mtu"] == 1430
    # Our own address is defended, and answers.
    assert peer.namespace.ping(f"{OWN}%eth0") == 3
    assert not {"tunnel_no_route", "vxlan_unknown_vni"} & set(scene.daemon.drops())


def test_VX44_VX97_only_link_local_remotes_of_this_link_and_changed_while_it_runs(lab):
    scene, tenant, peer = on_link(lab)
    wait_until(lambda: tenant.ping(peer.inner4, count=1), 5, "the two know each other")
    refused = scene.daemon.ctl("fdb", "add", "02:00:00:00:99:01", "dev", "vx100", "dst", "2001:db8::99", check=False)
    assert refused.returncode == 1 and "2001:db8::99 is not link-local, and segment vx100 is of one link" in refused.stderr
    scene.daemon.ctl("fdb", "add", "02:00:00:00:99:01", "dev", "vx100", "dst", "fe80::99")
    assert scene.daemon.fdb("02:00:00:00:99:01")["dst"] == "fe80::99"
    refused = scene.daemon.ctl("fdb", "add", "02:00:00:00:99:02", "dev", "vx100", "dst", OWN, check=False)
    assert refused.returncode == 1 and "ours" in refused.stderr
    # A second address of the port, and the peer follows.
    other = "fe80::1:1"
    topology = copy.deepcopy(scene.daemon.topology)
    topology["ports"]["uplink0"]["addresses"].append(f"{other}/64")
    topology["vxlans"]["vx100"]["local"] = other
    reload(scene.daemon, topology)
    peer.namespace.ip(f"link set vx0 type vxlan remote {other} dev eth0")
    wait_until(lambda: tenant.ping(peer.inner4, count=1), 5, "the new address is used")
    assert scene.daemon.rpc("segments")[0]["local"] == other
    assert f"dst {other}" in str(peer.namespace.run("bridge fdb show dev vx0"))
    # To a global address: link-local remotes are no more of it.
    topology["vxlans"]["vx100"] |= {"local": "2001:db8::1"}
    topology["ports"]["uplink0"]["addresses"].append("2001:db8::1/64")
    del topology["vxlans"]["vx100"]["dev"]
    scene.daemon.file.write_text(yaml.safe_dump(topology, sort_keys=False))
    refused = scene.daemon.ctl("reload", check=False)
    assert refused.returncode == 1 and "is on every link" in refused.stdout + refused.stderr
    assert tenant.ping(peer.inner4) == 3, "what is refused changes nothing"
