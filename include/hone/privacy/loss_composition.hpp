// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Losses of many releases: the distribution of the sum of their losses, by one Fourier transform for each kind of
/// release. Masses are tilted first, p(l) e^(lambda l), so that the losses that decide about delta are the likely ones:
/// the transform's rounding, which is then bounded and charged, is relative to delta and not to 1.
/// [Koskela et al. 2020, arXiv 1906.03049, for the transform; Higham 2002, Accuracy and stability, Th. 24.2]
#pragma once
#include "hone/privacy/fixed_plan.hpp"
#include "hone/privacy/loss_distribution.hpp"

#include <algorithm>
#include <bit>
#include <complex>

#include <unsupported/Eigen/FFT>

namespace HONE_NAMESPACE::privacy {

/// Equal releases.
struct loss_steps {
  loss_distribution loss;
  index_t count = 1;
};

/// The loss of all of them. Its bounds are near for the delta that it was made for, and hold for every other.
struct composed_loss {
  double interval = 0;
  index_t first = 0;
  std::vector<double> tilted;  ///< mass e^(lambda loss - scale)
  double lambda = 0, scale = 0;
  double infinite = 0;  ///< mass at infinity, and beyond the largest loss
  double error = 0;     ///< bound of the Euclidean norm of the error of `tilted`
  double wrapped = 0;   ///< bound of what came to a wrong loss
  bool lower = false;   ///< bounds are lower ones
};

namespace detail {

/// The logarithms of a release's masses.
struct log_masses {
  double interval = 0;
  index_t first = 0, count = 0;
  std::vector<double> log;

