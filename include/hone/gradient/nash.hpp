// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Nash-MTL: the direction on which the K tasks would agree if each bargained for its own gain: w > 0 with
/// (G w)_i = 1 / w_i. [Navon et al. 2022, Multi-task learning as a bargaining game, arXiv 2202.01017, Claim 3.1]
///
/// The length of the result is the square root of the number of tasks with a gradient, whatever the gradients' scale:
/// scaling one task's gradient changes nothing. The authors' code, and TorchJD and LibMTL after it, solve a sequence of
/// linearisations from the last step's weights to a residual of 1e-3, and clip the result to length 1, its default
/// max_norm: `clipped{nash_mtl{}, 1}` (clip.hpp) is that. Here the problem, which is convex, is solved, and nothing is
/// kept between steps; updating every few steps is the caller's `weighted_sum` with old weights.
#pragma once
#include "hone/gradient/tasks.hpp"
#include "hone/linalg/bargaining.hpp"

namespace HONE_NAMESPACE::gradient {

/// Zero gradients do not take part and get weight 0. No agreement (a convex combination of the gradients vanishes: a
/// Pareto-stationary point): weights 0. All gradients zero, or non-finite: equal weights.
struct nash_mtl {
  static void check() {}
  template <std::size_t K>
  [[nodiscard]] solved_weights<K> weights(const gram_matrix<K>& g) const {
    if (!detail::solvable(g)) return {detail::filled<K>(1.0 / K)};
    const auto bargain = linalg::solve_bargain(g.value, g.tolerance());
    return {bargain.w, bargain.converged};
  }
};

}  // namespace HONE_NAMESPACE::gradient
