#!/usr/bin/env bash
# The main job, from a bare Debian 12 to traffic: installs what is missing, builds, and runs vxplane
# as a VTEP between a namespace ("tenant") and a plain Linux kernel VTEP in another ("peer").
# `--help` has the options and the picture.
set -Eeuo pipefail

usage() {
  cat <<'HELP'
usage: sudo config/quickstart.sh [options]

   tenant namespace          vxplane                      peer namespace
   10.0.0.1/24        tap   +---------------------+  tap   192.0.2.2/24
   fd00::1/64  -------------| access    underlay  |--------- vxlan100 (the kernel's)
   mtu 1450                 | VNI 100   192.0.2.1 |          10.0.0.2/24 fd00::2/64
                            +---------------------+

Both cables are net_tap ports of DPDK whose kernel ends are moved into the namespaces. A tap makes
the kernel finish checksums and cut large packets by itself, so that what the peer sends is what a
wire would carry; a veth would need its offloads turned off first.

  --hugepages N    reserve N hugepages of 2 MB for the run (default 256); the old number comes back
  --no-huge        run on ordinary pages
  --seconds N      length of each iperf3 run (default 3)
  --keep           leave everything running, and print how to play with it
  --clean          remove what --keep left, and exit
  --build-dir DIR  where to build (default: build, beside this checkout's README.md)
  -h, --help       this text
HELP
}

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly source_dir state_root=/run/vxplane
# shellcheck source=config/packages.sh
source "$source_dir/config/packages.sh"

hugepages=256 keep=no clean_only=no seconds=3 build_dir=$source_dir/build
while (($# > 0)); do
  case $1 in
    --hugepages) hugepages=${2:?--hugepages needs a number}; shift ;;
    --no-huge) hugepages=0 ;;
    --seconds) seconds=${2:?--seconds needs a number}; shift ;;
    --build-dir) build_dir=$(realpath -m "${2:?--build-dir needs a folder}"); shift ;;
    --keep) keep=yes ;;
    --clean) clean_only=yes ;;
    -h | --help) usage; exit 0 ;;
    *) echo "quickstart: unknown option $1 (see --help)" >&2; exit 2 ;;
  esac
  shift
done
for number in "$hugepages" "$seconds"; do
  [[ $number =~ ^[0-9]+$ ]] || { echo "quickstart: '$number' is not a number" >&2; exit 2; }
done
[[ $(id -u) == 0 ]] || { echo "quickstart: needs root (sudo config/quickstart.sh)" >&2; exit 2; }

# ---- words on the screen ---------------------------------------------------------------------

bold='' red='' plain=''
if [[ -t 1 ]]; then bold=$'\e[1m' red=$'\e[31m' plain=$'\e[0m'; fi
step_name='start' step_hint='' step_log='' succeeded=no
step() {  # step NAME HINT [LOG]: what is done now, what to try if it fails, where it writes
  step_name=$1 step_hint=$2 step_log=${3:-}
  printf '%s[%4ds] %s%s\n' "$bold" "$SECONDS" "$1" "$plain"
}
say() { printf '        %s\n' "$*"; }
indent() { sed 's/^/        /'; }
show() {  # show COMMAND...: prints the command as a person would type it, then its output
  say "\$ ${*//$build_dir\//}"
  "$@" 2>&1 | indent
}
explain_failure() {
  printf '\n%sFAILED%s after %ds in step: %s\n' "$red" "$plain" "$SECONDS" "$step_name" >&2
  local log
  for log in "$step_log" "${run_dir:-}/vxplane.log"; do
    if [[ -n $log && -s $log ]]; then
      printf '\nlast lines of %s:\n' "$log" >&2
      tail -n 20 "$log" | sed 's/^/  | /' >&2
    fi
  done
  [[ -z $step_hint ]] || printf '\nwhat to do: %s\n' "$step_hint" >&2
}

# ---- what was made, and its removal ----------------------------------------------------------
# The state file lists what exists, so that another run of this script (--clean) can remove it too.

run_dir='' failed_copy=''
remember() { printf '%s\n' "$*" >>"$run_dir/state"; }

