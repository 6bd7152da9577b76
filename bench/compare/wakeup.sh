#!/bin/bash
# Delay of the first frame after a silence, and CPU while idle, by idle policy (RP-83).
# usage: wakeup.sh [-b BUILD] [options of wakeup.py]
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
build=$here/../../build
if [[ ${1-} == -b ]]; then
    build=$2
    shift 2
fi
[[ -x $build/control/vxplane ]] || { echo "wakeup.sh: $build/control/vxplane is not there" >&2; exit 1; }
VXPLANE_BUILD=$(readlink -f "$build") exec /usr/bin/python3 "$here/wakeup.py" "$@"
