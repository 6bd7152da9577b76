#!/bin/bash
# Latency of the real daemon beside dpdk-testpmd's io-forward, over the same vdevs: each stands between two
# memif ports on one CPU, `vxbench latency --through` sends and takes from another. In turn, at the same
# rates: shares of what came through vxplane when it was flooded. memif copies each frame twice on the
# way; that is part of both figures.
set -euo pipefail

usage() {
    cat <<USAGE
usage: $0 [-b BUILD] [-d encap|decap|both] [-r ROUNDS] [-t SECONDS] [-m MACS] [-s SIZE] [-c CPU] [-g CPU]
  -b  Meson build directory (build)        -d  direction (both)
  -r  rounds of each (3)                   -t  seconds of one measurement (1)
  -m  addresses, one frame each (1000)     -s  inner frame in bytes (64)
  -c  CPU that forwards (1)                -g  CPU of the tester and of control (0)
USAGE
    exit 2
}

here=$(dirname "$(readlink -f "$0")")
build=$here/../../build directions="encap decap" rounds=3 seconds=1 macs=1000 size=64 cpu=1 tester_cpu=0
while getopts b:d:r:t:m:s:c:g:h option; do
    case $option in
        b) build=$OPTARG ;;
        d) [[ $OPTARG = both ]] || directions=$OPTARG ;;
        r) rounds=$OPTARG ;;
        t) seconds=$OPTARG ;;
        m) macs=$OPTARG ;;
        s) size=$OPTARG ;;
        c) cpu=$OPTARG ;;
        g) tester_cpu=$OPTARG ;;
        *) usage ;;
    esac
done
vxbench=$build/bench/vxbench/vxbench
directory=$(mktemp -d)
child=
stop_child() {
    [[ -n $child ]] || return 0
    kill "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
    child=
    exec 9>&- || true
    rm -f "$directory"/*.sock "$directory/words"
}
trap 'stop_child; rm -rf "$directory"' EXIT
trap 'exit 130' INT TERM
give_up() {
    echo "latency.sh: $1" >&2
    tail -20 "$2" >&2
    exit 1
}
memif() {  # memif NUMBER ROLE SIDE
    echo "net_memif$1,role=$2,id=$1,socket=$directory/$3.sock,socket-abstract=no,rsize=10"
}
"$here/../pktgen/make_lab.py" "$directory" --tenant "$(memif 0 server tenant)" --uplink "$(memif 1 server uplink)" \
    --macs "$macs" --size "$size" --cpu "$cpu" --hugepages off >"$directory/log"

start() {  # start WHO DIRECTION
    local log=$directory/subject.log
    mkfifo "$directory/words"
    if [[ $1 = testpmd ]]; then
        dpdk-testpmd --lcores "0@$tester_cpu,1@$cpu" --main-lcore 0 --file-prefix subject --no-pci --no-telemetry \
            --no-huge --no-shconf -m 256 --vdev "$(memif 0 server tenant)" --vdev "$(memif 1 server uplink)" \
            -- -i --auto-start --forward-mode=io --nb-cores=1 --burst=32 --total-num-mbufs=16384 --disable-link-check \
            <"$directory/words" >"$log" 2>&1 &
    else
        "$build/control/vxplane" "$directory/$2.yaml" <"$directory/words" >"$log" 2>&1 &
    fi
    child=$!
    exec 9>"$directory/words"
    for _ in {1..100}; do
        [[ ! -S $directory/tenant.sock || ! -S $directory/uplink.sock ]] || return 0
        kill -0 "$child" 2>/dev/null || give_up "$1 ended" "$log"
        sleep 0.1
    done
    give_up "$1 opened no ports" "$log"
}

measure() {  # measure WHO DIRECTION FILE [OPTIONS...]
    local who=$1 direction=$2 file=$3 ends
    shift 3
    ends=("$(memif 0 client tenant)" "$(memif 1 client uplink)")
    [[ $direction = encap ]] || ends=("${ends[1]}" "${ends[0]}")
    start "$who" "$direction"
    "$vxbench" latency --no-huge --tester-cpu "$tester_cpu" --through "${ends[@]}" --frames "$directory/$direction.pcap" \
        --label "$who" --rounds 1 --seconds "$seconds" --json "$file" "$@" >"$directory/log" 2>&1 ||
        give_up "$who, $direction" "$directory/log"
    stop_child
}

for direction in $directions; do
    # Any load: its offered rate tells what 100 % is.
    measure vxplane "$direction" "$directory/most.json" --loads 50
    most=$(/usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[0]["offered_pps"] * 2)' "$directory/most.json")
    for ((round = 1; round <= rounds; ++round)); do
        for who in vxplane testpmd; do
            measure "$who" "$direction" "$directory/$direction.$who.$round.json" --most "$most"
        done
    done
done

/usr/bin/python3 - "$directory" <<'PYTHON'
import collections, json, pathlib, statistics, sys
rows = collections.defaultdict(list)
for file in sorted(pathlib.Path(sys.argv[1]).glob("*.*.*.json")):
    for row in json.loads(file.read_text()):
        rows[file.name.split(".")[0], row["load_percent"], row["who"]].append(row)
print("microseconds from when a frame was due until it was back; medians of rounds, and the least p50")
print(f"{'':5} {'load':>5} {'':8} {'Mpps':>7} | {'p50':>8} {'p99':>8} {'p99.9':>8} {'max':>9} | {'least':>7} | {'lost':>9} of {'sent':>10}")
for (direction, load, who), all_rounds in sorted(rows.items(), key=lambda item: (item[0][0] != "encap", *item[0])):
    def middle(key):
        return statistics.median(one[key] for one in all_rounds)
    print(f"{direction:5} {load:4.0f}% {who:8} {all_rounds[0]['offered_pps'] / 1e6:7.3f} | {middle('p50_us'):8.1f} {middle('p99_us'):8.1f} "
          f"{middle('p99.9_us'):8.1f} {middle('max_us'):9.1f} | {min(one['least_p50_us'] for one in all_rounds):7.1f} | "
          f"{sum(one['lost'] for one in all_rounds):9} of {sum(one['sent'] for one in all_rounds):10}")
PYTHON
