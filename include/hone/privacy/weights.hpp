// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Weights of records by a model of the arms: beta minimises a mean over records and a ridge (`bounds.hpp` says of
/// which method what is known before the data), a record's weight is a function of beta and the record. z = <x, beta>:
///   ipw                  log(1 + e^(-t z))                        min(clip, 1 + e^(-t z))
///   ipw, K arms          -log softmax(x^T beta)_t                 min(clip, 1 / softmax_t)
///   overlap              as ipw                                   sigma(-t z)
///   covariate_balancing  e^(-t z) - t z                           min(clip, 1 + e^(-t z))
///   entropy_balancing    [t = a] e^z - z, for every arm a         min(clip, e^(z_t))
///   softmax_balancing    log sum_(t_i = a) e^(z_i) - <m, beta>    n softmax over the arm; m the mean of all rows
/// A zero record has weight 0. Every data set has an answer: nothing is thrown for what a record holds.
/// [Imai, Ratkovic 2014, Covariate balancing propensity score; Zhao 2019, Covariate balancing by tailored loss
/// functions;
///  Hainmueller 2012, Entropy balancing; Li, Morgan, Zaslavsky 2018, Overlap weights]
#pragma once
#include "hone/linalg/certified_minimum.hpp"
#include "hone/privacy/bounds.hpp"
#include "hone/privacy/detail/ridge_objective.hpp"
#include "hone/privacy/losses.hpp"

#include <type_traits>

namespace HONE_NAMESPACE::privacy {

namespace detail {

template <class Scheme>
concept logistic_scheme = std::same_as<Scheme, ipw> || std::same_as<Scheme, overlap>;

/// log(1 + e^-(t z)) of two arms.
struct arm_rows {
  const records& data;
  HONE_INLINE margin_terms at(index_t first, const lanes& z) const {
    const lanes t = simd::load<double>(data.sign() + first), taken = simd::load<double>(data.valid() + first);
    const margin_terms m = logistic_margin(t * z);
    return {taken * m.value, t * m.slope, taken * m.curvature};
  }
  HONE_INLINE row_terms<1> operator()(index_t first, const lanes* z) const {
    const margin_terms m = at(first, *z);
    return {m.value, {m.slope}};
  }
  HONE_INLINE lanes curvature(index_t first, const lanes& z) const { return at(first, z).curvature; }
};

/// e^(-t z) - t z.
struct balancing_rows {
  const records& data;
  HONE_INLINE row_terms<1> operator()(index_t first, const lanes* z) const {
    const lanes t = simd::load<double>(data.sign() + first), m = t * *z, odds = simd::exp(-m);
    return {simd::load<double>(data.valid() + first) * (odds - m), {-t * (odds + lanes(1.0))}};
  }
  HONE_INLINE lanes curvature(index_t first, const lanes& z) const {
    return simd::load<double>(data.valid() + first) * simd::exp(-simd::load<double>(data.sign() + first) * z);
  }
};

/// [t = arm] e^z - back z.
struct arm_odds_rows {
  const double* member;  // 1 for records of the arm
  double back;
  HONE_INLINE row_terms<1> operator()(index_t first, const lanes* z) const {
    const lanes odds = simd::load<double>(member + first) * simd::exp(*z);
    return {odds - lanes(back) * *z, {odds - lanes(back)}};
  }
  HONE_INLINE lanes curvature(index_t first, const lanes& z) const {
    return simd::load<double>(member + first) * simd::exp(z);
  }
};

/// -log softmax(z)_t of K arms.
struct softmax_rows {
  const records& data;
  HONE_INLINE row_terms<most_arms> operator()(index_t first, const lanes* z) const {
    const index_t arms = data.limits().arms;
    row_terms<most_arms> result;
    lanes most = z[0], total = 0.0;
    for (index_t c = 1; c < arms; ++c) most = (simd::max)(most, z[c]);
    for (index_t c = 0; c < arms; ++c) total += result.slope[c] = simd::exp_nonpositive(z[c] - most);
    for (index_t c = 0; c < arms; ++c) result.slope[c] = result.slope[c] / total;
    double value = 0;
    for (index_t i = 0; i < tile_rows; ++i) {
      const index_t arm = data.arm()[first + i];
      if (arm < 0) continue;
      const auto lane = static_cast<int>(i);
      value += most.lane(lane) + std::log(total.lane(lane)) - z[arm].lane(lane);
      double own[tile_rows] = {};
      own[i] = 1;
      result.slope[arm] -= simd::load<double>(own);
    }
    double first_lane[tile_rows] = {value};
    result.value = simd::load<double>(first_lane);
    return result;
  }
};

inline std::vector<double> members(const records& data, index_t arm) {
  std::vector<double> member(static_cast<std::size_t>(data.tiles() * tile_rows));
  for (std::size_t i = 0; i < member.size(); ++i) member[i] = data.arm()[i] == arm ? 1 : 0;
  return member;
}

/// log sum_(t = arm) e^z - <mean, beta> + ridge / 2 |beta|^2; where the arm is empty, 0 in place of the logarithm.
struct softmax_objective {
  const records& data;
  std::span<const double> member, mean;
  double ridge;
  executor_reference pool;

