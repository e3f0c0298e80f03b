// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How the log-ratios log pi(y_t) - log pi_old(y_t) of a response become the ratio that a surrogate sees:
///   token_ratio               exp of its own                  [Schulman et al. 2017, PPO, arXiv 1707.06347]
///   sequence_ratio            exp of the sum                  (TRL's RLOO; VESPO)
///   geometric_ratio           exp of the mean                 [Zheng et al. 2025, GSPO, arXiv 2507.18071, Eq. 7]
///   clipped_geometric_ratio   exp of the mean of log-ratios clipped one by one on the side that A pushes to
///                                                             [Zhao et al. 2025, GMPO, arXiv 2507.20673]
/// Every log-ratio that is exponentiated is clamped to +-20, with no gradient beyond, as in verl (whose GSPO clamps at
/// 10 from above only); TRL does not clamp.
#pragma once
#include "hone/policy/batch.hpp"

namespace HONE_NAMESPACE::policy {

inline constexpr double log_ratio_limit = 20;

/// A log-ratio after clipping, and whether it still moves with log pi.
struct clipped_log_ratio {
  double value;
  bool moves;
};

struct token_ratio {
  static constexpr bool of_sequence = false;
  static void check() {}
};

struct sequence_ratio {
  static constexpr bool of_sequence = true;
  static void check() {}
  static clipped_log_ratio token(double log_ratio, double /*advantage*/) { return {log_ratio, true}; }
  /// What one of @p count tokens contributes of its log-ratio.
  static double share(index_t /*count*/) { return 1; }
};

struct geometric_ratio {
  static constexpr bool of_sequence = true;
  static void check() {}
  static clipped_log_ratio token(double log_ratio, double /*advantage*/) { return {log_ratio, true}; }
  static double share(index_t count) { return 1 / static_cast<double>(count); }
};

/// Bounds of log-ratios, so that the ratio of a token stays in [e^-low, e^high]. Goes with `unclipped`.
struct clipped_geometric_ratio {
  double low = 0.4;
  double high = 0.4;

  static constexpr bool of_sequence = true;
  void check() const {
    for (const double bound : {low, high})
      invalid_argument_unless(bound >= 0 && bound < 1e300, "hone::policy::clipped_geometric_ratio", "bounds",
                              "must be finite and at least 0, one is %g", bound);
  }
  [[nodiscard]] clipped_log_ratio token(double log_ratio, double advantage) const {
    if (advantage == 0) return {0, false};
    if (advantage > 0 && log_ratio > high) return {high, false};
    if (advantage < 0 && log_ratio < -low) return {-low, false};
    return {log_ratio, true};
  }
  static double share(index_t count) { return 1 / static_cast<double>(count); }
};

template <class R>
concept ratio_level = requires(const R& r) {
  { R::of_sequence } -> std::convertible_to<bool>;
  r.check();
};

}  // namespace HONE_NAMESPACE::policy
