# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes mlp.hpp: logits, losses, gradients and Adam's steps of a PyTorch network of RouterXBench's form, in double and
without dropout, on embeddings normalised by PyTorch's mean and std.

  pip install torch==2.15.0 numpy==2.4.6; python mlp.py > mlp.hpp
"""
import numpy as np
import torch
from torch import nn

torch.set_default_dtype(torch.float64)
random = np.random.default_rng(4)
WIDTHS, SAMPLES = (5, 6, 3, 1), 9


def numbers(x):
    x = x.detach().numpy() if isinstance(x, torch.Tensor) else x
    return "{" + ", ".join(f"{v:.17g}" for v in np.ravel(x)) + "}"


def flat(parts):
    return np.concatenate([np.ravel(p.detach().numpy()) for p in parts])


x = np.round(random.normal(size=(SAMPLES, WIDTHS[0])) * (1, 5, 0.1, 2, 1) + (0, 3, 0, -1, 0), 3)
x[:, 4] = 2.5  # constant: the least deviation
labels = np.round(random.random(SAMPLES), 1)
labels[:4] = (0, 1, 1, 0)
layers = []
for inputs, outputs in zip(WIDTHS, WIDTHS[1:]):
    layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(0.1)]
network = nn.Sequential(*layers[:-2]).eval()
parts = list(network.parameters())
with torch.no_grad():
    for part in parts:
        part.copy_(torch.tensor(np.round(random.normal(size=part.shape), 2)))
start = flat(parts)
values = torch.tensor(x)
mean, deviation = values.mean(dim=0), values.std(dim=0).clamp_min(1e-6)
inputs = (values - mean) / deviation


def loss():
    return nn.functional.binary_cross_entropy_with_logits(network(inputs).squeeze(-1), torch.tensor(labels))


logits = network(inputs)
loss().backward()
slopes = flat([part.grad for part in parts])
optimiser = torch.optim.Adam(parts, lr=0.05)
losses = []
for _ in range(5):
    optimiser.zero_grad()
    step = loss()
    step.backward()
    optimiser.step()
    losses.append(step.item())
print("// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception")
print(f"/// Written by mlp.py, PyTorch {torch.__version__.split('+')[0]}.")
print("#pragma once\n#include <cstddef>\n#include <vector>\n\nnamespace golden_mlp {\n")
print(f"inline const std::vector<std::ptrdiff_t> widths = {numbers(WIDTHS)};")
for name, value in (("embeddings", x), ("labels", labels), ("mean", mean), ("deviation", deviation),
                    ("parameters", start), ("logits", logits)):
    print(f"inline const std::vector<double> {name} = {numbers(value)};")
print(f"inline const std::vector<double> gradient = {numbers(slopes)};  ///< of the mean loss")
print("/// Before each of five steps of Adam at rate 0.05, and the parameters after them.")
print(f"inline const std::vector<double> losses = {numbers(losses)};")
print(f"inline const std::vector<double> trained = {numbers(flat(parts))};")
print("\n}  // namespace golden_mlp")
