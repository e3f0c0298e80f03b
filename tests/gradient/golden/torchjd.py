# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes torchjd.hpp: what TorchJD's aggregators make of random matrices of 2, 3, 5 and 8 gradients, in double.

  pip install torch 'torchjd[cagrad,nash_mtl]==0.7.0'; python torchjd.py > torchjd.hpp

Entries are multiples of 1/64, so that the file is exact. The rows of a matrix share a direction, so that some pairs
agree, and differ in length by up to a factor of about 4.
"""
import torch
import torchjd
from torchjd.aggregation import CAGrad, DualProj, IMTLG, MGDA, AlignedMTL, ConFIG, NashMTL, UPGrad

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)


def numbers(x):
    return "{" + ", ".join(repr(float(v)) for v in x) + "}"


aggregators = {
    "upgrad": lambda m: UPGrad(),
    "upgrad_exact": lambda m: UPGrad(reg_eps=1e-12),
    "dual_projection": lambda m: DualProj(),
    "mgda": lambda m: MGDA(epsilon=1e-12, max_iters=1_000_000),
    "imtl_g": lambda m: IMTLG(),
    "aligned": lambda m: AlignedMTL(),
    "config": lambda m: ConFIG(),
    "cagrad": lambda m: CAGrad(c=0.5, norm_eps=0.0),
    "nash": lambda m: NashMTL(n_tasks=m, max_norm=0.0, optim_niter=200),
}

print("// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception")
print(f"/// Written by torchjd.py, TorchJD {torchjd.__version__ if hasattr(torchjd, '__version__') else '0.7.0'}.")
print("#pragma once\n#include <vector>\n")
print("struct golden_row {\n  std::vector<std::vector<double>> gradients;")
print("  std::vector<double> " + ", ".join(aggregators) + ";\n};\n")
print("inline const std::vector<golden_row> golden = {")
for m in (2, 3, 5, 8):
    for n in (4, 11):
        scale = torch.rand(m, 1) * 3 + 0.75
        J = torch.round((torch.randn(m, n) + 0.3 * torch.randn(n)) * scale * 64) / 64
        rows = ",\n      ".join(numbers(row) for row in J)
        print("    {{" + rows + "},")
        print("     " + ",\n     ".join(numbers(make(m)(J)) for make in aggregators.values()) + "},")
print("};")
