// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The loss of one token as a function of its ratio rho (ratio.hpp), log-probability log p and advantage A; sg(.) is
/// held constant in the gradient.
///   ppo_clip    max(-A rho, -A clip(rho, 1 - low, 1 + high))     [Schulman et al. 2017, PPO, arXiv 1707.06347, Eq. 7]
///               low != high: DAPO (0.2, 0.28)                    [Yu et al. 2025, DAPO, arXiv 2503.14476, Eq. 10]
///               A < 0: at most -A dual                           [Ye et al. 2020, dual clip, arXiv 1912.09729]
///               rho <= delta in the unclipped term               (TRL `delta`) [INTELLECT-2, arXiv 2505.07291]
///   unclipped   -A rho                                           (inside GMPO; importance-weighted policy gradient)
///   sapo        -A 4 sigmoid(tau (rho - 1)) / tau                [Gao et al. 2025, SAPO, arXiv 2511.20347]
///   reinforce   -A log p                                         (REINFORCE, GPG)
///   cispo       -sg(clip(rho, lower, upper)) A log p             [MiniMax-M1 2025, CISPO, arXiv 2506.13585]
///   vespo       -sg(phi(rho)) A log p, phi(w) = e^l w^k e^(-l w), k and l by the sign of A; with `sequence_ratio`
///                                                                (VESPO, as in TRL)
///   log_ratio_distance  c |log rho|, no matter A; with the weights of `kl_cov` (covariance.hpp)
/// LUSPO is `ppo_clip` on `geometric_ratio` under `sequence_token_sum`.
#pragma once
#include "hone/core/sigmoid.hpp"
#include "hone/policy/batch.hpp"

#include <cmath>
#include <limits>

namespace HONE_NAMESPACE::policy {

/// What a surrogate sees of a token besides the ratio.
struct token_state {
  double log_probability = 0;
  double advantage = 0;
  double log_mass = 0;
  double reference_mass = 0;
  double reference_likelihood = 0;
};

/// The loss of a token and its derivatives.
struct surrogate_value {
  double loss = 0;
  double by_ratio = 0;                 ///< with respect to rho
  double by_log_probability = 0;       ///< with respect to log p, rho held constant
  double by_mass = 0;                  ///< with respect to M
  double by_reference_likelihood = 0;  ///< with respect to sum_S q / Z log pi

  [[nodiscard]] bool active() const {
    return by_ratio != 0 || by_log_probability != 0 || by_mass != 0 || by_reference_likelihood != 0;
  }
};

namespace detail {

inline void check_bound(double value, double low, const char* function, const char* argument) {
  invalid_argument_unless(value >= low, function, argument, "must be at least %g, is %g", low, value);
}

}  // namespace detail

/// PPO's own: low = high = 0.2. verl adds dual = 3 by default, TRL neither dual nor delta.
struct ppo_clip {
  double low = 0.2;
  double high = 0.2;
  double dual = std::numeric_limits<double>::infinity();
  double delta = std::numeric_limits<double>::infinity();

  static constexpr bool of_ratio = true;
  /// @throws std::invalid_argument unless 0 <= low, 0 <= high, 1 < dual, 1 + high <= delta.
  void check() const {
    const char* function = "hone::policy::ppo_clip";
    detail::check_bound(low, 0, function, "low");
    detail::check_bound(high, 0, function, "high");
    invalid_argument_unless(dual > 1, function, "dual", "must be above 1, is %g", dual);
    invalid_argument_unless(delta >= 1 + high, function, "delta", "must be at least 1 + high, is %g", delta);
  }
  [[nodiscard]] surrogate_value operator()(const token_state& token, double ratio) const {
    const double a = token.advantage;
    const double free = -a * (ratio > delta ? delta : ratio), bound = -a * detail::clamp(ratio, 1 - low, 1 + high);
    if (free < bound) return {.loss = bound};
    if (a < 0 && free > -a * dual) return {.loss = -a * dual};
    return {.loss = free, .by_ratio = ratio > delta ? 0 : -a};
  }
};

struct unclipped {
  static constexpr bool of_ratio = true;
  static void check() {}
  [[nodiscard]] surrogate_value operator()(const token_state& token, double ratio) const {
    return {.loss = -token.advantage * ratio, .by_ratio = -token.advantage};
  }
};

/// A soft gate around rho = 1, where the slope is PPO's; temperatures by the sign of A.
struct sapo {
  double positive = 1;
  double negative = 1.05;

