#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Units of one program, compiled with other flags, do not take each other's functions: misuse is caught where exceptions
# are on, whichever unit comes first, and units for other processors have no function of hone in common.
. tests/checks/common.sh
failed=0
complain() { echo "$1"; failed=1; }
functions() { nm --defined-only "$1" | awk '$2 ~ /[WVu]/ && $3 ~ /4hone/ { print $3 }' | sort; }
for compiler in $(compilers); do
  compile() { $compiler -std=c++20 $includes -O1 "${@:2}" -c -o "$work/$1"; }
  compile throws.o tests/checks/two_builds/throws.cpp
  compile aborts.o -fno-exceptions tests/checks/two_builds/aborts.cpp
  for order in "throws.o aborts.o" "aborts.o throws.o"; do
    (cd "$work" && $compiler $order -o two && ./two >/dev/null) || complain "$compiler: $order: misuse is not caught"
  done
  sets=("" -fno-exceptions -D_GLIBCXX_DEBUG)
  if [[ $($compiler -dumpmachine) == x86_64* ]]; then
    sets+=(-msse4.2 -mavx -mavx2 "-mavx2 -mfma" -march=skylake-avx512)
  fi
  for i in "${!sets[@]}"; do
    compile "unit$i.o" ${sets[i]} -DUNIT="unit$i" tests/checks/two_builds/everything.cpp
    functions "$work/unit$i.o" >"$work/unit$i"
    [ -s "$work/unit$i" ] || complain "$compiler ${sets[i]}: no functions of hone"
  done
  for ((i = 1; i < ${#sets[@]}; ++i)); do
    for ((j = 0; j < i; ++j)); do
      common=$(comm -12 "$work/unit$i" "$work/unit$j" | head -n 3)
      [ -z "$common" ] || complain "$compiler: '${sets[i]}' and '${sets[j]}' share"$'\n'"$common"
    done
  done
  echo "$compiler: ${#sets[@]} builds"
done
exit $failed
