// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A tokenizer from the metadata of a GGUF file, by way of plain values that any reader of such files can fill. Ids are
/// those of the tokenizer.json that the file was made from, of which the metadata keep less. [ggml-org/ggml,
/// docs/gguf.md; ggml-org/llama.cpp]
#pragma once
#include "hone/io/gguf.hpp"
#include "hone/io/tokenizer.hpp"

#include <cmath>

namespace HONE_NAMESPACE::io {

/// The keys below tokenizer.ggml.
struct gguf_vocabulary {
  std::string model = {};  ///< "gpt2" (byte-level) or "llama" (SentencePiece)
  std::string pre = {};    ///< of gpt2: which regular expressions cut a text into words
  std::vector<std::string> tokens = {};
  std::vector<std::string> merges = {};       ///< of gpt2: "left right"
  std::vector<float> scores = {};             ///< of llama: one a token
  std::vector<std::int32_t> token_type = {};  ///< one a token: 1 normal, 2 unknown, 3 control, 4 user-defined, 6 byte
  std::optional<token_id> bos_token_id = {}, eos_token_id = {}, unknown_token_id = {};
  std::optional<bool> add_bos_token = {}, add_eos_token = {}, add_space_prefix = {};
};

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

/// The parts of the tokenizer of @p v. Control and unknown tokens are special; they and user-defined ones are found in
/// texts. Where add_bos_token is not there, "llama" and Llama 3 begin with the begin of text. Qwen2 normalizes to form
/// C, as the models were trained, which llama.cpp does not.
/// @throws format_error, with the key, if the model or `pre` is not known, lists differ in length, an id is out of
///         range, a score is not a number, or a merge names no token.
inline tokenizer_parts parse_tokenizer_gguf(const gguf_vocabulary& v, const std::string& file) {
  const auto fail = [&](const std::string& key, const std::string& reason) {
    throw format_error(file, {}, "tokenizer.ggml." + key + ": " + reason);
  };
  const auto count = static_cast<token_id>(v.tokens.size());
  const bool byte_level = v.model == "gpt2";
  if (!byte_level && v.model != "llama") fail("model", "\"" + v.model + "\" is neither gpt2 nor llama");
  if (v.tokens.empty()) fail("tokens", "no token");
  if (v.tokens.size() > (std::size_t{1} << 30)) fail("tokens", "too many tokens");
  if (!v.token_type.empty() && v.token_type.size() != v.tokens.size()) fail("token_type", "not one a token");
  tokenizer_parts parts;
  std::unordered_map<std::string_view, token_id> ids;
  enum kind { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };
  for (token_id id = 0; id < count; ++id) {
    const auto at = static_cast<std::size_t>(id);
    const std::string& text = v.tokens[at];
    const std::int32_t type = v.token_type.empty() ? normal : v.token_type[at];
    if (type < normal || type > byte)
      fail("token_type", "token " + std::to_string(id) + " has type " + std::to_string(type));
    parts.pieces.push_back({text, type == normal});
    if (type == normal) ids.try_emplace(text, id);
    if (type == unknown || type == control || type == user_defined)
      parts.added.push_back({.content = text, .id = id, .special = type != user_defined});
  }
  const auto checked = [&](const char* key, std::optional<token_id> id) {
    if (id && (*id < 0 || *id >= count)) fail(key, std::to_string(*id) + " is no token");
    return id;
  };
  parts.bos = checked("bos_token_id", v.bos_token_id);
  parts.eos = checked("eos_token_id", v.eos_token_id);
  parts.unknown = checked("unknown_token_id", v.unknown_token_id);

  bool begins = !byte_level;
  if (byte_level) {
    parts.byte_level = true;
    parts.decoding.byte_alphabet = true;
    if (v.pre == "gpt-2") {
      parts.splits = {{split_rule::kind::gpt2}};
    } else if (v.pre == "smollm") {
      parts.splits = {{split_rule::kind::digits}, {split_rule::kind::gpt2}};
    } else if (v.pre == "llama-bpe" || v.pre == "llama3" || v.pre == "llama-v3") {
      parts.splits = {{split_rule::kind::llama3}};
      parts.ignore_merges = begins = true;
    } else if (v.pre == "qwen2") {
      parts.splits = {{split_rule::kind::qwen2}};
      parts.normalizer = {{.is = normalizer_step::kind::form_c}};
    } else {
      fail("pre", "\"" + v.pre + "\" is not known");
    }
    for (std::size_t i = 0; i < v.merges.size(); ++i) {
      const std::string_view merge = v.merges[i];
      const std::size_t space = (std::min)(merge.find(' '), merge.size());
      const std::string left(merge.substr(0, space)), right(merge.substr((std::min)(space + 1, merge.size())));
      const auto id_of = [&](const std::string& piece) {
        const auto found = ids.find(piece);
        if (found == ids.end()) fail("merges", std::to_string(i) + ": \"" + piece + "\" is no token");
        return found->second;
      };
      parts.merges.push_back({id_of(left), id_of(right), id_of(left + right)});
    }
  } else {
    if (v.scores.size() != v.tokens.size()) fail("scores", "not one a token");
    for (const float score : v.scores)
      if (std::isnan(score)) fail("scores", "not a number");
    parts.scores = v.scores;
    const std::string mark = "\xe2\x96\x81";
    parts.word_begin = mark;
    const bool prefixed = v.add_space_prefix.value_or(true);
    if (prefixed) parts.normalizer.push_back({.is = normalizer_step::kind::prepend, .to = mark});
    parts.normalizer.push_back({normalizer_step::kind::replace, " ", mark});
    parts.byte_ids.assign(256, -1);
    for (token_id id = 0; id < count; ++id)
      if (const int value = byte_of_piece(v.tokens[static_cast<std::size_t>(id)]); value >= 0)
        parts.byte_ids[static_cast<std::size_t>(value)] = id;
    parts.fuse_unknown = true;
    parts.decoding = {.replace = {{mark, " "}}, .byte_pieces = true, .strip = " ", .strip_most = prefixed ? 1u : 0u};
  }
  if (v.add_bos_token.value_or(begins) && parts.bos) parts.prefix = {*parts.bos};
  if (v.add_eos_token.value_or(false) && parts.eos) parts.suffix = {*parts.eos};
  return parts;
}

}  // namespace HONE_NAMESPACE::io
