// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Gradient Vaccine: PCGrad with a target phi_ij for the cosine instead of 0. Where g_i, as changed so far, has cosine
/// c < phi_ij with g_j, it is moved along g_j until the cosine is phi_ij:
///   g_i <- g_i + |g_i| (phi sqrt(1 - c^2) - c sqrt(1 - phi^2)) / (|g_j| sqrt(1 - phi^2)) g_j
/// and the target follows the cosines seen: phi_ij <- (1 - beta) phi_ij + beta c. The result is the sum of the g_i.
/// [Wang et al. 2021, Gradient vaccine, arXiv 2010.05874, Eq. 2 and 3, Alg. 1]
///
/// The paper, followed here, updates the target at every pair, with beta = 0.01. LibMTL updates it only where c < phi,
/// with beta = 0.5: its targets start at 0 and can then only fall, so that it never asks for more than PCGrad;
/// `only_below` is for parity. Both start at 0, where GradVac is PCGrad.
#pragma once
#include "hone/gradient/pcgrad.hpp"

#include <span>

namespace HONE_NAMESPACE::gradient {

/// The target cosines of one group: phi[i][j] for task i against task j. Zeros before the first step.
template <std::size_t K>
struct gradvac_state {
  std::array<std::array<double, K>, K> target{};
};

namespace detail {

/// How much of g_j moves sum_k w_k g_k, of cosine @p c with it, to cosine @p target; 0 if it cannot be moved there.
template <std::size_t K>
double vaccine(const gram_matrix<K>& g, const std::array<double, K>& w, std::size_t j, double c, double target) {
  const auto sine = [](double x) { return std::sqrt((max)(1 - x * x, 0.0)); };
  const double numerator = std::sqrt(g.squared_norm(w)) * (target * sine(c) - c * sine(target));
  const double moved = numerator / (std::sqrt(g(j, j)) * sine(target));
  return std::isfinite(moved) ? moved : 0;
}

/// The cosine of sum_k w_k g_k with g_j; 0 if one of them is zero.
template <std::size_t K>
double cosine_with(const gram_matrix<K>& g, const std::array<double, K>& w, std::size_t j) {
  const double squared = g.squared_norm(w), other = g(j, j);
  constexpr double normal = (std::numeric_limits<double>::min)();
  if (!(squared >= normal && other >= normal)) return 0;
  const double c = g.dot(j, w) / std::sqrt(squared) / std::sqrt(other);
  return c < -1 ? -1 : c > 1 ? 1 : c;
}

}  // namespace detail

/// @c state belongs to the caller, one a group, and is read and advanced by each call of `weights`: call it once a
/// step. Groups are different memory, so that an executor may run them side by side. A non-finite Gram matrix leaves
/// the state alone and sums the gradients.
template <std::size_t K>
struct gradvac {
  std::span<gradvac_state<K>> state;
  double beta = 0.01;
  task_order order{};
  bool only_below = false;  ///< LibMTL's update

  /// @throws std::invalid_argument if beta is not in [0, 1], there are not @p groups states, or a target is no cosine.
  void check(std::size_t groups) const {
    const char* function = "hone::gradient::gradvac";
    invalid_argument_unless(beta >= 0 && beta <= 1, function, "beta", "must be in [0, 1], is %g", beta);
    invalid_argument_unless(state.size() == groups, function, "state", "is of %zu groups, of which there are %zu",
                            state.size(), groups);
    for (const auto& s : state)
      for (std::size_t i = 0; i < K; ++i)
        for (std::size_t j = 0; j < K; ++j)
          invalid_argument_unless(i == j || std::abs(s.target[i][j]) <= 1, function, "state", "target %g is no cosine",
                                  s.target[i][j]);
  }
  [[nodiscard]] std::array<double, K> weights(const gram_matrix<K>& g, std::size_t group) const {
    if (!g.finite()) return detail::filled<K>(1);
    std::array<double, K> total{};
    for (std::size_t i = 0; i < K; ++i) {
      std::array<double, K> w{};
      w[i] = 1;
      for (const std::size_t j : order.template of<K>(i)) {
        if (j == i) continue;
        double& target = state[group].target[i][j];
        const double c = detail::cosine_with(g, w, j), wanted = target;
        if (c < wanted) w[j] += detail::vaccine(g, w, j, c, wanted);
        if (c < wanted || !only_below) target = (1 - beta) * wanted + beta * c;
      }
      for (std::size_t j = 0; j < K; ++j) total[j] += w[j];
    }
    return total;
  }
};

/// forget f' + retain r, with f' the forget gradient moved along r to cosine @c target where it is lower: one-sided
/// PCGrad is target 0. Zero or non-finite gradients: not moved.
struct gradvac_one_sided {
  double retain = 1;
  double forget = 1;
  double target = 0;

  void check() const {
    detail::check_weight(retain, "hone::gradient::gradvac_one_sided", "retain");
    detail::check_weight(forget, "hone::gradient::gradvac_one_sided", "forget");
    invalid_argument_unless(target > -1 && target < 1, "hone::gradient::gradvac_one_sided", "target",
                            "must be in (-1, 1), is %g", target);
  }
  [[nodiscard]] std::array<double, 2> weights(const gram_matrix<2>& g) const {
    const std::array<double, 2> alone = {1, 0};
    const double c = detail::cosine_with(g, alone, 1);
    const bool moved = g.finite() && c < target;
    return {forget, retain + (moved ? forget * detail::vaccine(g, alone, 1, c, target) : 0)};
  }
};

}  // namespace HONE_NAMESPACE::gradient
