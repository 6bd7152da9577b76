"""A daemon under a flood, and what can be seen of it from outside. The test of overload and the
measurement in bench/compare/overload.sh share this."""
import json
import pathlib
import sys
import threading
import time

from frames import tagged
from lab import wait_until
from scene import vtep_pair

FLOOD = pathlib.Path(__file__).with_name("flood.py")


class Overload:
    """One tenant on a tap floods towards a known address behind a VTEP on a tap."""

    def __init__(self, lab, **system):
        self.scene = vtep_pair(lab, start=False, learning=False)
        self.scene.start(**system)
        self.lab, self.daemon = lab, self.scene.daemon
        self.tenant, self.peer = self.scene.members["acc0"][0], self.scene.peers[0]
        self.daemon.ctl("fdb", "add", self.peer.mac(), "dev", "vx100", "dst", self.peer.underlay)
        # The kernel VTEP need not be able to follow: its cable ends the frames' way.
        self.peer.namespace.ip("link set vx0 down")
        self.frame = tagged(self.tenant.mac("acc0"), self.peer.mac(), size=64)

    def kernel_drops(self, namespace, ifname):
        """Frames that the kernel gave up because the tap's queue was full."""
        link = json.loads(namespace.ip(f"-j -s link show {ifname}"))[0]
        return link["stats64"]["tx"]["dropped"]

    def counters(self):
        access, uplink = self.daemon.port("acc0"), self.daemon.port("uplink0")
        return {"received": access["rx"]["packets"], "sent": uplink["tx"]["packets"],
                "tx_full": uplink["tx"]["full"], "kernel": self.kernel_drops(self.tenant, "acc0"),
                "dropped": sum(self.daemon.drops().values())}

    def run(self, rate, seconds=1.0):
        """Floods; returns the moves of all counters, rates, and how long control took to answer."""
        before = self.counters()
        process = self.lab.spawn(
            self.tenant, f"{sys.executable} {FLOOD} acc0 {rate} {seconds} {self.frame.hex()}")
        answers, over = [], threading.Event()

        def ask():
            while not over.is_set():
                began = time.monotonic()
                self.daemon.rpc("workers")
                answers.append(time.monotonic() - began)
                time.sleep(0.01)
        asker = threading.Thread(target=ask)
        asker.start()
        text = process.communicate(timeout=seconds + 30)[0]
        over.set()
        asker.join()
        flood = json.loads(text)
        last = [None]

        def still():
            now = self.counters()
            same, last[0] = now == last[0], now
            return same
        wait_until(still, 10, "all frames have been taken", every=0.1)
        moved = {key: last[0][key] - before[key] for key in before}
        answers.sort()
        return moved | {"flood": flood, "offered_rate": (flood["sent"] + flood["refused"]) / flood["seconds"],
                        "goodput": moved["sent"] / flood["seconds"], "answers": len(answers),
                        "answer_p50": answers[len(answers) // 2],
                        "answer_p99": answers[min(len(answers) - 1, len(answers) * 99 // 100)]}
