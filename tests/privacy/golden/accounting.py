# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes accounting.hpp: what Google's dp-accounting says of the same mechanisms.

  pip install dp-accounting==0.6.0; python accounting.py > accounting.hpp
"""

import dp_accounting
from dp_accounting import rdp
from dp_accounting.pld import privacy_loss_distribution as pld
from dp_accounting.pld import privacy_loss_mechanism as loss

ORDERS = [1.25, 1.5, 2, 2.5, 3, 5, 8, 16, 33, 64, 128, 512]


def real(x):
    return repr(float(x))


def table(name, fields, rows):
    print(f"struct golden_{name}_row {{\n  double {fields};\n}};\n")
    print(f"inline const std::vector<golden_{name}_row> golden_{name} = {{")
    for row in rows:
        print("    {" + ", ".join(real(x) for x in row) + "},")
    print("};\n")


def renyi(event):
    accountant = rdp.RdpAccountant(orders=ORDERS)
    accountant.compose(event)
    return accountant._rdp


def sampled(rate, sigma):
    return dp_accounting.PoissonSampledDpEvent(rate, dp_accounting.GaussianDpEvent(sigma))


print("// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception")
print("/// Written by accounting.py, dp-accounting 0.6.0.")
print("#pragma once\n#include <vector>\n")

table(
    "laplace",
    "order, scale, r",
    [
        (order, scale, r)
        for scale in (0.25, 1, 7)
        for order, r in zip(ORDERS, renyi(dp_accounting.LaplaceDpEvent(scale)))
    ],
)
table(
    "sampled_renyi",
    "order, rate, sigma, r",
    [
        (order, rate, sigma, r)
        for rate, sigma in ((1e-4, 0.7), (0.01, 1), (0.05, 4), (0.5, 1.5))
        for order, r in zip(ORDERS, renyi(sampled(rate, sigma)))
        if order == int(order)
    ],
)


def renyi_epsilon(rate, sigma, steps, delta):
    accountant = rdp.RdpAccountant(orders=list(range(2, 129)))
    accountant.compose(sampled(rate, sigma), steps)
    return accountant.get_epsilon(delta)


def loss_epsilon(rate, sigma, steps, delta, interval, rounds_up):
    one = pld.from_gaussian_mechanism(
        sigma,
        sampling_prob=rate,
        value_discretization_interval=interval,
        use_connect_dots=rounds_up is None,
        pessimistic_estimate=rounds_up is not False,
    )
    return one.self_compose(steps).get_epsilon_for_delta(delta)


RUNS = [
    (0.01, 1, 1000, 1e-5),
    (0.004, 0.8, 3000, 1e-5),
    (0.1, 2, 100, 1e-6),
    (0.5, 3, 20, 1e-5),
    (1, 10, 100, 1e-6),
]
table(
    "training",
    "rate, sigma, steps, delta, renyi, dots, up, down",
    [
        run
        + (renyi_epsilon(*run),)
        + tuple(loss_epsilon(*run, 1e-3, rounds) for rounds in (None, True, False))
        for run in RUNS
    ],
)
table(
    "gaussian_delta",
    "epsilon, sigma, delta",
    [
        (epsilon, sigma, loss.GaussianPrivacyLoss(sigma).get_delta_for_epsilon(epsilon))
        for sigma in (0.3, 1, 5)
        for epsilon in (0, 0.1, 1, 4, 12)
    ],
)
