// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The tokenizer of llama2.c's tokenizer.bin: int32 longest token, then for each token float32 score, int32 length,
/// bytes; the number of tokens is the model's vocabulary. Ids 0, 1, 2 are unknown, begin, end; ids 3 to 258 are the 256
/// bytes. [karpathy/llama2.c, tokenizer.py and run.c]
#pragma once
#include "hone/io/file.hpp"
#include "hone/io/tokenizer.hpp"

#include <cmath>

namespace HONE_NAMESPACE::io {

/// As run.c: a space is put in front of the text; every UTF-8 character that is a token stands for itself,
/// every other one for its bytes, or the unknown token where a byte has none; then the adjacent pair whose
/// concatenation is the token of the highest score is merged, the leftmost of equals first, until none is left. run.c
/// rescans the text for every merge, O(n^2); this does not. Two things differ from run.c: it looks at no scores below
/// -1e10, and takes a space and stray continuation bytes after it for one character. Decoding drops a space after the
/// begin of text.
/// @param vocab the model's number of tokens; without it, as many as there are. @param file what errors call the bytes.
/// @throws format_error unless @p bytes hold exactly that many tokens, at least the 3 special ones, none longer than
///         the header says, with scores that are numbers.
inline tokenizer parse_tokenizer_bin(std::span<const std::byte> bytes, std::optional<index_t> vocab,
                                     const std::string& file) {
  constexpr std::int32_t longest_token = 1 << 16;
  constexpr token_id first_byte = 3;
  const auto fail = [&](std::size_t at, const std::string& reason) {
    throw format_error(file, {position::unit::byte, at}, reason);
  };
  if (vocab && *vocab < 3)
    throw format_error(file, {}, "a model of " + std::to_string(*vocab) + " tokens has no unknown, begin and end");
  if (bytes.size() < 4) fail(bytes.size(), "too short for a tokenizer");
  const auto longest = load_little_endian<std::int32_t>(bytes, 0);
  if (longest < 1 || longest > longest_token)
    fail(0, "the longest token must have 1 to " + std::to_string(longest_token) + " bytes, has " +
                std::to_string(longest));
  tokenizer_parts parts;
  std::size_t at = 4;
  for (index_t id = 0; vocab ? id < *vocab : at < bytes.size() || id < 3; ++id) {
    if (bytes.size() - at < 8)
      fail(at, "the file ends after " + std::to_string(id) + " tokens" +
                   (vocab ? ", the model has " + std::to_string(*vocab) : std::string()));
    const auto score = load_little_endian<float>(bytes, at);
    const auto length = load_little_endian<std::int32_t>(bytes, at + 4);
    if (std::isnan(score)) fail(at, "the score of token " + std::to_string(id) + " is not a number");
    if (length < 1 || length > longest)
      fail(at + 4, "token " + std::to_string(id) + " has " + std::to_string(length) + " bytes, must have 1 to " +
                       std::to_string(longest));
    at += 8;
    if (bytes.size() - at < static_cast<std::size_t>(length))
      fail(at, "the file ends inside token " + std::to_string(id));
    parts.pieces.push_back(
        {{reinterpret_cast<const char*>(bytes.data()) + at, static_cast<std::size_t>(length)}, true});
    parts.scores.push_back(score);
    at += static_cast<std::size_t>(length);
  }
  if (at != bytes.size())
    fail(at, std::to_string(bytes.size() - at) + " bytes follow the model's " + std::to_string(*vocab) + " tokens");

  for (token_id byte = 0; byte < 256; ++byte)
    parts.byte_ids.push_back(first_byte + byte < std::ssize(parts.pieces) ? first_byte + byte : 0);
  parts.bos = 1;
  parts.eos = 2;
  parts.prefix = {1};
  for (const token_id id : {1, 2})
    parts.added.push_back({.content = {}, .id = id, .special = true});  // no text spells them
  if (std::any_of(parts.pieces.begin(), parts.pieces.end(), [](const auto& p) { return p.text == " "; }))
    parts.normalizer.push_back({.is = normalizer_step::kind::prepend, .to = " "});
  parts.word_begin = " ";
  parts.decoding = {.byte_pieces = true, .strip = " ", .strip_after_begin = true};
  return tokenizer(std::move(parts));
}

/// Reads a tokenizer.bin. @throws std::system_error, format_error.
inline tokenizer read_tokenizer_bin(const std::filesystem::path& path, std::optional<index_t> vocab = {}) {
  return parse_tokenizer_bin(read_file(path), vocab, path.string());
}

}  // namespace HONE_NAMESPACE::io
