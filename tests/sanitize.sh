#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# AddressSanitizer and UBSan over what makes loss rows and solves, ThreadSanitizer over what has threads. What reads
# files is fuzzed under both (tests/fuzz/run.sh). Other folders of tests: bash tests/sanitize.sh asan io policy, or tsan
# transformer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
SECONDS=0
sanitize() {  # preset folder…
  local preset=$1 build=${BUILD_DIR:-build}-$1
  shift
  mkdir -p "$build"
  cmake --preset "$preset" -B "$build" >"$build/configure.log"
  cmake --build "$build" --target $(printf 'test_%s ' "$@")
  ctest --test-dir "$build" --output-on-failure -R "^($(IFS='|'; echo "$*"))$"
}
if [ $# -gt 0 ]; then
  sanitize "$@"
else
  sanitize asan loss linalg
  sanitize tsan core distributed
fi
echo "tests/sanitize.sh: $((SECONDS / 60)) min $((SECONDS % 60)) s"
