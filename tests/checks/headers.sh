#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# On every compiler each header is compiled once: alone, included twice, warnings being errors, without exceptions and
# RTTI where that is promised. All of them together are one unit, with exceptions; two such units link. No header writes
# min( or max(, which other people's macros would replace.
. tests/checks/common.sh
flags_of() { case $1 in */openmp.hpp | */torch.hpp) echo -fopenmp ;; esac }
check() {  # compiler header
  local flags unit
  unit=$work/$(echo "$1 $2" | tr '/ ' '__').cpp
  flags=$(flags_of "$2")
  case $2 in
    */io/* | */io.hpp | */eval/* | */eval.hpp | */torch.hpp | */tbb.hpp) ;;
    *) flags+=" -fno-exceptions -fno-rtti" ;;
  esac
  printf '#include "%s"\n#include "%s"\n' "${2#include/}" "${2#include/}" >"$unit"
  $1 -std=c++20 $warnings $includes $flags -fsyntax-only "$unit" || { echo "$1 $flags $2"; return 1; }
}
export -f check flags_of
export work warnings includes
headers=$(headers_that_compile)
for header in $headers; do
  if sed 's|//.*||' "$header" | grep -nE '(^|[^(:_[:alnum:]])(std::)?(min|max) *\(|[.:](min|max) *\('; then
    echo "$header: write (min)(a, b) and (max)(a, b)"
    exit 1
  fi
done
# The headers of LibTorch and TBB define functions that want their libraries.
echo "$headers" | grep -v '/torch.hpp\|/tbb.hpp' | sed 's/include\/\(.*\)/#include "\1"/' >"$work/all.cpp"
(cat "$work/all.cpp"; echo 'int main() {}') >"$work/other.cpp"
for compiler in $(compilers); do
  echo "$headers" | xargs -P "$(nproc)" -I{} bash -c "check $compiler {}"
  $compiler -std=c++20 $includes -fopenmp -c "$work/all.cpp" -o "$work/all.o"
  if [ "$compiler" = "${CXX:-g++}" ]; then
    $compiler -std=c++20 $includes -fopenmp "$work/other.cpp" "$work/all.o" -o "$work/all"
  fi
  echo "$compiler: $(echo "$headers" | wc -l) headers"
done
