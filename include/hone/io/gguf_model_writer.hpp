// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Writing models as llama.cpp reads them, of the architectures of gguf_model.hpp.
#pragma once
#include "hone/io/detail/token_choice.hpp"
#include "hone/io/gguf_model.hpp"
#include "hone/io/gguf_writer.hpp"

namespace HONE_NAMESPACE::io {

/// What a file says of its tokenizer that has none: llama.cpp takes and gives ids.
inline gguf_metadata no_tokenizer() { return {{"tokenizer.ggml.model", std::string("none")}}; }

namespace detail {

/// The architecture of llama.cpp that computes what a model of @p c does.
/// @throws std::invalid_argument if there is none.
inline std::string gguf_architecture_of(const transformer::config& c, const char* function) {
  using transformer::query_key_norm;
  const auto require = [&](bool holds, const char* why) { invalid_argument_unless(holds, function, "c", "%s", why); };
  transformer::validate(c);
  require(c.block == 0, "block: GGUF has no key for the length of blocks that attention is two-way in");
  require(c.output_width() == c.vocab, "the outputs of a causal model are its vocabulary");
  require(c.window == 0 && c.clip_qkv == 0, "no architecture that is written has a window or cut projections");
  const transformer::expert_layers& e = c.experts;
  const bool experts = e.count > 0, heads = c.qk_norm == query_key_norm::heads;
  const bool whole = c.qk_norm == query_key_norm::whole;
  require(experts || !whole, "norms of the whole width are OLMoE's, which has experts");
  const bool qwen2 = !experts && !heads && c.qkv_bias && !c.output_bias;
  const std::string name = heads ? (experts ? "qwen3moe" : "qwen3") : whole ? "olmoe" : qwen2 ? "qwen2" : "llama";
  require(name == "llama" || qwen2 || (!c.qkv_bias && !c.output_bias), "this architecture has no biases");
  using method = transformer::rope_scaling::method;
  const transformer::rope_scaling& s = c.scaling;
  require(s.how != method::llama3 || name == "llama", "Llama 3's scaling is of the architecture llama alone");
  require(s.how != method::llama3 || s == transformer::rope_scaling{.how = s.how, .factor = s.factor},
          "of Llama 3's scaling only the factor is free");
  if (!experts) return name;
  for (index_t layer = 0; layer < c.n_layers; ++layer)
    require(c.sparse(layer), "llama.cpp has experts in all layers of such a model");
  require(is_plain_token_choice(e.router) && !e.selection_bias && e.shared_d_ff == 0,
          "llama.cpp has neither this router nor shared experts for such a model");
  require(e.router.renormalised == !whole, "llama.cpp's gates sum to 1, but OLMoE's");
  require(
      !whole || (c.head_width == 0 && c.kv_width() == c.d_model && !c.tie_embeddings),
      "llama.cpp's OLMoE has as many heads of keys as of queries, of d_model / n_heads, and a classifier of its own");
  return name;
}

}  // namespace detail

/// Writes a model; the file appears whole or not at all. Rows of queries and keys are moved where the architecture has
/// the other layout of RoPE; the experts of a matrix are one tensor. (The dense width of a model whose layers all have
/// experts is kept for qwen3moe alone.)
/// @param stored float32, float16 or bfloat16, of matrices; norms, biases and routers are float32.
/// @param more metadata after the model's own: a tokenizer's, as another GGUF file of the family has them, say.
/// @throws std::invalid_argument, before anything is written, if no architecture has all that @p c has, or
///         @p parameters does not fit it; as `write_gguf`.
/// @note Besides the parameters, holds the matrices whose rows are moved.
inline void write_gguf_model(const std::filesystem::path& path, const transformer::config& c,
                             std::span<const float> parameters, format stored = format::float32,
                             const gguf_metadata& more = no_tokenizer()) {
  const char* function = "hone::io::write_gguf_model";
  const std::string architecture = detail::gguf_architecture_of(c, function);
  const std::vector<transformer::tensor> table = transformer::tensor_table(c);
  const index_t count = detail::parameters_of(table);
  invalid_argument_unless(static_cast<index_t>(parameters.size()) == count, function, "parameters",
                          "has %zu parameters, the model has %td", parameters.size(), count);
  gguf_metadata metadata = {{"general.architecture", architecture}, {"general.type", std::string("model")}};
  const auto whole = [&](const char* name, index_t value) {
    metadata.emplace_back(architecture + "." + name, static_cast<std::uint32_t>(value));
  };
  const auto real = [&](const char* name, double value) {
    metadata.emplace_back(architecture + "." + name, static_cast<float>(value));
  };
  const transformer::expert_layers& e = c.experts;
  const bool own_width = architecture == "qwen3moe";
  whole("vocab_size", c.vocab);
  whole("context_length", c.max_seq);
  whole("embedding_length", c.d_model);
  whole("block_count", c.n_layers);
  whole("feed_forward_length", e.count > 0 && !own_width ? e.d_ff : c.d_ff);
  whole("attention.head_count", c.n_heads);
  whole("attention.head_count_kv", c.n_kv_heads);
  for (const char* name : {"attention.key_length", "attention.value_length", "rope.dimension_count"})
    whole(name, c.head_size());
  real("attention.layer_norm_rms_epsilon", c.norm_eps);
  real("rope.freq_base", c.rope_base);
  if (!c.causal) metadata.emplace_back(architecture + ".attention.causal", false);
  if (e.count > 0) {
    whole("expert_count", e.count);
    whole("expert_used_count", e.router.per_token);
    if (own_width) whole("expert_feed_forward_length", e.d_ff);
  }
  std::vector<std::vector<float>> moved;
  std::vector<tensor_source> sources;
  using method = transformer::rope_scaling::method;
  if (c.scaling.how == method::linear) {
    metadata.emplace_back(architecture + ".rope.scaling.type", std::string("linear"));
    real("rope.scaling.factor", c.scaling.factor);
  } else if (c.scaling.how == method::llama3) {
    transformer::config plain = c;
    plain.scaling = {};
    std::vector<float>& factors = moved.emplace_back();
    for (index_t i = 0; i < c.head_size() / 2; ++i)
      factors.push_back(static_cast<float>(rotary_frequency(plain, i) / rotary_frequency(c, i)));
    sources.push_back({"rope_freqs.weight", {c.head_size() / 2}, factors});
  }
  if (c.mask_token >= 0) metadata.emplace_back(detail::mask_token_key, static_cast<std::uint32_t>(c.mask_token));
  for (const auto& [key, value] : more)  // the model's own mask is the one that it was trained with
    if (c.mask_token < 0 || key != detail::mask_token_key) metadata.emplace_back(key, value);
  for (const transformer::tensor& t : table) {
    if (t.id.expert > 0) continue;
    std::vector<index_t> shape = detail::stored_shape(t);
    std::span<const float> elements = laid_out(parameters, c, t, gguf_rope_layout(architecture), moved);
    std::string name = gguf_tensor(t);
    if (t.id.expert == 0) {  // the others lie after it
      shape.insert(shape.begin(), e.count);
      elements = parameters.subspan(static_cast<std::size_t>(t.offset), static_cast<std::size_t>(e.count * t.size()));
      name = gguf_experts_name(t.id.role, t.id.layer) + ".weight";
    }
    const bool kept_wide = shape.size() == 1 || t.id.role == transformer::role::router;
    sources.push_back({std::move(name), std::move(shape), elements, kept_wide ? format::float32 : stored});
  }
  write_gguf(path, metadata, sources);
}

}  // namespace HONE_NAMESPACE::io
