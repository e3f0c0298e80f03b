// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the config.json of a model with experts says of them. Mixtral's gates sum to 1 over the chosen experts, those
/// of OLMoE and Qwen3-MoE with norm_topk_prob, LLaDA-MoE's never.
/// [huggingface/transformers, models/{mixtral,olmoe,qwen3_moe}; inclusionAI/LLaDA-MoE-7B-A1B, modeling_lladamoe.py]
#pragma once
#include "hone/io/detail/config_fields.hpp"
#include "hone/io/detail/token_choice.hpp"
#include "hone/transformer/config.hpp"

namespace HONE_NAMESPACE::io::detail {

/// A type of model with experts. The defaults are those of its fields; without one, 0, the field must be there.
struct expert_family {
  const char *type, *architecture;
  const char *count, *width;  ///< what their fields are called
  index_t per_token;
  double norm_eps, rope_base;
};
inline constexpr expert_family expert_families[] = {
    {"mixtral", "MixtralForCausalLM", "num_local_experts", "intermediate_size", 2, 1e-5, 1e6},
    {"olmoe", "OlmoeForCausalLM", "num_experts", "intermediate_size", 8, 1e-5, 1e4},
    {"qwen3_moe", "Qwen3MoeForCausalLM", "num_experts", "moe_intermediate_size", 8, 1e-6, 1e4},
    {"llada", "LLaDAMoEModelLM", "num_experts", "expert_intermediate_size", 0, 1e-5, 0}};

/// nullptr for a type without experts.
inline const expert_family* expert_family_of(std::string_view type) {
  for (const expert_family& family : expert_families)
    if (type == family.type) return &family;
  return nullptr;
}

inline std::optional<index_t> default_of(index_t value) { return value > 0 ? std::optional(value) : std::nullopt; }
inline std::optional<double> default_of(double value) { return value > 0 ? std::optional(value) : std::nullopt; }

/// LLaDA-MoE: the authors' code adds the bias of an expert to its gate as well, never renormalises, and knows neither a
/// scale nor groups, whatever the fields say. Its attention is over all positions.
inline void read_llada(const config_fields& in, transformer::config& c) {
  for (const char* path : {"moe_router_enable_expert_bias", "norm_topk_prob"})
    if (in.boolean(path)) in.fail(path, "is not supported");
  if (const std::string score = in.text("moe_router_score_function", "softmax"); score != "softmax")
    in.fail("moe_router_score_function", "\"" + score + "\" is not supported, only softmax is");
  if (in.real("routed_scaling_factor", 1.0) != 1) in.fail("routed_scaling_factor", "other than 1 is not supported");
  for (const char* path : {"router_num_group", "router_topk_group"})
    if (in.real(path, 0.0) > 1) in.fail(path, "groups of experts are not supported");
  c.causal = false;
  if (in.boolean("qk_layernorm")) c.qk_norm = transformer::query_key_norm::heads;
  c.experts.shared_d_ff = in.whole("shared_expert_intermediate_size", 0);
  const std::vector<index_t> sparse = in.wholes("moe_layer_freq");
  if (std::cmp_not_equal(sparse.size(), c.n_layers))
    in.fail("moe_layer_freq", "is not a list of " + std::to_string(c.n_layers) + " layers");
  for (std::size_t layer = 0; layer < sparse.size(); ++layer)
    if (sparse[layer] == 0) c.experts.dense.push_back(static_cast<index_t>(layer));
}

/// @param family nullptr: of a type without experts.
inline void read_experts(const config_fields& in, const expert_family* family, transformer::config& c) {
  const char* const names[] = {"num_experts", "num_local_experts"};
  if (family == nullptr) {
    for (const char* path : names)
      if (in.whole(path, 0) > 0) in.fail(path, "this type of model has no experts");
    return;
  }
  const std::string_view type = family->type;
  const auto positive = [&](const std::string& path) {
    const index_t value = in.whole(path);
    if (value == 0) in.fail(path, "must be positive, is 0");
    return value;
  };
  const bool plain = in.find(names[0]) != nullptr, local = in.find(names[1]) != nullptr;  // versions differ
  const char* count = plain == local ? family->count : names[local];
  for (const char* path : names)
    if (in.whole(path, in.whole(count)) != in.whole(count)) in.fail(path, "is not " + std::string(count));
  c.experts.count = positive(count);
  c.experts.d_ff = positive(family->width);
  if (in.real("router_jitter_noise", 0.0) != 0)
    in.fail("router_jitter_noise", "noise on what the router reads is not supported");
  if (type != "llada") {
    for (const char* path : {"n_shared_experts", "num_shared_experts", "shared_expert_intermediate_size"})
      if (in.real(path, 0.0) > 0) in.fail(path, "this type of model has no shared experts");
    for (const char* path : {"n_group", "topk_group"})
      if (in.real(path, 0.0) > 1) in.fail(path, "groups of experts are not supported");
    if (in.real("routed_scaling_factor", 1.0) != 1) in.fail("routed_scaling_factor", "other than 1 is not supported");
  }
  const index_t per_token = in.whole("num_experts_per_tok", default_of(family->per_token));
  const bool sum_to_1 = type == "mixtral" || in.boolean("norm_topk_prob");
  c.experts.router = sum_to_1 ? moe::top_k_then_softmax(per_token) : moe::softmax_then_top_k(per_token);
  if (type == "olmoe") c.qk_norm = transformer::query_key_norm::whole;
  if (type == "qwen3_moe") {
    c.qk_norm = transformer::query_key_norm::heads;
    c.experts.every = in.whole("decoder_sparse_step", 1);
    c.experts.dense = in.wholes("mlp_only_layers");
  }
  if (type == "llada") read_llada(in, c);
  if (type != "olmoe" && type != "llada") return;
  if (in.find("clip_qkv") != nullptr && !((c.clip_qkv = in.real("clip_qkv")) > 0))
    in.fail("clip_qkv", "must be positive");
  if (c.head_width > 0) in.fail("head_dim", "only hidden_size / num_attention_heads is supported");
}

/// Whether a model that is not causal has what LLaDA-MoE's fields say, and nothing else.
inline bool is_llada(const transformer::config& c) {
  const transformer::expert_layers& e = c.experts;
  return e.count > 0 && c.block == 0 && is_plain_token_choice(e.router) && !e.router.renormalised &&
         !e.selection_bias && c.qkv_bias == c.output_bias && c.qk_norm != transformer::query_key_norm::whole &&
         c.head_width == 0;
}

/// The type of models that have all that @p c, which has experts, has. @pre it is causal, or `is_llada`.
/// @throws std::invalid_argument if there is none.
inline const expert_family& expert_family_of(const transformer::config& c, const char* function) {
  using transformer::query_key_norm;
  const auto require = [&](bool holds, const char* why) { invalid_argument_unless(holds, function, "c", "%s", why); };
  const transformer::expert_layers& e = c.experts;
  require(
      is_plain_token_choice(e.router),
      "no family has this router: its experts.router is top_k_then_softmax or softmax_then_top_k, without a capacity");
  require(!e.selection_bias, "no family has a bias on the selection of experts alone");
  require(c.qkv_bias == c.output_bias, "no family with experts has biases on one side of the attention alone");
  require(c.window == 0 || c.full_layers == 0, "the window of a family with experts is that of every layer");
  bool all_sparse = true;
  for (index_t layer = 0; layer < c.n_layers; ++layer) all_sparse = all_sparse && c.sparse(layer);
  if (!c.causal) return *expert_family_of("llada");
  require(e.shared_d_ff == 0, "no causal family has a shared expert without a gate");
  if (c.qk_norm == query_key_norm::heads) {
    require(c.clip_qkv == 0, "Qwen3-MoE cuts no projections");
    return *expert_family_of("qwen3_moe");
  }
  require(all_sparse, "Mixtral and OLMoE have experts in all layers");
  if (c.qk_norm == query_key_norm::whole) {
    require(c.window == 0 && c.head_width == 0, "OLMoE has no window, and heads of d_model / n_heads");
    return *expert_family_of("olmoe");
  }
  require(e.router.renormalised && !c.qkv_bias && c.clip_qkv == 0,
          "Mixtral's gates sum to 1, and it has neither biases nor cut projections");
  return *expert_family_of("mixtral");
}

/// Adds what is particular to a family to the fields of all models.
inline void write_experts(const transformer::config& c, const expert_family& family, nlohmann::json& j) {
  const transformer::expert_layers& e = c.experts;
  const std::string_view type = family.type;
  j["num_experts_per_tok"] = e.router.per_token;
  j[family.count] = e.count;
  j[family.width] = e.d_ff;
  if (type == "mixtral") return;
  j["norm_topk_prob"] = e.router.renormalised;
  j["attention_bias"] = c.qkv_bias;
  if (type == "qwen3_moe") {
    j["decoder_sparse_step"] = e.every;
    j["mlp_only_layers"] = e.dense;
    return;
  }
  j["clip_qkv"] = c.clip_qkv > 0 ? nlohmann::json(c.clip_qkv) : nlohmann::json();
  if (type == "olmoe") return;
  j.erase("intermediate_size");
  j["dense_intermediate_size"] = c.d_ff;
  j["shared_expert_intermediate_size"] = e.shared_d_ff > 0 ? nlohmann::json(e.shared_d_ff) : nlohmann::json();
  j["qk_layernorm"] = c.qk_norm == transformer::query_key_norm::heads;
  j["moe_router_enable_expert_bias"] = false;
  j["moe_router_score_function"] = "softmax";
  j["routed_scaling_factor"] = 1;
  j["partial_rotary_factor"] = 1;
  j["moe_layer_freq"] = nlohmann::json::array();
  for (index_t layer = 0; layer < c.n_layers; ++layer) j["moe_layer_freq"].push_back(c.sparse(layer) ? 1 : 0);
}

}  // namespace HONE_NAMESPACE::io::detail
