#!/bin/bash
# The lab on one machine: vxplane between two memif ports, and testpmd at their other ends, which plays
# the frames of make_lab.py into one and counts what comes out of the other. Prints rates and loss, from
# the counters of both. Without rate control: what is measured is the throughput of an overloaded VTEP.
set -euo pipefail

usage() {
    cat <<USAGE
usage: $0 [-b BUILD] [-d encap|decap|both] [-t SECONDS] [-m MACS] [-s SIZE] [-c CPU] [-g CPU] [-p]
  -b  Meson build directory (build)        -d  direction (both)
  -t  seconds (3)                          -m  addresses, one frame each (1000)
  -s  inner frame in bytes (64)            -c  CPU of vxplane's worker (1)
  -g  CPU of testpmd and of control (0)
  -p  testpmd io in vxplane's place, for comparison
USAGE
    exit 2
}

here=$(dirname "$(readlink -f "$0")")
build=$here/../../build directions="encap decap" seconds=3 macs=1000 size=64 cpu=1 tester_cpu=0 bare=
while getopts b:d:t:m:s:c:g:ph option; do
    case $option in
        b) build=$OPTARG ;;
        d) [[ $OPTARG = both ]] || directions=$OPTARG ;;
        t) seconds=$OPTARG ;;
        m) macs=$OPTARG ;;
        s) size=$OPTARG ;;
        c) cpu=$OPTARG ;;
        g) tester_cpu=$OPTARG ;;
        p) bare=yes ;;
        *) usage ;;
    esac
done
vxplane=$build/control/vxplane vxctl=$build/control/ctl/vxctl

directory=$(mktemp -d)
children=()
stop_children() {
    local child
    for child in "${children[@]}"; do
        kill "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    done
    children=()
}
trap 'stop_children; rm -rf "$directory"' EXIT
trap 'exit 130' INT TERM
give_up() {
    echo "memif.sh: $1" >&2
    tail -20 "$2" >&2
    exit 1
}

memif() {  # memif NUMBER ROLE SIDE
    echo "net_memif$1,role=$2,id=$1,socket=$directory/$3.sock,socket-abstract=no,rsize=11"
}
# vxplane ends before the tester does: DPDK 22.11's memif may read a ring that its peer has just unmapped.
drops() {
    sleep 0.3
    [[ -z $bare ]] || return 0
    "$vxctl" -s "$directory/vxplane.sock" drops >"$directory/drops" 2>&1 || true
    kill "${children[0]}"
    sleep 1
}
# Without hugepages, so that nothing has to be prepared: memif brings its own memory.
eal=(--no-pci --no-telemetry --no-huge --no-shconf -m 256)
testpmd_options=(-i --auto-start --forward-mode=io --nb-cores=1 --burst=32 --total-num-mbufs=16384 --disable-link-check)
"$here/make_lab.py" "$directory" --tenant "$(memif 0 server tenant)" --uplink "$(memif 1 server uplink)" \
    --macs "$macs" --size "$size" --cpu "$cpu" --hugepages off >"$directory/lab.log" || give_up "no lab" "$directory/lab.log"

for direction in $directions; do
    [[ $direction = encap ]] && into=tenant out=uplink || { into=uplink; out=tenant; }
    log=$directory/subject.log
    if [[ -n $bare ]]; then
        mkfifo "$directory/words"
        dpdk-testpmd --lcores "0@$tester_cpu,1@$cpu" --main-lcore 0 --file-prefix subject "${eal[@]}" \
            --vdev "$(memif 0 server tenant)" --vdev "$(memif 1 server uplink)" -- "${testpmd_options[@]}" \
            <"$directory/words" >"$log" 2>&1 &
        children+=($!)
        exec 9>"$directory/words"
        rm "$directory/words"
    else
        "$vxplane" "$directory/$direction.yaml" >"$log" 2>&1 &
        children+=($!)
    fi
    for _ in {1..100}; do
        [[ -S $directory/tenant.sock && -S $directory/uplink.sock ]] && break
        kill -0 "${children[0]}" 2>/dev/null || give_up "what is to be tested ended" "$log"
        sleep 0.1
    done
    # Ports in pairs: the file goes into one memif, the other goes into nothing.
    tester=$directory/tester.log
    { sleep 3; echo "clear port stats all"; sleep "$seconds"; echo "show port stats all"; drops; echo quit; } |
        dpdk-testpmd --lcores "0@$tester_cpu,1@$tester_cpu" --main-lcore 0 --file-prefix tester "${eal[@]}" \
            --vdev "net_pcap0,rx_pcap=$directory/$direction.pcap,infinite_rx=1" \
            --vdev "$(memif "$([[ $into = tenant ]] && echo 0 || echo 1)" client "$into")" \
            --vdev "$(memif "$([[ $out = tenant ]] && echo 0 || echo 1)" client "$out")" \
            --vdev net_null0,no-rx=1 -- "${testpmd_options[@]}" --portlist=0,1,2,3 --port-topology=paired \
            >"$tester" 2>&1 || give_up "testpmd failed" "$tester"
    /usr/bin/python3 - "$tester" "$direction" "$seconds" "${bare:+testpmd io}" <<'PYTHON' || give_up "nothing came through" "$log"
import re, sys
text = open(sys.argv[1]).read()
ports = {int(port): {key: int(value) for key, value in re.findall(r"([RT]X-packets):\s*(\d+)", body)}
         for port, body in re.findall(r"NIC statistics for port (\d+)[ #]*\n(.*?)####", text, re.S)}
sent, received, seconds = ports[1]["TX-packets"], ports[2]["RX-packets"], float(sys.argv[3])
print(f"{sys.argv[2]} {sys.argv[4] or 'vxplane'}: offered {ports[0]['RX-packets'] / seconds / 1e6:.2f} Mpps, taken by the ring "
      f"{sent / seconds / 1e6:.2f}, came back {received / seconds / 1e6:.2f} Mpps ({received / max(1, sent):.1%} of what was taken)")
sys.exit(received == 0)
PYTHON
    [[ -n $bare ]] || cat "$directory/drops"
    exec 9>&- || true
    stop_children
    rm -f "$directory"/*.sock
done
