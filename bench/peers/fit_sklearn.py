#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Both stages of a weighted rule in scikit-learn and NumPy, without any privacy, beside hone's whole fit:
propensities by a ridge logistic regression, weights 1 / propensity, a weighted logistic regression of the outcome's
side. Records of the law of bench/privacy/fit_bench.cpp; scikit-learn stops at its own tolerances, hone at gradients of
1e-11.

  pip install scikit-learn==1.9.1 numpy==2.4.6
  bash bench/run.sh --benchmark_filter=NONE; python3 bench/peers/fit_sklearn.py [build-bench/bench/hone_bench]
"""
import warnings

import numpy as np
from sklearn.linear_model import LogisticRegression

import hone_bench


def records(n, d):
    random = np.random.default_rng(1)
    x = np.empty((n, d))
    x[:, :-1] = (2 * random.random((n, d - 1)) - 1) / np.sqrt(d - 1)
    x[:, -1] = 0.5
    t = np.where(random.random(n) < 1 / (1 + np.exp(-4 * x[:, 0] + 2 * x[:, 1])), 1, -1)
    return x, t, x[:, 1] + t * x[:, 0] + 0.5 * random.random(n) - 0.25


def fit(x, t, r, solver):
    n = len(t)
    first = LogisticRegression(C=1 / n, fit_intercept=False, solver=solver, max_iter=1000).fit(x, t)
    w = 1 + np.exp(-t * (x @ first.coef_[0]))
    return LogisticRegression(C=1 / (0.02 * n), fit_intercept=False, solver=solver, max_iter=1000).fit(
        x, t * np.sign(r), sample_weight=w * np.abs(r))


def main():
    warnings.simplefilter("ignore")
    print(f"{'':24} {'lbfgs s':>9} {'newton s':>9} {'hone s':>9} {'ratios':>14}   (hone: one worker)")
    for n, d in ((1000000, 20), (300000, 200)):
        x, t, r = records(n, d)
        peers = [hone_bench.median_seconds(lambda: fit(x, t, r, s), 3) for s in ("lbfgs", "newton-cholesky")]
        ours = n / hone_bench.row(f"^fit_whole/rows:{n}/columns:{d}/workers:1/")["per_second"]
        print(f"{n:9} x {d:<12} {peers[0]:9.2f} {peers[1]:9.2f} {ours:9.2f} {peers[0] / ours:6.1f}x "
              f"{peers[1] / ours:6.1f}x")


main()
