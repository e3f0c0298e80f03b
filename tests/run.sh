#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Installs what is missing, builds, runs every test. BUILD_DIR and CXX are respected. LibTorch (160 MB) is not installed:
# its tests run where it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. cmake/install_packages.sh
install_packages g++ clang clang-format-19 libomp-dev cmake ninja-build pkg-config libeigen3-dev libxtensor-dev catch2 libcli11-dev \
  nlohmann-json3-dev libtbb-dev libdlpack-dev libopenmpi-dev openmpi-bin time
build=${BUILD_DIR:-build}
cmake --preset release -B "$build"
cmake --build "$build"
ctest --test-dir "$build" --output-on-failure -j "$(nproc)"
