// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The advantage of a response from its reward R alone, with the other responses to its prompt as the baseline:
///   reward_itself   R - baseline                                                          (REINFORCE)
///   grpo            (R - mean) / (deviation + epsilon)         [Shao et al. 2024, DeepSeekMath, arXiv 2402.03300]
///   dr_grpo         R - mean                                   [Liu et al. 2025, Dr. GRPO, arXiv 2503.20783]
///   batch_scaled    (R - mean) / (deviation over the batch + epsilon)          (TRL scale_rewards="batch", PPO-lite)
///   rloo            R - mean of the others                     [Ahmadian et al. 2024, arXiv 2402.14740]
///   remax           R - R of the greedy response               [Li et al. 2023, ReMax, arXiv 2310.10505]
///   opo             R - sum len R / sum len                    [Hao et al. 2025, OPO, arXiv 2505.23585]
///   gpg             (R - mean) B / #{R != 0} / norm            [Chu et al. 2025, GPG, arXiv 2504.02546; verl]
///   pass_k_best     R - the second best for the best response, 0 for others     (verl grpo_passk, arXiv 2503.19595)
/// and of one response by a critic's success probability V = sigmoid(v) of its prompt, `sequence_value_advantage`:
///   R - V           [SPPO: sequence-level PPO for long-horizon reasoning tasks, arXiv 2604.08865; not TRL's sppo_hard,
///                   which is self-play preference optimization, arXiv 2405.00675]
/// Deviations have n - 1 in the denominator, as in TRL and verl. A response's advantage is spread to its tokens by
/// `loss::spread`. REINFORCE++ whitens afterwards: gae.hpp.
///
/// Equal rewards give exactly 0. A group of one has nothing to compare with: its baseline is 0 and its deviation 1, as
/// in verl. A NaN makes its own group NaN.
#pragma once
#include "hone/core/sigmoid.hpp"
#include "hone/policy/batch.hpp"

#include <cmath>

namespace HONE_NAMESPACE::policy {

namespace detail {

/// Equal numbers are their mean exactly.
inline double mean_of(std::span<const double> x) {
  double sum = 0;
  for (const double value : x) sum += value - x[0];
  return x[0] + sum / static_cast<double>(x.size());
}

}  // namespace detail

/// The responses to one prompt.
struct reward_group {
  std::span<const double> reward;
  std::size_t first = 0;  ///< number of the first response in the batch
  std::size_t index = 0;  ///< number of the group

  /// 0 for a single response.
  [[nodiscard]] double mean() const { return reward.size() == 1 ? 0 : detail::mean_of(reward); }
  /// With n - 1; 1 for a single response.
  [[nodiscard]] double deviation() const {
    if (reward.size() == 1) return 1;
    const double centre = detail::mean_of(reward);
    double squares = 0;
    for (const double r : reward) squares += (r - centre) * (r - centre);
    return std::sqrt(squares / static_cast<double>(reward.size() - 1));
  }
};

namespace detail {

inline void check_epsilon(double epsilon, const char* function) {
  invalid_argument_unless(epsilon > 0 && epsilon < 1e300, function, "epsilon", "must be positive and finite, is %g",
                          epsilon);
}

inline void subtract(const reward_group& group, double baseline, double factor, std::span<double> out) {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = (group.reward[i] - baseline) * factor;
}

}  // namespace detail

struct reward_itself {
  double baseline = 0;

  void check() const {
    invalid_argument_unless(std::abs(baseline) < 1e300, "hone::policy::reward_itself", "baseline",
                            "must be finite, is %g", baseline);
  }
  void operator()(const reward_group& group, std::span<double> out) const { detail::subtract(group, baseline, 1, out); }
};

/// epsilon: 1e-4 in TRL, 1e-6 in verl.
struct grpo {
  double epsilon = 1e-4;

  void check() const { detail::check_epsilon(epsilon, "hone::policy::grpo"); }
  void operator()(const reward_group& group, std::span<double> out) const {
    detail::subtract(group, group.mean(), 1 / (group.deviation() + epsilon), out);
  }
};

struct dr_grpo {
  static void check() {}
  void operator()(const reward_group& group, std::span<double> out) const {
    detail::subtract(group, group.mean(), 1, out);
  }
};

struct batch_scaled {
  double epsilon = 1e-4;

