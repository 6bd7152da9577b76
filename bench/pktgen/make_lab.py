#!/usr/bin/python3
"""Writes what a lab with a packet generator needs: topologies for vxplane on the devices named, and the
frames to replay. The frames are those of bench/compare, so figures can be set beside it."""
import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "compare"))
import traffic  # noqa: E402


def other_end(text):
    """The same topology for the VTEP at the far end of the wire."""
    tree = json.loads(text)
    uplink = tree["ports"]["uplink"]
    uplink["mac"], uplink["addresses"] = traffic.PEER_MAC, [f"{traffic.PEER}/24"]
    tree["neighbours"][0].update({"address": traffic.LOCAL, "lladdr": traffic.UNDERLAY_MAC})
    vxlan, = tree["vxlans"].values()
    vxlan.update({"local": traffic.PEER, "remote": traffic.LOCAL})
    return json.dumps(tree, indent=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--tenant", required=True, help="device towards the tenant: a PCI address or a vdev")
    parser.add_argument("--uplink", required=True, help="device towards the underlay")
    parser.add_argument("--far-tenant", help="with --far-uplink: devices of a second vxplane, for latency through a pair")
    parser.add_argument("--far-uplink")
    parser.add_argument("--macs", type=int, default=1000, help="different addresses, one frame each")
    parser.add_argument("--size", type=int, default=64, help="bytes of an inner frame, without FCS")
    parser.add_argument("--cpu", type=int, default=1, help="CPU of the worker")
    parser.add_argument("--far-cpu", type=int, default=2, help="CPU of the second worker")
    parser.add_argument("--hugepages", choices=["auto", "require", "off"], default="auto")
    wanted = parser.parse_args()
    wanted.directory.mkdir(parents=True, exist_ok=True)
    place = wanted.directory.resolve()

    def write(name, text):
        (place / name).write_text(text)
        print(f"wrote {place / name}")

    def topology(direction, tenant, uplink, cpu, socket):
        played, sink = (tenant, uplink) if direction == "encap" else (uplink, tenant)
        return traffic.topology(direction, wanted.macs, cpu, wanted.hugepages, played, sink, place / socket)

    for direction in ("encap", "decap"):
        traffic.write_pcap(place / f"{direction}.pcap", traffic.frames(direction, wanted.macs, wanted.size))
        print(f"wrote {place / f'{direction}.pcap'}")
        write(f"{direction}.yaml", topology(direction, wanted.tenant, wanted.uplink, wanted.cpu, "vxplane.sock"))
    if wanted.far_tenant and wanted.far_uplink:
        write("pair-a.yaml", topology("encap", wanted.tenant, wanted.uplink, wanted.cpu, "vxplane.sock"))
        write("pair-b.yaml", other_end(topology("decap", wanted.far_tenant, wanted.far_uplink, wanted.far_cpu,
                                                "vxplane-b.sock")))


main()
