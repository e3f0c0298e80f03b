# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes special.hpp: special functions to 40 digits by mpmath, rounded to double. Probabilities below 1e-300 are left
out.

  pip install mpmath==1.4.1; python special.py > special.hpp
"""

import mpmath
from mpmath import mp, mpf

mp.dps = 40
LEAST = mpf(10) ** -300


def real(x):
    return repr(float(x))


def table(name, fields, rows):
    print(f"struct {name}_row {{\n  double {fields};\n}};\n")
    print(f"inline const std::vector<{name}_row> {name} = {{")
    for row in rows:
        print("    {" + ", ".join(real(x) for x in row) + "},")
    print("};\n")


def tail_integral(log_density, x, scale, upwards):
    """The integral of exp(log_density) from x on upwards or downwards, over pieces of @p scale, until
    they are nothing."""
    at = log_density(x)
    total, begin = mpf(0), x
    while True:
        end = begin + scale if upwards else max(begin - scale, mpf(0))
        part = abs(
            mpmath.quad(lambda t: mpmath.exp(log_density(t) - at), [begin, end], method="gauss-legendre", maxdegree=3)
        )
        total += part
        begin = end
        if part < total * mpf(10) ** -22 or begin == 0:
            return total * mpmath.exp(at)


def series(ratio, least):
    """1 + r(0) + r(0) r(1) + ..., from term @p least on until a term is nothing."""
    nothing = mpf(10) ** -mp.dps
    term = total = mpf(1)
    k = 0
    while True:
        term *= ratio(k)
        total += term
        k += 1
        if k > least and abs(term) < abs(total) * nothing:
            return total


def gamma_tails(a, x):
    if a > 2e5:
        with mpmath.workdps(45):
            constant = mpmath.loggamma(a)
            slope = abs((a - 1) / x - 1)
            tail = tail_integral(
                lambda t: (a - 1) * mpmath.log(t) - t - constant, x, 1 / max(1 / mpmath.sqrt(a), slope), x > a
            )
        return (1 - tail, tail) if x > a else (tail, 1 - tail)
    with mpmath.workdps(350 if a > 1e-3 else 700):
        lower = x**a * mpmath.exp(-x) / mpmath.gamma(1 + a) * series(lambda k: x / (a + 1 + k), x - a)
        return lower, 1 - lower


def beta_tails(a, b, x):
    with mpmath.workdps(45):
        y = 1 - x
        if x > a / (a + b):
            lower, upper = beta_tails(b, a, y) if y < b / (a + b) else (mpf(0), mpf(0))
            return upper, lower
        if a > 1e4:
            constant = mpmath.loggamma(a) + mpmath.loggamma(b) - mpmath.loggamma(a + b)
            slope = abs((a - 1) / x - (b - 1) / y)
            scale = 1 / max(mpmath.sqrt((a - 1) / x**2 + abs(b - 1) / y**2), slope)
            tail = tail_integral(
                lambda t: (a - 1) * mpmath.log(t) + (b - 1) * mpmath.log(1 - t) - constant, x, scale, False
            )
        else:  # x^a y^b / (a B) sum_k (a + b)_k / (a + 1)_k x^k
            power = mpmath.exp(
                a * mpmath.log(x)
                + b * mpmath.log(y)
                - mpmath.loggamma(1 + a)
                - mpmath.loggamma(b)
                + mpmath.loggamma(a + b)
            )
            tail = power * series(lambda k: (a + b + k) / (a + 1 + k) * x, 0)
        return tail, 1 - tail


def student_cdf(t, freedom):
    x = freedom / (freedom + t * t)
    with mpmath.workdps(60):
        half = beta_tails(freedom / 2, mpf(1) / 2, mpf(x))[0] / 2
    return half if t < 0 else 1 - half


print("// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception")
print(f"/// Written by special.py, mpmath {mpmath.__version__}.")
print("#pragma once\n#include <vector>\n")

ARGUMENTS = [
    1e-300,
    1e-20,
    1e-5,
    0.0823721766,
    0.3,
    0.5,
    0.75,
    1,
    1.0000001,
    1.3,
    1.5,
    1.9,
    1.9999,
    2.25,
    2.5,
    3,
    5.5,
    9.75,
    10,
    15.999,
    16,
    50.5,
    100,
    1234.5,
    1e6,
    1e15,
    1e100,
    1e300,
]
table(
    "golden_gamma",
    "x, log_gamma, digamma, trigamma",
    [(x, mpmath.loggamma(mpf(x)), mpmath.digamma(mpf(x)), min(mpmath.psi(1, mpf(x)), mpf(1e308))) for x in ARGUMENTS],
)

rows = []
for a in [1e-300, 1e-30, 1e-8, 0.01, 0.1, 0.5, 1, 2.5, 10, 33.3, 100, 400, 999, 1001, 3000, 3e5, 1e10, 1e15]:
    wanted = [f * a for f in (1e-3, 0.1, 0.6, 0.999, 1.1, 3, 100)]
    wanted += [a + z * a**0.5 for z in (-35, -8, -2, 0.01, 0.5, 3, 9, 36)]
    wanted += [1e-300, 1e-10, 0.1, 0.45, 0.55, 1, 1.05, 1.15, 2, 30, 300, 690]
    for x in sorted({float(w) for w in wanted if w > 0}):
        if abs(x - a) > 40 * a**0.5 + 750:
            continue
        lower, upper = gamma_tails(mpf(a), mpf(x))
        if min(lower, upper) > LEAST:
            rows.append((a, x, lower, upper))
table("golden_incomplete_gamma", "a, x, lower, upper", rows)

rows = []
SHAPES = [
    (0.5, 0.5),
    (0.5, 3),
    (0.7, 40),
    (1, 1),
    (1, 7),
    (2, 0.5),
    (5, 6),
    (10, 1000),
    (80, 20),
    (500, 1e9),
    (999, 1e6),
    (1001, 1100),
    (3000, 1e4),
    (2e4, 3e4),
    (1e6, 2e6),
    (1e7, 1e9),
    (1e12, 3e12),
    (1e3, 0.5),
    (1e15, 0.5),
    (1e9, 30),
    (0.5, 1e15),
]
for a, b in SHAPES:
    mean, deviation = a / (a + b), (a * b / (a + b) ** 2 / (a + b + 1)) ** 0.5
    wanted = [mean + z * deviation for z in (-36, -5, -1, 0.01, 2, 9, 36)] + [mean * f for f in (1e-3, 0.5)]
    wanted += [1 - (1 - mean) * f for f in (1e-3, 0.5)] + [1e-200, 1e-20, 0.1, 0.5, 0.75]
    for x in sorted({float(w) for w in wanted if 0 < w < 1}):
        if max(a, b) > 1e5 and abs(x - mean) > 45 * deviation:
            continue
        lower, upper = beta_tails(mpf(a), mpf(b), mpf(x))
        if min(lower, upper) > LEAST:
            rows.append((a, b, x, lower, upper))
table("golden_incomplete_beta", "a, b, x, lower, upper", rows)

rows = []
for freedom in [0.1, 0.5, 1, 1.5, 2, 3, 4, 9, 30, 200, 5000, 1e6, 1e10]:
    for t in [-1e100, -1e20, -1000, -60, -30, -9, -4.3, -2, -1, -0.3, -1e-8, 1e-3, 0.5, 2.5]:
        p = student_cdf(mpf(t), mpf(freedom))
        if p > LEAST and (abs(t) < 100 or freedom < 1e3):
            rows.append((freedom, t, p))
table("golden_student", "freedom, t, probability", rows)

rows = []
for x in [-38.4, -37, -30, -20.5, -19.9, -10, -6.7, -5, -3.3, -1.96, -1, -0.5, -1e-10, 0, 0.3, 1, 2.7, 5, 8.2]:
    rows.append((x, mpmath.ncdf(mpf(x)) if x > -37.1 else 0, mpmath.log(mpmath.ncdf(mpf(x)))))
for x in [-1e2, -1e5, -1e150]:
    m = mpf(x)
    rows.append(
        (
            x,
            0,
            -m * m / 2
            - mpmath.log(-m * mpmath.sqrt(2 * mpmath.pi))
            + mpmath.log1p(-1 / m**2 + 3 / m**4 - 15 / m**6 + 105 / m**8 - 945 / m**10 + 10395 / m**12),
        )
    )
table("golden_normal", "x, probability, logarithm", rows)
