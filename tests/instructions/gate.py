#!/usr/bin/python3
"""The gate on instructions per packet: runs count-instructions under callgrind and compares with
baseline.json. Time on a shared machine is too noisy to gate on; instructions are the same each time.
The last line is `N passed, M failed`."""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TOLERANCE = 0.03


def count(program):
    """Runs the program; returns what it was made with, and per part (packets, callgrind's file)."""
    with tempfile.TemporaryDirectory(prefix="vxplane-callgrind.") as folder:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--cache-sim=no", "--instr-atstart=no", "--quiet",
             f"--callgrind-out-file={folder}/out", str(program)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"gate: {program} under valgrind ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        made_with, packets = {}, {}
        for line in done.stdout.splitlines():
            word, _, rest = line.partition(" ")
            if word == "part":
                name, number = rest.split()
                packets[name] = int(number)
            else:
                made_with[word] = rest
        dumps = {}
        for file in pathlib.Path(folder).iterdir():
            text = file.read_text()
            trigger = re.search(r"^desc: Trigger: Client Request: (\S+)$", text, re.MULTILINE)
            if trigger:
                dumps[trigger.group(1)] = text
    if packets.keys() != dumps.keys() or not packets:
        sys.exit(f"gate: parts announced and dumped differ: {sorted(packets.keys() ^ dumps.keys())}")
    return made_with, {name: (packets[name], dumps[name]) for name in packets}


def total(dump):
    return int(re.search(r"^totals: (\d+)$", dump, re.MULTILINE).group(1))


def by_file(dump):
    """Instructions by source file; inlined code counts where it is written."""
    names, sums, file, callee_next = {}, {}, "?", False
    for line in dump.splitlines():
        named = re.match(r"(fl|fi|fe)=(?:\((\d+)\))?(?: ?(.+))?$", line)
        if named:
            if named.group(3):
                names[named.group(2)] = named.group(3)
            file = names.get(named.group(2), named.group(3) or "?")
        elif re.match(r"(cfi|cfl)=\((\d+)\) .", line):
            number, name = re.match(r"\w+=\((\d+)\) (.+)$", line).groups()
            names[number] = name
        elif line.startswith("calls="):
            callee_next = True
        elif re.match(r"[+*\-\d]", line):
            # The line behind `calls=` is the cost of the callee, which has lines of its own.
            if not callee_next:
                sums[file] = sums.get(file, 0) + int(line.split()[1])
            callee_next = False
    return sums


def short(file):
    text = str(pathlib.PurePosixPath(file))
    for root in ("dataplane/", "bench/", "tests/"):
        if root in text:
            return root + text.rpartition(root)[2]
    return "c++ library" if "/c++/" in text else "dpdk: " + text.rpartition("/")[2] if "/dpdk/" in text else text


def judge(baseline, made_with, counts):
    """Yields (good, sentence) for each part."""
    foreign = [f"{key} is {made_with.get(key)}, of the baseline {value}"
               for key, value in baseline["made_with"].items() if made_with.get(key) != value]
    was = baseline["instructions_per_packet"]
    for name in sorted(was.keys() | counts.keys()):
        if name not in was or name not in counts:
            yield bool(foreign), f"{name}: is only in {'this run' if name in counts else 'the baseline'}; renew the baseline"
            continue
        old, new = was[name], counts[name]
        change = new / old - 1
        text = f"{name}: {new:.1f} instructions per packet, {change:+.1%} against {old:.1f} at {baseline['commit']}"
        if foreign:
            yield True, f"{text}; not judged: {'; '.join(foreign)}"
        elif change > TOLERANCE:
            yield False, f"{text}: ROSE by more than {TOLERANCE:.0%}"
        elif change < -TOLERANCE:
            yield True, f"{text}: fell; keep it so with `tests/instructions/gate.py --renew BUILD`"
        else:
            yield True, text


def check_judge():
    """The gate must be able to fail: the same answers each time for made-up figures."""
    base = {"commit": "abc", "made_with": {"compiler": "g++ 12"}, "instructions_per_packet": {"x": 100.0}}
    def verdict(compiler, **counts):
        return [good for good, _ in judge(base, {"compiler": compiler}, counts)]
    yield verdict("g++ 12", x=102.9) == [True], "gate: a rise of 2.9 % passes"
    yield verdict("g++ 12", x=103.1) == [False], "gate: a rise of 3.1 % fails"
    yield verdict("g++ 12", x=50.0) == [True], "gate: a fall passes"
    yield verdict("g++ 13", x=200.0) == [True], "gate: another compiler is not judged"
    yield verdict("g++ 12", x=100.0, y=1.0) == [True, False], "gate: a part without a baseline fails"
    yield verdict("g++ 12") == [False], "gate: a part that is gone fails"


def git(*words):
    return subprocess.run(["git", "-C", str(ROOT), *words], check=True, capture_output=True, text=True).stdout.strip()


def renew(made_with, counts):
    commit = git("rev-parse", "--short=10", "HEAD")
    if git("status", "--porcelain", "--untracked-files=no", "--", "dataplane", "bench", "tests/instructions/count.cpp"):
        commit += " and changes on top of it"
    (HERE / "baseline.json").write_text(json.dumps(
        {"commit": commit, "made_with": made_with,
         "instructions_per_packet": {name: round(value, 2) for name, value in counts.items()}}, indent=1) + "\n")
    print(f"baseline of {len(counts)} parts written for {commit}")


def show_where(parts, wanted):
    for name, (packets, dump) in parts.items():
        if wanted not in ("all", name):
            continue
        sums = {}
        for file, instructions in by_file(dump).items():
            sums[short(file)] = sums.get(short(file), 0) + instructions
        print(f"\n{name}: {total(dump) / packets:.1f} instructions per packet, by source file")
        for file, instructions in sorted(sums.items(), key=lambda item: -item[1]):
            if instructions / packets >= 0.5:
                print(f"  {instructions / packets:7.1f}  {file}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=pathlib.Path, help="meson folder in which count-instructions was built")
    parser.add_argument("--renew", action="store_true", help="write baseline.json from this run")
    parser.add_argument("--where", metavar="PART", help="show in which source files a part's instructions are (or: all)")
    wanted = parser.parse_args()
    made_with, parts = count(wanted.build / "tests/instructions/count-instructions")
    counts = {name: total(dump) / packets for name, (packets, dump) in parts.items()}
    if wanted.where:
        show_where(parts, wanted.where)
        return 0
    if wanted.renew:
        renew(made_with, counts)
        return 0
    baseline = json.loads((HERE / "baseline.json").read_text())
    results = [*check_judge(), *judge(baseline, made_with, counts)]
    for good, text in results:
        print(f"{'ok' if good else 'FAILED':6} {text}")
    failed = sum(not good for good, _ in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    return int(failed != 0)


if __name__ == "__main__":
    sys.exit(main())
