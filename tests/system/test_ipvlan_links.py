"""What slaves have from their link: its carrier, and what they are told by it."""
import json

from ipvlan import Ipvlan, reaches, silent
from lab import wait_until
from streams import Echo
from test_ipvlan_reload import Talk


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


def mtu(namespace, ifname):
    return json.loads(namespace.ip(f"-j link show {ifname}"))[0]["mtu"]


def two_slaves(lab, **words):
    scene = Ipvlan(lab, "l3")
    scene.slave("s1", "10.1.0.5/24", gateway="10.1.0.1")
    scene.slave("s2", "10.2.0.5/24", gateway="10.2.0.1", **words)
    scene.lead("10.0.0.0/8").start()
    return scene


def test_IV03_the_links_mac_changes_for_all_slaves_at_once(lab):
    scene = two_slaves(lab)
    one, two, peer = scene.netns("s1"), scene.netns("s2"), scene.peers[0].namespace
    one.ip("link set s1 name inside")
    one.ip("link set inside up")
    one.ip("route replace default via 10.1.0.1 dev inside onlink")
    reaches(one, "192.0.2.11")
    generation = scene.daemon.rpc("health")["generation"]
    for way, mac in (("reload", "02:00:00:00:aa:01"), ("rpc", "02:00:00:00:aa:02")):
        with Echo(peer, "192.0.2.11") as echo:
            talk = Talk(echo.connect(two))
            if way == "reload":
                changes = scene.reload(lambda topology: topology["ports"]["uplink0"].update(mac=mac))
                assert len(changes) == 1 and "ports.uplink0.mac" in changes[0], changes
            else:
                scene.daemon.ctl("port", "set", "uplink0", "mac", mac)
            assert scene.daemon.port("uplink0")["mac"] == mac
            assert {row["mac"] for row in scene.daemon.rpc("slaves")} == {mac}
            assert one.mac("inside") == two.mac("s2") == mac
            # The wire hears of it by itself: nobody has to wait for old neighbours to age.
            talk.goes_on()
            talk.end()
        assert one.ping("10.2.0.5", wait=4) == 3 and peer.ping("10.1.0.5", wait=4) == 3
        assert mac in peer.ip("neighbour show 192.0.2.1")
    assert scene.daemon.rpc("health")["generation"] > generation
    assert scene.daemon.rpc("health")["packets_unaccounted"] == 0


def test_IV04_the_links_mtu_is_pushed_to_slaves_that_have_none_of_their_own(lab):
    scene = two_slaves(lab, mtu=1300)
    one, two, peer = scene.netns("s1"), scene.netns("s2"), scene.peers[0].namespace
    reaches(one, "192.0.2.11")

    def seen():
        return {row["name"]: row["mtu"] for row in scene.daemon.rpc("slaves")}
    assert seen() == {"s1": 1500, "s2": 1300}
    with Echo(peer, "192.0.2.11") as echo:
        talk = Talk(echo.connect(one))
        scene.reload(lambda topology: topology["ports"]["uplink0"].update(mtu=1400))
        talk.goes_on()
        assert seen() == {"s1": 1400, "s2": 1300} and mtu(one, "s1") == 1400 and mtu(two, "s2") == 1300
        # What leaves obeys the new one: a slave that does not know is told.
        one.ip("link set s1 mtu 1500")
        assert peer.ping("10.1.0.5", options="-M do -s 1372", wait=4) == 3
        scene.daemon.ctl("port", "set", "uplink0", "mtu", "1450")
        assert seen() == {"s1": 1450, "s2": 1300} and mtu(one, "s1") == 1450
        assert one.ping("192.0.2.11", options="-M do -s 1422", wait=4) == 3
        # Below what a slave asks for: refused as a whole, and by its name.
        text = scene.refused_reload(lambda topology: topology["ports"]["uplink0"].update(mtu=1200))
        assert "ipvlans.ipvl0.slaves.s2.mtu" in text and "exceeds the mtu of link 'uplink0'" in text, text
        # More than packet buffers hold, which shows late, and nothing has changed.
        text = scene.refused_reload(lambda topology: topology["ports"]["uplink0"].update(mtu=9000))
        assert "ports.uplink0.mtu" in text and "restart" in text, text
        refused = scene.daemon.ctl("port", "set", "uplink0", "mtu", "1200", check=False)
        assert refused.returncode == 1 and "s2" in refused.stderr
        assert seen() == {"s1": 1450, "s2": 1300} and mtu(one, "s1") == 1450
        talk.goes_on()
        talk.end()
    assert one.ping("10.2.0.5", wait=4) == 3
    assert scene.daemon.rpc("health")["packets_unaccounted"] == 0


def test_IV03_a_change_that_is_refused_leaves_everything_as_it_was(lab):
    scene = two_slaves(lab)
    one = scene.netns("s1")
    reaches(one, "192.0.2.11")
    mac = scene.daemon.port("uplink0")["mac"]

    def change(topology):
        topology["ports"]["uplink0"].update(mac="02:00:00:00:aa:03", mtu=1400)
        topology["ipvlans"]["ipvl0"]["slaves"]["s2"]["mtu"] = 1401
    text = scene.refused_reload(change)
    assert "slaves.s2.mtu" in text, text
    assert scene.daemon.port("uplink0")["mac"] == mac and one.mac("s1") == mac and mtu(one, "s1") == 1500
    assert one.ping("10.2.0.5", wait=4) == 3


