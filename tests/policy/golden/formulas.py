# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes formulas.hpp: the losses that TRL and verl compute, in their shapes (padded rows and masks, stop-gradients),
and their gradients on logits by PyTorch's autograd, in double; likewise advantages.

  python3 formulas.py > formulas.hpp          (needs PyTorch alone)

Inputs are multiples of 1/64, so that the file is exact.
"""
import torch

torch.set_default_dtype(torch.float64)
torch.manual_seed(3)

B, L, V = 5, 5, 6
lengths = [5, 3, 1, 4, 2]
mask = torch.zeros(B, L)
for b, n in enumerate(lengths):
    mask[b, :n] = 1
real = mask.bool().clone()
mask[0, 2] = 0  # a tool's token


def grid(x):
    return torch.round(x * 64) / 64


targets = torch.randint(0, V, (B, L))
old_logits = grid(torch.randn(B, L, V))
logits = grid(old_logits + 0.35 * torch.randn(B, L, V))
reference_logits = grid(old_logits + 0.5 * torch.randn(B, L, V))
A = grid(torch.tensor([1.25, -0.75, 0.5, -0.4, 0.9]))[:, None].expand(B, L)
correction = grid(0.5 + torch.rand(B, L))

logits.requires_grad_(True)


def pick(z):
    return torch.log_softmax(z, -1).gather(-1, targets[..., None])[..., 0]


log_p, old, ref = pick(logits), pick(old_logits), pick(reference_logits)
log_ratio = log_p - old
rho = log_ratio.exp()
tokens = mask.sum()
per_row = mask.sum(-1)


def sg(x):
    return x.detach()


def masked_sum(x):
    return torch.where(mask.bool(), x, torch.zeros_like(x)).sum(-1)


aggregate = {
    "token_mean": lambda l: masked_sum(l).sum() / tokens,
    "sequence_token_mean": lambda l: (masked_sum(l) / per_row).sum() / B,
    "sequence_token_sum": lambda l: masked_sum(l).sum() / B,
    "constant_mean": lambda l: masked_sum(l).sum() / (B * L),
    "constant_sum": lambda l: masked_sum(l).sum() / L,
}


def verl_vanilla(low, high, c):
    first = torch.max(-A * rho, -A * torch.clamp(rho, 1 - low, 1 + high))
    return torch.where(A < 0, torch.min(first, -A * c), first)


def trl_clip(ratio, low, high, delta=None):
    unclipped = ratio if delta is None else torch.clamp(ratio, max=delta)
    return -torch.min(unclipped * A, torch.clamp(ratio, 1 - low, 1 + high) * A)


def trl_sequence_log_ratio():
    return (masked_sum(log_ratio) / per_row)[:, None].expand(B, L)


def verl_gspo(low, high):
    s = sg(masked_sum(log_ratio) / per_row)[:, None]
    ratio = torch.exp(s + log_p - sg(log_p))
    return torch.max(-A * ratio, -A * torch.clamp(ratio, 1 - low, 1 + high))


def verl_gmpo(low, high):
    sign = torch.sign(A)
    clipped = sign * torch.min(sign * log_ratio, sign * torch.clamp(log_ratio, -low, high))
    return (-A[:, 0] * torch.exp(masked_sum(clipped) / per_row)).mean()


def trl_sapo(ratio):
    tau = torch.where(A > 0, torch.tensor(1.0), torch.tensor(1.05))
    return -A * torch.sigmoid(tau * (ratio - 1)) * 4 / tau


def trl_rloo(low, high):
    ratio = torch.exp(masked_sum(log_ratio))
    a = A[:, 0]
    return torch.max(-a * ratio, -a * torch.clamp(ratio, 1 - low, 1 + high)).mean()


def trl_vespo():
    w = torch.exp(masked_sum(sg(log_ratio)))[:, None]
    k = torch.where(A > 0, torch.tensor(2.0), torch.tensor(3.0))
    lam = torch.where(A > 0, torch.tensor(3.0), torch.tensor(2.0))
    return -torch.exp(lam + k * torch.log(w) - lam * w) * A * log_p


def k3():
    return torch.exp(ref - log_p) - (ref - log_p) - 1


def straight_through(value):
    k2 = 0.5 * (log_p - ref) ** 2
    return sg(value) - sg(k2) + k2


def entropy():
    p = torch.log_softmax(logits, -1)
    return -(p.exp() * p).sum(-1)


def anchored(lam, beta, low, high, c, K, form):
    q = torch.softmax(reference_logits, -1)
    pi = torch.softmax(logits, -1)
    top = torch.zeros_like(q).scatter_(-1, q.topk(K, -1).indices, 1.0)
    top = top.scatter(-1, targets[..., None], 0.0)
    Z = (top * q).sum(-1)
    if form == "mass":
        r = (top * pi).sum(-1) / Z
    elif form == "log_mass":
        r = torch.log((top * pi).sum(-1))
    else:
        r = (top * q / Z[..., None] * torch.log_softmax(logits, -1)).sum(-1)
    ratio = torch.where(A < 0, lam * rho - beta * r, rho)
    first = torch.max(-A * ratio, -A * torch.clamp(ratio, 1 - low, 1 + high))
    return torch.where(A < 0, torch.min(first, -A * c), first)


cases = {f"verl vanilla {mode}": f(verl_vanilla(0.2, 0.28, 3.0)) for mode, f in aggregate.items()}
cases |= {
    "verl dual clip": aggregate["token_mean"](verl_vanilla(0.2, 0.2, 1.1)),
    "verl corrected": aggregate["token_mean"](verl_vanilla(0.2, 0.2, 3.0) * correction),
    "verl gspo": aggregate["sequence_token_mean"](verl_gspo(3e-4, 4e-4)),
    "verl gspo token mean": aggregate["token_mean"](verl_gspo(0.1, 0.2)),
    "verl cispo": aggregate["token_mean"](-sg(torch.clamp(rho, 0.8, 1.28)) * A * log_p),
    "verl gmpo": verl_gmpo(0.1, 0.1),
    "verl gpg": aggregate["token_mean"](-A * log_p),
    "verl k3": aggregate["token_mean"](0.05 * k3()),
    "verl k3+": aggregate["token_mean"](0.05 * straight_through(k3())),
    "verl k1": aggregate["token_mean"](0.05 * (log_p - ref)),
    "verl k2": aggregate["token_mean"](0.05 * 0.5 * (log_p - ref) ** 2),
    "verl entropy": aggregate["sequence_token_mean"](verl_vanilla(0.2, 0.2, 3.0) - 0.01 * entropy()),
    "trl grpo": aggregate["sequence_token_mean"](trl_clip(rho, 0.2, 0.2) + 0.04 * k3()),
    "trl delta": aggregate["token_mean"](trl_clip(rho, 0.2, 0.2, 1.25)),
    "trl bias correction": aggregate["token_mean"](trl_clip(rho, 0.2, 0.2) + 0.04 * rho * k3()),
    "trl sequence": aggregate["sequence_token_mean"](trl_clip(torch.exp(trl_sequence_log_ratio()), 0.02, 0.03)),
    "trl luspo": (trl_clip(torch.exp(trl_sequence_log_ratio()), 0.02, 0.03)[:, 0] * per_row).mean(),
    "trl cispo": aggregate["token_mean"](-sg(torch.clamp(rho, max=5.0)) * A * log_p),
    "trl sapo": aggregate["sequence_token_mean"](trl_sapo(rho)),
    "trl vespo": aggregate["token_mean"](trl_vespo()),
    "trl rloo": trl_rloo(0.2, 0.2),
}
for form in ("mass", "log_mass", "reference_likelihood"):
    cases["apo " + form] = aggregate["token_mean"](anchored(1.05, 0.1, 0.2, 0.2, 3.0, 3, form))
cases["apo dominant"] = aggregate["token_mean"](anchored(1.05, 0.3, 0.2, 0.2, 3.0, 3, "mass"))


def numbers(x):
    return "{" + ", ".join(repr(float(v)) for v in x) + "}"


def integers(x):
    return "{" + ", ".join(str(int(v)) for v in x) + "}"


print("// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception")
print(f"/// Written by formulas.py, PyTorch {torch.__version__}.")
print("#pragma once\n#include <cstdint>\n#include <string>\n#include <vector>\n\n#include \"hone/core/contract.hpp\"\n")
print("namespace golden {\n")
print(f"inline const hone::index_t vocab = {V};")
print("inline const std::vector<hone::index_t> offsets = " +
      integers([0] + [sum(lengths[: b + 1]) for b in range(B)]) + ";")
print("inline const std::vector<std::int32_t> targets = " +
      integers(torch.where(mask.bool(), targets, torch.tensor(-100))[real]) + ";")
for name, x in (("advantage", A), ("correction", correction)):
    print(f"inline const std::vector<double> {name} = {numbers(x[real])};")
for name, x in (("logits", logits), ("old_logits", old_logits), ("reference_logits", reference_logits)):
    print(f"inline const std::vector<double> {name} = {numbers(x[real].flatten())};")
print("\nstruct row {\n  std::string name;\n  double loss;\n  std::vector<double> gradient;\n};\n")
print("inline const std::vector<row> rows = {")
for name, loss in cases.items():
    (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
    print(f"    {{\"{name}\", {float(loss)!r},\n     {numbers(gradient[real].flatten())}}},")
print("};\n")

# Advantages: groups of 4, 3 and 5 responses.
sizes = [4, 3, 5]
R = grid(torch.randn(12))
R[4:7] = R[4]
length = torch.randint(1, 30, (12,))
greedy = grid(torch.randn(3))
groups = torch.split(R, sizes)


def second_best(r):
    out = torch.zeros_like(r)
    two = r.topk(2)
    out[two.indices[0]] = two.values[0] - two.values[1]
    return out


advantages = {
    "trl grpo": torch.cat([(r - r.mean()) / (r.std() + 1e-4) for r in groups]),
    "verl grpo": torch.cat([(r - r.mean()) / (r.std() + 1e-6) for r in groups]),
    "dr_grpo": torch.cat([r - r.mean() for r in groups]),
    "trl batch": torch.cat([r - r.mean() for r in groups]) / (R.std() + 1e-4),
    "rloo": torch.cat([r - (r.sum() - r) / (len(r) - 1) for r in groups]),
    "remax": torch.cat([r - g for r, g in zip(groups, greedy)]),
    "opo": torch.cat([r - (r * n).sum() / n.sum() for r, n in zip(groups, torch.split(length.double(), sizes))]),
    "gpg": torch.cat([r - r.mean() for r in groups]) * (len(R) / (R != 0).sum()),
    "pass k": torch.cat([second_best(r) for r in groups]),
    "pass k scaled": torch.cat([second_best(r) / (r.std() + 1e-6) for r in groups]),
}
print(f"inline const std::vector<double> rewards = {numbers(R)};")
print(f"inline const std::vector<double> greedy = {numbers(greedy)};")
print(f"inline const std::vector<hone::index_t> lengths = {integers(length)};")
print("inline const std::vector<hone::index_t> groups = {0, 4, 7, 12};")
print("\nstruct advantage_row {\n  std::string name;\n  std::vector<double> value;\n};\n")
print("inline const std::vector<advantage_row> advantages = {")
for name, value in advantages.items():
    print(f"    {{\"{name}\", {numbers(value)}}},")
print("};\n")

# GAE over the padded batch, as verl's loop, whitened over the mask; REINFORCE++.
r, value = grid(torch.randn(B, L) * mask), grid(torch.randn(B, L))
gamma, lam = 0.99, 0.95
advantage, returns = torch.zeros(B, L), torch.zeros(B, L)
next_value, running, total = torch.zeros(B), torch.zeros(B), torch.zeros(B)
for t in reversed(range(L)):
    m = mask[:, t]
    candidate = r[:, t] + gamma * next_value - value[:, t] + gamma * lam * running
    next_value = value[:, t] * m + next_value * (1 - m)
    running = candidate * m + running * (1 - m)
    advantage[:, t] = running
    returns[:, t] = running + value[:, t]


def whiten(x):
    mean = (x * mask).sum() / tokens
    variance = ((x - mean) ** 2 * mask).sum() / (tokens - 1)
    return (x - mean) * torch.rsqrt(variance + 1e-8) * mask


for name, x in (("token_reward", r), ("token_value", value), ("gae", advantage), ("gae_returns", returns),
                ("whitened", whiten(advantage))):
    print(f"inline const std::vector<double> {name} = {numbers(x[real])};")
print("\n}  // namespace golden")