# A pid alone may be somebody else's by now: its start time (field 22 of stat) tells.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }
remember_process() { remember process "$1" "$(started_at "$1")"; }
is_running() {  # is_running PID START
  [[ -n $2 && $(started_at "$1") == "$2" && $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) != Z* ]]
}
stop_process() {  # stop_process PID START
  local i
  is_running "$1" "$2" || return 0
  kill -TERM "$1" 2>/dev/null || return 0
  for ((i = 0; i < 50; i++)); do
    is_running "$1" "$2" || return 0
    sleep 0.1
  done
  say "pid $1 did not stop within 5 s; killing it"
  kill -KILL "$1" 2>/dev/null || true
}

clean_run() {  # clean_run DIR: undoes a state file, last line first
  local dir=$1 word a b
  [[ -r $dir/state ]] || return 0
  while read -r word a b; do
    case $word in
      process) stop_process "$a" "$b" ;;
      namespace) if [[ -e /run/netns/$a ]]; then ip netns del "$a"; fi ;;
      hugepages) echo "$a" >/proc/sys/vm/nr_hugepages ;;
      mount) umount "$a" 2>/dev/null || true; rmdir "$a" 2>/dev/null || true ;;
    esac
  done < <(tac "$dir/state")
  rm -rf "$dir"
}

