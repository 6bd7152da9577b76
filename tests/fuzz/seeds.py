#!/usr/bin/python3
"""Writes the seeds of the fuzz targets into tests/fuzz/corpus/. Frames are made with scapy; the
first byte of a seed says how the target treats the rest (see fuzz.hpp)."""
import hashlib
import itertools
import pathlib
import re

from scapy.all import (ARP, BOOTP, DHCP, ICMP, IP, TCP, UDP, VXLAN, Dot1AD, Dot1Q, Ether, IPOption_Router_Alert,
                       IPv6, Raw, raw)
from scapy.contrib.igmp import IGMP
from scapy.contrib.igmpv3 import IGMPv3, IGMPv3gr, IGMPv3mq, IGMPv3mr
from scapy.layers.inet6 import (ICMPv6EchoRequest, ICMPv6MLDMultAddrRec, ICMPv6MLDone, ICMPv6MLReport,
                                ICMPv6MLReport2, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6NDOptDstLLAddr,
                                ICMPv6NDOptSrcLLAddr, ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPv6ExtHdrDestOpt,
                                IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, RouterAlert)

HERE = pathlib.Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
REPAIR = 4


def host(number):
    return f"02:00:00:00:00:{number:02x}"


def inner_frames(source, destinations):
    for to in destinations:
        ethernet = Ether(src=source, dst=to)
        yield ethernet / IP(src="192.0.2.1", dst="192.0.2.2", tos=2) / UDP(sport=1, dport=2) / Raw(b"x" * 18)
        yield ethernet / IPv6(src="2001:db8::1", dst="2001:db8::2", tc=1) / TCP(sport=1, dport=2)
        yield ethernet / Dot1Q(vlan=5) / IP(tos=3) / ICMP()
        yield ethernet / Dot1AD(vlan=5) / Dot1Q(vlan=6) / IP(frag=3) / Raw(b"y" * 30)
        yield ethernet / ARP(psrc="192.0.2.1", pdst="192.0.2.2")


def underlay_frames():
    to_us = Ether(src="02:00:00:bb:00:02", dst="02:00:00:aa:00:01")
    for number, tos, checksum in ((2, 0, 0), (3, 3, None), (9, 1, 0)):
        for inner in inner_frames(host(12), [host(1), host(13), "ff:ff:ff:ff:ff:ff"]):
            outer = to_us / IP(src=f"10.0.0.{number}", dst="10.0.0.1", tos=tos)
            yield outer / UDP(sport=40000, dport=4789, chksum=checksum) / VXLAN(vni=7, flags=8) / inner
    ip = IP(src="10.0.0.2", dst="10.0.0.1")
    yield to_us / ip / ICMP() / Raw(b"ping")
    yield to_us / ip / TCP(dport=22)
    yield to_us / IP(src="10.0.0.2", dst="10.0.0.1", flags="MF") / UDP(dport=4789) / Raw(b"z" * 40)
    yield to_us / IP(src="10.0.0.2", dst="10.0.0.1", options=b"\x01\x01\x01\x01") / UDP(dport=4789)
    yield Ether(src=host(1), dst="ff:ff:ff:ff:ff:ff") / ARP(psrc="10.0.0.2", pdst="10.0.0.1")
    yield to_us / IPv6() / UDP()


def fragment_frames():
    to_us = Ether(src="02:00:00:bb:00:02", dst="02:00:00:aa:00:01")
    for inner in inner_frames(host(12), [host(1)]):
        payload = UDP(sport=40000, dport=4789) / VXLAN(vni=7, flags=8) / inner
        yield to_us / IPv6(src="2001:db8::2", dst="2001:db8::1") / IPv6ExtHdrFragment(id=1) / payload
        yield to_us / IPv6(src="2001:db8::2", dst="2001:db8::1") / payload
        yield to_us / IP(src="10.0.0.2", dst="10.0.0.1", frag=5) / Raw(b"z" * 40)


