#!/bin/bash
# vxplane beside its peers: testpmd's io-forward (which touches no packet: the floor), OVS-DPDK with and
# without its exact-match cache, and the kernel's own vxlan, in turn, on the same frames, through the
# same vdevs, each on one core. Installs what is missing, builds if there is no build, measures, and draws
# what it measured with -o. `run.sh --help` names the options; about 10 minutes, --quick: 2.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")
[[ $(id -u) = 0 ]] || { echo "run.sh: root is needed, for hugepages, namespaces and packages" >&2; exit 1; }

build=$root/build output='' previous=''
for word; do
    [[ $word != --help && $word != -h ]] || exec /usr/bin/python3 -B "$here/compare.py" --help
    case $previous in
        -b | --build) build=$(realpath -m "$word") ;;
        -o | --output) output=$word ;;
    esac
    [[ $word != --build=* ]] || build=$(realpath -m "${word#*=}")
    [[ $word != --output=* ]] || output=${word#*=}
    previous=$word
done

# shellcheck source=config/packages.sh
source "$root/config/packages.sh"
log=$(mktemp)
install_packages "$log" "${packages_compare[@]}" || { tail -5 "$log" >&2; exit 1; }
# A build that was named and is there is measured as it is.
if [[ $build = "$root/build" || ! -x $build/control/vxplane || ! -x $build/control/ctl/vxctl ]]; then
    install_packages "$log" "${packages_build[@]}" || { tail -5 "$log" >&2; exit 1; }
    [[ -d $build ]] || meson setup "$build" "$root" >>"$log"
    ninja -C "$build" control/vxplane control/ctl/vxctl >>"$log" || { tail -20 "$log" >&2; exit 1; }
fi
rm -f "$log"

/usr/bin/python3 -B "$here/compare.py" --build "$build" "$@"
[[ -z $output ]] || /usr/bin/python3 "$here/plot.py" "$output"
