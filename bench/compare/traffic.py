#!/usr/bin/python3
"""What every contender of the comparison gets: inner frames for encapsulation, tunnel packets for
decapsulation, one frame per MAC address in a random order that is always the same, and the topologies
under which vxplane forwards exactly these. As a program it writes them to files."""
import argparse
import json
import pathlib
import random
import struct

LOCAL, PEER = "10.10.10.1", "10.10.10.2"
UNDERLAY_MAC, PEER_MAC = "02:00:00:00:aa:01", "02:00:00:00:aa:02"
VNI, DSTPORT = 100, 4789
OUTER_BYTES = 50


def destination(number):
    """The address that the FDB knows."""
    return f"02:00:02:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


def order(macs):
    numbers = list(range(macs))
    random.Random(1).shuffle(numbers)
    return numbers


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def ip_bytes(text):
    return bytes(int(part) for part in text.split("."))


def checksum(header):
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def ip_udp(source, target, sport, dport, payload, flags=0):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + payload, 1, flags, 64, 17, 0, source, target)
    return (header[:10] + struct.pack("!H", checksum(header)) + header[12:]
            + struct.pack("!HHHH", sport, dport, 8 + payload, 0))


def inner(number, size):
    """`size` bytes without FCS; a flow of its own."""
    source = bytes((192, 168, number >> 8 & 255, number & 255))
    target = bytes((192, 169, number & 255, 1))
    payload = size - 42
    return (mac_bytes(destination(number)) + b"\2\0\1" + number.to_bytes(3, "big") + b"\x08\0"
            + ip_udp(source, target, 1024 + number % 50000, 5001, payload) + b"x" * payload)


def outer(frame, number):
    """Don't fragment, no UDP checksum, a source port per flow: as VTEPs send."""
    return (mac_bytes(UNDERLAY_MAC) + mac_bytes(PEER_MAC) + b"\x08\0"
            + ip_udp(ip_bytes(PEER), ip_bytes(LOCAL), 49152 + number % 16384, DSTPORT, 8 + len(frame), 0x4000)
            + struct.pack("!II", 0x08000000, VNI << 8) + frame)


def frames(direction, macs, size):
    """What is played, in order."""
    for number in order(macs):
        frame = inner(number, size)
        yield frame if direction == "encap" else outer(frame, number)


def write_pcap(path, packets):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for packet in packets:
            file.write(struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet)


def read_pcap(path):
    """The frames of a file that is perhaps still written to."""
    data = pathlib.Path(path).read_bytes()
    if len(data) < 24:
        return []
    swap = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    result, at = [], 24
    while at + 16 <= len(data):
        length = struct.unpack_from(swap + "I", data, at + 8)[0]
        if at + 16 + length > len(data):
            break
        result.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return result


def topology(direction, macs, cpu, hugepages, played, sink, socket):
    """JSON is YAML. `played` and `sink` are device strings."""
    encap = direction == "encap"
    entries = [{"mac": destination(n)} | ({"dst": PEER} if encap else {"port": "tenant"}) for n in range(macs)]
    return json.dumps({
        "version": 1,
        "system": {"workers": [cpu], "control": 0, "memory": "256M" if macs <= 10000 else "512M",
                   "hugepages": hugepages, "idle": "busy", "log": "warning", "socket": str(socket)},
        "ports": {
            "uplink": {"device": sink if encap else played, "role": "underlay", "mac": UNDERLAY_MAC,
                       "addresses": [f"{LOCAL}/24"]},
            "tenant": {"device": played if encap else sink, "role": "access", "learning": False}},
        "neighbours": [{"address": PEER, "lladdr": PEER_MAC, "dev": "uplink"}],
        "vxlans": {"compare": {"id": VNI, "local": LOCAL, "remote": PEER, "dstport": DSTPORT, "learning": False,
                               "ports": ["tenant"], "fdb": entries}}}, indent=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--macs", type=int, default=256, help="different addresses, one frame each")
    parser.add_argument("--size", type=int, default=64, help="bytes of an inner frame, without FCS")
    parser.add_argument("--cpu", type=int, default=1, help="CPU of vxplane's worker")
    parser.add_argument("--hugepages", choices=["auto", "require", "off"], default="auto")
    wanted = parser.parse_args()
    for direction in ("encap", "decap"):
        pcap = wanted.directory / f"{direction}.pcap"
        write_pcap(pcap, frames(direction, wanted.macs, wanted.size))
        text = topology(direction, wanted.macs, wanted.cpu, wanted.hugepages,
                        f"net_pcap0,rx_pcap={pcap},infinite_rx=1", "net_null0,no-rx=1",
                        wanted.directory / "vxplane.sock")
        (wanted.directory / f"{direction}.yaml").write_text(text)


if __name__ == "__main__":
    main()
