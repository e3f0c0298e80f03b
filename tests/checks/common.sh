# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Sourced by the checks, which run in the project's root.
set -euo pipefail
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror"
includes="-Iinclude $(pkg-config --cflags eigen3 | sed 's/-I/-isystem /g')"
headers() { find include/hone -name '*.hpp' | sort; }
compilers() {
  echo "${CXX:-g++}"
  if command -v clang++ >/dev/null; then echo clang++; else echo "skipped: no clang++" >&2; fi
}
# Not a pipe into grep -q: grep leaves at the first match, and pipefail takes the compiler's SIGPIPE for "no match".
reads_eigen() {  # header
  [[ $(${CXX:-g++} -std=c++20 $includes -fopenmp -M -x c++ "$1") == *Eigen/Core* ]]
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
