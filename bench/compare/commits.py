#!/usr/bin/env python3
"""What a series of commits costs where nothing of it is switched on: `vxbench` of one commit beside that of
another, in turn. Both are built beforehand, each from a checkout of its own:

    git worktree add ../before COMMIT && meson setup ../before/build ../before && ninja -C ../before/build
    sudo bench/compare/commits.py ../before/build/bench/vxbench/vxbench build/bench/vxbench/vxbench

Further words go to both, e.g. `--macs 1,1k --vnis 1 --cpu 1`. Own cycles per packet: least of all turns, and the
median of the turns' ratios."""
import argparse
import json
import statistics
import subprocess
import sys


def run(program, words):
    done = subprocess.run([program, *words, "--json", "-"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{program} ended with {done.returncode}: {done.stderr.strip()}")
    found = json.loads(done.stdout[done.stdout.index("{\n"):] if not done.stdout.startswith("{") else done.stdout)
    return {(case["direction"], case["learning"], case["macs"], case["vnis"], case["size"]): case
            for case in found["cases"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", help="vxbench of the earlier commit")
    parser.add_argument("after", help="vxbench of the later one")
    parser.add_argument("--turns", type=int, default=9)
    arguments, words = parser.parse_known_args()
    turns = []
    for number in range(arguments.turns):
        pair = [(which, run(which, words)) for which in (arguments.before, arguments.after)[::-1 if number % 2 else 1]]
        turns.append(tuple(dict(pair)[which] for which in (arguments.before, arguments.after)))
    print(f"{arguments.turns} turns; own cycles per packet\n")
    print("| | MACs | segments | bytes | learning | before | after | least / least | median of ratios |")
    print("|---|---|---|---|---|---|---|---|---|")
    for case in turns[0][0]:
        before, after = ([turn[side][case]["cycles_own"] for turn in turns] for side in (0, 1))
        ratio = statistics.median(two / one for one, two in zip(before, after, strict=True))
        direction, learning, macs, vnis, size = case
        print(f"| {direction} | {macs} | {vnis} | {size} | {'on' if learning else 'off'} | {min(before):.1f} | {min(after):.1f} "
              f"| {min(after) / min(before):.3f} | {ratio:.3f} |")


if __name__ == "__main__":
    main()
