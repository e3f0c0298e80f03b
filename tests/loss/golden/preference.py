# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes preference.hpp: losses of preferred and rejected answers from the formulas of their papers and of TRL, and
their gradients by PyTorch's autograd, in double.

  python3 preference.py > preference.hpp          (needs PyTorch alone)

Inputs are multiples of 1/64, so that the file is exact.
"""
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.manual_seed(5)

B = 6


def grid(x):
    return torch.round(x * 64) / 64


log_c, log_r = grid(-4 - 4 * torch.rand(B)), grid(-4 - 4 * torch.rand(B))
ref_c, ref_r = grid(log_c + torch.randn(B)), grid(log_r + torch.randn(B))
len_c, len_r = torch.randint(2, 12, (B,)), torch.randint(2, 12, (B,))
desirable = torch.tensor([1, 0, 0, 1, 1, 0])
log_c.requires_grad_(True)
log_r.requires_grad_(True)

c, r = log_c - ref_c, log_r - ref_r
h = c - r
mean_c, mean_r = log_c / len_c, log_r / len_r
s, log_s = torch.sigmoid, F.logsigmoid


def smoothed(x, e):
    return -log_s(x) * (1 - e) - log_s(-x) * e


def odds(x):
    return x - torch.log1p(-torch.exp(x))


def sorted_difference():
    return torch.sort(c).values - torch.sort(r).values


z = 0.25
answers = {
    "dpo": smoothed(0.1 * h, 0),
    "cdpo": smoothed(0.1 * h, 0.2),
    "robust": (-log_s(0.1 * h) * 0.8 + log_s(-0.1 * h) * 0.2) / 0.6,
    "dpo means": smoothed(0.5 * (c / len_c - r / len_r), 0),
    "dpo without reference": smoothed(0.1 * (log_c - log_r), 0),
    "ipo": (h - 5) ** 2,
    "ipo means": (c / len_c - r / len_r - 5) ** 2,
    "hinge": torch.relu(1 - 0.7 * h),
    "exo": s(0.1 * h) * (log_s(0.1 * h) - torch.log(torch.tensor(1 - 1e-3)))
    + s(-0.1 * h) * (log_s(-0.1 * h) - torch.log(torch.tensor(1e-3))),
    "nca": -log_s(0.1 * c) - 0.5 * log_s(-0.1 * c) - 0.5 * log_s(-0.1 * r),
    "bco": -log_s(0.1 * c - 0.03) - log_s(-(0.1 * r - 0.03)),
    "discopop": smoothed(0.05 * h, 0) * (1 - s(h)) + torch.exp(-0.05 * h) * s(h),
    "apo_zero": 1 - s(0.1 * c) + s(0.1 * r),
    "apo_down": s(0.1 * c) + 1 - s(0.1 * h),
    "self_play": (c - 5) ** 2 + (r + 5) ** 2,
    "simpo": -log_s(2 * (mean_c - mean_r) - 0.5),
    "cpo": smoothed(0.1 * (log_c - log_r), 0) - log_c,
    "orpo": -mean_c - 0.1 * log_s(odds(mean_c) - odds(mean_r)),
    "aot": smoothed(0.1 * sorted_difference(), 0.1),
    "kto": torch.where(desirable == 1, 1.0 * (1 - s(0.1 * (c - z))), 1.5 * (1 - s(0.1 * (z - c)))),
}


def numbers(x):
    return "{" + ", ".join(repr(float(v)) for v in x) + "}"


print("// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception")
print(f"/// Written by preference.py, PyTorch {torch.__version__}.")
print("#pragma once\n#include <cstdint>\n#include <string>\n#include <vector>\n\n#include \"hone/core/contract.hpp\"\n")
print("namespace golden {\n")
for name, x in (("chosen", -log_c), ("rejected", -log_r), ("chosen_reference", -ref_c), ("rejected_reference", -ref_r)):
    print(f"inline const std::vector<double> {name} = {numbers(x)};")
for name, x in (("chosen_length", len_c), ("rejected_length", len_r)):
    print(f"inline const std::vector<hone::index_t> {name} = {{" + ", ".join(str(int(v)) for v in x) + "};")
print("inline const std::vector<std::uint8_t> desirable = {" + ", ".join(str(int(v)) for v in desirable) + "};")
print("\n/// The sum, and its derivatives by the negative log-probabilities.")
print("struct row {\n  std::string name;\n  double loss;\n  std::vector<double> chosen_slope, rejected_slope;\n};\n")
print("inline const std::vector<row> rows = {")
for name, loss in answers.items():
    g = torch.autograd.grad(loss.sum(), (log_c, log_r), retain_graph=True, allow_unused=True)
    g = [torch.zeros(B) if x is None else x for x in g]
    print(f"    {{\"{name}\", {float(loss.sum())!r},\n     {numbers(-g[0])},\n     {numbers(-g[1])}}},")
print("};\n\n}  // namespace golden")
