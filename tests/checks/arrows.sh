#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The include arrows: which folder may include which. Components know core, statistics, linalg and what is listed; nobody but the
# floors above them knows transformer, io, interop, distributed, cuda. hone.hpp includes every header that it may.
. tests/checks/common.sh
allowed() {
  case $1 in
    core) echo core ;;
    statistics) echo "core statistics" ;;
    linalg) echo "core linalg" ;;
    policy) echo "core statistics linalg policy loss" ;;
    gradient | loss | lora | moe | diffusion | routing | privacy | eval) echo "core statistics linalg $1" ;;
    hone.hpp) echo "core linalg gradient loss lora policy moe diffusion routing privacy eval transformer" ;;
    transformer) echo "core statistics linalg gradient loss lora policy moe diffusion routing privacy eval transformer" ;;
    io) echo "core statistics linalg gradient loss lora policy moe diffusion routing privacy eval transformer io" ;;
    interop | distributed | cuda) echo "core statistics linalg gradient loss lora policy moe diffusion routing privacy eval $1" ;;
    *) echo "" ;;
  esac
}
failed=0
for header in $(headers); do
  from=$(echo "$header" | cut -d/ -f3)
  for to in $(sed -n 's|^#include "hone/\([a-z_]*\)/.*|\1|p' "$header" | sort -u); do
    [[ " $(allowed "$from") " == *" $to "* ]] || { echo "$header includes $to: $from may include only: $(allowed "$from")"; failed=1; }
  done
  if [[ $from == core ]] && grep -nE '#include <(random|iostream|functional|regex|ranges|Eigen)' "$header"; then
    echo "$header: not in core"; failed=1
  fi
  if grep -n '#include <Eigen/Dense>' "$header"; then echo "$header: include the Eigen module that is needed"; failed=1; fi
done
for header in $(headers); do
  name=${header#include/}
  if [[ " $(allowed hone.hpp) " == *" $(echo "$name" | cut -d/ -f2) "* ]] &&
    ! grep -qxF "#include \"$name\"" include/hone/hone.hpp; then
    echo "hone.hpp does not include $name"; failed=1
  fi
done
exit $failed
