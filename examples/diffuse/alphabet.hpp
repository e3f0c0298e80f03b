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
#include "hone/io/unicode.hpp"
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
  std::string letter;
  io::append_utf8(letter, io::byte_alphabet[byte]);
  return letter;
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
  /// The tokenizer in @p file, if that is told, else bytes, or words.
  /// @throws what `program::read_tokenizer` throws.
  alphabet(bool bytes, const std::string& file) : bytes_(bytes && file.empty()) {
    if (!file.empty()) {
      read(file);
      vocab_ = tokenizer_->vocab() + 1;
      return;
    }
    json_ = (bytes_ ? tokenizer_of_bytes() : tokenizer_of_words()).dump(1);
    tokenizer_.emplace(io::parse_tokenizer_json(json_, "tokenizer.json"));
    vocab_ = tokenizer_->vocab();
  }
  /// That of the @p model, a folder or a GGUF file, or in @p file, for @p vocab tokens: no more, as the mask may be one
  /// that the tokenizer does not know.
  alphabet(const std::string& model, const std::string& file, index_t vocab) : vocab_(vocab) {
    if (!file.empty()) {
      read(file);
      program::require(tokenizer_->vocab() <= vocab, "%s: %td tokens, the model has %td", file.c_str(),
                       tokenizer_->vocab(), vocab);
      return;
    }
    tokenizer_.emplace(program::read_tokenizer(model, file, vocab));
    if (std::filesystem::is_directory(model))
      json_ = io::text_of(io::read_file(std::filesystem::path(model) / "tokenizer.json"));
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
  /// Whether there is a tokenizer.json to be saved: of a tokenizer.bin or a GGUF file there is none.
  [[nodiscard]] bool can_be_saved() const { return !json_.empty(); }
  /// Makes the tokenizer.json beside a saved model this one, or takes away what an earlier model left.
  /// @throws std::system_error.
  void write(const std::filesystem::path& folder) const {
    if (!can_be_saved()) {
      std::filesystem::remove(folder / "tokenizer.json");
      return;
    }
    io::atomic_file out(folder / "tokenizer.json");
    out.write(json_);
    out.commit();
  }

 private:
  void read(const std::string& file) {
    tokenizer_.emplace(program::saying_what_it_seems(file, "tokenizer", [&] { return io::read_tokenizer(file); }));
    if (file.ends_with(".json")) json_ = io::text_of(io::read_file(file));
  }

  bool bytes_ = false;
  std::string json_;
  std::optional<io::tokenizer> tokenizer_;
  index_t vocab_ = 0;
};

}  // namespace diffuse
