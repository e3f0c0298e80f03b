// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The config.json of a Hugging Face model: of type llama (Llama 2 and 3, SmolLM2), mistral, qwen2 (and 2.5) or qwen3,
/// as versions 4 and 5 of Transformers write it. Where a field is missing, the default is the one of its type there.
/// [huggingface/transformers, configuration_{llama,mistral,qwen2,qwen3}.py, modeling_rope_utils.py]
#pragma once
#include "hone/io/detail/config_names.hpp"
#include "hone/io/json.hpp"
#include "hone/transformer/config.hpp"

#include <optional>

namespace HONE_NAMESPACE::io {

namespace detail {

/// Fields of a configuration, by their path ("rope_scaling.factor"), which errors name.
class config_fields {
 public:
  config_fields(const json_document& document, const std::string& file) : document_(document), file_(file) {}

  [[noreturn]] void fail(const std::string& path, const std::string& reason) const {
    std::string key = path;
    std::replace(key.begin(), key.end(), '.', '/');
    throw format_error(file_, document_.where(key), path.empty() ? reason : "\"" + path + "\": " + reason);
  }
  /// nullptr where it is missing or null.
  [[nodiscard]] const nlohmann::json* find(const std::string& path) const {
    const nlohmann::json* value = &document_.root;
    for (std::size_t at = 0; at <= path.size();) {
      const std::size_t dot = (std::min)(path.find('.', at), path.size());
      if (!value->is_object()) return nullptr;
      const auto found = value->find(path.substr(at, dot - at));
      if (found == value->end() || found->is_null()) return nullptr;
      value = &*found;
      at = dot + 1;
    }
    return value;
  }
  [[nodiscard]] bool has(const std::string& key) const { return document_.root.contains(key); }

  [[nodiscard]] index_t whole(const std::string& path, std::optional<index_t> otherwise = {}) const {
    const nlohmann::json* value = find(path);
    if (value == nullptr) return otherwise ? *otherwise : missing(path);
    if (!value->is_number_unsigned() || value->get<std::uint64_t>() > 2147483647)
      fail(path, (value->is_number() ? value->dump() + " " : "") + "is not a whole number in [0, 2^31 - 1]");
    return static_cast<index_t>(value->get<std::uint64_t>());
  }
  [[nodiscard]] double real(const std::string& path, std::optional<double> otherwise = {}) const {
    const nlohmann::json* value = find(path);
    if (value == nullptr) return otherwise ? *otherwise : static_cast<double>(missing(path));
    if (!value->is_number()) fail(path, "is not a number");
    return value->get<double>();
  }
  [[nodiscard]] bool boolean(const std::string& path, bool otherwise = false) const {
    const nlohmann::json* value = find(path);
    if (value == nullptr) return otherwise;
    if (!value->is_boolean()) fail(path, "is not true or false");
    return value->get<bool>();
  }
  [[nodiscard]] std::string text(const std::string& path, const std::string& otherwise) const {
    const nlohmann::json* value = find(path);
    if (value == nullptr) return otherwise;
    if (!value->is_string()) fail(path, "is not a string");
    return value->get<std::string>();
  }

 private:
  [[noreturn]] index_t missing(const std::string& path) const { fail(path, "is missing"); }

