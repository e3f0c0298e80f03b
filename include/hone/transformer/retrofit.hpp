// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A decoder whose tokens choose their experts, made one whose experts choose their tokens: embeddings, experts and the
/// matrix of the router stay, and so do the gates (moe/retrofit.hpp). What that does to it is measured: the divergence
/// of its predictions, and the tokens that no expert takes. Before the swap, biases of the selection may lead there.
#pragma once
#include "hone/loss/divergence.hpp"
#include "hone/moe/retrofit.hpp"
#include "hone/transformer/decoder.hpp"

#include <algorithm>
#include <span>
#include <type_traits>
#include <vector>

namespace HONE_NAMESPACE::transformer {

/// @p c with `moe::experts_choose` of its router; its parameters are those of @p c, unchanged.
/// @throws std::invalid_argument if the model is dense or causal; as `moe::experts_choose`.
inline config experts_choose(const config& c, bool best_if_none = true) {
  const char* function = "hone::transformer::experts_choose";
  validate(c);
  invalid_argument_unless(c.experts.count > 0, function, "c", "is dense: it has no experts that could choose");
  invalid_argument_unless(!c.causal, function, "c", "is causal: experts that choose would see tokens to come");
  config result = c;
  result.experts.router = moe::experts_choose(c.experts.router, best_if_none);
  return result;
}

/// `moe::nearest_capacity` of each sequence, or of a whole block of it: what `batch::capacities` may hold.
/// @throws std::invalid_argument as `moe::capacity`.
inline std::vector<index_t> nearest_capacities(const config& c, std::span<const index_t> offsets) {
  std::vector<index_t> result;
  for (std::size_t s = 0; s + 1 < offsets.size(); ++s) {
    const index_t n = offsets[s + 1] - offsets[s];
    result.push_back(
        moe::nearest_capacity(c.block > 0 ? (std::min)(c.block, n) : n, c.experts.router.per_token, c.experts.count));
  }
  return result;
}

/// @p c with a bias on the selection of experts, for `set_homotopy_bias`.
/// @throws std::invalid_argument if the model is dense.
inline config with_selection_bias(const config& c) {
  invalid_argument_unless(c.experts.count > 0, "hone::transformer::with_selection_bias", "c",
                          "is dense: it has no experts to be selected");
  config result = c;
  result.experts.selection_bias = true;
  return result;
}
/// The parameters of @p c as those of `with_selection_bias(c)`; biases that it has not are 0.
/// @throws std::invalid_argument if the model is dense, or @p parameters does not fit it. @note One copy.
template <class T>
std::vector<T> with_selection_bias(const config& c, std::span<const T> parameters) {
  const std::vector<tensor> to = tensor_table(with_selection_bias(c));
  const parameter_layout from(c);
  invalid_argument_unless(static_cast<index_t>(parameters.size()) == from.size(),
                          "hone::transformer::with_selection_bias", "parameters", "has %zu elements, the model has %td",
                          parameters.size(), from.size());
  std::vector<T> result(static_cast<std::size_t>(to.back().offset + to.back().size()));
  for (const tensor& t : to)
    if (const index_t i = from.index(t.id); i >= 0)
      std::copy_n(parameters.data() + from[i].offset, t.size(), result.data() + t.offset);
  return result;
}

/// The parameters of `with_selection_bias(c)`, or their moments, as those of @p c.
/// @throws std::invalid_argument if the model is dense, or @p parameters does not fit. @note One copy.
template <class T>
std::vector<T> without_selection_bias(const config& c, std::span<const T> parameters) {
  const std::vector<tensor> to = tensor_table(c);
  const parameter_layout from(with_selection_bias(c));
  invalid_argument_unless(static_cast<index_t>(parameters.size()) == from.size(),
                          "hone::transformer::without_selection_bias", "parameters",
                          "has %zu elements, the model with biases has %td", parameters.size(), from.size());
  std::vector<T> result(static_cast<std::size_t>(to.back().offset + to.back().size()));
  for (const tensor& t : to)
    std::copy_n(parameters.data() + from[from.index(t.id)].offset, t.size(), result.data() + t.offset);
  return result;
}

/// Sets the biases of all layers to `moe::homotopy_bias` of what their routers say of @p b with the biases that there
/// are: -alpha times the logit that an expert's best k T / E of the batch's tokens are above.
/// @param parameters of a model that has such biases. @param w holds the batch after it.
/// @throws std::invalid_argument, before anything is written, as `decoder::forward`, if the model has no such biases,
///         or unless alpha is in [0, 1]. @note A forward pass.
template <class T>
void set_homotopy_bias(const decoder<T>& model, std::span<T> parameters, const batch& b, workspace<T>& w,
                       double alpha) {
  const char* function = "hone::transformer::set_homotopy_bias";
  const config& c = model.shape();
  invalid_argument_unless(c.experts.count > 0 && c.experts.selection_bias, function, "model",
                          "has no biases on the selection of experts");
  invalid_argument_unless(alpha >= 0 && alpha <= 1, function, "alpha", "must be in [0, 1], is %g", alpha);
  model.forward(parameters, b, w);
  for (index_t layer = 0; layer < c.n_layers; ++layer) {
    if (!c.sparse(layer)) continue;
    moe::homotopy_bias(by_expert(w.router_logits(layer)), c.experts.router.per_token, alpha,
                       model.view(parameters).vector({role::selection_bias, layer}));
  }
}

/// What a swap did to a model's predictions of a batch.
struct retrofit_change {
  loss::loss_sum divergence;       ///< KL(before || after) of the rows that count
  std::vector<index_t> uncovered;  ///< tokens of each layer that no expert took after it; 0 of dense layers
  index_t slot_count = 0;          ///< of all layers, after it
};

/// Runs both models over @p b, of which each reads its own capacities.
/// @param targets (rows): those with a negative one do not count; empty: all do.
/// @param before_memory holds the logits before; those of @p after_memory become the divergence's gradient.
/// @throws std::invalid_argument as `decoder::forward` and `loss::kl_to_reference`. @note Two forward passes.
template <class T>
retrofit_change measure_retrofit(const decoder<T>& before, std::span<const std::type_identity_t<T>> before_parameters,
                                 workspace<T>& before_memory, const decoder<T>& after,
                                 std::span<const std::type_identity_t<T>> after_parameters, workspace<T>& after_memory,
                                 const batch& b, label_view targets = {}) {
  const config& c = after.shape();
  before.forward(before_parameters, {b.tokens, b.offsets}, before_memory);
  after.forward(after_parameters, b, after_memory);
  retrofit_change result{loss::kl_to_reference(after_memory.logits(), before_memory.logits(), targets),
                         std::vector<index_t>(static_cast<std::size_t>(c.n_layers)), 0};
  for (index_t layer = 0; layer < c.n_layers; ++layer) {
    if (!c.sparse(layer)) continue;
    const moe::routing_plan<T>& plan = after_memory.plan(layer);
    result.slot_count += plan.size();
    for (index_t t = 0; t < plan.tokens; ++t)
      result.uncovered[static_cast<std::size_t>(layer)] += plan.experts_of(t) == 0;
  }
  return result;
}

}  // namespace HONE_NAMESPACE::transformer
