#!/usr/bin/python3
"""Draws the JSON of `vxbench beside scale`: an SVG beside it, least cycles per packet of full tables over the
addresses in use, divided by those of the small case; a line for each number of segments and of segments in a burst."""
import json
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams |= {"svg.hashsalt": "vxplane", "svg.fonttype": "none", "font.size": 9}
from matplotlib import pyplot  # noqa: E402

COLOURS = {1: "#1b6ca8", 10: "#4f9ac7", 100: "#d98b2b", 1000: "#b4543a", 10000: "#7a4a7a"}
STYLES = {1: "-", 8: "--"}


def draw(file):
    cases = json.loads(file.read_text())["cases"]
    names = list(dict.fromkeys((case["direction"], case["what"]) for case in cases))
    figure, axes = pyplot.subplots(1, len(names), figsize=(2.9 * len(names), 3.2), sharey=True, squeeze=False)
    for axis, name in zip(axes[0], names):
        lines = {}
        for case in cases:
            if (case["direction"], case["what"]) == name:
                burst = case["segments_per_burst"] if case["segments_per_burst"] in STYLES else 1
                lines.setdefault((case["segments"], burst), []).append(
                    (case["macs"], case["least"] / case["plain_least"]))
        for (segments, burst), line in sorted(lines.items()):
            axis.plot(*zip(*sorted(line)), STYLES[burst], marker="o", markersize=3, linewidth=1,
                      color=COLOURS.get(segments, "#333333"),
                      label=f"{segments:,} segment{'s' if segments > 1 else ''}" + (", 8 a burst" if burst > 1 else ""))
        axis.axhline(1.1, color="#999999", linewidth=0.6, linestyle=":")
        axis.set_xscale("log")
        axis.set_xlabel("MAC addresses in use")
        axis.set_title(", ".join(name), fontsize=8.5)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=6, loc="upper left")
    axes[0][0].set_ylabel("cycles, small case = 1")
    figure.tight_layout()
    figure.savefig(file.with_suffix(".svg"), metadata={"Date": None, "Creator": None})
    print(f"drawn: {file.with_suffix('.svg')}")


draw(pathlib.Path(sys.argv[1]))
