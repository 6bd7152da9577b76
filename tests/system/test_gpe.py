"""VXLAN-GPE against the Linux kernel's gpe device, which has no Ethernet: IP packets come and go bare, and
a MAC address stands for the peer. Frames of a peer that has Ethernet are sent by hand."""
import copy
import struct

from frames import ICMP, IP, UDP, Ether, Raw
from lab import wait_until
from scene import TENANT4, TENANT6, VTEP, Scene
from test_reload import reload

PORT = 4790
STANDS_FOR_PEER = "06:76:c0:00:02:0b"  # 192.0.2.11
HOST = "02:00:00:00:0a:01"  # behind a peer with Ethernet


def scene_of(lab, kernel=True, **words):
    """VNI 100 is the untagged frames of the trunk acc0; the peer's device has 10.0.0.11 and fd00::11."""
    scene = Scene(lab)
    scene.tenant()
    scene.topology["ports"]["acc0"]["pvid"] = 10
    peer = scene.peers[0]
    scene.topology["vxlans"]["ext"] = {
        "external": True, "gpe": True, "vni": "100-101", "dstport": PORT, "local": VTEP, "ports": ["acc0"],
        "tunnel-info": [{"vid": "10-11", "id": "100-101"}], **words}
    if kernel:
        peer.namespace.ip(f"link add vx0 type vxlan external gpe dstport {PORT}")
        peer.namespace.up("vx0", f"{peer.inner4}/32", f"{peer.inner6}/128", mtu=1436)
        for family, tenant in (("-4", f"{TENANT4}/32"), ("-6", f"{TENANT6}/128")):
            peer.namespace.ip(f"{family} route add {tenant} encap ip id 100 dst {VTEP} ttl 64 dev vx0")
    return scene, peer


def knows_peer(tenant, peer):
    for address in (peer.inner4, peer.inner6):
        tenant.ip(f"neigh replace {address} lladdr {STANDS_FOR_PEER} dev acc0")


def test_VX47_the_kernels_device_and_a_tenant_reach_each_other(lab):
    scene, peer = scene_of(lab)
    daemon = scene.start()
    tenant = scene.members["acc0"][0]
    knows_peer(tenant, peer)
    # The peer speaks first: what stands for it is learned. Until then nobody knows where to answer to.
    peer.namespace.ping(TENANT4, count=1)
    entry = wait_until(lambda: daemon.fdb(STANDS_FOR_PEER), 2, "the peer is learned")
    assert entry["dst"] == peer.underlay and entry["vni"] == 100
    assert peer.namespace.ping(TENANT4) == 3
    assert peer.namespace.ping(TENANT6) == 3
    assert tenant.ping(peer.inner4) == 3 and tenant.ping(peer.inner6) == 3
    assert tenant.ping(peer.inner4, options="-s 1300") == 3
    assert not set(daemon.drops()) & {"gpe_no_owner", "gpe_not_ip", "vxlan_reserved_bits", "udp_bad_checksum"}


def test_VX47_a_peer_that_is_not_learned_yet_is_in_the_flood_list(lab):
    scene, peer = scene_of(lab, fdb=[{"mac": "00:00:00:00:00:00", "dst": ["192.0.2.11"]}], learning=False)
    scene.start()
    tenant = scene.members["acc0"][0]
    knows_peer(tenant, peer)
    assert tenant.ping(peer.inner4) == 3 and peer.namespace.ping(TENANT6) == 3


def test_VX47_proxy_says_which_address_stands_for_the_peer(lab):
    scene, peer = scene_of(lab, proxy=True, fdb=[{"mac": STANDS_FOR_PEER, "dst": ["192.0.2.11"]}])
    daemon = scene.start()
    daemon.ctl("neigh", "add", peer.inner4, "lladdr", STANDS_FOR_PEER, "dev", "ext:100")
    tenant = scene.members["acc0"][0]
    wait_until(lambda: tenant.ping(peer.inner4, count=1), 5, "the tenant asks, and reaches the peer")


def test_VX47_ethernet_is_bridged_and_other_headers_are_dropped(lab):
    scene, peer = scene_of(lab, kernel=False)
    daemon = scene.start()
    tenant = scene.members["acc0"][0]
    wire, inside = lab.wire(peer.namespace, "eth0"), lab.wire(tenant, "acc0")
    outer_mac = daemon.port("uplink0")["mac"]

    def send(word, inner):
        header = struct.pack("!II", word, 100 << 8)
        wire.send(Ether(src=peer.mac("eth0"), dst=outer_mac) / IP(src=peer.underlay, dst=VTEP) /
                  UDP(sport=40000, dport=PORT, chksum=0) / Raw(header + bytes(inner)))

    echo = Ether(src=HOST, dst=tenant.mac("acc0")) / IP(src="10.0.0.77", dst=TENANT4) / ICMP() / Raw(b"x" * 30)
    send(0x0C000003, echo)
    assert inside.frames(2, lambda frame: frame == bytes(echo), enough=1)
    wait_until(lambda: daemon.fdb(HOST), 2, "the frame teaches")
    # What goes there says Ethernet, too.
    back = bytes(Ether(src=tenant.mac("acc0"), dst=HOST) / IP(src=TENANT4, dst="10.0.0.77") / UDP() / Raw(b"y" * 30))
    inside.send(back)
    found = wire.frames(2, lambda frame: frame[50:] == back, enough=1)
    assert found and found[0][42:50] == struct.pack("!II", 0x0C000003, 100 << 8)
    for word, inner, reason in ((0x0C000004, bytes(echo)[14:], "gpe_unknown_protocol"),
                                (0x0C000005, bytes(echo)[14:], "gpe_unknown_protocol"),
                                (0x08000000, echo, "gpe_no_protocol"), (0x1C000003, echo, "gpe_version"),
                                (0x0D000003, echo, "gpe_oam"), (0x0E000003, echo, "vxlan_reserved_bits")):
        before = daemon.drops().get(reason, 0)
        send(word, inner)
        wait_until(lambda: daemon.drops().get(reason, 0) == before + 1, 2, f"{word:08x} is {reason}")


def test_VX47_vxctl_shows_it(lab):
    scene, _ = scene_of(lab, kernel=False)
    daemon = scene.start(settle=False)
    assert all(row["gpe"] is True for row in daemon.rpc("segments", name="ext"))
    assert daemon.ctl("segment", "show", "ext").stdout.splitlines()[0] == "ext: gpe"
    assert "gpe yes" in daemon.ctl("segment", "show", "ext:100").stdout


def test_VX47_switched_while_it_runs(lab):
    scene, peer = scene_of(lab, kernel=False, fdb=[{"mac": HOST, "dst": ["192.0.2.11"]}])
    daemon = scene.start()
    tenant = scene.members["acc0"][0]
    wire, inside = lab.wire(peer.namespace, "eth0"), lab.wire(tenant, "acc0")
    frame = bytes(Ether(src=tenant.mac("acc0"), dst=HOST) / IP(src=TENANT4, dst="10.0.0.77") / UDP() / Raw(b"y" * 30))
    for gpe, first_word in ((True, 0x0C000003), (False, 0x08000000), (True, 0x0C000003)):
        topology = copy.deepcopy(daemon.topology)
        topology["vxlans"]["ext"]["gpe"] = gpe
        reload(daemon, topology)
        assert all(row["gpe"] is gpe for row in daemon.rpc("segments", name="ext"))
        inside.send(frame)
        found = wire.frames(2, lambda sent: sent[50:] == frame, enough=1)
        assert found and found[0][42:50] == struct.pack("!II", first_word, 100 << 8), gpe
