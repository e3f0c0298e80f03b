// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Methods that ask for a direction with the same cosine to every gradient. With C the cosines between the K gradients,
/// l their lengths and x = sum_i (pinv(C) 1)_i g_i / l_i, whose product with every g_i / l_i is 1 if they are
/// independent:
///   IMTL-G   x, scaled so that the weights sum to 1
///   ConFIG   x / |x| sum_i <g_i, x / |x|>: the length is the sum of the projections
/// [Liu et al. 2021, Towards impartial multi-task learning, ICLR, Eq. 6; Liu, Chu, Thuerey 2024, ConFIG: towards
/// conflict-free training of physics informed neural networks, arXiv 2408.11104, Eq. 2].
///
/// Dependent gradients: least squares in the cosines. IMTL-G's authors and LibMTL invert a matrix that is then
/// singular; TorchJD takes pinv(G) diag(G)^1/2, equal to this for independent gradients, but blind to a task whose
/// gradient is 1e-4 times another's in float. Zero gradients do not take part and get weight 0.
#pragma once
#include "hone/gradient/tasks.hpp"
#include "hone/linalg/symmetric_eigen.hpp"

namespace HONE_NAMESPACE::gradient {

namespace detail {

/// The x of a common direction, in cosines: pinv(C) p, p the preference, without the tasks that have no gradient; zeros
/// if there is none: C x, the part of p in the range of C, is no more than rounding (sqrt(tolerance) of |p|).
template <std::size_t K>
std::array<double, K> common_direction(const linalg::unit_rows<K>& rows, std::array<double, K> preference,
                                       double tolerance) {
  for (std::size_t i = 0; i < K; ++i)
    if (rows.length[i] == 0) preference[i] = 0;
  const auto x = linalg::pseudo_solve(rows.cosine, preference, tolerance);
  const gram_matrix<K> cosines{rows.cosine};
  double asked = 0, reached = 0;
  for (std::size_t i = 0; i < K; ++i) {
    const double product = cosines.dot(i, x);
    asked += preference[i] * preference[i];
    reached += product * product;
  }
  return reached <= tolerance * asked ? std::array<double, K>{} : x;
}

}  // namespace detail

/// Weights sum to 1 and may be negative. Where gradients have no common direction (opposite ones), or the weights would
/// sum to 0 (to the root of the products' tolerance, of their magnitudes), they are 0. Zero or non-finite gradients:
/// equal weights.
struct imtl_g {
  static void check() {}
  template <std::size_t K>
  [[nodiscard]] std::array<double, K> weights(const gram_matrix<K>& g) const {
    if (!detail::solvable(g)) return detail::filled<K>(1.0 / K);
    const linalg::unit_rows<K> rows(g.value);
    auto w = detail::common_direction(rows, detail::filled<K>(1), g.tolerance());
    double sum = 0, magnitude = 0;
    for (std::size_t i = 0; i < K; ++i) {
      w[i] = rows.length[i] > 0 ? w[i] / rows.length[i] : 0;
      sum += w[i];
      magnitude += std::abs(w[i]);
    }
    const bool opposed = std::abs(sum) <= std::sqrt(g.tolerance()) * magnitude;
    for (double& x : w) x = opposed ? 0 : x / sum;
    return w;
  }
};

/// ConFIG. No gradient is opposed if they are independent. @c preference asks for cosines in those proportions.
/// Gradients without a common direction (opposite ones): weights 0. Zero or non-finite gradients: equal weights.
template <std::size_t K>
struct conflict_free {
  std::array<double, K> preference = detail::filled<K>(1);

  void check() const { detail::check_preference(preference, "hone::gradient::conflict_free"); }
  [[nodiscard]] std::array<double, K> weights(const gram_matrix<K>& g) const {
    if (!detail::solvable(g)) return detail::filled<K>(1.0 / K);
    const linalg::unit_rows<K> rows(g.value);
    auto x = detail::common_direction(rows, preference, g.tolerance());
    const gram_matrix<K> cosines{rows.cosine};
    double projections = 0;
    for (std::size_t i = 0; i < K; ++i) projections += rows.length[i] * cosines.dot(i, x);
    const double squared = cosines.squared_norm(x);
    for (std::size_t i = 0; i < K; ++i)
      x[i] = squared > 0 && rows.length[i] > 0 ? x[i] / rows.length[i] * (projections / squared) : 0;
    return x;
  }
};

}  // namespace HONE_NAMESPACE::gradient
