"""iperf3 over one TCP connection between two namespaces, through each contender in turn: vxplane
between two taps with `gro` off and on, the peer being the kernel's vxlan; and the kernel's vxlan at both
ends of a veth that carries what a wire carries, and of one that carries large packets whole. Contender
N has the underlay 198.18.N.0/24 and the inner network 10.0.N.0/24; daemons that are not in turn are
stopped by signal. Prints medians in Mbit/s, and what was merged and cut."""
import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/system"))

from lab import Lab, wait_until  # noqa: E402

DIRECTIONS = {"tenant to peer": "", "peer to tenant": "-R"}


class Contender:
    def __init__(self, bed, number, name):
        self.name, self.number, self.daemon = name, number, None
        self.lab, self.tenant, self.peer = bed
        self.rates = {direction: [] for direction in DIRECTIONS}
        self.large = {direction: [0, 0] for direction in DIRECTIONS}

    def vxlan(self, namespace, here, there):
        number = self.number
        namespace.up(f"und{number}", f"198.18.{number}.{here}/24")
        namespace.ip(f"link add vx{number} type vxlan id {number} dstport 4789 local 198.18.{number}.{here} "
                     f"remote 198.18.{number}.{there}")
        namespace.up(f"vx{number}", f"10.0.{number}.{here}/24", mtu=1450)

    def ready(self, fifo=False):
        for thread in os.listdir(f"/proc/{self.daemon.process.pid}/task") if fifo else []:
            os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(1))
        wait_until(lambda: self.tenant.ping(f"10.0.{self.number}.2", count=1), 10, f"{self.name} carries a ping")
        self.lab.spawn(self.peer, f"iperf3 -s -B 10.0.{self.number}.2", stdout=subprocess.DEVNULL)
        time.sleep(0.2)
        self.pause(True)

    def pause(self, stop):
        if self.daemon:
            os.kill(self.daemon.process.pid, signal.SIGSTOP if stop else signal.SIGCONT)

    def counters(self):
        if not self.daemon:
            return 0, 0
        rows = [port["large"] for port in self.daemon.rpc("ports")]
        return sum(row["merged"] for row in rows), sum(row["cut_frames"] for row in rows)

    def run(self, direction, seconds):
        self.pause(False)
        before = self.counters()
        text = self.tenant.run(f"iperf3 -c 10.0.{self.number}.2 -t {seconds} -J {DIRECTIONS[direction]}")
        for index, (now, then) in enumerate(zip(self.counters(), before)):
            self.large[direction][index] += now - then
        self.pause(True)
        self.rates[direction].append(json.loads(text)["end"]["sum_received"]["bits_per_second"] / 1e6)


class Taps(Contender):
    def __init__(self, bed, number, gro, host, fifo):
        super().__init__(bed, number, f"vxplane, gro {gro}")
        self.daemon = self.lab.daemon({
            "ports": {
                "uplink0": {"device": f"net_tap0,iface=und{number}", "role": "underlay", "gro": gro,
                            "addresses": [f"198.18.{number}.1/24"]},
                "acc0": {"device": f"net_tap1,iface=acc{number}", "role": "access", "gro": gro},
            },
            "vxlans": {"vx0": {"id": number, "local": f"198.18.{number}.1", "remote": f"198.18.{number}.2",
                               "ports": ["acc0"]}},
        }, host).start()
        self.lab.undo.append(lambda: self.pause(False))
        host.ip(f"link set und{number} netns {self.peer.name}")
        host.ip(f"link set acc{number} netns {self.tenant.name}")
        self.tenant.up(f"acc{number}", f"10.0.{number}.1/24", mtu=1450)
        self.vxlan(self.peer, 2, 1)
        self.ready(fifo)


class Kernel(Contender):
    def __init__(self, bed, number, offloads):
        super().__init__(bed, number, "kernel, large packets" if offloads else "kernel")
        und = f"und{number}"
        self.lab.veth(self.tenant, und, self.peer, und)
        if offloads:
            for namespace in (self.tenant, self.peer):
                namespace.run(f"ethtool -K {und} tx on rx on tso on gso on gro on", check=False)
        self.vxlan(self.tenant, 1, 2)
        self.vxlan(self.peer, 2, 1)
        self.ready()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each run of iperf3")
    parser.add_argument("--fifo", action="store_true", help="SCHED_FIFO for the daemons, where compilers or the like "
                        "run: the kernel's vxlan, in soft interrupts, waits for no process either")
    options = parser.parse_args()
    lab = Lab("tcp_tap")
    try:
        host = lab.namespace("host")
        bed = lab, lab.namespace("tenant"), lab.namespace("peer")
        contenders = [Taps(bed, 1, "off", host, options.fifo), Taps(bed, 2, "on", host, options.fifo),
                      Kernel(bed, 3, False), Kernel(bed, 4, True)]
        load = os.getloadavg()[0]
        for number in range(options.rounds):
            turn = number % len(contenders)
            for direction in DIRECTIONS:
                for contender in contenders[turn:] + contenders[:turn]:
                    contender.run(direction, options.seconds)
        for contender in contenders:
            contender.pause(False)
        drops = {contender.name: contender.daemon.drops() for contender in contenders if contender.daemon}
    finally:
        lab.close()
    print(f"{options.rounds} rounds of {options.seconds} s, {os.cpu_count()} CPUs, load {load:.1f} before")
    print(f"{'':24}" + "".join(f"{direction:>28}" for direction in DIRECTIONS) + "   Mbit/s, median (least to most)")
    for contender in contenders:
        cells = []
        for direction in DIRECTIONS:
            rates = contender.rates[direction]
            cells.append(f"{statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f})")
        print(f"{contender.name:24}" + "".join(f"{cell:>28}" for cell in cells))
    for contender in contenders[:2]:
        for direction, (merged, cut) in contender.large.items():
            print(f"{contender.name}, {direction}: {merged} frames merged, {cut} frames cut")
        print(f"{contender.name}: drops {drops[contender.name]}")


if __name__ == "__main__":
    main()
