// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// From a learner of all parameters to one of an adapter that is started on what the model does with examples:
///   start_adapter(l, adapter_sites(l.shape(), {role::wq, role::wv}, 8, 2.0), forget, retain,
///                 lora::find_start("rila"), {}, pool);                                       (lora/named_start.hpp)
#pragma once
#include "hone/lora/orthogonal.hpp"
#include "hone/lora/rila.hpp"
#include "hone/transformer/adapter_statistics.hpp"
#include "hone/transformer/learner.hpp"

namespace HONE_NAMESPACE::transformer {

struct adapter_start_options {
  /// Directions of each site's retain subspace, in which what is kept has most of its energy, for the orthogonal loss
  /// and `lora::project_out`: so many, but at most a fourth of the outputs; 0: none are looked for.
  index_t basis = 0;
  bool project = false;  ///< takes the retain subspace out of B, before the base gives up what B begins with
  philox random = {};    ///< site i has stream random.stream + i
};

/// How an adapter began.
template <class T>
struct adapter_start {
  std::vector<lora::site> sites;      ///< laid out
  std::vector<T> initial;             ///< its parameters, which `lora::plain` asks for
  std::vector<linalg::matrix> bases;  ///< of the retain subspace, one a site; none without `basis`
  double deviation = 0;               ///< max |W + s B A - W0| over the sites, before any projection
};

/// Starts an adapter on the sites of a model, hands it to @p l, which trains it from here on, and says how it began.
/// What the model says stays as it is, up to the rounding of the weights that a start compensates.
/// @param sites as `adapter_sites` makes them, laid out or not.
/// @param forget what is to be forgotten or learnt: starts that look at inputs or at a gradient, the mean likelihood's,
///        look at these. @param retain what is to be kept; may be empty where neither the start nor a basis needs it.
/// @param start a `lora::named_start`, or what has its members and can be called as it.
/// @throws std::invalid_argument as `observe_sites` and @p start; if @p l trains an adapter already; if project is set
///         and basis is 0. @p l is then what it was.
/// @note At most one forward pass over each set, one backward pass; holds the inputs and outputs of all sites. Bitwise
///       for any executor.
template <class T, class Sum, class Start, executor E = const serial>
adapter_start<T> start_adapter(learner<T, Sum>& l, std::vector<lora::site> sites, const labelled_rows& forget,
                               const labelled_rows& retain, const Start& start,
                               const adapter_start_options& options = {}, E&& pool = serial{}) {
  const char* function = "hone::transformer::start_adapter";
  const decoder<T>& model = l.model();
  invalid_argument_unless(l.trained().data() == l.parameters().data(), function, "l", "trains an adapter already");
  invalid_argument_unless(options.basis > 0 || !options.project, function, "basis", "must be positive to project on");
  const bool needs_outputs = start.needs_outputs || options.basis > 0;
  adapter_start<T> result{std::move(sites), {}, {}};
  result.initial.resize(static_cast<std::size_t>(lora::lay_out(result.sites)));
  const auto seen_of = [&](const labelled_rows& rows, bool needed) {
    const std::vector<row_list<T>> nothing(result.sites.size());
    if (!needed) return adapter_statistics<T>{nothing, nothing};
    return observe_sites<T>(model, l.parameters(), result.sites, rows.batch());
  };
  const adapter_statistics<T> seen = seen_of(forget, needs_outputs || start.needs_inputs);
  const adapter_statistics<T> kept = seen_of(retain, needs_outputs);
  std::vector<T> gradient(start.needs_gradient ? l.parameters().size() : 0);
  if (start.needs_gradient) l.likelihood(forget, gradient, 1 / static_cast<double>(forget.label_count()), {}, pool);

  std::vector<T> weights = l.parameters();
  const auto weight_of = [&](const lora::site& s) { return site_weight(model, std::span<T>(weights), s); };
  for (std::size_t i = 0; i < result.sites.size(); ++i) {
    const lora::site& s = result.sites[i];
    lora::start_evidence<T> evidence{
        .inputs = seen.inputs[i].view(),
        .forget = seen.outputs[i].view(),
        .retain = kept.outputs[i].view(),
        .random = {options.random.seed, options.random.stream + static_cast<std::uint32_t>(i)}};
    if (start.needs_gradient) evidence.gradient = site_weight(model, std::span<const T>(gradient), s);
    result.deviation = (max)(result.deviation, start(evidence, weight_of(s), s, result.initial, pool).deviation);
    if (options.basis > 0) {
      const index_t most = (min)(options.basis, (max)(index_t{1}, s.outputs / 4));
      result.bases.push_back(
          lora::find_rila_subspace(evidence.forget, evidence.retain, index_t{1}, {.basis_rank = most}).basis);
    }
  }
  if (options.project) {
    std::vector<matrix_view<const double>> bases;
    for (const linalg::matrix& basis : result.bases) bases.push_back(linalg::view(basis));
    lora::project_out(std::span<const lora::site>(result.sites), result.initial, bases, pool);
    weights = l.parameters();
    if (start.compensates)
      for (const lora::site& s : result.sites) lora::unmerge(weight_of(s), s, result.initial, pool);
  }
  l.adapt(std::move(weights), result.sites, result.initial);
  return result;
}

}  // namespace HONE_NAMESPACE::transformer
