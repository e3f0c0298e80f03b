// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Starts by name, as a command line or a configuration gives it, and what of the model each must be shown:
///   name                   start              what it is shown
///   lora                   `standard`         nothing
///   rila                   `rila`             pooled outputs on what is to be forgotten and to be kept
///   pissa, olora, milora   of the same name   the weight alone
///   corda, eva             of the same name   inputs
///   lora_ga                of the same name   the gradient of a loss
#pragma once
#include "hone/lora/corda.hpp"
#include "hone/lora/eva.hpp"
#include "hone/lora/lora_ga.hpp"
#include "hone/lora/rila.hpp"
#include "hone/lora/spectral.hpp"
#include "hone/lora/starts.hpp"

namespace HONE_NAMESPACE::lora {

/// A row of `named_starts`: a start for `transformer::start_adapter`.
struct named_start {
  const char* name;
  bool compensates;  ///< the weight gives up what the adapter begins with
  bool needs_inputs, needs_outputs, needs_gradient;

  /// `initialise` by this start, from @p seen.
  /// @throws std::invalid_argument as `initialise` and the method.
  /// @note Bitwise for any executor.
  template <scalar T, mutable_matrix W, mutable_vector P, executor E = const serial>
  initialisation operator()(const start_evidence<T>& seen, W&& weight, const site& s, P&& parameters,
                            E&& pool = serial{}) const {
    const auto from = [&](const auto& method) { return initialise(method, weight, s, parameters, pool); };
    const std::string_view own = name;
    if (own == "rila") return from(find_rila_subspace(seen.forget, seen.retain, s.rank, {.basis_rank = 0}));
    if (own == "pissa") return from(pissa{});
    if (own == "olora") return from(olora{});
    if (own == "milora") return from(milora{});
    if (own == "lora_ga") return from(lora_ga{.gradient = linalg::copy_of(seen.gradient)});
    if (own == "corda") {
      corda_moment moment(s.inputs);
      moment.add(seen.inputs);
      return from(corda{.moment = moment.mean()});
    }
    if (own == "eva") {
      incremental_pca inputs(s.inputs, s.rank);
      inputs.add(seen.inputs);
      return from(eva{inputs});
    }
    return from(standard{.random = seen.random});
  }
};
inline constexpr named_start named_starts[] = {
    {"lora", false, false, false, false},  {"rila", true, false, true, false},   {"pissa", true, false, false, false},
    {"olora", true, false, false, false},  {"corda", true, true, false, false},  {"eva", false, true, false, false},
    {"milora", true, false, false, false}, {"lora_ga", true, false, false, true}};

/// The row called @p name. @throws std::invalid_argument if there is none.
inline const named_start& find_start(std::string_view name) {
  for (const named_start& row : named_starts)
    if (row.name == name) return row;
  std::string names;
  for (const named_start& row : named_starts) names.append(" ").append(row.name);
  HONE_THROW(std::invalid_argument("hone::lora::find_start: " + std::string(name) + ": is none of" + names));
}

}  // namespace HONE_NAMESPACE::lora
