// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The experts of a layer in GGUF: those of a matrix in one tensor of three axes, blk.3.ffn_gate_exps.weight [experts,
/// rows, columns], or, in older files, in a tensor each, blk.3.ffn_gate.5.weight. Readers see the latter.
/// [ggml-org/llama.cpp, gguf-py/gguf/constants.py, src/llama-arch.cpp]
#pragma once
#include "hone/io/stored_tensor.hpp"
#include "hone/io/tensor_names.hpp"

namespace HONE_NAMESPACE::io {

/// "blk.3.ffn_gate_exps" for the experts' w1 in layer 3.
inline std::string gguf_experts_name(transformer::role matrix, index_t layer) {
  return gguf_name(transformer::tensor_id{matrix, layer}) + "_exps";
}

/// The tensors of a file (or of an adapter, ".weight.lora_a"), sorted by name, where each of three axes is cut into one
/// of two for each of @p experts, which shows its part of the bytes.
/// @throws format_error that names a tensor of another rank or of other than so many experts.
inline std::vector<stored_tensor> split_experts(std::span<const stored_tensor> tensors, index_t experts) {
  std::vector<stored_tensor> result;
  for (const stored_tensor& t : tensors) {
    constexpr std::string_view mark = "_exps";
    const std::string_view name = t.name;
    const std::size_t at = name.find(mark);
    const auto id = at == std::string_view::npos ? std::nullopt : gguf_tensor_id(name.substr(0, at));
    if (!id || !detail::has_experts(id->role) || id->expert >= 0) {
      result.push_back(t);
      continue;
    }
    if (t.shape.size() != 3 || t.shape[0] != experts)
      detail::fail(t, "does not have three axes, the first of them of " + std::to_string(experts) + " experts");
    const std::size_t bytes = t.bytes.size() / static_cast<std::size_t>(experts);
    for (index_t e = 0; e < experts; ++e) {
      const std::size_t begin = static_cast<std::size_t>(e) * bytes;
      result.push_back({gguf_name(transformer::tensor_id{id->role, id->layer, e}) + t.name.substr(at + mark.size()),
                        t.type,
                        {t.shape[1], t.shape[2]},
                        t.bytes.subspan(begin, bytes),
                        t.offset + begin,
                        t.file});
    }
  }
  std::sort(result.begin(), result.end(), [](const auto& x, const auto& y) { return x.name < y.name; });
  return result;
}

}  // namespace HONE_NAMESPACE::io
