// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// An adapter whose base weights were compensated, as plain LoRA on the untouched base: with W = W0 - s B0 A0,
///   W + s B A = W0 + s (B A - B0 A0) = W0 + s [B B0] [A; -A0],   twice the rank, the same scale.
/// PEFT converts PiSSA, CorDA and OLoRA so (path_initial_model_for_weight_conversion).
#pragma once
#include "hone/lora/adapter.hpp"

#include <span>

namespace HONE_NAMESPACE::lora {

/// The plain adapter of rank 2 r of every site, from the parameters as they are and as they were right after the
/// initialisation, both laid out by @p sites. The rounding that the compensation left in W is not in it
/// (`initialisation::deviation`).
/// @throws std::invalid_argument if a buffer is too short or twice a rank exceeds the smaller side of its matrix.
template <vector_like V, vector_like V0>
  requires std::same_as<element_t<V>, element_t<V0>>
adapter<element_t<V>> plain(std::span<const site> sites, const V& parameters, const V0& initial) {
  using T = element_t<V>;
  const char* function = "hone::lora::plain";
  adapter<T> result{{sites.begin(), sites.end()}, {}};
  for (site& s : result.sites) s.rank *= 2;
  result.parameters.resize(static_cast<std::size_t>(lay_out(result.sites)));
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const site &from = sites[i], &to = result.sites[i];
    const auto* now = detail::buffer_of(parameters, from, function);
    const auto* then = detail::buffer_of(initial, from, function);
    const auto a = to.a(result.parameters.data()), b = to.b(result.parameters.data());
    for (index_t k = 0; k < from.rank; ++k) {
      for (index_t j = 0; j < from.inputs; ++j) {
        a(k, j) = from.a(now)(k, j);
        a(from.rank + k, j) = from_accumulator<T>(-to_accumulator<T>(from.a(then)(k, j)));
      }
      for (index_t o = 0; o < from.outputs; ++o) {
        b(o, k) = from.b(now)(o, k);
        b(o, from.rank + k) = from.b(then)(o, k);
      }
    }
  }
  return result;
}

}  // namespace HONE_NAMESPACE::lora
