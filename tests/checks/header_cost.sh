#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What including a header costs against <Eigen/Core>: lines after preprocessing and the compiler's peak memory, which
# have limits, and user seconds, which are printed.
. tests/checks/common.sh
compile() { ${CXX:-g++} -std=c++20 $includes -fopenmp "$@" -x c++ "$work/unit.cpp"; }
# Sets lines, memory (MB) and seconds; leaves the preprocessed text in $work/text.
measure() {  # what is included
  echo "#include $1" >"$work/unit.cpp"
  compile -E >"$work/text"
  lines=$(grep -cvE '^#|^[[:space:]]*$' "$work/text")
  if [ -x /usr/bin/time ]; then
    /usr/bin/time -f '%M %U' -o "$work/cost" \
      ${CXX:-g++} -std=c++20 $includes -fopenmp -fsyntax-only -x c++ "$work/unit.cpp"
    read -r memory seconds <"$work/cost"
    memory=$((memory / 1024))
  else
    compile -fsyntax-only
    memory=0 seconds=-
  fi
}
reads() { grep -q "/$1\"" "$work/text"; }  # file; of what was measured
row() { printf '%-46s %9s %6s %6s %6s %8s\n' "$@"; }
[ -x /usr/bin/time ] || echo "skipped: peak memory (no /usr/bin/time)" >&2
measure '<Eigen/Core>'
eigen_lines=$lines eigen_memory=$memory
row header lines "" MB "" seconds
row Eigen/Core "$lines" 100% "$memory" 100% "$seconds"
failed=0
for header in $(headers_that_compile); do
  name=${header#include/}
  [[ $name == hone/*/* ]] || continue  # what includes a whole component costs what its headers do
  [[ $name != hone/interop/* ]] || continue  # what their libraries cost
  measure "\"$name\""
  # Of Eigen/Core, in percent: lines, memory.
  case $name in
    hone/core/thread_pool.hpp | hone/distributed/threads.hpp) limits="50 70" ;;  # <thread>
    hone/core/*) limits="29 50" ;;  # 21 of the lines are <stdexcept> alone
    hone/io/*) if reads nlohmann/json.hpp; then limits="118 270"; else limits="88 185"; fi ;;
    *) if reads Eigen/Core; then limits="125 185"; else limits="50 85"; fi ;;
  esac
  line_share=$((100 * lines / eigen_lines)) memory_share=$((100 * memory / (eigen_memory + !eigen_memory)))
  row "$name" "$lines" "$line_share%" "$memory" "$memory_share%" "$seconds"
  read -r most_lines most_memory <<<"$limits"
  if [ $line_share -gt "$most_lines" ] || [ $memory_share -gt "$most_memory" ]; then
    echo "  over its limits, $most_lines% of the lines and $most_memory% of the memory of Eigen/Core"
    failed=1
  fi
done
exit $failed
