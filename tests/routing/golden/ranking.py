# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes ranking.hpp: ratings, tiers and win rates of RouteLLM's own similarity-weighted router. Its optimiser stops
early; here it is told to go on. `plain` is the same without battles within a tier.

  git clone https://github.com/lm-sys/RouteLLM; pip install scikit-learn==1.9.1 pandas==3.1.1 numpy==2.4.6
  python ranking.py RouteLLM > ranking.hpp
"""
import functools
import sys
import types
import warnings

import numpy as np
import pandas as pd
import sklearn

warnings.filterwarnings("ignore")
sys.modules["openai"] = types.SimpleNamespace(OpenAI=lambda: None)
sys.path.insert(0, sys.argv[1])
import routellm.routers.similarity_weighted.utils as theirs  # noqa: E402

theirs.LogisticRegression = functools.partial(theirs.LogisticRegression, tol=1e-13, max_iter=100000)
random = np.random.default_rng(8)


def numbers(x):
    return "{" + ", ".join(f"{v:.17g}" for v in np.ravel(x)) + "}"


print("// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception")
print(f"/// Written by ranking.py, RouteLLM with scikit-learn {sklearn.__version__}.")
print("#pragma once\n#include <cstddef>\n#include <vector>\n")
print("""struct golden_ranking_row {
  std::ptrdiff_t models, tiers, d, weak, strong;
  std::vector<std::ptrdiff_t> first, second, outcome;  ///< 0: first wins, 1: second wins, 2: tie
  std::vector<double> prompts, queries;
  std::vector<double> ratings;  ///< of the models, unweighted
  std::vector<std::ptrdiff_t> tier_of;
  std::vector<double> weak_wins, plain;  ///< a query
};
""")
print("inline const std::vector<golden_ranking_row> golden_rankings = {")
for models, tiers, count, d, queries in ((5, 3, 60, 3, 3), (9, 4, 150, 4, 3), (4, 4, 40, 2, 2)):
    strength = random.normal(size=models)
    first = random.integers(0, models, count)
    second = (first + random.integers(1, models, count)) % models
    chance = 1 / (1 + np.exp(strength[second] - strength[first]))
    outcome = np.where(random.random(count) < 0.2, 2, np.where(random.random(count) < chance, 0, 1))
    names = np.array([f"model {i}" for i in range(models)])
    winner = np.array(["model_a", "model_b", "tie"], dtype=object)[outcome]
    winner[::7] = np.where(winner[::7] == "tie", "tie (bothbad)", winner[::7])
    df = pd.DataFrame({"model_a": names[first], "model_b": names[second], "winner": winner})
    prompts = np.round(random.normal(size=(count, d)), 2)
    asked = np.round(random.normal(size=(queries, d)), 2)
    rating = theirs.compute_elo_mle_with_tie(df)
    tier = theirs.compute_tiers(rating, num_tiers=tiers)
    weak, strong = rating.index[-1], rating.index[0]
    for side in ("model_a", "model_b"):
        df[side] = df[side].apply(lambda x: tier[x])
    apart = df["model_a"] != df["model_b"]
    weak_wins, plain = [], []
    for query in asked:
        similarities = prompts @ query / (np.linalg.norm(prompts, axis=1) * np.linalg.norm(query))
        weights = 10 * 10 ** (similarities / np.max(similarities))
        for into, rows in ((weak_wins, np.full(count, True)), (plain, apart)):
            fitted = theirs.compute_elo_mle_with_tie(df[rows].reset_index(drop=True), sample_weight=weights[rows])
            into.append(1 / (1 + 10 ** ((fitted[tier[strong]] - fitted[tier[weak]]) / 400)))
    print(f"    {{{models}, {tiers}, {d}, {list(names).index(weak)}, {list(names).index(strong)}, {numbers(first)}, "
          f"{numbers(second)}, {numbers(outcome)}, {numbers(prompts)}, {numbers(asked)}, "
          f"{numbers([rating[name] for name in names])}, {numbers([tier[name] for name in names])}, "
          f"{numbers(weak_wins)}, {numbers(plain)}}},")
print("};")
