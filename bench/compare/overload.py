"""What the real daemon carries as the offered rate rises to twice of what it can, where the rest is
given up, and how fast control answers meanwhile. Tenant and underlay are taps, frames 64 bytes."""
import argparse
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/system"))

from lab import Lab  # noqa: E402
from overload import Overload  # noqa: E402


def show(name, row):
    offered = max(row["offered_rate"], 1)
    print(f"{name:>12}{offered / 1e3:>10.0f}{row['goodput'] / 1e3:>10.0f}{row['kernel']:>12}{row['tx_full']:>9}"
          f"{row['dropped'] - row['tx_full']:>7}{row['answer_p50'] * 1e3:>9.1f} /{row['answer_p99'] * 1e3:>6.1f}",
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.5, help="for each rate")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    lab = Lab("overload")
    try:
        load = Overload(lab)
        print(f"{'rate':>12}{'offered':>10}{'carried':>10}{'tap full':>12}{'tx_full':>9}{'other':>7}"
              f"{'control p50 / p99 ms':>17}\n{'':12}{'kpps':>10}{'kpps':>10}{'frames':>12}{'frames':>9}{'frames':>7}")
        best, rate, step = 0.0, 50_000, 1.25
        # The largest rate of which less than one frame in a thousand is lost.
        while True:
            row = load.run(rate, options.seconds)
            show("ladder", row)
            if row["received"] + row["kernel"] > 0 and row["kernel"] + row["dropped"] > 0.001 * row["received"]:
                best = max(best, row["goodput"])
                break
            best = max(best, row["goodput"])
            if row["offered_rate"] < 0.9 * rate:
                break
            rate *= step
        ratios = []
        for _ in range(options.rounds):
            at_limit = load.run(best, options.seconds)
            show("limit", at_limit)
            twice = load.run(2 * best, options.seconds)
            show("twice", twice)
            whole = load.run(0, options.seconds)
            show("all it can", whole)
            ratios.append((twice["goodput"] / at_limit["goodput"], whole["goodput"] / at_limit["goodput"]))
        middle = sorted(ratios)[len(ratios) // 2]
        print(f"goodput against the limit, median of {options.rounds}: {middle[0]:.2f} at twice the rate, "
              f"{middle[1]:.2f} at all that the sender can")
    finally:
        lab.close()


if __name__ == "__main__":
    main()
