// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Reinforcement learning of a decoder with a recipe (policy/recipes.hpp), from responses that were drawn and rewarded:
///   measured_responses m = measure_responses(l, recipe, responses, {…});    before anything learns from them
///   for each part of the groups:  update_policy(l, recipe, responses, m, first, last, {…});
/// The denominators of an update are those of the whole of it, however it is cut into microbatches. In one process.
#pragma once
#include "hone/policy/recipe_loss.hpp"
#include "hone/policy/rows.hpp"
#include "hone/transformer/learner.hpp"
#include "hone/transformer/responses.hpp"

namespace HONE_NAMESPACE::transformer {

/// Of a frozen reference at every row: log q of the token, and its likeliest tokens S with what they have.
struct reference_measures {
  std::vector<double> log_probability, probability, mass;
  std::vector<std::int32_t> ids;
  index_t width = 0;  ///< of S, 0: none

  /// S of rows [first, first + rows).
  [[nodiscard]] policy::support_view support(index_t first, index_t rows) const {
    if (width == 0) return {};
    return {rows_of(ids, first, rows, width), rows_of(probability, first, rows, width), width};
  }
};

/// The measures of the @p rows (R tokens) by a reference.
/// @param reference parameters of a plain decoder of the learner's shape. @param width members of S, 0 for none.
/// @param keep_target whether the token drawn stays in S.
/// @throws std::invalid_argument as `learner::evaluate`, `policy::measure` and `policy::top_k_support`.
/// @note A forward pass; 16 R + 12 R width bytes. Bitwise for any executor.
template <class T, executor E = const serial>
reference_measures measure_reference(learner<T>& l, std::span<const std::type_identity_t<T>> reference,
                                     const labelled_rows& rows, index_t width, bool keep_target, double temperature = 1,
                                     E&& pool = serial{}) {
  const std::size_t count = rows.tokens.size(), members = count * static_cast<std::size_t>(width);
  reference_measures result{std::vector<double>(count), std::vector<double>(members), std::vector<double>(count),
                            std::vector<std::int32_t>(members), width};
  l.evaluate(
      reference, rows.batch(),
      [&](microbatch<T>& part) {
        const index_t first = part.first_row, n = part.tokens.rows();
        const auto logits = part.activations.logits();
        const auto targets = rows_of(rows.targets, first, n);
        policy::measure(logits, targets, {}, {.log_probability = rows_of(result.log_probability, first, n)},
                        temperature);
        if (width > 0)
          policy::top_k_support(logits, targets, width,
                                {rows_of(result.ids, first, n, width), rows_of(result.probability, first, n, width),
                                 rows_of(result.mass, first, n)},
                                {.keep_target = keep_target, .temperature = temperature});
      },
      pool);
  return result;
}

/// What is known of responses before anything learns from them, a value a row.
struct measured_responses {
  std::vector<double> old;         ///< log pi of the token drawn
  std::vector<double> entropy;     ///< of the policy
  std::vector<double> values;      ///< of a critic: one a row, or one a response
  std::vector<double> greedy;      ///< rewards of the prompts' greedy responses
  reference_measures reference{};  ///< empty where the recipe needs none
  std::vector<double> advantage;
  std::vector<double> returns;  ///< that a critic of tokens is to learn

