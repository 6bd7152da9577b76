"""Bytes: net_pcap in, net_pcap out. The frames that go in are written by scapy, those that must come
out too; the two fields that are free to vary (outer source port, outer IPv4 ID with the checksum that
follows from it) are masked by name and judged on their own."""
import pytest

from frames import ARP, BROADCAST, ICMP, IP, TCP, UDP, Dot1Q, Ether, IPv6, outer
from lab import wait_until
from scapy.utils import PcapReader, wrpcap
from scene import VTEP

PEER, PEER_MAC = "192.0.2.11", "02:00:00:00:bb:01"
TENANT_MAC, REMOTE_MAC = "02:00:00:00:0a:01", "02:00:00:00:0b:01"


def inner_frames(src=TENANT_MAC, dst=REMOTE_MAC):
    """A little of everything that a tenant sends, from the smallest to the largest."""
    head = Ether(src=src, dst=dst)
    frames = [head / IP(src="10.0.0.1", dst="10.0.0.2", id=number) / UDP(sport=1000 + number, dport=53) /
              (b"x" * size) for number, size in enumerate((18, 100, 512, 1000, 1422))]
    frames += [
        head / IP(src="10.0.0.1", dst="10.0.0.2", id=77, flags="DF") / TCP(sport=2000, dport=80, flags="S"),
        head / IP(src="10.0.0.1", dst="10.0.0.2", id=78) / ICMP() / (b"ping" * 10),
        head / IPv6(src="fd00::1", dst="fd00::2") / UDP(sport=3000, dport=53) / (b"y" * 40),
        head / IPv6(src="fd00::1", dst="fd00::2") / TCP(sport=3001, dport=80) / (b"z" * 300),
        Ether(src=src, dst=BROADCAST) / ARP(hwsrc=src, psrc="10.0.0.1", pdst="10.0.0.2") / (b"\0" * 18),
        Ether(src=src, dst=dst, type=0x88B5) / (b"local experiment" * 4),
    ]
    return [bytes(frame) for frame in frames]


class PcapBench:
    """A daemon between two pcap files per side."""

    def __init__(self, lab, *, underlay_in=(), access_in=(), **segment):
        self.directory = lab.directory
        host = lab.namespace("host")
        topology = {
            "ports": {"uplink0": self.port(0, "underlay", underlay_in) | {"addresses": [f"{VTEP}/24"]},
                      "acc0": self.port(1, "access", access_in)},
            "neighbours": [{"address": PEER, "lladdr": PEER_MAC, "dev": "uplink0"}],
            "vxlans": {"vx100": {"id": 100, "local": VTEP, "remote": PEER, "ports": ["acc0"]} | segment},
        }
        self.daemon = lab.daemon(topology, host).start()
        self.mac = self.daemon.port("uplink0")["mac"]

    def port(self, number, role, frames):
        source, sink = self.directory / f"{role}-in.pcap", self.directory / f"{role}-out.pcap"
        wrpcap(str(source), list(frames), linktype=1)
        return {"device": f"net_pcap{number},rx_pcap={source},tx_pcap={sink}", "role": role}

    def sent(self, role, count):
        """The `count` frames that left by a port (its own ARP aside), once they are all there."""
        file = self.directory / f"{role}-out.pcap"

        def read():
            try:
                with PcapReader(str(file)) as reader:
                    frames = [bytes(packet) for packet in reader]
            except (OSError, EOFError):
                return None
            return [frame for frame in frames if role == "access" or frame[12:14] != b"\x08\x06"]
        wait_until(lambda: len(read() or []) >= count, 5, f"{count} frames leave by {role}")
        return read()


def masked(frame):
    """The frame with the fields that may vary as zero: outer IPv4 ID and checksum, UDP source port."""
    frame = bytearray(frame)
    frame[18:20] = frame[24:26] = frame[34:36] = b"\0\0"
    return bytes(frame)


def outer_words(options, inner):
    """TTL, TOS and DF of the outer header for a frame that does not speak of congestion."""
    ttl, tos, df = options.get("ttl", 64), options.get("tos", 0), options.get("df", "unset")
    ip = inner.getlayer(IP) or inner.getlayer(IPv6)
    v4 = IP in inner
    if ttl == "inherit":
        ttl = (ip.ttl if v4 else ip.hlim) if ip else 64
    if tos == "inherit":
        tos = (ip.tos if v4 else ip.tc) if ip else 0
    if df == "inherit":
        df = "set" if ip and (not v4 or ip.flags.DF) else "unset"
    return {"ttl": ttl, "tos": tos, "flags": "DF" if df == "set" else 0}


@pytest.mark.parametrize("options", [{}, {"dstport": 8472}, {"ttl": 9}, {"tos": 0x28}, {"df": "set"},
                                     {"srcport": [50000, 50100]}, {"udpcsum": True}, {"ttl": "inherit"},
                                     {"tos": "inherit"}, {"df": "inherit", "udpcsum": True}],
                         ids=lambda options: next(iter(options), "plain"))
