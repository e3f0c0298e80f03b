// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the fields of transformer/config.hpp are called in files: errors about a file speak of its own fields.
#pragma once
#include "hone/core/flags.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>

namespace HONE_NAMESPACE::io::detail {

/// Empty where a format has no such field, or calls it the same.
struct config_name {
  std::string_view own, hugging_face, gguf, llama2c;
};
inline constexpr config_name config_names[] = {
    {"d_model", "hidden_size", "embedding_length", "dim"},
    {"d_ff", "intermediate_size", "feed_forward_length", "hidden_dim"},
    {"n_layers", "num_hidden_layers", "block_count", {}},
    {"n_heads", "num_attention_heads", "attention.head_count", {}},
    {"n_kv_heads", "num_key_value_heads", "attention.head_count_kv", {}},
    {"vocab", "vocab_size", "token_embd.weight", "vocab_size"},
    {"max_seq", "max_position_embeddings", "context_length", "seq_len"},
    {"head_width", "head_dim", "attention.key_length", {}},
    {"rope_base", "rope_theta", "rope.freq_base", {}},
    {"norm_eps", "rms_norm_eps", "attention.layer_norm_rms_epsilon", {}},
    {"scaling.factor", "rope_scaling.factor", "rope.scaling.factor", {}},
    {"scaling.low_frequency", "rope_scaling.low_freq_factor", {}, {}},
    {"scaling.high_frequency", "rope_scaling.high_freq_factor", {}, {}},
    {"scaling.original_max_seq", "rope_scaling.original_max_position_embeddings", {}, {}},
    {"window", "sliding_window", {}, {}},
    {"full_layers", "max_window_layers", {}, {}},
    {"experts.router", "num_experts_per_tok", "expert_used_count", {}},
    {"per_token", "num_experts_per_tok", "expert_used_count", {}},
    {"experts.every", "decoder_sparse_step", {}, {}},
    {"experts.dense", "mlp_only_layers", {}, {}},
    {"experts.d_ff", {}, "expert_feed_forward_length", {}},
};

/// What @p error, of transformer::validate or tensor_table, says of a configuration: without the function, in the words
/// of the file's format.
inline std::string config_reason(const std::invalid_argument& error, std::string_view config_name::* field) {
  std::string_view text = error.what();
  text.remove_prefix((std::min)(text.find(": "), text.size() - 2) + 2);
  if (text.starts_with("c: ")) text.remove_prefix(3);
  std::string reason;
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz_.";
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = (std::min)(text.find_first_not_of(letters, at), text.size());
    std::string_view word = text.substr(at, end - at);
    for (const config_name& name : config_names)
      if (word == name.own && !(name.*field).empty()) word = name.*field;
    reason += word;
    if (end < text.size()) reason += text[end];
    at = end + 1;
  }
  return reason;
}

}  // namespace HONE_NAMESPACE::io::detail
