#!/usr/bin/env python3
"""Starts a daemon with topologies of growing size: time until it runs, and memory per entry.

    bench/scale_start.py build/control/vxplane --rounds 5

The time is from exec() to the line that says it is running. Memory is what the process holds then
(PSS; DPDK's own included, which the empty topology shows), as a difference to the topology without
that kind of entry, divided by their number. Tables of fixed size are given the room that each needs.
"""
import argparse
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
SIZES = {  # segments, entries, remotes, next hops
    "small": (1, 0, 1, 1),
    "10,000 segments": (10_000, 0, 1, 1),
    "100,000 FDB entries": (1, 100_000, 1, 1),
    "1,000,000 FDB entries": (1, 1_000_000, 1, 1),
    "4,096 remotes of one list": (1, 0, 4_096, 1_000),
    "1,000 next hops": (1, 0, 1, 1_000),
    "all of them": (10_000, 1_000_000, 4_096, 1_000),
}


def pss(pid):
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def start(daemon, topology, folder):
    log = folder / "log"
    with open(log, "w") as out:
        began = time.monotonic()
        process = subprocess.Popen([daemon, topology], stdout=out, stderr=subprocess.STDOUT)
    try:
        while " running: " not in log.read_text():
            if process.poll() is not None:
                sys.exit(f"{topology}: ended with {process.returncode}\n{log.read_text()}")
            time.sleep(0.005)
        took = time.monotonic() - began
        return took, pss(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("daemon")
    words.add_argument("--rounds", type=int, default=5)
    asked = words.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        files = {}
        for size, (segments, entries, remotes, hops) in SIZES.items():
            files[size] = folder / f"{len(files)}.yaml"
            with open(files[size], "w") as out:
                subprocess.run([sys.executable, HERE / "scale_topology.py", "--segments", str(segments), "--fdb",
                                str(entries), "--remotes", str(remotes), "--next-hops", str(hops), "--socket",
                                folder / "socket"], stdout=out, check=True)
        times = {size: [] for size in SIZES}
        memory = {size: [] for size in SIZES}
        for _ in range(asked.rounds):
            for size, topology in files.items():
                took, held = start(asked.daemon, topology, folder)
                times[size].append(took)
                memory[size].append(held)
        print(f"{'topology':<28} {'start-up, s':>22} {'memory, MB':>11} {'bytes an entry':>15}")
        base = statistics.median(memory["small"])
        for size, (segments, entries, remotes, hops) in SIZES.items():
            held = statistics.median(memory[size])
            number = max(segments - 1, entries, remotes - 1, hops - 1)
            more = ""
            if size not in ("small", "all of them"):
                without = statistics.median(memory["1,000 next hops"]) if remotes > 1 else base
                number = remotes - 1 if remotes > 1 else number
                more = f"{(held - without) / number:.0f}"
            spread = f"{min(times[size]):.2f} {statistics.median(times[size]):.2f} {max(times[size]):.2f}"
            print(f"{size:<28} {spread:>22} {held / 1e6:>11.0f} {more:>15}")
    print("start-up: least, median and greatest of the rounds")


if __name__ == "__main__":
    main()
