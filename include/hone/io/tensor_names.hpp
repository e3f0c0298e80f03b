// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the tensors of transformer/config.hpp are called elsewhere, without the ".weight" behind:
///   wq.3   model.layers.3.self_attn.q_proj (Hugging Face)   blk.3.attn_q (GGUF)
#pragma once
#include "hone/io/format_error.hpp"

#include <string>
#include <string_view>

namespace hone::io {

namespace detail {

struct tensor_name {
  const char *own, *hugging_face, *gguf;
};
/// Those of a layer.
inline constexpr tensor_name layer_names[] = {{"att_norm", "input_layernorm", "attn_norm"},
                                              {"wq", "self_attn.q_proj", "attn_q"},
                                              {"q_norm", "self_attn.q_norm", "attn_q_norm"},
                                              {"wk", "self_attn.k_proj", "attn_k"},
                                              {"k_norm", "self_attn.k_norm", "attn_k_norm"},
                                              {"wv", "self_attn.v_proj", "attn_v"},
                                              {"wo", "self_attn.o_proj", "attn_output"},
                                              {"ffn_norm", "post_attention_layernorm", "ffn_norm"},
                                              {"w1", "mlp.gate_proj", "ffn_gate"},
                                              {"w2", "mlp.down_proj", "ffn_down"},
                                              {"w3", "mlp.up_proj", "ffn_up"}};
inline constexpr tensor_name model_names[] = {{"tok_emb", "model.embed_tokens", "token_embd"},
                                              {"final_norm", "model.norm", "output_norm"},
                                              {"wcls", "lm_head", "output"}};

/// The name of another scheme, or an empty text. Both schemes write a layer's tensors as LAYERS + number + "." + name,
/// our own as name + "." + number.
inline std::string from_own(std::string_view own, const char* tensor_name::* field, const char* layers) {
  for (const tensor_name& n : model_names)
    if (own == n.own) return n.*field;
  const std::size_t dot = own.find('.');
  for (const tensor_name& n : layer_names)
    if (dot != std::string_view::npos && own.substr(0, dot) == n.own)
      return layers + std::string(own.substr(dot + 1)) + "." + n.*field;
  return {};
}

inline std::string to_own(std::string_view other, const char* tensor_name::* field, std::string_view layers) {
  for (const tensor_name& n : model_names)
    if (other == n.*field) return n.own;
  if (!other.starts_with(layers)) return {};
  other.remove_prefix(layers.size());
  const std::size_t dot = other.find('.');
  if (dot == 0 || dot == std::string_view::npos) return {};
  const std::string_view number = other.substr(0, dot);
  if (number.find_first_not_of("0123456789") != std::string_view::npos) return {};
  for (const tensor_name& n : layer_names)
    if (other.substr(dot + 1) == n.*field) return std::string(n.own) + "." + std::string(number);
  return {};
}

}  // namespace detail

/// "model.layers.3.self_attn.q_proj" of "wq.3"; empty for a name that no table has.
inline std::string hugging_face_name(std::string_view own) {
  return detail::from_own(own, &detail::tensor_name::hugging_face, "model.layers.");
}
/// "wq.3" of "model.layers.3.self_attn.q_proj"; empty for a name that no table has.
inline std::string from_hugging_face_name(std::string_view name) {
  return detail::to_own(name, &detail::tensor_name::hugging_face, "model.layers.");
}
/// "blk.3.attn_q" of "wq.3"; empty for a name that no table has.
inline std::string gguf_name(std::string_view own) { return detail::from_own(own, &detail::tensor_name::gguf, "blk."); }
/// "wq.3" of "blk.3.attn_q"; empty for a name that no table has.
inline std::string from_gguf_name(std::string_view name) {
  return detail::to_own(name, &detail::tensor_name::gguf, "blk.");
}

}  // namespace hone::io
