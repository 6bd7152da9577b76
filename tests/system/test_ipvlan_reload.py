"""ipvlans changed while they run: modes and flags, slaves' routes, rules and addresses; what is
unchanged goes on."""
import threading
import time

import pytest

from ipvlan import Ipvlan, reaches, silent
from lab import wait_until
from streams import Echo
from tenants import INTERNET, MASTER, PUBLIC, Tenants, Who, connect, curl


def two_slaves(lab, mode="l3", **words):
    scene = Ipvlan(lab, mode, **words)
    scene.slave("s1", "10.1.0.5/24", gateway="10.1.0.1")
    scene.slave("s2", "10.2.0.5/24", gateway="10.2.0.1")
    scene.lead("10.0.0.0/8").start()
    return scene


def set_ipvlan(**words):
    return lambda topology: topology["ipvlans"]["ipvl0"].update(words)


def set_slave(name, **words):
    return lambda topology: topology["ipvlans"]["ipvl0"]["slaves"][name].update(words)


class Talk:
    """A TCP connection that is used all the time; `end()` is the number of round trips it made."""

    def __init__(self, link):
        self.link, self.trips, self.running, self.problem = link, 0, True, None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while self.running:
                data = b"%08d" % self.trips
                self.link.sendall(data)
                got = b""
                while len(got) < len(data):
                    got += self.link.recv(64)
                assert got == data
                self.trips += 1
        except (OSError, AssertionError) as error:
            self.problem = error

    def goes_on(self):
        before = self.trips
        wait_until(lambda: self.trips > before + 3 or self.problem, 10, "the connection goes on")
        assert self.problem is None, self.problem

    def end(self):
        self.running = False
        self.thread.join(10)
        self.link.close()
        assert self.problem is None, self.problem
        return self.trips


def test_IV02_mode_and_flag_change_for_all_slaves_under_traffic(lab):
    scene = two_slaves(lab)
    one, two, peer = scene.netns("s1"), scene.netns("s2"), scene.peers[0].namespace
    reaches(one, "192.0.2.11")
    with Echo(peer, "192.0.2.11") as echo:
        talks = [Talk(echo.connect(namespace)) for namespace in (one, two)]
        for mode in ("l3s", "l3"):
            changes = scene.reload(set_ipvlan(mode=mode))
            assert len(changes) == 1 and "ipvlans.ipvl0" in changes[0] and mode in changes[0], changes
            for talk in talks:
                talk.goes_on()
        scene.daemon.ctl("ipvlan", "set", "ipvl0", "mode", "l3s")
        assert [row["mode"] for row in scene.daemon.rpc("slaves")] == ["l3s", "l3s"]
        for talk in talks:
            talk.goes_on()
        assert one.ping("10.2.0.5", wait=4) == 3
        scene.reload(set_ipvlan(flag="private"))
        assert silent(one, "10.2.0.5")
        for talk in talks:
            talk.goes_on()
        scene.reload(set_ipvlan(flag="bridge", mode="l3"))
        assert one.ping("10.2.0.5", wait=4) == 3
        # To l2 and back: the containers' neighbours are the same address all the time.
        scene.reload(set_ipvlan(mode="l2"))
        time.sleep(0.1)
        scene.reload(set_ipvlan(mode="l3"))
        for talk in talks:
            talk.goes_on()
            assert talk.end() > 10
    assert scene.daemon.rpc("health")["packets_unaccounted"] == 0


def test_IV02_a_change_that_fails_leaves_every_slave_as_it_was(lab):
    scene = two_slaves(lab, "l3s")
    one = scene.netns("s1")
    reaches(one, "192.0.2.11")

    def change(topology):
        topology["ipvlans"]["ipvl0"]["mode"] = "l2"
        topology["ipvlans"]["ipvl0"]["slaves"]["s2"]["addresses"] = ["10.1.0.5/24"]
    text = scene.refused_reload(change)
    assert "ipvlans.ipvl0.slaves.s2.addresses[0]" in text and "'s1'" in text, text
    # Good, but not for a running daemon: the other half is not done either.
    text = scene.refused_reload(lambda topology: (set_ipvlan(mode="l2")(topology), topology["ipvlans"]["ipvl0"].update(
        slaves={"s1": topology["ipvlans"]["ipvl0"]["slaves"]["s1"] | {"port": "s2"}})))
    assert "port" in text and "restart" in text, text
    assert scene.daemon.ctl("reload").stdout == "nothing differs\n"
    assert one.ping("10.2.0.5", wait=4) == 3 and scene.peers[0].namespace.ping("10.1.0.5", wait=4) == 3


