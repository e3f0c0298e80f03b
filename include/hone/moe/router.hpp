// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a router is made of: who competes, by which score, who is chosen, with which gate, within which capacity; and
/// the published ones as recipes. `route` in moe/route.hpp runs one.
///
///   recipe                      pool      ranked by  chosen                       gate
///   expert_choice [EC-DLM]      sequence  logit      each expert's best tokens    softmax over the token's choosers
///   expert_choice_sigmoid       sequence  logit      each expert's best tokens    sigmoid over the choosers' sum
///   zhou_expert_choice          sequence  softmax    each expert's best tokens    that softmax, over all experts
///   switch_transformer          batch     logit      each token's best expert     softmax over all experts
///   gshard                      batch     logit      two, the second at random    softmax over the two
///   top_k_then_softmax          batch     logit      each token's k best          softmax over the k
///   softmax_then_top_k          batch     logit      each token's k best          softmax over all experts
///   loss_free                   batch     sigmoid    k best, with a bias          sigmoid over its sum over the k
///   sinkhorn_balanced           batch     sinkhorn   each token's k best          softmax (k = 1: sigmoid)
///   remoe                       batch     logit      all above 0                  max(logit, 0)
///   expert_threshold            batch     logit      all above the expert's       sigmoid
///   expert_race                 sequence  logit      the k T best pairs           softmax over the token's choosers
/// [2604.01622; Zhou et al. 2022, 2202.09368; Fedus et al. 2021, 2101.03961; Lepikhin et al. 2020, 2006.16668; Wang et
/// al. 2024, 2408.15664; Clark et al. 2022, 2202.01169; Wang et al. 2024, 2412.14711; 2603.11535; 2503.16057]
#pragma once
#include "hone/core/contract.hpp"

#include <cstdint>
#include <span>

namespace HONE_NAMESPACE::moe {

/// Among which tokens a capacity counts and columns are ranked: each sequence's own, or all of the batch.
enum class pool { sequence, batch };

/// By what tokens and experts are ranked, before a bias is added. `sinkhorn` is the balanced transport plan of the
/// pool's logits.
enum class ranking { logit, softmax, sigmoid, sinkhorn };

enum class selection {
  column_top,  ///< each expert takes its c best tokens
  row_top,     ///< each token takes its k best experts
  global_top,  ///< the k T best pairs of T tokens and all experts
  threshold    ///< every pair above the expert's threshold
};

enum class activation { softmax, sigmoid, relu };

/// Who stays where more tokens chose an expert than its capacity: the highest gates; the first tokens; the first tokens
/// of those whose first choice it was, then of those whose second choice it was, and so on.
enum class drop_policy { gate, position, choice };

/// A router, as data.
struct router {
  pool over = pool::sequence;
  ranking ranked_by = ranking::logit;
  selection chosen = selection::column_top;
  activation gate = activation::softmax;
  /// Whether the gates of a token's chosen experts are made to sum to 1: a softmax over their logits alone, a sigmoid
  /// over the sum of theirs. (Does nothing to relu.) The gate of a single expert is 1 then, whatever its logit: the
  /// router learns nothing from it.
  bool renormalised = true;
  index_t per_token = 1;  ///< k: experts of a token, on average where the experts choose
  /// C = ceil(T k numerator / (E denominator)) tokens that an expert takes at most, of T that compete; 0: no limit.
  index_t capacity_numerator = 0, capacity_denominator = 1;
  drop_policy dropped = drop_policy::position;
  /// Of two chosen experts the second stays with probability min(1, 2 g), g its gate; k = 2.
  bool second_at_random = false;
  /// Where experts choose: a token that none took goes to the one that ranks it highest, beyond that one's capacity.
  bool best_if_none = false;

