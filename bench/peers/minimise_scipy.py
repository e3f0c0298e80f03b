#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""SciPy's L-BFGS-B on the weighted logistic regression of bench/linalg/minimise_bench.cpp, the objective in NumPy's
two products: calls until the gradient is 1e-10 long, and the time, beside hone's.

  pip install scipy==1.17.1 numpy==2.4.6
  bash bench/run.sh --benchmark_filter=NONE; python3 bench/peers/minimise_scipy.py [build-bench/bench/hone_bench]
"""
import numpy as np
from scipy.optimize import minimize

import hone_bench

def uniform(i):
    """As minimise_bench.cpp has it, on the same integers."""
    z = (i.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(float) * 2.0**-53


def regression(n, d):
    x = (4 * uniform(np.arange(n * d)).reshape(n, d) - 2) / np.arange(1, d + 1) + 0.5
    row = n * d + np.arange(n)
    signs = np.where(x[:, 0] - x[:, 1] + uniform(row) > 0.5, 1.0, -1.0)
    return x * (signs / np.maximum(1, np.linalg.norm(x, axis=1)))[:, None], 2 * uniform(row + n)


class Arrived(Exception):
    pass


def calls_and_seconds(n, d, ridge):
    x, w = regression(n, d)
    calls = 0

    def objective(b):
        nonlocal calls
        calls += 1
        z = x @ b
        slope = -(w / (1 + np.exp(z))) @ x / n + ridge * b
        if np.linalg.norm(slope) <= 1e-10:
            raise Arrived
        return w @ np.logaddexp(0, -z) / n + ridge / 2 * b @ b, slope

    stopped = None

    def run():
        nonlocal calls, stopped
        calls = 0
        try:
            options = {"maxcor": 10, "gtol": 0, "ftol": 0, "maxiter": 10000, "maxfun": 100000}
            stopped = np.linalg.norm(minimize(objective, np.zeros(d), jac=True, method="L-BFGS-B", options=options).jac)
        except Arrived:
            pass

    seconds = hone_bench.median_seconds(run)
    return calls, seconds, stopped


def main():
    print(f"{'':28} {'SciPy calls':>12} {'ms':>8} {'hone calls':>12} {'ms':>8} {'ratio':>8}")
    for width in (20, 100):
        for ridge in (50000, 1000):
            calls, seconds, stopped = calls_and_seconds(20000, width, 1e-6 * ridge)
            ours = hone_bench.row(f"^minimise_lbfgs/width:{width}/ridge:{ridge}/")
            print(f"width {width}, ridge {1e-6 * ridge:<12g} {calls:14} {1e3 * seconds:8.1f} "
                  f"{ours['evaluations']:12.0f} {ours['ms']:8.1f} {1e3 * seconds / ours['ms']:7.1f}x",
                  f"SciPy stopped at {stopped:.1e}" if stopped else "")


if __name__ == "__main__":
    main()