  const json_document& document_;
  const std::string& file_;
};

/// Base and scaling of RoPE: rope_theta and rope_scaling of version 4, rope_parameters of version 5.
inline void read_rope(const config_fields& in, transformer::config& c) {
  using method = transformer::rope_scaling::method;
  const std::string section = in.find("rope_parameters") != nullptr ? "rope_parameters" : "rope_scaling";
  const nlohmann::json* object = in.find(section);
  if (object != nullptr && !object->is_object()) in.fail(section, "is not an object");
  for (const char* layers : {"full_attention", "sliding_attention"})
    if (in.find(section + "." + layers) != nullptr)
      in.fail(section, "a RoPE of its own for some layers is not supported");
  c.rope_base = in.real(section + ".rope_theta", in.real("rope_theta", 10000.0));
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
  if (type == "llama") return;
  if (type == "mistral" || in.boolean("use_sliding_window"))
    c.window = in.has("sliding_window") ? in.whole("sliding_window", 0) : 4096;
  if (type == "mistral") return;  // whose layers are all alike
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
///         layers, quantized weights.
inline transformer::config parse_config_json(std::string_view text, const std::string& file) {
  const json_document document = parse_json(text, file);
  const detail::config_fields in(document, file);
  if (!document.root.is_object()) in.fail("", "the configuration is not a JSON object");
  const std::string type = in.text("model_type", "");
  if (type != "llama" && type != "mistral" && type != "qwen2" && type != "qwen3")
    in.fail("model_type", "\"" + type + "\" is not one of llama, mistral, qwen2, qwen3");
  if (const std::string act = in.text("hidden_act", "silu"); act != "silu" && act != "swish")
    in.fail("hidden_act", "\"" + act + "\" is not supported, only silu is");
  for (const char* path : {"mlp_bias", "use_mrope"})
    if (in.boolean(path)) in.fail(path, "is not supported");
  if (in.find("quantization_config") != nullptr) in.fail("quantization_config", "quantized weights are not supported");

  transformer::config c;
  c.d_model = in.whole("hidden_size");
  c.d_ff = in.whole("intermediate_size");
  c.n_layers = in.whole("num_hidden_layers");
  c.n_heads = in.whole("num_attention_heads");
  const bool heads_have_a_default = type == "llama" || in.has("num_key_value_heads");  // null: as many as heads
  c.n_kv_heads = in.whole("num_key_value_heads", heads_have_a_default ? std::optional(c.n_heads) : std::nullopt);
  c.vocab = in.whole("vocab_size");
  c.max_seq = in.whole("max_position_embeddings");
  c.norm_eps = in.real("rms_norm_eps", 1e-6);
  c.tie_embeddings = in.boolean("tie_word_embeddings");
  c.rope = transformer::rope_layout::half;
  c.head_width = in.whole("head_dim", type == "qwen3" && !in.has("head_dim") ? 128 : 0);
  if (c.n_heads > 0 && c.head_width * c.n_heads == c.d_model) c.head_width = 0;
  const bool attention_bias = type != "mistral" && type != "qwen2" && in.boolean("attention_bias");
  c.qkv_bias = type == "qwen2" || attention_bias;
  c.output_bias = attention_bias;
  if (type == "qwen3") c.qk_norm = transformer::query_key_norm::heads;
  detail::read_rope(in, c);
  detail::read_window(in, type, c);
  try {
    transformer::validate(c);
  } catch (const std::invalid_argument& error) {
    in.fail("", detail::config_reason(error, &detail::config_name::hugging_face));
  }
  return c;
}

/// The config.json of a model, as version 4 of Transformers writes it and both versions read it.
/// @throws std::invalid_argument if no type of model has all that @p c has: it is bidirectional, its outputs are not
///         the vocabulary, or its biases and its window are those of no family.
inline std::string format_config_json(const transformer::config& c) {
  const char* function = "hone::io::format_config_json";
  transformer::validate(c);
  invalid_argument_unless(c.causal, function, "c", "Hugging Face's decoders are causal");
  invalid_argument_unless(c.output_width() == c.vocab, function, "c",
                          "the outputs of a causal model are its vocabulary");
  const bool qwen3 = c.qk_norm == transformer::query_key_norm::heads;
  const bool qwen2 = !qwen3 && c.qkv_bias && !c.output_bias, mistral = !qwen3 && !c.qkv_bias && c.window > 0;
  invalid_argument_unless(qwen2 || c.qkv_bias == c.output_bias, function, "c",
                          "no family has a bias on the output alone, or with norms of heads on queries alone");
  invalid_argument_unless(
      c.window == 0 || qwen2 || qwen3 || (mistral && c.full_layers == 0), function, "c",
      mistral ? "Mistral's window is that of every layer" : "no family has biases like these, and a window");
  const std::string type = qwen3 ? "qwen3" : qwen2 ? "qwen2" : mistral ? "mistral" : "llama";
  std::string model = type + "ForCausalLM";
  model[0] = static_cast<char>(model[0] - 'a' + 'A');
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
  if (type != "llama") j["sliding_window"] = c.window > 0 ? nlohmann::json(c.window) : nlohmann::json();
  if (qwen3 || qwen2) {
    j["use_sliding_window"] = c.window > 0;
    j["max_window_layers"] = c.window > 0 ? c.full_layers : c.n_layers;
  }
  return j.dump(2) + "\n";
}

}  // namespace HONE_NAMESPACE::io
