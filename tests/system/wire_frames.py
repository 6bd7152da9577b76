"""Frames made of bytes, for tests that send tens of thousands of them: headers in plain functions, the
inner frames of the kernel matrix, and what is wrong with an outer frame in words."""
import itertools
import struct

UDP_PORT = 4789
ECN_NAMES = ("Not-ECT", "ECT(1)", "ECT(0)", "CE")


def folded(data):
    """The ones' complement sum of RFC 1071 in 16 bits, not inverted."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def checksum(data):
    return 0xFFFF - folded(data)


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ethernet(dst, src, kind, payload):
    return dst + src + struct.pack("!H", kind) + payload


def ip4(src, dst, protocol, payload, *, tos=0, ttl=64, ident=0, fragment=0, options=b"", **wrong):
    """`fragment` is the whole field of flags and offset. wrong: length, checksum (a difference), version."""
    words = 5 + len(options) // 4
    length = wrong.get("length", 4 * words + len(payload))
    head = struct.pack("!BBHHHBBH4s4s", (wrong.get("version", 4) << 4) | wrong.get("words", words), tos, length,
                       ident, fragment, ttl, protocol, 0, src, dst) + options
    total = checksum(head) ^ wrong.get("checksum", 0)
    return head[:10] + struct.pack("!H", total) + head[12:] + payload


def ip6(src, dst, protocol, payload, *, tos=0, ttl=64, label=0, **wrong):
    return struct.pack("!IHBB16s16s", (wrong.get("version", 6) << 28) | (tos << 20) | label,
                       wrong.get("length", len(payload)), protocol, ttl, src, dst) + payload


def pseudo(src, dst, protocol, length):
    return src + dst + struct.pack("!II" if len(src) == 16 else "!HH", *((length, protocol) if len(src) == 16
                                                                     else (protocol, length)))


def udp(src, dst, sport, dport, payload, total=None, **wrong):
    """total: the checksum as it is to be sent; None computes it."""
    length = wrong.get("length", 8 + len(payload))
    head = struct.pack("!HHH", sport, dport, length)
    if total is None:
        total = checksum(pseudo(src, dst, 17, length) + head + b"\0\0" + payload) or 0xFFFF
    return head + struct.pack("!H", total) + payload


def tcp(src, dst, sport, dport, payload, flags=0x10):
    head = struct.pack("!HHIIBBHHH", sport, dport, 1, 1, 0x50, flags, 1000, 0, 0)
    total = checksum(pseudo(src, dst, 6, 20 + len(payload)) + head + payload)
    return head[:16] + struct.pack("!H", total) + head[18:] + payload


def icmp6(src, dst, kind, body):
    total = checksum(pseudo(src, dst, 58, 4 + len(body)) + bytes([kind, 0, 0, 0]) + body)
    return bytes([kind, 0]) + struct.pack("!H", total) + body


def icmp4(kind, body):
    total = checksum(bytes([kind, 0, 0, 0]) + body)
    return bytes([kind, 0]) + struct.pack("!H", total) + body


class Inner:
    """An inner frame, what it is in words, and the flow that its source port belongs to."""

    def __init__(self, frame, name, flow, *, ip=True, ecn=0, tagged=False):
        self.frame, self.name, self.flow = frame, name, flow
        self.ip, self.ecn, self.tagged = ip, ecn, tagged


A4, B4 = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
A6, B6 = bytes.fromhex("fd" + "00" * 14 + "01"), bytes.fromhex("fd" + "00" * 14 + "02")


def transport(kind, src, dst, payload):
    """Protocol number and bytes; `first` and `later` are fragments of a UDP datagram."""
    if kind == "tcp":
        return 6, tcp(src, dst, 2000, 80, payload)
    if kind == "icmp":
        return (1, icmp4(8, b"\0\1\0\1" + payload)) if len(src) == 4 else (58, icmp6(src, dst, 128, b"\0\1\0\1" + payload))
    if kind == "later":
        return 17, payload.ljust(24, b"l")
    return 17, udp(src, dst, 2000, 53, payload.ljust(24, b"u"))


def inner_packets(version, *, dscps=(0, 46), ecns=range(4), ttls=(0, 1, 64, 255), dont_fragment=(0, 1),
                  kinds=("tcp", "udp", "icmp", "first", "later")):
    """(name, flow, ECN, packet) of every protocol, DSCP, ECN, TTL and, in IPv4, DF."""
    for number, (kind, dscp, ecn, ttl, df) in enumerate(itertools.product(
            kinds, dscps, ecns, ttls, dont_fragment if version == 4 else (0,))):
        src, dst = (A4, B4) if version == 4 else (A6, B6)
        protocol, body = transport(kind, src, dst, b"%05d" % number)
        tos = dscp << 2 | ecn
        name = f"IPv{version} {kind} dscp {dscp} {ECN_NAMES[ecn]} ttl {ttl}" + (" DF" if df else "")
        if version == 4:
            fragment = df << 14 | {"first": 0x2000, "later": 3}.get(kind, 0)
            packet = ip4(src, dst, protocol, body, tos=tos, ttl=ttl, ident=number, fragment=fragment)
        elif kind in ("first", "later"):
            extension = struct.pack("!BBHI", 17, 0, 1 if kind == "first" else 24, number)
            packet = ip6(src, dst, 44, extension + body, tos=tos, ttl=ttl)
        else:
            packet = ip6(src, dst, protocol, body, tos=tos, ttl=ttl)
        yield name, f"IPv{version} {'fragment' if kind in ('first', 'later') else kind}", ecn, packet


def inner_others(src, dst):
    """Frames that are not IP, neighbour discovery, groups, and IP behind a VLAN tag."""
    arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + src + A4 + bytes(6) + B4
    reply = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + src + A4 + dst + B4
    everybody = b"\xff" * 6
    yield Inner(ethernet(everybody, src, 0x0806, arp + bytes(18)), "ARP request", "ARP request", ip=False)
    yield Inner(ethernet(dst, src, 0x0806, reply + bytes(18)), "ARP reply", "ARP reply", ip=False)
    group = bytes.fromhex("ff0200000000000000000001ff000002")
    solicit = icmp6(A6, group, 135, bytes(4) + B6 + b"\1\1" + src)
    yield Inner(ethernet(mac("33:33:ff:00:00:02"), src, 0x86DD, ip6(A6, group, 58, solicit, ttl=255)), "NS", "NS")
    advert = icmp6(A6, B6, 136, b"\x60\0\0\0" + A6 + b"\2\1" + src)
    yield Inner(ethernet(dst, src, 0x86DD, ip6(A6, B6, 58, advert, ttl=255)), "NA", "NA")
    yield Inner(ethernet(dst, src, 0x88B5, b"experimental".ljust(46, b".")), "EtherType 88b5", "88b5", ip=False)
    yield Inner(ethernet(dst, src, 0x88B5, b"x"), "EtherType 88b5, 15 bytes", "88b5", ip=False)
    yield Inner(ethernet(dst, src, 46, b"\xaa\xaa\x03llc".ljust(46, b".")), "LLC", "LLC", ip=False)
    for destination, name in ((everybody, "broadcast"), (mac("01:00:5e:00:01:01"), "group")):
        address = bytes([255] * 4) if name == "broadcast" else bytes([239, 0, 1, 1])
        yield Inner(ethernet(destination, src, 0x0800, ip4(A4, address, 17, udp(A4, address, 7, 7, b"to all" * 4))),
                    f"IPv4 to {name}", name)
    for size, spoilt in itertools.product((0, 1, 2, 3, 700, 1301), (False, True)):
        for version, a, b in ((4, A4, B4), (6, A6, B6)):
            for number, (kind, make) in ((6, ("TCP", tcp)), (17, ("UDP", udp))):
                body = make(a, b, 2001, 80, (b"\xa5\x01" * 700)[:size])
                if spoilt:  # a checksum in which the tunnel must not trust
                    body = body[:-1] + bytes([body[-1] ^ 0x5A])
                packet = ip4(a, b, number, body) if version == 4 else ip6(a, b, number, body)
                yield Inner(ethernet(dst, src, 0x0800 if version == 4 else 0x86DD, packet),
                            f"IPv{version} {kind} {size} bytes{' with a wrong checksum' * spoilt}", f"IPv{version} {kind} 2")
    for total in (0, 0xFFFF):
        packet = ip4(A4, B4, 17, udp(A4, B4, 2001, 53, b"sums", total))
        yield Inner(ethernet(dst, src, 0x0800, packet), f"IPv4 UDP checksum {total:04x}", "IPv4 UDP 2: sums")
    for tos, ttl, df in itertools.product((0, 0xB8, 0xBA, 3), (1, 64), (0, 1)):
        packet = ip4(A4, B4, 17, udp(A4, B4, 2000, 53, b"tagged" * 4), tos=tos, ttl=ttl, fragment=df << 14)
        yield Inner(ethernet(dst, src, 0x8100, struct.pack("!HH", 7, 0x0800) + packet),
                    f"VLAN 7 IPv4 tos {tos:02x} ttl {ttl}{' DF' * df}", "VLAN IPv4", ecn=tos & 3, tagged=True)
        if not df:
            packet = ip6(A6, B6, 17, udp(A6, B6, 2000, 53, b"tagged" * 4), tos=tos, ttl=ttl)
            yield Inner(ethernet(dst, src, 0x8100, struct.pack("!HH", 7, 0x86DD) + packet),
                        f"VLAN 7 IPv6 tos {tos:02x} ttl {ttl}", "VLAN IPv6", ecn=tos & 3, tagged=True)


def inner_frames(src, dst):
    """Everything that a tenant may send, each frame once."""
    made = [Inner(ethernet(dst, src, 0x0800 if version == 4 else 0x86DD, packet), name, flow, ecn=ecn)
            for version in (4, 6) for name, flow, ecn, packet in inner_packets(version)]
    made += inner_others(src, dst)
    assert len({inner.frame for inner in made}) == len(made)
    return made


# ---- outer frames, and all that can be wrong with them

OWN_MAC = mac("02:00:00:00:0f:01")  # of the VTEP itself, inside


class Case:
    """An outer frame; its inner frame is known by its destination address. `words`: what is special."""

    def __init__(self, name, key, frame, words=()):
        self.name, self.key, self.frame, self.words = name, key, frame, frozenset(words)


class Outside:
    """Makes Cases for one VTEP: addresses and MAC addresses of both ends, VNI and port."""

    def __init__(self, version, src_mac, dst_mac, src, dst, vni, port):
        self.version, self.macs, self.src, self.dst = version, (dst_mac, src_mac), src, dst
        self.vni, self.port, self.count, self.cases = vni, port, 0, []

    def inner(self, kind=0x0800, payload=None, source=None, key=None):
        """(key, frame) of a new inner frame."""
        self.count += 1
        key = key or b"\2\xd0" + self.count.to_bytes(4, "big")
        if payload is None:
            payload = ip4(A4, B4, 17, udp(A4, B4, 2000, 53, b"%06d" % self.count))
        return key, ethernet(key, source or mac("02:00:00:00:0b:01"), kind, payload)

    def add(self, name, inner=None, *, words=(), flags=8, reserved=0, last=0, vni=None, total=None, cut=None,
            transport=None, pad=b"", dst_mac=None, extension=None, wrong=None, udp_wrong=None, **network):
        """`total`: of UDP, None is right; `cut`: bytes of the UDP payload that remain; `transport`: instead of
        UDP; `extension`: (number, bytes) before UDP in IPv6; wrong, udp_wrong: as of ip4() and udp()."""
        key, frame = inner or self.inner()
        vni = self.vni if vni is None else vni
        payload = bytes([flags]) + reserved.to_bytes(3, "big") + vni.to_bytes(3, "big") + bytes([last]) + frame
        payload = payload if cut is None else payload[:cut]
        src, dst = network.pop("src", self.src), network.pop("dst", self.dst)
        sport, dport = network.pop("sport", 45678), network.pop("dport", self.port)
        if total == "wrong":
            head = udp(src, dst, sport, dport, payload)
            total = (int.from_bytes(head[6:8], "big") ^ 0x0101) or 1
        body = udp(src, dst, sport, dport, payload, total, **(udp_wrong or {}))
        protocol = 17
        if extension:
            protocol, body = extension[0], extension[1] + body
        protocol = network.pop("protocol", protocol)
        make = ip4 if self.version == 4 else ip6
        packet = make(src, dst, protocol, body, **network, **(wrong or {}))
        self.cases.append(Case(name, key, ethernet(dst_mac or self.macs[0], self.macs[1],
                                                   0x0800 if self.version == 4 else 0x86DD, packet) + pad, words))

    # ---- what is asked

    def congestion(self):
        kinds = ("tcp", "udp", "icmp", "later")
        for outer, ecn, dscps in itertools.product(range(4), range(4), ((0, 0), (46, 0), (0, 46), (10, 46))):
            tos = dscps[0] << 2 | outer
            for version, kind, ttl in itertools.product((4, 6), kinds, (1, 64)):
                _, _, _, packet = next(iter(inner_packets(version, dscps=(dscps[1],), ecns=(ecn,), ttls=(ttl,),
                                                          dont_fragment=(ttl & 1,), kinds=(kind,))))
                ethertype = 0x0800 if version == 4 else 0x86DD
                name = f"outer {ECN_NAMES[outer]}, inner {ECN_NAMES[ecn]} IPv{version} {kind} ttl {ttl} dscps {dscps}"
                self.add(name, self.inner(ethertype, packet), tos=tos)
                if ttl == 64 and kind == "udp":
                    tag = struct.pack("!HH", 5, ethertype)
                    self.add("VLAN 5, " + name, self.inner(0x8100, tag + packet), tos=tos, words=["tagged"])
        for outer in range(4):
            self.add(f"outer {ECN_NAMES[outer]}, EtherType 88b5", self.inner(0x88B5, b"\xff" * 46), tos=outer)
            arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + bytes(6) + A4 + bytes(6) + B4
            self.add(f"outer {ECN_NAMES[outer]}, ARP", self.inner(0x0806, arp + bytes(18)), tos=outer)

    def headers(self):
        for flags in range(256):
            self.add(f"flags {flags:02x}", flags=flags)
        for bit in range(24):
            self.add(f"reserved bit {bit}", reserved=1 << bit)
            self.add(f"another VNI, bit {bit}", vni=self.vni ^ 1 << bit)
            self.add(f"reserved bit {bit} without I", reserved=1 << bit, flags=0)
        for bit in range(8):
            self.add(f"last reserved byte {1 << bit:02x}", last=1 << bit)
        self.add("all reserved bits", reserved=0xFFFFFF, last=255, flags=255)
        self.add("VNI 0", vni=0)
        for port in (1, 4788, 4791, 8472, 0):
            self.add(f"UDP port {port}", dport=port)
        for port in (0, 1, 4789, 65535):
            self.add(f"UDP source port {port}", sport=port)

    def checksums_and_ttl(self):
        for total, size in itertools.product((None, 0, "wrong"), (0, 1, 2, 700, 1301)):
            payload = ip4(A4, B4, 17, udp(A4, B4, 2000, 53, bytes(size)))
            self.add(f"UDP checksum {'right' if total is None else total}, {size} bytes",
                     self.inner(payload=payload), total=total)
        for ttl in (0, 1, 2, 64, 255):
            self.add(f"outer ttl {ttl}", ttl=ttl)
        for tos in (0xB8, 0xFC, 0x04):
            self.add(f"outer tos {tos:02x}", tos=tos)

    def lengths(self):
        for length in range(64):
            self.add(f"{length} bytes of UDP payload", cut=length, words=["short"])
        for difference in (-9, -1, 1, 9):
            self.add(f"UDP length {difference:+}", udp_wrong={"length": 8 + 8 + 14 + 34 + difference}, total=0,
                     words=["udp length"])
        self.add("UDP length 0", udp_wrong={"length": 0}, total=0, words=["udp length"])
        self.add("UDP length 7", udp_wrong={"length": 7}, total=0, words=["udp length"])
        for pad in (1, 4, 18):
            self.add(f"{pad} bytes behind the packet", pad=bytes(pad))

    def inside(self):
        for source, name in ((bytes(6), "zero"), (b"\xff" * 6, "broadcast"), (mac("01:00:5e:00:00:05"), "a group"),
                             (OWN_MAC, "the VTEP's own")):
            self.add(f"inner source {name}", self.inner(source=source), words=["inner source"])
        for key in ("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:06", "33:33:00:00:00:06", "01:80:c2:00:00:21"):
            self.add(f"inner destination {key}", self.inner(key=mac(key)))
        self.add("inner link-local group", self.inner(key=mac("01:80:c2:00:00:00")), words=["link local"])
        good = ip4(A4, B4, 17, udp(A4, B4, 2000, 53, b"inside"))
        for outer, (name, payload) in itertools.product((0, 2, 3), (
                ("version 5", b"\x55" + good[1:]), ("header of 4 words", b"\x44" + good[1:]),
                ("header of 15 words", b"\x4f" + good[1:]), ("total length + 1", ip4(A4, B4, 17, b"x", length=22)),
                ("total length 19", ip4(A4, B4, 17, b"x", length=19)), ("wrong checksum", good[:10] + b"\0\0" + good[12:]),
                ("19 bytes", good[:19]), ("20 bytes", good[:20]), ("1 byte", good[:1]), ("nothing", b""))):
            self.add(f"inner IPv4 with {name}, outer {ECN_NAMES[outer]}", self.inner(payload=payload), tos=outer,
                     words=["inner damage"])
        good = ip6(A6, B6, 17, udp(A6, B6, 2000, 53, b"inside"))
        for outer, (name, payload) in itertools.product((0, 2, 3), (
                ("version 4", b"\x45" + good[1:]), ("39 bytes", good[:39]), ("40 bytes", good[:40]), ("nothing", b""),
                ("a length too large", ip6(A6, B6, 17, b"x", length=99)))):
            self.add(f"inner IPv6 with {name}, outer {ECN_NAMES[outer]}", self.inner(0x86DD, payload), tos=outer,
                     words=["inner damage"])

    def around(self, other):
        """The outer network header. `other`: an address that is neither end's."""
        self.add("to another address", dst=other)
        self.add("from another address", src=other)
        self.add("to another MAC address", dst_mac=mac("02:00:00:00:0e:99"))
        self.add("in a broadcast frame", dst_mac=b"\xff" * 6, words=["broadcast"])
        self.add("from our own address", src=self.dst, words=["own source"])
        self.add("from nobody", src=bytes(len(self.src)), words=["nobody"])
        self.add("protocol TCP", protocol=6)
        self.add("protocol UDP-Lite", protocol=136, words=["lite"])
        for version in (0, 5, 15):
            self.add(f"version {version}", wrong={"version": version})
        if self.version == 4:
            for name, address in (("a group", [239, 1, 1, 1]), ("loopback", [127, 0, 0, 1]), ("broadcast", [255] * 4)):
                self.add(f"from {name}", src=bytes(address))
                self.add(f"to {name}", dst=bytes(address), words=["to all"])
            self.add("wrong IPv4 checksum", wrong={"checksum": 0x1234})
            self.add("header of 4 words", wrong={"words": 4})
            for difference in (-40, -1, 1, 100):
                self.add(f"total length {difference:+}", wrong={"length": 20 + 8 + 8 + 14 + 34 + difference},
                         words=["total length"])
            self.add("DF", fragment=0x4000)
            self.add("the reserved flag", fragment=0x8000, words=["reserved flag"])
            self.add("first fragment", fragment=0x2000)
            self.add("later fragment", fragment=5)
            for name, options in (("no operation", b"\1\1\1\0"), ("timestamp", b"\x44\4\5\0"),
                                  ("source route", b"\x83\3\4\0"), ("bad length", b"\x44\xff\5\0")):
                self.add(f"option {name}", options=options, words=["options"])
        else:
            for name, address in (("a group", "ff0e" + "00" * 13 + "01"), ("loopback", "00" * 15 + "01"),
                                  ("mapped", "00" * 10 + "ffff" + "c0000202")):
                self.add(f"from {name}", src=bytes.fromhex(address), words=[f"from {name}"])
                self.add(f"to {name}", dst=bytes.fromhex(address), words=["to all"])
            for difference in (-40, -1, 1, 100):
                self.add(f"payload length {difference:+}", wrong={"length": 8 + 8 + 14 + 34 + difference},
                         words=["total length"])
            self.add("flow label", label=0xABCDE)
            empty = b"\x11\0\1\4\0\0\0\0"
            for number, name in ((0, "hop-by-hop"), (60, "destination options")):
                self.add(f"extension {name}", extension=(number, empty), words=["extension"])
            self.add("extension routing", extension=(43, b"\x11\0\0\0\0\0\0\0"), words=["extension"])
            self.add("atomic fragment", extension=(44, b"\x11\0\0\0\0\0\0\7"), words=["atomic"])
            self.add("first fragment", extension=(44, b"\x11\0\0\1\0\0\0\x08"))
            self.add("later fragment", extension=(44, b"\x11\0\0\x08\0\0\0\x09"))
            self.add("no next header", protocol=59)
