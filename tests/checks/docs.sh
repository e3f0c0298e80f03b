#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The site builds without a warning: every command in a comment is Doxygen's, every link of a page leads somewhere.
. tests/checks/common.sh
command -v doxygen >/dev/null || { echo "skipped: no doxygen" >&2; exit 0; }
BUILD_DIR=$work bash docs/run.sh
