#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The test of interop/mdspan.hpp against std::mdspan, which no standard library of the tests' own compilers need have:
# the first of these that has <mdspan> builds and runs it.
. tests/checks/common.sh
for compiler in "${CXX:-g++}" g++-15 "clang++ -stdlib=libc++" "clang++-19 -stdlib=libc++"; do
  command -v "${compiler%% *}" >/dev/null || continue
  printf '#include <mdspan>\n#include <version>\n#if !defined(__cpp_lib_mdspan)\n#error\n#endif\n' |
    $compiler -std=c++23 -fsyntax-only -x c++ - 2>/dev/null || continue
  $compiler -std=c++23 $warnings -Iinclude -Itests tests/support/main.cpp tests/interop/mdspan_test.cpp \
    -o "$work/mdspan"
  "$work/mdspan"
  echo "$compiler"
  exit
done
echo "skipped: no compiler with <mdspan>" >&2
