// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What happens to rewards before they are advantages: an outcome put on its response's last token, a penalty on
/// length, a KL in the reward, and the choice of groups that teach something.
///   soft overlong   0 up to L_max - L_c, then (L_max - L_c - L) / L_c, -1 from L_max on
///                                                                [Yu et al. 2025, DAPO, arXiv 2503.14476, Eq. 13]
///   informative     a group whose rewards differ: where they do not, every group-relative advantage is 0 (DAPO
///                   drops the group and draws another)
#pragma once
#include "hone/policy/kl.hpp"

namespace HONE_NAMESPACE::policy {

struct soft_overlong {
  index_t longest;  ///< L_max
  index_t band;     ///< L_c

  /// @throws std::invalid_argument unless 0 < band <= longest.
  [[nodiscard]] double operator()(index_t length) const {
    invalid_argument_unless(band > 0 && band <= longest, "hone::policy::soft_overlong", "band",
                            "must be in [1, %td], is %td", longest, band);
    const double over = static_cast<double>(longest - band - length) / static_cast<double>(band);
    return detail::clamp(over, -1, 0);
  }
};

/// Each response's reward on its last token that counts, 0 on the others; a response without one keeps nothing.
/// @param rewards (B); @param out (T). @throws std::invalid_argument if sizes do not fit.
inline void place_outcomes(std::span<const double> rewards, std::span<const index_t> offsets, label_view targets,
                           std::span<double> out) {
  const char* function = "hone::policy::place_outcomes";
  detail::check_layout(offsets, targets, out.size(), function);
  check_output(out, function, "out");
  invalid_argument_unless(rewards.size() + 1 == offsets.size(), function, "rewards", "has %zu responses, offsets %zu",
                          rewards.size(), offsets.size() - 1);
  for (std::size_t b = 0; b < rewards.size(); ++b) {
    bool placed = false;
    for (auto t = static_cast<std::size_t>(offsets[b + 1]); t-- > static_cast<std::size_t>(offsets[b]);) {
      const bool here = !placed && (targets.empty() || targets[t] >= 0);
      out[t] = here ? rewards[b] : 0;
      placed = placed || here;
    }
  }
}

/// rewards <- rewards - coefficient k(log pi_old, log q) on the tokens that count, and the divergence's sum with the
/// number of tokens (for `adaptive_kl`). With k1 the gradient of the whole objective is that of KL(pi || q), without
/// bias.
/// @param old, reference, rewards (T). @throws std::invalid_argument if sizes differ or coefficient is not finite.
/// @note The divergence's bits hold for any executor.
template <executor E = const serial>
loss::loss_sum subtract_kl(std::span<const double> old, std::span<const double> reference, label_view targets,
                           double coefficient, std::span<double> rewards, kl_estimator estimator = kl_estimator::k1,
                           E&& pool = serial{}) {
  const char* function = "hone::policy::subtract_kl";
  check_output(rewards, function, "rewards");
  detail::check_tokens(old.size(), rewards.size(), false, function, "old");
  detail::check_tokens(reference.size(), rewards.size(), false, function, "reference");
  detail::check_tokens(targets.size(), rewards.size(), true, function, "targets");
  invalid_argument_unless(std::abs(coefficient) < 1e300, function, "coefficient", "must be finite, is %g", coefficient);
  double sums[3];
  blocked_sum<3>(
      static_cast<index_t>(rewards.size()), sums,
      [&](index_t begin, index_t end, double* partial) {
        for (auto t = static_cast<std::size_t>(begin); t < static_cast<std::size_t>(end); ++t) {
          if (!targets.empty() && targets[t] < 0) continue;
          const double k = estimate_kl(estimator, old[t], reference[t]).value;
          rewards[t] -= coefficient * k;
          partial[0] += k;
          partial[1] += 1;
          partial[2] += !std::isfinite(k);
        }
      },
      pool);
  return {sums[0], static_cast<index_t>(sums[1]), static_cast<index_t>(sums[2])};
}

/// keep[g] = 1 if the rewards of group g differ, or it is a group of one (as in verl's filter; @p keep_single = false
/// drops it), or one of them is NaN: what is wrong must be seen. Returns how many are kept.
/// @param groups G + 1 offsets; @param keep (G). @throws std::invalid_argument if sizes do not fit.
inline index_t informative_groups(std::span<const double> rewards, std::span<const index_t> groups,
                                  std::span<std::uint8_t> keep, bool keep_single = true) {
  const char* function = "hone::policy::informative_groups";
  invalid_argument_unless(groups.size() == keep.size() + 1, function, "groups", "has %zu offsets for %zu groups",
                          groups.size(), keep.size());
  loss::check_offsets(groups, static_cast<index_t>(rewards.size()), keep.size(), function);
  check_output(keep, function, "keep");
  index_t kept = 0;
  for (std::size_t g = 0; g < keep.size(); ++g) {
    const auto group =
        rewards.subspan(static_cast<std::size_t>(groups[g]), static_cast<std::size_t>(groups[g + 1] - groups[g]));
    bool differs = keep_single && group.size() == 1;
    for (const double r : group) differs = differs || !(r == group[0]);
    keep[g] = differs;
    kept += differs;
  }
  return kept;
}

}  // namespace HONE_NAMESPACE::policy