def test_RP91_routes_and_rules_and_addresses_come_and_go(lab):
    scene = two_slaves(lab)
    one, peer = scene.netns("s1"), scene.peers[0].namespace
    peer.ip("address add 198.51.100.9/32 dev lo")
    reaches(one, "192.0.2.11")
    with Echo(peer, "192.0.2.11") as echo:
        talk = Talk(echo.connect(one))
        assert silent(one, "198.51.100.9")
        changes = scene.reload(set_slave("s1", routes=[{"to": "198.51.100.0/24", "via": "192.0.2.11"}]))
        assert len(changes) == 1 and "s1" in changes[0] and "198.51.100.0/24" in changes[0], changes
        reaches(one, "198.51.100.9")
        scene.reload(set_slave("s1", rules=[{"name": "no-ping", "hook": "output", "protocol": "icmp",
                                             "daddr": "198.51.100.9", "action": "drop"}]))
        assert silent(one, "198.51.100.9") and scene.drops("hook_drop") >= 2
        talk.goes_on()
        scene.reload(set_slave("s1", rules=[], addresses=["10.1.0.5/24", "10.1.7.5/24"]))
        one.ip("address add 10.1.7.5/24 dev s1")
        assert peer.ping("10.1.7.5", wait=4) == 3 and one.ping("198.51.100.9", wait=4) == 3
        scene.reload(set_slave("s1", addresses=["10.1.0.5/24"]))
        assert silent(peer, "10.1.7.5")
        talk.goes_on()
        talk.end()


def test_RP91_connections_survive_a_reload(lab):
    scene = Tenants(lab)
    scene.start()
    with Echo(scene.internet, INTERNET) as echo:
        talks = [Talk(echo.connect(scene.netns(name))) for name in ("red-web", "red-db", "blue-db")]
        who = Who(scene.netns("red-db"), "red-db", port=22)
        assert curl(scene.internet, MASTER, port=2201, within=1) is None
        changes = scene.reload(set_ipvlan(rules=[
            {"name": "red-ssh", "hook": "prerouting", "protocol": "tcp", "daddr": MASTER, "dport": 2201,
             "action": "dnat", "to": "10.0.0.6", "slave": "red-db", "to-ports": 22}]))
        assert changes and all("ipvlans.public" in line or "ipvlans.ipvl0" in line for line in changes)
        assert curl(scene.internet, MASTER, port=2201) == ["red-db", INTERNET]
        scene.reload(lambda topology: (set_slave("blue-web", nat=[])(topology), set_slave(
            "blue-db", nat=[{"public": PUBLIC["blue-web"]}])(topology)))
        fresh = connect(scene.netns("blue-db"), INTERNET, echo.port)
        assert PUBLIC["blue-web"] in str([entry for entry in scene.connections(vrf="blue", protocol="tcp")
                                          if str(fresh.getsockname()[1]) in str(entry)])
        fresh.close()
        for talk in talks:
            talk.goes_on()
        assert all(talk.end() > 10 for talk in talks)
        who.close()


def test_slaves_come_and_go_as_far_as_ports_allow(lab):
    """A slave without its port is made by a restart; a port that waits is taken at once."""
    scene = two_slaves(lab)
    one, two = scene.netns("s1"), scene.netns("s2")
    kept = scene.ipvlan["slaves"]["s2"]
    changes = scene.reload(lambda topology: topology["ipvlans"]["ipvl0"]["slaves"].pop("s2"))
    assert changes and "s2" in changes[0]
    assert silent(one, "10.2.0.5") and silent(two, "192.0.2.11")
    assert one.ping("192.0.2.11", wait=4) == 3
    scene.reload(lambda topology: topology["ipvlans"]["ipvl0"]["slaves"].update(s2=kept))
    reaches(two, "192.0.2.11")
    assert one.ping("10.2.0.5", wait=4) == 3
    scene.reload(lambda topology: topology.pop("ipvlans"))
    assert silent(one, "192.0.2.11") and scene.peers[0].namespace.ping("192.0.2.1", wait=4) == 3


@pytest.mark.parametrize("words", [
    {"conntrack": {"capacity": 128}},
    {"link": "s1"},
], ids=lambda words: next(iter(words)))
def test_what_takes_a_restart_or_cannot_be_is_refused_by_name(lab, words):
    scene = Tenants(lab, conntrack={"capacity": 64})
    scene.start(settle=False)
    text = scene.refused_reload(set_ipvlan(**words))
    assert f"ipvlans.ipvl0.{next(iter(words))}" in text, text
