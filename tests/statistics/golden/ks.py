# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes ks.hpp: SciPy's exact two-sample Kolmogorov-Smirnov test, on sizes with a statistic, and on samples with ties.

  pip install scipy==1.10.1 numpy==1.24.2; python ks.py > ks.hpp
"""
from math import gcd

import numpy as np
import scipy
from scipy.stats import ks_2samp

random = np.random.default_rng(5)


def numbers(x):
    return "{" + ", ".join(str(int(v)) for v in x) + "}"


print("// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception")
print(f"/// Written by ks.py, SciPy {scipy.__version__}.")
print("#pragma once\n#include <vector>\n")
print("struct golden_ks {\n  long n, m, h;  ///< D = h / lcm(n, m)\n  double p;\n};\n")
print("inline const std::vector<golden_ks> golden_ks_sizes = {")
SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (7, 7), (8, 12), (20, 20), (20, 21), (40, 40), (40, 200), (199, 200),
         (200, 200), (300, 300), (300, 400), (400, 300), (400, 400), (117, 100), (997, 1009), (1000, 1000), (1000, 10),
         (1500, 2500)]
for n, m in SIZES:
    for shift in (0, 0.1, 0.3, 0.6, 1, 2, 4):
        r = ks_2samp(random.normal(size=n), random.normal(size=m) + shift, method="exact")
        h = round(r.statistic * (n * m // gcd(n, m)))
        print(f"    {{{n}, {m}, {h}, {r.pvalue!r}}},")
print("};\n")
print("struct golden_ties {\n  std::vector<double> x, y;\n  double statistic, p;\n};\n")
print("inline const std::vector<golden_ties> golden_ks_ties = {")
for _ in range(80):
    values = random.integers(1, 9)
    x = random.integers(0, values + 1, size=random.integers(1, 14))
    y = random.integers(0, values + 1, size=random.integers(1, 14)) + random.integers(0, 3)
    r = ks_2samp(x, y, method="exact")
    print(f"    {{{numbers(x)}, {numbers(y)}, {r.statistic!r}, {r.pvalue!r}}},")
print("};")
