"""What slaves have from their link: its carrier, and what they are told by it."""
import json

from ipvlan import Ipvlan, reaches, silent
from lab import wait_until


def flags(namespace, ifname):
    return json.loads(namespace.ip(f"-j link show {ifname}"))[0]["flags"]


def state(scene, name):
    return next(row["state"] for row in scene.daemon.rpc("slaves") if row["name"] == name)


def test_IV09_slaves_have_no_carrier_while_the_link_is_down(lab):
    """A tap shows it as NO-CARRIER in the container's namespace, so does the other end of a veth."""
    scene = Ipvlan(lab, "l3", peers=1)
    scene.underlay = "veth"
    lab.veth(scene.host, "und0", scene.fabric, "und0")
    scene.fabric.ip("link set und0 master br0")
    scene.uplink["device"] = "net_af_packet0,iface=und0"
    scene.slave("s1", "10.1.0.5/24", gateway="10.1.0.1")
    scene.slave("s2", "10.2.0.5/24", gateway="10.2.0.1")
    veth = scene.slave("s3", "10.3.0.5/24", gateway="10.3.0.1", device="net_af_packet")
    scene.lead("10.0.0.0/8").start()
    one, two, peer = scene.netns("s1"), scene.netns("s2"), scene.peers[0].namespace
    one.ip("link set s1 name inside")  # as a container's runtime does
    one.ip("link set inside up")
    one.ip("route replace default via 10.1.0.1 dev inside onlink")
    veth.ip(f"link set s3 address {scene.daemon.port('uplink0')['mac']}")
    for namespace in (one, two, veth):
        reaches(namespace, "192.0.2.11")
    assert "NO-CARRIER" not in flags(one, "inside") and state(scene, "s1") == "up"
    for take in ("down", "up"):
        scene.fabric.ip(f"link set und0 {take}")
        for namespace, ifname in ((one, "inside"), (two, "s2"), (veth, "s3")):
            wait_until(lambda: ("NO-CARRIER" in flags(namespace, ifname)) == (take == "down"), 5,
                       f"{ifname} follows the link {take}")
        if take == "down":
            assert state(scene, "s1") == "no-carrier" and "no-carrier" in scene.daemon.ctl("slave").stdout
            assert silent(one, "10.2.0.5") and silent(one, "192.0.2.11")
            assert [alarm for alarm in scene.daemon.rpc("health")["alarms"] if "link" in alarm] == \
                ["port uplink0 has no link"]
    assert state(scene, "s1") == "up"
    for namespace in (one, two, veth):
        reaches(namespace, "192.0.2.11")
        assert namespace.ping("10.1.0.5" if namespace is not one else "10.2.0.5", wait=4) == 3
    assert peer.ping("10.1.0.5", wait=4) == 3
