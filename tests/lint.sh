#!/usr/bin/env bash
# Lint of the sources: format, house rules, clang-tidy, shell. usage: tests/lint.sh BUILD_DIR
# BUILD_DIR is a configured meson folder (for compile_commands.json). LINT_ONLY="format rules" picks parts.
# The last line is `N passed, M failed`.
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$(realpath "${1:?usage: tests/lint.sh BUILD_DIR}")
parts=${LINT_ONLY:-format rules shell lua tidy}
passed=0 failed=0
result() {  # result CODE NAME
  if (($1 == 0)); then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  printf '%-6s %s\n' "$([[ $1 == 0 ]] && echo ok || echo FAILED)" "$2"
}

# find and not git: a source archive is linted too.
mapfile -t sources < <(find config dataplane control bench tests -name '*.[ch]pp' -type f | sort)
mapfile -t scripts < <(find config bench tests docker .ci -type f \( -name '*.sh' -o -name entrypoint -o -name run \) | sort)
in_rooms() { printf '%s\n' "${sources[@]}" | grep -E "$1" || true; }

forbid() {  # forbid NAME PATTERN FILES...: no line of these files may match
  local name=$1 pattern=$2 code=0
  shift 2
  (($# == 0)) || ! grep -nE "$pattern" -- "$@" || code=1
  result $code "$name"
}

for part in $parts; do
  case $part in
    format)
      code=0
      printf '%s\0' "${sources[@]}" | xargs -0 -n 20 -P 2 clang-format-14 --dry-run -Werror || code=1
      result $code 'clang-format'
      ;;
    rules)
      mapfile -t all < <(in_rooms .)
      mapfile -t config < <(in_rooms '^config/')
      mapfile -t net < <(in_rooms '^dataplane/net/')
      mapfile -t dataplane < <(in_rooms '^dataplane/')
      mapfile -t headers < <(in_rooms '^(config|dataplane|control)/.*\.hpp$')
      mapfile -t product < <(in_rooms '^(config|dataplane|control)/')
      forbid 'includes name the full path (no ../)' '#include *["<][^">]*\.\./' "${all[@]}"
      forbid 'config/ knows no DPDK' '#include *["<]rte_' "${config[@]}"
      forbid 'dataplane/net knows no DPDK' '#include *["<]rte_' "${net[@]}"
      forbid 'dataplane/ knows no YAML, JSON, log, control' \
        '#include *["<](yaml\.h|(nlohmann|spdlog|CLI|control)/)' "${dataplane[@]}"
      forbid 'no "using namespace" in headers of the product' '^ *using namespace' "${headers[@]}"
      code=0
      for file in "${product[@]}"; do
        lines=$(wc -l <"$file")
        ((lines <= 440)) || { echo "$file: $lines lines (not much over 400)"; code=1; }
      done
      result $code 'no file much above 400 lines'
      code=0
      for folder in $(printf '%s\n' "${product[@]}" | xargs -n 1 dirname | sort -u); do
        [[ -f $folder/README.md ]] || { echo "$folder has no README.md"; code=1; }
      done
      result $code 'every folder has a README.md'
      ;;
    shell)
      code=0
      shellcheck -x -S warning "${scripts[@]}" || code=1
      result $code 'shell scripts'
      ;;
    lua)
      code=0
      for file in bench/pktgen/*.lua; do luac5.4 -p "$file" || code=1; done
      result $code 'Lua syntax'
      code=0
      lua5.4 bench/pktgen/test_lab.lua || code=1
      result $code 'search of bench/pktgen'
      ;;
    tidy)
      # One pass over the product's translation units; headers are seen through them, and in a unity
      # build eight files at once (a fifth of the time). A unit whose content, headers and settings have
      # not changed since it last passed is not looked at again.
      code=0
      cache=$build/tidy-passed
      mkdir -p "$cache"
      mapfile -t units < <(/usr/bin/python3 - "$build" <<'PY'
import json, pathlib, re, sys
build = pathlib.Path(sys.argv[1])
for one in json.loads((build / "compile_commands.json").read_text()):
    if re.match(r"(config|dataplane|control)/", one["output"]):
        print((build / one["file"]).resolve())
PY
      )
      ((${#units[@]} > 0)) || code=1
      context=$( (cat .clang-tidy; in_rooms '^(config|dataplane|control)/.*\.hpp$' | xargs cat) | sha256sum)
      tidy_one() {
        local unit=$1 key
        key=$( (echo "$context"; cat "$unit"; sed -n 's/^#include<\(.*\.cpp\)>$/\1/p' "$unit" | xargs -r cat) | sha256sum)
        key=$cache/${key:0:32}
        [[ ! -e $key ]] || return 0
        clang-tidy-14 -quiet -p "$build" --checks=-bugprone-suspicious-include \
          --extra-arg=-Wno-unknown-warning-option "$unit" 2>&1 |
          { grep -v -E '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -header-filter' || true; } |
          tee "$key.log" >&2
        if grep -q -E 'warning:|error:' "$key.log"; then return 1; fi
        rm -f "$key.log"
        : >"$key"
      }
      export -f tidy_one
      export build cache context
      printf '%s\0' "${units[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c 'tidy_one "$1"' tidy || code=1
      result $code "clang-tidy (${#units[@]} units)"
      ;;
    *) echo "lint: unknown part $part" >&2; exit 2 ;;
  esac
done
echo "$passed passed, $failed failed"
((failed == 0))
