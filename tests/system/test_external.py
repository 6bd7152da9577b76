"""One external vxlan of many VNIs against Linux kernel VTEPs, one device per VNI there: VLAN tags of a
trunk tell the VNI."""
import copy
import socket
import struct
import time

from frames import ARP, BROADCAST, ICMP, IP, Dot1Q, Ether
from lab import wait_until
from scene import TENANT4, VTEP, Scene
from test_reload import reload

MAC = "02:00:00:00:0a:01"


SOL_PACKET, PACKET_AUXDATA, VLAN_VALID = 263, 8, 0x10


class Trunk:
    """A raw socket that sees VLAN tags: the kernel takes them off frames and tells them beside."""

    def __init__(self, wire):
        self.raw = wire.raw
        self.raw.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)

    def send(self, frame):
        self.raw.send(bytes(frame))

    def first(self, wanted, seconds=2):
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.raw.settimeout(left)
            try:
                frame, beside, _, origin = self.raw.recvmsg(65536, 256)
            except TimeoutError:
                return None
            for level, kind, data in beside:
                status, _, _, _, _, tag, _ = struct.unpack("=IIIHHHH", data[:20])
                if (level, kind) == (SOL_PACKET, PACKET_AUXDATA) and status & VLAN_VALID:
                    frame = frame[:12] + struct.pack("!HH", 0x8100, tag) + frame[12:]
            if origin[2] != socket.PACKET_OUTGOING and wanted(Ether(frame)):
                return Ether(frame)
        return None


def tagged(frame, vid):
    """With the tag of a VLAN; 0: none."""
    return bytes(Ether(src=frame.src, dst=frame.dst) / Dot1Q(vlan=vid) / frame.payload) if vid else bytes(frame)


def question(target):
    return Ether(src=MAC, dst=BROADCAST) / ARP(hwsrc=MAC, psrc=TENANT4, pdst=target)


def answer_to(wire, vid, target):
    """What comes back to an ARP request in a VLAN: the tag and the MAC address of the answer."""
    wire.send(tagged(question(target), vid))
    frame = wire.first(lambda frame: ARP in frame and frame[ARP].op == 2)
    return None if frame is None else ((frame[Dot1Q].vlan if Dot1Q in frame else 0), frame[ARP].hwsrc)


def scene_of(lab, peers=1, vnis=(100, 101), **words):
    """Peer devices vxVNI with 10.0.0.1N, the same in every VNI; VLAN 10 is VNI 100, and so on."""
    scene = Scene(lab, peers)
    scene.tenant("acc0")
    for peer in scene.peers:
        for vni in vnis:
            peer.vxlan(vni, f"vx{vni}", addresses=())
            peer.namespace.ip(f"address add {peer.inner4}/32 dev vx{vni}")
            peer.namespace.ip(f"route add {TENANT4} dev vx{vni} metric {vni}")
            peer.namespace.run(f"sysctl -qw net.ipv4.conf.vx{vni}.arp_ignore=1")
    scene.topology["vxlans"]["ext"] = {
        "external": True, "vni": "100-149,300", "local": VTEP, "ports": ["acc0"],
        "tunnel-info": [{"vid": "10-59", "id": "100-149"}, {"vid": 3000, "id": 300}],
        "fdb": [{"mac": "00:00:00:00:00:00", "dst": [peer.underlay for peer in scene.peers]}], **words}
    return scene


def test_VX96_a_tag_is_a_vni(lab):
    scene = scene_of(lab)
    scene.topology["ports"]["acc0"]["pvid"] = 11
    scene.start()
    peer = scene.peers[0]
    wire = Trunk(lab.wire(scene.members["acc0"][0], "acc0"))
    assert answer_to(wire, 10, peer.inner4) == (10, peer.mac("vx100"))
    # VLAN 11 is without a tag here, and a tag that says so is understood.
    assert answer_to(wire, 0, peer.inner4) == (0, peer.mac("vx101"))
    assert answer_to(wire, 11, peer.inner4) == (0, peer.mac("vx101"))
    # An FDB per VNI: who was heard in one is unknown in the other.
    learned = {(entry["vni"], entry["mac"]) for entry in scene.daemon.fdb() if entry["state"] == "dynamic"}
    assert {(100, peer.mac("vx100")), (101, peer.mac("vx101")), (100, MAC), (101, MAC)} <= learned
    assert (101, peer.mac("vx100")) not in learned
    # To the peer, and back, as the same host.
    wire.send(tagged(Ether(src=MAC, dst=peer.mac("vx100")) / IP(src=TENANT4, dst=peer.inner4) / ICMP(), 10))
    assert wire.first(lambda frame: ICMP in frame and Dot1Q in frame and frame[Dot1Q].vlan == 10)
    # No VNI, no way.
    for vid, reason in ((60, "access_unknown_vid"), (4000, "access_unknown_vid")):
        before = scene.daemon.drops().get(reason, 0)
        wire.send(tagged(question(peer.inner4), vid))
        wait_until(lambda: scene.daemon.drops().get(reason, 0) == before + 1, 2, f"VLAN {vid} leads nowhere")