  [[nodiscard]] policy::drawn_batch view(const responses& r) const {
    return {.rewards = r.rewards,
            .groups = r.groups,
            .offsets = r.rows.offsets,
            .targets = r.rows.targets,
            .value = values,
            .old = old,
            .reference = reference.log_probability,
            .greedy = greedy};
  }
};

/// What `measure_responses` cannot know itself.
struct measure_options {
  double temperature = 1;
  std::vector<double> values = {};  ///< `critic::values`, for a recipe with a critic
  std::vector<double> greedy = {};  ///< for one that needs them
};

/// @pre the learner remembers a reference, if the recipe needs one.
/// @throws std::invalid_argument as `policy::token_advantages`.
/// @note One forward pass, another by the reference. Bitwise for any executor.
template <class T, executor E = const serial>
measured_responses measure_responses(learner<T>& l, const policy::recipe& recipe, const responses& r,
                                     measure_options how = {}, E&& pool = serial{}) {
  const std::size_t rows = r.rows.tokens.size();
  measured_responses m{.old = std::vector<double>(rows),
                       .entropy = std::vector<double>(rows),
                       .values = std::move(how.values),
                       .greedy = std::move(how.greedy),
                       .advantage = std::vector<double>(rows),
                       .returns = std::vector<double>(rows)};
  l.evaluate(
      r.rows.batch(),
      [&](microbatch<T>& part) {
        const index_t first = part.first_row, n = part.tokens.rows();
        policy::measure(part.activations.logits(), rows_of(r.rows.targets, first, n), {},
                        {.log_probability = rows_of(m.old, first, n), .entropy = rows_of(m.entropy, first, n)},
                        how.temperature);
      },
      pool);
  const policy::requirements& needs = recipe.needs;
  if (needs.reference || needs.support > 0)
    m.reference = measure_reference(l, l.reference(), r.rows, needs.support, false, how.temperature, pool);
  policy::token_advantages(recipe, m.view(r), m.advantage, m.returns, pool);
  return m;
}

struct policy_update_options {
  double temperature = 1;
  index_t longest = 0;     ///< response allowed, in tokens, for an aggregation that divides by it
  std::uint64_t seed = 0;  ///< of Clip-Cov's choice: another one each update
  gradient::step_options step{};
};

struct policy_update_result {
  policy::policy_sum sum;  ///< of the objective
  double length;           ///< of the gradient, before it was cut; if not finite, nothing was changed
};

/// One update from groups [first, last) of the responses.
/// @throws std::invalid_argument as `policy::recipe_loss`, or if there are no such groups.
/// @note A forward and a backward pass, with Clip-Cov and KL-Cov a forward pass before them. Bitwise for any executor.
template <class T, executor E = const serial>
policy_update_result update_policy(learner<T>& l, const policy::recipe& recipe, const responses& r,
                                   const measured_responses& m, index_t first, index_t last,
                                   const policy_update_options& how, E&& pool = serial{}) {
  invalid_argument_unless(first >= 0 && first < last && last <= r.group_count(), "hone::transformer::update_policy",
                          "last", "[%td, %td) are no groups of %td", first, last, r.group_count());
  const index_t first_response = r.groups[static_cast<std::size_t>(first)];
  const batch_slice slice(r.rows.batch(), first_response, r.groups[static_cast<std::size_t>(last)]);
  const batch own = slice.batch();
  const policy::batch_totals totals =
      policy::count_totals(own.offsets, rows_of(r.rows.targets, slice.first_row(), slice.rows()),
                           rows_of(r.rewards, first_response, own.sequences()));
  const auto n = static_cast<std::size_t>(slice.rows());
  const policy::requirements& needs = recipe.needs;
  std::vector<double> log_p(n), entropy(needs.entropy ? n : 0), log_mass(needs.support > 0 ? n : 0),
      likelihood(needs.likelihood ? n : 0), weight;
  std::vector<loss::row_terms> terms(n);
  std::vector<policy::policy_sum> sums(static_cast<std::size_t>(own.sequences()));
  const auto read = [&](microbatch<T>& part) {
    const index_t row = part.first_row, count = part.tokens.rows(), whole = slice.first_row() + row;
    policy::measure(part.activations.logits(), rows_of(r.rows.targets, whole, count), m.reference.support(whole, count),
                    {.log_probability = rows_of(log_p, row, count),
                     .entropy = rows_of(entropy, row, count),
                     .log_mass = rows_of(log_mass, row, count),
                     .reference_likelihood = rows_of(likelihood, row, count)},
                    how.temperature);
  };
  const auto tokens = [&](std::span<const index_t> offsets, index_t row, index_t count) {
    const index_t whole = slice.first_row() + row;
    return policy::token_batch{.offsets = offsets,
                               .targets = rows_of(r.rows.targets, whole, count),
                               .log_probability = rows_of(log_p, row, count),
                               .old = rows_of(m.old, whole, count),
                               .advantage = rows_of(m.advantage, whole, count),
                               .weight = rows_of(weight, row, count),
                               .reference = rows_of(m.reference.log_probability, whole, count),
                               .entropy = rows_of(entropy, row, count),
                               .log_mass = rows_of(log_mass, row, count),
                               .reference_mass = rows_of(m.reference.mass, whole, count),
                               .reference_likelihood = rows_of(likelihood, row, count)};
  };
  if (needs.choice) {
    l.evaluate(own, read, pool);
    weight = policy::token_weights(recipe, tokens(own.offsets, 0, slice.rows()), how.seed, pool);
  }
  const double length =
      l.learn(
           own,
           [&](microbatch<T>& part) {
             const index_t row = part.first_row, count = part.tokens.rows(), whole = slice.first_row() + row;
             read(part);
             sums[static_cast<std::size_t>(part.first_sequence)] =
                 policy::recipe_loss(recipe, tokens(part.tokens.offsets, row, count),
                                     rows_of(r.rewards, first_response + part.first_sequence, part.tokens.sequences()),
                                     totals, how.longest, {rows_of(terms, row, count)});
             policy::write_gradient(part.activations.logits(), rows_of(r.rows.targets, whole, count),
                                    rows_of(terms, row, count), m.reference.support(whole, count), how.temperature);
           },
           how.step, pool)
          .length;
  policy_update_result result{{}, length};
  for (const policy::policy_sum& sum : sums) result.sum += sum;
  return result;
}

}  // namespace HONE_NAMESPACE::transformer
