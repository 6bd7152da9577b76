#!/usr/bin/python3
"""Measures the contenders side by side; run.sh installs, builds and then calls this. For each direction and
number of addresses all contenders are started and paused; then they take turns: one runs, is measured
for a moment and is paused again, so that a slow moment of the machine falls on all alike."""
import argparse
import datetime
import json
import logging
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import contenders
import traffic
from contenders import Failed

SETTLE = 0.3  # seconds after a pause: caches and mempools are filled again
CHECKED = 256  # addresses in the check of what comes out
OURS = "vxplane"
PEERS = ("ovs-emc", "ovs-megaflow", "testpmd", "kernel")


def parse():
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__)
    parser.add_argument("-b", "--build", type=pathlib.Path, default="build", help="Meson build directory")
    parser.add_argument("-c", "--contenders", default=",".join(contenders.ALL), help="of %(default)s")
    parser.add_argument("-d", "--direction", choices=["encap", "decap", "both"], default="both")
    parser.add_argument("-m", "--macs", default="1,1k,100k", help="addresses, one frame each (%(default)s)")
    parser.add_argument("-s", "--size", type=int, default=64, help="bytes of an inner frame without FCS (64)")
    parser.add_argument("-r", "--rounds", type=int, default=7, help="samples of each (7)")
    parser.add_argument("-t", "--seconds", type=float, default=1.0, help="length of a sample (1)")
    parser.add_argument("--cpu", type=int, default=1, help="CPU of the packet loop (1); CPU 0 does the rest")
    parser.add_argument("--quick", action="store_true", help="1,000 addresses, 3 samples of 0.4 s")
    parser.add_argument("-o", "--output", type=pathlib.Path, help="JSON; cells of an earlier run of this file stay")
    parser.add_argument("--no-hugepages", action="store_true", help="ordinary pages for all")
    options = parser.parse_args()
    if options.quick:
        options.macs, options.rounds, options.seconds = "1k", 3, 0.4
    options.macs = [number(text) for text in options.macs.split(",")]
    options.contenders = options.contenders.split(",")
    for name in options.contenders:
        if name not in contenders.ALL:
            parser.error(f"no contender {name}: there are {', '.join(contenders.ALL)}")
    if not 64 <= options.size <= 1450 or options.rounds < 1 or options.seconds <= 0:
        parser.error("size is 64 to 1450, rounds and seconds are above 0")
    if not all(1 <= macs <= 120000 for macs in options.macs):
        parser.error("addresses: 1 to 120000, as each has a frame that net_pcap keeps in a buffer")
    if options.cpu == 0 or options.cpu not in os.sched_getaffinity(0):
        parser.error(f"CPU {options.cpu} is not there, or is CPU 0, which does the rest")
    options.directions = ["encap", "decap"] if options.direction == "both" else [options.direction]
    options.build = options.build.absolute()
    return options


def number(text):
    return int(text[:-1]) * 1000 if text.endswith("k") else int(text)


def short(macs):
    return f"{macs // 1000}k" if macs % 1000 == 0 else str(macs)


class Hugepages:
    """Enough free pages of 2 MB for a time; the former number afterwards."""
    path = pathlib.Path("/proc/sys/vm/nr_hugepages")

    def __init__(self, megabytes):
        self.added, self.enough = 0, False
        wanted = megabytes // 2
        missing = wanted - self.free()
        if missing > 0:
            before = int(self.path.read_text())
            try:
                self.path.write_text(str(before + missing))
            except OSError:
                return
            self.added = max(0, int(self.path.read_text()) - before)
        self.enough = self.free() >= wanted

    @staticmethod
    def free():
        for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("HugePages_Free"):
                return int(line.split()[1])
        return 0

    def restore(self):
        if self.added:
            self.path.write_text(str(max(0, int(self.path.read_text()) - self.added)))


def pcap_of(options, directory, direction, macs, again=1):
    path = directory / f"{direction}-{macs}-{again}.pcap"
    if not path.exists():
        traffic.write_pcap(path, list(traffic.frames(direction, macs, options.size)) * again)
    return path


