#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""TorchJD's aggregators of K gradients, as rows of one matrix, beside hone's Gram matrix and combination of the same size:
what is solved in between takes hone microseconds, whichever method it is. Prints both times, of the same machine and
number of threads, and their ratio.

  bash bench/run.sh --benchmark_filter=NONE; python3 bench/peers/gradient_torchjd.py [build-bench/bench/hone_bench]

Needs pip's torchjd[quadprog_projector].
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import torch
from torchjd import aggregation

MEBI = 1 << 20
ELEMENTS = 256  # Mi, of all gradients together
METHODS = ("UPGrad", "DualProj", "MGDA", "IMTLG", "AlignedMTL", "ConFIG", "PCGrad")


def torchjd_milliseconds(method, gradients, repeats=5):
    aggregate = getattr(aggregation, method)()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        aggregate(gradients)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def hone_milliseconds(program, tasks):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.json")
        row = f"^gram_and_combine<float, {tasks}>/Mi:{ELEMENTS}/"
        subprocess.run([program, f"--benchmark_filter={row}", f"--benchmark_out={out}"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(out) as file:
            return json.load(file)["benchmarks"][0]["ms"]


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else "build-bench/bench/hone_bench"
    if not os.path.exists(program):
        sys.exit(f"{program} is not there: bash bench/run.sh builds it")
    torch.manual_seed(1)
    torch.set_num_threads(os.cpu_count())
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {ELEMENTS} Mi floats in all; medians")
    print(f"{'':12} {'K':>3} {'TorchJD ms':>11} {'hone ms':>9} {'ratio':>7}")
    for tasks in (2, 4, 8):
        gradients = torch.randn(tasks, ELEMENTS * MEBI // tasks)
        ours = hone_milliseconds(program, tasks)
        for method in METHODS:
            theirs = torchjd_milliseconds(method, gradients)
            print(f"{method:12} {tasks:3d} {theirs:11.1f} {ours:9.1f} {theirs / ours:6.1f}x")


if __name__ == "__main__":
    main()
