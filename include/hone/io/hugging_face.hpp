// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Models as Hugging Face keeps them: a folder of config.json and model.safetensors, or its shards with their index.
/// Rows of queries and keys are laid out for RoPE in halves.
#pragma once
#include "hone/io/checkpoint.hpp"
#include "hone/io/config_json.hpp"
#include "hone/io/rope_rows.hpp"
#include "hone/io/safetensors_shards.hpp"
#include "hone/io/tensor_names.hpp"

namespace HONE_NAMESPACE::io {

inline constexpr const char* config_json_name = "config.json";

/// What folders of models of @p c's family call a tensor: f(t) is "model.layers.3.self_attn.q_proj.weight" for wq.3,
/// "….bias" for bq.3.
inline auto hugging_face_tensor(const transformer::config& c) {
  return [names = expert_names_of(c)](const transformer::tensor& t) {
    return hugging_face_name(t.id, names) + (t.kind == transformer::tensor_kind::bias ? ".bias" : ".weight");
  };
}

namespace detail {

inline transformer::config hugging_face_config(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / config_json_name;
  const std::vector<std::byte> text = read_file(path, std::uint64_t{1} << 24);
  return parse_config_json(text_of(text), path.string());
}

/// What a folder may have beside the model's tensors: tables of RoPE, a classifier that the embedding is tied to.
inline auto hugging_face_extra(const transformer::config& c) {
  return [tied = c.tie_embeddings](std::string_view name) {
    return name.ends_with(".rotary_emb.inv_freq") || (tied && name == "lm_head.weight");
  };
}

}  // namespace detail

/// Reads a folder.
/// @throws std::system_error; format_error as `parse_config_json`, `read_safetensors_folder`, `gather_checkpoint`.
///         Stored tables of RoPE, and a classifier beside an embedding that is tied to it, are passed over.
/// @note One pass over the mapped weights; memory for the parameters as float32.
inline checkpoint read_hugging_face(const std::filesystem::path& folder) {
  const transformer::config c = detail::hugging_face_config(folder);
  return gather_checkpoint(c, read_safetensors_folder(folder).tensors, folder.string(), hugging_face_tensor(c),
                           detail::hugging_face_extra(c));
}

/// Writes a folder, which is made if it is not there; weights first, so that a config.json has them beside it. Rows of
/// queries and keys of a model with interleaved RoPE are moved.
/// @param stored float32, float16 or bfloat16. @param most bytes of one file of weights.
/// @throws std::invalid_argument as `format_config_json`, or if @p parameters does not fit @p c; std::system_error.
/// @note Besides the parameters, holds the matrices whose rows are moved.
inline void write_hugging_face(const std::filesystem::path& folder, const transformer::config& c,
                               std::span<const float> parameters, format stored = format::float32,
                               std::uint64_t most = 5'000'000'000) {
  const std::string config = format_config_json(c);
  const std::vector<transformer::tensor> table = transformer::tensor_table(c);
  const index_t count = detail::parameters_of(table);
  invalid_argument_unless(static_cast<index_t>(parameters.size()) == count, "hone::io::write_hugging_face",
                          "parameters", "has %zu parameters, the model has %td", parameters.size(), count);
  std::vector<tensor_source> sources;
  std::vector<std::vector<float>> moved;
  const auto name_of = hugging_face_tensor(c);
  for (const transformer::tensor& t : table)
    sources.push_back({name_of(t), detail::stored_shape(t),
                       laid_out(parameters, c, t, transformer::rope_layout::half, moved), stored});
  std::filesystem::create_directories(folder);
  write_safetensors_folder(folder, sources, {{"format", "pt"}}, most);
  atomic_file file(folder / config_json_name);
  file.write(config);
  file.commit();
}

}  // namespace HONE_NAMESPACE::io
