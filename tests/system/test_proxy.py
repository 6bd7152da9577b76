"""ARP and ND answered for neighbours, misses told, and peers that are not believed: a tenant's kernel and
Linux kernel VTEPs around vxplane."""
import copy
import json
import socket

import pytest

from frames import BROADCAST, outer, tagged
from lab import wait_until
from scene import TENANT4, VTEP, vtep_pair
from test_reload import reload

PEER_MAC = "02:00:00:00:0b:01"


def is_question(frame):
    """ARP request, or a neighbour solicitation."""
    return frame[12:14] == b"\x08\x06" and frame[21] == 1 or \
        frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 135


def proxied(lab, word="proxy", **words):
    scene = vtep_pair(lab, start=False, **{word: True}, **words)
    peer = scene.peers[0]
    peer.namespace.ip(f"link set vx0 address {PEER_MAC}")
    return scene, peer


@pytest.mark.parametrize("word", ["proxy", "neigh-suppress"])
def test_VX81_VX85_the_tenant_resolves_a_static_neighbour_and_the_peer_hears_no_question(lab, word):
    scene, peer = proxied(lab, word)
    segment = scene.topology["vxlans"]["vx100"]
    segment["fdb"].append({"mac": PEER_MAC, "dst": peer.underlay})
    segment["neighbours"] = [{"ip": peer.inner4, "lladdr": PEER_MAC}, {"ip": peer.inner6, "lladdr": PEER_MAC}]
    scene.start()
    tenant = scene.members["acc0"][0]
    ear = lab.wire(peer.namespace, "vx0")
    for address in (peer.inner4, peer.inner6):
        assert tenant.ping(address) == 3
        assert PEER_MAC in tenant.ip(f"neighbour show {address} dev acc0")
    asked = [frame for frame in ear.frames(0.2, is_question) if frame[6:12] != bytes.fromhex(PEER_MAC.replace(":", ""))]
    assert [frame for frame in asked if frame[12:14] == b"\x08\x06"] == []
    answered = scene.daemon.rpc("segments", name="vx100")[0]["answered"]
    assert answered >= 2


def test_VX82_a_neighbour_that_is_learned_is_answered_for_the_next_time(lab):
    scene, peer = proxied(lab)
    scene.topology["vxlans"]["vx100"]["neigh-learning"] = True
    scene.start()
    tenant = scene.members["acc0"][0]
    assert tenant.ping(peer.inner4) == 3, "unknown: flooded, and the peer answered"
    def learned():
        rows = {row["address"]: row["state"] for row in scene.daemon.rpc("segments.neigh", segment="vx100")}
        return rows.get(peer.inner4) == rows.get(TENANT4) == "learned"
    wait_until(learned, 2, "both are learned")
    before = scene.daemon.rpc("segments", name="vx100")[0]["answered"]
    tenant.ip("neighbour flush dev acc0")
    assert tenant.ping(peer.inner4) == 3
    assert scene.daemon.rpc("segments", name="vx100")[0]["answered"] > before
    # By hand: told, shown, and gone again.
    scene.daemon.ctl("neigh", "add", "10.0.0.99", "lladdr", PEER_MAC, "dev", "vx100")
    rows = {row["address"]: row["state"] for row in scene.daemon.rpc("segments.neigh", segment="vx100")}
    assert rows["10.0.0.99"] == "controller"
    scene.daemon.ctl("neigh", "del", "10.0.0.99", "dev", "vx100")
    assert "10.0.0.99" not in {row["address"] for row in scene.daemon.rpc("segments.neigh")}


def test_VX42_a_peer_that_is_not_listed_is_refused_and_named(lab):
    scene = vtep_pair(lab, peers=2, start=False)
    scene.topology["vxlans"]["vx100"]["peers"] = [scene.peers[0].underlay]
    scene.start()
    tenant = scene.members["acc0"][0]
    assert tenant.ping(scene.peers[0].inner4) == 3
    assert tenant.ping(scene.peers[1].inner4, count=1, wait=0.3) == 0
    assert scene.daemon.drops().get("peer_unknown", 0) >= 1
    refused = scene.daemon.rpc("segments.refused")
    assert {"peer": scene.peers[1].underlay, "reason": "peer_unknown"} in \
        [{key: row[key] for key in ("peer", "reason")} for row in refused]


def test_VX42_who_was_refused_is_counted_exactly_and_a_storm_of_senders_sums_up(lab):
    scene = vtep_pair(lab, start=False)
    scene.topology["vxlans"]["vx100"]["peers"] = [scene.peers[0].underlay, "198.51.100.0/24"]
    scene.start()
    peer = scene.peers[0]
    mouth = lab.wire(peer.namespace, "eth0")
    ways = {"src_mac": peer.mac("eth0"), "dst_mac": scene.daemon.port("uplink0")["mac"], "dst": VTEP}
    inner = tagged("02:00:00:00:66:02", BROADCAST, 7)
    vlan = inner[:12] + b"\x81\x00\x00\x05" + inner[12:]
    from_zero = inner[:6] + bytes(6) + inner[12:]
    expected = {}
    for source, payload, vni, reason, times in (
            ("198.51.100.1", inner, 4711, "vxlan_unknown_vni", 7), ("198.51.100.2", inner, 4711, "vxlan_unknown_vni", 4),
            ("198.51.100.1", vlan, 100, "vxlan_inner_vlan", 3), ("198.51.100.2", vlan, 100, "vxlan_inner_vlan", 2),
            ("198.51.100.1", from_zero, 100, "vxlan_bad_source_mac", 5), ("203.0.113.1", inner, 100, "peer_unknown", 6)):
        for _ in range(times):
            mouth.send(outer(payload, vni, src=source, **ways))
        expected[source, reason] = times

    def rows():
        return {(row["peer"], row["reason"]): row["packets"] for row in json.loads(scene.daemon.ctl("-j", "refused").stdout)
                if not row["peer"].startswith("fe80:")}

    wait_until(lambda: rows() == expected, 5, "the packets to be counted")
    for number in range(4000):
        mouth.send(outer(inner, 4711, src=f"10.77.{number // 250}.{number % 250 + 1}", **ways))

    def drops():
        return scene.daemon.drops().get("vxlan_unknown_vni", 0)

    wait_until(lambda: drops() >= 4011, 10, "the storm to be counted")
    after = rows()
    for what in expected:
        assert after[what] == expected[what], what
    assert after["others", "vxlan_unknown_vni"] > 0
    assert sum(count for (_, reason), count in after.items() if reason == "vxlan_unknown_vni") == drops() == 4011
    assert "others" in scene.daemon.ctl("refused").stdout


