#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""An epoch of probe training in Python beside hone's, at the shapes of bench/routing/probe_bench.cpp: ProbeDirichlet
in PyTorch from its formulas, as the authors' code has it (a Dirichlet object a sample, in a loop) and with the batch's
draws at once; the same with fixed weights; the mean probe by NumPy and scikit-learn's SGDClassifier. The states are
in memory, batches are gathered by index. Prints both times and their ratio.

  pip install torch==2.15.0 scikit-learn==1.9.1 numpy==2.4.6
  bash bench/run.sh --benchmark_filter=NONE; python3 bench/peers/probe_torch.py [build-bench/bench/hone_bench]
"""
import os

import numpy as np
import torch
from sklearn.linear_model import SGDClassifier
from torch import nn

import hone_bench

SAMPLES, LAYERS, WIDTH, BATCH = 1536, 33, 4096, 192


class Probe(nn.Module):
    """theta of ones, gamma 1, a linear head; weights drawn in training, their mean in use."""

    def __init__(self, draws):
        super().__init__()
        self.theta = nn.Parameter(torch.ones(LAYERS))
        self.gamma = nn.Parameter(torch.tensor(1.0))
        self.head = nn.Linear(WIDTH, 1)
        self.draws = draws

    def forward(self, states):
        mean = torch.softmax(self.theta, 0)
        alpha = torch.exp(self.gamma) * mean
        if self.draws == "loop":
            weights = torch.stack([torch.distributions.Dirichlet(alpha).rsample() for _ in range(len(states))])
        elif self.draws == "batch":
            weights = torch.distributions.Dirichlet(alpha).rsample((len(states),))
        else:
            weights = mean.expand(len(states), -1)
        return self.head((weights.unsqueeze(-1) * states).sum(1)).squeeze(-1)


def epoch(states, draws):
    torch.manual_seed(42)
    labels = (torch.arange(SAMPLES) % 3 != 0).float()
    probe = Probe(draws)
    optimiser = torch.optim.Adam(probe.parameters(), lr=1e-4)

    def run():
        for batch in torch.randperm(SAMPLES).split(BATCH):
            optimiser.zero_grad()
            x = states[batch].float()
            nn.functional.binary_cross_entropy_with_logits(probe(x), labels[batch]).backward()
            optimiser.step()

    return hone_bench.median_seconds(run, 3)


def mean_epoch(states):
    x, labels = states.numpy(), (np.arange(SAMPLES) % 3 != 0).astype(int)
    fitted = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=1e-4, alpha=0)

    def run():
        for batch in np.array_split(np.random.permutation(SAMPLES), SAMPLES // BATCH):
            fitted.partial_fit(x[batch].mean(1), labels[batch], classes=[0, 1])

    return hone_bench.median_seconds(run, 3)


def main():
    torch.set_num_threads(os.cpu_count())
    states = 2 * torch.rand(SAMPLES, LAYERS, WIDTH) - 1
    half = states.bfloat16()
    rows = [
        ("probe_epoch_float/dirichlet", "PyTorch, a draw at a time", lambda: epoch(states, "loop")),
        ("probe_epoch_float/dirichlet", "PyTorch, a batch's draws", lambda: epoch(states, "batch")),
        ("probe_epoch_bfloat16/dirichlet", "PyTorch, a batch's draws", lambda: epoch(half, "batch")),
        ("probe_epoch_float/delta", "PyTorch, fixed weights", lambda: epoch(states, "mean")),
        ("probe_epoch_float/delta", "NumPy and scikit-learn, mean", lambda: mean_epoch(states)),
    ]
    print(f"{'':36} {'':30} {'Python ms':>10} {'hone ms':>9} {'ratio':>7}")
    for row, what, peer in rows:
        ours, theirs = hone_bench.row(f"^{row}/")["ms"], 1e3 * peer()
        print(f"{row:36} {what:30} {theirs:10.1f} {ours:9.2f} {theirs / ours:6.1f}x")


if __name__ == "__main__":
    main()
