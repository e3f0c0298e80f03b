// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// From router logits to a plan, and from gradients of its gates back to the logits. Logits are experts x tokens, as
/// W X^T gives them. Order of work: logits, ranking, bias, selection, gates, drops, scale.
///   softmax   g_e = exp(L_e - m) / sum_e' exp(L_e' - m), e' over the chosen experts, or all where not renormalised
///   sigmoid   g_e = s(L_e), or s(L_e) / (sum_e' s(L_e') + 1e-20) over the chosen ones
///   relu      g_e = max(L_e, 0)
/// times a[n] of the n experts that the token has in the end. What is dropped stays in the sums of the others.
/// A logit that is not finite has gate 0 and is left out of its token's sums; it ranks as moe/select.hpp says.
#pragma once
#include "hone/core/output.hpp"
#include "hone/moe/detail/gates.hpp"

namespace HONE_NAMESPACE::moe {

/// Fills @p plan. Tokens that do not compete take no slot and no capacity.
/// @param logits experts x tokens, any strides; 1 to 2^20 experts, fewer than 2^31 elements. Those that are not finite
///        are counted.
/// @param memory grows as it must, and never shrinks.
/// @throws std::invalid_argument, before anything is written, as `validate`; if an option has another size than it
///         says, offsets do not rise from 0 to the number of tokens, a capacity is negative, a bias or a scale is out
///         of range, the router sees the future of a causal model, or tokens are to choose more experts than there are.
/// @note Bitwise for any executor. Of expert choice 4 to 8 passes over the scores, of token choice k. Beside plan and
///       memory, sinkhorn, the best pairs of all, what is dropped and best_if_none allocate while they run.
template <class T, executor E = const serial>
void route(const router& r, matrix_view<const std::type_identity_t<T>> logits,
           const route_options<std::type_identity_t<T>>& options, routing_plan<T>& plan, route_memory<T>& memory,
           E&& pool = serial{}) {
  const executor_reference workers(pool);
  detail::check_route("hone::moe::route", r, logits.rows(), logits.cols(), options);
  plan.experts = logits.rows();
  plan.tokens = logits.cols();
  plan.offsets.assign(static_cast<std::size_t>(plan.experts) + 1, 0);
  plan.dropped.clear();
  detail::gather_pools(r, plan.tokens, options, memory);
  plan.nonfinite = detail::gather_scores(r, logits, options, memory, workers);
  switch (r.chosen) {
    case selection::column_top: detail::choose_columns(r, options, plan, memory, workers); break;
    case selection::row_top: detail::choose_rows(r, plan, memory, workers); break;
    case selection::global_top: detail::choose_pairs(r, plan, memory); break;
    case selection::threshold: detail::choose_above(options, plan, memory); break;
  }
  if (r.best_if_none) detail::choose_for_uncovered(plan, memory);
  transpose(plan);
  detail::set_gates(r, logits, plan, memory, workers);
  if (r.second_at_random || r.capacity_numerator > 0) detail::drop(r, options, plan, memory);
  if (options.scale.empty()) return;
  for (index_t t = 0; t < plan.tokens; ++t)
    for (const std::int32_t slot : detail::slots_of(plan, t))
      plan.gate[static_cast<std::size_t>(slot)] *= static_cast<T>(detail::scale_of(options.scale, plan.experts_of(t)));
}

/// Adds to @p dlogits what @p dgate (a slot each, of the scaled gates) is worth to them; the selection is held.
/// @param logits, options, plan as of `route`. @param dlogits experts x tokens, any strides.
/// @throws std::invalid_argument, before anything is written, if something does not fit.
/// @note Bitwise for any executor. An exponential a slot; a logit where gates are not renormalised.
template <class T, executor E = const serial>
void route_backward(const router& r, matrix_view<const std::type_identity_t<T>> logits,
                    const route_options<std::type_identity_t<T>>& options, const routing_plan<T>& plan,
                    std::span<const std::type_identity_t<T>> dgate, matrix_view<std::type_identity_t<T>> dlogits,
                    route_memory<T>& memory, E&& pool = serial{}) {
  const char* function = "hone::moe::route_backward";
  const auto at = [](index_t i) { return static_cast<std::size_t>(i); };
  detail::check_route(function, r, logits.rows(), logits.cols(), options);
  invalid_argument_unless(plan.experts == logits.rows() && plan.tokens == logits.cols(), function, "plan",
                          "is of %td experts x %td tokens, the logits are %td x %td", plan.experts, plan.tokens,
                          logits.rows(), logits.cols());
  invalid_argument_unless(dgate.size() == plan.token.size(), function, "dgate", "has %zu elements for %zu slots",
                          dgate.size(), plan.token.size());
  invalid_argument_unless(dlogits.rows() == logits.rows() && dlogits.cols() == logits.cols(), function, "dlogits",
                          "is %td x %td, must be %td x %td", dlogits.rows(), dlogits.cols(), logits.rows(),
                          logits.cols());
  check_output(dlogits, function, "dlogits");
  detail::set_experts_of_slots(plan, memory.expert);
  const bool all = r.gate == activation::softmax && !r.renormalised;
  const bool shared = r.renormalised && r.gate != activation::relu;  // a gate depends on its token's other logits
  // What a token dropped is still in its sums: a list of them for each token.
  std::vector<std::int32_t>&first = memory.place, &next = memory.chosen;
  first.assign(at(plan.tokens), -1);
  next.resize(plan.dropped.size());
  for (std::size_t i = shared ? plan.dropped.size() : 0; i-- > 0;) {
    next[i] = first[at(plan.dropped[i].token)];
    first[at(plan.dropped[i].token)] = static_cast<std::int32_t>(i);
  }
  executor_reference(pool).parallel_for(plan.tokens, 64, [&](index_t begin, index_t end) {
    std::vector<std::int32_t> experts;
    std::vector<double> slope;  // of the gate before its scale
    for (index_t t = begin; t < end; ++t) {
      const auto own_slots = detail::slots_of(plan, t);
      if (own_slots.empty()) continue;
      const double scale = detail::scale_of(options.scale, static_cast<index_t>(own_slots.size()));
      experts.clear();
      slope.clear();
      for (const std::int32_t slot : own_slots) {
        experts.push_back(memory.expert[at(slot)]);
        slope.push_back(scale * static_cast<double>(dgate[at(slot)]));
      }
      for (std::int32_t i = first[at(t)]; i >= 0; i = next[at(i)]) {
        experts.push_back(plan.dropped[at(i)].expert);
        slope.push_back(0);
      }
      const auto of_slot = [&](index_t i) { return static_cast<double>(logits(experts[at(i)], t)); };
      const auto of_expert = [&](index_t e) { return static_cast<double>(logits(e, t)); };
      const auto count = static_cast<index_t>(experts.size());
      const detail::gate_sum sum =
          all ? detail::sum_of_gates(r, plan.experts, of_expert) : detail::sum_of_gates(r, count, of_slot);
      double mean = 0;  // sum_e g_e slope_e
      if (all || shared)
        for (index_t i = 0; i < count; ++i) mean += detail::gate_of(r, of_slot(i), sum) * slope[at(i)];
      for (index_t i = 0; i < count; ++i) {
        const double x = of_slot(i), g = detail::gate_of(r, x, sum);
        if (!std::isfinite(x)) continue;
        double d = g * (slope[at(i)] - (shared || all ? mean : 0));
        if (r.gate == activation::sigmoid) d *= sigmoid(-x);
        if (r.gate == activation::relu) d = x > 0 ? slope[at(i)] : 0;
        dlogits(experts[at(i)], t) += static_cast<T>(d);
      }
      if (!all) continue;
      std::size_t passed = 0;  // the slots' experts ascend; the others' logits are in the sum alone
      for (index_t e = 0; e < plan.experts; ++e) {
        if (passed < own_slots.size() && experts[passed] == e)
          ++passed;
        else
          dlogits(e, t) -= static_cast<T>(detail::gate_of(r, of_expert(e), sum) * mean);
      }
    }
  });
}

}  // namespace HONE_NAMESPACE::moe
