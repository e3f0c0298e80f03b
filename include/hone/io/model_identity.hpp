// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Which model hidden states are of: SHA-256 over the shape and over the tensors that the states depend on, which is
/// all but a classifier of its own, in the bytes that their file has. A copy in another type or layout is another
/// model: its states differ by rounding, and whether that matters only its user can say.
#pragma once
#include "hone/io/gguf_model.hpp"
#include "hone/io/hugging_face.hpp"
#include "hone/io/llama2c.hpp"
#include "hone/io/sha256.hpp"

namespace HONE_NAMESPACE::io {

struct model_identity {
  std::string hash;  ///< 64 hexadecimal digits
  transformer::config config;
};

namespace detail {

/// What of a configuration decides states. max_seq and the classifier do not.
inline std::string state_text(const transformer::config& c) {
  std::string text = "hone states 1";
  const auto add = [&](auto value) {
    char digits[40];
    if constexpr (std::is_same_v<decltype(value), double>)
      std::snprintf(digits, sizeof digits, " %a", value);
    else
      std::snprintf(digits, sizeof digits, " %lld", static_cast<long long>(value));
    text += digits;
  };
  for (const index_t n : {c.d_model, c.d_ff, c.n_layers, c.n_heads, c.n_kv_heads, c.vocab, c.head_size(), c.block,
                          c.window, c.full_layers, c.scaling.original_max_seq})
    add(n);
  for (const double x :
       {c.rope_base, c.norm_eps, c.clip_qkv, c.scaling.factor, c.scaling.low_frequency, c.scaling.high_frequency})
    add(x);
  add(c.scaling.how), add(c.rope), add(c.qk_norm), add(c.causal), add(c.qkv_bias), add(c.output_bias);
  const transformer::expert_layers& e = c.experts;
  add(e.count);
  if (e.count == 0) return text;
  for (const index_t n :
       {e.d_ff, e.shared_d_ff, e.every, e.router.per_token, e.router.capacity_numerator, e.router.capacity_denominator})
    add(n);
  add(e.router.over), add(e.router.ranked_by), add(e.router.chosen), add(e.router.gate), add(e.router.renormalised);
  add(e.router.dropped), add(e.router.second_at_random), add(e.router.best_if_none), add(e.selection_bias);
  for (const index_t layer : e.dense) add(layer);
  return text;
}

/// @param of of(tensor, i) adds the bytes of tensor i of the table, and what says their type.
template <class Of>
model_identity identity_of(const transformer::config& c, const std::vector<transformer::tensor>& table, Of&& of) {
  sha256 hash;
  hash.add(state_text(c));
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (table[i].id.role == transformer::role::wcls) continue;
    hash.add(" " + table[i].name + " " + std::to_string(table[i].rows) + " " + std::to_string(table[i].cols) + " ");
    of(hash, i);
  }
  return {hash.digits(), c};
}

inline model_identity identity_of(const transformer::config& c, const matched_tensors& found) {
  return identity_of(c, found.table, [&](sha256& hash, std::size_t i) {
    hash.add(std::string(found.sources[i]->type->name) + "\n");
    hash.add(found.sources[i]->bytes);
  });
}

}  // namespace detail

/// Of parameters in memory, laid out by `tensor_table`: that of a checkpoint of llama2.c, too.
/// @throws std::invalid_argument if they do not fit @p c.
inline model_identity identify_model(const transformer::config& c, std::span<const float> parameters) {
  const auto table = transformer::tensor_table(c);
  const index_t count = detail::parameters_of(table);
  invalid_argument_unless(static_cast<index_t>(parameters.size()) == count, "hone::io::identify_model", "parameters",
                          "has %zu elements, the model has %td", parameters.size(), count);
  static_assert(std::endian::native == std::endian::little, "files are little-endian");
  return detail::identity_of(c, table, [&](sha256& hash, std::size_t i) {
    hash.add("F32\n");
    hash.add(std::as_bytes(
        parameters.subspan(static_cast<std::size_t>(table[i].offset), static_cast<std::size_t>(table[i].size()))));
  });
}

/// Of a Hugging Face folder, a GGUF file (by its first four bytes), or else a checkpoint of llama2.c.
/// @throws std::system_error, format_error as their readers.
/// @note One pass over the file.
inline model_identity identify_model(const std::filesystem::path& path) {
  const std::string name = path.string();
  if (std::filesystem::is_directory(path)) {
    const transformer::config c = detail::hugging_face_config(path);
    const safetensors file = read_safetensors_folder(path);
    return detail::identity_of(
        c, detail::match_tensors(c, file.tensors, name, hugging_face_tensor(c), detail::hugging_face_extra(c)));
  }
  const mapped_file file(path);
  if (file.bytes().size() >= 4 && load_little_endian<std::uint32_t>(file.bytes(), 0) == detail::gguf_magic) {
    const gguf contents = parse_gguf(file.bytes(), name);
    const transformer::config c = detail::gguf_config(contents, name);
    const std::vector<stored_tensor> tensors = detail::gguf_parts(c, contents.tensors, name);
    return detail::identity_of(c, detail::match_tensors(c, tensors, name, gguf_tensor, detail::gguf_extra));
  }
  const checkpoint model = parse_llama2c(file.bytes(), name);
  return identify_model(model.config, model.parameters);
}

}  // namespace HONE_NAMESPACE::io
