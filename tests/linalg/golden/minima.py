# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes minima.hpp: weighted logistic models with a ridge, minimised by SciPy, free (Newton's method of trust-exact)
and in balls (the root of |x(m)| = radius, x(m) the free minimum with m more of the ridge).

  pip install scipy==1.17.1 numpy==2.4.6; python minima.py > minima.hpp
"""
import numpy as np
import scipy
from scipy.optimize import brentq, minimize

N, D = 40, 4
i = np.arange(N)[:, None]
j = np.arange(D)[None, :]
X = ((i * 37 + j * 101 + i * j * 13) % 64 - 31.5) / 64
k = np.arange(N)
S = np.where((k * 29 + 7) % 5 < 2 + k % 2, 1.0, -1.0)
W = (k % 7 + 1) / 4.0
Z = S[:, None] * X


def model(ridge):
    value = lambda b: np.mean(W * np.logaddexp(0, -Z @ b)) + ridge / 2 * b @ b
    slope = lambda b: -(W / (1 + np.exp(Z @ b))) @ Z / N + ridge * b
    curve = lambda b: (Z.T * (W / (2 + np.exp(Z @ b) + np.exp(-Z @ b)) / N)) @ Z + ridge * np.eye(D)
    return value, slope, curve


def free(ridge):
    value, slope, curve = model(ridge)
    b = minimize(value, np.zeros(D), jac=slope, hess=curve, method="trust-exact", options={"gtol": 1e-9}).x
    for _ in range(3):
        b = b - np.linalg.solve(curve(b), slope(b))
    return b


def numbers(x):
    return "{" + ", ".join(repr(float(v)) for v in x) + "}"


print("// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception")
print(f"/// Written by minima.py, SciPy {scipy.__version__}.")
print("#pragma once\n#include <vector>\n")
print("struct golden_minimum {\n  double ridge, radius;  ///< radius 0: free")
print("  std::vector<double> x;\n  double value;\n};\n")
print("inline const std::vector<golden_minimum> golden_minima = {")
for ridge in (1.0, 0.05, 0.001):
    length = np.linalg.norm(free(ridge))
    for share in (0, 0.1, 0.6, 0.99, 2):
        x = free(ridge)
        if 0 < share < 1:
            x = free(ridge + brentq(lambda m: np.linalg.norm(free(ridge + m)) - share * length, 0, 100, xtol=1e-15,
                                    rtol=1e-14))
        print(f"    {{{ridge!r}, {float(share * length)!r}, {numbers(x)}, {float(model(ridge)[0](x))!r}}},")
print("};")
