#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# routing/sink.hpp, copied into an engine without hone: C++17, no exceptions, no RTTI, no allocation, the same bits on
# every compiler and under every instruction set; under -Ofast NaN is still seen.
. tests/checks/common.sh
failed=0
complain() { echo "$1"; failed=1; }
cp include/hone/routing/sink.hpp tests/checks/sink/engine.cpp "$work"
if grep '#include' "$work/sink.hpp" | grep -v '<c\?[a-z]*>' | grep -v '"hone/core/flags.hpp"'; then
  complain "sink.hpp includes more than the standard library"
fi
cd "$work"
run() {  # compiler flags
  if ! $1 -std=c++17 -fno-exceptions -fno-rtti $warnings $2 engine.cpp -o engine >log 2>&1; then
    complain "$1 $2: does not compile"
    head -n 5 log
  elif ! ./engine >result; then
    complain "$1 $2: wrong"
  fi
}
for compiler in $(compilers); do
  sets=("-O0" "-O2" "-O3 -march=native" "-O2 -ffp-contract=fast -frounding-math")
  if [[ $($compiler -dumpmachine) == x86_64* ]]; then sets+=("-O2 -mavx" "-O2 -mavx2 -mfma"); fi
  for flags in "${sets[@]}"; do
    run $compiler "$flags"
    [ -e expected ] || cp result expected
    cmp -s result expected || complain "$compiler $flags: $(cat result) is not $(cat expected)"
  done
  run $compiler "-Ofast -march=native"
  echo "$compiler: ${#sets[@]} builds, $(cat expected)"
done
exit $failed
