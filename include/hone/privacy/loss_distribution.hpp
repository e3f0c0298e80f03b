// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The privacy loss distribution of one release: how likely each loss log(P(x) / Q(x)) is under P, on a grid of losses
/// and at infinity. delta(epsilon) = sum over losses l > epsilon of mass(l) (1 - e^(epsilon - l)), plus infinity's.
///
/// A loss between grid points a < l < b is a mass at both, in shares that keep P and Q: delta's curve over e^epsilon is
/// then the chord of the true one between grid points, which is convex, so never below it. Rounding each loss up holds,
/// too, but adds up to an interval a release. [Doroshenko, Ghazi, Kamath, Kumar, Manurangsi 2022, Connect the dots,
/// arXiv 2207.04380, Alg. 1] Rounding down gives a number that is too small, for tests: truth lies between.
#pragma once
#include "hone/core/gamma.hpp"
#include "hone/core/normal.hpp"
#include "hone/privacy/loss_curve.hpp"

#include <vector>

namespace HONE_NAMESPACE::privacy {

enum class loss_rounding {
  dots,  ///< shares: an upper bound, and the nearest
  up,    ///< an upper bound
  down   ///< a lower bound
};

/// Which of two neighbours is P: the one with the record, or the one without.
enum class loss_direction { remove, add };

struct discretisation {
  double interval = 1e-4;
  loss_rounding rounding = loss_rounding::dots;
  double truncated =
      1e-18;  ///< mass at either end that is not looked at: it counts as infinite loss, or, down, as none
};

/// Masses at the losses (first + i) interval, and at infinity; above the true ones by a bound of the rounding, down
/// below them.
struct loss_distribution {
  double interval = 0;
  index_t first = 0;
  std::vector<double> mass;
  double infinite = 0;
  loss_rounding rounding = loss_rounding::dots;
};

namespace detail {

inline void check_discretisation(const discretisation& how, const char* function) {
  invalid_argument_unless(how.interval >= 1e-6 && how.interval <= 1, function, "interval",
                          "must be in [1e-6, 1], is %g", how.interval);
  invalid_argument_unless(how.truncated >= 1e-300 && how.truncated <= 1e-3, function, "truncated",
                          "must be in [1e-300, 1e-3], is %g", how.truncated);
}

/// Gauss-Legendre of 8 points on [-1, 1]: the positive nodes, and weights that hold for their mirror images, too.
inline constexpr double gauss_legendre_node[] = {0.18343464249564980494, 0.52553240991632898582, 0.79666647741362673959,
                                                 0.96028985649753623168};
inline constexpr double gauss_legendre_weight[] = {0.36268378337836198297, 0.31370664587788728734,
                                                   0.22238103445337447054, 0.10122853629037625915};

/// Adds losses to a grid.
struct loss_grid {
  loss_distribution to;

  loss_grid(const discretisation& how, double lowest, double highest) {
    to.interval = how.interval;
    to.rounding = how.rounding;
    to.first = static_cast<index_t>(std::floor(lowest / how.interval)) - 1;
    const auto last = static_cast<index_t>(std::ceil(highest / how.interval)) + 1;
    to.mass.resize(static_cast<std::size_t>(last - to.first + 1));
  }

  [[nodiscard]] double at(index_t point) const { return static_cast<double>(point) * to.interval; }
  double& mass(index_t point) { return to.mass[static_cast<std::size_t>(point - to.first)]; }

  /// @p p at a loss between the points @p below and @p below + 1.
  void add(index_t below, double loss, double p) {
    if (to.rounding == loss_rounding::up) mass(below + 1) += p;
    if (to.rounding == loss_rounding::down) mass(below) += p;
    if (to.rounding != loss_rounding::dots) return;
    const double up = std::expm1(at(below) - loss) / std::expm1(-to.interval);
    const double down = std::expm1(at(below + 1) - loss) / std::expm1(to.interval);
    mass(below + 1) += p * (max)(0.0, (min)(1.0, up));
    mass(below) += p * (max)(0.0, (min)(1.0, down));
  }
  void add(double loss, double p) { add(static_cast<index_t>(std::floor(loss / to.interval)), loss, p); }

