// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// TorchJD's results on random matrices of 2, 3, 5 and 8 gradients (golden/torchjd.py).
#include "hone/gradient/aligned.hpp"
#include "hone/gradient/imtl.hpp"
#include "hone/gradient/mgda.hpp"
#include "hone/gradient/nash.hpp"
#include "hone/gradient/upgrad.hpp"

#include "gradient/golden/torchjd.hpp"
#include "gradient/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::gradient;

namespace {
template <std::size_t K>
void compare(const golden_row& row) {
  task_gradients<double, K> g;
  double longest = 0;
  for (std::size_t i = 0; i < K; ++i) {
    g.task[i] = as_vector(row.gradients[i]);
    longest = (std::max)(longest, std::sqrt(squared_norm(row.gradients[i])));
  }
  const auto close = [&](const auto& method, const std::vector<double>& expected, double tolerance) {
    std::vector<double> out(expected.size());
    combine(method, g, out);
    double scale = longest * 1e-3, worst = 0;  // where tasks cancel the result is rounding
    for (std::size_t e = 0; e < out.size(); ++e) {
      scale = (std::max)(scale, std::abs(expected[e]));
      worst = (std::max)(worst, std::abs(out[e] - expected[e]));
    }
    INFO(K << " tasks, " << out.size() << " elements, differs by " << worst << " of " << scale);
    CHECK(worst <= tolerance * scale);
  };
  const bool independent = K <= row.gradients[0].size();
  close(upgrad<K>{.regularisation = 1e-4}, row.upgrad, 1e-9);
  close(dual_projection<K>{.regularisation = 1e-4}, row.dual_projection, 1e-9);
  close(upgrad<K>{}, row.upgrad_exact, 1e-6);
  close(aligned_mtl<K>{}, row.aligned, 1e-9);
  close(conflict_free<K>{}, row.config, 1e-9);
  if (independent) {  // elsewhere the two choose another pseudo-inverse (IMTL-G), or have no or many solutions
    close(imtl_g{}, row.imtl_g, 1e-9);
    close(nash_mtl{}, row.nash, 1e-3);  // their stopping criterion
    close(mgda{}, row.mgda, 1e-3);      // 1e6 Frank-Wolfe steps
    close(cagrad{.c = 0.5}, row.cagrad, 1e-3);
  }
}
}  // namespace

TEST_CASE("TorchJD's aggregators on random gradients") {
  for (const auto& row : golden) {
    switch (row.gradients.size()) {
      case 2: compare<2>(row); break;
      case 3: compare<3>(row); break;
      case 5: compare<5>(row); break;
      default: compare<8>(row);
    }
  }
  CHECK(golden.size() == 8);
}
