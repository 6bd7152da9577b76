#!/usr/bin/env bash
# Runs every libFuzzer target of a build folder, FUZZ_SECONDS each (default 20), two at a time.
# usage: tests/fuzz.sh BUILD_DIR [TARGET...]     (a build with -Dfuzzers=true under clang)
# Seeds are tests/fuzz/corpus/TARGET; what is found new is kept in BUILD_DIR/corpus/TARGET, and the
# input of a crash in BUILD_DIR/crashes. The last line is `N passed, M failed`.
set -Euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
build=$(realpath "${1:?usage: tests/fuzz.sh BUILD_DIR [TARGET...]}")
shift
seconds=${FUZZ_SECONDS:-20}
mapfile -t targets < <(find "$build/tests/fuzz" -maxdepth 1 -type f -executable 2>/dev/null | sort)
if (($# > 0)); then targets=("${@/#/$build/tests/fuzz/}"); fi
mkdir -p "$build/crashes"

fuzz_one() {
  local target=$1 name corpus log code=0
  name=$(basename "$target")
  corpus=$build/corpus/$name
  log=$build/corpus/$name.log
  mkdir -p "$corpus"
  local seeds=()
  [[ ! -d tests/fuzz/corpus/$name ]] || seeds=("tests/fuzz/corpus/$name")
  ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1} "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 -artifact_prefix="$build/crashes/$name-" "$corpus" "${seeds[@]}" >"$log" 2>&1 || code=$?
  if ((code == 0)); then
    echo "ok     $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, corpus $(find "$corpus" -type f | wc -l)"
  else
    tail -n 40 "$log"
    echo "FAILED $name (code $code, input in $build/crashes)"
  fi
  return "$code"
}
export -f fuzz_one
export build seconds

if ((${#targets[@]} == 0)); then
  echo "no fuzz targets in $build/tests/fuzz"
  echo "0 passed, 1 failed"
  exit 1
fi
# shellcheck disable=SC2016  # $1 belongs to the inner shell
printf '%s\0' "${targets[@]}" | xargs -0 -n 1 -P 2 bash -c 'fuzz_one "$1"' fuzz 2>&1 | tee "$build/fuzz.log"
passed=$(grep -c '^ok ' "$build/fuzz.log")
failed=$((${#targets[@]} - passed))
echo "$passed passed, $failed failed"
((failed == 0))
