// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A bound on how the rows are spread, bought with some of the budget, in place of the ridge alone: bounds of weights
/// divide by the curvature of the first stage, which is at least
///   lambda1 + m lambda_min((1/n) sum x x^T),   m = sigma'(B R) (ipw, overlap), e^(-B R) (covariate balancing)
/// The smallest eigenvalue moves by no more than B^2 / n with one record. What is released lies above it with
/// probability delta at most. This is sound because stability asks for the curvature of one of two neighbours only; a
/// scale that is computed from the data without noise would not be. Of two arms.
#pragma once
#include "hone/linalg/spectrum.hpp"
#include "hone/privacy/release.hpp"

namespace HONE_NAMESPACE::privacy {

/// The constants of the release.
struct curvature_plan {
  domain limits;
  vector_noise noise{};
  double shift = 0;  ///< taken off, so that the result is too large with probability delta only
  loss_curve<replace_one> cost;
};

/// @param promise epsilon of the release, and delta: with what probability it may be too large
/// @throws std::invalid_argument for a bad domain, epsilon not positive, delta not in (0, 1/2].
inline curvature_plan prepare_curvature(const domain& limits, epsilon_delta promise) {
  const char* function = "hone::privacy::prepare_curvature";
  check(limits, function);
  detail::positive(promise.epsilon, function, "epsilon");
  invalid_argument_unless(promise.delta > 0 && promise.delta <= 0.5, function, "delta", "is %g, not in (0, 1/2]",
                          promise.delta);
  const double b = limits.row_bound, n = static_cast<double>(limits.rows), d = static_cast<double>(columns(limits)),
               rounding = std::numeric_limits<double>::epsilon() * b * b * (detail::sum_depth(n) + 64 * d);
  curvature_plan p{
      .limits = limits,
      .noise = lattice_laplace(rounded_up(b * b / n + 2 * rounding), 1, rounded_up(b * b), promise.epsilon),
      .cost = approximate_loss<replace_one>(promise.epsilon, promise.delta)};
  // P(noise >= m) = e^(-m / t) / (1 + e^(-1 / t)), in steps of the lattice; one more for rounding to it.
  const double t = static_cast<double>(p.noise.integer);
  const double steps = std::ceil(rounded_up(-t * std::log(promise.delta * (1 + std::exp(-1 / t)))));
  p.shift = rounded_up((steps + 1) * p.noise.lattice + rounding);
  return p;
}

namespace detail {

/// A template, so that only units that call it compile the decomposition.
template <std::same_as<records> R>
double smallest_eigenvalue(const R& data, executor_reference pool) {
  const index_t d = data.columns();
  std::vector<double> zero(static_cast<std::size_t>(d)), h(static_cast<std::size_t>(d * d));
  sum_row_products(data, zero, h, [](index_t, const lanes&) { return lanes(1.0); }, pool);
  linalg::matrix gram(d, d);
  for (index_t i = 0; i < d; ++i)
    for (index_t j = 0; j <= i; ++j)
      gram(i, j) = gram(j, i) = h[static_cast<std::size_t>(i * d + j)] / static_cast<double>(data.limits().rows);
  return linalg::dense_eigen(gram).values(d - 1);
}

}  // namespace detail

/// One element: a bound that is below the smallest eigenvalue of (1/n) sum x x^T, but with probability delta; it may be
/// negative. Arguments, errors and ranks as `release`.
template <matrix_like X, random_bits Random>
released<Random> release_curvature(const curvature_plan& p, budget<replace_one>& funds, const X& x,
                                   std::span<const index_t> arm, std::span<const double> outcome, Random& random,
                                   executor_reference pool, const row_shards& shards) {
  auto reservation = funds.reserve(p.cost);
  const records data(p.limits, x, arm, outcome, shards, pool);
  reservation.commit();
  std::vector<double> value{detail::smallest_eigenvalue(data, pool)};
  add_noise(p.noise, value, random);
  value[0] -= p.shift;
  shards.broadcast(value);
  return released<Random>(std::move(value));
}

}  // namespace HONE_NAMESPACE::privacy
