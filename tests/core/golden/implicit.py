# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes implicit.hpp: derivatives in the shape of the incomplete gamma function and implicit gradients of gamma and
beta variates, by mpmath's quadrature of the score over the density of the logarithm (the logit), with 40 digits.

  pip install mpmath==1.4.1; python implicit.py > implicit.hpp
"""

import mpmath
from mpmath import mp, mpf

mp.dps = 40


def beyond(f, scale, log_density):
    """The integral of f(s) exp(log_density(s)) over s in [0, infinity), log_density concave and 0 at 0."""
    end = scale
    while log_density(end) > -110:
        end *= 2
    while log_density(end / 2) < -110:
        end /= 2
    borders = [end * mpf(i) / 24 for i in range(25)]
    return mpmath.quad(lambda s: f(s) * mpmath.exp(log_density(s)), borders, method="gauss-legendre", maxdegree=6)


def gamma_slope(a, v):
    """d log y / da at log y = v."""
    a, v = mpf(a), mpf(v)
    y, mean = mpmath.exp(v), mpmath.digamma(a)
    if v < 1 and y < 30:  # terms, of any size, in enough digits
        with mpmath.workdps(100):
            a, v = mpf(a), mpf(v)
            y = mpmath.exp(v)
            term, score = mpf(1), mpmath.digamma(1 + a) - v
            total, k = score, 0
            while k < 10 or abs(term * score) > abs(total) * mpf(10) ** -90:
                k += 1
                term *= y / (a + k)
                score += 1 / (a + k)
                total += term * score
            return total / a
    if v > mean:
        return beyond(lambda s: v - mean + s, 1 / mpmath.sqrt(y), lambda s: a * s - y * mpmath.expm1(s))
    return beyond(lambda s: mean - v + s, 1 / mpmath.sqrt(y), lambda s: -a * s - y * mpmath.expm1(-s))


def beta_slope(a, b, x, y):
    """d logit / da at x = 1 - y."""
    with mpmath.workdps(60):
        a, b, x, y = mpf(a), mpf(b), mpf(x), mpf(y)
        n, distance = a + b, mpmath.log(x) - mpmath.digamma(a) + mpmath.digamma(a + b)
    if min(a, b) < 0.5 or x * n < 0.01:  # the hypergeometric function itself, by differences in 200 digits
        with mpmath.workdps(400):
            a, b, x, y = mpf(a), mpf(b), mpf(x), mpf(y)
            step = a * mpf(10) ** -100

            def log_lower(a):  # log(I B)
                return a * mpmath.log(x) - mpmath.log(a) + mpmath.log(mpmath.hyp2f1(a, 1 - b, a + 1, x))

            def beta_log(a):
                return mpmath.loggamma(a) + mpmath.loggamma(b) - mpmath.loggamma(a + b)

            lower = mpmath.exp(log_lower(a))
            slope = (log_lower(a + step) - log_lower(a - step) - beta_log(a + step) + beta_log(a - step)) / (2 * step)
            return -lower * slope / (x**a * y**b)
    scale = 1 / mpmath.sqrt(n * x * y)
    if distance > 0:
        moved = lambda s: mpmath.log1p(y * mpmath.expm1(-s))
        return beyond(lambda s: distance - moved(s), scale, lambda s: -b * s - n * moved(s))
    moved = lambda s: mpmath.log1p(x * mpmath.expm1(-s))
    return beyond(lambda s: s + moved(s) - distance, scale, lambda s: -a * s - n * moved(s))


def table(name, fields, rows):
    print(f"struct {name}_row {{\n  double {fields};\n}};\n")
    print(f"inline const std::vector<{name}_row> {name} = {{")
    for row in rows:
        print("    {" + ", ".join(repr(float(x)) for x in row) + "},")
    print("};\n")


print("// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception")
print(f"/// Written by implicit.py, mpmath {mpmath.__version__}.")
print("#pragma once\n#include <vector>\n")

rows = []
for a in [1e-30, 1e-8, 1e-3, 0.0823721766, 0.3, 1, 2.5, 10, 39, 41, 100, 1500, 1e6]:
    middle = mpmath.log(a) if a > 0.5 else mpf(0)
    wanted = [float(middle + z / mpmath.sqrt(max(a, 0.3))) for z in (-6, -2, -0.6, 0.01, 0.7, 2, 5)]
    wanted += [-1 / a, -0.1 / a, -700, -20, -1, 1, 1.05, 1.15, 2, 3] if a < 2.6 else [-3, 0.5, 1.2]
    for v in sorted({w for w in wanted if w < 6 or a > 50}):
        rows.append((a, v, gamma_slope(a, v)))
table("golden_gamma_slope", "a, log_y, slope", rows)

rows = []
SHAPES = [
    (1e-30, 1e-30),
    (1e-30, 3),
    (3, 1e-30),
    (1e-3, 2e-3),
    (0.0823721766, 2.635909652),
    (2.635909652, 0.0823721766),
    (0.3, 5.2),
    (1, 1),
    (0.5, 40),
    (1.3, 1.9),
    (40, 0.5),
    (5, 6),
    (3, 300),
    (300, 3),
    (100, 150),
    (1e6, 0.01),
    (1e6, 2e6),
]
for a, b in SHAPES:
    mean = mpf(a) / (a + b)
    deviation = mpmath.sqrt(mean * (1 - mean) / (a + b + 1))
    pairs = [(x, 1 - mpf(x)) for x in (1e-12, 0.01, 0.1, 0.3, 0.49, 0.51, 0.7, 0.9, 0.99)]
    pairs += [(1 - mpf(y), mpf(y)) for y in (1e-12, 1e-5)]
    pairs += [(mean + z * deviation, 1 - mean - z * deviation) for z in (-4, -1, -0.2, 0.01, 0.3, 1, 4)]
    for x, y in pairs:
        if not 0 < x < 1 or (max(a, b) > 100 and abs(x - mean) > 12 * deviation):
            continue
        if min(a, b) < 0.5 and max(a, b) > 1e5 and x < 0.9999:
            continue
        x, y = (mpf(float(x)), None) if x < 0.5 else (None, mpf(float(y)))
        x, y = (x, 1 - x) if y is None else (1 - y, y)
        rows.append((a, b, mpmath.log(x), mpmath.log(y), beta_slope(a, b, x, y)))
table("golden_beta_slope", "a, b, log_x, log_y, slope", rows)
