"""Every combination of options against the kernel's own vxlan device, frame by frame: what leaves, and
what is let in. Bytes are compared but for the fields that may differ, which are named below."""
import collections
import itertools
import socket

import pytest

from kernel_twin import ADDRESS, REMOTE_MAC, SENTINEL, VTEP_MAC, Options, Twin, kernel_or_skip
from wire_frames import Outside, ethernet, folded, inner_frames, mac, pseudo

TENANT, FAR = mac("02:00:00:00:0a:01"), mac("02:00:00:00:0b:01")
DEFAULT_RANGE, SHORT_RANGE = (32768, 60999), (40000, 40100)

# Differences that are meant, by behaviour: (name, reason, does it hold for this frame and field?).
DECIDED = [
    ("congestion is shown outside",
     "RFC 6040 copies CE; the kernel writes ECT(0) over it. `ecn: rfc3168` is the kernel's way",
     lambda inner, options, ours, kernel, field:
     field == "ecn" and options.keys["ecn"] == "rfc6040" and inner.ecn == 3 and (ours, kernel) == (3, 2)),
    ("df inherited behind a VLAN tag",
     "the kernel looks behind the tag for TTL and TOS, but not for DF",
     lambda inner, options, ours, kernel, field:
     field == "df" and inner.tagged and options.keys.get("df") == "inherit" and (ours, kernel) == (1, 0)),
]


def combinations(version):
    """All combinations of ttl, tos, df, checksum and source ports over one underlay."""
    made = []
    ttls = {"default": ("", {}), "fixed": ("ttl 9", {"ttl": 9}), "inherit": ("ttl inherit", {"ttl": "inherit"})}
    dfs = {word: (f"df {word}", {"df": word}) for word in ("unset", "set", "inherit")}
    sums = {4: {"on": ("udpcsum", {"udpcsum": True}, 4789), "off": ("noudpcsum", {}, 4789)},
            6: {"on": ("", {}, 4789),
                "off": ("udp6zerocsumtx udp6zerocsumrx", {"udp6zerocsumtx": True, "udp6zerocsumrx": True}, 4790)}}[version]
    ranges = {"default": ("", {}), "range": ("srcport {} {}".format(*SHORT_RANGE), {"srcport": list(SHORT_RANGE)})}
    for number, (total, source, ttl, tos, df) in enumerate(itertools.product(
            sums.values(), ranges, ttls.values(), ("0", "fixed", "inherit"), dfs.values())):
        # A fixed TOS without and with ECN bits of its own; both ways of congestion marks.
        fixed = 0xB8 if number % 2 else 0x4B
        tos_words, tos_keys = {"0": ("", {}), "fixed": (f"tos {fixed:#x}", {"tos": fixed}),
                               "inherit": ("tos inherit", {"tos": "inherit"})}[tos]
        label = version == 6 and number % 2
        ecn = "rfc6040" if source == "range" and df[1]["df"] != "set" else "rfc3168"
        made.append(Options(version << 20 | 0x10101 + number * 257, version,
                            " ".join((ttl[0], tos_words, df[0], total[0], ranges[source][0],
                                      "flowlabel 0xabcde" * label, "nolearning")),
                            {"ecn": ecn, "inner-vlan": True, **ttl[1], **tos_keys, **df[1], **total[1], **ranges[source][1],
                             **({"flowlabel": 0xABCDE} if label else {})}, total[2]))
    return made


class Outer:
    """The fields of an outer header, by name. What must be right by itself is judged here."""

    def __init__(self, frame, version):
        self.header_length = 50 if version == 4 else 70
        self.header, self.inner = frame[:self.header_length], frame[self.header_length:]
        head, udp = self.header, self.header[-16:]
        self.fields = {"ethernet": head[:14], "udp destination": udp[2:4], "udp length": udp[4:6],
                       "vxlan": udp[8:], "checksum present": udp[6:8] != b"\0\0"}
        tos = head[15] if version == 4 else (int.from_bytes(head[14:16], "big") >> 4) & 0xFF
        self.fields |= {"ecn": tos & 3, "dscp": tos >> 2}
        if version == 4:
            self.fields |= {"version and length": head[14], "total length": head[16:18], "df": head[20] >> 6,
                            "fragment": (head[20] & 0xBF, head[21]), "ttl": head[22], "protocol": head[23],
                            "addresses": head[26:34]}
            self.ident = int.from_bytes(head[18:20], "big")
        else:
            self.fields |= {"version": head[14] >> 4, "flow label": (head[15] & 15, head[16:18]),
                            "payload length": head[18:20], "next header": head[20], "hop limit": head[21],
                            "addresses": head[22:54]}
        self.source_port = int.from_bytes(udp[:2], "big")
        self.version = version

    def problems(self, low, high):
        """What is wrong in the fields that are masked in the comparison."""
        if not low <= self.source_port < high:
            yield f"source port {self.source_port} is not in [{low}, {high})"
        if self.version == 4 and folded(self.header[14:34]) != 0xFFFF:
            yield "wrong IPv4 checksum"
        if self.fields["checksum present"]:
            addresses = self.fields["addresses"]
            half = len(addresses) // 2
            datagram = self.header[-16:] + self.inner
            if folded(pseudo(addresses[:half], addresses[half:], 17, len(datagram)) + datagram) != 0xFFFF:
                yield "wrong UDP checksum"


