"""How long the first frame after a silence takes through the real daemon, by idle policy, and what
the daemon takes of a CPU while nothing comes. One tenant and one underlay, both on taps; the clock
runs from before the frame is given to the kernel until it is seen, encapsulated, at the other tap."""
import argparse
import pathlib
import random
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/system"))

from frames import tagged  # noqa: E402
from lab import Lab, inner_frame  # noqa: E402
from scene import vtep_pair  # noqa: E402
from test_idle import cpu_share  # noqa: E402


def one_way(source, sink, frame):
    """Seconds until the frame has arrived; none if it never does."""
    began = time.perf_counter()
    source.raw.send(frame)
    while (passed := time.perf_counter() - began) < 0.5:
        try:
            if inner_frame(sink.raw.recv(2048)) == frame:
                return time.perf_counter() - began
        except BlockingIOError:
            pass
    return None


def measure(policy, gaps, frames, seconds):
    lab = Lab("wakeup")
    try:
        scene = vtep_pair(lab, start=False, learning=False)
        daemon = scene.start(idle=policy)
        tenant, peer = scene.members["acc0"][0], scene.peers[0]
        daemon.ctl("fdb", "add", peer.mac(), "dev", "vx100", "dst", peer.underlay)
        peer.namespace.ip("link set vx0 down")
        frame = tagged(tenant.mac("acc0"), peer.mac(), size=64)
        source, sink = lab.wire(tenant, "acc0"), lab.wire(scene.fabric, "und0")
        sink.raw.setblocking(False)
        row = {}
        for gap in gaps:
            times = []
            for _ in range(frames):
                time.sleep(gap * random.uniform(0.75, 1.25))
                times.append(one_way(source, sink, frame))
            lost = times.count(None)
            times = sorted(t for t in times if t is not None)
            row[gap] = (times[len(times) // 2] * 1e6, times[len(times) * 99 // 100] * 1e6, lost)
        time.sleep(0.3)
        return row, cpu_share(daemon, seconds)
    finally:
        lab.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gaps", type=float, nargs="+", default=[0.1, 1, 10, 100], help="milliseconds of silence")
    parser.add_argument("--frames", type=int, default=200, help="after each gap")
    parser.add_argument("--seconds", type=float, default=3, help="of idleness, for the share of a CPU")
    parser.add_argument("--policies", nargs="+", default=["busy", "adaptive", "interrupt"])
    options = parser.parse_args()
    gaps = [gap / 1000 for gap in options.gaps]
    print("microseconds, p50 / p99, after a silence of")
    print(f"{'idle':10}" + "".join(f"{gap * 1000:>14g} ms" for gap in gaps) + f"{'CPU idle':>12}")
    for policy in options.policies:
        row, share = measure(policy, gaps, options.frames, options.seconds)
        lost = sum(cell[2] for cell in row.values())
        print(f"{policy:10}" + "".join(f"{row[gap][0]:>9.0f} /{row[gap][1]:>6.0f}" for gap in gaps) +
              f"{share:>12.1%}" + (f"   {lost} frames lost" if lost else ""), flush=True)


if __name__ == "__main__":
    main()