def neighbour_frames():
    ours, theirs = "02:00:00:aa:00:01", "02:00:00:bb:00:02"
    to_us = Ether(src=theirs, dst=ours)
    to_all = Ether(src=theirs, dst="33:33:00:00:00:01")
    lladdr = ICMPv6NDOptDstLLAddr(lladdr=theirs)
    ask = ICMPv6ND_NS(tgt="2001:db8::1")
    near = IPv6(src="2001:db8::2", dst="2001:db8::1", hlim=255)
    yield to_us / near / ask / ICMPv6NDOptSrcLLAddr(lladdr=theirs)
    yield to_us / near / ask
    group = IPv6(src="::", dst="ff02::1:ff00:1", hlim=255)
    yield Ether(src=theirs, dst="33:33:ff:00:00:01") / group / ask
    for flags in range(8):
        answer = ICMPv6ND_NA(tgt="2001:db8::2", R=flags >> 2, S=flags >> 1 & 1, O=flags & 1)
        yield to_us / near / answer / lladdr
    yield to_all / IPv6(src="2001:db8::2", dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt="2001:db8::1", S=0) / lladdr
    yield to_all / IPv6(src="fe80::2", dst="ff02::1", hlim=255) / ICMPv6ND_RA()
    far = IPv6(src="2001:db8::9", dst="2001:db8::1")
    for ping in (ICMPv6EchoRequest(data=b"ping"), IPv6ExtHdrHopByHop() / ICMPv6EchoRequest(data=b"ping")):
        yield to_us / far / ping
    yield to_us / far / IPv6ExtHdrFragment(m=1, nh=58) / ICMPv6EchoRequest(data=b"ping")
    yield to_us / far / IPv6ExtHdrDestOpt() / UDP(sport=1, dport=2) / Raw(b"x" * 30)
    yield to_us / far / ICMPv6TimeExceeded() / far / UDP()
    yield to_us / Dot1Q(vlan=5) / far / UDP(sport=1, dport=2) / Raw(b"x" * 1300)
    yield to_us / IP(src="10.0.0.9", dst="10.0.0.1") / ICMP() / Raw(b"ping")
    yield to_us / IP(src="10.0.0.9", dst="10.0.0.7", flags="MF") / UDP() / Raw(b"x" * 30)
    for operation in (1, 2):
        yield to_us / ARP(op=operation, hwsrc=theirs, psrc="10.0.0.2", hwdst=ours, pdst="10.0.0.1")


def hook_rows():
    """Rows of packets, each behind who sends it and how long it is: see fuzz_hooks.cpp."""
    inside, outside, wire = "10.0.0.5", "198.51.100.9", "203.0.113.1"
    inside6, outside6, wire6 = "fd00::5", "2001:db8::9", "2001:db8:ff::1"
    from_slave, from_wire, to_sibling = 2 | 2 << 2, 0 | 1 << 2, 1 | 2 << 2 | 1 << 4
    for data in (UDP(sport=1000, dport=53), TCP(sport=1000, dport=80, flags="S"), ICMP(id=1000)):
        ask = IP(src=inside, dst=outside) / data / Raw(b"ask")
        seen = IP(raw(IP(src=wire, dst=outside) / data / Raw(b"ask")))
        error = IP(src="192.0.2.7", dst=wire) / ICMP(type=3, code=1) / seen
        yield ((from_slave, ask), (from_wire, error), (from_slave, ask))
        yield ((from_wire, IP(src=outside, dst="203.0.113.2") / data), (to_sibling, IP(src=inside, dst=outside) / data))
    for flags in ("SA", "A", "FA", "R"):
        yield ((from_slave, IP(src=inside, dst=outside) / TCP(sport=1000, dport=80, flags="S")),
               (from_wire, IP(src=outside, dst=wire) / TCP(sport=80, dport=2000, flags=flags)),
               (from_slave, IP(src=inside, dst=outside) / TCP(sport=1000, dport=80, flags="A")))
    for data in (UDP(sport=1000, dport=53), TCP(sport=1000, dport=80, flags="S"), ICMPv6EchoRequest(id=1000)):
        ask = IPv6(src=inside6, dst=outside6) / data
        seen = IPv6(src=wire6, dst=outside6) / data
        yield ((from_slave, ask), (from_wire, IPv6(src=outside6, dst=wire6) / ICMPv6TimeExceeded() / seen))
        yield ((from_slave, IPv6(src=inside6, dst=outside6) / IPv6ExtHdrFragment(id=3, m=1) / data),
               (from_slave, IPv6(src=inside6, dst=outside6) / IPv6ExtHdrFragment(id=3, offset=3) / Raw(b"later")))
    yield ((from_slave, IP(src=inside, dst=outside, flags="MF", id=3) / UDP(sport=1, dport=2) / Raw(b"first...")),
           (from_slave, IP(src=inside, dst=outside, frag=2, id=3, proto=17) / Raw(b"later")))


