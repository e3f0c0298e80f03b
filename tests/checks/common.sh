# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Sourced by the checks, which run in the project's root.
set -euo pipefail
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror"
# A library that is not there has no flags.
includes="-Iinclude $({ pkg-config --cflags eigen3 || true; pkg-config --cflags mpi-c || true; } 2>/dev/null |
  sed 's/-I/-isystem /g')"
headers() { find include/hone -name '*.hpp' | sort; }
# What a header needs of a library that need not be there.
library_of() {
  case $1 in
    */mpi.hpp) echo mpi.h ;;
    */tbb.hpp) echo tbb/parallel_for.h ;;
    */torch.hpp) echo ATen/Parallel.h ;;
  esac
}
# The headers whose libraries are there; says which are skipped.
headers_that_compile() {
  local header library
  for header in $(headers); do
    library=$(library_of "$header")
    if [ -z "$library" ] ||
      echo "#include <$library>" | ${CXX:-g++} -std=c++20 $includes -E -x c++ - >/dev/null 2>&1; then
      echo "$header"
    else
      echo "skipped: $header (no $library)" >&2
    fi
  done
}
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
