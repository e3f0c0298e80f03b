// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Minima of smooth functions of many variables by quasi-Newton steps: the last few pairs of a step s and the change y
/// of the gradient along it stand for the curvature B.
///   step   p = -H g, H ~ B^-1 from the pairs by two loops          [Nocedal 1980; Liu, Nocedal 1989, L-BFGS]
/// On a ball the step ends at the minimum of the model there: where that is on the sphere,
///   p = -H_m (g + m x), |x + p| = radius, H_m from the pairs (s, y + m s), which stand for B + m I, m >= 0
/// so that a constraint that binds costs no more evaluations than one that does not.
/// The line search is that of detail/line_search.hpp.
#pragma once
#include "hone/linalg/detail/ball.hpp"
#include "hone/linalg/detail/line_search.hpp"

#include <vector>

namespace HONE_NAMESPACE::linalg {

struct lbfgs_options {
  double tolerance = 1e-8;                                  ///< on the certificate
  int history = 10;                                         ///< pairs that are kept
  int limit = 200;                                          ///< steps
  double radius = std::numeric_limits<double>::infinity();  ///< of the ball around 0 that x stays in
};

namespace detail {

/// The best point so far: the one of least certificate among those whose values rounding cannot tell apart.
class best_point {
 public:
  explicit best_point(std::span<double> memory) : x_(memory) {}

  void offer(std::span<const double> x, double value, double certificate, double slack) {
    const bool falls = value < value_ - slack;
    if (!falls && !(certificate < certificate_)) {
      ++stalled_;
      return;
    }
    stalled_ = 0;
    value_ = value;
    certificate_ = certificate;
    copy(x, x_);
  }
  [[nodiscard]] int stalled() const { return stalled_; }  ///< offers since it was better
  /// Writes @p x and @p result, if there is a finite point.
  void hand_back(std::span<double> x, double tolerance, minimum& result) const {
    if (!(certificate_ < infinity)) return;
    copy(x_, x);
    result.value = value_;
    result.certificate = certificate_;
    result.converged = certificate_ <= tolerance;
  }

 private:
  std::span<double> x_;
  double value_ = infinity, certificate_ = infinity;
  int stalled_ = 0;
};

/// By how much rounding may lift values of the magnitude of those seen lately.
class rounding_slack {
 public:
  double operator()(double value) {
    magnitude_ = (max)(std::abs(value), 0.5 * magnitude_);
    return 1e-10 * magnitude_;
  }

 private:
  double magnitude_ = 0;
};

/// The pairs, and what they make of a vector.
class curvature_pairs {
 public:
  static std::size_t doubles(std::size_t n, std::size_t history) { return history * (2 * n + 3); }

  curvature_pairs(std::span<double> memory, std::size_t n, std::size_t history) : memory_(memory), n_(n), m_(history) {}

  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] double scale() const { return scale_; }
  /// Forgets the pairs: the curvature is @p scale in every direction.
  void reset(double scale) {
    count_ = 0;
    scale_ = scale;
  }
  /// The places of the next pair, which are those of the oldest where all are taken.
  std::span<double> next_s() { return row(next_, 0); }
  std::span<double> next_y() { return row(next_, 1); }
  /// Keeps the pair that was written there, unless its curvature is not positive beyond rounding.
  void keep() {
    const double sy = dot(next_s(), next_y()), ss = squared_norm(next_s()), yy = squared_norm(next_y());
    if (!(sy > roundoff * std::sqrt(ss) * std::sqrt(yy)) || !(yy / sy < infinity) || ss == 0) return;
    product(next_, 0) = sy;
    product(next_, 1) = ss;
    scale_ = yy / sy;
    next_ = (next_ + 1) % m_;
    count_ = (min)(count_ + 1, m_);
  }
  /// v <- (B + shift I)^-1 v
  void solve(double shift, std::span<double> v) {
    for (std::size_t k = 1; k <= count_; ++k) {
      const std::size_t i = (next_ + m_ - k) % m_;
      product(i, 2) = dot(row(i, 0), v) / (product(i, 0) + shift * product(i, 1));
      axpy(-product(i, 2), row(i, 1), v);
      if (shift > 0) axpy(-product(i, 2) * shift, row(i, 0), v);
    }
    hone::scale(1 / (scale_ + shift), v);
    for (std::size_t k = count_; k >= 1; --k) {
      const std::size_t i = (next_ + m_ - k) % m_;
      const double along = dot(row(i, 1), v) + (shift > 0 ? shift * dot(row(i, 0), v) : 0.0);
      axpy(product(i, 2) - along / (product(i, 0) + shift * product(i, 1)), row(i, 0), v);
    }
  }

