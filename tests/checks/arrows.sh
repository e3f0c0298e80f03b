#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The include arrows: which folder may include which. Components know core, statistics, linalg and what is listed;
# nobody but the floors above them knows transformer, io, interop, distributed, cuda, nor the standard headers that
# everyone who includes them would pay for. What is in detail:: is its component's alone. hone/<component>.hpp includes
# every header of its component, but those that need a library of their own.
. tests/checks/common.sh
below="core statistics linalg"
components="$below gradient loss lora policy moe diffusion routing privacy eval"
allowed() {
  case $1 in
    core) echo "core version" ;;
    statistics) echo "core statistics" ;;
    linalg) echo "core linalg" ;;
    policy | diffusion) echo "$below $1 loss" ;;
    routing) echo "$below $1 gradient" ;;
    gradient | loss | lora | moe | privacy | eval) echo "$below $1" ;;
    transformer) echo "$components transformer distributed/communicator" ;;
    io) echo "$components transformer io" ;;
    client) echo "$components transformer io client" ;;
    interop | distributed | cuda) echo "$components $1" ;;
  esac
}
failed=0
complain() { echo "$1"; failed=1; }
for header in $(headers); do
  from=$(echo "$header" | cut -d/ -f3)
  [[ $from != *.hpp ]] || continue
  while read -r to; do
    [[ " $(allowed "$from") " == *" ${to%%/*} "* || " $(allowed "$from") " == *" $to "* ]] ||
      complain "$header includes $to.hpp: $from may include only: $(allowed "$from")"
  done < <(sed -n 's|^#include "hone/\(.*\)\.hpp".*|\1|p' "$header")
  if [[ " $components " == *" $from "* ]] && grep -nE '#include <(random|iostream|functional|regex|ranges)>' "$header"
  then
    complain "$header: not in components"
  fi
  if [[ $from == core ]] && grep -n '#include <Eigen/' "$header"; then complain "$header: not in core"; fi
  if grep -n '#include <Eigen/Dense>' "$header"; then complain "$header: include the Eigen module that is needed"; fi
done
# hone::a::detail in another folder than a; hone::detail, which is core's, in another than core.
names=$(ls include/hone | sed 's/\..*//' | sort -u | paste -sd'|')
foreign=$(grep -rnoE "\\b(hone|simd|$names)::detail::[a-z_]+" include examples | grep -vE '^include/hone/core/' |
  awk -F: '{ folder = $1; sub("^include/hone/", "", folder); sub("/.*", "", folder); if ($3 != folder) print }' || true)
[ -z "$foreign" ] || complain "detail:: of another component:"$'\n'"$foreign"
for folder in include/hone/*/; do
  component=$(basename "$folder")
  [ "$component" != interop ] && [ "$component" != cuda ] && [ "$component" != client ] || continue
  diff <(for header in "$folder"*.hpp; do
    [ -n "$(library_of "$header")" ] || echo "#include \"${header#include/}\""
  done) <(grep '^#include' "include/hone/$component.hpp") ||
    complain "include/hone/$component.hpp: other headers than $folder"
done
exit $failed