  explicit log_masses(const loss_steps& steps)
      : interval(steps.loss.interval), first(steps.loss.first), count(steps.count), log(steps.loss.mass) {
    for (double& x : log) x = x > 0 ? std::log(x) : -infinite;
  }
  [[nodiscard]] double at(std::size_t i) const {
    return interval * static_cast<double>(first + static_cast<index_t>(i));
  }
  /// The largest loss of either sign.
  [[nodiscard]] double reach() const { return (max)(std::abs(at(0)), std::abs(at(log.size() - 1))); }
};

/// log sum_i mass_i e^(lambda l_i) and its derivative.
struct tilt {
  double log_sum = 0, mean = 0;
};
inline tilt tilt_of(const log_masses& d, double lambda) {
  double most = -infinite, sum = 0, moment = 0;
  for (std::size_t i = 0; i < d.log.size(); ++i) most = (max)(most, d.log[i] + lambda * d.at(i));
  for (std::size_t i = 0; i < d.log.size(); ++i) {
    const double exponent = d.log[i] + lambda * d.at(i) - most;
    if (exponent < -100) continue;
    const double part = std::exp(exponent);
    sum += part;
    moment += part * d.at(i);
  }
  return {most + std::log(sum), moment / sum};
}
inline tilt tilt_of(const std::vector<log_masses>& all, double lambda) {
  tilt sum;
  for (const log_masses& d : all) {
    const tilt one = tilt_of(d, lambda);
    sum.log_sum += static_cast<double>(d.count) * one.log_sum;
    sum.mean += static_cast<double>(d.count) * one.mean;
  }
  return sum;
}

inline std::complex<double> whole_power(std::complex<double> x, index_t n) {
  std::complex<double> power = 1;
  for (; n > 0; n /= 2, x *= x)
    if (n % 2 != 0) power *= x;
  return power;
}

}  // namespace detail

/// The loss of all @p steps, for epsilons near that of @p delta.
/// @throws std::invalid_argument if there are none, intervals or roundings differ, a count is not in [1, 2^40], delta
///         is not in (0, 1), or the losses need more than 2^26 grid points.
/// @note A transform of the losses' range over the interval for each of the steps and one back.
inline composed_loss compose(std::span<const loss_steps> steps, double delta) {
  const char* function = "hone::privacy::compose";
  invalid_argument_unless(!steps.empty(), function, "steps", "are none");
  detail::check_delta(delta, function);
  composed_loss result;
  result.interval = steps.front().loss.interval;
  result.lower = steps.front().loss.rounding == loss_rounding::down;
  double count = 0, lost = 0, kept = 1, reach = 0;
  std::vector<detail::log_masses> all;
  for (const loss_steps& step : steps) {
    invalid_argument_unless(step.loss.interval == result.interval, function, "steps", "have different intervals");
    invalid_argument_unless((step.loss.rounding == loss_rounding::down) == result.lower, function, "steps",
                            "have upper and lower bounds");
    invalid_argument_unless(step.count >= 1 && step.count <= index_t{1} << 40, function, "count",
                            "must be in [1, 2^40], is %td", step.count);
    count += static_cast<double>(step.count);
    lost += static_cast<double>(step.count) * step.loss.infinite;
    kept *= std::pow((max)(0.0, 1 - step.loss.infinite), static_cast<double>(step.count));
    all.emplace_back(step);
    reach = (max)(reach, all.back().reach());
  }

  // The tilt at which e^(K(lambda) - lambda mean), what Chernoff bounds delta by at the tilted mean, is delta.
  const auto far_enough = [&](double lambda) {
    const detail::tilt t = detail::tilt_of(all, lambda);
    return t.log_sum - lambda * t.mean <= std::log(delta);
  };
  double low = 0, high = 1;
  while (high < 1024 && !far_enough(high)) low = high, high *= 2;
  for (int i = 0; i < 12; ++i) (far_enough(0.5 * (low + high)) ? high : low) = 0.5 * (low + high);
  const double lambda = result.lambda = high;
  const detail::tilt centre = detail::tilt_of(all, lambda);
  // Losses outside [bottom, top] have tilted mass below e^-rare each, by Chernoff's bound again.
  const double rare = 40;
  double top = detail::infinite, bottom = -detail::infinite;
  for (double more = 0.01; more < 1e4; more *= 4) {
    top = (min)(top, (detail::tilt_of(all, lambda + more).log_sum - centre.log_sum + rare) / more);
    bottom = (max)(bottom, (centre.log_sum - detail::tilt_of(all, lambda - more).log_sum - rare) / more);
  }
  const double points = (top - bottom) / result.interval + 4;
  invalid_argument_unless(points <= 0x1p26, function, "interval", "needs %g grid points, at most 2^26 are used",
                          points);
  const auto size = std::bit_ceil((max)(std::size_t{16}, static_cast<std::size_t>(points)));
  result.first = static_cast<index_t>(std::floor(bottom / result.interval));
  const auto length = static_cast<index_t>(size);
  const auto slot = [&](index_t point) { return static_cast<std::size_t>(((point % length) + length) % length); };

  Eigen::FFT<double> transform;
  std::vector<std::complex<double>> product(size, 1.0), spectrum;
  std::vector<double> wheel(size);
  const double log_size = std::log2(static_cast<double>(size));
  const double of_transform = 16 * detail::unit * log_size;
  double error = 0, growth = 1;
  for (const detail::log_masses& d : all) {
    std::fill(wheel.begin(), wheel.end(), 0.0);
    const double log_sum = detail::tilt_of(d, lambda).log_sum;
    for (std::size_t i = 0; i < d.log.size(); ++i)
      wheel[slot(d.first + static_cast<index_t>(i))] += std::exp(d.log[i] + lambda * d.at(i) - log_sum);
    const auto times = static_cast<double>(d.count);
    result.scale += times * log_sum;
    double square = 0;
    for (const double p : wheel) square += p * p;
    transform.fwd(spectrum, wheel);
    for (std::size_t k = 0; k < size; ++k) product[k] *= detail::whole_power(spectrum[k], d.count);
    // Each factor is at most 1 in size but for its own rounding.
    error += times * of_transform * std::sqrt(square);
    growth *= std::exp(times * of_transform * std::sqrt(static_cast<double>(size) * square));
  }
  transform.inv(wheel, product);
  double square = 0;
  for (const double p : wheel) square += p * p;
  const double of_powers = 8 * detail::unit * (count + static_cast<double>(steps.size()));
  result.error = 1.01 * (error * (min)(growth, 1e100) + (of_powers + of_transform) * std::sqrt(square));
  result.tilted.resize(size);
  for (std::size_t i = 0; i < size; ++i) result.tilted[i] = wheel[slot(result.first + static_cast<index_t>(i))];
  // Rounded exponents: of each release, of at most 750 and lambda times the loss, and of the sum.
  const double sign = result.lower ? -1 : 1;
  result.scale += sign * 8 * detail::unit *
                  (count * (750 + lambda * reach) + std::abs(result.scale) +
                   lambda * (std::abs(top) + std::abs(bottom) + static_cast<double>(size) * result.interval));
  result.wrapped = 2 * std::exp(-rare);
  if (result.lower) {
    result.infinite = (1 - kept) * (1 - 1e-9);
  } else {  // one of them at infinity, the others anywhere; or beyond the top
    const double others = (max)(0.0, detail::tilt_of(all, 0).log_sum + lost);
    result.infinite = (min)(1.0, lost * std::exp(others) * (1 + 1e-9) + std::exp(result.scale - lambda * top - rare));
  }
  return result;
}

/// delta at @p epsilon. @throws std::invalid_argument unless epsilon is finite and not negative.
inline double delta_of(const composed_loss& loss, double epsilon) {
  detail::check_epsilon(epsilon, "hone::privacy::delta_of");
  const auto at = [&](std::size_t i) {
    return loss.interval * static_cast<double>(loss.first + static_cast<index_t>(i));
  };
  if (epsilon < at(0)) {  // over e^epsilon the chord from delta = 1 at 0, above a convex curve; or its least value
    const double there = delta_of(loss, at(0));
    return loss.lower ? there : (min)(1.0, 1 - (1 - there) * std::exp(epsilon - at(0)));
  }
  double sum = 0;  // in units of e^(scale - lambda epsilon)
  const auto begin =
      static_cast<std::size_t>((min)((epsilon - at(0)) / loss.interval, static_cast<double>(loss.tilted.size())));
  for (std::size_t i = begin; i < loss.tilted.size(); ++i) {
    const double above = at(i) - epsilon;
    if (loss.lambda * above > 100) break;  // e^-100 of all that follows, which `slack` has
    if (above > 0) sum += loss.tilted[i] * std::exp(-loss.lambda * above) * -std::expm1(-above);
  }
  // Cauchy and Schwarz: the error's norm times that of the weights e^(-lambda l) (1 - e^-l), whose squares are at most
  // l^2 e^(-2 lambda l), and at most 1.
  const double weights = std::sqrt(
      (min)(static_cast<double>(loss.tilted.size()),
            loss.lambda > 0 ? 0.25 / std::pow(loss.lambda, 3) / loss.interval + 0.14 / loss.lambda / loss.lambda
                            : detail::infinite));
  const double slack = loss.error * weights + 1e-12 * std::abs(sum) + 2 * std::exp(-100.0);
  const double factor = std::exp((min)(700.0, loss.scale - loss.lambda * epsilon));
  if (loss.lower) return (max)(0.0, (sum - slack - loss.wrapped) * factor + loss.infinite);
  return (min)(1.0, (max)(0.0, sum + slack) * factor + loss.infinite);
}

/// epsilon at @p delta, infinite where more is at infinity: the upper end of a bisection, of lower bounds the lower.
/// @throws std::invalid_argument unless delta is in (0, 1).
inline double epsilon_of(const composed_loss& loss, double delta) {
  detail::check_delta(delta, "hone::privacy::epsilon_of");
  if (delta_of(loss, 0) <= delta) return 0;
  double low = 0, high = loss.interval * static_cast<double>(loss.first + static_cast<index_t>(loss.tilted.size()));
  if (!(high > 0) || delta_of(loss, high) > delta) return detail::infinite;
  while (high - low > 1e-12 * high) {
    const double middle = 0.5 * (low + high);
    (delta_of(loss, middle) <= delta ? high : low) = middle;
  }
  return loss.lower ? low : high;
}

/// epsilon at @p delta of @p steps steps of DP-SGD's mechanism, records added or removed: the worse direction.
/// @throws std::invalid_argument as `sampled_gaussian_distribution` and `compose`.
inline double sampled_gaussian_epsilon(double rate, double sigma, index_t steps, double delta,
                                       const discretisation& how = {}) {
  double worse = 0;
  for (const loss_direction direction : {loss_direction::remove, loss_direction::add}) {
    const loss_steps all{sampled_gaussian_distribution(rate, sigma, direction, how), steps};
    worse = (max)(worse, epsilon_of(compose({&all, 1}, delta), delta));
  }
  return worse;
}

/// A plan of releases whose loss distributions are known: all families but `concentrated`; Laplace noise as its
/// epsilon. Rounding must be an upper bound.
/// @throws std::invalid_argument as `compose`; for a concentrated loss.
template <adjacency Adjacency>
fixed_plan<Adjacency> plan_loss_distribution(std::vector<planned_steps<Adjacency>> steps, double delta,
                                             const discretisation& how = {}) {
  const char* function = "hone::privacy::plan_loss_distribution";
  invalid_argument_unless(how.rounding != loss_rounding::down, function, "rounding", "is down, no upper bound");
  double worse = 0;
  for (const loss_direction direction : {loss_direction::remove, loss_direction::add}) {
    std::vector<loss_steps> losses;
    for (const planned_steps<Adjacency>& step : steps) {
      const loss_curve<Adjacency>& curve = step.curve;
      invalid_argument_unless(curve.family != loss_family::concentrated, function, "steps",
                              "have a concentrated loss, which has no distribution");
      const bool noise = curve.family == loss_family::gaussian || curve.family == loss_family::sampled_gaussian;
      if (step.count == 0 || (noise && curve.rate == 0)) continue;
      losses.push_back({noise ? sampled_gaussian_distribution(curve.rate, curve.parameter, direction, how)
                              : approximate_distribution(curve.basic, how),
                        step.count});
    }
    if (!losses.empty()) worse = (max)(worse, epsilon_of(compose(losses, delta), delta));
  }
  return {std::move(steps), {worse, delta}};
}

}  // namespace HONE_NAMESPACE::privacy
