#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Plants faults one at a time and says which of them tests catch: bash tests/faults.sh fault.patch …
# A patch changes one header. The tests of the header's stem run with it, then those that include it, then those of
# headers that do (FAULT_TESTS in all, 8), until one does not compile, fails, or takes two minutes. FAULT_JOBS (1)
# faults at a time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ "${1:-}" != --one ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 FAULT_WORK=$work
  FAULT_FLAGS="-std=c++20 -O1 -w -fopenmp -Itests -Iexamples $(pkg-config --cflags eigen3)"
  export FAULT_FLAGS+=" -DHONE_PROJECT=\"$PWD\" ${CXXFLAGS:-}" FAULT_LIBRARIES
  FAULT_LIBRARIES=$(pkg-config --libs tbb 2>/dev/null || true)
  ${CXX:-g++} $FAULT_FLAGS -O0 -Iinclude -c tests/support/main.cpp -o "$work/main.o"
  echo '#include "support/precompiled.hpp"' >"$work/precompiled.hpp"
  ${CXX:-g++} $FAULT_FLAGS -x c++-header "$work/precompiled.hpp" -o "$work/precompiled.hpp.gch"
  printf '%s\0' "$@" | xargs -0 -n 1 -P "${FAULT_JOBS:-1}" bash tests/faults.sh --one | tee "$work/results"
  caught=$(grep -c 'caught by' "$work/results" || true) survived=$(grep -c SURVIVED "$work/results" || true)
  echo "$caught of $((caught + survived)) faults caught"
  [ "$caught" -eq $# ]
  exit
fi

fault=$2 name=$(basename "$2")
work=$(mktemp -d -p "$FAULT_WORK")
trap 'rm -rf "$work"' EXIT
header=$(sed -n 's|^+++ b/||p' "$fault")
mkdir -p "$work/$(dirname "$header")"
cp "$header" "$work/$header"
if ! patch -s -p1 -d "$work" <"$fault" >/dev/null; then
  echo "$name: does not apply"
  exit 0
fi
tests_of() {  # include/hone/<component>/<stem>.hpp
  local component=$(basename "$(dirname "$1")") stem=$(basename "$1" .hpp) user
  {
    ls tests/"$component"/"$stem"_test.cpp tests/"$component"/"$stem"_*_test.cpp 2>/dev/null || true
    grep -rlF "${1#include/}\"" tests --include='*_test.cpp' || true
    for user in $(grep -rlF "${1#include/}\"" include/hone/*/ || true); do
      grep -rlF "${user#include/}\"" tests --include='*_test.cpp' || true
    done
  } | grep -v mpi_test | awk '!seen[$0]++'
}
compile() { # with these flags
  ${CXX:-g++} -include "$FAULT_WORK/precompiled.hpp" "$@" $FAULT_FLAGS -Iinclude -c "$test" -o "$work/test.o" \
    2>/dev/null
}
for test in $(tests_of "$header" | head -n "${FAULT_TESTS:-8}"); do
  if ! compile -I"$work/include"; then
    if ! compile; then continue; fi  # what it needs is not here
    echo "$name: caught by $test, which does not compile"
    exit 0
  fi
  ${CXX:-g++} -fopenmp "$work/test.o" "$FAULT_WORK/main.o" -o "$work/test" -pthread $FAULT_LIBRARIES 2>/dev/null ||
    continue
  failed=0
  timeout 120 "$work/test" >"$work/output" 2>&1 || failed=$?
  if [ $failed -ne 0 ]; then
    echo "$name: caught by $test$([ $failed -ne 124 ] || echo ', which takes two minutes')"
    exit 0
  fi
done
echo "$name: SURVIVED"
