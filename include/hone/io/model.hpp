// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A model, and the tokenizer that lies with it, from whatever holds it.
#pragma once
#include "hone/io/gguf_model.hpp"
#include "hone/io/hugging_face.hpp"
#include "hone/io/llama2c.hpp"
#include "hone/io/tokenizer_gguf.hpp"
#include "hone/io/tokenizer_json.hpp"

namespace hone::io {

namespace detail {

inline bool is_gguf(std::span<const std::byte> bytes) {
  return bytes.size() >= 4 && load_little_endian<std::uint32_t>(bytes, 0) == gguf_magic;
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

/// The vocabulary in the metadata of a GGUF file.
/// @throws format_error, naming the key, if a value is of another type than llama.cpp gives it.
inline gguf_vocabulary vocabulary_of(const gguf& in, const std::string& file) {
  const std::string prefix = "tokenizer.ggml.";
  const auto take = [&]<class T>(const char* name, T& to) {
    const gguf_value* value = in.find(prefix + name);
    if (value == nullptr) return;
    const T* held = nullptr;
    if constexpr (requires { typename T::allocator_type; } && !std::is_same_v<T, std::string>) {
      if (const auto* array = std::get_if<gguf_array>(value)) held = std::get_if<T>(array);
    } else {
      held = std::get_if<T>(value);
    }
    if (held == nullptr) throw format_error(file, {}, prefix + name + ": is of another type");
    to = *held;
  };
  const auto id = [&](const char* name, std::optional<token_id>& to) {
    if (in.find(prefix + name) == nullptr) return;
    const auto value = in.whole(prefix + name);
    if (!value || !std::in_range<token_id>(*value)) throw format_error(file, {}, prefix + name + ": is no id");
    to = static_cast<token_id>(*value);
  };
  const auto flag = [&](const char* name, std::optional<bool>& to) {
    bool value = false;
    take(name, value);
    if (in.find(prefix + name) != nullptr) to = value;
  };
  gguf_vocabulary v;
  take("model", v.model);
  take("pre", v.pre);
  take("tokens", v.tokens);
  take("merges", v.merges);
  take("scores", v.scores);
  take("token_type", v.token_type);
  id("bos_token_id", v.bos_token_id);
  id("eos_token_id", v.eos_token_id);
  id("unknown_token_id", v.unknown_token_id);
  flag("add_bos_token", v.add_bos_token);
  flag("add_eos_token", v.add_eos_token);
  flag("add_space_prefix", v.add_space_prefix);
  return v;
}

/// The tokenizer of a Hugging Face folder (its tokenizer.json) or of a GGUF file (its metadata), for a model of @p
/// vocab tokens.
/// @throws std::system_error; format_error as `read_tokenizer_json`, `parse_tokenizer_gguf`, if the tokenizer has more
///         tokens than the model, or if @p path is a checkpoint of llama2.c, which has none.
inline tokenizer read_model_tokenizer(const std::filesystem::path& path, index_t vocab) {
  tokenizer t = [&] {
    if (std::filesystem::is_directory(path)) return read_tokenizer_json(path / "tokenizer.json");
    const mapped_file file(path);
    const std::string name = path.string();
    if (!detail::is_gguf(file.bytes())) throw format_error(name, {}, "a checkpoint of llama2.c has no tokenizer");
    return tokenizer(parse_tokenizer_gguf(vocabulary_of(parse_gguf(file.bytes(), name), name), name));
  }();
  if (t.vocab() > vocab)
    throw format_error(
        path.string(), {},
        "a tokenizer of " + std::to_string(t.vocab()) + " tokens, the model has " + std::to_string(vocab));
  return t;
}

}  // namespace hone::io
