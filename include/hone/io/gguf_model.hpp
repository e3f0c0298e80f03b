// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Models of llama.cpp: GGUF files of architecture "llama" (which is Mistral's and Mixtral's too), "qwen2", "qwen3",
/// "olmoe" or "qwen3moe". Rows of queries and keys are laid out for interleaved RoPE in the first, in halves in the
/// others, and stay as they are. Gates of experts sum to 1 over the chosen ones, but OLMoE's.
/// [ggml-org/llama.cpp, conversion/, src/models/{llama,olmoe,qwen3moe}.cpp, src/llama-graph.cpp, build_moe_ffn]
#pragma once
#include "hone/io/checkpoint.hpp"
#include "hone/io/detail/config_names.hpp"
#include "hone/io/gguf.hpp"
#include "hone/io/gguf_experts.hpp"
#include "hone/io/rope_rows.hpp"
#include "hone/io/tensor_names.hpp"
#include "hone/transformer/rotary.hpp"

namespace HONE_NAMESPACE::io {

/// "blk.3.attn_q.weight" of wq.3, "….bias" of bq.3.
inline std::string gguf_tensor(const transformer::tensor& t) {
  return gguf_name(t.id) + (t.kind == transformer::tensor_kind::bias ? ".bias" : ".weight");
}

namespace detail {

/// A mask is a matter of the tokenizer there; that of a causal model means nothing here.
inline constexpr const char* mask_token_key = "tokenizer.ggml.mask_token_id";

/// llama.cpp keeps Llama 3's scaling as what each frequency is divided by. It is read where it is that of the published
/// models (turns below 1 and above 4 in 8192 positions), with the factor of the slowest pair.
inline void read_rope_factors(const stored_tensor& t, transformer::config& c) {
  const std::vector<float> factors = elements_of(t);
  if (std::cmp_not_equal(factors.size(), c.head_size() / 2))
    fail(t, std::to_string(factors.size()) + " factors for " + std::to_string(c.head_size() / 2) + " pairs");
  transformer::config scaled = c;
  scaled.scaling = {.how = transformer::rope_scaling::method::llama3, .factor = factors.back()};
  if (!(factors.back() >= 1 && factors.back() < 1e6f))
    fail(t, "a factor of " + short_text(double{factors.back()}) + ", must be in [1, 1e6)");
  for (index_t i = 0; i < c.head_size() / 2; ++i) {
    const double expected = transformer::rotary_frequency(c, i) / transformer::rotary_frequency(scaled, i);
    const double factor = static_cast<double>(factors[static_cast<std::size_t>(i)]);
    if (!(std::abs(factor - expected) <= 1e-4 * expected))
      fail(t, "factor " + std::to_string(i) + " is " + short_text(factor) + ", that of Llama 3's scaling by " +
                  short_text(double{factors.back()}) + " is " + short_text(expected));
  }
  if (factors.back() != 1) c.scaling = scaled.scaling;
}

inline transformer::config gguf_config(const gguf& in, const std::string& file) {
  const auto fail = [&](const std::string& key, const std::string& reason) {
    throw format_error(file, {}, key + ": " + reason);
  };
  const std::string* architecture = in.text("general.architecture");
  if (architecture == nullptr) fail("general.architecture", "is missing or not a text");
  if (std::find(std::begin(gguf_architectures), std::end(gguf_architectures), *architecture) ==
      std::end(gguf_architectures))
    fail("general.architecture", "\"" + *architecture + "\" is not one of llama, qwen2, qwen3, olmoe, qwen3moe");
  if (const std::string* type = in.text("general.type"); type != nullptr && *type != "model")
    fail("general.type", "\"" + *type + "\" is not \"model\"");
  const std::string prefix = *architecture + ".";
  const auto whole = [&](const char* name, std::optional<index_t> otherwise = {}) -> index_t {
    const std::string key = prefix + name;
    if (in.find(key) == nullptr && otherwise) return *otherwise;
    const auto value = in.whole(key);
    if (!value || *value < 0 || *value > 2147483647)
      fail(key, in.find(key) == nullptr ? "is missing" : "is not a whole number in [0, 2^31 - 1]");
    return static_cast<index_t>(*value);
  };
  const auto real = [&](const char* name, std::optional<double> otherwise = {}) {
    const std::string key = prefix + name;
    if (in.find(key) == nullptr && otherwise) return *otherwise;
    const auto value = in.real(key);
    if (!value) fail(key, in.find(key) == nullptr ? "is missing" : "is not a number");
    return *value;
  };
  for (const char* name : {"attention.sliding_window", "expert_shared_count", "expert_shared_feed_forward_length",
                           "leading_dense_block_count"})
    if (whole(name, 0) > 0) fail(prefix + name, "is not supported");
  if (real("attention.clamp_kqv", 0.0) > 0) fail(prefix + "attention.clamp_kqv", "is not supported");
  const auto matrix = [&](const char* name) -> const stored_tensor& {
    const stored_tensor* t = find_tensor(in.tensors, name);
    if (t == nullptr || t->shape.size() != 2) fail(name, t == nullptr ? "there is no such tensor" : "is not a matrix");
    return *t;
  };

  transformer::config c;
  c.rope = gguf_rope_layout(*architecture);
  c.d_model = whole("embedding_length");
  c.d_ff = whole("feed_forward_length");
  c.n_layers = whole("block_count");
  c.n_heads = whole("attention.head_count");
  c.n_kv_heads = whole("attention.head_count_kv", c.n_heads);
  c.max_seq = whole("context_length");
  c.norm_eps = real("attention.layer_norm_rms_epsilon");
  c.rope_base = real("rope.freq_base", 10000.0);
  c.head_width = whole("attention.key_length", 0);
  if (c.n_heads > 0 && c.head_width * c.n_heads == c.d_model) c.head_width = 0;
  c.vocab = matrix("token_embd.weight").shape[0];
  c.tie_embeddings = find_tensor(in.tensors, "output.weight") == nullptr;
  c.qkv_bias = find_tensor(in.tensors, "blk.0.attn_q.bias") != nullptr;
  c.output_bias = find_tensor(in.tensors, "blk.0.attn_output.bias") != nullptr;
  if (architecture->starts_with("qwen3")) c.qk_norm = transformer::query_key_norm::heads;
  if (const gguf_value* causal = in.find(prefix + "attention.causal")) {
    if (!std::holds_alternative<bool>(*causal)) fail(prefix + "attention.causal", "is not true or false");
    c.causal = std::get<bool>(*causal);
  }
  if (!c.causal && in.find(mask_token_key) != nullptr) {
    const auto mask = in.whole(mask_token_key);
    if (!mask || *mask < 0 || *mask >= c.vocab) fail(mask_token_key, "is not a token of the vocabulary");
    c.mask_token = static_cast<std::int32_t>(*mask);
  }
  const bool olmoe = *architecture == "olmoe", only_experts = olmoe || *architecture == "qwen3moe";
  if (olmoe) c.qk_norm = transformer::query_key_norm::whole;
  c.experts.count = only_experts ? whole("expert_count") : whole("expert_count", 0);
  if (c.experts.count > 0) {
    if (!only_experts && *architecture != "llama") fail(prefix + "expert_count", "this architecture has no experts");
    const index_t per_token = whole("expert_used_count");
    c.experts.router = olmoe ? moe::softmax_then_top_k(per_token) : moe::top_k_then_softmax(per_token);
    c.experts.d_ff = c.d_ff;
    if (*architecture == "qwen3moe")
      c.experts.d_ff = whole("expert_feed_forward_length", c.d_ff / (std::max)(per_token, index_t{1}));
    if (whole("expert_group_count", 0) > 1) fail(prefix + "expert_group_count", "groups of experts are not supported");
    if (whole("expert_gating_func", 1) > 1) fail(prefix + "expert_gating_func", "only 1, a softmax, is supported");
    if (const double scale = real("expert_weights_scale", 1.0); scale != 0 && scale != 1)
      fail(prefix + "expert_weights_scale", "only 1 is supported");
    if (const gguf_value* norm = in.find(prefix + "expert_weights_norm"))
      if (const bool* sum_to_1 = std::get_if<bool>(norm); sum_to_1 == nullptr || *sum_to_1 == olmoe)
        fail(prefix + "expert_weights_norm", "is not that of this architecture");
  } else if (only_experts) {
    fail(prefix + "expert_count", "must be positive, is 0");
  }
  const std::string* scaling = in.text(prefix + "rope.scaling.type");
  if (scaling != nullptr && *scaling == "linear")
    c.scaling = {.how = transformer::rope_scaling::method::linear, .factor = real("rope.scaling.factor")};
  else if (scaling != nullptr && *scaling != "none")
    fail(prefix + "rope.scaling.type", "\"" + *scaling + "\" is not supported, only none and linear are");
  const auto validate = [&] {
    try {
      transformer::validate(c);
    } catch (const std::invalid_argument& error) {
      throw format_error(file, {}, config_reason(error, &config_name::gguf));
    }
  };
  validate();
  for (const char* name : {"attention.value_length", "rope.dimension_count"})
    if (whole(name, c.head_size()) != c.head_size())
      fail(prefix + name, "only the head's size, " + std::to_string(c.head_size()) + ", is supported");
  if (const stored_tensor* factors = find_tensor(in.tensors, "rope_freqs.weight")) {
    if (c.scaling.how != transformer::rope_scaling::method::none)
      fail("rope_freqs.weight", "beside a scaling of the metadata is not supported");
    read_rope_factors(*factors, c);
  }
  return c;
}

/// The tensors of a file with a tensor for each expert, whichever it has.
inline std::vector<stored_tensor> gguf_parts(const transformer::config& c, std::span<const stored_tensor> tensors,
                                             const std::string& file) {
  const index_t experts = c.experts.count, width = c.experts.d_ff;
  if (experts == 0) return {tensors.begin(), tensors.end()};
  for (index_t layer = 0; layer < c.n_layers; ++layer)
    for (const auto r : {transformer::role::w1, transformer::role::w2, transformer::role::w3}) {
      const std::string name = gguf_experts_name(r, layer) + ".weight";
      const stored_tensor* all = find_tensor(tensors, name);
      if (all == nullptr && find_tensor(tensors, gguf_name(transformer::tensor_id{r, layer, 0}) + ".weight") == nullptr)
        throw format_error(file, {}, "there is no tensor \"" + name + "\"");
      const bool out = r == transformer::role::w2;
      if (all != nullptr) check_shape(*all, {experts, out ? c.d_model : width, out ? width : c.d_model});
    }
  return split_experts(tensors, experts);
}

/// What a file may have beside the model's tensors.
inline bool gguf_extra(std::string_view name) { return name == "rope_freqs.weight"; }

}  // namespace detail

/// The model of a parsed file, which errors call @p file.
/// @throws format_error if the metadata lack something, or ask for what the decoder does not have (naming the key): an
///         architecture other than those above, windows, cut projections, RoPE on a part of the head or scaled
///         otherwise than linearly or as Llama 3 is, experts that are shared, in groups, scaled or gated by other than
///         a softmax; as `gather_checkpoint`.
inline checkpoint gather_gguf_model(const gguf& in, const std::string& file) {
  const transformer::config c = detail::gguf_config(in, file);
  return gather_checkpoint(c, detail::gguf_parts(c, in.tensors, file), file, gguf_tensor, detail::gguf_extra);
}

/// Reads a model. @throws std::system_error; format_error as `read_gguf`, `gather_gguf_model`.
/// @note One pass over the mapped weights; memory for the parameters as float32.
inline checkpoint read_gguf_model(const std::filesystem::path& path) {
  return gather_gguf_model(read_gguf(path), path.string());
}

}  // namespace HONE_NAMESPACE::io
