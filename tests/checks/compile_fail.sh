#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Each tests/checks/compile_fail/*.cpp must be refused with the message of its first line ("// expect: …"), and must
# compile with -DHONE_CHECK_OK, so that it fails for no other reason.
. tests/checks/common.sh
failed=0
for compiler in $(compilers); do
  for source in tests/checks/compile_fail/*.cpp; do
    expected=$(sed -n '1s|^// expect: ||p' "$source")
    [ -n "$expected" ] || { echo "$source: no '// expect:' line"; failed=1; continue; }
    $compiler -std=c++20 $includes -DHONE_CHECK_OK -fsyntax-only "$source" ||
      { echo "$compiler $source: the good half does not compile"; failed=1; }
    if $compiler -std=c++20 $includes -fsyntax-only "$source" >"$work/log" 2>&1; then
      echo "$compiler $source: compiles"; failed=1
    elif [[ $(tr '\n' ' ' <"$work/log") != *"$expected"* ]]; then
      echo "$compiler $source: refused without saying: $expected"; cat "$work/log"; failed=1
    fi
  done
done
exit $failed
