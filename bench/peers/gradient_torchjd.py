#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""TorchJD's aggregators of K gradients, as rows of one matrix, beside hone's Gram matrix and combination of the same
size: what is solved in between takes hone microseconds, whichever method it is. Prints both times, of the same machine
and number of threads, and their ratio.

  bash bench/run.sh --benchmark_filter=NONE; python3 bench/peers/gradient_torchjd.py [build-bench/bench/hone_bench]

Needs pip's torchjd[quadprog_projector].
"""
import os

import torch
from torchjd import aggregation

import hone_bench

MEBI = 1 << 20
ELEMENTS = 256  # Mi, of all gradients together
METHODS = ("UPGrad", "DualProj", "MGDA", "IMTLG", "AlignedMTL", "ConFIG", "PCGrad")


def main():
    torch.manual_seed(1)
    torch.set_num_threads(os.cpu_count())
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {ELEMENTS} Mi floats in all; medians")
    print(f"{'':12} {'K':>3} {'TorchJD ms':>11} {'hone ms':>9} {'ratio':>7}")
    for tasks in (2, 4, 8):
        gradients = torch.randn(tasks, ELEMENTS * MEBI // tasks)
        ours = hone_bench.row(f"^gram_and_combine<float, {tasks}>/Mi:{ELEMENTS}/")["ms"]
        for method in METHODS:
            aggregate = getattr(aggregation, method)()
            theirs = 1e3 * hone_bench.median_seconds(lambda: aggregate(gradients))
            print(f"{method:12} {tasks:3d} {theirs:11.1f} {ours:9.1f} {theirs / ours:6.1f}x")


if __name__ == "__main__":
    main()