def snooped_rows():
    """Rows of reports of groups and DHCP messages: see fuzz_snooping.cpp."""
    alert, alert6 = [IPOption_Router_Alert()], IPv6ExtHdrHopByHop(options=[RouterAlert(value=0)])
    for kind in (0x12, 0x16, 0x17):
        yield [(4, IP(src="10.1.0.5", dst="239.1.2.3", ttl=1, options=alert) / IGMP(type=kind, gaddr="239.1.2.3"))]
    for kind in range(1, 7):
        group = IGMPv3gr(rtype=kind, maddr="232.1.1.1", srcaddrs=["10.9.9.9", "10.9.9.8"] if kind % 2 else [])
        report = IP(dst="224.0.0.22", ttl=1, options=alert, proto=2) / IGMPv3(type=0x22) / IGMPv3mr(records=[group] * kind)
        near = IPv6(src="fe80::5", dst="ff02::16", hlim=1) / alert6
        record = ICMPv6MLDMultAddrRec(rtype=kind, dst="ff05::9", sources=["2001:db8::1"] * (kind % 2))
        yield [(4, report), (0x95, near / ICMPv6MLReport2(records=[record])), (4, near / ICMPv6MLReport(mladdr="ff05::9")),
               (0x14, near / ICMPv6MLDone(mladdr="ff05::9")), (0xF4, report)]
    far6 = bytes.fromhex("ff05" + "00" * 12 + "0100")
    for version, group in itertools.product((1, 2, 3), ("0.0.0.0", "239.1.1.1")):
        asked = IGMPv3(type=0x11, mrcode=0xA0) / IGMPv3mq(gaddr=group, qrv=3, qqic=130) if version == 3 else \
            IGMP(type=0x11, mrcode=version * 10 - 10, gaddr=group)
        query = IP(src="10.1.0.9", dst="224.0.0.1" if group == "0.0.0.0" else group, ttl=1, options=alert, proto=2) / asked
        yield [(4, query), (0x14, query), (0xA4, query)]
    for tail, group in itertools.product((b"", b"\x03\x90\0\0"), (bytes(16), far6)):
        body = b"\x82\0\0\0\x07\xd0\0\0" + group + tail
        query = IPv6(src="fe80::9", dst="ff02::1", hlim=1) / IPv6ExtHdrHopByHop(nh=58, options=[RouterAlert(value=0)]) / Raw(body)
        yield [(4, query), (0x24, query), (0xA4, query)]
    mac = bytes.fromhex("020000aa0001")
    row = []
    for transaction, kind in enumerate(("discover", "request", "release", "decline", "inform")):
        words = [("message-type", kind), ("requested_addr", "10.1.0.9"), ("client_id", b"\xff" + b"s"), "end"]
        row.append((4 | transaction % 3, IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) /
                    BOOTP(op=1, xid=transaction, ciaddr="10.1.0.9", chaddr=mac) / DHCP(options=words)))
    for transaction, kind in ((0, "offer"), (1, "ack"), (1, "nak")):
        words = [("message-type", kind), ("lease_time", 3600), ("dhcp-option-overload", 3), "end"]
        row.insert(3, (0x34, IP(src="10.1.0.1", dst="10.1.0.9") / UDP(sport=67, dport=68) / BOOTP(
            op=2, xid=transaction, yiaddr="10.1.0.9", chaddr=mac, sname=b"\xff", file=b"\x33\x04\0\0\0\x09\xff") /
            DHCP(options=words)))
    yield row


