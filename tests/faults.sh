#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Plants faults one at a time and says which of them tests catch: bash tests/faults.sh fault.patch …
# A patch changes one header. The tests of the header's stem run with it, then those that include it, then those of
# headers that do, and so on (FAULT_TESTS in all, 8), until one does not compile, fails, or takes two minutes.
# FAULT_JOBS (1) faults at a time.
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
  local component=$(basename "$(dirname "$1")") stem=$(basename "$1" .hpp) level=$1 seen=" $1 " next header user
  {
    ls tests/"$component"/"$stem"_test.cpp tests/"$component"/"$stem"_*_test.cpp 2>/dev/null || true
    while [ -n "$level" ]; do
      for header in $level; do grep -rlF "${header#include/}\"" tests --include='*_test.cpp' || true; done
      next=
      for header in $level; do
        for user in $(grep -rlF "${header#include/}\"" include/hone/*/ || true); do
          case $seen in *" $user "*) ;; *) seen+="$user " next+=" $user" ;; esac
        done
      done
      level=$next
    done
  } | grep -v mpi_test | awk '!seen[$0]++'
}
attempt() {  # builds $test with these flags, by a path that is right from any folder, and runs it; 126: no program
  ${CXX:-g++} -include "$FAULT_WORK/precompiled.hpp" "$@" $FAULT_FLAGS -Iinclude -c "$PWD/$test" -o "$work/test.o" \
    2>/dev/null || return 126
  ${CXX:-g++} -fopenmp "$work/test.o" "$FAULT_WORK/main.o" -o "$work/test" -pthread $FAULT_LIBRARIES 2>/dev/null ||
    return 126
  timeout 120 "$work/test" >"$work/output" 2>&1
}
for test in $(tests_of "$header" | head -n "${FAULT_TESTS:-8}"); do
  failed=0
  attempt -I"$work/include" || failed=$?
  if [ $failed -eq 0 ]; then continue; fi
  sound=$FAULT_WORK/${test//\//_}  # a test that fails without the fault, too, says nothing
  if [ ! -e "$sound" ]; then attempt && echo yes >"$sound" || echo no >"$sound"; fi
  if [ "$(cat "$sound")" = no ]; then continue; fi
  case $failed in
    126) echo "$name: caught by $test, which does not compile" ;;
    124) echo "$name: caught by $test, which takes two minutes" ;;
    *) echo "$name: caught by $test" ;;
  esac
  exit 0
done
echo "$name: SURVIVED"
