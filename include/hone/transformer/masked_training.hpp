// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A step of training a masked-diffusion model, dense or with experts, and its loss by sequence:
///   noise -> forward -> weighted likelihood of what was masked, losses on router logits as taps -> AdamW
///   const masked_rows rows = mask_by_time(clean, {.mask_token = mask, .budget = capacities, .step = step});
///   const masked_update u = learn_masked(learner, rows, {.z = 1e-3}, {.rate = 1e-3, .clip = 1}, nullptr, pool);
/// The model is one that sees both ways (config::causal false).
#pragma once
#include "hone/diffusion/bound.hpp"
#include "hone/moe/coverage.hpp"
#include "hone/transformer/learner.hpp"
#include "hone/transformer/masked_rows.hpp"
#include "hone/transformer/routing_statistics.hpp"

namespace HONE_NAMESPACE::transformer {

/// Coefficients of losses on the router logits of each sparse layer; 0: none.
struct router_losses {
  double balance = 0;   ///< `moe::switch_loss`, by the counts of a microbatch
  double coverage = 0;  ///< `moe::coverage_loss`, within each sequence
  double z = 0;         ///< `moe::z_loss`
};

/// Adds the gradients of @p how to the taps of @p part and returns the losses times their coefficients: their sum over
/// the microbatches of a batch of @p rows rows and @p sequences sequences is the mean's.
/// @throws std::invalid_argument if a coefficient is not finite.
template <class T>
double tap_router_losses(microbatch<T>& part, const router_losses& how, index_t rows, index_t sequences) {
  if (how.balance == 0 && how.coverage == 0 && how.z == 0) return 0;
  const config& c = part.activations.shape();
  const double of_row = 1 / static_cast<double>(rows), of_sequence = 1 / static_cast<double>(sequences);
  double sum = 0;
  for (index_t layer = 0; layer < c.n_layers; ++layer) {
    if (!c.sparse(layer)) continue;
    const auto logits = by_expert(part.activations.router_logits(layer)), slope = by_expert(part.router_tap(layer));
    const moe::routing_plan<T>& plan = part.activations.plan(layer);
    const auto add = [&](double coefficient, double share, auto&& loss) {
      if (coefficient != 0) sum += coefficient * share * loss(moe::balance_options{.scale = coefficient * share}).sum;
    };
    add(how.balance, of_row, [&](const auto& o) { return moe::switch_loss(logits, plan, slope, o); });
    add(how.z, of_row, [&](const auto& o) { return moe::z_loss(logits, slope, o); });
    add(how.coverage, of_sequence, [&](const auto& o) {
      return moe::coverage_loss(logits, plan, static_cast<double>(c.experts.router.per_token), part.tokens.offsets,
                                slope, o);
    });
  }
  return sum;
}

struct masked_update {
  double loss = 0;        ///< the weighted sum over the divisor, without the routers' losses
  double length = 0;      ///< of the gradient, before it was cut; if not finite, nothing was changed
  index_t nonfinite = 0;  ///< rows whose loss was not finite
};

/// One step of @p l on @p rows. @param seen counts how they were routed, if it is there: those of this part of the
/// learner's, which `routing_statistics::layers` adds up.
/// @throws std::invalid_argument as `learner::learn`, if rows have no divisor (nothing is masked) or a coefficient is
///         not finite. @note The same bits for any executor.
template <class T, class Sum, executor E = const serial>
masked_update learn_masked(learner<T, Sum>& l, const masked_rows& rows, const router_losses& losses,
                           const gradient::step_options& how, routing_statistics* seen = nullptr, E&& pool = serial{}) {
  const char* function = "hone::transformer::learn_masked";
  invalid_argument_unless(rows.divisor > 0, function, "rows", "have no masked place: divisor %g", rows.divisor);
  for (const double x : {losses.balance, losses.coverage, losses.z})
    invalid_argument_unless(std::abs(x) < 1e300, function, "losses", "a coefficient must be finite, one is %g", x);
  const learner_update u = l.learn(
      rows.batch(),
      [&](microbatch<T>& part) {
        const auto labels = part.template rows_of<std::int32_t>(rows.labels);
        if (seen != nullptr) seen->add(part, labels);
        tap_router_losses(part, losses, std::ssize(rows.noised), rows.sequences());
        return loss::likelihood(part.activations.logits(), labels,
                                {.scale = 1 / rows.divisor, .weights = part.template rows_of<double>(rows.weights)});
      },
      how, pool);
  return {u.loss.sum / rows.divisor, u.length, u.loss.nonfinite};
}

/// The mean cross-entropy over the masked places of each sequence of @p rows, whatever their weights, of all parts of
/// the learner; NaN of one without any. @param seen as above.
/// @note A forward pass; the same bits for any executor.
template <class T, class Sum, executor E = const serial>
std::vector<double> masked_losses(learner<T, Sum>& l, const masked_rows& rows, routing_statistics* seen = nullptr,
                                  E&& pool = serial{}) {
  std::vector<double> sums(rows.counts.size());
  l.evaluate(
      rows.batch(),
      [&](microbatch<T>& part) {
        const auto labels = part.template rows_of<std::int32_t>(rows.labels);
        if (seen != nullptr) seen->add(part, labels);
        loss::sequence_nll(part.activations.logits(), labels, part.tokens.offsets,
                           rows_of(sums, part.first_sequence, part.tokens.sequences()));
      },
      pool);
  l.sum_over_parts(sums);  // each sequence is one part's, and 0 elsewhere
  for (std::size_t s = 0; s < sums.size(); ++s) sums[s] /= static_cast<double>(rows.counts[s]);
  return sums;
}

/// `diffusion::likelihood_bound` of each sequence of @p clean, whose numbers begin with options.sequence; a draw of all
/// together is one pass. @param options may: of all tokens. @param budget as of `noise_options`.
/// @throws std::invalid_argument as `diffusion::validate` and `mask_by_count`, or if a sequence has no token that may
///         be masked. @note draws times repeats forward passes; the same bits for any executor.
template <class T, class Sum, executor E = const serial>
std::vector<diffusion::bound> likelihood_bounds(learner<T, Sum>& l, const batch& clean,
                                                const diffusion::bound_options& options,
                                                std::span<const index_t> budget = {}, E&& pool = serial{}) {
  const char* function = "hone::transformer::likelihood_bounds";
  diffusion::validate(options, function);
  invalid_argument_unless(options.may.empty() || options.may.size() == clean.tokens.size(), function, "may",
                          "has %zu elements for %zu tokens", options.may.size(), clean.tokens.size());
  std::vector<index_t> lengths;
  for (index_t s = 0; s < clean.sequences(); ++s) {
    index_t length = clean.end(s) - clean.begin(s);
    for (const std::uint8_t may : rows_of(options.may, clean.begin(s), length)) length -= may == 0;
    invalid_argument_unless(length >= 1, function, "clean", "sequence %td has no token that may be masked", s);
    lengths.push_back(length);
  }
  std::vector<diffusion::bound_estimate> estimates(lengths.size(), diffusion::bound_estimate(options));
  std::vector<index_t> counts(lengths.size());
  for (index_t draw = 0; draw < options.draws * options.repeats; ++draw) {
    for (std::size_t s = 0; s < counts.size(); ++s)
      counts[s] = diffusion::drawn_count(options, draw, options.sequence + static_cast<std::uint32_t>(s), lengths[s]);
    const masked_rows rows = mask_by_count(clean, counts,
                                           {.mask_token = options.mask_token,
                                            .may = options.may,
                                            .budget = budget,
                                            .seed = options.seed,
                                            .step = static_cast<std::uint32_t>(draw),
                                            .first_sequence = options.sequence});
    const std::vector<double> losses = masked_losses(l, rows, nullptr, pool);
    for (std::size_t s = 0; s < losses.size(); ++s) estimates[s].add(losses[s]);
  }
  std::vector<diffusion::bound> result;
  for (const auto& estimate : estimates) result.push_back(estimate.result());
  return result;
}

}  // namespace HONE_NAMESPACE::transformer