on_exit() {
  local code=$?
  trap - EXIT INT TERM HUP ERR
  set +e
  if [[ $succeeded != yes && $clean_only == no ]]; then
    ((code != 0)) || code=1
    explain_failure
  fi
  if [[ -n $run_dir && ! ($succeeded == yes && $keep == yes) ]]; then
    if [[ $succeeded != yes && -s $run_dir/vxplane.log ]]; then
      failed_copy=$(mktemp -d /tmp/vxplane-quickstart.XXXXXX)
      cp "$run_dir"/*.log "$run_dir"/*.yaml "$failed_copy" 2>/dev/null
      printf '\nlogs kept in %s\n' "$failed_copy" >&2
    fi
    clean_run "$run_dir"
    printf '%s[%4ds] cleaned up%s\n' "$bold" "$SECONDS" "$plain"
  fi
  exit "$code"
}
trap on_exit EXIT
trap 'step_hint="interrupted by a signal; run it again"; exit 130' INT TERM HUP

if [[ $clean_only == yes ]]; then
  count=0
  for dir in "$state_root"/quickstart.*; do
    [[ -d $dir ]] || continue
    read -r word owner start <"$dir/state" || true
    if [[ $word == owner ]] && is_running "$owner" "$start"; then
      echo "quickstart: $dir belongs to a run that goes on (pid $owner): left alone"
      continue
    fi
    clean_run "$dir"
    count=$((count + 1))
  done
  echo "quickstart: removed $count kept run(s)"
  exit 0
fi

# ---- build -----------------------------------------------------------------------------------

mkdir -p "$state_root"
run_dir=$(mktemp -d "$state_root/quickstart.XXXXXX")
main_log=$run_dir/quickstart.log
echo "owner $$ $(started_at $$)" >"$run_dir/state"

step "packages" "look at the words of apt above; is the machine Debian 12, and does 'apt-get update' work?" "$main_log"
install_packages "$main_log" "${packages_build[@]}" "${packages_lab[@]}" | indent

step "build in $build_dir" "remove $build_dir and try again; the whole log is that of ninja" "$main_log"
meson=/usr/bin/meson
[[ -x $meson ]] || meson=meson
if [[ ! -f $build_dir/build.ninja ]]; then
  "$meson" setup "$build_dir" "$source_dir" -Dtests=false -Dbenches=false >>"$main_log" 2>&1
fi
if [[ -t 1 ]]; then
  NINJA_STATUS='        %f/%t ' ninja -C "$build_dir" control/vxplane control/ctl/vxctl 2>&1 | tee -a "$main_log"
else
  ninja -C "$build_dir" control/vxplane control/ctl/vxctl >>"$main_log" 2>&1
fi
readonly vxplane=$build_dir/control/vxplane vxctl=$build_dir/control/ctl/vxctl
say "$("$vxplane" --version)"

# ---- hugepages -------------------------------------------------------------------------------

hugepages_word=off memory=256
if ((hugepages > 0)); then
  step "hugepages" "run with --no-huge"
  old_pages=$(</proc/sys/vm/nr_hugepages)
  free_pages=$(awk '/^HugePages_Free:/ {print $2}' /proc/meminfo)
  if ((free_pages < hugepages)); then
    remember hugepages "$old_pages"
    echo $((old_pages + hugepages - free_pages)) >/proc/sys/vm/nr_hugepages || true
    free_pages=$(awk '/^HugePages_Free:/ {print $2}' /proc/meminfo)
  fi
  if ((free_pages >= hugepages)); then
    if ! grep -q ' hugetlbfs ' /proc/mounts; then
      mkdir -p /dev/hugepages
      mount -t hugetlbfs none /dev/hugepages
      remember mount /dev/hugepages
    fi
    hugepages_word=require memory=$((hugepages * 2))
    say "$hugepages pages of 2 MB are free for us"
  else
    echo "$old_pages" >/proc/sys/vm/nr_hugepages
    say "the kernel gave only $free_pages of $hugepages pages: running without"
  fi
fi

# ---- topology and daemon ---------------------------------------------------------------------

readonly id=$$
readonly tenant=vxq$id-tenant peer=vxq$id-peer tap_tenant=vxq${id}t tap_peer=vxq${id}p
readonly socket=$run_dir/vxplane.sock topology=$run_dir/topology.yaml

step "namespaces $tenant and $peer" "does the kernel have network namespaces (CONFIG_NET_NS)?"
for namespace in "$tenant" "$peer"; do
  ip netns add "$namespace"
  remember namespace "$namespace"
  ip -n "$namespace" link set lo up
done

step "topology" "the file is not accepted by this build: see the message above"
cat >"$topology" <<YAML
version: 1
system:
  memory: ${memory}M
  hugepages: $hugepages_word
  socket: $socket
ports:
  uplink0:
    device: "net_tap0,iface=$tap_peer"
    role: underlay
    addresses: [192.0.2.1/24]
  tenant0:
    device: "net_tap1,iface=$tap_tenant"
    role: access
vxlans:
  vxlan100:
    id: 100
    local: 192.0.2.1
    remote: 192.0.2.2
    dstport: 4789
    ports: [tenant0]
YAML
"$vxplane" --check "$topology" | indent
indent <"$topology"

start_daemon() {
  # Its own session: --keep must survive the end of this terminal.
  setsid "$vxplane" "$topology" >"$run_dir/vxplane.log" 2>&1 </dev/null &
  daemon=$!
  remember_process "$daemon"
  local i
  for ((i = 0; i < 150; i++)); do
    if "$vxctl" -s "$socket" version >/dev/null 2>&1; then return 0; fi
    kill -0 "$daemon" 2>/dev/null || { say "vxplane has ended"; return 1; }
    sleep 0.1
  done
  say "vxplane does not answer on $socket after 15 s"
  return 1
}
step "vxplane" "the log above says why; try --no-huge, and see 'dmesg' for the kernel's side"
start_daemon
say "pid $daemon, socket $socket"

step "kernel sides" "needs tun/tap and vxlan in the kernel: modprobe tun vxlan"
ip link set "$tap_tenant" netns "$tenant"
ip -n "$tenant" link set "$tap_tenant" mtu 1450 up
ip -n "$tenant" address add 10.0.0.1/24 dev "$tap_tenant"
ip -n "$tenant" address add fd00::1/64 dev "$tap_tenant" nodad
ip link set "$tap_peer" netns "$peer"
ip -n "$peer" link set "$tap_peer" up
ip -n "$peer" address add 192.0.2.2/24 dev "$tap_peer"
ip -n "$peer" link add vxlan100 type vxlan id 100 dstport 4789 local 192.0.2.2 remote 192.0.2.1
ip -n "$peer" link set vxlan100 up
ip -n "$peer" address add 10.0.0.2/24 dev vxlan100
ip -n "$peer" address add fd00::2/64 dev vxlan100 nodad

# ---- traffic ---------------------------------------------------------------------------------

in_tenant() { ip netns exec "$tenant" "$@"; }
# For the foreground only: in the background a function is a shell of its own, and its pid not the program's.
in_peer() { ip netns exec "$peer" "$@"; }
inspect_hint="run with --keep, then look at 'vxctl drops' and at tcpdump on both taps"

step "ping, both ways, IPv4 and IPv6" "$inspect_hint"
ping_line() {  # ping_line LABEL COMMAND...
  local label=$1 output
  shift
  if ! output=$("$@" 2>&1); then
    printf '%s\n' "$output" | indent
    return 1
  fi
  say "$label: $(grep -E 'packets transmitted' <<<"$output"), $(tail -n 1 <<<"$output")"
}
ping_line "tenant -> peer IPv4" in_tenant ping -c 5 -i 0.2 -W 2 10.0.0.2
ping_line "tenant -> peer IPv6" in_tenant ping -c 5 -i 0.2 -W 2 fd00::2
ping_line "peer -> tenant IPv4" in_peer ping -c 5 -i 0.2 -W 2 10.0.0.1
ping_line "peer -> tenant IPv6" in_peer ping -c 5 -i 0.2 -W 2 fd00::1
ping_line "largest frame, DF  " in_tenant ping -c 3 -i 0.2 -W 2 -M "do" -s 1422 10.0.0.2

step "iperf3, $seconds s each" "$inspect_hint"
ip netns exec "$peer" iperf3 -s -B 10.0.0.2 >"$run_dir/iperf3.log" 2>&1 &
iperf_server=$!
remember_process "$iperf_server"
sleep 0.5
iperf_line() {  # iperf_line LABEL OPTIONS...
  local label=$1 output
  shift
  if ! output=$(in_tenant timeout $((seconds + 15)) iperf3 -c 10.0.0.2 -t "$seconds" -f m "$@" 2>&1); then
    printf '%s\n' "$output" | indent
    return 1
  fi
  say "$label: $(grep -E 'receiver' <<<"$output" | tail -n 1 | sed -E 's/^\[ *[0-9SUM]+\] *//')"
}
iperf_line "TCP tenant -> peer"
iperf_line "TCP peer -> tenant" -R
iperf_line "UDP tenant -> peer" -u -b 100M -l 1200
iperf_line "UDP peer -> tenant" -u -b 100M -l 1200 -R
stop_process "$iperf_server" "$(started_at "$iperf_server")"

