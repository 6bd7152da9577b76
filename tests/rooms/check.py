#!/usr/bin/python3
"""Proves that includes go one way: a file with the dependencies of a room can include that room and
those below it, and cannot include any room above. usage: check.py BUILD_DIR

Also looks at every translation unit of the rooms: its include roots must be of its own room or lower.
The last line is `N passed, M failed`.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

# Room -> the rooms that it may include besides itself.
LOWER = {"config": set(), "dataplane/net": set(), "dataplane/packet": {"dataplane/net"}}
LOWER["dataplane/table"] = LOWER["dataplane/port"] = {"dataplane/net", "dataplane/packet"}
LOWER["dataplane/step"] = {"dataplane/table", "dataplane/port"} | LOWER["dataplane/table"]
LOWER["dataplane/path"] = {"dataplane/step"} | LOWER["dataplane/step"]
LOWER["dataplane/worker"] = {"dataplane/path"} | LOWER["dataplane/path"]
LOWER["control"] = {"config", "dataplane/worker"} | LOWER["dataplane/worker"]

SOURCE = pathlib.Path(__file__).resolve().parents[2]


def header_of(room):
    """Some header of the room, by its full path; None while the room has none."""
    headers = sorted(path for path in (SOURCE / room).rglob("*.hpp"))
    return str(headers[0].relative_to(SOURCE)) if headers else None


def compiles(command, folder, header):
    """(whether a file that includes only `header` passes the preprocessor, what was said)"""
    with tempfile.NamedTemporaryFile("w", suffix=".cpp") as probe:
        probe.write(f'#include "{header}"\n')
        probe.flush()
        done = subprocess.run([*command, "-E", "-x", "c++", probe.name, "-o", os.devnull], cwd=folder, text=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return done.returncode == 0, done.stderr


def probe_commands(commands):
    """Room -> (compiler and flags without the source and output, folder)."""
    found = {}
    for entry in commands:
        match = re.search(r"tests/rooms/libprobe-(\w+)\.a\.p/", entry.get("output", ""))
        if match:
            words, kept = shlex.split(entry["command"]), []
            skip = False
            for word in words:
                if skip:
                    skip = False
                elif word in ("-o", "-MF", "-MQ", "-MT"):
                    skip = True
                elif word not in ("-c", "-MD", "-MMD") and word != entry["file"]:
                    kept.append(word)
            found[match[1].replace("_", "/", 1) if match[1] != "config" else "config"] = (kept, entry["directory"])
    return found


def wrong_roots(commands):
    """Translation units with an include root of a room that they may not see."""
    wrong = []
    for entry in commands:
        file = os.path.normpath(os.path.join(entry["directory"], entry["file"]))
        relative = os.path.relpath(file, SOURCE)
        room = next((room for room in sorted(LOWER, key=len, reverse=True) if relative.startswith(room + "/")), None)
        # A test that compiles the same file once more does so with its own roots.
        if room is None or not entry["output"].startswith(room.split("/")[0] + "/"):
            continue
        roots = {root.replace("_", "/", 1) if root.startswith("dataplane") else root
                 for root in re.findall(r"-I\S*\brooms/(\w+)", entry["command"])}
        for root in sorted(roots - LOWER[room] - {room}):
            wrong.append(f"{relative} can include {root}/, which is not below {room}/")
    return wrong


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    commands = json.loads((build / "compile_commands.json").read_text())
    passed = failed = 0
    jobs = []
    for room, (command, folder) in sorted(probe_commands(commands).items()):
        for other in LOWER:
            header = header_of(other)
            if header:
                jobs.append((room, other, header, other == room or other in LOWER[room], command, folder))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(lambda job: compiles(job[4], job[5], job[2]), jobs))
    for (room, other, header, allowed, *_), (works, words) in zip(jobs, outcomes):
        # A refusal counts only when it is the header that could not be found.
        right = works if allowed else (not works and "No such file" in words and header in words)
        passed, failed = passed + right, failed + (not right)
        if not right:
            print(f"FAILED {room} " + ("cannot" if allowed else "can") + f" include {header}\n{words[:600]}")
    wrong = wrong_roots(commands)
    passed, failed = passed + (not wrong), failed + bool(wrong)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    if len(jobs) < 40:
        print(f"FAILED only {len(jobs)} probes were found in {build}/compile_commands.json")
        failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
