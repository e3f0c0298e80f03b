#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Builds the benchmarks and prints one table, each row beside the machine's roof in the same run. Arguments go to the
# program (--benchmark_filter=… for some rows). BUILD_DIR is respected.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. cmake/install_packages.sh
install_packages g++ cmake ninja-build libeigen3-dev libbenchmark-dev nlohmann-json3-dev
build=${BUILD_DIR:-build-bench}
cmake --preset bench -B "$build" >/dev/null
cmake --build "$build" >/dev/null
echo "bash bench/run.sh $*"
"$build/bench/hone_bench" "$@"
