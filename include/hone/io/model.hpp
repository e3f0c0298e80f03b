// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A model from whatever holds it.
#pragma once
#include "hone/io/gguf_model.hpp"
#include "hone/io/hugging_face.hpp"
#include "hone/io/llama2c.hpp"

namespace hone::io {

/// Reads a Hugging Face folder, a GGUF file (by its first four bytes), or else a checkpoint of llama2.c.
/// @throws std::system_error, format_error as their readers.
inline checkpoint read_model(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) return read_hugging_face(path);
  const mapped_file file(path);
  if (file.bytes().size() >= 4 && load_little_endian<std::uint32_t>(file.bytes(), 0) == detail::gguf_magic)
    return gather_gguf_model(parse_gguf(file.bytes(), path.string()), path.string());
  return parse_llama2c(file.bytes(), path.string());
}

}  // namespace hone::io
