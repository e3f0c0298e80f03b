# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes factorization.hpp: losses, gradients and Adam's steps of RouteLLM's own matrix factorisation, in double and
without its noise.

  git clone https://github.com/lm-sys/RouteLLM; pip install torch==2.15.0 scikit-learn==1.9.1 pandas==3.1.1 tqdm
  python factorization.py RouteLLM > factorization.hpp
"""
import sys
import tempfile
import types

import numpy as np
import torch

STUBS = {"openai": types.SimpleNamespace(OpenAI=lambda: None),
         "huggingface_hub": types.SimpleNamespace(PyTorchModelHubMixin=object)}
sys.modules.update(STUBS)
sys.path.insert(0, sys.argv[1])
from routellm.routers.matrix_factorization.train_matrix_factorization import MFModel_Train  # noqa: E402

for name in STUBS:
    del sys.modules[name]

torch.set_default_dtype(torch.float64)
random = np.random.default_rng(2)
MODELS, RANK, WIDTH, PROMPTS, PAIRS = 4, 3, 5, 6, 9


def numbers(x):
    x = x.detach().numpy() if isinstance(x, torch.Tensor) else x
    return "{" + ", ".join(f"{v:.17g}" for v in np.ravel(x)) + "}"


def flat(parts):
    return np.concatenate([np.ravel(p.detach().numpy()) for p in parts])


embeddings = np.round(random.normal(size=(PROMPTS, WIDTH)), 2)
won = random.integers(0, MODELS, PAIRS)
lost = (won + random.integers(1, MODELS, PAIRS)) % MODELS
prompt = random.integers(0, PROMPTS, PAIRS)
with tempfile.NamedTemporaryFile(suffix=".npy") as file:
    np.save(file.name, embeddings)
    model = MFModel_Train(RANK, MODELS, PROMPTS, text_dim=WIDTH, npy_path=file.name)
parts = [model.P.weight, model.text_proj.weight, model.classifier.weight]
with torch.no_grad():
    for part in parts:
        part.copy_(torch.tensor(np.round(random.normal(size=part.shape), 2)))
start = flat(parts)


def loss():
    logits = model(torch.tensor(won), torch.tensor(lost), torch.tensor(prompt), alpha=0)
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))


first = loss()
first.backward()
slopes = flat([part.grad for part in parts])
optimiser = torch.optim.Adam(parts, lr=0.05, weight_decay=0.01)
losses = []
for _ in range(5):
    optimiser.zero_grad()
    step = loss()
    step.backward()
    optimiser.step()
    losses.append(step.item())
print("// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception")
print(f"/// Written by factorization.py, RouteLLM with PyTorch {torch.__version__.split('+')[0]}.")
print("#pragma once\n#include <vector>\n\nnamespace golden_factorization {\n")
print(f"constexpr int models = {MODELS}, rank = {RANK}, width = {WIDTH};")
print(f"inline const std::vector<double> embeddings = {numbers(embeddings)};")
for name, x in (("won", won), ("lost", lost), ("prompt", prompt)):
    print(f"inline const std::vector<int> {name} = {numbers(x)};")
print(f"inline const std::vector<double> parameters = {numbers(start)};")
print(f"inline const std::vector<double> gradient = {numbers(slopes)};  ///< of the mean loss")
print("/// Before each of five steps of Adam at rate 0.05 with weight decay 0.01, and the parameters after them.")
print(f"inline const std::vector<double> losses = {numbers(losses)};")
print(f"inline const std::vector<double> trained = {numbers(flat(parts))};")
print("\n}  // namespace golden_factorization")
