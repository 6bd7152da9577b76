#!/usr/bin/python3
"""Draws a JSON file of run.sh: an SVG beside it, packets per second of each contender. A bar is the median,
its line goes from the least to the most sample."""
import json
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams |= {"svg.hashsalt": "vxplane", "svg.fonttype": "none", "font.size": 9}
from matplotlib import pyplot  # noqa: E402

SHOWN = {"testpmd": ("testpmd io (no VXLAN)", "#bbbbbb"), "vxplane": ("vxplane", "#1b6ca8"),
         "ovs-emc": ("OVS-DPDK", "#d98b2b"), "ovs-megaflow": ("OVS-DPDK without EMC", "#e8c48f"),
         "kernel": ("kernel vxlan", "#7a4a7a")}


def draw(file):
    cells = json.loads(file.read_text())["cells"]
    directions = [name for name in ("encap", "decap") if any(cell["direction"] == name for cell in cells)]
    figure, axes = pyplot.subplots(1, len(directions), figsize=(4.6 * len(directions), 3.4), sharey=True, squeeze=False)
    for axis, direction in zip(axes[0], directions):
        mine = [cell for cell in cells if cell["direction"] == direction]
        names = [name for name in SHOWN if any(name in cell["contenders"] for cell in mine)]
        width = 0.84 / len(names)
        for place, name in enumerate(names):
            title, colour = SHOWN[name]
            for group, cell in enumerate(mine):
                if name not in cell["contenders"]:
                    continue
                one = {key: cell["contenders"][name][key] / 1e6 for key in ("median", "least", "most")}
                at = group - 0.42 + (place + 0.5) * width
                axis.bar(at, one["median"], width * 0.92, color=colour, label=title if group == 0 else None)
                axis.vlines(at, one["least"], one["most"], color="#333333", linewidth=0.8)
                axis.text(at, one["most"] + 0.8, f"{one['median']:.3g}", ha="center", fontsize=6.5)
        axis.set_xticks(range(len(mine)), [f"{cell['macs']:,} MAC{'s' if cell['macs'] > 1 else ''}" for cell in mine])
        axis.set_title(f"{direction}, {mine[0]['size']}-byte inner frames, one core")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("million packets per second")
    axes[0][-1].legend(frameon=False, fontsize=8, loc="upper right")
    figure.tight_layout()
    figure.savefig(file.with_suffix(".svg"), metadata={"Date": None, "Creator": None})
    print(f"drawn: {file.with_suffix('.svg')}")


draw(pathlib.Path(sys.argv[1]))