def wrong_with(direction, size, got):
    """Nothing, or what is wrong with the frames that came out: judged by scapy, which wrote none of them."""
    logging.getLogger("scapy").setLevel(logging.ERROR)  # it misses addresses on lo
    from scapy.all import IP, UDP, Ether
    from scapy.layers.vxlan import VXLAN

    expected = set(traffic.frames("encap", CHECKED, size))
    if direction == "encap":
        inner, ports = [], set()
        for frame in got:
            packet = Ether(frame)
            if packet.type == 0x0806:
                continue  # a VTEP asks and tells who it is
            if VXLAN not in packet:
                return f"a frame without VXLAN: {packet.summary()}"
            outer, again = packet[IP], packet[IP].copy()
            del again.chksum
            header = (packet.src, packet.dst, outer.src, outer.dst, packet[UDP].dport, packet[VXLAN].vni)
            if header != (traffic.UNDERLAY_MAC, traffic.PEER_MAC, traffic.LOCAL, traffic.PEER, traffic.DSTPORT, traffic.VNI):
                return f"a wrong outer header: {header}"
            if (int(packet[VXLAN].flags) != 8 or IP(bytes(again)).chksum != outer.chksum
                    or outer.len + 14 != len(frame) or packet[UDP].len + 34 != len(frame)):
                return "a wrong checksum, length or flag"
            ports.add(packet[UDP].sport)
            inner.append(frame[traffic.OUTER_BYTES:])
        if len(ports) < CHECKED // 2:
            return f"only {len(ports)} source ports for {CHECKED} flows"
        got = set(inner)
    if not got <= expected:
        return "a frame that was never sent"
    return None if got == expected else f"only {len(got)} of {CHECKED} frames"


def check(options, directory, direction, kind):
    """Plays frames once and looks at each that comes out."""
    capture = directory / f"check-{direction}-{kind.name}.pcap"
    setting = contenders.Setting(options, directory / f"check-{direction}", direction, CHECKED,
                                 pcap_of(options, directory, direction, CHECKED, kind.replays), capture)
    contender = kind(setting)
    try:
        contender.start()
        end = time.monotonic() + 10
        complaint = "nothing came out"
        while complaint and time.monotonic() < end:
            time.sleep(0.3)
            got = set(traffic.read_pcap(capture)) if capture.exists() else set()
            if kind is contenders.Testpmd:  # forwards what it gets as it is
                sent = set(traffic.frames(direction, CHECKED, options.size))
                complaint = None if got == sent else "not what was played"
            else:
                complaint = wrong_with(direction, options.size, got) if got else "nothing came out"
    finally:
        contender.stop()
    if complaint:
        raise Failed(f"{kind.name}, {direction}: {complaint}\n{contender.last_words()}")


def sample(contender, seconds):
    """Packets per second that left. Per second of CPU time of the packet loop, because others may want its CPU."""
    contender.resume()
    time.sleep(SETTLE)

    before = *contender.counts(), contender.cpu_times()
    time.sleep(seconds)
    after = *contender.counts(), contender.cpu_times()
    contender.pause()
    received, sent, passed = (after[i] - before[i] for i in range(3))
    if sent == 0:
        raise Failed(f"{contender.name} sent nothing:\n{contender.last_words()}")
    used = passed
    if after[3] is not None:
        used = max(after[3][thread] - before[3].get(thread, 0) for thread in after[3])
    return {"received": received, "sent": sent, "seconds": passed, "cpu_seconds": used, "rate": sent / used, "wall_rate": sent / passed}


def measure(options, directory, direction, macs):
    names = options.contenders
    cell = {"direction": direction, "macs": macs, "size": options.size, "rounds": options.rounds,
            "seconds": options.seconds, "contenders": {name: {"samples": []} for name in names}}
    place = directory / f"{direction}-{macs}"
    running = []
    try:
        for name in names:
            setting = contenders.Setting(options, place, direction, macs, pcap_of(options, directory, direction, macs))
            contender = contenders.ALL[name](setting)
            running.append(contender)
            contender.start()
            contender.wait_until_warm()
            contender.pause()
        for _ in range(options.rounds):
            for contender in running:
                cell["contenders"][contender.name]["samples"].append(sample(contender, options.seconds))
        for contender in running:
            contender.resume()
            mine = cell["contenders"][contender.name]
            mine["notes"], mine["commands"] = contender.notes(), clean(contender.setting.commands, directory)
            lost = 1 - sum(one["sent"] for one in mine["samples"]) / sum(one["received"] for one in mine["samples"])
            if lost > 0.02:  # the two are not read at one moment
                raise Failed(f"{contender.name} lost {lost:.1%} of the packets")
            rates = [one["rate"] for one in mine["samples"]]
            mine |= {"median": statistics.median(rates), "least": min(rates), "most": max(rates)}
            contender.pause()
    finally:
        for contender in reversed(running):
            contender.stop()
    return cell


