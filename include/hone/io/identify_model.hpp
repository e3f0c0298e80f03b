// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The identity of a model in a file, whichever its format.
#pragma once
#include "hone/io/gguf_model.hpp"
#include "hone/io/hugging_face.hpp"
#include "hone/io/llama2c.hpp"
#include "hone/io/model_identity.hpp"

namespace HONE_NAMESPACE::io {

namespace detail {

inline model_identity identity_of(const transformer::config& c, const matched_tensors& found) {
  return identity_of(c, found.table, [&](sha256& hash, std::size_t i) {
    hash.add(std::string(found.sources[i]->type->name) + "\n");
    hash.add(found.sources[i]->bytes);
  });
}

}  // namespace detail

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
