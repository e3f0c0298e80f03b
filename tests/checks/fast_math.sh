#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Every part of -ffast-math that changes results is refused with its sentence, by every header; flags that are not
# refused give right results; an -Ofast program with hone in a unit of its own is right. On g++, clang++ and whichever
# other versions are installed.
. tests/checks/common.sh
failed=0
complain() { echo "$1"; failed=1; }
refused() {  # compiler flags sentence
  if $1 -std=c++20 $includes $2 -c tests/checks/fast_math/refused.cpp -o "$work/refused.o" >"$work/log" 2>&1; then
    complain "$1 $2: compiles"
  elif ! grep -q "$3" "$work/log"; then
    complain "$1 $2: refused without saying: $3"
    head -n 3 "$work/log"
  fi
}
right() {  # compiler flags
  if ! $1 -std=c++20 $includes -w $2 tests/checks/fast_math/right.cpp -o "$work/right" >"$work/log" 2>&1; then
    complain "$1 $2: does not compile"
    head -n 3 "$work/log"
  else
    "$work/right" || complain "$1 $2: wrong"
  fi
}
all=$(compilers)
for compiler in clang++-16 clang++-19 g++-14; do
  if command -v $compiler >/dev/null; then all+=" $compiler"; else echo "skipped: no $compiler" >&2; fi
done
for compiler in $all; do
  refused $compiler -Ofast "hone: -ffast-math and -Ofast"
  refused $compiler "-O0 -ffast-math" "hone: -ffast-math and -Ofast"
  refused $compiler "-O2 -ffinite-math-only" "hone: -ffinite-math-only"
  for level in -O1 -O2 -O3 -Os; do
    refused $compiler "$level -fassociative-math -fno-signed-zeros -fno-trapping-math" "hone: -fassociative-math"
    refused $compiler "$level -funsafe-math-optimizations" "hone: -f"
    refused $compiler "$level -freciprocal-math" "hone: -freciprocal-math"
    refused $compiler "$level -fno-signed-zeros" "hone: -fno-signed-zeros"
    if [[ $compiler == clang* ]]; then
      refused $compiler "$level -fno-honor-nans" "hone: -fno-honor-nans"
      refused $compiler "$level -fno-honor-infinities" "hone: -fno-honor-infinities"
    fi
  done
  right $compiler -O2
  # Either compiler ignores it where zeros have signs.
  right $compiler "-O2 -fassociative-math"
  right $compiler "-Ofast -fno-fast-math"
  right $compiler "-O3 -march=native -ffp-contract=fast -fno-math-errno -fno-trapping-math"
  right $compiler "-O2 -frounding-math"
  if [[ $compiler == clang* ]]; then
    right $compiler "-O2 -march=native -fapprox-func"
    right $compiler "-O0 -fno-honor-nans -freciprocal-math"  # nobody is asked there
  else
    refused $compiler "-O2 -fsingle-precision-constant" "hone: a flag such as -fsingle-precision-constant"
    refused $compiler "-O2 -DWITH_PRAGMA" "hone: -f"
  fi
  # An engine with -Ofast and hone in a unit of its own. Linked with -Ofast the process flushes denormals.
  engine=tests/checks/fast_math/engine.cpp unit=tests/checks/fast_math/unit.cpp
  $compiler -std=c++20 -w -Ofast -c "$engine" -o "$work/engine.o"
  $compiler -std=c++20 $includes -Ofast -fno-fast-math -c "$unit" -o "$work/unit.o"
  for link in -Ofast -O3; do
    $compiler $link "$work/engine.o" "$work/unit.o" -o "$work/engine"
    "$work/engine" >"$work/log" || complain "$compiler, linked with $link: wrong"
    echo "$compiler, linked with $link: $(cat "$work/log")"
  done
  grep -q "denormals kept" "$work/log" || complain "$compiler: denormals are flushed without -Ofast"
  echo "$compiler: done"
done
for header in $(headers_that_compile); do
  [ "$header" != include/hone/version.hpp ] || continue
  if echo "#include \"${header#include/}\"" |
    ${CXX:-g++} -std=c++20 $includes -fopenmp -ffast-math -Wfatal-errors -E -x c++ - -o /dev/null 2>"$work/log" ||
    ! grep -q "hone: -ffast-math" "$work/log"; then
    complain "$header: not refused under -ffast-math"
  fi
done
exit $failed
