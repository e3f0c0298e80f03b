# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes bca.hpp: SciPy's bias-corrected and accelerated bootstrap. Of given replicates its shares, which are exact; of
its own 200,000 the interval, which is good to some 0.5 % of its length.

  pip install scipy==1.10.1 numpy==1.24.2; python bca.py > bca.hpp
"""

import numpy as np
import scipy
from scipy import stats
from scipy.stats import _resampling

random = np.random.default_rng(11)


def numbers(x):
    return "{" + ", ".join(repr(float(v)) for v in x) + "}"


def variance(x, axis=-1):
    return np.var(x, axis=axis, ddof=1)


STATISTICS = {"mean": np.mean, "variance": variance, "median": np.median}
print("// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception")
print(f"/// Written by bca.py, SciPy {scipy.__version__}.")
print("#pragma once\n#include <string>\n#include <vector>\n")
print("""struct golden_bca_row {
  std::string statistic;
  std::vector<double> sample, replicates, left_out;  ///< replicates ascending
  double whole, level, acceleration, low, high;      ///< of the given replicates
  double drawn_low, drawn_high;                      ///< of SciPy's own
};
""")
print("inline const std::vector<golden_bca_row> golden_bca = {")
for name, statistic in STATISTICS.items():
    for n, level in ((6, 0.9), (12, 0.95), (40, 0.95)):
        sample = np.round(random.lognormal(size=n), 3)
        replicates = np.sort([statistic(random.choice(sample, n)) for _ in range(60)])
        left_out = np.array([statistic(np.delete(sample, i)) for i in range(n)])
        alpha = (1 - level) / 2
        low_share, high_share, acceleration = _resampling._bca_interval(
            (sample,), statistic, axis=-1, alpha=alpha, theta_hat_b=replicates, batch=None
        )
        low, high = np.percentile(replicates, 100 * low_share), np.percentile(replicates, 100 * high_share)
        drawn = stats.bootstrap(
            (sample,),
            statistic,
            n_resamples=200000,
            batch=20000,
            confidence_level=level,
            method="BCa",
            random_state=random,
        ).confidence_interval
        print(
            f'    {{"{name}", {numbers(sample)}, {numbers(replicates)}, {numbers(left_out)}, '
            f"{float(statistic(sample))!r}, {level!r}, {float(np.ravel(acceleration)[0])!r}, "
            f"{float(low)!r}, {float(high)!r}, "
            f"{float(drawn.low)!r}, {float(drawn.high)!r}}},"
        )
print("};")
