// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Critics: a decoder with one output, the policy's size or a share of it.
///   of prompts   the logit of a success probability, at the prompt's last token; learns by cross-entropy from the
///                share of right answers (`policy::sequence_critic_loss`, SPPO)
///   of tokens    the value of what is to come, at every position that a token of the response is drawn from; learns by
///                PPO's clipped squares from the returns (`policy::token_critic_loss`)
#pragma once
#include "hone/policy/critic.hpp"
#include "hone/transformer/learner.hpp"
#include "hone/transformer/responses.hpp"

#include <algorithm>
#include <cmath>

namespace HONE_NAMESPACE::transformer {

/// The policy's shape at @p share of its width, feed-forward widths, heads and layers, at least one of each, with one
/// output, and with as many experts.
/// @throws std::invalid_argument unless share is in (0, 1].
inline config critic_shape(const config& policy, double share) {
  invalid_argument_unless(share > 0 && share <= 1, "hone::transformer::critic_shape", "share",
                          "must be in (0, 1], is %g", share);
  config c = policy;
  c.tie_embeddings = false;
  c.outputs = 1;
  const auto scaled = [share](index_t n) {
    return (max)(index_t{1}, static_cast<index_t>(std::lround(static_cast<double>(n) * share)));
  };
  c.head_width = policy.head_size();
  c.d_model = scaled(policy.d_model);
  c.d_ff = scaled(policy.d_ff);
  c.n_layers = scaled(policy.n_layers);
  if (c.experts.count > 0) {
    c.experts.d_ff = scaled(policy.experts.d_ff);
    c.experts.shared_d_ff = policy.experts.shared_d_ff > 0 ? scaled(policy.experts.shared_d_ff) : 0;
    std::erase_if(c.experts.dense, [&](index_t layer) { return layer >= c.n_layers; });
  }
  c.n_heads = scaled(policy.n_heads);
  c.n_kv_heads = scaled(policy.n_kv_heads);
  for (index_t rest = c.n_heads; rest != 0;) {  // the greatest number that divides both
    const index_t next = c.n_kv_heads % rest;
    c.n_kv_heads = rest;
    rest = next;
  }
  return c;
}

/// Where a critic of @p shape begins: with what the policy knows, if all its tensors but the classifier are as large as
/// the policy's, else fresh. Its output is 0.
/// @param parameters of the policy.
/// @throws std::invalid_argument as `tensor_table`, or if @p parameters does not fit @p policy.
template <class T>
std::vector<T> initial_critic(const config& shape, const config& policy, const std::vector<T>& parameters,
                              std::uint64_t seed) {
  const std::vector<tensor> table = tensor_table(shape), there = tensor_table(policy);
  const index_t count = there.back().offset + there.back().size();
  invalid_argument_unless(static_cast<index_t>(parameters.size()) == count, "hone::transformer::initial_critic",
                          "parameters", "has %zu elements, the policy %td", parameters.size(), count);
  const auto body_of = [](const std::vector<tensor>& all) {  // the classifier is the last one, where there is one
    return std::span(all).first(all.size() - (all.back().kind == tensor_kind::classifier ? 1 : 0));
  };
  std::vector<T> result = initial_parameters<T>(shape, seed);
  const auto body = body_of(table), known = body_of(there);
  if (std::equal(body.begin(), body.end(), known.begin(), known.end(),
                 [](const tensor& a, const tensor& b) { return a.id == b.id && a.rows == b.rows && a.cols == b.cols; }))
    std::copy_n(parameters.begin(), body.back().offset + body.back().size(), result.begin());
  if (body.size() < table.size()) fill(vector_view<T>(result.data() + table.back().offset, table.back().size()), T{0});
  return result;
}

/// A critic and what trains it. What reads responses takes a forward pass over them, or over their prompts, and with an
/// update a backward pass too; throws std::invalid_argument as `learner::evaluate` and `learner::learn`; and gives the
/// same bits for any executor.
template <class T>
class critic {
 public:
  /// @throws std::invalid_argument as `learner`.
  critic(bool of_prompts, const config& shape, std::vector<T> parameters, const learner_options& options = {})
      : of_prompts_(of_prompts), net_(shape, std::move(parameters), options) {}

  [[nodiscard]] bool of_prompts() const { return of_prompts_; }
  [[nodiscard]] learner<T>& net() { return net_; }

  /// What `policy::token_advantages` reads: the logit of success for each response, or the value at every row.
  template <executor E = const serial>
  [[nodiscard]] std::vector<double> values(const responses& r, E&& pool = serial{}) {
    if (!of_prompts_) return outputs(r.rows.batch(), pool);
    const std::vector<double> of_prompt = prompt_values(r.prompts(), pool);
    std::vector<double> result;
    for (std::size_t g = 0; g < of_prompt.size(); ++g)
      result.insert(result.end(), static_cast<std::size_t>(r.groups[g + 1] - r.groups[g]), of_prompt[g]);
    return result;
  }

