// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A tokenizer from whichever file it lies in.
#pragma once
#include "hone/io/tokenizer_bin.hpp"
#include "hone/io/tokenizer_json.hpp"

namespace HONE_NAMESPACE::io {

/// Reads a tokenizer.json (a name that ends in .json) or, from any other name, a tokenizer.bin, for a model of @p vocab
/// tokens if it is given: a tokenizer.bin must have as many, a tokenizer.json at most as many.
/// @throws std::system_error, format_error.
inline tokenizer read_tokenizer(const std::filesystem::path& path, std::optional<index_t> vocab = {}) {
  if (path.extension() != ".json") return read_tokenizer_bin(path, vocab);
  tokenizer t = read_tokenizer_json(path);
  if (vocab && t.vocab() > *vocab)
    throw format_error(path.string(), {},
                       std::to_string(t.vocab()) + " tokens, the model has " + std::to_string(*vocab));
  return t;
}

}  // namespace HONE_NAMESPACE::io