def clean(commands, directory):
    """The commands of one contender, each kind of question once, without the names of temporary files."""
    return list(dict.fromkeys(text.replace(str(directory), "DIR") for text in commands))


def machine(options):
    def first(*words):
        try:
            return subprocess.run(words, capture_output=True, text=True).stdout.strip().splitlines()[0]
        except (OSError, IndexError):
            return ""

    cpu = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        cpu.setdefault(key.strip(), value.strip())
    version = ["dpkg-query", "-W", "-f", "${Version}\n"]
    return {"cpu": cpu.get("model name", ""), "cpus": os.cpu_count(), "mhz": cpu.get("cpu MHz", ""),
            "memory_kb": int(pathlib.Path("/proc/meminfo").read_text().split()[1]), "kernel": platform.release(),
            "hugepages": options.hugepages, "dpdk": first(*version, "dpdk"),
            "openvswitch": first(*version, "openvswitch-switch-dpdk"),
            "vxplane": first(options.build / "control/vxplane", "--version"),
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}


def ratio(cell, peer):
    """Of the medians; None when one of the two was not measured."""
    both = [cell["contenders"].get(name, {}).get("median") for name in (OURS, peer)]
    return both[0] / both[1] if all(both) else None


def report(cell):
    for name, mine in cell["contenders"].items():
        spread = (mine["most"] - mine["least"]) / mine["median"]
        share = statistics.mean(one["cpu_seconds"] / one["seconds"] for one in mine["samples"])
        against = ratio(cell, name) if name != OURS else None
        print(f"{cell['direction']} {short(cell['macs']):>5}  {contenders.ALL[name].title:<21} {mine['median'] / 1e6:7.2f} Mpps"
              f"  {mine['least'] / 1e6:6.2f} .. {mine['most'] / 1e6:6.2f}  spread {spread:4.0%}  CPU {share:4.0%}"
              + (f"  vxplane x {against:.2f}" if against else ""), flush=True)


def keep(options, cells):
    """Cells of an earlier run stay unless this one measured them anew."""
    earlier = []
    if options.output.exists():
        new = {(cell["direction"], cell["macs"]) for cell in cells}
        earlier = [cell for cell in json.loads(options.output.read_text())["cells"]
                   if (cell["direction"], cell["macs"]) not in new]
    cells = sorted(earlier + cells, key=lambda cell: (cell["direction"] == "decap", cell["macs"]))
    for cell in cells:
        cell["ratios"] = {peer: ratio(cell, peer) for peer in PEERS if ratio(cell, peer)}
    document = {"machine": machine(options), "command": " ".join(["run.sh", *sys.argv[1:]]), "cells": cells}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(document, indent=1) + "\n")


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended
    directory = pathlib.Path(tempfile.mkdtemp(prefix="vxcompare."))
    # All run at once, though one at a time: 512 MB each with 100,000 frames, 256 MB otherwise.
    each = 512 if max(options.macs) > 10000 else 256
    pages = Hugepages(0 if options.no_hugepages else (each + 32) * len(options.contenders))
    options.hugepages = pages.enough and not options.no_hugepages
    begin, cells = time.monotonic(), []
    print(f"inner frames of {options.size} bytes, one per address; {options.rounds} samples of {options.seconds} s; "
          f"hugepages: {'yes' if options.hugepages else 'no'}; packet loop on CPU {options.cpu}", flush=True)
    try:
        for direction in options.directions:
            for name in options.contenders:
                check(options, directory, direction, contenders.ALL[name])
            print(f"{direction}: all {CHECKED} frames of each contender are right", flush=True)
            for macs in options.macs:
                cells.append(measure(options, directory, direction, macs))
                report(cells[-1])
                if options.output:
                    keep(options, cells[:])
    except Failed as problem:
        sys.exit(f"run.sh: {problem}")
    finally:
        pages.restore()
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
