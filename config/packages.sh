# shellcheck shell=bash disable=SC2034
# The Debian packages that vxplane needs, and the one way to install those that are missing. Sourced
# by config/quickstart.sh, tests/run.sh, bench/compare/run.sh and docker/Dockerfile; it runs nothing by itself.

packages_build=(build-essential ca-certificates pkg-config meson ninja-build libdpdk-dev libyaml-dev
  libspdlog-dev libcli11-dev nlohmann-json3-dev libpcap-dev)
packages_lab=(iproute2 iputils-ping iperf3 tcpdump)
packages_test=(libgtest-dev libbenchmark-dev ccache clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev
  llvm-14 python3 python3-pytest python3-scapy python3-jsonschema python3-yaml curl ethtool nftables procps shellcheck
  valgrind lua5.4)
# What bench/compare/run.sh sets beside vxplane, and draws with.
packages_compare=(dpdk openvswitch-switch-dpdk openvswitch-common iproute2 nftables tcpdump python3-scapy python3-matplotlib)
# Shared libraries of the running daemon; librte-meta-all brings every DPDK driver.
packages_runtime=(librte-meta-all libyaml-0-2 libspdlog1.10 libfmt9 libpcap0.8 iproute2)

# missing_packages NAME...: prints those that dpkg does not have as installed.
missing_packages() {
  local name
  for name in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null) == ii* ]] || printf '%s\n' "$name"
  done
}

# install_packages LOG NAME...: installs what is missing, writes apt's words to LOG, prints one line.
install_packages() {
  local log=$1 missing
  shift
  mapfile -t missing < <(missing_packages "$@")
  if ((${#missing[@]} == 0)); then
    echo "all $# packages are installed"
    return 0
  fi
  if [[ $(id -u) != 0 ]]; then
    echo "missing packages, and only root can install them: ${missing[*]}" >&2
    return 1
  fi
  echo "installing ${#missing[@]} packages: ${missing[*]}"
  # The second try follows a fresh package list: a stale one names files that are gone.
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y -q --no-install-recommends "${missing[@]}" >>"$log" 2>&1 ||
    { apt-get update -q >>"$log" 2>&1 &&
      apt-get install -y -q --no-install-recommends "${missing[@]}" >>"$log" 2>&1; }
}
