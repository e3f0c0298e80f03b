#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What including a header costs against <Eigen/Core>, in lines after preprocessing (checked) and in seconds (printed):
# core at most 0.29 of it (0.21 are <stdexcept> alone; thread_pool, which needs <thread>, 0.5), components without
# Eigen 0.5, with Eigen 1.25; hone.hpp, which is all of them, 1.35.
. tests/checks/common.sh
lines() { echo "$1" | ${CXX:-g++} -std=c++20 $includes -fopenmp -E -P -x c++ - | wc -l; }
seconds() {
  local TIMEFORMAT=%U
  { time echo "$1" | ${CXX:-g++} -std=c++20 $includes -fopenmp -fsyntax-only -x c++ - ; } 2>&1
}
eigen=$(lines '#include <Eigen/Core>')
printf '%-44s %9s %6s %8s\n' header lines ratio seconds
printf '%-44s %9d %6s %8s\n' Eigen/Core "$eigen" 1.00 "$(seconds '#include <Eigen/Core>')"
failed=0
for header in $(headers_that_compile); do
  name=${header#include/}
  case $name in
    hone/interop/*) continue ;;
    hone/hone.hpp) limit=135 ;;
    hone/core/thread_pool.hpp | hone/distributed/threads.hpp) limit=50 ;;
    hone/core/*) limit=29 ;;
    hone/io/*) continue ;;
    *) if reads_eigen "$header"; then limit=125; else limit=50; fi ;;
  esac
  count=$(lines "#include \"$name\"")
  printf '%-44s %9d %6s %8s\n' "$name" "$count" "$((100 * count / eigen))%" "$(seconds "#include \"$name\"")"
  if [ $((100 * count)) -gt $((limit * eigen)) ]; then echo "  over its limit of $limit%"; failed=1; fi
done
exit $failed
