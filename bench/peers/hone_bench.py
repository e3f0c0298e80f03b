# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Rows of hone_bench for the scripts beside it."""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time


def program():
    """The benchmarks: the script's argument, or where bench/run.sh builds them."""
    path = sys.argv[1] if len(sys.argv) > 1 else "build-bench/bench/hone_bench"
    if not os.path.exists(path):
        sys.exit(f"{path} is not there: bash bench/run.sh builds it")
    return path


def row(pattern):
    """The counters of the row whose name matches the regular expression."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.json")
        subprocess.run([program(), f"--benchmark_filter={pattern}", f"--benchmark_out={out}"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(out) as file:
            return json.load(file)["benchmarks"][0]


def median_seconds(run, repeats=5):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
