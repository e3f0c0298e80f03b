// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A private fit of `a_learning` from noisy sums: A = sum w x x^T and v = sum w t r x, stacked into one vector (of A a
/// triangle, what is off the diagonal times sqrt 2, so that lengths are kept). One record moves it by no more than
/// B S sqrt(B^2 + R_max^2), S = 2 W + D1. From the noisy sums, A's negative eigenvalues set to 0, follows
///   theta = (2 A / n + ridge)^-1 2 v / n, shortened into the ball.
/// The noise grows with d where that of theta itself grows with its root, but the sums answer any ridge.
/// [Vu, Slavkovic 2009; Foulds et al. 2016, Sufficient statistics]
#pragma once
#include "hone/linalg/spectrum.hpp"
#include "hone/privacy/release.hpp"

namespace HONE_NAMESPACE::privacy {

/// The constants of the sums' release.
struct statistics_plan {
  domain limits;
  stability weights;
  certificate solver;
  double squares = 0;    ///< sensitivity of A, in Frobenius norm: B^2 S
  double products = 0;   ///< of v: B R_max S
  vector_noise noise{};  ///< of both, stacked
};

/// @param promise with a delta Gaussian noise on a lattice, else Laplace
/// @throws std::invalid_argument for a bad domain, scheme or promise, and unless there are two arms.
template <class Scheme>
statistics_plan prepare_statistics(const Scheme& scheme, const domain& limits, epsilon_delta promise,
                                   const certificate& solver = {}) {
  const char* function = "hone::privacy::prepare_statistics";
  statistics_plan p{.limits = limits, .weights = bound(scheme, limits), .solver = solver};
  invalid_argument_unless(limits.arms == 2, function, "arms", "are %td, and this fit knows two", limits.arms);
  detail::positive(promise.epsilon, function, "epsilon");
  const double b = limits.row_bound, r = limits.outcome_bound, n = static_cast<double>(limits.rows),
               w = p.weights.largest, sum = rounded_up(2 * w + p.weights.moved_solved(solver));
  // The sums are rounded too: in lanes over 1024 rows, then in a tree.
  const double roundoff = std::numeric_limits<double>::epsilon() / 2 * detail::sum_depth(n) * n * w;
  p.squares = rounded_up(b * b * (sum + 2 * roundoff));
  p.products = rounded_up(b * r * (sum + 2 * roundoff));
  const double apart = rounded_up(std::sqrt(p.squares * p.squares + p.products * p.products)),
               most = rounded_up(2 * n * w * b * (max)(b, r));
  const index_t d = columns(limits), size = d * (d + 1) / 2 + d;
  p.noise = promise.delta > 0
                ? lattice_gaussian(apart, size, most, gaussian_rho(lattice_multiplier(promise.epsilon, promise.delta)),
                                   promise.delta)
                : lattice_laplace(apart, size, most, promise.epsilon);
  return p;
}

namespace detail {

/// The stacked sums of records with weights.
inline std::vector<double> stacked_sums(const records& data, std::span<const double> weight, executor_reference pool) {
  const auto d = static_cast<std::size_t>(data.columns());
  std::vector<double> padded(static_cast<std::size_t>(data.tiles() * tile_rows)), zero(d), a(d * d), v(d);
  for (std::size_t i = 0; i < weight.size(); ++i) padded[i] = weight[i] * data.valid()[i];
  sum_row_products(
      data, zero, a, [&](index_t first, const lanes&) { return simd::load<double>(padded.data() + first); }, pool);
  sum_rows<1>(
      data, zero, v,
      [&](index_t first, const lanes*) {
        return row_terms<1>{0.0,
                            {simd::load<double>(padded.data() + first) * simd::load<double>(data.sign() + first) *
                             simd::load<double>(data.outcome() + first)}};
      },
      pool);
  std::vector<double> stacked;
  for (std::size_t i = 0; i < d; ++i)
    for (std::size_t j = 0; j <= i; ++j) stacked.push_back(a[i * d + j] * (i == j ? 1 : std::numbers::sqrt2));
  stacked.insert(stacked.end(), v.begin(), v.end());
  return stacked;
}

}  // namespace detail

/// theta from stacked sums of @p rows records: post-processing, as often as one likes.
template <vector_like V>
std::vector<double> fit_statistics(const V& stacked, index_t rows, double ridge, double radius) {
  const char* function = "hone::privacy::fit_statistics";
  detail::positive(ridge, function, "ridge");
  detail::positive(radius, function, "radius");
  const auto sums = as_vector(stacked);
  const auto d = static_cast<index_t>(std::lround((std::sqrt(9 + 8 * static_cast<double>(sums.size())) - 3) / 2));
  invalid_argument_unless(d * (d + 1) / 2 + d == sums.size(), function, "stacked", "has %td elements", sums.size());
  const double n = static_cast<double>(rows);
  linalg::matrix a(d, d);
  linalg::vector v(d);
  index_t at = 0;
  for (index_t i = 0; i < d; ++i)
    for (index_t j = 0; j <= i; ++j) a(i, j) = a(j, i) = sums[at++] / (i == j ? 1 : std::numbers::sqrt2) * 2 / n;
  for (index_t i = 0; i < d; ++i) v(i) = sums[at++] * 2 / n;
  const auto parts = linalg::dense_eigen(a);
  linalg::vector inside = parts.vectors.transpose() * v;
  for (index_t i = 0; i < d; ++i) inside(i) /= (max)(parts.values(i), 0.0) + ridge;
  const linalg::vector solution = parts.vectors * inside;
  std::vector<double> theta(solution.data(), solution.data() + d);
  detail::project_on_ball(theta, radius);
  return theta;
}

/// The noisy sums of a data set, stacked; arguments, errors and ranks as `release`.
template <class Scheme, matrix_like X, random_bits Random>
released<Random> release_statistics(const statistics_plan& p, const Scheme& scheme, budget<replace_one>& funds,
                                    const X& x, std::span<const index_t> arm, std::span<const double> outcome,
                                    std::span<const double> propensity, Random& random, executor_reference pool,
                                    const row_shards& shards) {
  detail::check_release(scheme, arm, propensity, shards, "hone::privacy::release_statistics");
  auto reservation = funds.reserve(p.noise.cost);
  const records data(p.limits, x, arm, outcome, shards, pool);
  std::vector<double> weight(static_cast<std::size_t>(data.held()));
  reservation.commit();
  plan weighing{.limits = p.limits, .weights = p.weights};
  weighing.options.solver = p.solver;
  detail::weigh_by_plan(weighing, scheme, data, propensity, weight, pool, random);
  std::vector<double> stacked = detail::stacked_sums(data, weight, pool);
  add_noise(p.noise, stacked, random);
  shards.broadcast(stacked);
  return released<Random>(std::move(stacked));
}

}  // namespace HONE_NAMESPACE::privacy
