# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes routellm.hpp: rows that are drawn, with what the steps of RouteLLM's evaluation make of them: win rates cut by
pandas' qcut at their deciles, a point for each, trapezoids over these, np.interp for the share of calls of a recovery.

  pip install numpy==2.4.6 pandas==3.1.1
  python routellm.py > routellm.hpp
"""
import numpy as np
import pandas as pd

random = np.random.default_rng(16)


def numbers(x):
    return "{" + ", ".join(repr(float(v)) for v in x) + "}"


def points(weak, strong, scores):
    win = -scores
    try:
        _, edges = pd.qcut(win, 10, retbins=True)
    except ValueError:
        return None
    rows = []
    for i, edge in enumerate(edges):
        called = win >= edge if i + 1 < len(edges) else win > edge
        rows.append((called.mean(), np.where(called, strong, weak).mean()))
    return np.array(rows[::-1])


print("// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception")
print(f"/// Written by routellm.py: pandas {pd.__version__}, NumPy {np.__version__}.")
print("#pragma once\n#include <vector>\n")
print("""struct golden_routellm_row {
  std::vector<double> weak, strong, scores;
  std::vector<double> points;  ///< call rate and quality, by call rate; none where qcut throws
  double apgr;
  std::vector<double> cpt;  ///< of 0.2, 0.5, 0.8
};
""")
print("inline const std::vector<golden_routellm_row> golden_routellm = {")
# No n - 1 is a multiple of 10, where rounding decides.
for n, grain in [(12, 0), (22, 0), (33, 0), (44, 0), (55, 0), (60, 0), (72, 0), (103, 0), (104, 64), (57, 32), (40, 4),
                 (60, 16), (13, 0)]:
    u = random.random(n)
    weak = (random.random(n) < u).astype(float)
    strong = (random.random(n) < (1 + u) / 2).astype(float)
    scores = u + 0.3 * random.normal(size=n)
    if grain:
        scores = np.round(scores * grain) / grain
    found = points(weak, strong, scores)
    if found is None:
        print(f"    {{{numbers(weak)}, {numbers(strong)}, {numbers(scores)}, {{}}, 0, {{}}}},")
        continue
    x, y = found[:, 0], found[:, 1]
    apgr, cpt = 0, [0, 0, 0]
    if y[-1] > y[0]:
        apgr = (np.trapezoid(y, x) - y[0]) / (y[-1] - y[0])
        cpt = [float(np.interp(y[0] + p * (y[-1] - y[0]), y, x)) for p in (0.2, 0.5, 0.8)]
    print(f"    {{{numbers(weak)}, {numbers(strong)}, {numbers(scores)}, {numbers(found.ravel())}, {apgr!r}, "
          f"{numbers(cpt)}}},".replace("np.float64(", "").replace("), {", ", {"))
print("};")
