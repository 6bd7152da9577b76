#!/bin/bash
# What a build for any x86-64 of the last decade costs beside one for this CPU: the same vxbench twice,
# isa=native and isa=generic (x86-64-v2), in turn, so that a slow moment of the machine falls on both.
# Prints the least own cycles of each case and their ratio.
set -euo pipefail

usage() {
    cat <<USAGE
usage: $0 [-n NATIVE_DIR] [-g GENERIC_DIR] [-r ROUNDS] [-c CPU] [-- VXBENCH_OPTIONS...]
  -n  build directory with isa=native (build); made when it is not there
  -g  build directory with isa=generic (build-generic); made when it is not there
  -r  rounds of each (3)
  -c  CPU to run on (1)
VXBENCH_OPTIONS: --macs 1,1k,100k --vnis 1 --size 64 --rounds 3 when none are given
USAGE
    exit 2
}

root=$(readlink -f "$(dirname "$0")/../..")
declare -A build=([native]=$root/build [generic]=$root/build-generic)
rounds=3 cpu=1
while getopts n:g:r:c:h option; do
    case $option in
        n) build[native]=$OPTARG ;;
        g) build[generic]=$OPTARG ;;
        r) rounds=$OPTARG ;;
        c) cpu=$OPTARG ;;
        *) usage ;;
    esac
done
shift $((OPTIND - 1))
(($# > 0)) || set -- --macs 1,1k,100k --vnis 1 --size 64 --rounds 3

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
trap 'exit 130' INT TERM
compiler=g++
! command -v ccache >/dev/null || compiler="ccache g++"
for which in native generic; do
    folder=${build[$which]}
    if [[ ! -f $folder/build.ninja ]]; then
        CXX=$compiler meson setup "$folder" "$root" -Dtests=false -Disa="$which" >"$directory/log" 2>&1 ||
            { cat "$directory/log" >&2; exit 1; }
    fi
    has=$(meson introspect --buildoptions "$folder" |
        /usr/bin/python3 -c 'import json, sys; print(next(o["value"] for o in json.load(sys.stdin) if o["name"] == "isa"))')
    [[ $has = "$which" ]] || { echo "generic.sh: $folder is built for isa=$has, not $which" >&2; exit 1; }
    ninja -C "$folder" bench/vxbench/vxbench >"$directory/log" 2>&1 || { tail -40 "$directory/log" >&2; exit 1; }
done

for ((round = 1; round <= rounds; ++round)); do
    for which in native generic; do
        "${build[$which]}/bench/vxbench/vxbench" --cpu "$cpu" --json - "$@" >"$directory/$which.$round.json"
    done
done

/usr/bin/python3 - "$directory" <<'PYTHON'
import json, pathlib, sys
least, probe = {}, {}
for file in pathlib.Path(sys.argv[1]).glob("*.json"):
    which = file.name.split(".")[0]
    for case in json.loads(file.read_text())["cases"]:
        key = tuple(case[k] for k in ("direction", "learning", "macs", "vnis", "size"))
        if case["cycles_own"] < least.get((which, key), 1e9):
            least[which, key], probe[which, key] = case["cycles_own"], case["probe_of_min"]
print(f"{'':5} {'learn':5} {'MACs':>8} {'VNIs':>5} {'bytes':>5} | {'native':>6} {'probe':>5} | {'generic':>7} {'probe':>5} | ratio")
for direction, learning, macs, vnis, size in dict.fromkeys(key for _, key in sorted(least, key=lambda k: (k[1][0] != "encap", k[1][1:]))):
    key = (direction, learning, macs, vnis, size)
    ours, theirs = least["native", key], least["generic", key]
    print(f"{direction:5} {'on' if learning else 'off':5} {macs:8} {vnis:5} {size:5} | {ours:6.1f} {probe['native', key]:5.2f} | "
          f"{theirs:7.1f} {probe['generic', key]:5.2f} | {theirs / ours:.2f}")
PYTHON