def test_VX33_reserved_bits_as_the_topology_says(lab):
    scene = vtep_pair(lab, start=False)
    scene.topology["vxlans"]["vx100"]["reserved-bits"] = "ignore"
    scene.start()
    peer, tenant = scene.peers[0], scene.members["acc0"][0]
    ear = lab.wire(tenant, "acc0")
    mouth = lab.wire(peer.namespace, "eth0")
    frame = outer(tagged("02:00:00:00:66:01", BROADCAST, 7), 100, src_mac=peer.mac("eth0"),
                  dst_mac=scene.daemon.port("uplink0")["mac"], src=peer.underlay, dst=VTEP)
    mouth.send(frame[:42] + b"\xff\xff\xff\xff" + frame[46:])  # flags and reserved bits
    assert ear.frames(1, lambda seen: seen[6:12] == bytes.fromhex("020000006601"), enough=1)


def test_VX92_misses_are_events(lab):
    scene = vtep_pair(lab, start=False, proxy=True, l2miss=True, l3miss=True)
    scene.start()
    tenant = scene.members["acc0"][0]
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(3)
    client.connect(scene.daemon.socket)
    client.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {"topics": ["miss"]}})
                   .encode() + b"\n")
    lines = client.makefile()
    assert "result" in json.loads(lines.readline())
    mouth = lab.wire(tenant, "acc0")
    mouth.send(tagged(tenant.mac("acc0"), "02:00:00:00:77:99"))
    tenant.ping("10.0.0.88", count=1, wait=0.2)
    seen = {}
    while len(seen) < 2:
        event = json.loads(lines.readline())["params"]
        seen[event["what"]] = event
    client.close()
    assert seen["l2miss"]["lladdr"] == "02:00:00:00:77:99" and seen["l2miss"]["vni"] == 100
    assert seen["l3miss"]["address"] == "10.0.0.88" and seen["l3miss"]["port"] == "acc0"


def test_VX82_neighbours_that_have_no_room_are_counted_and_an_alarm_tells(lab):
    scene, peer = proxied(lab, **{"neigh-learning": True, "neigh-maxaddr": 1})
    scene.start()
    tenant = scene.members["acc0"][0]
    assert tenant.ping(peer.inner4) == 3, "who is not known is flooded to, as ever"

    def learned():
        return scene.daemon.rpc("segments", name="vx100")[0]["neighbours"]

    wait_until(lambda: learned()["refused"] >= 1, 3, "the second one has no room")
    assert learned() | {"refused": 0} == {"learned": 1, "most": 1, "refused": 0}
    full = "segment vx100 knows at least 80 % of its neigh-maxaddr 1"
    assert full in scene.daemon.rpc("health")["alarms"]
    assert "neigh-maxaddr: 1 -> 100" in scene.daemon.ctl("segment", "set", "vx100", "neigh-maxaddr", "100").stdout
    tenant.ip("neighbour flush dev acc0")
    assert tenant.ping(peer.inner4) == 3
    wait_until(lambda: learned()["learned"] >= 2, 5, "there is room now")
    assert full not in scene.daemon.rpc("health")["alarms"]


def test_VX84_duplicate_detection_is_for_the_owner_unless_its_place_is_fixed_or_the_option_is_on(lab):
    scene, peer = proxied(lab)
    segment = scene.topology["vxlans"]["vx100"]
    address, taken = "2001:db8:99::77", "2001:db8:99::78"
    # Nobody has them: who answers is vxplane.
    segment["neighbours"] = [{"ip": one, "lladdr": PEER_MAC} for one in (address, taken)]
    segment["fdb"].append({"mac": PEER_MAC, "dst": peer.underlay})
    scene.start()
    tenant = scene.members["acc0"][0]

    def outcome(one):
        tenant.ip(f"address replace {one}/64 dev acc0")
        def shown():
            return tenant.ip(f"-6 address show dev acc0 to {one}")
        wait_until(lambda: "tentative" not in shown() or "dadfailed" in shown(), 5, "the kernel has asked")
        failed = "dadfailed" in shown()
        tenant.ip(f"address del {one}/64 dev acc0")
        return failed

    def told(**words):
        topology = copy.deepcopy(scene.daemon.topology)
        topology["vxlans"]["vx100"] |= words
        reload(scene.daemon, topology)

    assert not outcome(address), "left to the owner"
    told(**{"proxy-dad": True})
    assert outcome(address)
    told(fdb=segment["fdb"][:-1] + [segment["fdb"][-1] | {"state": "static"}])
    assert outcome(taken)