  void check() const { detail::check_epsilon(epsilon, "hone::policy::batch_scaled"); }
  void operator()(const reward_group& group, std::span<double> out) const { dr_grpo{}(group, out); }
  [[nodiscard]] double factor(std::span<const double> rewards) const {
    return 1 / (reward_group{rewards}.deviation() + epsilon);
  }
};

struct rloo {
  static void check() {}
  void operator()(const reward_group& group, std::span<double> out) const {
    const auto n = static_cast<double>(out.size());
    detail::subtract(group, group.mean(), out.size() == 1 ? 1 : n / (n - 1), out);
  }
};

struct remax {
  std::span<const double> greedy;  ///< reward of each prompt's greedy response

  static void check() {}
  void check_groups(std::size_t groups, std::size_t /*responses*/, const char* function) const {
    invalid_argument_unless(greedy.size() == groups, function, "greedy", "has %zu rewards for %zu groups",
                            greedy.size(), groups);
  }
  void operator()(const reward_group& group, std::span<double> out) const {
    detail::subtract(group, greedy[group.index], 1, out);
  }
};

/// A group of empty responses has the plain mean as its baseline; one response, whatever its length, 0.
struct opo {
  std::span<const index_t> lengths;  ///< of each response

  static void check() {}
  void check_groups(std::size_t /*groups*/, std::size_t responses, const char* function) const {
    invalid_argument_unless(lengths.size() == responses, function, "lengths", "has %zu elements for %zu responses",
                            lengths.size(), responses);
    for (std::size_t i = 0; i < lengths.size(); ++i)
      invalid_argument_unless(lengths[i] >= 0, function, "lengths", "response %zu has %td tokens", i, lengths[i]);
  }
  void operator()(const reward_group& group, std::span<double> out) const {
    double sum = 0, length = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      const auto l = static_cast<double>(lengths[group.first + i]);
      sum += l * (group.reward[i] - group.reward[0]);
      length += l;
    }
    const bool weighted = out.size() > 1 && length > 0;
    detail::subtract(group, weighted ? group.reward[0] + sum / length : group.mean(), 1, out);
  }
};

struct gpg {
  double norm = 1;

  void check() const {
    invalid_argument_unless(norm > 0 && norm < 1e300, "hone::policy::gpg", "norm", "must be positive and finite, is %g",
                            norm);
  }
  void operator()(const reward_group& group, std::span<double> out) const { dr_grpo{}(group, out); }
  [[nodiscard]] double factor(std::span<const double> rewards) const {
    index_t nonzero = 0;
    for (const double r : rewards) nonzero += r != 0;
    return static_cast<double>(rewards.size()) / static_cast<double>((max)(nonzero, index_t{1})) / norm;
  }
};

/// @c scaled divides by deviation + epsilon, which verl does unless told otherwise. @throws std::invalid_argument,
/// before anything is written, if a group has one response.
struct pass_k_best {
  bool scaled = false;
  double epsilon = 1e-6;

  void check() const { detail::check_epsilon(epsilon, "hone::policy::pass_k_best"); }
  static constexpr std::size_t least_group = 2;
  void operator()(const reward_group& group, std::span<double> out) const {
    std::size_t best = 0;
    double second = -std::numeric_limits<double>::infinity(), sum = 0;
    for (std::size_t i = 0; i < out.size(); ++i) sum += group.reward[i];
    for (std::size_t i = 1; i < out.size(); ++i)
      if (group.reward[i] > group.reward[best]) best = i;
    for (std::size_t i = 0; i < out.size(); ++i)
      if (i != best) second = (max)(second, group.reward[i]);
    const double gap = sum != sum ? sum : group.reward[best] - second;
    const double factor = scaled ? 1 / (group.deviation() + epsilon) : 1;
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = i == best || gap != gap ? gap * factor : 0;
  }
};

