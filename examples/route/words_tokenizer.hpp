// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A tokenizer.json whose tokens are whole words, which spaces part; readers drop what is no word.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "hone/io/file.hpp"

namespace route {

/// Word i of @p words is token i. @throws std::system_error.
inline void write_words_tokenizer(const std::filesystem::path& folder, const std::vector<std::string>& words) {
  constexpr const char* space = "\xe2\x96\x81";  // U+2581
  nlohmann::json vocab;
  for (std::size_t i = 0; i < words.size(); ++i) vocab[space + words[i]] = i;
  const nlohmann::json spaces = {
      {"type", "Metaspace"}, {"replacement", space}, {"prepend_scheme", "always"}, {"split", true}};
  hone::io::atomic_file out(folder / "tokenizer.json");
  out.write(nlohmann::json{
      {"version", "1.0"},
      {"added_tokens", nlohmann::json::array()},
      {"normalizer", nullptr},
      {"pre_tokenizer", spaces},
      {"post_processor", nullptr},
      {"decoder", spaces},
      {"model", {{"type", "BPE"}, {"ignore_merges", true}, {"vocab", vocab}, {"merges", nlohmann::json::array()}}}}
                .dump(1));
  out.commit();
}

}  // namespace route
