// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Factors on token losses where the program that drew the tokens gave them other probabilities, pi_sampler, than the
/// trainer does, pi_old (kernels, precision, truncated sampling). With r = pi_old / pi_sampler of a token, of the whole
/// response, or its geometric mean,
///   truncate   min(r, high)                       (TIS; TRL token_truncate and sequence_truncate; verl rollout_is)
///   mask       r if low <= r <= high, else 0      (IcePop; TRL token_mask and sequence_mask)
///   reject     1 if low <= r <= high, else 0      (verl rollout_rs; with the geometric mean, seq-mask)
/// They are held constant in the gradient: `token_batch::weight`.
#pragma once
#include "hone/policy/ratio.hpp"

#include <cmath>

namespace HONE_NAMESPACE::policy {

enum class correction_level { token, sequence, geometric };
enum class correction_kind { truncate, mask, reject };

/// Bounds by method: TIS high = 2 (TRL's cap is 3), IcePop [0.5, 5], geometric rejection about [0.99, 1.01].
struct sampler_correction {
  correction_kind kind = correction_kind::truncate;
  correction_level level = correction_level::token;
  double low = 0;
  double high = 2;

  void check() const {
    const char* function = "hone::policy::sampler_correction";
    invalid_argument_unless(low >= 0 && low <= high, function, "low", "must be in [0, high], is %g", low);
    invalid_argument_unless(high > 0, function, "high", "must be positive, is %g", high);
  }
  [[nodiscard]] double operator()(double ratio) const {
    if (kind == correction_kind::truncate) return ratio > high ? high : ratio;
    if (ratio < low || ratio > high) return 0;
    return kind == correction_kind::mask || ratio != ratio ? ratio : 1;
  }
};

struct correction_sum {
  double weight = 0;      ///< sum of the factors over the tokens that count
  index_t tokens = 0;     ///< those
  index_t corrected = 0;  ///< truncated or put to 0
  index_t nonfinite = 0;
};

/// The factor of each token into @p weight (T), 0 where it does not count.
/// @param old, sampler (T) log-probabilities of the drawn tokens in both programs.
/// @throws std::invalid_argument if sizes do not fit or the bounds are not in order; nothing is written then.
/// @note Allocates nothing; bitwise for any executor. Log-ratios are clamped to +-20.
template <executor E = const serial>
correction_sum correct_sampler(const sampler_correction& method, std::span<const double> old,
                               std::span<const double> sampler, std::span<const index_t> offsets, label_view targets,
                               std::span<double> weight, E&& pool = serial{}) {
  const char* function = "hone::policy::correct_sampler";
  detail::check_layout(offsets, targets, old.size(), function);
  detail::check_tokens(sampler.size(), old.size(), false, function, "sampler");
  detail::check_tokens(weight.size(), old.size(), false, function, "weight");
  check_output(weight, function, "weight");
  method.check();
  double sums[4];
  detail::sum_sequences<4>(
      offsets, sums,
      [&](std::size_t, std::size_t begin, std::size_t end, double* partial) {
        const auto counts = [&](std::size_t t) { return targets.empty() || targets[t] >= 0; };
        const auto ratio = [](double x) { return std::exp(detail::clamp(x, -log_ratio_limit, log_ratio_limit)); };
        double of_response = 0;
        if (method.level != correction_level::token) {
          double x = 0;
          for (std::size_t t = begin; t < end; ++t)
            if (counts(t)) x += old[t] - sampler[t];
          if (method.level == correction_level::geometric)
            x /= static_cast<double>((max)(count_tokens(targets, begin, end), index_t{1}));
          of_response = ratio(x);
        }
        for (std::size_t t = begin; t < end; ++t) {
          weight[t] = 0;
          if (!counts(t)) continue;
          const double r = method.level == correction_level::token ? ratio(old[t] - sampler[t]) : of_response;
          weight[t] = method(r);
          partial[0] += weight[t];
          partial[1] += 1;
          partial[2] += r > method.high || (method.kind != correction_kind::truncate && r < method.low);
          partial[3] += !std::isfinite(weight[t]);
        }
      },
      pool);
  return {sums[0], static_cast<index_t>(sums[1]), static_cast<index_t>(sums[2]), static_cast<index_t>(sums[3])};
}

}  // namespace HONE_NAMESPACE::policy
