#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The advantages and losses of bench/policy as TRL and verl compute them in eager PyTorch: padded rows, masks, an
operation a pass, the gradient on log-probabilities by autograd. Same inputs, in double; prints both values, both times
of the same machine and number of threads, and their ratio. Exits with 1 if a value differs by more than 1e-9 of its
size.

  bash bench/run.sh --benchmark_filter=NONE; python3 bench/peers/policy_torch.py [build-bench/bench/hone_bench]
"""
import os
import sys

import torch

import hone_bench

TOKENS, LENGTH, GROUP = 1 << 20, 512, 8
torch.set_default_dtype(torch.float64)


def spread_over(t, factor, modulus):
    return (t * factor % modulus).double() - modulus // 2


t = torch.arange(TOKENS)
flat = {
    "log_p": -1.1 + 0.001 * spread_over(t, 7919, 2003),
    "advantage": spread_over(t // LENGTH, 31, 17) / 8,
    "reference_mass": 0.5 + 0.0004 * spread_over(t, 7919, 997),
    "reward": 0.1 * spread_over(t, 7919, 11),
    "value": 0.001 * spread_over(t, 7919, 1009),
}
flat["old"] = flat["log_p"] + 0.0005 * spread_over(t, 104729, 1009)
flat["reference"] = flat["log_p"] + 0.0005 * spread_over(t, 1299709, 1013)
flat["mass"] = flat["reference_mass"] * torch.exp(0.001 * spread_over(t, 104729, 991))
rows = {name: x.view(-1, LENGTH).clone() for name, x in flat.items()}
mask = torch.ones(TOKENS // LENGTH, LENGTH)
signs = (t % 7).double() - 3


def signature(x):
    return float((x.flatten() * signs).sum())


def group_advantages():
    r = flat["reward"].view(-1, GROUP)
    mean, std = r.mean(1).repeat_interleave(GROUP), r.std(1).repeat_interleave(GROUP)
    return (flat["reward"] - mean) / (std + 1e-4)


def generalised_advantages():
    r, v, gamma, lam = rows["reward"], rows["value"], 1.0, 0.95
    next_value, running, reversed_rows = 0, 0, []
    for i in reversed(range(LENGTH)):
        delta = r[:, i] + gamma * next_value - v[:, i]
        candidate = delta + gamma * lam * running
        next_value = v[:, i] * mask[:, i] + (1 - mask[:, i]) * next_value
        running = candidate * mask[:, i] + (1 - mask[:, i]) * running
        reversed_rows.append(running)
    advantages = torch.stack(reversed_rows[::-1], dim=1)
    return advantages, advantages + v


def whitening():
    x = rows["reward"]
    mean = (x * mask).sum() / mask.sum()
    variance = ((x - mean) ** 2 * mask).sum() / (mask.sum() - 1)
    return (x - mean) * torch.rsqrt(variance + 1e-8) * mask


def token_mean(loss):
    return (loss * mask).sum() / mask.sum()


def clipped(ratio, low, high, dual=None):
    a = rows["advantage"]
    loss = torch.max(-a * ratio, -a * torch.clamp(ratio, 1 - low, 1 + high))
    return loss if dual is None else torch.where(a < 0, torch.min(loss, -a * dual), loss)


def ratio_of(log_p):
    return torch.exp(torch.clamp(log_p - rows["old"], -20, 20))


def ppo(log_p, mass):
    return token_mean(clipped(ratio_of(log_p), 0.2, 0.2, 3.0))


def ppo_with_kl(log_p, mass):
    k = rows["reference"] - log_p
    return token_mean(clipped(ratio_of(log_p), 0.2, 0.2, 3.0) + 0.04 * (torch.exp(k) - k - 1))


def anchored_ppo(log_p, mass):
    pulled = 1.05 * ratio_of(log_p) - 0.1 * mass / rows["reference_mass"]
    return token_mean(clipped(torch.where(rows["advantage"] < 0, pulled, ratio_of(log_p)), 0.2, 0.2, 3.0))


def sequence_ppo(log_p, mass):
    log_ratio = ((log_p - rows["old"]) * mask).sum(-1) / mask.sum(-1)
    return token_mean(clipped(torch.exp(log_ratio.detach()[:, None] + log_p - log_p.detach()), 3e-4, 4e-4))


def with_gradient(loss):
    log_p, mass = rows["log_p"].clone().requires_grad_(True), rows["mass"].clone().requires_grad_(True)

    def run():
        log_p.grad = mass.grad = None
        value = loss(log_p, mass)
        value.backward()
        return float(value)

    return run


PEERS = {  # row of hone_bench: the same in PyTorch, and the number to compare
    "group_advantages_grpo": (group_advantages, signature),
    "generalised_advantages": (generalised_advantages, lambda x: signature(x[0])),
    "whitening": (whitening, signature),
    "ppo": (with_gradient(ppo), float),
    "ppo_with_kl": (with_gradient(ppo_with_kl), float),
    "anchored_ppo": (with_gradient(anchored_ppo), float),
    "sequence_ppo": (with_gradient(sequence_ppo), float),
}


def main():
    torch.set_num_threads(os.cpu_count())
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, 1 Mi tokens in double; medians")
    print(f"{'':24} {'PyTorch':>18} {'hone':>18} {'PyTorch ms':>11} {'hone ms':>9} {'ratio':>8}")
    differs = False
    for row, (body, number) in PEERS.items():
        theirs, expected = 1e3 * hone_bench.median_seconds(body, 7), number(body())
        counters = hone_bench.row(f"^{row}/")
        ours, value = counters["ms"], counters["value"]
        print(f"{row:24} {expected:18.12g} {value:18.12g} {theirs:11.1f} {ours:9.2f} {theirs / ours:7.1f}x")
        differs |= abs(expected - value) > 1e-9 * max(1.0, abs(expected))
    sys.exit(int(differs))


if __name__ == "__main__":
    main()
