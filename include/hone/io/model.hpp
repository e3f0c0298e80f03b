// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A model, and the tokenizer that lies with it, from whatever holds it, and into what its name says.
#pragma once
#include "hone/io/gguf_model.hpp"
#include "hone/io/hugging_face.hpp"
#include "hone/io/llama2c.hpp"
#include "hone/io/read_tokenizer.hpp"
#include "hone/io/tokenizer_gguf.hpp"

namespace HONE_NAMESPACE::io {

namespace detail {

inline bool is_gguf(std::span<const std::byte> bytes) {
  return bytes.size() >= 4 && load_little_endian<std::uint32_t>(bytes, 0) == gguf_magic;
}

inline tokenizer read_own_tokenizer(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) return read_tokenizer_json(path / "tokenizer.json");
  const mapped_file file(path);
  const std::string name = path.string();
  if (!is_gguf(file.bytes())) throw format_error(name, {}, "a checkpoint of llama2.c has no tokenizer");
  return tokenizer(parse_tokenizer_gguf(vocabulary_of(parse_gguf(file.bytes(), name), name), name));
}

}  // namespace detail

/// Reads a Hugging Face folder, a GGUF file (by its first four bytes), or else a checkpoint of llama2.c.
/// @throws std::system_error, format_error as their readers.
inline checkpoint read_model(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) return read_hugging_face(path);
  const mapped_file file(path);
  if (detail::is_gguf(file.bytes())) return gather_gguf_model(parse_gguf(file.bytes(), path.string()), path.string());
  return parse_llama2c(file.bytes(), path.string());
}

/// The tokenizer of a Hugging Face folder (its tokenizer.json) or of a GGUF file (its metadata), for a model of @p
/// vocab tokens.
/// @throws std::system_error; format_error as `read_tokenizer_json`, `parse_tokenizer_gguf`, if the tokenizer has more
///         tokens than the model, or if @p path is a checkpoint of llama2.c, which has none.
inline tokenizer read_model_tokenizer(const std::filesystem::path& path, index_t vocab) {
  tokenizer t = detail::read_own_tokenizer(path);
  if (t.vocab() > vocab)
    throw format_error(
        path.string(), {},
        "a tokenizer of " + std::to_string(t.vocab()) + " tokens, the model has " + std::to_string(vocab));
  return t;
}

/// The tokenizer in @p file or, if that is empty, the one that lies with the model at @p path, for @p vocab tokens.
/// @throws as the `read_tokenizer` of one file, and `read_model_tokenizer`.
inline tokenizer read_tokenizer(const std::filesystem::path& path, const std::filesystem::path& file, index_t vocab) {
  return file.empty() ? read_model_tokenizer(path, vocab) : read_tokenizer(file, vocab);
}

/// Writes a checkpoint of llama2.c, where @p path ends in .bin, else a Hugging Face folder of float32, which has no
/// tokenizer.
/// @throws as `write_llama2c`, `write_hugging_face`.
inline void write_model(const std::filesystem::path& path, const transformer::config& c,
                        std::span<const float> parameters) {
  if (path.extension() == ".bin")
    write_llama2c(path, c, parameters);
  else
    write_hugging_face(path, c, parameters);
}

}  // namespace HONE_NAMESPACE::io