class Comparison:
    """Counts frames that are equal or differ in a decided way; keeps the first of those that differ."""

    def __init__(self):
        self.equal, self.decided, self.differ, self.different = 0, collections.Counter(), [], 0

    def wrong(self, options, text):
        self.different += 1
        if len(self.differ) < 10:
            self.differ.append(f"{options}\n    {text}")

    def judge(self, options, inner, ours, kernel):
        for who, outer in (("vxplane", ours), ("kernel", kernel)):
            low, high = options.keys.get("srcport", DEFAULT_RANGE)
            for problem in outer.problems(low, high):
                self.wrong(options, f"{inner.name}: {who}: {problem}")
        if ours.fields == kernel.fields:
            self.equal += 1
            return
        for field, value in ours.fields.items():
            if value == kernel.fields[field]:
                continue
            for name, _, holds in DECIDED:
                if holds(inner, options, value, kernel.fields[field], field):
                    self.decided[name] += 1
                    break
            else:
                self.wrong(options, f"{inner.name}: {field}: vxplane {value}, kernel {kernel.fields[field]}")

    def inside(self, options, case, ours, kernel):
        """What was let in of one outer frame."""
        if ours == kernel:
            self.equal += 1
            return
        for name, _, holds in DECIDED_INSIDE:
            if holds(case, options, ours, kernel):
                self.decided[name] += 1
                return
        self.wrong(options, f"{case.name}: vxplane lets in {[frame.hex() for frame in ours]}, the kernel "
                            f"{[frame.hex() for frame in kernel]}, of {case.frame.hex()}")

    def batch(self, options, inners, kernel, ours):
        """All frames of one combination; the same inner frames must have come out of both."""
        found = []
        for frames in (kernel, ours):
            by_inner = {}
            for frame in frames:
                outer = Outer(frame, options.version)
                if outer.inner in by_inner:
                    self.wrong(options, f"sent twice: {outer.inner.hex()}")
                by_inner[outer.inner] = outer
            found.append(by_inner)
        ports = collections.defaultdict(lambda: (set(), set()))
        for inner in inners:
            theirs, mine = (by_inner.pop(inner.frame, None) for by_inner in found)
            if theirs is None or mine is None:
                self.wrong(options, f"{inner.name}: {'sent' if mine else 'not sent'} by vxplane, "
                                    f"{'sent' if theirs else 'not sent'} by the kernel")
                continue
            self.judge(options, inner, mine, theirs)
            for ports_of, outer in zip(ports[inner.flow], (mine, theirs), strict=True):
                ports_of.add(outer.source_port)
        for who, rest in zip(("kernel", "vxplane"), found, strict=True):
            for outer in rest.values():
                self.wrong(options, f"{who} sent what nobody gave it: {(outer.header + outer.inner).hex()}")
        for flow, (mine, theirs) in ports.items():
            if len(theirs) == 1 and len(mine) != 1:
                self.wrong(options, f"{flow}: one flow has source ports {sorted(mine)}")
        return ports

    def verdict(self, what):
        print(f"{what}: {self.equal} frames are equal, {dict(self.decided)} differ as decided, {self.different} differ")
        assert not self.differ, f"{self.different} differences, among them\n" + "\n".join(self.differ)


@pytest.mark.parametrize("version", [4, 6], ids=["over_ipv4", "over_ipv6"])
def test_VX01_VX16_what_leaves_is_what_the_kernel_sends(lab, version):
    probe = lab.namespace("probe")
    kernel_or_skip(probe, ["ttl inherit", "tos inherit", "df inherit", "udpcsum", "udp6zerocsumtx", "srcport 40000 40100",
                           "flowlabel 0xabcde"])
    options = combinations(version)
    inners = inner_frames(TENANT, FAR)
    frames = [inner.frame for inner in inners]
    last = ethernet(FAR, TENANT, 0x88B5, SENTINEL.ljust(46, b"."))
    twin = Twin(lab, options).open()
    compared, identities = Comparison(), set()
    for start in range(0, len(options), len(twin.ports)):
        share = options[start:start + len(twin.ports)]
        twin.use(share)
        for port, combination in zip(twin.ports, share):
            kernel, ours = twin.encapsulated(combination, port, frames, last)
            compared.batch(combination, inners, kernel, ours)
            if version == 4:
                identities |= {frame[18:20] for frame in ours if not frame[20] & 0x40}
    compared.verdict(f"{len(options)} combinations over IPv{version}")
    assert compared.equal > 0.8 * len(options) * len(inners)
    # VX-15: fragments could be told apart.
    assert version == 6 or len(identities) > 1000
    assert not twin.daemon.drops(), twin.daemon.drops()


