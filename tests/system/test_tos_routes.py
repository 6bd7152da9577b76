"""Routes for one TOS, on the wire: by which gateway each packet leaves, beside the kernel's own device."""
import copy

from kernel_twin import REMOTE_MAC, SENTINEL, Options, Twin
from lab import wait_until
from test_reload import reload
from wire_frames import A4, A6, B4, B6, ethernet, ip4, ip6, mac, udp

TENANT, FAR = mac("02:00:00:00:0a:01"), mac("02:00:00:00:0b:01")
REMOTE = "198.51.100.9"
# By TOS of the route; 0 is the route of all others.
GATEWAYS = {0: ("192.0.2.10", "02:00:00:00:e0:00"), 0x10: ("192.0.2.11", "02:00:00:00:e0:10"),
            0x04: ("192.0.2.12", "02:00:00:00:e0:04"), 0x1C: ("192.0.2.13", "02:00:00:00:e0:1c")}
PREFIX, LONGER = "198.51.0.0/16", "198.51.100.0/24"
LAST = ethernet(FAR, TENANT, 0x88B5, SENTINEL.ljust(46, b"."))


def frames_of_all_tos():
    """IPv4 and IPv6 with each TOS, and a frame that is neither."""
    made = {}
    for tos in range(256):
        text = b"tos %3d" % tos
        made["IPv4", tos] = ethernet(FAR, TENANT, 0x0800, ip4(A4, B4, 17, udp(A4, B4, 1000, 7, text), tos=tos))
        made["IPv6", tos] = ethernet(FAR, TENANT, 0x86DD, ip6(A6, B6, 17, udp(A6, B6, 1000, 7, text), tos=tos))
    made["none", 0] = ethernet(FAR, TENANT, 0x88B6, b"neither".ljust(46, b"."))
    return made


def routes(longer):
    """0x1c leads to the longer prefix if said, which all others take the short way to."""
    return [{"to": LONGER if tos == 0x1C and longer else PREFIX, "via": via, **({"tos": tos} if tos else {})}
            for tos, (via, _) in GATEWAYS.items()]


def twin_with_routes(lab, options):
    twin = Twin(lab, options, ports=len(options), others=[via for via, _ in GATEWAYS.values()])
    for via, address in GATEWAYS.values():
        twin.kernel.ip(f"neighbour replace {via} lladdr {address} dev eth0 nud permanent")
    for one in options:
        twin.kernel.ip(f"link set {one.name} type vxlan id {one.vni} remote {REMOTE}")
    topology = copy.deepcopy(twin.daemon.topology)
    topology["neighbours"] = [entry for entry in topology["neighbours"] if entry["lladdr"] == REMOTE_MAC and
                              entry["address"] not in [via for via, _ in GATEWAYS.values()]]
    topology["neighbours"] += [{"address": via, "lladdr": address, "dev": "uplink0"} for via, address in GATEWAYS.values()]
    reload(twin.daemon, topology)
    return twin.open()


def set_routes(twin, options, longer):
    twin.kernel.run("ip route flush root 198.51.0.0/16")
    for route in routes(longer):
        twin.kernel.ip(f"route add {route['to']} via {route['via']} " + (f"tos {route['tos']:#x}" if "tos" in route else ""))
    topology = copy.deepcopy(twin.daemon.topology)
    topology["routes"] = routes(longer)
    reload(twin.daemon, topology)
    twin.use(options)


def ways(frames, sent):
    """Which gateway each frame was sent to, by what it is."""
    names = {frame: name for name, frame in frames.items()}
    found = {names[frame[50:]]: frame[:6].hex(":") for frame in sent}
    assert len(found) == len(sent) == len(frames)
    return found


def test_VX18_the_outer_tos_chooses_the_way_as_in_the_kernel(lab):
    tos_words = ["", "tos 0x10", "tos 0x13", "tos 0xfc", "tos 0x20", "tos inherit"]
    keys = {"": {}, **{word: {"tos": word[4:] if word.endswith("inherit") else int(word[4:], 16)} for word in tos_words[1:]}}
    options = [Options(101 + number, 4, f"{words} noudpcsum nolearning", {"remote": REMOTE, "learning": False, **keys[words]})
               for number, words in enumerate(tos_words)]
    twin = twin_with_routes(lab, options)
    frames = frames_of_all_tos()
    gateways = {mac(address) for _, address in GATEWAYS.values()}
    for longer in (False, True):
        set_routes(twin, options, longer)
        seen = {}
        for port, one in zip(twin.ports, options):
            sent = twin.encapsulated(one, port, list(frames.values()), LAST, gateways)
            kernel, ours = (ways(frames, half) for half in sent)
            assert ours == kernel, (str(one), longer)
            seen[one.words] = set(ours.values())
        assert len(seen["tos inherit noudpcsum nolearning"]) == len(GATEWAYS), seen
        assert seen["tos 0x13 noudpcsum nolearning"] == {GATEWAYS[0x10][1]}, seen
    assert not twin.daemon.drops(), twin.daemon.drops()
    shown = {(route["to"], route.get("tos", 0)): route["via"] for route in twin.daemon.rpc("routes")}
    assert {(route["to"], route.get("tos", 0)): route["via"] for route in routes(True)}.items() <= shown.items()
    table = [line.split() for line in twin.daemon.ctl("route").stdout.splitlines()]
    assert [PREFIX, "16", "192.0.2.11", "uplink0", "unicast"] in table, table


def test_VX18_a_way_that_is_refused_or_unresolved_holds_up_no_other(lab):
    options = [Options(101, 4, "tos inherit noudpcsum nolearning", {"remote": REMOTE, "learning": False, "tos": "inherit"})]
    twin = twin_with_routes(lab, options)
    frames = frames_of_all_tos()
    topology = copy.deepcopy(twin.daemon.topology)
    topology["neighbours"] = [entry for entry in topology["neighbours"] if entry["address"] != GATEWAYS[0x04][0]]
    topology["routes"] = [{"to": PREFIX, "via": GATEWAYS[0][0]}, {"to": PREFIX, "via": GATEWAYS[0x04][0], "tos": 0x04},
                          {"to": LONGER, "type": "blackhole", "tos": 0x10}]
    reload(twin.daemon, topology)
    twin.use(options)
    sent = {}
    for tos in (0, 0x04, 0x10, 0x1C):
        mouth = twin.mouths["acc0"]
        mouth.send(frames["IPv4", tos])
        sent[tos] = frames["IPv4", tos]
    heard = []
    twin.ear.settimeout(0.2)

    def all_there():
        try:
            heard.append(twin.ear.recv(4096))
        except TimeoutError:
            pass
        return {frame[50:] for frame in heard} >= {sent[0], sent[0x1C]} and twin.daemon.drops().get("tunnel_blackhole") == 1
    wait_until(all_there, 5, "the ways that there are, are gone")
    assert not [frame for frame in heard if frame[50:] in (sent[0x04], sent[0x10])]
    assert any(frame[12:14] == b"\x08\x06" for frame in heard), "the gateway of the third is asked for"
