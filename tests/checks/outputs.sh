#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What a function writes it opens with output_vector or output_matrix, which refuse memory that cannot hold it: no
# parameter of a mutable_vector or mutable_matrix goes into as_vector or as_matrix.
. tests/checks/common.sh
headers | grep -v core/output.hpp | xargs awk '
  FNR == 1 { types = ""; names = ""; waiting = 0 }
  /^[ ]*template </ { types = ""; names = ""; waiting = 1 }
  waiting {
    line = $0
    while (match(line, /mutable_(vector|matrix) [A-Za-z]+/)) {
      split(substr(line, RSTART, RLENGTH), word, " ")
      types = types " " word[2]
      line = substr(line, RSTART + RLENGTH)
    }
    count = split(types, type, " ")
    for (i = 1; i <= count; ++i)
      if (match($0, "(^|[^A-Za-z_])" type[i] "&& [a-z_]+")) {
        parameter = substr($0, RSTART, RLENGTH)
        sub(/.*&& /, "", parameter)
        names = names " " parameter
      }
    if (/\{$/) waiting = 0
  }
  /^}|^  }$/ && !waiting { if (/^}/) names = "" }
  !waiting && names != "" {
    count = split(names, name, " ")
    for (i = 1; i <= count; ++i)
      if (match($0, "as_(vector|matrix)\\(" name[i] "\\)")) {
        print FILENAME ":" FNR ": opens the output " name[i] " without a check: output_vector, output_matrix"
        failed = 1
      }
  }
  END { exit failed }'