  /// Moves each mass outwards by what rounding may have taken: shares by the loss's relative to the interval, masses by
  /// those of exponentials of at most 700.
  loss_distribution done() {
    const double sign = to.rounding == loss_rounding::down ? -1 : 1;
    for (std::size_t i = 0; i < to.mass.size(); ++i) {
      const double loss = std::abs(at(to.first + static_cast<index_t>(i)));
      to.mass[i] *= 1 + sign * unit * (4000 + 64 * (1 + loss) / to.interval);
    }
    to.infinite *= 1 + sign * 4000 * unit;
    return std::move(to);
  }
};

}  // namespace detail

/// One step of continuous Gaussian noise of @p sigma sensitivities on a batch in which each record is with probability
/// @p rate, the record being removed or added. At rate 1 both are Gaussian noise without sampling.
/// @throws std::invalid_argument unless rate is in (0, 1], sigma in [0.05, 1e6], interval in [1e-6, 1], truncated in
///         [1e-300, 1e-3].
/// @note Gauss-Legendre of 8 points between the grid's losses; cost of the losses' range over the interval.
inline loss_distribution sampled_gaussian_distribution(double rate, double sigma, loss_direction direction,
                                                       const discretisation& how = {}) {
  const char* function = "hone::privacy::sampled_gaussian_distribution";
  invalid_argument_unless(rate > 0 && rate <= 1, function, "rate", "must be in (0, 1], is %g", rate);
  invalid_argument_unless(sigma >= 0.05 && sigma <= 1e6, function, "sigma", "must be in [0.05, 1e6], is %g", sigma);
  detail::check_discretisation(how, function);
  const bool removed = direction == loss_direction::remove;
  const double variance = sigma * sigma, reach = -sigma * normal_quantile(how.truncated);
  // log((1 - q) + q e^((2 x - 1) / (2 sigma^2))) of with over without the record, and where it has a value.
  const auto log_ratio = [&](double x) {
    const double y = (x - 0.5) / variance;
    return rate == 1 ? y : detail::log_add(std::log1p(-rate), std::log(rate) + y);
  };
  const auto place = [&](double loss) {
    if (rate == 1) return 0.5 + variance * loss;
    const double above = std::expm1(loss) + rate;
    if (!(above > 0)) return -detail::infinite;
    return 0.5 + variance * (loss > 40 ? loss - std::log(rate) : std::log(above / rate));
  };
  const auto density = [&](double x) {
    const auto normal = [&](double z) { return std::exp(-0.5 * z * z) * 0.39894228040143267794 / sigma; };
    if (!removed) return normal(x / sigma);
    return (1 - rate) * normal(x / sigma) + rate * normal((x - 1) / sigma);
  };
  const double low = (removed && rate == 1 ? 1 : 0) - reach, high = (removed ? 1 : 0) + reach;
  const double least = log_ratio(low), most = log_ratio(high), sign = removed ? 1 : -1;
  detail::loss_grid grid(how, (min)(sign * least, sign * most), (max)(sign * least, sign * most));
  const auto first = static_cast<index_t>(std::floor(least / how.interval));
  const double width = (min)((min)(0.25 * sigma, 2 * variance / reach), 0.5 * variance);
  double begin = low;
  for (index_t point = first; begin < high; ++point) {
    const double end = (min)(high, (max)(begin, place(grid.at(point + 1))));
    const int panels = 1 + static_cast<int>((end - begin) / width);
    const double half = 0.5 * (end - begin) / panels;
    for (int panel = 0; panel < panels && half > 0; ++panel) {
      const double middle = begin + (2 * panel + 1) * half;
      for (int i = 0; i < 8; ++i) {
        const double x = middle + (i < 4 ? -half : half) * detail::gauss_legendre_node[i % 4];
        const double p = half * detail::gauss_legendre_weight[i % 4] * density(x);
        grid.add(removed ? point : -point - 1, sign * log_ratio(x), p);
      }
    }
    begin = end;
  }
  if (how.rounding == loss_rounding::down) return grid.done();
  // What is beyond either end; of the lower one losses are at most that end's.
  const double beyond = how.truncated * (1 + 1e-9);
  grid.to.infinite = beyond;
  grid.to.mass[2] += beyond;
  return grid.done();
}

/// A release that is (@p epsilon, @p delta)-private, of which randomised response is the worst, delta at infinity.
/// @throws std::invalid_argument unless epsilon is in [0, 1000], delta in [0, 1), and as the other.
inline loss_distribution approximate_distribution(epsilon_delta loss, const discretisation& how = {}) {
  const char* function = "hone::privacy::approximate_distribution";
  invalid_argument_unless(loss.epsilon >= 0 && loss.epsilon <= 1000, function, "epsilon", "must be in [0, 1000], is %g",
                          loss.epsilon);
  detail::check_charge(loss.delta, function);
  detail::check_discretisation(how, function);
  detail::loss_grid grid(how, -loss.epsilon, loss.epsilon);
  const double fails = 1 / (1 + std::exp(loss.epsilon));
  grid.add(loss.epsilon, (1 - loss.delta) * (1 - fails));
  grid.add(-loss.epsilon, (1 - loss.delta) * fails);
  grid.to.infinite = loss.delta;
  return grid.done();
}

}  // namespace HONE_NAMESPACE::privacy