def test_VX96_vxctl_shows_the_vxlan_and_its_vnis(lab):
    scene = scene_of(lab)
    scene.start()
    peer = scene.peers[0]
    wire = Trunk(lab.wire(scene.members["acc0"][0], "acc0"))
    assert answer_to(wire, 10, peer.inner4)
    lines = scene.daemon.ctl("segment").stdout.splitlines()
    assert len(lines) == 2 and lines[1].split()[:2] == ["ext", "100-149,300"], lines
    vnis = [line.split() for line in scene.daemon.ctl("segment", "show", "ext").stdout.splitlines()]
    assert len(vnis) == 52 and vnis[0][:3] == ["VNI", "VID", "PORTS"]
    rows = {row["vni"]: row for row in scene.daemon.rpc("segments", name="ext")}
    assert rows[100]["tx"]["packets"] >= 1 and rows[100]["rx"]["packets"] >= 1 and rows[100]["vid"] == 10
    assert rows[101]["tx"]["packets"] == 0 and rows[300]["vid"] == 3000
    # Of entries, src_vni says which VNI.
    scene.daemon.ctl("fdb", "add", "02:00:00:00:00:77", "dev", "ext", "src_vni", "101", "dst", peer.underlay)
    assert "02:00:00:00:00:77" in scene.daemon.ctl("fdb", "show", "segment", "ext", "src_vni", "101").stdout
    assert "02:00:00:00:00:77" not in scene.daemon.ctl("fdb", "show", "segment", "ext", "src_vni", "100").stdout
    assert "02:00:00:00:00:77" in scene.daemon.ctl("fdb", "show", "segment", "ext").stdout
    scene.daemon.ctl("fdb", "flush", "dev", "ext", "permanent")
    assert scene.daemon.fdb("02:00:00:00:00:77") is None


def test_VX96_VX97_vnis_come_and_go_without_the_others(lab):
    scene = scene_of(lab)
    scene.start()
    peer = scene.peers[0]
    wire = Trunk(lab.wire(scene.members["acc0"][0], "acc0"))
    assert answer_to(wire, 10, peer.inner4) == (10, peer.mac("vx100"))
    topology = copy.deepcopy(scene.daemon.topology)
    topology["vxlans"]["ext"] |= {"vni": "100,102-200", "tunnel-info": [
        {"vid": 10, "id": 100}, {"vid": "12-110", "id": "102-200"}]}
    changes = reload(scene.daemon, topology)
    assert "remove vxlans.ext: vni 101,300" in changes and "add vxlans.ext: vni 150-200" in changes, changes
    assert (100, peer.mac("vx100")) in {(entry["vni"], entry["mac"]) for entry in scene.daemon.fdb()}
    assert answer_to(wire, 10, peer.inner4) == (10, peer.mac("vx100"))
    before = scene.daemon.drops().get("access_unknown_vid", 0)
    wire.send(tagged(question(peer.inner4), 11))
    wait_until(lambda: scene.daemon.drops().get("access_unknown_vid", 0) == before + 1, 2, "VLAN 11 is gone")
    topology["vxlans"]["ext"] |= {"vni": "100-200", "tunnel-info": [{"vid": "10-110", "id": "100-200"}]}
    reload(scene.daemon, topology)
    assert answer_to(wire, 11, peer.inner4) == (11, peer.mac("vx101"))


def test_VX96_VX97_external_or_not_is_a_new_segment_and_its_filter_is_always_on(lab):
    scene = scene_of(lab)
    scene.start()
    peer = scene.peers[0]
    wire = Trunk(lab.wire(scene.members["acc0"][0], "acc0"))
    assert answer_to(wire, 10, peer.inner4)
    first = copy.deepcopy(scene.daemon.topology)
    topology = copy.deepcopy(first)
    topology["vxlans"]["ext"]["vnifilter"] = True
    assert not [line for line in reload(scene.daemon, topology) if "vxlans" in line], "as it is without"
    assert answer_to(wire, 10, peer.inner4) == (10, peer.mac("vx100"))
    # One VNI, and untagged.
    for key in ("external", "vnifilter", "vni", "tunnel-info"):
        topology["vxlans"]["ext"].pop(key, None)
    topology["vxlans"]["ext"]["id"] = 100
    changes = reload(scene.daemon, topology)
    assert any(line.startswith("remove vxlans.ext") for line in changes), changes
    wait_until(lambda: answer_to(wire, 0, peer.inner4) == (0, peer.mac("vx100")), 5, "without a tag")
    changes = reload(scene.daemon, first)
    assert any(line.startswith("add vxlans.ext") for line in changes), changes
    wait_until(lambda: answer_to(wire, 10, peer.inner4) == (10, peer.mac("vx100")), 5, "with a tag again")
