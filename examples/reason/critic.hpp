// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Critics: a decoder with one output, the policy's size or a share of it.
///   sequence   the logit of a success probability, behind the prompt; learns by cross-entropy from the rewards (SPPO)
///   token      the value of what is to come, at every position that a token of the response is drawn from; learns by
///              PPO's clipped squares from the returns
#pragma once
#include <numeric>

#include "hone/policy/critic.hpp"
#include "hone/statistics/calibration.hpp"
#include "reason/rollout.hpp"

namespace reason {

/// The policy's shape at @p share of its width, feed-forward width, heads and layers, with one output.
inline transformer::config critic_shape(const transformer::config& policy, double share) {
  transformer::config c = policy;
  c.tie_embeddings = false;
  c.outputs = 1;
  const auto scaled = [share](index_t n) {
    return (std::max)(index_t{1}, static_cast<index_t>(std::lround(static_cast<double>(n) * share)));
  };
  c.head_width = policy.head_size();
  c.d_model = scaled(policy.d_model);
  c.d_ff = scaled(policy.d_ff);
  c.n_layers = scaled(policy.n_layers);
  c.n_heads = scaled(policy.n_heads);
  c.n_kv_heads = std::gcd(c.n_heads, scaled(policy.n_kv_heads));
  return c;
}

/// A critic of the policy's own size begins with what the policy knows; a smaller one begins fresh. Its output is 0.
inline std::vector<float> critic_start(const transformer::config& shape, const transformer::config& policy,
                                       std::span<const float> parameters, std::uint64_t seed) {
  std::vector<float> result = program::fresh_parameters(shape, seed);
  const auto there = transformer::tensor_table(policy);
  const bool same_body = shape.d_model == policy.d_model && shape.n_layers == policy.n_layers;
  for (const auto& t : transformer::tensor_table(shape)) {
    const auto at = result.begin() + t.offset;
    const auto same = std::find_if(there.begin(), there.end(), [&](const auto& o) { return o.name == t.name; });
    if (t.kind == transformer::tensor_kind::classifier)
      std::fill(at, at + t.size(), 0.0f);
    else if (same_body)
      std::copy_n(parameters.begin() + same->offset, t.size(), at);
  }
  return result;
}

/// Sequences [first, last) of a packed batch as one of their own.
class batch_slice {
 public:
  batch_slice(const std::vector<std::int32_t>& tokens, const std::vector<index_t>& offsets, index_t first, index_t last)
      : first_row(offsets[static_cast<std::size_t>(first)]) {
    for (index_t s = first; s <= last; ++s) offsets_.push_back(offsets[static_cast<std::size_t>(s)] - first_row);
    tokens_ = std::span(tokens).subspan(static_cast<std::size_t>(first_row), static_cast<std::size_t>(offsets_.back()));
  }
  [[nodiscard]] transformer::batch batch() const { return {tokens_, offsets_}; }

  index_t first_row;

 private:
  std::vector<index_t> offsets_;
  std::span<const std::int32_t> tokens_;
};

/// Groups [first, last) of part @p i of @p parts, about equal ones.
inline std::pair<index_t, index_t> part_of(std::size_t groups, long i, long parts) {
  const auto n = static_cast<index_t>(groups);
  return {n * i / parts, n * (i + 1) / parts};
}

/// The logit of a value, as far as it is a probability.
inline double logit_of_value(double value) {
  const double v = std::clamp(value, 1e-6, 1 - 1e-6);
  return std::log(v / (1 - v));
}

/// How well the @p logits of success foretell the @p outcomes.
inline statistics::calibration calibrate(std::span<const double> logits, std::span<const double> outcomes) {
  std::vector<double> probabilities;
  for (const double v : logits) probabilities.push_back(1 / (1 + std::exp(-v)));
  return statistics::calibrate(probabilities, outcomes);
}

class critic {
 public:
  critic(bool of_sequences, const transformer::config& shape, std::vector<float> parameters)
      : of_sequences_(of_sequences), net_(shape, std::move(parameters)) {}

  [[nodiscard]] bool of_sequences() const { return of_sequences_; }
  [[nodiscard]] network& net() { return net_; }

  /// The logit of success for each response, from its prompt alone, or the value at every row.
  [[nodiscard]] std::vector<double> values(const rollout& r, thread_pool& pool) {
    if (!of_sequences_) return outputs(r.rows.batch(), pool);
    const std::vector<double> of_prompt = prompt_values(r.problems, pool);
    std::vector<double> result;
    for (std::size_t g = 0; g < of_prompt.size(); ++g)
      result.insert(result.end(), static_cast<std::size_t>(r.groups[g + 1] - r.groups[g]), of_prompt[g]);
    return result;
  }