  /// What it says at the end of each prompt.
  template <executor E = const serial>
  [[nodiscard]] std::vector<double> prompt_values(const token_rows& prompts, E&& pool = serial{}) {
    const std::vector<double> all = outputs(prompts.batch(), pool);
    std::vector<double> result;
    for (std::size_t s = 1; s < prompts.offsets.size(); ++s)
      result.push_back(all[static_cast<std::size_t>(prompts.offsets[s]) - 1]);
    return result;
  }

  /// Moves the success probabilities of the prompts towards the mean reward of their responses, in @p parts updates.
  /// @pre it is a critic of prompts, and parts > 0.
  /// @return the longest gradient: not finite if an update was left out for it.
  template <executor E = const serial>
  double learn_rewards(const responses& r, index_t parts, const gradient::step_options& how, E&& pool = serial{}) {
    const token_rows prompts = r.prompts();
    std::vector<double> share;
    for (std::size_t g = 0; g + 1 < r.groups.size(); ++g) {
      double sum = 0;
      for (const double x : rows_of(r.rewards, r.groups[g], r.groups[g + 1] - r.groups[g])) sum += x;
      share.push_back(sum / static_cast<double>(r.groups[g + 1] - r.groups[g]));
    }
    return in_parts(
        prompts.batch(), r.group_count(), parts, how, pool,
        [&](const batch_slice& slice, index_t first) {
          const double scale = 1 / static_cast<double>(slice.batch().sequences());
          return [&share, first, scale](microbatch<T>& part) {
            const auto logits = part.activations.logits();
            std::vector<double> value;
            for (index_t s = 0; s < part.tokens.sequences(); ++s)
              value.push_back(static_cast<double>(logits(part.tokens.end(s) - 1, 0)));
            policy::sequence_critic_loss(value, rows_of(share, first + part.first_sequence, part.tokens.sequences()),
                                         value, scale);
            fill(logits.col(0), T{0});
            for (index_t s = 0; s < part.tokens.sequences(); ++s)
              logits(part.tokens.end(s) - 1, 0) = static_cast<T>(value[static_cast<std::size_t>(s)]);
          };
        },
        [](index_t g) { return g; });
  }

  /// Moves the values of tokens towards @p returns, as far as @p range from @p old, in @p parts updates, each of whole
  /// groups.
  /// @param old, returns (rows of @p r): what it said, and what `policy::token_advantages` makes of the rewards.
  /// @pre it is a critic of tokens, and parts > 0.
  /// @return as `learn_rewards`.
  template <executor E = const serial>
  double learn_returns(const responses& r, std::span<const double> old, std::span<const double> returns, double range,
                       index_t parts, const gradient::step_options& how, E&& pool = serial{}) {
    const auto group = [&](index_t g) { return r.groups[static_cast<std::size_t>(g)]; };
    return in_parts(
        r.rows.batch(), r.group_count(), parts, how, pool,
        [&](const batch_slice& slice, index_t) {
          const std::span<const std::int32_t> targets = r.rows.targets;
          const index_t begin = slice.first_row();
          const auto mode =
              policy::token_mean(policy::count(slice.batch().offsets, rows_of(targets, begin, slice.rows())));
          return [=](microbatch<T>& part) {
            const auto logits = part.activations.logits();
            const index_t row = begin + part.first_row, rows = part.tokens.rows();
            std::vector<double> value(static_cast<std::size_t>(rows)), slope(value.size());
            for (index_t t = 0; t < rows; ++t) value[static_cast<std::size_t>(t)] = static_cast<double>(logits(t, 0));
            policy::token_critic_loss(value, rows_of(old, row, rows), rows_of(returns, row, rows), part.tokens.offsets,
                                      rows_of(targets, row, rows), mode, slope, range);
            for (index_t t = 0; t < rows; ++t) logits(t, 0) = static_cast<T>(slope[static_cast<std::size_t>(t)]);
          };
        },
        group);
  }

 private:
  /// An update from each part of the groups of @p b: loss_of(slice, first group) is its loss, sequence_of(group) where
  /// a group begins.
  template <class Loss, class Sequence, executor E>
  double in_parts(const batch& b, index_t groups, index_t parts, const gradient::step_options& how, E& pool,
                  Loss&& loss_of, Sequence&& sequence_of) {
    double longest = 0;
    for (index_t i = 0; i < parts; ++i) {
      const auto [first, last] = part_of(groups, i, parts);
      if (first == last) continue;
      const batch_slice slice(b, sequence_of(first), sequence_of(last));
      const double length = net_.learn(slice.batch(), loss_of(slice, first), how, pool).length;
      if (std::isfinite(longest) && !(length <= longest)) longest = length;
    }
    return longest;
  }

  template <executor E>
  std::vector<double> outputs(const batch& b, E& pool) {
    std::vector<double> result(b.tokens.size());
    net_.evaluate(
        b,
        [&](microbatch<T>& part) {
          for (index_t t = 0; t < part.tokens.rows(); ++t)
            result[static_cast<std::size_t>(part.first_row + t)] = static_cast<double>(part.activations.logits()(t, 0));
        },
        pool);
    return result;
  }

  bool of_prompts_;
  learner<T> net_;
};

}  // namespace HONE_NAMESPACE::transformer
