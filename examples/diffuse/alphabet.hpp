// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What tokens are: words of the grammar, bytes, or a tokenizer's; and a tokenizer.json that says so, for the folder
/// that a model is saved in. The mask is one token more, unless a model has its own.
#pragma once
#include <filesystem>
#include <optional>

#include <nlohmann/json.hpp>

#include "diffuse/grammar.hpp"
#include "hone/io/byte_alphabet.hpp"
#include "hone/io/tokenizer.hpp"
#include "support/files.hpp"

namespace diffuse {

namespace io = hone::io;

/// A tokenizer.json whose tokens are @p pieces, in the alphabet of bytes, and then "<mask>"; no two are merged.
inline nlohmann::json tokenizer_of(const std::vector<std::string>& pieces, bool words) {
  nlohmann::json vocab;
  for (std::size_t i = 0; i < pieces.size(); ++i) vocab[pieces[i]] = i;
  const nlohmann::json level = {
      {"type", "ByteLevel"}, {"add_prefix_space", words}, {"trim_offsets", true}, {"use_regex", words}};
  return {
      {"version", "1.0"},
      {"added_tokens",
       {{{"id", pieces.size()},
         {"content", "<mask>"},
         {"single_word", false},
         {"lstrip", false},
         {"rstrip", false},
         {"normalized", false},
         {"special", true}}}},
      {"normalizer", nullptr},
      {"pre_tokenizer", level},
      {"post_processor", nullptr},
      {"decoder", level},
      {"model", {{"type", "BPE"}, {"ignore_merges", words}, {"vocab", vocab}, {"merges", nlohmann::json::array()}}}};
}

/// The letter that stands for @p byte in the alphabet of bytes, in UTF-8.
inline std::string letter_of(unsigned char byte) {
  const unsigned letter = io::byte_alphabet[byte];
  if (letter < 0x80) return {static_cast<char>(letter)};
  return {static_cast<char>(0xc0 | letter >> 6), static_cast<char>(0x80 | (letter & 0x3f))};
}

inline nlohmann::json tokenizer_of_words() {
  std::vector<std::string> pieces;
  for (std::int32_t i = 0; i < grammar::words; ++i) pieces.push_back(letter_of(' ') + grammar::word(i));
  return tokenizer_of(pieces, true);
}
inline nlohmann::json tokenizer_of_bytes() {
  std::vector<std::string> pieces;
  for (unsigned byte = 0; byte < 256; ++byte) pieces.push_back(letter_of(static_cast<unsigned char>(byte)));
  return tokenizer_of(pieces, false);
}

/// The tokenizer of a file of its own, or one of those above, with as many tokens as a model must have.
class alphabet {
 public:
  /// Words where @p text is empty, else the tokenizer in @p file, else bytes.
  /// @throws what `program::read_tokenizer` throws.
  alphabet(const std::string& text, const std::string& file) {
    if (!file.empty()) {
      file_ = file;
      tokenizer_.emplace(program::saying_what_it_seems(file, "tokenizer", [&] { return io::read_tokenizer(file); }));
      vocab_ = tokenizer_->vocab() + 1;
      return;
    }
    bytes_ = !text.empty();
    json_ = bytes_ ? tokenizer_of_bytes() : tokenizer_of_words();
    tokenizer_.emplace(io::parse_tokenizer_json(json_.dump(), "tokenizer.json"));
    vocab_ = tokenizer_->vocab();
  }
  /// That of the @p model, a folder, or in @p file, for @p vocab tokens.
  alphabet(const std::string& model, const std::string& file, index_t vocab)
      : file_(file.empty() ? (std::filesystem::path(model) / "tokenizer.json").string() : file), vocab_(vocab) {
    tokenizer_.emplace(program::read_tokenizer(model, file, vocab));
  }

  [[nodiscard]] index_t vocab() const { return vocab_; }
  [[nodiscard]] const io::tokenizer& tokens() const { return *tokenizer_; }
  /// The tokens of @p text, and nothing around it.
  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text) const {
    if (bytes_) {  // a text of many megabytes is no word to be merged
      std::vector<std::int32_t> ids;
      for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
      return ids;
    }
    return tokenizer_->encode(text, {.add_special = false, .parse_special = false});
  }
  /// How many bytes @p ids say.
  [[nodiscard]] double bytes_of(const std::vector<std::int32_t>& ids) const {
    return static_cast<double>(bytes_ ? ids.size() : program::text_of(*tokenizer_, ids).size());
  }
  /// Beside a saved model. A tokenizer.bin is left where it is. @throws std::system_error.
  void write(const std::filesystem::path& folder) const {
    if (!file_.empty() && !file_.ends_with(".json")) return;
    const std::string text = file_.empty() ? json_.dump(1) : std::string(io::text_of(io::read_file(file_)));
    io::atomic_file out(folder / "tokenizer.json");
    out.write(text);
    out.commit();
  }

 private:
  std::string file_;
  nlohmann::json json_;
  std::optional<io::tokenizer> tokenizer_;
  index_t vocab_ = 0;
  bool bytes_ = false;
};

}  // namespace diffuse
