#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Every ```cpp block of README.md and of the pages below docs/ is, line for line up to indentation, in a file below
# tests/ or examples/, which is compiled and run.
. tests/checks/common.sh
awk '
  function trimmed(line) { gsub(/^[ \t]+|[ \t\r]+$/, "", line); return line }
  FNR == 1 { sources = sources "\n\f\n"; inside = 0 }
  FILENAME !~ /\.md$/ { sources = sources trimmed($0) "\n"; next }
  !inside && /^[ \t]*```cpp/ { inside = 1; begin = FNR; block = "\n"; next }
  inside && /^[ \t]*```/ {
    inside = 0
    ++blocks
    if (!index(sources, block)) { print FILENAME ":" begin ": in no source below tests/ or examples/"; failed = 1 }
    next
  }
  inside { block = block trimmed($0) "\n" }
  END {
    print blocks " snippets"
    exit failed || !blocks
  }' $(find tests examples -name '*.[ch]pp' | sort) README.md $(find docs -name '*.md' | sort)