def test_VX01_VX02_VX03_VX04_VX05_VX09_VX10_VX12_encapsulated_bytes(lab, options):
    frames = inner_frames() + [
        bytes(Ether(src=TENANT_MAC, dst=REMOTE_MAC) / IP(src="10.0.0.1", dst="10.0.0.2", ttl=7, tos=0xB8) / ICMP()),
        bytes(Ether(src=TENANT_MAC, dst=REMOTE_MAC) / IPv6(src="fd00::1", dst="fd00::2", hlim=5, tc=0x28) / UDP())]
    bench = PcapBench(lab, access_in=frames, **options)
    sent = bench.sent("underlay", len(frames))
    assert len(sent) == len(frames)
    for inner, got in zip(frames, sent):
        assert got[50:] == inner, "the inner frame is not untouched"
        header = IP(got[14:34])
        wanted = IP(src=VTEP, dst=PEER, proto=17, len=len(inner) + 36, id=header.id, **outer_words(options, Ether(inner)))
        assert got[:14] == bytes(Ether(dst=PEER_MAC, src=bench.mac, type=0x0800))
        assert got[14:34] == bytes(wanted), f"{header!r}"
        source, destination, length, checksum = (int.from_bytes(got[at:at + 2], "big") for at in (34, 36, 38, 40))
        low, high = options.get("srcport", (32768, 60999))
        assert low <= source < high
        assert destination == options.get("dstport", 4789)
        assert length == len(inner) + 16
        assert got[42:50] == b"\x08\0\0\0" + (100).to_bytes(3, "big") + b"\0"
        if options.get("udpcsum"):
            packet = IP(got[14:])
            packet[UDP].chksum = None
            assert checksum == IP(bytes(packet))[UDP].chksum
        else:
            assert checksum == 0


def test_VX06_flow_keeps_its_source_port_and_flows_differ(lab):
    flow = [bytes(Ether(src=TENANT_MAC, dst=REMOTE_MAC) / IP(src="10.0.0.1", dst="10.0.0.2", id=number) /
                  UDP(sport=1000 + number % 50, dport=53) / (b"x" * (number % 7))) for number in range(500)]
    bench = PcapBench(lab, access_in=flow)
    ports = {}
    for number, frame in enumerate(bench.sent("underlay", len(flow))):
        ports.setdefault(number % 50, set()).add(frame[34:36])
    assert all(len(seen) == 1 for seen in ports.values()), "a flow has several source ports"
    assert len(set.union(*ports.values())) > 40, "flows share source ports"


def test_VX15_ip_id_changes_while_df_is_off(lab):
    frames = inner_frames()
    bench = PcapBench(lab, access_in=frames)
    ids = [frame[18:20] for frame in bench.sent("underlay", len(frames))]
    assert len(set(ids)) == len(ids)


def decap_bench(lab, frames, **segment):
    """The uplink's MAC is not known before the daemon runs, so it is set by the file."""
    mac = "02:00:00:00:aa:01"

    class Bench(PcapBench):
        def port(self, number, role, given):
            return super().port(number, role, given) | ({"mac": mac} if role == "underlay" else {})
    return Bench(lab, underlay_in=[make(mac) if callable(make) else make for make in frames], **segment)


def wrapped(inner, vni=100, **words):
    words = {"src_mac": PEER_MAC, "src": PEER, "dst": VTEP} | words
    return lambda mac: outer(inner, vni, dst_mac=mac, **words)


def test_VX31_decapsulated_bytes(lab):
    frames = inner_frames(REMOTE_MAC, TENANT_MAC)
    bench = decap_bench(lab, [wrapped(inner) for inner in frames])
    assert bench.sent("access", len(frames)) == frames
    assert bench.daemon.drops() == {}


BAD = {
    "VX32 no I flag": (wrapped(inner_frames()[0], flags=0), "vxlan_no_vni_flag"),
    "VX33 reserved bit": (wrapped(inner_frames()[0], flags=0x0C), "vxlan_reserved_bits"),
    "VX34 unknown VNI": (wrapped(inner_frames()[0], vni=101), "vxlan_unknown_vni"),
    "VX35 too short": (lambda mac: bytes(Ether(src=PEER_MAC, dst=mac) / IP(src=PEER, dst=VTEP) /
                                         UDP(sport=4000, dport=4789, chksum=0) / (b"\x08\0\0\0\0\0\x64\0" + b"x" * 13)),
                       "vxlan_too_short"),
    "VX36 own MAC": (wrapped(inner_frames("02:00:00:00:cc:01", TENANT_MAC)[0]), "vxlan_own_mac"),
    "VX39 fragment": (lambda mac: bytes(Ether(src=PEER_MAC, dst=mac) / IP(src=PEER, dst=VTEP, flags="MF", proto=17) /
                                        (b"\x9c\x40\x12\xb5" + b"\0" * 60)), "outer_fragment"),
    "VX44 own VTEP": (wrapped(inner_frames()[0], src=VTEP), "outer_own_vtep"),
    "VX45 VLAN inside": (wrapped(Ether(src=REMOTE_MAC, dst=TENANT_MAC) / Dot1Q(vlan=7) / IP() / UDP()),
                         "vxlan_inner_vlan"),
    "RP08 bad checksum": (lambda mac: (lambda frame: frame[:24] + b"\x12\x34" + frame[26:])(
        wrapped(inner_frames()[0])(mac)), "ip4_bad_checksum"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_outer_frames_are_dropped_each_with_its_reason(lab, kind):
    bad, reason = BAD[kind]
    good = inner_frames(REMOTE_MAC, TENANT_MAC)[:1]
    bench = decap_bench(lab, [bad, wrapped(good[0])], mac="02:00:00:00:cc:01")
    assert bench.sent("access", 1) == good, "only the good frame passes"
    assert bench.daemon.drops() == {reason: 1}