  /// What it says behind each prompt.
  [[nodiscard]] std::vector<double> prompt_values(const std::vector<problem>& problems, thread_pool& pool) {
    const prompts p(problems);
    const std::vector<double> all = outputs({p.tokens, p.offsets}, pool);
    std::vector<double> result;
    for (std::size_t s = 1; s < p.offsets.size(); ++s)
      result.push_back(all[static_cast<std::size_t>(p.offsets[s]) - 1]);
    return result;
  }

  /// Moves the success probabilities towards the share of each prompt's responses that were rewarded.
  void learn_rewards(const rollout& r, long parts, const optimiser_settings& how, thread_pool& pool) {
    const prompts p(r.problems);
    std::vector<double> share;
    for (std::size_t g = 0; g < r.problems.size(); ++g) {
      const auto begin = r.rewards.begin() + r.groups[g], end = r.rewards.begin() + r.groups[g + 1];
      share.push_back(std::accumulate(begin, end, 0.0) / static_cast<double>(end - begin));
    }
    for (long i = 0; i < parts; ++i) {
      const auto [first, last] = part_of(r.problems.size(), i, parts);
      if (first == last) continue;
      const batch_slice slice(p.tokens, p.offsets, first, last);
      const double scale = 1 / static_cast<double>(last - first);
      net_.learn(
          slice.batch(),
          [&, first = first](microbatch<float>& part) {
            const auto logits = part.activations.logits();
            std::vector<double> value;
            for (index_t s = 0; s < part.tokens.sequences(); ++s)
              value.push_back(static_cast<double>(logits(part.tokens.end(s) - 1, 0)));
            policy::sequence_critic_loss(
                value, std::span(share).subspan(static_cast<std::size_t>(first + part.first_sequence), value.size()),
                value, scale);
            fill(logits.col(0), 0.0f);
            for (index_t s = 0; s < part.tokens.sequences(); ++s)
              logits(part.tokens.end(s) - 1, 0) = static_cast<float>(value[static_cast<std::size_t>(s)]);
          },
          how, pool);
    }
  }

  /// Moves the values of tokens towards @p returns, as far as @p range from @p old.
  void learn_returns(const rollout& r, std::span<const double> old, std::span<const double> returns, double range,
                     long parts, const optimiser_settings& how, thread_pool& pool) {
    for (long i = 0; i < parts; ++i) {
      const auto [first_group, last_group] = part_of(r.problems.size(), i, parts);
      if (first_group == last_group) continue;
      const batch_slice slice(r.rows.tokens, r.rows.offsets, r.groups[static_cast<std::size_t>(first_group)],
                              r.groups[static_cast<std::size_t>(last_group)]);
      const auto own = [&](auto x, index_t row, index_t rows) {
        return x.subspan(static_cast<std::size_t>(slice.first_row + row), static_cast<std::size_t>(rows));
      };
      const std::span<const std::int32_t> targets = r.rows.targets;
      const auto mode = policy::token_mean(policy::count(slice.batch().offsets, own(targets, 0, slice.batch().rows())));
      net_.learn(
          slice.batch(),
          [&](microbatch<float>& part) {
            const auto logits = part.activations.logits();
            const index_t row = part.first_row, rows = part.tokens.rows();
            std::vector<double> value(static_cast<std::size_t>(rows)), slope(value.size());
            for (index_t t = 0; t < rows; ++t) value[static_cast<std::size_t>(t)] = static_cast<double>(logits(t, 0));
            policy::token_critic_loss(value, own(old, row, rows), own(returns, row, rows), part.tokens.offsets,
                                      own(targets, row, rows), mode, slope, range);
            for (index_t t = 0; t < rows; ++t) logits(t, 0) = static_cast<float>(slope[static_cast<std::size_t>(t)]);
          },
          how, pool);
    }
  }

 private:
  struct prompts {
    explicit prompts(const std::vector<problem>& problems) {
      for (const problem& p : problems) {
        tokens.insert(tokens.end(), p.prompt.begin(), p.prompt.end());
        offsets.push_back(static_cast<index_t>(tokens.size()));
      }
    }
    std::vector<std::int32_t> tokens;
    std::vector<index_t> offsets = {0};
  };

  std::vector<double> outputs(const transformer::batch& b, thread_pool& pool) {
    std::vector<double> result(b.tokens.size());
    net_.evaluate(
        b,
        [&](microbatch<float>& part) {
          for (index_t t = 0; t < part.tokens.rows(); ++t)
            result[static_cast<std::size_t>(part.first_row + t)] = static_cast<double>(part.activations.logits()(t, 0));
        },
        pool);
    return result;
  }

  bool of_sequences_;
  network net_;
};

}  // namespace reason
