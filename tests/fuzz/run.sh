#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Fuzzes the readers of files, each for the given number of seconds (60), as many at a time as there are cores:
#   bash tests/fuzz/run.sh [seconds] [stem…]
# Inputs that were found are kept in $BUILD_DIR/fuzz/<stem>; an input that fails is written beside them. Skipped where
# clang cannot link libFuzzer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cmake/install_packages.sh
install_packages clang libclang-rt-dev nlohmann-json3-dev
SECONDS=0
export seconds=${1:-60} build=${BUILD_DIR:-build}/fuzz
shift $(($# > 0))
[ $# -gt 0 ] || set -- $(cd tests/fuzz && ls ./*_fuzz.cpp | sed 's|./\(.*\)_fuzz.cpp|\1|')
flags="-std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Iinclude -Itests"
export flags
mkdir -p "$build"
if ! echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
  clang++ $flags -x c++ - -o "$build/probe" 2>/dev/null; then
  echo "skipped: clang++ cannot link libFuzzer" >&2
  exit 0
fi
fuzz() {  # stem
  mkdir -p "$build/$1"
  local log=$build/$1.log seeds=tests/fuzz/seeds/$1
  clang++ $flags "tests/fuzz/$1_fuzz.cpp" -o "$build/$1_fuzz" &&
    "$build/$1_fuzz" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 -verbosity=0 \
      -print_final_stats=1 -artifact_prefix="$build/$1_" "$build/$1" $([ -d "$seeds" ] && echo "$seeds") \
      >"$log" 2>&1 || {
    cat "$log"
    echo "$1: failed"
    return 1
  }
  echo "$1: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, none failed"
}
export -f fuzz
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -c 'fuzz {}'
echo "tests/fuzz/run.sh: $((SECONDS / 60)) min $((SECONDS % 60)) s"
