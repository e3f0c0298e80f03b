# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Sourced by the checks, which run in the project's root.
set -euo pipefail
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror"
includes="-Iinclude $(pkg-config --cflags eigen3 2>/dev/null | sed 's/-I/-isystem /g')"
headers() { find include/hone -name '*.hpp' | sort; }
compilers() {
  echo "${CXX:-g++}"
  if command -v clang++ >/dev/null; then echo clang++; else echo "skipped: no clang++" >&2; fi
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
