#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Builds the benchmarks and runs them, each with the machine's roof in the same run. Arguments go to every program
# (--benchmark_filter=… for one). BUILD_DIR is respected.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. cmake/install_packages.sh
install_packages g++ cmake ninja-build libeigen3-dev libbenchmark-dev
build=${BUILD_DIR:-build-bench}
cmake --preset bench -B "$build" >/dev/null
cmake --build "$build" >/dev/null
for program in "$build"/bench/*_bench; do
  "$program" --benchmark_counters_tabular=true "$@"
done
