#!/bin/bash
# The floor: the same pcaps through testpmd's io-forward, which touches no packet, and through the real
# vxplane daemon. Both play the file by net_pcap in a loop into a net_null that only sends, on one core,
# in turn, so that a slow moment of the machine falls on both. Prints rates, and the ratio of medians
# and of the best rounds.
set -euo pipefail

usage() {
    cat <<USAGE
usage: $0 [-b BUILD] [-d encap|decap|both] [-r ROUNDS] [-t SECONDS] [-m MACS] [-s SIZE] [-c CPU]
  -b  Meson build directory (build)        -d  direction (both)
  -r  rounds of each (5)                   -t  seconds per round (2)
  -m  addresses, one frame each (256)      -s  inner frame in bytes (64)
  -c  CPU of the packet loop (1); CPU 0 does the rest
USAGE
    exit 2
}

here=$(dirname "$(readlink -f "$0")")
build=$here/../../build directions="encap decap" rounds=5 seconds=2 macs=256 size=64 cpu=1
while getopts b:d:r:t:m:s:c:h option; do
    case $option in
        b) build=$OPTARG ;;
        d) [[ $OPTARG = both ]] || directions=$OPTARG ;;
        r) rounds=$OPTARG ;;
        t) seconds=$OPTARG ;;
        m) macs=$OPTARG ;;
        s) size=$OPTARG ;;
        c) cpu=$OPTARG ;;
        *) usage ;;
    esac
done
vxplane=$build/control/vxplane vxctl=$build/control/ctl/vxctl
for program in "$vxplane" "$vxctl" "$(command -v dpdk-testpmd || echo dpdk-testpmd)"; do
    [[ -x $program ]] || { echo "floor.sh: $program is not there" >&2; exit 1; }
done

directory=$(mktemp -d)
child=
stop_child() {
    [[ -n $child ]] || return 0
    kill "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
    child=
}
trap 'stop_child; rm -rf "$directory"' EXIT
trap 'exit 130' INT TERM

# Both with hugepages or both without.
free=$(awk '/HugePages_Free/ {print $2}' /proc/meminfo)
if ((free >= 256)); then
    hugepages=require memory=(--in-memory -m 256)
else
    hugepages=off memory=(--no-huge --no-shconf -m 256)
fi
/usr/bin/python3 "$here/make_pcaps.py" "$directory" --macs "$macs" --size "$size" --cpu "$cpu" \
    --hugepages "$hugepages"

give_up() {
    echo "floor.sh: $1" >&2
    tail -20 "$2" >&2
    exit 1
}

# Packets per second that left, by testpmd's own clock.
testpmd_rate() {
    local log=$directory/testpmd.log
    { sleep 2; echo "show port stats all"; sleep "$seconds"; echo "show port stats all"; sleep 0.2; echo quit; } |
        dpdk-testpmd --lcores "0@0,1@$cpu" --main-lcore 0 --no-pci --no-telemetry "${memory[@]}" \
            --vdev "net_pcap0,rx_pcap=$directory/$1.pcap,infinite_rx=1" --vdev net_null0,no-rx=1 \
            -- -i --auto-start --forward-mode=io --nb-cores=1 --burst=32 --rxd=1024 --txd=1024 --total-num-mbufs=16384 \
            >"$log" 2>&1 || give_up "testpmd failed" "$log"
    # One line a port and call: the largest is that of the sending port in the second call.
    rate=$(awk '/Tx-pps:/ {last[++n] = $2} END {print (last[n] > last[n-1] ? last[n] : last[n-1]) + 0}' "$log")
    ((rate > 0)) || give_up "testpmd sent nothing" "$log"
}

ports() { "$vxctl" -s "$directory/vxplane.sock" -j ports; }

# The same of the daemon, from its counters.
vxplane_rate() {
    local log=$directory/vxplane.log
    "$vxplane" "$directory/$1.yaml" >"$log" 2>&1 &
    child=$!
    for _ in {1..100}; do
        ports >/dev/null 2>&1 && break
        kill -0 "$child" 2>/dev/null || { child=; give_up "vxplane ended" "$log"; }
        sleep 0.1
    done
    sleep 1
    rate=$(/usr/bin/python3 - "$vxctl" "$directory/vxplane.sock" "$seconds" <<'PYTHON'
import json, subprocess, sys, time
def totals():
    text = subprocess.run([sys.argv[1], "-s", sys.argv[2], "-j", "ports"], check=True, capture_output=True).stdout
    ports = json.loads(text)
    return time.monotonic(), sum(p["rx"]["packets"] for p in ports), sum(p["tx"]["packets"] for p in ports)
begin = totals()
time.sleep(float(sys.argv[3]))
end = totals()
received, sent = end[1] - begin[1], end[2] - begin[2]
if sent < 0.99 * received:
    sys.exit(f"vxplane received {received} and sent only {sent}")
print(int(sent / (end[0] - begin[0])))
PYTHON
    ) || { "$vxctl" -s "$directory/vxplane.sock" drops >&2; give_up "vxplane did not forward" "$log"; }
    stop_child
}

median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
best() { sort -n | tail -1; }
mega() { awk -v v="$1" 'BEGIN {printf "%.2f", v / 1e6}'; }

echo "inner frames of $size bytes, $macs addresses, hugepages: $hugepages, $rounds rounds of $seconds s, CPU $cpu"
for direction in $directions; do
    : >"$directory/floor"; : >"$directory/ours"
    for ((round = 1; round <= rounds; ++round)); do
        testpmd_rate "$direction"; echo "$rate" >>"$directory/floor"; floor=$rate
        vxplane_rate "$direction"; echo "$rate" >>"$directory/ours"
        printf '%s round %d: testpmd io %6s Mpps   vxplane %6s Mpps\n' "$direction" "$round" \
            "$(mega "$floor")" "$(mega "$rate")"
    done
    for which in median best; do
        floor=$("$which" <"$directory/floor") ours=$("$which" <"$directory/ours")
        awk -v d="$direction" -v w="$which" -v f="$floor" -v o="$ours" 'BEGIN {
            printf "%s %-7s  testpmd io %6.2f Mpps   vxplane %6.2f Mpps   ratio %.2f   %.0f ns a packet more\n",
                d, w ":", f / 1e6, o / 1e6, o / f, 1e9 / o - 1e9 / f }'
    done
done
