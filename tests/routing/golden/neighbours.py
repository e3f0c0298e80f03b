# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes neighbours.hpp: scikit-learn's nearest neighbours by brute force and its regressor of several outcomes.

  pip install scikit-learn==1.9.1 numpy==2.4.6; python neighbours.py > neighbours.hpp
"""
import numpy as np
import sklearn
from sklearn.neighbors import KNeighborsRegressor

random = np.random.default_rng(3)


def numbers(x):
    return "{" + ", ".join(f"{v:.17g}" for v in np.ravel(x)) + "}"


print("// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception")
print(f"/// Written by neighbours.py, scikit-learn {sklearn.__version__}.")
print("#pragma once\n#include <cstddef>\n#include <string>\n#include <vector>\n")
print("""struct golden_neighbour_row {
  std::string metric;
  std::ptrdiff_t k, d;
  std::vector<double> x, y, q;  ///< embeddings, outcomes and queries, row by row
  std::vector<std::ptrdiff_t> rows;
  std::vector<double> distances, means;
};
""")
print("inline const std::vector<golden_neighbour_row> golden_neighbours = {")
for metric in ("cosine", "euclidean"):
    for n, d, q, k, models in ((12, 3, 3, 1, 1), (12, 3, 3, 5, 2), (20, 6, 2, 20, 3)):
        x, queries = np.round(random.normal(size=(n, d)), 3), np.round(random.normal(size=(q, d)), 3)
        y = np.round(random.random((n, models)), 2)
        fitted = KNeighborsRegressor(n_neighbors=k, metric=metric, algorithm="brute").fit(x, y)
        distances, rows = fitted.kneighbors(queries)
        print(f'    {{"{metric}", {k}, {d}, {numbers(x)}, {numbers(y)}, {numbers(queries)}, {numbers(rows)}, '
              f"{numbers(distances)}, {numbers(fitted.predict(queries))}}},")
print("};")
