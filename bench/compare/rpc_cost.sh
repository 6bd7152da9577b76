#!/bin/bash
# What it costs a worker that control is asked for figures (RP-94): one daemon loops a pcap through its
# bridge on one core, and rounds with and without 1,000 `ports` requests a second from CPU 0 alternate.
# Prints packets per second of CPU time of the worker, their ratios, and the share of a CPU that control
# used. CPU time, because other programs may want the worker's CPU.
set -euo pipefail

usage() {
    cat <<USAGE
usage: $0 [-b BUILD] [-d encap|decap] [-r ROUNDS] [-t SECONDS] [-q REQUESTS] [-c CPU]
  -b  Meson build directory (build)        -d  direction (encap)
  -r  rounds of each (60)                  -t  seconds per round (0.4)
  -q  requests per second (1000), 0 shows the noise
  -c  CPU of the worker (1); CPU 0 does the rest
USAGE
    exit 2
}

here=$(dirname "$(readlink -f "$0")")
build=$here/../../build direction=encap rounds=60 seconds=0.4 requests=1000 cpu=1
while getopts b:d:r:t:q:c:h option; do
    case $option in
        b) build=$OPTARG ;;
        d) direction=$OPTARG ;;
        r) rounds=$OPTARG ;;
        t) seconds=$OPTARG ;;
        q) requests=$OPTARG ;;
        c) cpu=$OPTARG ;;
        *) usage ;;
    esac
done
vxplane=$build/control/vxplane
[[ -x $vxplane ]] || { echo "rpc_cost.sh: $vxplane is not there" >&2; exit 1; }

directory=$(mktemp -d)
child=
cleanup() {
    if [[ -n $child ]]; then
        kill "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    fi
    rm -rf "$directory"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

free=$(awk '/HugePages_Free/ {print $2}' /proc/meminfo)
hugepages=off
((free >= 256)) && hugepages=require
/usr/bin/python3 "$here/traffic.py" "$directory" --cpu "$cpu" --hugepages "$hugepages"
"$vxplane" "$directory/$direction.yaml" >"$directory/vxplane.log" 2>&1 &
child=$!
echo "$direction, hugepages: $hugepages, $rounds rounds of $seconds s each, $requests requests/s, worker on CPU $cpu"
taskset -c 0 /usr/bin/python3 - "$directory/vxplane.sock" "$child" "$rounds" "$seconds" "$requests" <<'PYTHON' ||
import json, os, socket, statistics, sys, time

path, pid, rounds, seconds, wanted = sys.argv[1], *(float(word) for word in sys.argv[2:])

def connect():
    for _ in range(100):
        try:
            link = socket.socket(socket.AF_UNIX)
            link.connect(path)
            return link, link.makefile("rb")
        except OSError:
            time.sleep(0.1)
    sys.exit("vxplane does not answer")

link, stream = connect()

def ports():
    link.sendall(b'{"jsonrpc":"2.0","id":1,"method":"ports"}\n')
    return stream.readline()

def control_ticks():  # the main thread is control
    with open(f"/proc/{int(pid)}/task/{int(pid)}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(") ", 1)[1].split()
    return int(fields[11]) + int(fields[12])

def worker_seconds():  # the thread that used most of a CPU; others that want its CPU do not count
    tasks = f"/proc/{int(pid)}/task"
    used = 0
    for task in os.listdir(tasks):
        if task != str(int(pid)):
            with open(f"{tasks}/{task}/schedstat", encoding="ascii") as stat:
                used = max(used, int(stat.read().split()[0]))
    return used / 1e9

def totals():
    rows = json.loads(ports())["result"]
    return worker_seconds(), sum(row["tx"]["packets"] for row in rows), control_ticks(), time.monotonic()

def one_round(rate):
    begin, asked = totals(), 0
    while (passed := time.monotonic() - begin[3]) < seconds:
        if asked < passed * rate:
            ports()
            asked += 1
        else:
            time.sleep(0.0002 if rate else 0.01)
    end = totals()
    passed = end[3] - begin[3]
    cpu = (end[2] - begin[2]) / os.sysconf("SC_CLK_TCK") / passed
    return (end[1] - begin[1]) / (end[0] - begin[0]), asked / passed, cpu

time.sleep(1)
quiet, asked = [], []
for number in range(int(rounds)):
    # Which of the two comes first alternates: a machine that slows down harms both alike.
    for rows, rate in ((quiet, 0), (asked, wanted))[::-1 if number % 2 else 1]:
        rows.append(one_round(rate))
median = lambda rows, column: statistics.median(row[column] for row in rows)
if median(quiet, 0) == 0:
    sys.exit("vxplane sent nothing")
for name, rows in (("quiet", quiet), ("asked", asked)):
    print(f"{name}: median {median(rows, 0) / 1e6:.3f} M packets per second of the worker, best {max(row[0] for row in rows) / 1e6:.3f}, "
          f"{median(rows, 1):.0f} requests/s, control {statistics.mean(row[2] for row in rows):.1%} of a CPU")
ratio = median(asked, 0) / median(quiet, 0)
pairs = statistics.median(a[0] / q[0] for a, q in zip(asked, quiet))
print(f"ratio of medians {ratio:.4f}, median of the ratios of neighbours {pairs:.4f}, "
      f"of best rounds {max(row[0] for row in asked) / max(row[0] for row in quiet):.4f}")
PYTHON
    { echo "rpc_cost.sh: failed" >&2; tail -20 "$directory/vxplane.log" >&2; exit 1; }