def path_frames():
    """What routers say of tunnel packets, and tenants' frames that are too long: see fuzz_paths.cpp."""
    ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    local, remote = "10.0.0.1", "10.0.0.2"
    ours = IP(src=local, dst=remote, flags="DF", len=1500) / UDP(sport=40000, dport=4789, len=1480)
    for code, mtu, quoted in ((4, 1300, ours), (4, 0, ours), (1, 0, ours), (4, 600, IP(src=local, dst=remote) / TCP())):
        yield 1, ether / IP(src=remote, dst=local) / ICMP(type=3, code=code, nexthopmtu=mtu) / Raw(raw(quoted))
    local6, remote6 = "2001:db8::1", "2001:db8::2"
    ours6 = IPv6(src=local6, dst=remote6, plen=1460) / UDP(sport=40000, dport=4789, len=1460) / Raw(
        b"\x08\0\0\0\0\0\x07\0")
    for mtu, quoted in ((1400, ours6), (1279, ours6), (1400, IPv6(src=local6, dst=remote6) / TCP())):
        yield 1, ether / IPv6(src=remote6, dst=local6) / ICMPv6PacketTooBig(mtu=mtu) / Raw(raw(quoted))
    for tags in (ether, ether / Dot1Q(vlan=5)):
        yield 0x2C, tags / IP(src="192.0.2.1", dst="192.0.2.2", flags="DF", ttl=3) / UDP() / Raw(b"x" * 600)
        yield 0x2C, tags / IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP() / Raw(b"x" * 1400)
        yield 0x2C, tags / IPv6(src="2001:db8::1", dst="2001:db8::2") / ICMPv6TimeExceeded() / Raw(b"x" * 1400)


def opening_frames():
    """TCP that opens connections through a segment that clamps MSS: see fuzz_mss.cpp."""
    options = [[("MSS", 1460)], [("NOP", None), ("MSS", 9000), ("WScale", 7), ("SAckOK", b"")], [("MSS", 100)], []]
    for head in (4, 5, 6, 0x14, 0x16):
        to, source = (host(1), host(12)) if head & 0x10 else (host(12), host(1))
        for words in options:
            tcp = TCP(sport=40000, dport=80, flags="S", options=words)
            for tags in (Ether(src=source, dst=to), Ether(src=source, dst=to) / Dot1Q(vlan=5)):
                yield head, tags / IP(src="192.0.2.1", dst="192.0.2.2") / tcp
                yield head, tags / IPv6(src="2001:db8::1", dst="2001:db8::2") / tcp


def long_frames():
    """What is too long for its tunnel: see fuzz_fragments.cpp."""
    for head in (0, 1, 2, 0x10, 0x12):
        for flags, fragment in ((0, 0), ("DF", 0), ("MF", 9)):
            for tags in (Ether(src=host(1), dst=host(12)), Ether(src=host(1), dst=host(77)) / Dot1Q(vlan=5)):
                ip = IP(src="192.0.2.1", dst="192.0.2.2", flags=flags, frag=fragment, options=IPOption_Router_Alert())
                yield head, tags / ip / UDP() / Raw(b"x" * 700)
                yield head, tags / IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP() / Raw(b"x" * 700)


def grouped_frames():
    """Frames with the first word of a VXLAN header: see fuzz_group.cpp."""
    for word in ("08000000", "88000007", "88080003", "88400007", "88001234", "08001234", "88200007", "c8000007"):
        for to in (host(1), host(2), host(77), "ff:ff:ff:ff:ff:ff"):
            frame = Ether(src=host(12), dst=to) / IP(src="192.0.2.1", dst="192.0.2.2") / UDP() / Raw(b"x" * 18)
            yield b"\0" + bytes.fromhex(word), frame
    for to in (host(2), host(12), host(77)):
        yield b"\x10\0\0\0\0", Ether(src=host(1), dst=to) / IP(src="192.0.2.1", dst="192.0.2.2") / UDP()