def test_IV07_routes_by_hand_lead_to_no_slave_of_another_ipvlan(lab):
    scene = Ipvlan(lab, "l3")
    scene.slave("s1", "10.1.0.5/24", gateway="10.1.0.1")
    scene.slave("s3", "10.3.0.5/24", gateway="10.3.0.1")
    scene.topology["ports"]["uplink1"] = {"device": "net_tap9,iface=und1", "role": "underlay",
                                          "addresses": ["198.51.100.1/24"]}
    scene.topology["ipvlans"]["ipvl1"] = {"link": "uplink1", "mode": "l3", "slaves": {}}
    scene.slave("s2", "10.1.0.5/24", gateway="10.1.0.1", ipvlan="ipvl1")
    scene.start()

    def add(*words, check=False):
        return scene.daemon.ctl("route", "add", "10.9.0.0/16", *words, "table", "ipvl0/s1", check=check)
    for words in (("slave", "ipvl1/s2"), ("lookup", "ipvl1/s2")):
        refused = add(*words)
        assert refused.returncode == 1 and "is of another ipvlan" in refused.stderr, refused.stderr
    assert not [row for row in scene.daemon.rpc("route.show", table="ipvl0/s1")["entries"] if row["to"] == "10.9.0.0/16"]
    add("slave", "s3", check=True)


def link_locals(namespace, ifname):
    text = namespace.run(f"ip -6 -o address show dev {ifname} scope link")
    return [line.split()[3].split("/")[0] for line in text.splitlines()]


def test_IV10_slaves_with_the_same_mac_have_link_local_addresses_of_their_own(lab):
    scene = Ipvlan(lab, "l2").with_ipv6()
    for name, number in (("s1", 101), ("s2", 102)):
        scene.slave(name, f"192.0.2.{number}/24", f"2001:db8::{number}/64", ipv6=True)
    scene.start()
    one, two, peer = scene.netns("s1"), scene.netns("s2"), scene.peers[0].namespace
    assert one.mac("s1") == two.mac("s2")
    wanted = {row["name"]: row["link_local"] for row in scene.daemon.rpc("slaves")}
    assert wanted["s1"] != wanted["s2"]
    for namespace, name in ((one, "s1"), (two, "s2")):
        wait_until(lambda: link_locals(namespace, name) == [wanted[name]], 10, f"{name} has {wanted[name]} alone")
    # The kernel takes it away with the carrier's administrative state; another container's runtime renames.
    one.ip("link set s1 down")
    one.ip("link set s1 name inside")
    one.ip("link set inside up")
    wait_until(lambda: link_locals(one, "inside") == [wanted["s1"]], 10, "it comes back")
    # Both are reached by it, from the wire and from each other.
    wait_until(lambda: "tentative" not in one.ip("address show dev inside") + two.ip("address show dev s2"), 10,
               "duplicate address detection is over")
    reaches(peer, wanted["s1"], options="-I eth0")
    reaches(peer, wanted["s2"], options="-I eth0")
    reaches(one, wanted["s2"], options="-I inside")


def test_IV10_an_interface_whose_owner_chose_its_addresses_is_left_alone(lab):
    scene = Ipvlan(lab, "l2").with_ipv6()
    one = scene.slave("s1", "192.0.2.101/24", "2001:db8::101/64", ipv6=True)
    one.run("sysctl -qw net.ipv6.conf.default.addr_gen_mode=1")
    scene.start()
    one.ip("address add fe80::5/64 dev s1 nodad")
    wait_until(lambda: scene.daemon.rpc("health"), 1, "it runs")
    assert not wait_changes(lambda: link_locals(one, "s1") != ["fe80::5"], 0.6)


def wait_changes(predicate, seconds):
    """Whether predicate() becomes true within so many seconds."""
    try:
        return bool(wait_until(predicate, seconds, "a change"))
    except AssertionError:
        return False


def test_timeouts_of_connections_change_while_they_are_tracked(lab):
    scene = Ipvlan(lab, "l3", conntrack={"on": True, "udp": 3})
    scene.slave("s1", "10.1.0.5/24", gateway="10.1.0.1")
    scene.lead("10.0.0.0/8").start()
    reaches(scene.netns("s1"), "192.0.2.11")

    def timeouts():
        return {row["key"]: row["seconds"] for row in scene.daemon.rpc("conntrack.timeouts")}
    assert timeouts()["udp"] == 3 and timeouts()["tcp-established"] == 432000
    changes = scene.reload(lambda topology: topology["ipvlans"]["ipvl0"]["conntrack"].update(icmp=5))
    assert len(changes) == 1 and "ipvlans.ipvl0.conntrack.icmp: 30 -> 5" in changes[0], changes
    assert timeouts()["icmp"] == 5 and "tcp-established" in scene.daemon.ctl("conntrack", "timeouts").stdout
    assert scene.netns("s1").ping("192.0.2.11", count=1, wait=4) == 1
    rows = scene.daemon.rpc("conntrack.show", protocol="icmp")["entries"]
    assert rows and min(row["expires_s"] for row in rows) <= 5, rows
    refused = scene.refused_reload(lambda topology: topology["ipvlans"]["ipvl0"]["conntrack"].update(udp=0))
    assert "ipvlans.ipvl0.conntrack.udp" in refused, refused
    pinned = {pin["port"]: pin["why"] for row in scene.daemon.rpc("workers") for pin in row["pinned"]}
    assert pinned == {"uplink0": "ipvlan ipvl0", "s1": "ipvlan ipvl0"}, pinned
    assert "uplink0(ipvlan ipvl0)" in scene.daemon.ctl("worker").stdout
