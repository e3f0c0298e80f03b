// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the formats of adapters share: pairs of tensors into an adapter of a model, and back.
#pragma once
#include "hone/io/rope_rows.hpp"
#include "hone/io/stored_adapter.hpp"
#include "hone/io/stored_tensor.hpp"
#include "hone/transformer/config.hpp"

#include <algorithm>
#include <map>

namespace HONE_NAMESPACE::io {

namespace detail {

/// A and B of one matrix, where the file has them, and the scale that it gives them.
struct adapter_pair {
  const stored_tensor* a = nullptr;
  const stored_tensor* b = nullptr;
  double scale = 0;
};

/// The tensors of a file by the matrix that they adapt.
using adapter_pairs = std::map<transformer::tensor_id, adapter_pair>;

/// Whether the rows of a site's B are in the order of the rotary embedding's layout.
inline bool has_rope(const lora::site& s) {
  const auto id = transformer::tensor_of(s.name);
  return id && has_rope_rows(id->role);
}

inline std::string shape_of(const stored_tensor& t) {
  std::string text;
  for (const index_t n : t.shape) text += (text.empty() ? "" : " x ") + std::to_string(n);
  return t.shape.empty() ? "of no size" : text;
}

/// The adapter of the pairs of a model whose tensors are @p table; rows of q and k are laid out as @p stored.
/// @throws format_error if half of a pair is missing, a matrix is not one that the model adapts, or a shape is wrong.
inline stored_adapter assemble(const transformer::config& c, const std::vector<transformer::tensor>& table,
                               const adapter_pairs& pairs, transformer::rope_layout stored) {
  stored_adapter result;
  std::vector<adapter_pair> ordered;
  for (const transformer::tensor& t : table) {
    const auto found = pairs.find(t.id);
    if (found == pairs.end()) continue;
    const auto& [a, b, scale] = found->second;
    if (a == nullptr || b == nullptr) fail(a == nullptr ? *b : *a, "its other half is not there");
    if (t.kind != transformer::tensor_kind::linear && t.kind != transformer::tensor_kind::classifier)
      fail(*a, "only linear maps are adapted");
    if (a->shape.size() != 2 || a->shape[1] != t.cols)
      fail(*a, "is " + shape_of(*a) + ", must be rank x " + std::to_string(t.cols));
    const index_t rank = a->shape[0];
    if (b->shape.size() != 2 || b->shape[0] != t.rows || b->shape[1] != rank)
      fail(*b, "is " + shape_of(*b) + ", must be " + std::to_string(t.rows) + " x " + std::to_string(rank));
    if (rank < 1 || rank > (std::min)(t.rows, t.cols))
      fail(*a, "rank " + std::to_string(rank) + " of a matrix of " + std::to_string(t.rows) + " x " +
                   std::to_string(t.cols) + ": must be in [1, the smaller side]");
    if (!(scale > 0 && scale < 1e300)) fail(*a, "its scale is " + short_text(scale));
    result.adapter.sites.push_back({t.name, t.rows, t.cols, rank, scale});
    ordered.push_back(found->second);
  }
  for (const auto& [id, pair] : pairs)
    if (std::none_of(result.adapter.sites.begin(), result.adapter.sites.end(),
                     [name = name_of(id)](const lora::site& s) { return s.name == name; }))
      fail(pair.a == nullptr ? *pair.b : *pair.a, "the model has no matrix \"" + name_of(id) + "\" of its own");
  result.adapter.parameters.resize(static_cast<std::size_t>(lora::lay_out(result.adapter.sites)));
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    const lora::site& s = result.adapter.sites[i];
    const matrix_view<float> a = s.a(result.adapter.parameters.data()), b = s.b(result.adapter.parameters.data());
    const auto span_of = [](matrix_view<float> m) {
      return std::span<float>(m.data(), static_cast<std::size_t>(m.rows() * m.cols()));
    };
    result.nonfinite += copy_elements(*ordered[i].a, span_of(a)) + copy_elements(*ordered[i].b, span_of(b));
    if (has_rope(s)) {
      const std::vector<float> rows(span_of(b).begin(), span_of(b).end());
      copy_rope_rows(matrix_view<const float>(rows.data(), b.rows(), b.cols()), b, c.head_size(), stored, c.rope);
    }
  }
  return result;
}

/// The parameters of an adapter as a file wants them: B's rows of q and k laid out as @p stored.
class disassembled {
 public:
  /// @throws std::invalid_argument, naming the site, if it is not a matrix of the model, comes twice, or its elements
  ///         are not there.
  disassembled(const transformer::config& c, const lora::adapter<float>& adapter, transformer::rope_layout stored,
               const char* function)
      : adapter_(adapter) {
    const std::vector<transformer::tensor> table = transformer::tensor_table(c);
    const auto available = static_cast<index_t>(adapter.parameters.size());
    invalid_argument_unless(!adapter.sites.empty(), function, "adapter", "has no site");
    std::vector<lora::site> valid = adapter.sites;
    lora::lay_out(valid);  // its checks
    for (const lora::site& s : adapter.sites) {
      const auto found = std::find_if(table.begin(), table.end(), [&](const auto& t) { return t.name == s.name; });
      invalid_argument_unless(found != table.end() && (found->kind == transformer::tensor_kind::linear ||
                                                       found->kind == transformer::tensor_kind::classifier),
                              function, s.name.c_str(), "is not a linear map of the model");
      invalid_argument_unless(std::count_if(adapter.sites.begin(), adapter.sites.end(),
                                            [&](const lora::site& other) { return other.name == s.name; }) == 1,
                              function, s.name.c_str(), "appears twice");
      invalid_argument_unless(found->rows == s.outputs && found->cols == s.inputs, function, s.name.c_str(),
                              "is %td x %td, the model's %td x %td", s.outputs, s.inputs, found->rows, found->cols);
      invalid_argument_unless(s.offset >= 0 && s.offset <= available - s.size(), function, s.name.c_str(),
                              "lies outside of the %td parameters", available);
      const matrix_view<const float> b = s.b(adapter.parameters.data());
      std::vector<float>& rows = b_.emplace_back(b.data(), b.data() + b.rows() * b.cols());
      if (has_rope(s))
        copy_rope_rows(b, matrix_view<float>(rows.data(), b.rows(), b.cols()), c.head_size(), c.rope, stored);
    }
  }

  [[nodiscard]] std::span<const float> a(std::size_t site) const {
    const matrix_view<const float> a = adapter_.sites[site].a(adapter_.parameters.data());
    return {a.data(), static_cast<std::size_t>(a.rows() * a.cols())};
  }
  [[nodiscard]] std::span<float> b(std::size_t site) { return b_[site]; }

 private:
  const lora::adapter<float>& adapter_;
  std::vector<std::vector<float>> b_;
};

}  // namespace detail
}  // namespace HONE_NAMESPACE::io