  static constexpr bool of_ratio = true;
  void check() const {
    for (const double tau : {positive, negative})
      invalid_argument_unless(tau > 0 && tau < 1e300, "hone::policy::sapo", "temperature",
                              "must be positive and finite, is %g", tau);
  }
  [[nodiscard]] surrogate_value operator()(const token_state& token, double ratio) const {
    const double a = token.advantage, tau = a > 0 ? positive : negative, x = tau * (ratio - 1);
    return {.loss = -a * 4 * sigmoid(x) / tau, .by_ratio = -a * 4 * sigmoid(x) * sigmoid(-x)};
  }
};

struct reinforce {
  static void check() {}
  [[nodiscard]] surrogate_value operator()(const token_state& token, double /*ratio*/) const {
    return {.loss = -token.advantage * token.log_probability, .by_log_probability = -token.advantage};
  }
};

/// Bounds of the ratio itself. TRL has no lower bound and calls the upper `epsilon_high`, a value of about 5 (the
/// default here); verl and NeMo-RL clip to [1 - low, 1 + high]: {0.8, 1.2} by default, {0.8, 1.28} with DAPO's.
struct cispo {
  double lower = 0;
  double upper = 5;

  void check() const {
    detail::check_bound(lower, 0, "hone::policy::cispo", "lower");
    invalid_argument_unless(upper > 0 && upper >= lower, "hone::policy::cispo", "upper",
                            "must be positive and at least lower, is %g", upper);
  }
  [[nodiscard]] surrogate_value operator()(const token_state& token, double ratio) const {
    const double slope = -detail::clamp(ratio, lower, upper) * token.advantage;
    return {.loss = slope * token.log_probability, .by_log_probability = slope};
  }
};

/// phi has its maximum at w = k / l: below 1 for A > 0, above 1 for A < 0. The defaults are TRL's.
struct vespo {
  double positive_k = 2;
  double positive_lambda = 3;
  double negative_k = 3;
  double negative_lambda = 2;

  void check() const {
    for (const double x : {positive_k, positive_lambda, negative_k, negative_lambda})
      invalid_argument_unless(x >= 0 && x < 1e300, "hone::policy::vespo", "parameters",
                              "must be finite and at least 0, one is %g", x);
  }
  [[nodiscard]] surrogate_value operator()(const token_state& token, double ratio) const {
    const bool positive = token.advantage > 0;
    const double k = positive ? positive_k : negative_k, lambda = positive ? positive_lambda : negative_lambda;
    const double slope = -std::exp(lambda + k * std::log(ratio) - lambda * ratio) * token.advantage;
    return {.loss = slope * token.log_probability, .by_log_probability = slope};
  }
};

struct log_ratio_distance {
  double coefficient = 1;

  static constexpr bool of_ratio = true;
  void check() const {
    invalid_argument_unless(coefficient >= 0 && coefficient < 1e300, "hone::policy::log_ratio_distance", "coefficient",
                            "must be finite and at least 0, is %g", coefficient);
  }
  [[nodiscard]] surrogate_value operator()(const token_state& /*token*/, double ratio) const {
    const double sign = ratio > 1 ? 1 : ratio < 1 ? -1 : ratio - 1;  // 0 at 1, a NaN kept
    return {.loss = coefficient * std::abs(std::log(ratio)), .by_ratio = coefficient * sign / ratio};
  }
};

template <class S>
concept surrogate = requires(const S& s, const token_state& token) {
  s.check();
  { s(token, 1.0) } -> std::same_as<surrogate_value>;
};

/// One whose gradient goes through the ratio.
template <class S>
concept ratio_surrogate = surrogate<S> && S::of_ratio;

}  // namespace HONE_NAMESPACE::policy
