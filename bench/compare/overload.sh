#!/bin/bash
# The daemon at twice of what it can carry: goodput, drops by place, and how fast control answers.
# usage: overload.sh [-b BUILD] [options of overload.py]
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
build=$here/../../build
if [[ ${1-} == -b ]]; then
    build=$2
    shift 2
fi
[[ -x $build/control/vxplane ]] || { echo "overload.sh: $build/control/vxplane is not there" >&2; exit 1; }
VXPLANE_BUILD=$(readlink -f "$build") exec /usr/bin/python3 "$here/overload.py" "$@"
