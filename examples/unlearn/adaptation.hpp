// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Where an adapter starts, by name, from what the model does on the pairs to forget and to keep.
#pragma once
#include "hone/lora/corda.hpp"
#include "hone/lora/eva.hpp"
#include "hone/lora/lora_ga.hpp"
#include "hone/lora/rila.hpp"
#include "hone/lora/spectral.hpp"
#include "hone/lora/starts.hpp"
#include "hone/transformer/adapter_statistics.hpp"

namespace unlearn {

using namespace hone;

/// One site of an adapter, and what an initialiser may look at.
struct start_of_site {
  lora::site& site;
  std::vector<float>& adapter;
  matrix_view<float> weight;
  matrix_view<const float> inputs;          ///< what it sees of the pairs to forget
  matrix_view<const float> forget, retain;  ///< what it says of either
  matrix_view<const float> gradient;        ///< of the likelihood of what is to be forgotten
  philox random;

  /// Starts it and compensates the weight; returns the largest deviation of W + s B A from W.
  template <class Method>
  double from(const Method& method) const {
    return lora::initialise(method, weight, site, adapter).deviation;
  }
};

struct adapter_kind {
  const char* name;
  bool compensates;  ///< the base changes: saved as a plain adapter of twice the rank
  double (*start)(const start_of_site&);
};

inline constexpr adapter_kind adapter_kinds[] = {
    {"none", false, nullptr},
    {"lora", false, [](const start_of_site& s) { return s.from(lora::standard{.random = s.random}); }},
    {"rila", true,
     [](const start_of_site& s) {
       return lora::rila(s.forget, s.retain, s.weight, s.site, s.adapter, {.basis_rank = 0}).start.deviation;
     }},
    {"pissa", true, [](const start_of_site& s) { return s.from(lora::pissa{}); }},
    {"olora", true, [](const start_of_site& s) { return s.from(lora::olora{}); }},
    {"corda", true,
     [](const start_of_site& s) {
       lora::corda_moment moment(s.site.inputs);
       moment.add(s.inputs);
       return s.from(lora::corda{.moment = moment.mean()});
     }},
    {"eva", false,
     [](const start_of_site& s) {
       lora::incremental_pca inputs(s.site.inputs, s.site.rank);
       inputs.add(s.inputs);
       return s.from(lora::eva{inputs});
     }},
    {"milora", true, [](const start_of_site& s) { return s.from(lora::milora{}); }},
    {"lora_ga", true,
     [](const start_of_site& s) { return s.from(lora::lora_ga{.gradient = linalg::copy_of(s.gradient)}); }},
};

/// The directions of each site in which what is kept has most of its energy, for the orthogonal loss.
inline std::vector<linalg::matrix> retain_bases(const transformer::adapter_statistics<float>& forget,
                                                const transformer::adapter_statistics<float>& retain,
                                                std::span<const lora::site> sites, index_t directions) {
  std::vector<linalg::matrix> bases;
  for (std::size_t i = 0; i < sites.size(); ++i) {
    // As many as ReGLU's authors take of thousands of outputs; here at most a fourth of them.
    const index_t most = (std::min)(directions, (std::max)(index_t{1}, sites[i].outputs / 4));
    bases.push_back(
        lora::find_rila_subspace(forget.outputs[i].view(), retain.outputs[i].view(), index_t{1}, {.basis_rank = most})
            .basis);
  }
  return bases;
}

}  // namespace unlearn
