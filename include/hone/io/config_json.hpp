// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The config.json of a Hugging Face model: of type llama (Llama 2 and 3, SmolLM2), mistral, qwen2 (and 2.5), qwen3,
/// mixtral, olmoe or qwen3_moe, as versions 4 and 5 of Transformers write it, or of LLaDA-MoE, as its authors do (type
/// llada; dense LLaDA is another model), or of other models that are not causal, as hone does (type hone: no program
/// that does not know it takes them for causal ones). Where a field is missing, the default is the one of its type
/// there.
/// [huggingface/transformers, configuration_{llama,mistral,qwen2,qwen3}.py, modeling_rope_utils.py]
#pragma once
#include "hone/io/detail/config_names.hpp"
#include "hone/io/detail/expert_fields.hpp"
#include "hone/io/detail/own_fields.hpp"

namespace HONE_NAMESPACE::io {

namespace detail {

/// Base and scaling of RoPE: rope_theta and rope_scaling of version 4, rope_parameters of version 5.
inline void read_rope(const config_fields& in, std::optional<double> base, transformer::config& c) {
  using method = transformer::rope_scaling::method;
  const std::string section = in.find("rope_parameters") != nullptr ? "rope_parameters" : "rope_scaling";
  const nlohmann::json* object = in.find(section);
  if (object != nullptr && !object->is_object()) in.fail(section, "is not an object");
  for (const char* layers : {"full_attention", "sliding_attention"})
    if (in.find(section + "." + layers) != nullptr)
      in.fail(section, "a RoPE of its own for some layers is not supported");
  const std::string theta = section + ".rope_theta";
  c.rope_base = in.find(theta) != nullptr ? in.real(theta) : in.real("rope_theta", base);
  for (const std::string& path : {section + ".partial_rotary_factor", std::string("partial_rotary_factor")})
    if (in.real(path, 1.0) != 1) in.fail(path, "RoPE on a part of the head is not supported");
  const std::string key = in.find(section + ".rope_type") != nullptr ? ".rope_type" : ".type";
  const std::string type = in.text(section + key, "default");
  if (type == "default") return;
  if (type != "linear" && type != "llama3")
    in.fail(section + key, "\"" + type + "\" is not supported, only default, linear and llama3 are");
  c.scaling.factor = in.real(section + ".factor");
  c.scaling.how = method::linear;
  if (type == "linear") return;
  c.scaling = {method::llama3, c.scaling.factor, in.real(section + ".low_freq_factor"),
               in.real(section + ".high_freq_factor"), in.whole(section + ".original_max_position_embeddings")};
}

/// The window, and the layers that do without.
inline void read_window(const config_fields& in, const std::string& type, transformer::config& c) {
  if (type == "llama" || type == own_type) return;
  if (type == "olmoe" || type == "llada") {
    if (in.find("sliding_window") != nullptr) in.fail("sliding_window", "this type of model has no window");
    return;
  }
  const bool all_alike = type == "mistral" || type == "mixtral";
  if (all_alike || in.boolean("use_sliding_window"))
    c.window = in.has("sliding_window") ? in.whole("sliding_window", 0) : type == "mixtral" ? 0 : 4096;
  if (all_alike) return;
  if (type == "qwen3_moe") {
    if (c.window > 0 && in.whole("max_window_layers", 0) > 0)
      in.fail("max_window_layers", "versions of Transformers differ in what it does");
    return;
  }
  c.full_layers = c.window == 0 ? 0 : in.whole("max_window_layers", 28);
  const nlohmann::json* layers = in.find("layer_types");
  if (layers == nullptr) return;
  if (!layers->is_array() || std::cmp_not_equal(layers->size(), c.n_layers))
    in.fail("layer_types", "is not a list of " + std::to_string(c.n_layers) + " layers");
  index_t full = 0;
  while (full < c.n_layers && (*layers)[static_cast<std::size_t>(full)] == "full_attention") ++full;
  for (index_t i = full; i < c.n_layers; ++i)
    if ((*layers)[static_cast<std::size_t>(i)] != "sliding_attention")
      in.fail("layer_types", "only full_attention, and sliding_attention after it, are supported");
  if (full == c.n_layers)
    c.window = 0;
  else if (c.window == 0)
    in.fail("layer_types", "sliding_attention without a window");
  c.full_layers = c.window == 0 ? 0 : full;
}

}  // namespace detail

/// Parses config.json; @p file is what errors call it. Fields that do not bear on what the model computes are passed
/// over.
/// @throws format_error with the byte, naming the field by its path, if the text is not JSON, a field that is needed is
///         missing, or of another type or out of range, or if it asks for what the decoder does not have: another type
///         of model, activation, RoPE (dynamic, yarn, longrope, on a part of the head), biases in the feed-forward
///         layers, quantized weights, noise on what a router reads, a selection of experts of LLaDA-MoE's other than by
///         a softmax.
inline transformer::config parse_config_json(std::string_view text, const std::string& file) {
  const json_document document = parse_json(text, file);
  const detail::config_fields in(document, file);
  if (!document.root.is_object()) in.fail("", "the configuration is not a JSON object");
  std::string type = in.text("model_type", "");
  if (type == "lladamoe") type = "llada";  // as a trainer of it says
  const detail::expert_family* family = detail::expert_family_of(type);
  const bool own = type == detail::own_type;
  if (family == nullptr && type != "llama" && type != "mistral" && type != "qwen2" && type != "qwen3" && !own)
    in.fail("model_type",
            "\"" + type + "\" is not one of llama, mistral, qwen2, qwen3, mixtral, olmoe, qwen3_moe, llada, hone");
  if (const std::string act = in.text("hidden_act", "silu"); act != "silu" && act != "swish")
    in.fail("hidden_act", "\"" + act + "\" is not supported, only silu is");
  for (const char* path : {"mlp_bias", "use_mrope"})
    if (in.boolean(path)) in.fail(path, "is not supported");
  if (in.find("quantization_config") != nullptr) in.fail("quantization_config", "quantized weights are not supported");

  transformer::config c;
  c.d_model = in.whole("hidden_size");
  c.d_ff =
      type == "llada" ? in.whole("dense_intermediate_size", in.whole(family->width)) : in.whole("intermediate_size");
  c.n_layers = in.whole("num_hidden_layers");
  c.n_heads = in.whole("num_attention_heads");
  const bool heads_have_a_default =
      type == "llama" || type == "olmoe" || type == "llada" || in.has("num_key_value_heads");  // null: as many as heads
  c.n_kv_heads = in.whole("num_key_value_heads", heads_have_a_default ? std::optional(c.n_heads) : std::nullopt);
  c.vocab = in.whole("vocab_size");
  c.max_seq = in.whole("max_position_embeddings");
  c.norm_eps = in.real("rms_norm_eps", family != nullptr ? family->norm_eps : 1e-6);
  c.tie_embeddings = in.boolean("tie_word_embeddings");
  c.rope = transformer::rope_layout::half;
  c.head_width = in.whole("head_dim", type == "qwen3" && !in.has("head_dim") ? 128 : 0);
  if (c.n_heads > 0 && c.head_width * c.n_heads == c.d_model) c.head_width = 0;
  const bool attention_bias = type != "mistral" && type != "qwen2" && type != "mixtral" && in.boolean("attention_bias");
  c.qkv_bias = type == "qwen2" || attention_bias;
  c.output_bias = attention_bias;
  if (type == "qwen3") c.qk_norm = transformer::query_key_norm::heads;
  detail::read_experts(in, family, c);
  if (own) detail::read_own(in, c);
  if (!c.causal) detail::read_mask_token(in, c);
  detail::read_rope(in, family != nullptr ? detail::default_of(family->rope_base) : 10000.0, c);
  detail::read_window(in, type, c);
  try {
    transformer::validate(c);
  } catch (const std::invalid_argument& error) {
    in.fail("", detail::config_reason(error, &detail::config_name::hugging_face));
  }
  return c;
}

namespace detail {

/// The type of models without experts that have all that @p c has.
inline std::string dense_type_of(const transformer::config& c, const char* function) {
  invalid_argument_unless(c.qk_norm != transformer::query_key_norm::whole && c.clip_qkv == 0, function, "c",
                          "no family without experts has norms of the whole width or cut projections");
  const bool qwen3 = c.qk_norm == transformer::query_key_norm::heads;
  const bool qwen2 = !qwen3 && c.qkv_bias && !c.output_bias, mistral = !qwen3 && !c.qkv_bias && c.window > 0;
  invalid_argument_unless(qwen2 || c.qkv_bias == c.output_bias, function, "c",
                          "no family has a bias on the output alone, or with norms of heads on queries alone");
  invalid_argument_unless(
      c.window == 0 || qwen2 || qwen3 || (mistral && c.full_layers == 0), function, "c",
      mistral ? "Mistral's window is that of every layer" : "no family has biases like these, and a window");
  return qwen3 ? "qwen3" : qwen2 ? "qwen2" : mistral ? "mistral" : "llama";
}

}  // namespace detail

/// The config.json of a model, as version 4 of Transformers writes it and both versions read it; of one that is not
/// causal as LLaDA-MoE's authors do, where theirs has all of it, or as hone does. (The dense width of a family whose
/// layers all have experts is not kept.)
/// @throws std::invalid_argument if no type of model has all that @p c has: its outputs are not the vocabulary, or of a
///         causal one its router, or its biases, norms and window are of no family.
inline std::string format_config_json(const transformer::config& c) {
  const char* function = "hone::io::format_config_json";
  transformer::validate(c);
  invalid_argument_unless(c.output_width() == c.vocab, function, "c",
                          "the outputs of a causal model are its vocabulary");
  const bool own = !c.causal && !detail::is_llada(c), experts = c.experts.count > 0 && !own;
  const detail::expert_family* family = experts ? &detail::expert_family_of(c, function) : nullptr;
  const std::string type = own ? detail::own_type : experts ? family->type : detail::dense_type_of(c, function);
  std::string model = own ? detail::own_architecture : experts ? family->architecture : type + "ForCausalLM";
  if (!experts && !own) model[0] = static_cast<char>(model[0] - 'a' + 'A');
  nlohmann::json j = {{"architectures", {model}},
                      {"model_type", type},
                      {"hidden_size", c.d_model},
                      {"intermediate_size", c.d_ff},
                      {"num_hidden_layers", c.n_layers},
                      {"num_attention_heads", c.n_heads},
                      {"num_key_value_heads", c.n_kv_heads},
                      {"head_dim", c.head_size()},
                      {"vocab_size", c.vocab},
                      {"max_position_embeddings", c.max_seq},
                      {"hidden_act", "silu"},
                      {"rms_norm_eps", c.norm_eps},
                      {"tie_word_embeddings", c.tie_embeddings},
                      {"rope_theta", c.rope_base}};
  using method = transformer::rope_scaling::method;
  j["rope_scaling"] = nullptr;
  if (c.scaling.how == method::linear) j["rope_scaling"] = {{"rope_type", "linear"}, {"factor", c.scaling.factor}};
  if (c.scaling.how == method::llama3)
    j["rope_scaling"] = {{"rope_type", "llama3"},
                         {"factor", c.scaling.factor},
                         {"low_freq_factor", c.scaling.low_frequency},
                         {"high_freq_factor", c.scaling.high_frequency},
                         {"original_max_position_embeddings", c.scaling.original_max_seq}};
  if (type == "llama" || type == "qwen3") j["attention_bias"] = c.qkv_bias;
  if (experts) detail::write_experts(c, *family, j);
  if (own) detail::write_own(c, j);
  if (c.mask_token >= 0) j["mask_token_id"] = c.mask_token;
  if (type != "llama" && !own) j["sliding_window"] = c.window > 0 ? nlohmann::json(c.window) : nlohmann::json();
  if (type.starts_with("qwen")) {
    j["use_sliding_window"] = c.window > 0;
    j["max_window_layers"] = c.window > 0 ? c.full_layers : c.n_layers;
  }
  return j.dump(2) + "\n";
}

}  // namespace HONE_NAMESPACE::io
