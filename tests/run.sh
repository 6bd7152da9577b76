#!/usr/bin/env bash
# Every test, in one command: installs what is missing, builds, runs all layers, prints a table.
# `--help` lists the layers. The last line is `N passed, M failed`; exit code 0 only if M is 0.
set -Euo pipefail

usage() {
  cat <<'HELP'
usage: sudo tests/run.sh [--fast] [--list] [LAYER...]

layers, in this order (all of them when none is named):
  unit packet oracle  GoogleTest, release build with gcc in build-test
  instructions        callgrind's count of instructions per packet against tests/instructions/baseline.json
  rooms               each folder includes only the folders that it may
  system              the real binaries and the kernel's vxlan in namespaces (pytest; root)
  lint                clang-format, house rules, shellcheck, clang-tidy; meanwhile, when both are wanted
  clang               everything compiles with clang 14 and -Werror, in build-clang
  sanitize            unit, packet and oracle once more in build-clang, under ASan and UBSan
  fuzz                libFuzzer targets, FUZZ_SECONDS each (default 20)

  --fast              without sanitize, clang and fuzz
  --list              print the names of the layers and exit
FUZZ_SECONDS=N, PYTEST_ARGS="-k name" are read from the environment.
HELP
}

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
source_dir=$PWD
# shellcheck source=config/packages.sh
source config/packages.sh

all_layers=(unit packet oracle instructions rooms system lint clang sanitize fuzz)
layers=()
while (($# > 0)); do
  case $1 in
    --fast) layers+=(unit packet oracle instructions rooms system lint) ;;
    --list) printf '%s\n' "${all_layers[@]}"; exit 0 ;;
    -h | --help) usage; exit 0 ;;
    *)
      [[ " ${all_layers[*]} " == *" $1 "* ]] || { echo "run.sh: unknown layer $1 (${all_layers[*]})" >&2; exit 2; }
      layers+=("$1")
      ;;
  esac
  shift