/// The advantages of B responses in G groups into @p out (B), which may be the rewards' memory.
/// @param groups G + 1 offsets from 0 to B; the responses to a prompt lie side by side.
/// @throws std::invalid_argument if sizes do not fit, a group is empty, or a parameter is out of range; nothing is
///         written then.
/// @note A few passes over a group; allocates nothing; bitwise for any executor.
template <class Method, executor E = const serial>
void group_advantages(const Method& method, std::span<const double> rewards, std::span<const index_t> groups,
                      std::span<double> out, E&& pool = serial{}) {
  const char* function = "hone::policy::group_advantages";
  invalid_argument_unless(!groups.empty(), function, "groups", "is empty; no groups are one 0");
  loss::check_offsets(groups, static_cast<index_t>(rewards.size()), groups.size() - 1, function);
  invalid_argument_unless(out.size() == rewards.size(), function, "out", "has %zu responses, rewards has %zu",
                          out.size(), rewards.size());
  check_output(out, function, "out");
  index_t least = 1;
  if constexpr (requires { Method::least_group; }) least = Method::least_group;
  for (std::size_t g = 0; g + 1 < groups.size(); ++g)
    invalid_argument_unless(groups[g + 1] - groups[g] >= least, function, "groups",
                            "group %zu has %td responses, needs %td", g, groups[g + 1] - groups[g], least);
  method.check();
  if constexpr (requires { method.check_groups(groups.size() - 1, rewards.size(), function); })
    method.check_groups(groups.size() - 1, rewards.size(), function);
  double factor = 1;
  if constexpr (requires { method.factor(rewards); })
    if (!rewards.empty()) factor = method.factor(rewards);
  pool.parallel_for(static_cast<index_t>(groups.size()) - 1, index_t{16}, [&](index_t begin, index_t end) {
    for (auto g = static_cast<std::size_t>(begin); g < static_cast<std::size_t>(end); ++g) {
      const auto first = static_cast<std::size_t>(groups[g]), n = static_cast<std::size_t>(groups[g + 1]) - first;
      const auto part = out.subspan(first, n);
      method(reward_group{rewards.subspan(first, n), first, g}, part);
      if (factor != 1)
        for (double& a : part) a *= factor;
    }
  });
}

namespace detail {

/// R - sigmoid(v), for R near 1 as (1 - V) - (1 - R): the digits of 1 - V stay.
inline double success_residual(double r, double v) { return r > 0.5 ? sigmoid(-v) - (1 - r) : r - sigmoid(v); }

template <class F>
void from_value(std::span<const double> rewards, std::span<const double> value, std::span<double> out,
                const char* function, F&& f) {
  invalid_argument_unless(value.size() == rewards.size(), function, "value", "has %zu logits, rewards has %zu",
                          value.size(), rewards.size());
  invalid_argument_unless(out.size() == rewards.size(), function, "out", "has %zu responses, rewards has %zu",
                          out.size(), rewards.size());
  check_output(out, function, "out");
  for (std::size_t b = 0; b < rewards.size(); ++b) out[b] = f(rewards[b], value[b]);
}

}  // namespace detail

/// R - sigmoid(v) into @p out (B), for rewards in [0, 1] and the logits v of a critic that reads the prompt. No
/// whitening and no division; one response a prompt is enough. It is minus the slope of the critic's own loss
/// (critic.hpp).
/// @throws std::invalid_argument if the sizes differ.
inline void sequence_value_advantage(std::span<const double> rewards, std::span<const double> value,
                                     std::span<double> out) {
  detail::from_value(rewards, value, out, "hone::policy::sequence_value_advantage", detail::success_residual);
}

/// (R - V) / sqrt(V (1 - V)) = R e^(-v/2) - (1 - R) e^(v/2), GRPO's division by the deviation with the critic's; it has
/// no bound, so that @p limit (verl's fork has none) clips it.
/// @throws std::invalid_argument if the sizes differ, or limit is not positive.
inline void sequence_deviation_advantage(std::span<const double> rewards, std::span<const double> value,
                                         std::span<double> out, double limit = 10) {
  const char* function = "hone::policy::sequence_deviation_advantage";
  invalid_argument_unless(limit > 0, function, "limit", "must be positive, is %g", limit);
  detail::from_value(rewards, value, out, function, [limit](double r, double v) {
    const double right = r == 0 ? 0 : r * std::exp(-v / 2), wrong = r == 1 ? 0 : (1 - r) * std::exp(v / 2);
    return detail::clamp(right - wrong, -limit, limit);
  });
}

}  // namespace HONE_NAMESPACE::policy
