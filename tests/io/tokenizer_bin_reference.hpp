// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The tokenizer by its definition, without a heap: what the real one is checked, fuzzed and measured against.
#pragma once
#include "hone/io/file.hpp"

#include <string>
#include <unordered_map>

struct token {
  std::string piece;
  float score;
};

inline std::vector<std::byte> tokenizer_bytes(const std::vector<token>& tokens) {
  std::size_t longest = 1;
  for (const token& t : tokens) longest = (std::max)(longest, t.piece.size());
  std::vector<std::byte> bytes;
  hone::io::append_little_endian(bytes, static_cast<std::int32_t>(longest));
  for (const token& t : tokens) {
    hone::io::append_little_endian(bytes, t.score);
    hone::io::append_little_endian(bytes, static_cast<std::int32_t>(t.piece.size()));
    for (const char c : t.piece) bytes.push_back(static_cast<std::byte>(c));
  }
  return bytes;
}

/// The tokens of a sound tokenizer.bin.
inline std::vector<token> tokens_of(std::span<const std::byte> bytes) {
  std::vector<token> tokens;
  for (std::size_t at = 4; at < bytes.size();) {
    const auto length = hone::io::load_little_endian<std::uint32_t>(bytes, at + 4);
    const auto piece = bytes.subspan(at + 8, length);
    tokens.push_back(
        {{reinterpret_cast<const char*>(piece.data()), length}, hone::io::load_little_endian<float>(bytes, at)});
    at += 8 + length;
  }
  return tokens;
}

class reference_tokenizer {
 public:
  explicit reference_tokenizer(std::vector<token> tokens) : tokens_(std::move(tokens)) {
    for (std::size_t i = 0; i < tokens_.size(); ++i) id_of_.emplace(tokens_[i].piece, static_cast<std::int32_t>(i));
  }

  /// Characters or their bytes, then the best pair again and again; begin and end are left out.
  [[nodiscard]] std::vector<std::int32_t> encode(const std::string& text) const {
    std::vector<std::int32_t> ids;
    if (!text.empty() && id_of_.contains(" ")) ids.push_back(id_of_.at(" "));
    std::string character;
    for (const char byte : text) {
      const bool continuation = (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
      if (!character.empty() && (!continuation || character.size() == 4 || character == " "))
        put(character, ids), character.clear();
      character += byte;
    }
    if (!character.empty()) put(character, ids);
    while (merge_best(ids)) {
    }
    return ids;
  }

 private:
  void put(const std::string& character, std::vector<std::int32_t>& ids) const {
    if (const auto found = id_of_.find(character); found != id_of_.end()) {
      ids.push_back(found->second);
      return;
    }
    for (const char byte : character) {
      const std::size_t id = 3u + static_cast<unsigned char>(byte);
      ids.push_back(id < tokens_.size() ? static_cast<std::int32_t>(id) : 0);
    }
  }

  bool merge_best(std::vector<std::int32_t>& ids) const {
    const token* best = nullptr;
    std::size_t where = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto found = id_of_.find(at(ids[i]).piece + at(ids[i + 1]).piece);
      if (found == id_of_.end()) continue;
      const token& candidate = at(found->second);
      if (best == nullptr || candidate.score > best->score) best = &candidate, where = i;
    }
    if (best == nullptr) return false;
    ids[where] = static_cast<std::int32_t>(best - tokens_.data());
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(where) + 1);
    return true;
  }

  [[nodiscard]] const token& at(std::int32_t id) const { return tokens_[static_cast<std::size_t>(id)]; }

  std::vector<token> tokens_;
  std::unordered_map<std::string, std::int32_t> id_of_;
};
