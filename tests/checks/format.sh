#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Every source is as clang-format 19 writes it, and no line is longer than 120 columns, but in generated tables, in raw
# strings and in tables of pages.
set -euo pipefail
export LC_ALL=C.UTF-8
files() { git ls-files "$@" 2>/dev/null || find . -path './build*' -prune -o -type f -print | sed 's|^\./||'; }
failed=0
if command -v clang-format-19 >/dev/null; then
  files | grep -E '\.(hpp|cpp|cuh|cu)$' | xargs clang-format-19 --dry-run -Werror || failed=1
else
  echo "skipped: no clang-format-19" >&2
fi
long=$(files | grep -E '\.(hpp|cpp|cuh|cu)$' | grep -vE '/golden/|/detail/unicode_' |
  xargs grep -nE '^.{121,}' | grep -v 'R"' || true)
long+=$(files | grep -E '\.(md|sh|py)$|^\.ci/run$' | xargs grep -nE '^.{121,}' |
  grep -vE '^[^:]*\.md:[0-9]+:\|' || true)
if [ -n "$long" ]; then echo "longer than 120 columns:"; cut -c1-160 <<<"$long"; failed=1; fi
exit $failed
