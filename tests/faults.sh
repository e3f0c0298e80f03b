#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Plants faults one at a time and says which of them tests catch: bash tests/faults.sh fault.patch …
# A patch changes one header. It is applied to a copy; the tests of the header's stem run on that, then those that
# include it, then those of headers that do (FAULT_TESTS in all, 8), until one does not compile, fails, or takes two
# minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
flags="-std=c++20 -O1 -w -fopenmp -Itests -Iexamples $(pkg-config --cflags eigen3)"
flags+=" -DHONE_PROJECT=\"$PWD\""
${CXX:-g++} $flags -O0 -Iinclude -c tests/support/main.cpp -o "$work/main.o"
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
caught=0 total=0
for fault in "$@"; do
  header=$(sed -n 's|^+++ b/||p' "$fault")
  rm -rf "$work/include"
  cp -r include "$work/include"
  if ! patch -s -p1 -d "$work" <"$fault" >/dev/null; then
    echo "$fault: does not apply"
    continue
  fi
  total=$((total + 1)) by=""
  for test in $(tests_of "$header" | head -n "${FAULT_TESTS:-8}"); do
    if ! ${CXX:-g++} $flags -I"$work/include" -c "$test" -o "$work/test.o" 2>/dev/null ||
      ! ${CXX:-g++} -fopenmp "$work/test.o" "$work/main.o" -o "$work/test" -pthread 2>/dev/null; then
      by="$test, which does not compile"
    elif ! timeout 120 "$work/test" >"$work/output" 2>&1; then
      by=$test
    fi
    if [ -n "$by" ]; then break; fi
  done
  if [ -n "$by" ]; then caught=$((caught + 1)); fi
  echo "$(basename "$fault"): ${by:+caught by }${by:-SURVIVED}"
done
echo "$caught of $total faults caught"
[ "$caught" -eq "$total" ]
