// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The rows of a query or key projection, or of its adapter's B, for the other layout of rotary position embedding.
/// Of a head of size n, row 2i + k of the interleaved layout is row i + k n/2 of the one in halves (k = 0, 1).
/// [karpathy/llama2.c, export.py, permute_reverse; ggml-org/llama.cpp, convert_hf_to_gguf.py, permute]
#pragma once
#include "hone/core/output.hpp"
#include "hone/transformer/config.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace HONE_NAMESPACE::io {

/// Whether a tensor's rows, or a norm's elements, are in the order of the rotary embedding's layout.
constexpr bool has_rope_rows(transformer::role r) {
  using enum transformer::role;
  return r == wq || r == bq || r == q_norm || r == wk || r == bk || r == k_norm;
}

/// Copies @p in (heads * head_size x cols), laid out as @p from, to @p out, laid out as @p to; queries and keys alike,
/// which differ in the number of heads only. A bias or a norm is a matrix of one column.
/// @throws std::invalid_argument unless the shapes are equal, head_size is even and divides the rows.
/// @pre in and out do not overlap.
template <class T>
void copy_rope_rows(matrix_view<const T> in, matrix_view<T> out, index_t head_size, transformer::rope_layout from,
                    transformer::rope_layout to) {
  const char* function = "hone::io::copy_rope_rows";
  invalid_argument_unless(in.rows() == out.rows() && in.cols() == out.cols(), function, "out",
                          "is %td x %td, in %td x %td", out.rows(), out.cols(), in.rows(), in.cols());
  check_output(out, function, "out");
  invalid_argument_unless(head_size > 0 && head_size % 2 == 0 && in.rows() % head_size == 0, function, "head_size",
                          "%td is odd or does not divide %td", head_size, in.rows());
  const index_t half = head_size / 2;
  for (index_t row = 0; row < in.rows(); ++row) {
    const index_t r = row % head_size;
    index_t target = r;
    if (from != to) target = from == transformer::rope_layout::half ? 2 * (r % half) + r / half : r / 2 + r % 2 * half;
    for (index_t col = 0; col < in.cols(); ++col) out(row - r + target, col) = in(row, col);
  }
}

/// The architectures of llama.cpp that are read; "llama" is Mistral's and Mixtral's too.
inline constexpr std::string_view gguf_architectures[] = {"llama", "qwen2", "qwen3", "olmoe", "qwen3moe"};

/// How llama.cpp lays out rows of q and k of one of `gguf_architectures`.
/// @throws std::invalid_argument for another one.
inline transformer::rope_layout gguf_rope_layout(std::string_view architecture) {
  bool known = false;
  for (const std::string_view one : gguf_architectures) known = known || architecture == one;
  invalid_argument_unless(known, "hone::io::gguf_rope_layout", "architecture",
                          "\"%.40s\" is not one of llama, qwen2, qwen3, olmoe, qwen3moe",
                          std::string(architecture).c_str());
  return architecture == "llama" ? transformer::rope_layout::interleaved : transformer::rope_layout::half;
}

/// A tensor of @p parameters as a file wants it: its rows moved, into @p moved, where they are laid out for RoPE and
/// @p c has the other layout than @p stored.
inline std::span<const float> laid_out(std::span<const float> parameters, const transformer::config& c,
                                       const transformer::tensor& t, transformer::rope_layout stored,
                                       std::vector<std::vector<float>>& moved) {
  const auto elements = parameters.subspan(static_cast<std::size_t>(t.offset), static_cast<std::size_t>(t.size()));
  if (!has_rope_rows(t.id.role) || c.rope == stored) return elements;
  const index_t cols = t.kind == transformer::tensor_kind::linear ? t.cols : 1, rows = t.size() / cols;
  std::vector<float>& copied = moved.emplace_back(elements.size());
  copy_rope_rows<float>({elements.data(), rows, cols}, {copied.data(), rows, cols}, c.head_size(), c.rope, stored);
  return copied;
}

}  // namespace HONE_NAMESPACE::io