done
((${#layers[@]} > 0)) || layers=("${all_layers[@]}")
wanted() { [[ " ${layers[*]} " == *" $1 "* ]]; }

work=$(mktemp -d /tmp/vxplane-tests.XXXXXX)
trap 'jobs -p | xargs -r kill 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
meson=/usr/bin/meson
[[ -x $meson ]] || meson=meson
export CCACHE_SLOPPINESS=${CCACHE_SLOPPINESS:-time_macros}

total_passed=0 total_failed=0 table=()
record() {  # record LAYER PASSED FAILED SECONDS
  total_passed=$((total_passed + $2)) total_failed=$((total_failed + $3))
  table+=("$(printf '%-22s %7d passed %5d failed %7d s' "$1" "$2" "$3" "$4")")
}
title() { printf '\n==== %s  [%d s since start]\n' "$1" "$SECONDS"; }

# ---- build folders ---------------------------------------------------------------------------

configure() {  # configure DIR CXX OPTIONS...
  local dir=$1 cxx=$2
  shift 2
  if [[ -f $dir/build.ninja ]]; then return 0; fi
  if command -v ccache >/dev/null; then cxx="ccache $cxx"; fi
  CXX=$cxx "$meson" setup "$dir" "$source_dir" "$@" >"$work/setup.log" 2>&1 ||
    { cat "$work/setup.log"; rm -rf "$dir"; return 1; }
}

built=' ' broken=' '
# build LAYER DIR CXX OPTIONS...: once each; a build that fails is one failed test of the layer it fails in.
build() {
  local layer=$1 dir=$2 start=$SECONDS
  [[ $built != *" $dir "* ]] || return 0
  [[ $broken != *" $dir "* ]] || return 1
  shift
  title "build $dir"
  # Each message goes to the screen; the log is for those who look afterwards.
  if configure "$@" && ninja -C "$dir" -k 0 >"$work/ninja.log" 2>&1; then
    built+="$dir "
    record "build ($dir)" 1 0 $((SECONDS - start))
    echo "built in $((SECONDS - start)) s"
    return 0
  fi
  broken+="$dir "
  grep -E -A 12 'error:|FAILED:' "$work/ninja.log" 2>/dev/null | head -n 120
  record "build ($dir)" 0 1 $((SECONDS - start))
  return 1
}
build_release() { build "$1" build-test g++; }
# One build for clang, sanitizers and fuzzers: clang compiles instrumented code in half of gcc's time, and
# little optimisation halves it once more.
# Eight files in one take a third of the time; that each compiles by itself is seen by gcc.
clang_words=(build-clang clang++-14 "-Db_sanitize=address,undefined" -Db_lundef=false -Dfuzzers=true
  -Dbuildtype=debug -Doptimization=1 -Dcpp_args=-g1 --unity=on --unity-size=8)
configure_clang() { configure "${clang_words[@]}"; }
build_clang() {
  if [[ -n $clang_job ]]; then wait "$clang_job" || true; clang_job=''; fi
  build "$1" "${clang_words[@]}"
}

# ---- layers ----------------------------------------------------------------------------------

# Suites of meson: unit, packet, oracle. Cases are counted from the output of GoogleTest itself.
gtest_layer() {  # gtest_layer LAYER DIR SUITES...
  local layer=$1 dir=$2 start=$SECONDS suite passed failed options=()
  shift 2
  title "$layer"
  for suite in "$@"; do
    # meson refuses a suite without tests; none at all is judged below.
    [[ $("$meson" test -C "$dir" --no-rebuild --list --suite "$suite" 2>/dev/null) != *' / '* ]] || options+=(--suite "$suite")
  done
  if ((${#options[@]} == 0)) && [[ $layer == oracle ]]; then
    echo "no tests in this suite"
    return 0
  fi
  local log=$work/$layer.log code=0
  "$meson" test -C "$dir" --no-rebuild --timeout-multiplier 4 --print-errorlogs "${options[@]}" >"$log" 2>&1 || code=$?
  local full=$dir/meson-logs/testlog.txt
  passed=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$full" | awk '{n += $1} END {print n + 0}')
  failed=$(sed -n 's/^ *\([0-9]*\) FAILED TESTS\?$/\1/p' "$full" | awk '{n += $1} END {print n + 0}')
  # A program that crashed, hung or does not exist says neither.
  if ((code != 0 && failed == 0)) || ((passed + failed == 0)); then failed=$((failed + 1)); fi
  if ((failed > 0)); then grep -v -E '^\[ +(RUN|OK) |^\[-+\]|^$' "$log"; else tail -n 12 "$log" | grep -E '^(Ok|Fail|Timeout):' || true; fi
  record "$layer" "$passed" "$failed" $((SECONDS - start))
}

# run_pytest LAYER ARGUMENTS...: records the layer; names of what failed go to $work/LAYER.failed.
run_pytest() {
  local layer=$1 start=$SECONDS passed failed code=0
  shift
  (cd tests/system && VXPLANE_BUILD=$source_dir/build-test PYTHONDONTWRITEBYTECODE=1 \
    /usr/bin/python3 -m pytest -q --tb=short --junitxml="$work/$layer.xml" "$@") 2>&1 || code=$?
  read -r passed failed < <(/usr/bin/python3 - "$work/$layer.xml" "$work/$layer.failed" <<'PY'
import sys, xml.etree.ElementTree as tree
try:
    suite = tree.parse(sys.argv[1]).getroot().find("testsuite")
    bad = int(suite.get("failures")) + int(suite.get("errors"))
    names = {f"{case.get('classname').replace('.', '/')}.py::{case.get('name')}"
             for case in suite.iter("testcase") if case.find("failure") is not None or case.find("error") is not None}
    open(sys.argv[2], "w").write("".join(name + "\n" for name in sorted(names)))
    print(int(suite.get("tests")) - bad - int(suite.get("skipped")), bad)
except Exception:
    print(0, 1)
PY
  )
  if ((code != 0 && failed == 0)); then failed=1; fi
  record "$layer" "$passed" "$failed" $((SECONDS - start))
}
pytest_layer() {
  title "system"
  # shellcheck disable=SC2086  # PYTEST_ARGS is a list of words
  run_pytest system ${PYTEST_ARGS:-}
}
# The system tests shared the machine with lint and a compiler. A test that failed beside them is judged
# by how it does alone, and both are told.
judge_alone() {
  local names before=$total_failed
  mapfile -t names <"$work/system.failed"
  ((${#names[@]} > 0 && ${#names[@]} <= 12)) || return 0
  title "system, what failed beside lint and compilers, alone"
  printf '%s\n' "${names[@]}"
  run_pytest system-alone "${names[@]}"
  if ((total_failed == before)); then
    total_failed=$((total_failed - ${#names[@]}))
    table+=("$(printf '%-22s %7d failed beside lint and compilers, and passed alone' '' "${#names[@]}")")
  fi
}

counted_layer() {  # counted_layer LAYER COMMAND...: the command's last line is `N passed, M failed`
  local layer=$1 start=$SECONDS code=0 passed=0 failed=0
  shift
  title "$layer"
  "$@" 2>&1 | tee "$work/$layer.log" || code=1
  if ! read -r passed failed < <(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$work/$layer.log" | tail -n 1); then
    passed=0 failed=1
  fi
  if ((code != 0 && failed == 0)); then failed=1; fi
  record "$layer" "$passed" "$failed" $((SECONDS - start))
}

instructions_layer() {
  configure build-test g++ || return 1
  # Compiled for callgrind alone, hence not with the rest.
  ninja -C build-test tests/instructions/count-instructions >"$work/count.log" 2>&1 || { tail -n 40 "$work/count.log"; return 1; }
  tests/instructions/gate.py build-test
}

skip_layer() { record "$1" 0 1 0; }

# Lint, and then the clang build, use the time in which the system tests sleep.
lint_job='' lint_code=0 clang_job='' lint_build=build-test
start_in_background() {
  # clang-tidy, too, is faster over the units of the unity build.
  if wanted clang && configure_clang; then lint_build=build-clang; fi
  nice -n 19 tests/lint.sh "$lint_build" >"$work/lint.out" 2>&1 &
  lint_job=$!
  wanted clang || return 0
  { tail --pid="$lint_job" -f /dev/null; configure_clang && nice -n 19 ninja -C build-clang -k 0; } >"$work/clang.out" 2>&1 &
  clang_job=$!
}
lint_layer() {
  if [[ ! -f $work/lint.out ]]; then tests/lint.sh "$lint_build"; return; fi
  cat "$work/lint.out"
  return "$lint_code"
}

if [[ $(id -u) != 0 ]] && wanted system; then
  echo "run.sh: the system tests need root: sudo tests/run.sh (or name other layers)" >&2
  exit 2
fi
title packages
install_packages "$work/apt.log" "${packages_build[@]}" "${packages_lab[@]}" "${packages_test[@]}" ||
  { tail -n 20 "$work/apt.log"; exit 2; }

for layer in "${all_layers[@]}"; do
  wanted "$layer" || continue
  if [[ $layer == system ]] && wanted lint && configure build-test g++; then start_in_background; fi
  case $layer in
    unit | packet | oracle) if build_release "$layer"; then gtest_layer "$layer" build-test "$layer"; else skip_layer "$layer"; fi ;;
    instructions) counted_layer instructions instructions_layer ;;
    rooms) if configure build-test g++; then counted_layer rooms /usr/bin/python3 tests/rooms/check.py build-test; else skip_layer rooms; fi ;;
    system) if build_release "$layer"; then pytest_layer; else skip_layer system; fi ;;
    lint)
      if [[ -n $lint_job ]]; then wait "$lint_job" || lint_code=$?; fi
      if configure build-test g++; then counted_layer lint lint_layer; else skip_layer lint; fi
      ;;
    sanitize)
      export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:strict_string_checks=1} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
      if build_clang "$layer"; then gtest_layer sanitize build-clang unit packet oracle; else skip_layer sanitize; fi
      ;;
    clang) build_clang "$layer" || true ;;
    fuzz) if build_clang "$layer"; then counted_layer fuzz tests/fuzz.sh build-clang; else skip_layer fuzz; fi ;;
  esac
done

if [[ -s $work/system.failed && -f $work/lint.out ]]; then judge_alone; fi

printf '\n'
printf '%s\n' "${table[@]}"
printf '%-22s %7d passed %5d failed %7d s\n\n' total "$total_passed" "$total_failed" "$SECONDS"
echo "$total_passed passed, $total_failed failed"
((total_failed == 0))