  friend bool operator==(const router&, const router&) = default;
};

/// Whether what a token gets depends on tokens after it: not for a model that is trained to predict them.
constexpr bool sees_the_future(const router& r) {
  return r.chosen == selection::column_top || r.chosen == selection::global_top || r.ranked_by == ranking::sinkhorn ||
         (r.capacity_numerator > 0 && r.dropped != drop_policy::position);
}

/// Throws std::invalid_argument, naming the member, unless k >= 1, the capacity's fraction is not negative and its
/// denominator positive (all three below 2^20), a capacity is asked for only where tokens choose, the random second
/// only of k = 2 of each token with gates that sum to 1, a best expert for tokens with none only where these do not
/// choose, and relu only without a sum to be made 1.
inline void validate(const router& r) {
  const char* function = "hone::moe::validate";
  constexpr index_t most = index_t{1} << 20;
  invalid_argument_unless(r.per_token >= 1 && r.per_token < most, function, "per_token", "must be in [1, 2^20), is %td",
                          r.per_token);
  invalid_argument_unless(r.capacity_numerator >= 0 && r.capacity_numerator < most, function, "capacity_numerator",
                          "must be in [0, 2^20), is %td", r.capacity_numerator);
  invalid_argument_unless(r.capacity_denominator >= 1 && r.capacity_denominator < most, function,
                          "capacity_denominator", "must be in [1, 2^20), is %td", r.capacity_denominator);
  invalid_argument_unless(r.capacity_numerator == 0 || r.chosen == selection::row_top, function, "capacity_numerator",
                          "limits experts that tokens choose: must be 0 for other selections, is %td",
                          r.capacity_numerator);
  invalid_argument_unless(!r.second_at_random || (r.chosen == selection::row_top && r.per_token == 2 && r.renormalised),
                          function, "second_at_random",
                          "is of two experts that each token chooses, with gates that sum to 1");
  invalid_argument_unless(!r.best_if_none || r.chosen != selection::row_top, function, "best_if_none",
                          "is of experts that choose: tokens that do have some");
  invalid_argument_unless(r.gate != activation::relu || !r.renormalised, function, "renormalised",
                          "relu's gates have no sum to be made 1");
}

/// A fraction of the load that each expert would have if all had the same.
struct capacity_factor {
  index_t numerator = 0, denominator = 1;  ///< 5, 4 is 1.25; 0: no limit
};

/// EC-DLM: each expert takes max(floor(T k / E), 1) tokens of each sequence, or what `route_options` say.
constexpr router expert_choice(index_t per_token, pool over = pool::sequence) {
  return {.over = over, .per_token = per_token};
}
/// EC-DLM's sigmoid gates.
constexpr router expert_choice_sigmoid(index_t per_token) {
  return {.gate = activation::sigmoid, .per_token = per_token};
}
constexpr router zhou_expert_choice(index_t per_token, pool over = pool::sequence) {
  return {.over = over, .ranked_by = ranking::softmax, .renormalised = false, .per_token = per_token};
}
constexpr router top_k_then_softmax(index_t k, capacity_factor factor = {}, drop_policy dropped = drop_policy::gate) {
  return {.over = pool::batch,
          .chosen = selection::row_top,
          .per_token = k,
          .capacity_numerator = factor.numerator,
          .capacity_denominator = factor.denominator,
          .dropped = dropped};
}
/// Also OLMoE's and LLaDA-MoE's own.
constexpr router softmax_then_top_k(index_t k, capacity_factor factor = {}, drop_policy dropped = drop_policy::gate) {
  router r = top_k_then_softmax(k, factor, dropped);
  r.renormalised = false;
  return r;
}
constexpr router switch_transformer(capacity_factor factor = {5, 4}) {
  return softmax_then_top_k(1, factor, drop_policy::position);
}
constexpr router gshard(capacity_factor factor = {1, 1}) {
  router r = top_k_then_softmax(2, factor, drop_policy::choice);
  r.second_at_random = true;
  return r;
}
/// With the bias that `update_bias` moves; DeepSeek-V3 without its groups. EC-DLM's code has `softmax_then_top_k` with
/// a bias instead.
constexpr router loss_free(index_t k) {
  router r = top_k_then_softmax(k);
  r.ranked_by = ranking::sigmoid;
  r.gate = activation::sigmoid;
  return r;
}
/// As Megatron's: balanced while training; at inference the same ranked by logit.
constexpr router sinkhorn_balanced(index_t k) {
  router r = softmax_then_top_k(k);
  r.ranked_by = ranking::sinkhorn;
  if (k == 1) r.gate = activation::sigmoid;
  return r;
}
constexpr router remoe() {
  return {.over = pool::batch, .chosen = selection::threshold, .gate = activation::relu, .renormalised = false};
}
/// Its thresholds follow `update_thresholds`.
constexpr router expert_threshold(index_t per_token) {
  return {.over = pool::batch,
          .chosen = selection::threshold,
          .gate = activation::sigmoid,
          .renormalised = false,
          .per_token = per_token};
}
constexpr router expert_race(index_t per_token, pool over = pool::sequence) {
  return {.over = over, .chosen = selection::global_top, .per_token = per_token};
}

/// What comes with the logits of one batch.
template <class T>
struct route_options {
  std::span<const index_t> offsets = {};        ///< of the sequences, as a batch's; empty: one of all tokens
  std::span<const std::uint8_t> competes = {};  ///< a token each, 0 is padding; empty: all compete
  std::span<const T> bias = {};                 ///< an expert each, added to what ranks
  std::span<const T> thresholds = {};           ///< an expert each, for `selection::threshold`; empty: 0; NaN: nobody
  /// Of `column_top`: tokens that an expert takes, one number a sequence, or one where the batch is the pool; what is
  /// more than its tokens is cut. Empty: from the router's per_token.
  std::span<const index_t> capacities = {};
  std::span<const double> scale = {};  ///< a[n], n = 0 ... experts; one element: of all; empty: 1
  bool causal = true;                  ///< refuses routers that see the future
  std::uint64_t seed = 0;              ///< of random second experts, drawn by (seed, step, first_token + token)
  std::uint32_t step = 0;
  std::uint64_t first_token = 0;
};

}  // namespace HONE_NAMESPACE::moe
