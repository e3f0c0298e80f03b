# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes scores.hpp: two scores of the same items and their outcomes, with what other packages make of them: areas and
isotonic regression (scikit-learn), DeLong's test (MLstatkit), logistic regression on outcomes and on Platt's targets
(statsmodels), temperature (SciPy), calibration over quantiles and Brier scores (scikit-learn).

  pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 statsmodels==0.15.0 MLstatkit==0.1.91
  python scores.py > scores.hpp
"""
import warnings

import numpy as np
import scipy
import sklearn
import statsmodels
import statsmodels.api as sm
from MLstatkit import Delong_test
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

warnings.simplefilter("ignore")
random = np.random.default_rng(16)


def numbers(x):
    return "{" + ", ".join(repr(float(v)) for v in x) + "}"


def line(scores, targets):
    design = sm.add_constant(scores)
    fit = sm.GLM(targets, design, family=sm.families.Binomial()).fit(tol=1e-15, maxiter=200, tol_criterion="params")
    return fit.params[1], fit.params[0]


def log_loss_at(inverse, logits, y):
    return np.mean(np.logaddexp(0, inverse * logits) - y * inverse * logits)


print("// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception")
print(f"/// Written by scores.py: scikit-learn {sklearn.__version__}, SciPy {scipy.__version__},")
print(f"/// statsmodels {statsmodels.__version__}, MLstatkit 0.1.91.")
print("#pragma once\n#include <cmath>\n#include <vector>\n")
print("""struct golden_scores_row {
  std::vector<double> first, second, outcomes;
  double auc, second_auc, average_precision, z, p;
  double platt_slope, platt_intercept, slope, intercept, temperature;
  double brier, quantile_error;  ///< of sigmoid(first); 5 quantile bins, NaN with ties
  std::vector<double> at, isotonic;
};
""")
print("inline const std::vector<golden_scores_row> golden_scores = {")
for n, decimals in ((20, 6), (20, 0), (60, 6), (60, 1), (200, 3), (200, 0)):
    y = (random.random(n) < 0.4).astype(float)
    common = random.normal(size=n)
    first = np.round(1.2 * y + common + 0.5 * random.normal(size=n) - 0.5, decimals) + 0.0
    second = np.round(0.6 * y + common + 0.8 * random.normal(size=n) - 0.5, decimals) + 0.0
    z, p = Delong_test(y, first, second, return_ci=False, return_auc=False)[:2]
    positives, negatives = y.sum(), n - y.sum()
    targets = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    best = minimize_scalar(log_loss_at, bracket=(0.1, 2), args=(first, y), options={"xtol": 1e-12})
    probabilities = expit(first)
    error = float("nan")
    if len(set(first)) == n:
        outcome, mean = calibration_curve(y, probabilities, n_bins=5, strategy="quantile")
        error = np.mean(np.abs(outcome - mean))
    at = np.round(np.concatenate([np.linspace(first.min() - 1, first.max() + 1, 9), first[:4]]), 6)
    isotonic = IsotonicRegression(out_of_bounds="clip").fit(first, y)
    values = [roc_auc_score(y, first), roc_auc_score(y, second), average_precision_score(y, first), z, p,
              *line(first, targets), *line(first, y), 1 / best.x, brier_score_loss(y, probabilities), error]
    text = ", ".join("NAN" if v != v else repr(float(v)) for v in values)
    print(f"    {{{numbers(first)},\n     {numbers(second)},\n     {numbers(y)},\n     {text},\n"
          f"     {numbers(at)},\n     {numbers(isotonic.predict(at))}}},")
print("};")
