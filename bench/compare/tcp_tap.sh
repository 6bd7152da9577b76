#!/bin/bash
# TCP through taps, with and without merging, beside the kernel's own vxlan between the same namespaces.
# usage: tcp_tap.sh [-b BUILD] [options of tcp_tap.py]
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
build=$here/../../build
if [[ ${1-} == -b ]]; then
    build=$2
    shift 2
fi
[[ -x $build/control/vxplane ]] || { echo "tcp_tap.sh: $build/control/vxplane is not there" >&2; exit 1; }
VXPLANE_BUILD=$(readlink -f "$build") exec /usr/bin/python3 -B "$here/tcp_tap.py" "$@"