  double operator()(std::span<const double> beta, std::span<double> gradient) const {
    const double sum = sum_rows<1>(data, beta, gradient, arm_odds_rows{member.data(), 0}, pool);
    double value = sum > 0 ? std::log(sum) : 0;
    for (std::size_t j = 0; j < beta.size(); ++j) {
      gradient[j] = (sum > 0 ? gradient[j] / sum : 0) - mean[j] + ridge * beta[j];
      value += beta[j] * (ridge / 2 * beta[j] - mean[j]);
    }
    return value;
  }
};

inline std::vector<double> mean_row(const records& data, executor_reference pool) {
  std::vector<double> zero(static_cast<std::size_t>(data.columns())), mean(zero.size());
  sum_rows<1>(data, zero, mean, [](index_t, const lanes*) { return row_terms<1>{0.0, {lanes(1.0)}}; }, pool);
  for (double& value : mean) value /= static_cast<double>(data.limits().rows);
  return mean;
}

inline void merge(linalg::minimum& all, const linalg::minimum& part) {
  all.value += part.value;
  all.certificate = (max)(all.certificate, part.certificate);
  all.evaluations += part.evaluations;
  all.converged = all.converged && part.converged;
}

}  // namespace detail

/// beta (`parameters`, overwritten) <- the minimiser, to the certificate, in the ball of the method.
/// @return how the solver got there: private, like beta.
/// @throws std::invalid_argument as `bound` for the scheme, and for sizes; never for what a record holds.
/// @note Some ten reads of the records an arm; bitwise for any executor and number of ranks.
template <class Scheme>
linalg::minimum solve(const Scheme& scheme, const records& data, std::span<double> beta, executor_reference pool,
                      const certificate& solver = {}) {
  if constexpr (detail::is_normalised<Scheme>) {
    return solve(scheme.scheme, data, beta, pool, solver);
  } else {
    const stability s = bound(scheme, data.limits());
    const index_t d = data.columns();
    invalid_argument_unless(std::ssize(beta) == parameters(scheme, data.limits()), "hone::privacy::solve", "beta",
                            "has %td elements, not %td", std::ssize(beta), parameters(scheme, data.limits()));
    for (double& value : beta) value = 0;
    // Of the logistic methods the curvature is bounded everywhere, and only a ball that was asked for can bind.
    const double ball = detail::logistic_scheme<Scheme> && !std::isfinite(scheme.radius) ? unlimited : s.radius;
    const linalg::certified_options options{.tolerance = rounded_up(solver.tau * s.start),
                                            .bounds = {.least = s.curvature, .largest = s.smoothness},
                                            .gradient_at_start = s.start,
                                            .radius = ball};
    const auto minimise_rows = [&]<std::size_t Products, class Row>(std::integral_constant<std::size_t, Products>,
                                                                    const Row& row, std::span<double> x) {
      detail::ridge_objective<Products, Row> objective{data, row, scheme.ridge, {}, pool};
      const linalg::minimum result = linalg::minimise_certified(objective, x, options);
      detail::project_on_ball(x, s.radius);
      return result;
    };
    constexpr std::integral_constant<std::size_t, 1> one;
    if constexpr (detail::logistic_scheme<Scheme>) {
      if (data.limits().arms == 2) return minimise_rows(one, detail::arm_rows{data}, beta);
      return minimise_rows(std::integral_constant<std::size_t, most_arms>{}, detail::softmax_rows{data}, beta);
    } else if constexpr (std::same_as<Scheme, covariate_balancing>) {
      return minimise_rows(one, detail::balancing_rows{data}, beta);
    } else {
      linalg::minimum all{.certificate = 0, .converged = true};
      const std::vector<double> mean = detail::mean_row(data, pool);
      for (index_t a = 0; a < data.limits().arms; ++a) {
        const std::span<double> own = beta.subspan(static_cast<std::size_t>(a * d), static_cast<std::size_t>(d));
        const std::vector<double> member = detail::members(data, a);
        if constexpr (std::same_as<Scheme, entropy_balancing>) {
          detail::merge(all, minimise_rows(one, detail::arm_odds_rows{member.data(), 1}, own));
        } else {
          detail::softmax_objective objective{data, member, mean, scheme.ridge, pool};
          detail::merge(all, linalg::minimise_certified(objective, own, options));
          detail::project_on_ball(own, s.radius);
        }
      }
      return all;
    }
  }
}

namespace detail {

/// sums (arms) <- the sum of v over the records of each arm.
inline void sum_arms(const records& data, std::span<const double> v, std::span<double> sums, executor_reference pool) {
  data.shards().sum(
      sums,
      [&](index_t first, index_t last, double* out) {
        for (index_t i = first; i < last; ++i)
          if (data.arm()[i] >= 0) out[data.arm()[i]] += v[static_cast<std::size_t>(i)];
      },
      pool);
}

/// f(i, z) for the held records that are no zero record, z the products with the columns of beta.
template <class F>
void for_each_record(const records& data, std::span<const double> beta, executor_reference pool, F&& f) {
  const index_t d = data.columns(), m = std::ssize(beta) / d;
  pool.parallel_for(data.tiles(), index_t{64}, [&](index_t first, index_t last) {
    std::vector<double> z(static_cast<std::size_t>(m * tile_rows));
    lanes products[most_arms];
    for (index_t t = first; t < last; ++t) {
      tile_products(data.tile(t), beta.data(), d, m, products);
      for (index_t c = 0; c < m; ++c) simd::store(z.data() + c * tile_rows, products[c]);
      for (index_t i = t * tile_rows; i < (min)((t + 1) * tile_rows, data.held()); ++i)
        if (data.arm()[i] >= 0) f(i, z.data() + i % tile_rows);
    }
  });
}

}  // namespace detail

/// v <- n v / max(the sum of v over the record's arm, floor n).
/// @throws std::invalid_argument unless the floor is positive and finite.
inline void normalise(const records& data, double floor, std::span<double> v, executor_reference pool) {
  const auto n = static_cast<double>(data.limits().rows);
  detail::positive(floor, "hone::privacy::normalise", "floor");
  std::vector<double> sums(static_cast<std::size_t>(data.limits().arms));
  detail::sum_arms(data, v, sums, pool);
  for (index_t i = 0; i < data.held(); ++i)
    if (data.arm()[i] >= 0)
      v[static_cast<std::size_t>(i)] *= n / (max)(sums[static_cast<std::size_t>(data.arm()[i])], floor * n);
}

/// weight (held rows, overwritten) <- those that @p beta gives.
/// @throws std::invalid_argument as `bound` for the scheme, and for sizes.
template <class Scheme>
void weigh_by(const Scheme& scheme, const records& data, std::span<const double> beta, std::span<double> weight,
              executor_reference pool) {
  const auto n = static_cast<double>(data.limits().rows);
  const index_t arms = data.limits().arms;
  invalid_argument_unless(std::ssize(weight) == data.held(), "hone::privacy::weigh_by", "weight",
                          "has %td elements, there are %td rows", std::ssize(weight), data.held());
  if constexpr (detail::is_normalised<Scheme>) {
    weigh_by(scheme.scheme, data, beta, weight, pool);
    normalise(data, scheme.floor, weight, pool);
  } else {
    invalid_argument_unless(std::ssize(beta) == parameters(scheme, data.limits()), "hone::privacy::weigh_by", "beta",
                            "has %td elements, not %td", std::ssize(beta), parameters(scheme, data.limits()));
    const double largest = bound(scheme, data.limits()).largest;
    for (double& value : weight) value = 0;
    detail::for_each_record(data, beta, pool, [&](index_t i, const double* z) {
      const index_t own = data.arm()[i];
      const double t = data.sign()[i];
      double w;
      if constexpr (std::same_as<Scheme, overlap>) {
        w = sigmoid(-t * z[0]);
      } else if constexpr (std::same_as<Scheme, ipw>) {
        w = arms == 2 ? 1 + std::exp(-t * z[0]) : 0;
        for (index_t c = 0; c < arms && arms > 2; ++c) w += std::exp(z[c * tile_rows] - z[own * tile_rows]);
      } else if constexpr (std::same_as<Scheme, covariate_balancing>) {
        w = 1 + std::exp(-t * z[0]);
      } else {
        w = std::exp(z[own * tile_rows]);
      }
      weight[static_cast<std::size_t>(i)] = w;
    });
    if constexpr (std::same_as<Scheme, softmax_balancing>) {
      std::vector<double> sums(static_cast<std::size_t>(arms));
      detail::sum_arms(data, weight, sums, pool);
      for (index_t i = 0; i < data.held(); ++i)
        if (data.arm()[i] >= 0)
          weight[static_cast<std::size_t>(i)] *= n / sums[static_cast<std::size_t>(data.arm()[i])];
    }
    for (double& value : weight) value = (min)(value, largest);
  }
}

/// The same for known propensities, of each held record's own arm.
inline void weigh_by(const known& scheme, const records& data, std::span<const double> propensity,
                     std::span<double> weight) {
  const char* function = "hone::privacy::weigh_by";
  bound(scheme, data.limits());
  invalid_argument_unless(std::ssize(propensity) == data.held(), function, "propensity",
                          "has %td elements, there are %td rows", std::ssize(propensity), data.held());
  invalid_argument_unless(std::ssize(weight) == data.held(), function, "weight", "has %td elements, there are %td rows",
                          std::ssize(weight), data.held());
  for (std::size_t i = 0; i < weight.size(); ++i) {
    const double p = propensity[i];
    weight[i] = data.arm()[i] >= 0 && p > 0 && p <= 1 ? 1 / (max)(p, scheme.least) : 0;
  }
}

/// weight (held rows, overwritten) <- the method's, solved to the certificate.
/// @return how the solver got there: private, like the weights.
/// @throws std::invalid_argument as `solve`.
template <class Scheme>
linalg::minimum weigh(const Scheme& scheme, const records& data, std::span<double> weight, executor_reference pool,
                      const certificate& solver = {}) {
  std::vector<double> beta(static_cast<std::size_t>(parameters(scheme, data.limits())));
  const linalg::minimum result = solve(scheme, data, beta, pool, solver);
  weigh_by(scheme, data, beta, weight, pool);
  return result;
}

}  // namespace HONE_NAMESPACE::privacy
