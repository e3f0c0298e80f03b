#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Before a release: every preset, the whole tour of the examples, and each fuzzer for ten minutes. Takes hours.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash tests/run.sh
for preset in debug clang asan tsan examples bench; do cmake --workflow --preset "$preset"; done
bash docs/run.sh
bash examples/run.sh all
bash tests/fuzz/run.sh 600
