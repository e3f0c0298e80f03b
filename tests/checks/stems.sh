#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# include/hone/<component>/<stem>.hpp has tests/<component>/<stem>_test.cpp and a mention in docs/<component>.md.
. tests/checks/common.sh
failed=0
for header in $(headers | grep -v /detail/); do
  component=$(echo "$header" | cut -d/ -f3)
  stem=$(basename "$header" .hpp)
  [[ $component == *.hpp ]] && continue
  [ -f "tests/$component/${stem}_test.cpp" ] || { echo "no tests/$component/${stem}_test.cpp"; failed=1; }
  grep -qE "(^|[^a-z0-9_])$stem\.hpp" "docs/$component.md" 2>/dev/null ||
    { echo "docs/$component.md does not mention $stem.hpp"; failed=1; }
done
exit $failed
