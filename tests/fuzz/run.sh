#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Fuzzes the readers of files, each for the given number of seconds (60): bash tests/fuzz/run.sh [seconds] [stem…]
# Inputs that were found are kept in $BUILD_DIR/fuzz/<stem>; an input that fails is written beside them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cmake/install_packages.sh
install_packages clang libclang-rt-dev nlohmann-json3-dev
seconds=${1:-60}
shift $(($# > 0))
[ $# -gt 0 ] || set -- $(cd tests/fuzz && ls ./*_fuzz.cpp | sed 's|./\(.*\)_fuzz.cpp|\1|')
build=${BUILD_DIR:-build}/fuzz
for stem in "$@"; do
  mkdir -p "$build/$stem"
  clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Iinclude -Itests \
    "tests/fuzz/${stem}_fuzz.cpp" -o "$build/${stem}_fuzz"
  seeds=tests/fuzz/seeds/$stem
  "$build/${stem}_fuzz" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 -verbosity=0 \
    -print_final_stats=1 -artifact_prefix="$build/${stem}_" "$build/$stem" $([ -d "$seeds" ] && echo "$seeds")
done
