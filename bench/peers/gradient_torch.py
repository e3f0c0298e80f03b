#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The combinations of bench/gradient as eager PyTorch does them: an operation a pass, booleans and temporaries in
memory, as in the code of arXiv 2604.14808 (without the conflict mask that its PCGrad makes and does not use). Prints
both times, of the same machine, size and number of threads, and their ratio.

  bash bench/run.sh --benchmark_filter=NONE; python3 bench/peers/gradient_torch.py [build-bench/bench/hone_bench]
"""
import os

import torch

import hone_bench

MEBI = 1 << 20
TENSORS = 16  # of 1 Mi floats each


def sago(forget, retain):
    out = []
    for f, r in zip(forget, retain):
        conflict = torch.sign(f) * torch.sign(r) < 0
        agreement = ~conflict
        g = torch.zeros_like(f)
        g[conflict] = r[conflict]
        g[agreement] = f[agreement]
        out.append(g)
    return out


def project(f, r, dot, squared):
    return f - dot / (squared + 1e-10) * r if dot < 0 else f


def pcgrad_per_tensor(forget, retain):
    return [project(f, r, torch.sum(f * r), torch.sum(r * r)) + r for f, r in zip(forget, retain)]


def pcgrad_global(forget, retain):
    dot = sum(torch.sum(f * r) for f, r in zip(forget, retain))
    squared = sum(torch.sum(r * r) for r in retain)
    return [project(f, r, dot, squared) + r for f, r in zip(forget, retain)]


PEERS = {  # row of hone_bench: the same in PyTorch
    "sago_in_place<float>": sago,
    "pcgrad_per_tensor<float>": pcgrad_per_tensor,
    "pcgrad_global<float>": pcgrad_global,
}


def eager_milliseconds(combine, repeats=9):
    forget = [torch.randn(MEBI) for _ in range(TENSORS)]
    retain = [torch.randn(MEBI) - 0.5 * f for f in forget]  # every tensor conflicts
    return 1e3 * hone_bench.median_seconds(lambda: combine(forget, retain), repeats)


def main():
    torch.manual_seed(1)
    torch.set_num_threads(os.cpu_count())
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {TENSORS} tensors of 1 Mi floats; medians")
    print(f"{'':28} {'PyTorch ms':>10} {'hone ms':>10} {'ratio':>8}")
    for row, combine in PEERS.items():
        eager, fused = eager_milliseconds(combine), hone_bench.row(f"^{row}/Mi:{TENSORS}/")["ms"]
        print(f"{row:28} {eager:10.1f} {fused:10.2f} {eager / fused:7.1f}x")


if __name__ == "__main__":
    main()
