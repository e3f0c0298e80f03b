#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Installs what is missing, builds, runs every test, and says how long that took. BUILD_DIR and CXX are respected.
# LibTorch (160 MB) is not installed: its tests run where it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. cmake/install_packages.sh
install_packages g++ clang clang-format-19 libomp-dev cmake ninja-build pkg-config libeigen3-dev libxtensor-dev catch2 \
  libcli11-dev nlohmann-json3-dev libtbb-dev libdlpack-dev libopenmpi-dev openmpi-bin doxygen time
build=${BUILD_DIR:-build}
SECONDS=0
cmake --preset release -B "$build"
cmake --build "$build"
built=$SECONDS
ctest --test-dir "$build" --output-on-failure -j "$(nproc)" || failed=$?
minutes() { echo "$(($1 / 60)) min $(($1 % 60)) s"; }
echo "tests/run.sh: $(minutes $SECONDS), of which building took $(minutes $built)"
exit "${failed:-0}"
