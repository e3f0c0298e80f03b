#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Installs Doxygen where it is missing and builds the site of docs/*.md and the headers: build-docs/html/index.html.
# A warning is an error. BUILD_DIR is respected.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. cmake/install_packages.sh
install_packages doxygen
build=${BUILD_DIR:-build-docs}
mkdir -p "$build"
{
  cat docs/Doxyfile
  echo "OUTPUT_DIRECTORY = $build"
} | doxygen -
echo "$build/html/index.html ($SECONDS s)"
