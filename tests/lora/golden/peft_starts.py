# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes peft_starts.hpp: what PEFT's initialisers make of one random layer.

python3 -m venv v && v/bin/pip install torch==2.15.0 peft==0.21.2 attrs &&
  v/bin/python tests/lora/golden/peft_starts.py > tests/lora/golden/peft_starts.hpp

PEFT computes in float32. Rank 3 of a 10 x 8 layer, alpha 6, so that s = 2; the products B A and the weights left behind
are written, which do not depend on the signs of singular vectors, and for LoRA-GA, which pairs vectors of different
triplets, the factors, which do. Its torch.svd_lowrank takes min(4 r, 8) = 8 columns, which is the exact decomposition;
EVA's incremental PCA runs without its low-rank approximation.
"""
import copy

import peft
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.config import CordaConfig, LoraGAConfig
from peft.tuners.lora.corda import preprocess_corda
from peft.utils.incremental_pca import IncrementalPCA

torch.manual_seed(0)
RANK, ALPHA, OUT, IN = 3, 6, 10, 8


def grid(x):
    return torch.round(x * 64) / 64


class Layer(torch.nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.linear = torch.nn.Linear(IN, OUT, bias=False)
        self.linear.weight.data = weight.clone()

    def forward(self, x):
        return self.linear(x)


weight = grid(torch.randn(OUT, IN))
gradient = grid(torch.randn(OUT, IN))
batches = [grid(torch.randn(12, IN) @ torch.diag(torch.linspace(2.0, 0.2, IN)) + 0.5) for _ in range(3)]


def adapted(**config):
    model = Layer(weight)
    if "prepare" in config:
        config.pop("prepare")(model, config)
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["linear"], **config)
    if config.init_lora_weights == "corda":
        preprocess_corda(model, config, run_model=lambda: [model(x) for x in batches])
    layer = get_peft_model(model, config).base_model.model.linear
    b, a = layer.lora_B["default"].weight.data, layer.lora_A["default"].weight.data
    return b @ a, layer.base_layer.weight.data, b, a


def attach(model, config):
    model.linear._peft_loraga_grad = gradient.clone()


def ga(direction, scale):
    return adapted(init_lora_weights="lora_ga", lora_ga_config=LoraGAConfig(direction=direction, scale=scale),
                   prepare=attach)


def values(x):
    return "{" + ", ".join(f"{float(v):.9g}" for v in x.reshape(-1)) + "}"


print("// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception")
print(f"/// Written by peft_starts.py, PEFT {peft.__version__}. Row by row.")
print("#pragma once\n#include <string>\n#include <vector>\n")
print("namespace golden {\n")
print(f"inline const std::vector<double> weight = {values(weight)};")
print(f"inline const std::vector<double> gradient = {values(gradient)};")
print("inline const std::vector<std::vector<double>> batches = {" + ",\n    ".join(values(x) for x in batches) + "};\n")
print("struct start {\n  std::string method;\n  std::vector<double> product, weight;\n};")
print("struct factors {\n  std::string method;\n  std::vector<double> b, a;\n};\n")
print("inline const std::vector<start> starts = {")
rows = {
    "pissa": adapted(init_lora_weights="pissa"),
    "olora": adapted(init_lora_weights="olora"),
    "corda ipm": adapted(init_lora_weights="corda", corda_config=CordaConfig(corda_method="ipm")),
    "corda kpm": adapted(init_lora_weights="corda", corda_config=CordaConfig(corda_method="kpm")),
}
for name, (product, left, _, _) in rows.items():
    print(f'    {{"{name}", {values(product)},\n     {values(left)}}},')
print("};")
print("inline const std::vector<factors> lora_ga = {")
for direction, scale in (("ArBr", "stable"), ("A2rBr", "unit"), ("ArB2r", "gd_scale"), ("ArB2r", "weight_svd")):
    _, _, b, a = ga(direction, scale)
    print(f'    {{"{direction} {scale}", {values(b)},\n     {values(a)}}},')
print("};\n")
_, left, b, a = adapted(init_lora_weights="mica")
assert torch.equal(left, weight) and not a.any()
print(f"inline const std::vector<double> mica_projector = {values(b @ b.T)};  // B B^T\n")

pca = IncrementalPCA(n_components=4, lowrank=False)
moved = None
for x in batches:
    before = copy.deepcopy(getattr(pca, "components_", None))
    pca.partial_fit(x)
    if before is not None:
        moved = torch.nn.functional.cosine_similarity(pca.components_, before)
print(f"inline const std::vector<double> eva_components = {values(pca.components_)};")
print(f"inline const std::vector<double> eva_singular_values = {values(pca.singular_values_)};")
print(f"inline const std::vector<double> eva_ratios = {values(pca.explained_variance_ratio_)};")
print(f"inline const std::vector<double> eva_cosines = {values(moved)};")
print("\n}  // namespace golden")
