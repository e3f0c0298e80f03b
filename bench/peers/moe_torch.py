#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""torch.topk over every expert's column beside hone's selection, at the shapes and values of bench/moe/route_bench.cpp
(scores normal, expert after expert; indices sorted as selection gives them). Prints both times, of the same machine, on
one thread, and their ratio.

  bash bench/run.sh --benchmark_filter=NONE; python3 bench/peers/moe_torch.py [build-bench/bench/hone_bench]
"""
import torch

import hone_bench

SHAPES = ((4096, 64, 128), (4096, 64, 512), (2048, 64, 256), (512, 512, 32), (128, 16, 16))


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1)
    print(f"PyTorch {torch.__version__}, 1 thread; medians")
    print(f"{'tokens experts taken':24} {'torch us':>10} {'sorted us':>10} {'hone us':>9} {'ratio':>8}")
    for tokens, experts, taken in SHAPES:
        scores = torch.randn(experts, tokens)
        times = max(1, (1 << 18) // (tokens * experts))

        def choose():
            for _ in range(times):
                torch.topk(scores, taken, dim=1, sorted=False)

        def choose_sorted():
            for _ in range(times):
                torch.topk(scores, taken, dim=1, sorted=False).indices.sort(dim=1)

        theirs = 1e6 * hone_bench.median_seconds(choose, 15) / times
        as_ours = 1e6 * hone_bench.median_seconds(choose_sorted, 15) / times
        row = hone_bench.row(f"^select_top/tokens:{tokens}/experts:{experts}/taken:{taken}/")
        ours = 1e3 * row["ms"] / times
        print(f"{tokens:6} {experts:6} {taken:6} {'':3} {theirs:10.0f} {as_ours:10.0f} {ours:9.0f} {theirs / ours:7.1f}x")


if __name__ == "__main__":
    main()
