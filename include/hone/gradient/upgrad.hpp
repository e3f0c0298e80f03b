// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Methods that project on the cone {x: <x, g_i> >= 0 for all i} of directions which oppose no task:
///   UPGrad     sum_i p_i P(g_i): each gradient is projected, then averaged
///   DualProj   P(sum_i p_i g_i): the average is projected
///   GEM        the forget gradient g_0, on the cone of the others: A-GEM against each of K - 1 retain gradients
/// [Quinton, Rey 2024, Jacobian descent for multi-objective optimization, arXiv 2406.16232, Eq. 6; Lopez-Paz, Ranzato
/// 2017, Gradient episodic memory for continual learning, arXiv 1706.08840, Eq. 11]. P(J^T u) = J^T v, v the least of
/// <v, G v> with v >= u.
///
/// TorchJD divides G by its trace and adds 1e-4 to the diagonal, which makes the problem strictly convex and lets the
/// result oppose a task slightly: `regularisation = 1e-4` is for parity. Here the problem is solved as it is,
/// singular or not. GEM's code adds 1e-3 to the diagonal of the unscaled G and asks v >= 0.5, its `margin`.
#pragma once
#include "hone/gradient/tasks.hpp"
#include "hone/linalg/nonnegative_quadratic.hpp"

namespace HONE_NAMESPACE::gradient {

namespace detail {

/// The v of P(J^T u): u itself, which is J^T u unprojected and no longer than it, where the problem is not solved.
template <std::size_t K>
solved_weights<K> dual_cone_weights(const linalg::square<K>& g, const linalg::nonnegative_problem<K>& cone,
                                    const std::array<double, K>& u) {
  const gram_matrix<K> products{g};
  std::array<double, K> b;
  for (std::size_t i = 0; i < K; ++i) b[i] = products.dot(i, u);
  const auto solution = cone.solve(b, std::sqrt(products.squared_norm(u)));
  solved_weights<K> v{u, solution.converged};
  for (std::size_t i = 0; solution.converged && i < K; ++i) v[i] += solution.z[i];
  return v;
}

/// G, or G / trace(G) + regularisation.
template <std::size_t K>
linalg::square<K> regularised(const gram_matrix<K>& g, double regularisation) {
  linalg::square<K> result = g.value;
  if (regularisation == 0) return result;
  double trace = 0;
  for (std::size_t i = 0; i < K; ++i) trace += g(i, i);
  for (std::size_t i = 0; i < K; ++i) {
    for (double& x : result[i]) x /= trace;
    result[i][i] += regularisation;
  }
  return result;
}

}  // namespace detail

/// Opposes no task; linear under scaling of a task. Zero or non-finite gradients: the preference.
template <std::size_t K>
struct upgrad {
  std::array<double, K> preference = detail::filled<K>(1.0 / K);
  double regularisation = 0;

  void check() const {
    detail::check_preference(preference, "hone::gradient::upgrad");
    detail::check_weight(regularisation, "hone::gradient::upgrad", "regularisation");
  }
  [[nodiscard]] solved_weights<K> weights(const gram_matrix<K>& g) const {
    if (!detail::solvable(g)) return {preference};
    const auto matrix = detail::regularised(g, regularisation);
    const linalg::nonnegative_problem<K> cone(matrix, g.tolerance());
    solved_weights<K> total{};
    for (std::size_t i = 0; i < K; ++i) {
      std::array<double, K> u{};
      u[i] = preference[i];
      const auto v = detail::dual_cone_weights(matrix, cone, u);
      for (std::size_t j = 0; j < K; ++j) total[j] += v[j];
      total.converged &= v.converged;
    }
    return total;
  }
};

/// Opposes no task and is the nearest such direction to the average; one task may be left with nothing. Zero or
/// non-finite gradients: the preference.
template <std::size_t K>
struct dual_projection {
  std::array<double, K> preference = detail::filled<K>(1.0 / K);
  double regularisation = 0;

  void check() const {
    detail::check_preference(preference, "hone::gradient::dual_projection");
    detail::check_weight(regularisation, "hone::gradient::dual_projection", "regularisation");
  }
  [[nodiscard]] solved_weights<K> weights(const gram_matrix<K>& g) const {
    if (!detail::solvable(g)) return {preference};
    const auto matrix = detail::regularised(g, regularisation);
    return detail::dual_cone_weights(matrix, linalg::nonnegative_problem<K>(matrix, g.tolerance()), preference);
  }
};

/// Task 0 gives way to all others, and to them only: the result opposes none of tasks 1 … K - 1. With a @c margin each
/// of them gets at least that weight, in conflict or not. Zero or non-finite gradients: task 0 and the margin.
struct gem {
  double margin = 0;

  void check() const { detail::check_weight(margin, "hone::gradient::gem", "margin"); }
  template <std::size_t K>
  [[nodiscard]] solved_weights<K> weights(const gram_matrix<K>& g) const {
    solved_weights<K> w{detail::filled<K>(margin)};
    w[0] = 1;
    if (!detail::solvable(g)) return w;
    std::array<double, K> b{};
    for (std::size_t i = 1; i < K; ++i) b[i] = g.dot(i, w);
    linalg::square<K> kept = g.value;  // the forget gradient is no constraint
    kept[0] = {};
    for (auto& row : kept) row[0] = 0;
    const auto solution = linalg::minimise_nonnegative(kept, b, std::sqrt(g.squared_norm(w)), g.tolerance());
    w.converged = solution.converged;
    for (std::size_t i = 1; w.converged && i < K; ++i) w[i] += solution.z[i];
    return w;
  }
};

}  // namespace HONE_NAMESPACE::gradient
