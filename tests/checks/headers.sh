#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Every header compiles alone, twice in one unit, with min and max defined as macros, warnings being errors, on every
# compiler; without exceptions and RTTI where that is promised; and two units that include them all link.
. tests/checks/common.sh
flags_of() { case $1 in */openmp.hpp | */torch.hpp) echo -fopenmp ;; esac }
check() {  # compiler header
  local flags
  flags=$(flags_of "$2")
  printf '#define min(a, b) broken(a, b)\n#define max(a, b) broken(a, b)\n#include "%s"\n#include "%s"\n' \
    "${2#include/}" "${2#include/}" >"$work/macros-$$.cpp"
  printf '#include "%s"\n#include "%s"\n' "${2#include/}" "${2#include/}" >"$work/twice-$$.cpp"
  # The libraries beneath do not survive the macros; they are read first.
  local before=""
  if reads_eigen "$2"; then before="-include Eigen/Core"; fi
  for standard in algorithm array atomic bit charconv chrono cmath complex cstdarg cstdio cstring deque filesystem \
      fstream functional iterator limits map memory numeric optional queue random span sstream stdexcept string \
      string_view thread tuple unordered_map utility variant vector; do
    before+=" -include $standard"
  done
  local library
  library=$(library_of "$2")
  [ -z "$library" ] || before+=" -include $library"
  case $2 in
    */xtensor.hpp) before+=" -include xtensor.hpp" ;;
    */torch.hpp) before+=" -include ATen/core/Tensor.h" ;;
    */io/*) before+=" -include nlohmann/json.hpp" ;;
  esac
  $1 -std=c++20 $warnings $includes $flags -fsyntax-only "$work/twice-$$.cpp" 2>"$work/log-$$" &&
    $1 -std=c++20 $includes $flags $before -fsyntax-only "$work/macros-$$.cpp" 2>>"$work/log-$$" || {
    echo "$1 $2"
    cat "$work/log-$$"
    return 1
  }
  case $2 in */io/* | */eval/* | */torch.hpp | */tbb.hpp) ;; *)
    $1 -std=c++20 $warnings $includes $flags -fno-exceptions -fno-rtti -fsyntax-only "$work/twice-$$.cpp" 2>&1 || {
      echo "$1 -fno-exceptions -fno-rtti $2"
      return 1
    } ;;
  esac
}
export -f check flags_of library_of reads_eigen
headers=$(headers_that_compile)
export work warnings includes
for compiler in $(compilers); do
  echo "$headers" | xargs -P "$(nproc)" -I{} bash -c "check $compiler {}"
  # The headers of LibTorch and TBB define functions that want their libraries.
  echo "$headers" | grep -v '/torch.hpp\|/tbb.hpp' | sed 's/include\/\(.*\)/#include "\1"/' >"$work/all.cpp"
  cp "$work/all.cpp" "$work/other.cpp"
  echo 'int main() {}' >>"$work/other.cpp"
  $compiler -std=c++20 $includes -fopenmp "$work/all.cpp" "$work/other.cpp" -o "$work/all"
  echo "$compiler: $(echo "$headers" | wc -l) headers"
done
