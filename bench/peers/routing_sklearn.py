#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The deferral curve and APGR in NumPy, written from the formulas as evaluation scripts write them, and its bootstrap;
beside them scikit-learn's AUROC of the same scores, and RouterXBench's own script (which also needs pandas and
matplotlib) if ROUTERXBENCH names a clone of zhuchichi56/RouterXBench. Prints both times, their ratio, and the memory
that NumPy takes beside its input, in inputs of 24 bytes a row.

  pip install scikit-learn==1.9.1 numpy==2.4.6
  bash bench/run.sh --benchmark_filter=NONE; python3 bench/peers/routing_sklearn.py [build-bench/bench/hone_bench]
"""
import os
import sys
import tracemalloc

import numpy as np
from sklearn.metrics import roc_auc_score

import hone_bench

random = np.random.default_rng(1)


def rows(count, values):
    u = random.random(count)
    score = u + 0.3 * random.random(count)
    if values:
        score = np.floor(score * values) / values
    return (random.random(count) < u).astype(float), (random.random(count) < (1 + u) / 2).astype(float), score


def apgr(weak, strong, score):
    order = np.argsort(score, kind="stable")
    curve = weak.sum() + np.concatenate([[0.0], np.cumsum((strong - weak)[order])])
    return (np.trapezoid(curve) / len(score) - curve[0]) / (curve[-1] - curve[0])


def measure(count, values, figure=apgr):
    weak, strong, score = rows(count, values)
    seconds = hone_bench.median_seconds(lambda: figure(weak, strong, score), repeats=3)
    tracemalloc.start()
    figure(weak, strong, score)
    extra = tracemalloc.get_traced_memory()[1] / (24 * count)
    tracemalloc.stop()
    return seconds, extra


def bootstrap(count, replicates=10):
    weak, strong, score = rows(count, 0)

    def replicate():
        for _ in range(replicates):
            drawn = random.integers(0, count, count)
            apgr(weak[drawn], strong[drawn], score[drawn])

    return 100 / replicates * hone_bench.median_seconds(replicate, repeats=3), None


def routerxbench(count):
    sys.path.insert(0, os.path.join(os.environ["ROUTERXBENCH"], "src"))
    import metric

    weak, strong, score = rows(count, 0)

    def figures():
        metric.ReliableMetrics.calculate(weak, strong, score, "math")
        metric.AdaptiveMetrics.calculate(weak, strong, score, (0.85, 0.95), (0.25, 0.30))

    return hone_bench.median_seconds(figures, repeats=9), None


PEERS = {  # row of hone_bench: the same in Python
    "curve_and_apgr/rows:1000000/values:0": lambda: measure(1000000, 0),
    "curve_and_apgr/rows:1000000/values:100": lambda: measure(1000000, 100),
    "curve_and_apgr/rows:10000000/values:0": lambda: measure(10000000, 0),
    "curve_replicates/rows:100000": lambda: bootstrap(100000),
}
if "ROUTERXBENCH" in os.environ:
    PEERS["routerxbench_figures/rows:100000"] = lambda: routerxbench(100000)


def main():
    print(f"{'':44} {'NumPy ms':>10} {'hone ms':>10} {'ratio':>8} {'memory':>8}")
    for row, peer in PEERS.items():
        seconds, extra = peer()
        counters = hone_bench.row(f"^{row}/")
        ours = counters["ms"] if "ms" in counters else 1e5 / counters["per_second"]
        memory = "" if extra is None else f"{extra:7.1f}x"
        print(f"{row:44} {1e3 * seconds:10.1f} {ours:10.2f} {1e3 * seconds / ours:7.1f}x {memory:>8}")
    seconds, extra = measure(10000000, 0, lambda weak, strong, score: roc_auc_score(weak, score))
    print(f"{'scikit-learn, AUROC of 10000000':44} {1e3 * seconds:10.1f} {'':10} {'':8} {extra:7.1f}x")


if __name__ == "__main__":
    main()