def open_frames():
    """Frames with the byte that says where a checksum is missing: see fuzz_remcsum.cpp."""
    for version, start in ((IP(src="192.0.2.1", dst="192.0.2.2"), 34), (IPv6(src="2001:db8::1", dst="2001:db8::2"), 54)):
        for udp, transport in ((0x80, UDP(sport=1, dport=2)), (0, TCP(sport=1, dport=2))):
            for length in (0, 7, 100):
                frame = Ether(src=host(12), dst=host(1)) / version / transport / Raw(b"x" * length)
                yield bytes([length % 3, start // 2 | udp]), frame
                frame = Ether(src=host(1), dst=host(12)) / version / transport / Raw(b"x" * length)
                yield bytes([0x10, 0]), frame
    for where in (0, 0x7f, 0xff, 0x1e, 0x9e):
        yield bytes([1, where]), Ether(src=host(12), dst=host(1)) / IP() / UDP() / Raw(b"x" * 18)


def extended_frames():
    """What is inside, with the first word of a VXLAN-GPE header: see fuzz_gpe.cpp."""
    ip = IP(src="192.0.2.1", dst="192.0.2.2", tos=2) / UDP(sport=1, dport=2) / Raw(b"x" * 8)
    ip6 = IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=1, dport=2) / Raw(b"x" * 8)
    group = IP(src="192.0.2.1", dst="239.1.2.3") / UDP()
    frame = Ether(src=host(12), dst=host(1)) / ip
    for word, inside in (("0c000001", (ip, group, ip6)), ("0c000002", (ip6, ip)), ("0c000003", (frame,)),
                         ("0c000004", (ip,)), ("08000003", (frame,)), ("0d000003", (frame,)), ("1c000003", (frame,))):
        for data in inside:
            yield b"\0" + bytes.fromhex(word), data
    tenant = Ether(src=host(1), dst=host(2))
    syn = IP(src="192.0.2.1", dst="192.0.2.2") / TCP(flags="S", options=[("MSS", 1460)])
    for data in (ip, ip6, ip / Raw(b"p" * 4), syn, ARP(), Dot1Q(vlan=5) / ip):
        yield b"\x10\0\0\0\0", tenant / data


def watched_frames():
    """Frames behind the four bytes of their way: see fuzz_watch.cpp."""
    everybody = Ether(src=host(1), dst="ff:ff:ff:ff:ff:ff")
    asks = [everybody / ARP(hwsrc=host(1), psrc="192.0.2.1", pdst=f"192.0.2.{last}") for last in (1, 2, 12, 40, 77)]
    asks.append(everybody / ARP(op=2, hwsrc=host(1), psrc="192.0.2.1", pdst="192.0.2.1"))
    for last in ("2", "c", "d", "77"):
        group = IPv6(src="2001:db8::1", dst=f"ff02::1:ff00:{last}", hlim=255)
        asks.append(Ether(src=host(1), dst="33:33:ff:00:00:01") / group / ICMPv6ND_NS(tgt=f"2001:db8::{last}") /
                    ICMPv6NDOptSrcLLAddr(lladdr=host(1)))
    near = IPv6(src="2001:db8::1", dst="2001:db8::c", hlim=255)
    asks.append(Ether(src=host(1), dst=host(13)) / near / ICMPv6ND_NA(tgt="2001:db8::1") /
                ICMPv6NDOptDstLLAddr(lladdr=host(1)))
    for to in (host(13), host(77)):
        asks += [Ether(src=host(1), dst=to) / IP(src="192.0.2.1", dst=f"192.0.2.{last}") / UDP(dport=port)
                 for last, port in ((12, 9), (77, 9), (12, 4789))]
        asks += [Ether(src=host(1), dst=to) / near / UDP(dport=4789), Ether(src=host(1), dst=to) / Dot1Q(vlan=5) / near]
    many = Ether(src=host(1), dst="01:00:5e:09:09:09")
    asks += [many / IP(src=f"192.0.2.{last}", dst="239.9.9.9") / UDP() for last in (1, 7)]
    asks += [many / IP(src="192.0.2.1", dst="224.0.0.22", ttl=1, proto=2) / IGMPv3(type=0x22) / IGMPv3mr(
        records=[IGMPv3gr(rtype=4, maddr="239.9.9.9")]), many / IP(dst="224.0.0.1", ttl=1) / IGMP(type=0x11)]
    asks.append(Ether(src=host(1), dst="33:33:00:00:00:16") / IPv6(src="fe80::1", dst="ff02::16", hlim=1) /
                IPv6ExtHdrHopByHop(options=[RouterAlert()]) / ICMPv6MLReport2(records=[
                    ICMPv6MLDMultAddrRec(rtype=4, dst="ff05::9")]))
    asks.append(Ether(src=host(1), dst="33:33:00:00:00:09") / IPv6(dst="ff05::9") / UDP())
    for number, frame in enumerate(asks):
        yield bytes([number % 3, 0, 0, 0]), frame
        yield bytes([number % 3 | (0x20, 0x40)[number % 2], 0, 0, 0]), frame
        frame.src = host(12)
        yield bytes([number % 3 | 0x10 | (number % 4 == 0) << 5, 0xA0, 0, (2, 8, 2, 3)[number % 4]]), frame


def write(target, seeds):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if re.fullmatch("[0-9a-f]{16}", old.name):
            old.unlink()
    for seed in seeds:
        (folder / hashlib.sha1(seed).hexdigest()[:16]).write_bytes(seed)


def slices():
    """Which packet, offset and size in eights, and a byte to change: see fuzz_reassembly.cpp."""
    cuts = ((0, 10), (11, 9), (21, 255))
    for head, order in itertools.product((0, 0x11), itertools.permutations(range(3))):
        yield bytes([head]) + b"".join(bytes([which, *cuts[i], 0]) for which in range(3) for i in order)
    yield bytes([0, 0, 0, 10, 0, 0, 5, 10, 0])
    yield bytes([0x10, 0x80, 0, 10, 6, 0x84, 5, 10, 4])


def main():
    places = [host(2), host(12), host(13), host(14), host(15), host(77), "01:00:5e:00:00:05"]
    access = [raw(frame) for frame in inner_frames(host(1), places)]
    write("fuzz-access", [bytes([i % 3]) + frame for i, frame in enumerate(access)])
    trunk = [frame[:12] + bytes([0x81, 0, 0, vid]) + frame[12:] for vid in (10, 20, 11) for frame in access]
    write("fuzz-trunk", [bytes([i % 3]) + frame for i, frame in enumerate(trunk + access[:4])])
    underlay = [raw(frame) for frame in underlay_frames()]
    fragments = [raw(frame) for frame in fragment_frames()]
    write("fuzz-underlay", [bytes([i % 3 | REPAIR]) + frame for i, frame in enumerate(underlay)] +
          [bytes([i % 3 | REPAIR | i % 8 << 5]) + frame for i, frame in enumerate(fragments + underlay)])
    heard = [raw(frame) for frame in neighbour_frames()]
    write("fuzz-neighbours", [bytes([i % 4]) + frame for i, frame in enumerate(heard)])
    rows = [[(who, raw(data)) for who, data in row] for row in hook_rows()]
    write("fuzz-hooks", [b"".join(bytes([who, len(data)]) + data for who, data in row) for row in rows])
    rows = [[(head, raw(data)) for head, data in row] for row in snooped_rows()]
    write("fuzz-snooping", [b"".join(bytes([head]) + len(data).to_bytes(2, "big") + data for head, data in row)
                            for row in rows])
    write("fuzz-paths", [bytes([head]) + raw(frame) for head, frame in path_frames()])
    write("fuzz-mss", [bytes([head]) + raw(frame) for head, frame in opening_frames()])
    write("fuzz-fragments", [bytes([head]) + raw(frame) for head, frame in long_frames()])
    write("fuzz-group", [head + raw(frame) for head, frame in grouped_frames()])
    write("fuzz-remcsum", [head + raw(frame) for head, frame in open_frames()])
    write("fuzz-gpe", [head + raw(frame) for head, frame in extended_frames()])
    write("fuzz-reassembly", slices())
    write("fuzz-watch", [head + raw(frame) for head, frame in watched_frames()])
    files = sorted((HERE.parents[1] / "config/examples").glob("*.yaml"))
    files += sorted((HERE.parent / "unit/config/bad").glob("*.yaml"))
    write("fuzz-topology", [file.read_bytes() for file in files])


if __name__ == "__main__":
    main()
