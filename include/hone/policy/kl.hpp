// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The penalty on a sampled token's distance from a reference q. With k1 = log pi(y) - log q(y), one of
///   k1,   k2 = k1^2 / 2,   k3 = e^-k1 + k1 - 1                     [Schulman 2020, Approximating KL divergence]
/// All three estimate KL(pi || q), k2 with bias; what they *push* the policy to, for y ~ pi, is another matter:
///   estimator        gradient            expected gradient
///   k1               own                 0: no penalty at all
///   k2               own                 that of KL(pi || q)
///   k3               own                 that of KL(q || pi), the forward divergence (TRL's and verl's default)
///   any              straight_through    that of KL(pi || q): k2's gradient under the estimator's value (verl "k3+")
///   k1, k3           importance          that of KL(pi || q): rho times the estimator, rho = pi / pi_old moving
///                                        (TRL use_bias_correction_kl, DeepSeek-V3.2)
/// k1 inside the reward (`subtract_kl` in reward.hpp) is unbiased too. The full divergence over the vocabulary is
/// `loss::kl_to_reference`.
#pragma once
#include "hone/policy/ratio.hpp"

#include <cmath>
#include <limits>

namespace HONE_NAMESPACE::policy {

enum class kl_estimator { k1, k2, k3 };
enum class kl_gradient { own, straight_through, importance };

/// A value and its derivative with respect to log pi(y).
struct kl_value {
  double value;
  double slope;
};

/// The estimate itself. -k1 is at most @p limit under the exponential of k3, with no gradient beyond; where k1 is large
/// nothing overflows, and k3 is about k1 - 1 (verl's is constant there).
inline kl_value estimate_kl(kl_estimator estimator, double log_p, double log_q, double limit = log_ratio_limit) {
  const double k1 = log_p - log_q;
  if (estimator == kl_estimator::k1) return {k1, 1};
  if (estimator == kl_estimator::k2) return {0.5 * k1 * k1, k1};
  const double x = -k1 > limit ? limit : -k1, growth = std::expm1(x);  // e^-k1 - 1
  return {growth - x, x < -k1 ? 0 : -growth};
}

/// coefficient 0 is no penalty. verl also clamps the value to +-10 (`value_limit`), OpenRLHF everything.
struct kl_penalty {
  double coefficient = 0;
  kl_estimator estimator = kl_estimator::k3;
  kl_gradient gradient = kl_gradient::own;
  double value_limit = std::numeric_limits<double>::infinity();

  void check() const {
    const char* function = "hone::policy::kl_penalty";
    invalid_argument_unless(coefficient >= 0 && coefficient < 1e300, function, "coefficient",
                            "must be finite and at least 0, is %g", coefficient);
    invalid_argument_unless(value_limit > 0, function, "value_limit", "must be positive, is %g", value_limit);
  }
  /// Without the coefficient; @p log_ratio is log pi - log pi_old.
  [[nodiscard]] kl_value operator()(double log_p, double log_q, double log_ratio) const {
    kl_value k = estimate_kl(estimator, log_p, log_q);
    const double inside = detail::clamp(k.value, -value_limit, value_limit);
    if (inside < k.value || inside > k.value) k = {inside, 0};
    if (gradient == kl_gradient::straight_through) k.slope = log_p - log_q;
    if (gradient == kl_gradient::importance) {
      const double x = detail::clamp(log_ratio, -log_ratio_limit, log_ratio_limit), ratio = std::exp(x);
      k = {ratio * k.value, ratio * (k.slope + (x == log_ratio ? k.value : 0))};
    }
    return k;
  }
};

/// Moves the coefficient towards the one that holds the divergence at @c target:
///   coefficient <- coefficient (1 + clip(current / target - 1, +-0.2) samples / horizon)
/// [Ziegler et al. 2019, Fine-tuning language models from human preferences, arXiv 1909.08593, Sec. 2.2; the order of
/// factors and the defaults of TRL and verl]
struct adaptive_kl {
  double coefficient = 0.2;
  double target = 6;
  double horizon = 10000;

  void check() const {
    for (const double x : {coefficient, target, horizon})
      invalid_argument_unless(x > 0 && x < 1e300, "hone::policy::adaptive_kl", "parameters",
                              "must be positive and finite, one is %g", x);
  }
  /// After a step over @p samples responses whose divergence was @p current a response. A @p current that is not finite
  /// leaves the coefficient.
  void update(double current, double samples) {
    check();
    if (!std::isfinite(current)) return;
    coefficient *= 1 + detail::clamp(current / target - 1, -0.2, 0.2) * samples / horizon;
  }
};

}  // namespace HONE_NAMESPACE::policy
