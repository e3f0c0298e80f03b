#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Loss and gradient of rows of logits as trainers compute them in eager PyTorch (to float, log-softmax, the target's
entry, backward by autograd to the logits' type) beside hone's one visit, at the shapes and values of
bench/policy/rows_bench.cpp. Prints both times, of the same machine and number of threads, and their ratio; exits with 1
if a log-likelihood differs by more than 1e-5 of itself.

  bash bench/run.sh --benchmark_filter=NONE; python3 bench/peers/rows_torch.py [build-bench/bench/hone_bench]
"""
import os
import sys

import torch

import hone_bench

SHAPES = ((512, 32000), (4096, 512))


def main():
    torch.set_num_threads(os.cpu_count())
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads; medians")
    print(f"{'':28} {'PyTorch ms':>11} {'hone ms':>9} {'ratio':>8}")
    differs = False
    for name, kind in (("float", torch.float32), ("bfloat16", torch.bfloat16)):
        for rows, vocab in SHAPES:
            i = torch.arange(rows * vocab)
            logits = (((i * 7919) % 2003 - 1001).float() * 0.01).to(kind).view(rows, vocab).requires_grad_(True)
            targets = ((torch.arange(rows) * 7919) % vocab).unsqueeze(1)

            def run():
                logits.grad = None
                loss = -torch.log_softmax(logits.float(), -1).gather(1, targets).sum()
                loss.backward()
                return float(loss)

            theirs = 1e3 * hone_bench.median_seconds(run, 7)
            counters = hone_bench.row(f"^fused<{name}>/rows:{rows}/vocab:{vocab}/")
            ours, expected = counters["ms"], run()
            print(f"{name:9} {rows:6} x {vocab:6} {'':2} {theirs:11.2f} {ours:9.2f} {theirs / ours:7.1f}x")
            differs |= abs(counters["value"] - expected) > 1e-5 * abs(expected)
    sys.exit(int(differs))


if __name__ == "__main__":
    main()
