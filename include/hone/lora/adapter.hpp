// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Low-rank adapters of linear maps, in one buffer:  y = W x + scale B (A x),  W outputs x inputs, A rank x inputs,
/// B outputs x rank.  [Hu et al. 2021, LoRA, arXiv 2106.09685; scale = alpha / rank, or alpha / sqrt(rank):
/// Kalajdzievski 2023, rsLoRA, arXiv 2312.03732]
#pragma once
#include "hone/core/view.hpp"

#include <cmath>
#include <string>
#include <vector>

namespace HONE_NAMESPACE::lora {

/// One adapted matrix. Its parameters lie from @c offset on in the adapter's buffer: A, then B, both row-major.
struct site {
  std::string name;  ///< of the matrix in the model's own table
  index_t outputs;
  index_t inputs;
  index_t rank;
  double scale;
  index_t offset = 0;

  [[nodiscard]] constexpr index_t size() const { return rank * (inputs + outputs); }
  template <class U>
  [[nodiscard]] constexpr matrix_view<U> a(U* buffer) const {
    return {buffer + offset, rank, inputs};
  }
  template <class U>
  [[nodiscard]] constexpr matrix_view<U> b(U* buffer) const {
    return {buffer + offset + rank * inputs, outputs, rank};
  }
};

namespace detail {

inline void check_site(const site& s, const char* function) {
  invalid_argument_unless(s.outputs > 0 && s.inputs > 0, function, s.name.c_str(),
                          "is %td x %td: both must be positive", s.outputs, s.inputs);
  invalid_argument_unless(s.rank > 0 && s.rank <= s.outputs && s.rank <= s.inputs, function, s.name.c_str(),
                          "rank %td of a %td x %td matrix: must be in [1, its smaller side]", s.rank, s.outputs,
                          s.inputs);
  invalid_argument_unless(s.scale > 0 && s.scale < 1e300, function, s.name.c_str(), "scale must be positive, is %g",
                          s.scale);
}

/// The elements of a buffer that must be contiguous and hold the site.
template <class P>
auto* buffer_of(P&& parameters, const site& s, const char* function) {
  const auto elements = as_vector(parameters);
  invalid_argument_unless(elements.contiguous(), function, "parameters", "has a stride of %td, must be contiguous",
                          elements.stride());
  invalid_argument_unless(elements.data() != nullptr || elements.size() <= 0, function, "parameters",
                          "has %td elements and no memory", elements.size());
  invalid_argument_unless(s.offset >= 0 && elements.size() >= s.offset + s.size(), function, "parameters",
                          "has %td elements, %s ends at %td", elements.size(), s.name.c_str(), s.offset + s.size());
  return elements.data();
}

}  // namespace detail

/// alpha / rank.
inline double standard_scale(double alpha, index_t rank) { return alpha / static_cast<double>(rank); }
/// alpha / sqrt(rank): the size of the update does not fall with the rank (rsLoRA).
inline double rank_stabilised_scale(double alpha, index_t rank) { return alpha / std::sqrt(static_cast<double>(rank)); }

/// Lays the sites one after the other and returns how many elements the whole buffer has.
/// @throws std::invalid_argument unless every size and scale is positive and rank is at most the smaller side.
inline index_t lay_out(std::vector<site>& sites) {
  const char* function = "hone::lora::lay_out";
  index_t size = 0;
  for (const site& s : sites) detail::check_site(s, function);
  for (site& s : sites) {
    s.offset = size;
    size += s.size();
  }
  return size;
}

/// An adapter that owns its parameters: what files hold.
template <class T = float>
struct adapter {
  std::vector<site> sites;    ///< laid out
  std::vector<T> parameters;  ///< of all sites; gradients and moments have the same layout
};

}  // namespace HONE_NAMESPACE::lora
