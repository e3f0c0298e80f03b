#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Every header compiles alone, twice in one unit, with min and max defined as macros, warnings being errors, on every
# compiler; without exceptions and RTTI where that is promised; and two units that include them all link.
. tests/checks/common.sh
flags_of() { case $1 in */openmp.hpp) echo -fopenmp ;; esac }
check() {  # compiler header
  local flags
  flags=$(flags_of "$2")
  printf '#define min(a, b) broken(a, b)\n#define max(a, b) broken(a, b)\n#include "%s"\n#include "%s"\n' \
    "${2#include/}" "${2#include/}" >"$work/macros-$$.cpp"
  printf '#include "%s"\n#include "%s"\n' "${2#include/}" "${2#include/}" >"$work/twice-$$.cpp"
  # The libraries beneath do not survive the macros; they are read first.
  local before=""
  if reads_eigen "$2"; then before="-include Eigen/Core"; fi
  for standard in algorithm array atomic bit charconv chrono cmath complex cstdarg cstdio cstring deque filesystem fstream functional iterator limits map memory \
      numeric optional queue random span sstream stdexcept string string_view thread tuple unordered_map utility variant vector; do
    before+=" -include $standard"
  done
  case $2 in */xtensor.hpp) before+=" -include xtensor.hpp" ;; */io/*) before+=" -include nlohmann/json.hpp" ;; esac
  $1 -std=c++20 $warnings $includes $flags -fsyntax-only "$work/twice-$$.cpp" 2>"$work/log-$$" &&
    $1 -std=c++20 $includes $flags $before -fsyntax-only "$work/macros-$$.cpp" 2>>"$work/log-$$" || {
    echo "$1 $2"
    cat "$work/log-$$"
    return 1
  }
  case $2 in */io/* | */eval/*) ;; *)
    $1 -std=c++20 $warnings $includes $flags -fno-exceptions -fno-rtti -fsyntax-only "$work/twice-$$.cpp" 2>&1 || {
      echo "$1 -fno-exceptions -fno-rtti $2"
      return 1
    } ;;
  esac
}
export -f check flags_of reads_eigen
export work warnings includes
for compiler in $(compilers); do
  headers | xargs -P "$(nproc)" -I{} bash -c "check $compiler {}"
  headers | sed 's/include\/\(.*\)/#include "\1"/' >"$work/all.cpp"
  cp "$work/all.cpp" "$work/other.cpp"
  echo 'int main() {}' >>"$work/other.cpp"
  $compiler -std=c++20 $includes -fopenmp "$work/all.cpp" "$work/other.cpp" -o "$work/all"
  echo "$compiler: $(headers | wc -l) headers"
done
