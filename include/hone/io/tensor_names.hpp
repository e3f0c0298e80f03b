// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the tensors of transformer/config.hpp are called elsewhere, without the ".weight" after it:
///   wq.3     model.layers.3.self_attn.q_proj (Hugging Face)         blk.3.attn_q (GGUF)
///   w1.3.5   model.layers.3.mlp.experts.5.gate_proj, of expert 5    blk.3.ffn_gate.5
/// and of Mixtral model.layers.3.block_sparse_moe.experts.5.w1. A bias is called as its matrix, that of a selection of
/// experts model.layers.3.mlp.gate.selection, in folders of type hone alone. (In GGUF the experts of
/// a layer also come in one tensor of three axes, blk.3.ffn_gate_exps: gguf_experts.hpp cuts it up.)
#pragma once
#include "hone/transformer/config.hpp"

namespace HONE_NAMESPACE::io {

namespace detail {

struct tensor_name {
  transformer::role role;
  const char *hugging_face, *gguf;
};
/// Those of a layer.
inline constexpr tensor_name layer_names[] = {
    {transformer::role::att_norm, "input_layernorm", "attn_norm"},
    {transformer::role::wq, "self_attn.q_proj", "attn_q"},
    {transformer::role::q_norm, "self_attn.q_norm", "attn_q_norm"},
    {transformer::role::wk, "self_attn.k_proj", "attn_k"},
    {transformer::role::k_norm, "self_attn.k_norm", "attn_k_norm"},
    {transformer::role::wv, "self_attn.v_proj", "attn_v"},
    {transformer::role::wo, "self_attn.o_proj", "attn_output"},
    {transformer::role::ffn_norm, "post_attention_layernorm", "ffn_norm"},
    {transformer::role::router, "mlp.gate", "ffn_gate_inp"},
    {transformer::role::selection_bias, "mlp.gate.selection", ""},
    {transformer::role::w1, "mlp.gate_proj", "ffn_gate"},
    {transformer::role::w2, "mlp.down_proj", "ffn_down"},
    {transformer::role::w3, "mlp.up_proj", "ffn_up"},
    {transformer::role::shared_w1, "shared_expert.gate_proj", "ffn_gate_shexp"},
    {transformer::role::shared_w2, "shared_expert.down_proj", "ffn_down_shexp"},
    {transformer::role::shared_w3, "shared_expert.up_proj", "ffn_up_shexp"}};
inline constexpr tensor_name model_names[] = {{transformer::role::tok_emb, "model.embed_tokens", "token_embd"},
                                              {transformer::role::final_norm, "model.norm", "output_norm"},
                                              {transformer::role::wcls, "lm_head", "output"}};

inline constexpr const char *mlp_experts = "mlp.experts.", *mixtral_experts = "block_sparse_moe.experts.",
                            *mixtral_router = "block_sparse_moe.gate";

/// The matrix that a bias belongs to; any other role is its own.
constexpr transformer::role matrix_of(transformer::role bias) {
  for (index_t r = 0; r < transformer::roles; ++r)
    if (const auto matrix = static_cast<transformer::role>(r); bias != matrix && bias_of(matrix) == bias) return matrix;
  return bias;
}

constexpr bool has_experts(transformer::role r) {
  return r == transformer::role::w1 || r == transformer::role::w2 || r == transformer::role::w3;
}

/// The whole number that @p text begins with, without sign or leading zeros, is taken off it; -1 if there is none.
inline index_t take_number(std::string_view& text) {
  index_t number = -1;
  const char* const begin = text.data();
  const auto [end, error] = std::from_chars(begin, begin + text.size(), number);
  if (error != std::errc() || number < 0 || (*begin == '0' && end != begin + 1)) return -1;
  text.remove_prefix(static_cast<std::size_t>(end - begin));
  return number;
}

inline bool take(std::string_view& text, std::string_view start) {
  if (!text.starts_with(start)) return false;
  text.remove_prefix(start.size());
  return true;
}

}  // namespace detail

/// What folders call a layer's router and its experts: mlp.gate and mlp.experts.5.gate_proj, or, Mixtral's,
/// block_sparse_moe.gate and block_sparse_moe.experts.5.w1.
enum class expert_names { mlp, block_sparse_moe };

/// Those of the family that a configuration is of: Mixtral's experts are the causal ones without norms of queries.
inline expert_names expert_names_of(const transformer::config& c) {
  const bool mixtral = c.experts.count > 0 && c.causal && c.qk_norm == transformer::query_key_norm::none;
  return mixtral ? expert_names::block_sparse_moe : expert_names::mlp;
}

/// "model.layers.3.self_attn.q_proj"; empty for an expert of what has none.
inline std::string hugging_face_name(const transformer::tensor_id& id, expert_names names = expert_names::mlp) {
  const transformer::role role = detail::matrix_of(id.role);
  for (const detail::tensor_name& n : detail::model_names)
    if (n.role == role) return n.hugging_face;
  std::string name;
  for (const detail::tensor_name& n : detail::layer_names)
    if (n.role == role) name = n.hugging_face;
  if (name.empty() || (id.expert >= 0 && !detail::has_experts(role))) return {};
  const bool mixtral = names == expert_names::block_sparse_moe;
  if (id.expert >= 0)
    name = (mixtral ? detail::mixtral_experts : detail::mlp_experts) + std::to_string(id.expert) + "." +
           (mixtral ? transformer::role_names[static_cast<std::size_t>(role)] : name.substr(name.find('.') + 1));
  else if (mixtral && role == transformer::role::router)
    name = detail::mixtral_router;
  return std::string("model.layers.") + std::to_string(id.layer) + "." + name;
}

/// "blk.3.attn_q"; empty for an expert of what has none, and for the bias of a router's selection.
inline std::string gguf_name(const transformer::tensor_id& id) {
  const transformer::role role = detail::matrix_of(id.role);
  for (const detail::tensor_name& n : detail::model_names)
    if (n.role == role) return n.gguf;
  std::string name;
  for (const detail::tensor_name& n : detail::layer_names)
    if (n.role == role) name = n.gguf;
  if (name.empty() || (id.expert >= 0 && !detail::has_experts(role))) return {};
  if (id.expert >= 0) name += "." + std::to_string(id.expert);
  return std::string("blk.") + std::to_string(id.layer) + "." + name;
}

/// The matrix or norm that Hugging Face calls @p name; none if no table has it.
inline std::optional<transformer::tensor_id> hugging_face_tensor_id(std::string_view name) {
  for (const detail::tensor_name& n : detail::model_names)
    if (name == n.hugging_face) return transformer::tensor_id{n.role};
  if (!detail::take(name, "model.layers.")) return {};
  const index_t layer = detail::take_number(name);
  if (layer < 0 || !detail::take(name, ".")) return {};
  if (name == detail::mixtral_router) return transformer::tensor_id{transformer::role::router, layer};
  for (const detail::tensor_name& n : detail::layer_names) {
    if (name == n.hugging_face) return transformer::tensor_id{n.role, layer};
    std::string_view rest = name, own = n.hugging_face;
    if (!detail::has_experts(n.role)) continue;
    const bool mixtral = detail::take(rest, detail::mixtral_experts);
    if (!mixtral && !detail::take(rest, detail::mlp_experts)) continue;
    const index_t expert = detail::take_number(rest);
    own = mixtral ? transformer::role_names[static_cast<std::size_t>(n.role)] : own.substr(own.find('.') + 1);
    if (expert >= 0 && detail::take(rest, ".") && rest == own) return transformer::tensor_id{n.role, layer, expert};
  }
  return {};
}

/// The matrix or norm that llama.cpp calls @p name; none if no table has it.
inline std::optional<transformer::tensor_id> gguf_tensor_id(std::string_view name) {
  for (const detail::tensor_name& n : detail::model_names)
    if (name == n.gguf) return transformer::tensor_id{n.role};
  if (!detail::take(name, "blk.")) return {};
  const index_t layer = detail::take_number(name);
  if (layer < 0 || !detail::take(name, ".")) return {};
  for (const detail::tensor_name& n : detail::layer_names) {
    if (*n.gguf != '\0' && name == n.gguf) return transformer::tensor_id{n.role, layer};
    std::string_view rest = name;
    if (!detail::has_experts(n.role) || !detail::take(rest, n.gguf) || !detail::take(rest, ".")) continue;
    const index_t expert = detail::take_number(rest);
    if (expert >= 0 && rest.empty()) return transformer::tensor_id{n.role, layer, expert};
  }
  return {};
}

// The same from and to names, "wq.3", as `transformer::name_of` gives it. Empty for what has no name.
inline std::string hugging_face_name(std::string_view own) {
  const auto id = transformer::tensor_of(own);
  return id ? hugging_face_name(*id) : std::string();
}
inline std::string gguf_name(std::string_view own) {
  const auto id = transformer::tensor_of(own);
  return id ? gguf_name(*id) : std::string();
}
inline std::string from_hugging_face_name(std::string_view name) {
  const auto id = hugging_face_tensor_id(name);
  return id ? transformer::name_of(*id) : std::string();
}
inline std::string from_gguf_name(std::string_view name) {
  const auto id = gguf_tensor_id(name);
  return id ? transformer::name_of(*id) : std::string();
}

}  // namespace HONE_NAMESPACE::io