step "one VXLAN frame on the underlay, decoded" "is tcpdump allowed to open packet sockets here?"
ip netns exec "$peer" tcpdump -i "$tap_peer" -U -c 1 -w "$run_dir/underlay.pcap" 'udp dst port 4789 and ip src 192.0.2.1' \
  >"$run_dir/tcpdump.log" 2>&1 &
capture=$!
remember_process "$capture"
sleep 1
in_tenant ping -c 3 -i 0.2 -W 2 10.0.0.2 >/dev/null
for ((i = 0; i < 50; i++)); do kill -0 "$capture" 2>/dev/null || break; sleep 0.1; done
show tcpdump -nn -e -v -X -c 1 -r "$run_dir/underlay.pcap" 2>&1 | grep -v 'reading from file'

step "statistics" "is the daemon still running? see its log above"
for verb in port worker segment fdb neigh drops; do
  show "$vxctl" -s "$socket" "$verb"
  echo
done
kill -0 "$daemon"

if [[ $keep == yes ]]; then
  succeeded=yes
  disown -a
  cat <<PLAY

${bold}Left running.${plain} To play:
  alias vxctl='$vxctl -s $socket'
  vxctl fdb                                            what was learned
  vxctl --watch 1 port                                 rates, live
  ip netns exec $tenant ping 10.0.0.2
  ip netns exec $peer tcpdump -ni $tap_peer udp port 4789
  ip netns exec $peer bridge fdb show dev vxlan100     the same story, told by the kernel
  less $run_dir/vxplane.log
To remove everything:
  sudo config/quickstart.sh --clean
PLAY
  exit 0
fi

step "stop" "vxplane did not stop cleanly: its log is above"
kill -TERM "$daemon"
code=0
wait "$daemon" || code=$?
((code == 0)) || { say "vxplane ended with code $code"; false; }
say "vxplane stopped, exit code 0"
succeeded=yes
printf '%s[%4ds] everything works%s\n' "$bold" "$SECONDS" "$plain"
