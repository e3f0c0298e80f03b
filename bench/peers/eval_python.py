#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The metrics of bench/eval and bench/statistics as Python's packages compute them: rouge-score, rouge, SciPy's exact
test. Prints both times a pair or a test, of the same machine and sizes, and their ratio; the texts are as long as those
of the benchmark.

  pip install rouge-score==0.1.2 rouge==1.0.1 scipy==1.10.1 numpy==1.24.2
  bash bench/run.sh --benchmark_filter=NONE; python3 bench/peers/eval_python.py [build-bench/bench/hone_bench]
"""
import random

import numpy as np
from rouge import Rouge
from rouge_score import rouge_scorer
from scipy.stats import ks_2samp

import hone_bench

ROOTS = """author novel award relation happy write celebrate famous child live city influence explore career inspire
theme""".split()
ENDS = ["", "s", "ing", "ed", "ly", "ational", "ness", "er"]


def texts(words, count=100):
    random.seed(1)
    pairs = []
    for _ in range(count):
        reference, candidate = "", ""
        for _ in range(words):
            word = " " + random.choice(ROOTS) + random.choice(ENDS) + ("," if random.randrange(8) == 0 else "")
            reference += word
            candidate += word if random.randrange(3) else ""
            candidate += " " + random.choice(ROOTS) if random.randrange(3) == 0 else ""
        pairs.append((reference, candidate))
    return pairs


def rouge_score_seconds(words):
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)
    pairs = texts(words)
    return hone_bench.median_seconds(lambda: [scorer.score(a, b) for a, b in pairs]) / len(pairs)


def rouge_seconds(words):
    scorer, pairs = Rouge(metrics=["rouge-l"]), texts(words)
    return hone_bench.median_seconds(lambda: [scorer.get_scores(b, a) for a, b in pairs]) / len(pairs)


def ks_seconds(n, m, percent):
    """Two samples evenly spread, a share of one moved past the other."""
    x = np.arange(n) / n
    y = (np.arange(m) + 0.5) / m
    y = np.where(y < percent / 100, 2 + y, y)
    return hone_bench.median_seconds(lambda: ks_2samp(x, y, method="exact"))


PEERS = {  # row of hone_bench: the same in Python
    "rouge_l_of_texts/words:40": lambda: rouge_score_seconds(40),
    "rouge_l_of_texts/words:200": lambda: rouge_score_seconds(200),
    "rouge_l_union_of_texts/words:40": lambda: rouge_seconds(40),
    "ks_test/n:400/m:400/percent:10": lambda: ks_seconds(400, 400, 10),
    "ks_test/n:400/m:300/percent:10": lambda: ks_seconds(400, 300, 10),
    "ks_test/n:10000/m:9999/percent:2": lambda: ks_seconds(10000, 9999, 2),
}


def main():
    print(f"{'':42} {'Python us':>12} {'hone us':>10} {'ratio':>8}")
    for row, peer in PEERS.items():
        theirs, ours = 1e6 * peer(), 1e6 / hone_bench.row(f"^{row}/")["per_second"]
        print(f"{row:42} {theirs:12.1f} {ours:10.2f} {theirs / ours:7.0f}x")


if __name__ == "__main__":
    main()