 private:
  std::span<double> row(std::size_t i, std::size_t which) { return memory_.subspan((2 * i + which) * n_, n_); }
  double& product(std::size_t i, std::size_t which) { return memory_[2 * m_ * n_ + 3 * i + which]; }

  std::span<double> memory_;
  std::size_t n_, m_, count_ = 0, next_ = 0;
  double scale_ = 1;
};

/// How far a step goes: the longest multiple of it that the ball allows, and whether it is along the sphere, from a
/// point of it to another, for which <x, p> = -|p|^2 / 2, while rounding of x alone may be more than that.
struct reach {
  double longest = infinity;
  bool along_sphere = false;
};

/// The step @p p from @p x to the minimum of the pairs' model on the ball.
inline reach model_step(curvature_pairs& pairs, std::span<const double> x, std::span<const double> g, double radius,
                        std::span<double> p) {
  const std::size_t n = x.size();
  const auto step_at = [&](double shift) {
    for (std::size_t i = 0; i < n; ++i) p[i] = -(g[i] + shift * x[i]);
    pairs.solve(shift, p);
  };
  step_at(0);
  if (radius == infinity) return {};
  const bool from_sphere = on_sphere(x, radius);
  const double room = from_sphere ? 0 : radius * radius - squared_norm(x);
  const auto excess = [&] { return 2 * dot(x, p) + squared_norm(p) - room; };  // |x + p|^2 - radius^2
  if (excess() <= 0) {                                                         // the root of |x + t p| = radius, t >= 1
    const double half = dot(x, p), squared = squared_norm(p);
    const double root = std::sqrt((max)(half * half + squared * room, 0.0));
    return {(max)(half > 0 ? room / (half + root) : (root - half) / squared, 1.0), false};
  }
  const double guess = multiplier(x, g, radius);
  double low = 0, high = (max)(2 * guess, pairs.scale());
  for (int i = 0; i < 200; ++i, low = high, high *= 4) {
    step_at(high);
    if (excess() <= 0) break;
  }
  double shift = guess > low && guess < high ? guess : low + (high - low) / 2;
  for (int i = 0; i < 60; ++i, shift = low + (high - low) / 2) {
    step_at(shift);
    const double over = excess();
    if (std::abs(over) <= 1e-6 * squared_norm(p)) break;
    (over > 0 ? low : high) = shift;
  }
  for (std::size_t i = 0; i < n; ++i) p[i] += x[i];
  const double length = norm(p);
  for (std::size_t i = 0; i < n; ++i) p[i] = p[i] * (length > 0 ? radius / length : 0) - x[i];
  return {1, from_sphere};
}

}  // namespace detail