def received(frames):
    """Inner frames by their destination address."""
    found = collections.defaultdict(list)
    for frame in frames:
        found[frame[:6]].append(frame)
    return found


# As above, of what is let in: (name, reason, does it hold for this case?). No frames: nothing was let in.
DECIDED_INSIDE = [
    ("ECN behind a VLAN tag", "congestion does not end at a tag; the kernel looks at untagged packets only",
     lambda case, options, ours, kernel: "tagged" in case.words and bool(kernel) and case.frame.endswith(kernel[0])),
    ("not IP, whatever the EtherType says", "a header of another version has no ECN field that could be lost",
     lambda case, options, ours, kernel: case.name in ("inner IPv4 with version 5, outer CE",
                                                       "inner IPv6 with version 4, outer CE") and not kernel),
    ("a bridge forwards nothing from a group or from nobody",
     "vxplane is the bridge, too; the kernel's drops such frames behind the device",
     lambda case, options, ours, kernel: "inner source" in case.words and not options.keys["learning"] and not ours),
    ("frames for the neighbour only", "IEEE 802.1Q: 01:80:c2:00:00:0x is not forwarded; a kernel bridge decides it",
     lambda case, options, ours, kernel: "link local" in case.words and not ours),
    ("broadcast and groups are the host's", "a tunnel packet is addressed to one of our addresses, in frame and packet",
     lambda case, options, ours, kernel: case.name in ("in a broadcast frame", "to broadcast") and not ours),
    ("options are skipped", "an outer option has no effect at the end of its way, be it malformed or a source route",
     lambda case, options, ours, kernel: "options" in case.words and not kernel),
    ("nobody else sends from our address", "it is forged or has come back; the kernel looks at IPv4 only",
     lambda case, options, ours, kernel: "own source" in case.words and not ours),
    ("nobody has the address ::", "RFC 4291 section 2.5.2: such a packet passed no router, and cannot be answered",
     lambda case, options, ours, kernel: "nobody" in case.words and not ours),
    ("mapped addresses are not on a wire", "RFC 4291 section 2.5.5.2 gives ::ffff:0:0/96 to programs",
     lambda case, options, ours, kernel: "from mapped" in case.words and not ours),
    ("outer fragments", "RFC 7348 section 4.3 lets a VTEP drop them, also those that are the whole packet",
     lambda case, options, ours, kernel: "atomic" in case.words and not ours),
    ("UDP length 0", "RFC 2675 has it in jumbograms only, which carry more than 65,535 bytes",
     lambda case, options, ours, kernel: case.name == "UDP length 0" and not ours),
]


@pytest.mark.parametrize("version", [4, 6], ids=["over_ipv4", "over_ipv6"])
def test_VX31_VX48_what_is_let_in_is_what_the_kernel_lets_in(lab, version):
    options = [Options(0x123456, version, "learning", {"learning": True, "inner-vlan": True}),
               Options(0x654321, version, "nolearning", {"learning": False, "inner-vlan": True})]
    if version == 6:
        options.append(Options(0x00FF01, version, "nolearning udp6zerocsumrx",
                               {"learning": False, "inner-vlan": True, "udp6zerocsumrx": True}, 4790))
    twin = Twin(lab, options, ports=len(options)).open()
    twin.use(options)
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    own, remote = (socket.inet_pton(family, address) for address in ADDRESS[version])
    compared = Comparison()
    for port, combination in zip(twin.ports, options, strict=True):
        outside = Outside(version, mac(REMOTE_MAC), mac(VTEP_MAC), remote, own, combination.vni, combination.port)
        for ask in (outside.congestion, outside.headers, outside.checksums_and_ttl, outside.lengths, outside.inside):
            ask()
        outside.around(own[:-1] + b"\x63")
        cases, outside.cases = outside.cases, []

        def last(text):
            outside.add("last", outside.inner(0x88B5, text.ljust(46, b".")))
            return outside.cases.pop().frame
        dropped = sum(twin.daemon.drops().values())
        kernel, ours = map(received, twin.decapsulated(combination, port, [case.frame for case in cases], last))
        let_in = sum(map(len, ours.values()))
        for case in cases:
            compared.inside(combination, case, ours.pop(case.key, []), kernel.pop(case.key, []))
        assert not kernel and not ours, (kernel, ours)
        # What was not let in was counted, once.
        assert sum(twin.daemon.drops().values()) - dropped == len(cases) - let_in, twin.daemon.drops()
    compared.verdict(f"{len(options)} combinations over IPv{version}")
    assert compared.equal > 0.9 * len(options) * len(cases) and let_in > 500
