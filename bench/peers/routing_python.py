#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Baselines of routers in Python beside hone's, at the shapes of bench/routing/baselines_bench.cpp: neighbours by
scikit-learn's brute force, the similarity-weighted fit of one query as RouteLLM does it (NumPy's cosines, a logistic
regression over all battles; its default stop), and an epoch of a PyTorch network. Prints both times and their ratio.

  pip install scikit-learn==1.9.1 numpy==2.4.6 torch==2.15.0
  bash bench/run.sh --benchmark_filter=NONE; python3 bench/peers/routing_python.py [build-bench/bench/hone_bench]
"""
import math
import os

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits
from torch import nn

import hone_bench

random = np.random.default_rng(1)


def draw(count, width):
    topics = random.normal(size=(50, width))
    return (topics[np.arange(count) % 50] + random.normal(size=(count, width))).astype(np.float32)


def nearest(metric, queries):
    known, asked = draw(20000, 768), draw(queries, 768)
    fitted = NearestNeighbors(n_neighbors=10, metric=metric, algorithm="brute").fit(known)
    with threadpool_limits(1):
        return hone_bench.median_seconds(lambda: fitted.kneighbors(asked), 3)


def similarity_weighted(tiers=10):
    known, asked = draw(20000, 768), draw(1, 768)[0]
    first = np.arange(20000) % tiers
    second = (first + 1 + np.arange(20000) * 7919 % (tiers - 1)) % tiers
    won = (random.random(20000) < 1 / (1 + np.exp(0.3 * (first - second)))).astype(float)
    design = np.zeros((40000, tiers))
    design[np.arange(40000), np.tile(first, 2)] = math.log(10)
    design[np.arange(40000), np.tile(second, 2)] = -math.log(10)

    def run():
        cosines = known @ asked / (np.linalg.norm(known, axis=1) * np.linalg.norm(asked))
        weights = 10 * 10 ** (cosines / np.max(cosines))
        LogisticRegression(fit_intercept=False, C=np.inf).fit(design, np.tile(won, 2), np.tile(weights, 2))

    with threadpool_limits(1):
        return hone_bench.median_seconds(run, 3)


def network_epoch():
    torch.set_num_threads(os.cpu_count())
    x = torch.tensor(draw(2048, 768))
    y = (x[:, 0] > 0).float()
    x = (x - x.mean(0)) / x.std(0).clamp_min(1e-6)
    layers = []
    for inputs, outputs in ((768, 256), (256, 64)):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(0.1)]
    network = nn.Sequential(*layers, nn.Linear(64, 1))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)

    def run():
        for batch in torch.randperm(2048).split(32):
            optimiser.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(network(x[batch]).squeeze(-1), y[batch]).backward()
            optimiser.step()

    return hone_bench.median_seconds(run, 3)


PEERS = {  # row of hone_bench: what it counts where it does, the same in Python
    "nearest/cosine/queries:512": (None, lambda: nearest("cosine", 512)),
    "nearest/euclidean/queries:512": (None, lambda: nearest("euclidean", 512)),
    "similarity_weighted/queries:1": (None, similarity_weighted),
    "similarity_weighted/queries:256": (None, lambda: 256 * similarity_weighted()),  # one by one
    "network_epoch": (2048, network_epoch),
}


def main():
    print(f"{'':34} {'Python ms':>10} {'hone ms':>9} {'ratio':>7}")
    for row, (count, peer) in PEERS.items():
        counters, theirs = hone_bench.row(f"^{row}/"), 1e3 * peer()
        ours = counters["ms"] if count is None else 1e3 * count / counters["per_second"]
        print(f"{row:34} {theirs:10.1f} {ours:9.2f} {theirs / ours:6.1f}x")


if __name__ == "__main__":
    main()