/// Moves @p x (n) to a minimum of @p f near it, on the ball of options.radius around 0, to which x is projected first.
/// Hands back the best point it saw: the one of least certificate among those whose values rounding cannot tell apart.
/// Where the line search fails the pairs are forgotten; where it fails then too, or nothing gets better for 20 steps,
/// or the start is not finite, it ends with converged = false. It never throws on what f returns.
/// @throws std::invalid_argument unless tolerance >= 0, history >= 1, limit >= 0 and radius > 0.
/// @note A call of f a step in most cases, at most 122; allocates (2 history + 5) n + 3 history doubles before them.
///       On a ball the sphere is found by at most 61 applications of the pairs a step, of 8 history n flops or more.
template <smooth_objective F>
minimum minimise_lbfgs(F&& f, std::span<double> x, const lbfgs_options& options = {}) {
  const char* function = "hone::linalg::minimise_lbfgs";
  invalid_argument_unless(options.tolerance >= 0, function, "tolerance", "must be at least 0, is %g",
                          options.tolerance);
  invalid_argument_unless(options.history >= 1, function, "history", "must be at least 1, is %d", options.history);
  invalid_argument_unless(options.limit >= 0, function, "limit", "must be at least 0, is %d", options.limit);
  invalid_argument_unless(options.radius > 0, function, "radius", "must be positive, is %g", options.radius);
  const std::size_t n = x.size(), of_pairs = detail::curvature_pairs::doubles(n, std::size_t(options.history));
  std::vector<double> memory(of_pairs + 5 * n);
  const std::span<double> all(memory);
  const auto row = [&](std::size_t i) { return all.subspan(of_pairs + i * n, n); };
  const std::span<double> g = row(0), p = row(1), next = row(2), next_g = row(3);
  detail::curvature_pairs pairs(all.first(of_pairs), n, std::size_t(options.history));
  detail::best_point best(row(4));
  detail::rounding_slack slack_of;
  minimum result;
  const double radius = options.radius;
  detail::project(x, radius);
  double value = result.value = f(std::span<const double>(x), g);
  result.evaluations = 1;
  // The first step has length 1, or ends in the middle of the ball, whatever the units of f.
  const auto forget = [&] { pairs.reset(detail::norm(g) / (min)(1.0, radius / 2)); };
  forget();
  int unbounded = 0;  // searches in a row that found no end to the fall
  for (int step = 0;; ++step) {
    const double slack = slack_of(value), certificate = detail::residual(value, x, g, radius);
    best.offer(x, value, certificate, slack);
    if (!(certificate > options.tolerance && certificate < detail::infinity)) break;
    if (step == options.limit || best.stalled() > 20 || unbounded == 3) break;
    const double m = detail::multiplier(x, g, radius);
    const double radial = radius < detail::infinity ? 16 * detail::roundoff * radius * detail::norm(g) : 0;
    detail::line_point accepted, start;
    double longest = detail::infinity;
    for (bool fresh = pairs.empty();; fresh = true) {
      const detail::reach reach = detail::model_step(pairs, x, g, radius, p);
      longest = reach.longest;
      const double across = reach.along_sphere ? -0.5 * squared_norm(p) : dot(x, p);
      const auto slope = [&](std::span<const double> of) { return dot(of, p) + m * (dot(x, p) - across); };
      start = {0, value, slope(g)};
      if (start.slope < 0 && longest >= 1)
        accepted = detail::search_line(
            [&](double t) {
              ++result.evaluations;
              for (std::size_t i = 0; i < n; ++i) next[i] = x[i] + t * p[i];
              detail::project(next, radius);
              const double there = f(std::span<const double>(next), next_g);
              return detail::line_point{t, there, slope(next_g)};
            },
            start, 1, longest, slack + radial);
      if (accepted.step > 0 || fresh) break;
      forget();
    }
    if (!(accepted.step > 0)) break;
    unbounded = accepted.slope < 0.9 * start.slope && accepted.step < longest ? unbounded + 1 : 0;
    const std::span<double> s = pairs.next_s(), y = pairs.next_y();
    for (std::size_t i = 0; i < n; ++i) {
      s[i] = next[i] - x[i];
      y[i] = next_g[i] - g[i];
    }
    pairs.keep();
    copy(next, x);
    copy(next_g, g);
    value = accepted.value;
  }
  best.hand_back(x, options.tolerance, result);
  return result;
}

}  // namespace HONE_NAMESPACE::linalg
