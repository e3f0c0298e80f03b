#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""AUC, average precision and the bootstrap of AUC as scikit-learn computes them, on outcomes and scores like those of
bench/statistics. Prints both times, their ratio, and the memory that scikit-learn takes beside its input, in inputs of
16 bytes a score; hone takes one at most (tests/statistics/roc_test.cpp).

  pip install scikit-learn==1.9.1 numpy==2.4.6
  bash bench/run.sh --benchmark_filter=NONE; python3 bench/peers/ranking_sklearn.py [build-bench/bench/hone_bench]
"""
import tracemalloc

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

import hone_bench

random = np.random.default_rng(1)


def items(count):
    outcomes = (np.arange(count) % 10 < 3).astype(float)
    return outcomes, random.normal(size=count) + outcomes


def measure(score, count):
    outcomes, scores = items(count)
    seconds = hone_bench.median_seconds(lambda: score(outcomes, scores), repeats=3)
    tracemalloc.start()
    score(outcomes, scores)
    extra = tracemalloc.get_traced_memory()[1] / (16 * count)
    tracemalloc.stop()
    return seconds, extra


def bootstrap(count, replicates=20):
    outcomes, scores = items(count)

    def replicate():
        for _ in range(replicates):
            drawn = random.integers(0, count, count)
            roc_auc_score(outcomes[drawn], scores[drawn])

    return 1000 / replicates * hone_bench.median_seconds(replicate, repeats=3), None


PEERS = {  # row of hone_bench: how many it counts, the same in Python
    "auc_by_outcome/scores:100000": (1e5, lambda: measure(roc_auc_score, 100000)),
    "auc_by_outcome/scores:10000000": (1e7, lambda: measure(roc_auc_score, 10000000)),
    "average_precision_by_outcome/scores:10000000": (1e7, lambda: measure(average_precision_score, 10000000)),
    "bootstrap_of_auc/items:100000": (1e3, lambda: bootstrap(100000)),
}


def main():
    print(f"{'':48} {'sklearn ms':>12} {'hone ms':>10} {'ratio':>8} {'memory':>8}")
    for row, (count, peer) in PEERS.items():
        seconds, extra = peer()
        theirs, ours = 1e3 * seconds, 1e3 * count / hone_bench.row(f"^{row}/")["per_second"]
        memory = "" if extra is None else f"{extra:7.1f}x"
        print(f"{row:48} {theirs:12.1f} {ours:10.2f} {theirs / ours:7.1f}x {memory:>8}")


if __name__ == "__main__":
    main()
