// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The byte-pair tokenizer of llama2.c's tokenizer.bin: int32 longest token, then for each token float32 score, int32
/// length, bytes; the number of tokens is the model's vocabulary. Ids 0, 1, 2 are unknown, begin, end; ids 3 to 258
/// are the 256 bytes. [karpathy/llama2.c, tokenizer.py and run.c]
#pragma once
#include "hone/io/file.hpp"

#include <array>
#include <cmath>
#include <functional>
#include <queue>
#include <unordered_map>

namespace hone::io {

using token_id = std::int32_t;

/// Encodes as run.c does: a space is put in front of the text; every UTF-8 character that is a token stands for
/// itself, every other one for its bytes; then the adjacent pair whose concatenation is the token of the highest score
/// is merged, the leftmost of equals first, until none is left. run.c rescans the text for every merge, O(n^2); this
/// keeps the candidates in a heap, O(n log n), with the same result (for scores above -1e10, below which run.c does not
/// look).
class tokenizer {
 public:
  static constexpr token_id begin_of_text = 1;
  static constexpr token_id end_of_text = 2;

  /// @param vocab the model's number of tokens; @param file what errors call the bytes.
  /// @throws format_error unless @p bytes hold exactly that many tokens, at least the 3 special ones, none longer than
  ///         the header says, with scores that are numbers.
  tokenizer(std::span<const std::byte> bytes, index_t vocab, const std::string& file) {
    const auto fail = [&](std::size_t at, const std::string& reason) {
      throw format_error(file, {position::unit::byte, at}, reason);
    };
    if (vocab < 3) fail(0, "a model of " + std::to_string(vocab) + " tokens has no unknown, begin and end");
    if (bytes.size() < 4) fail(bytes.size(), "too short for a tokenizer");
    const auto longest = load_little_endian<std::int32_t>(bytes, 0);
    if (longest < 1 || longest > longest_token)
      fail(0, "the longest token must have 1 to " + std::to_string(longest_token) + " bytes, has " +
                  std::to_string(longest));
    std::size_t at = 4;
    for (index_t id = 0; id < vocab; ++id) {
      if (bytes.size() - at < 8)
        fail(at, "the file ends after " + std::to_string(id) + " tokens, the model has " + std::to_string(vocab));
      const auto score = load_little_endian<float>(bytes, at);
      const auto length = load_little_endian<std::int32_t>(bytes, at + 4);
      if (std::isnan(score)) fail(at, "the score of token " + std::to_string(id) + " is not a number");
      if (length < 1 || length > longest)
        fail(at + 4, "token " + std::to_string(id) + " has " + std::to_string(length) + " bytes, must have 1 to " +
                         std::to_string(longest));
      at += 8;
      if (bytes.size() - at < static_cast<std::size_t>(length))
        fail(at, "the file ends inside token " + std::to_string(id));
      pieces_.emplace_back(reinterpret_cast<const char*>(bytes.data()) + at, static_cast<std::size_t>(length));
      scores_.push_back(score);
      at += static_cast<std::size_t>(length);
    }
    if (at != bytes.size())
      fail(at, std::to_string(bytes.size() - at) + " bytes follow the model's " + std::to_string(vocab) + " tokens");
    // run.c searches a sorted table; of equal pieces this keeps the first.
    for (std::size_t id = 0; id < pieces_.size(); ++id) ids_.try_emplace(pieces_[id], static_cast<token_id>(id));
  }

  [[nodiscard]] index_t vocab() const { return static_cast<index_t>(pieces_.size()); }

  /// The ids of @p text, which may hold any bytes. Bytes that are neither part of a token nor have one of their own
  /// (a vocabulary of fewer than 259) become the unknown id 0.
  [[nodiscard]] std::vector<token_id> encode(std::string_view text, bool begin = true, bool end = false) const {
    std::vector<token_id> ids;
    if (begin) ids.push_back(begin_of_text);
    if (!text.empty()) merge(characters(text), ids);
    if (end) ids.push_back(end_of_text);
    return ids;
  }

  /// The bytes that @p id stands for behind @p previous: a byte token is its byte, a leading space behind the begin of
  /// the text is dropped. @throws std::invalid_argument if an id is not in the vocabulary.
  [[nodiscard]] std::string_view decode(token_id id, token_id previous) const {
    std::string_view piece = this->piece(id);
    if (previous == begin_of_text && piece.starts_with(' ')) piece.remove_prefix(1);
    if (piece.size() == 6 && piece.starts_with("<0x") && piece.ends_with('>')) {
      const int high = hex_digit(piece[3]), low = hex_digit(piece[4]), byte = 16 * high + low;
      if (high >= 0 && low >= 0) return {&byte_table[static_cast<std::size_t>(byte)], 1};
    }
    return piece;
  }

  /// The text of @p ids; begin and end of text stand for nothing.
  [[nodiscard]] std::string decode(std::span<const token_id> ids) const {
    std::string text;
    token_id previous = 0;
    for (const token_id id : ids) {
      if (id != begin_of_text && id != end_of_text) text += decode(id, previous);
      previous = id;
    }
    return text;
  }

  /// The token as it is stored. @throws std::invalid_argument if @p id is not in the vocabulary.
  [[nodiscard]] std::string_view piece(token_id id) const {
    invalid_argument_unless(id >= 0 && id < vocab(), "hone::io::tokenizer", "id", "must be in [0, %td), is %d", vocab(),
                            id);
    return pieces_[static_cast<std::size_t>(id)];
  }

 private:
  static constexpr std::int32_t longest_token = 1 << 16;
  static constexpr token_id first_byte = 3;

  static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  }

  static constexpr std::array<char, 256> byte_table = [] {
    std::array<char, 256> bytes{};
    for (std::size_t i = 0; i < 256; ++i) bytes[i] = static_cast<char>(i);
    return bytes;
  }();

  [[nodiscard]] token_id find(std::string_view piece) const {
    const auto found = ids_.find(piece);
    return found == ids_.end() ? -1 : found->second;
  }

  /// One id a character or byte. As in run.c a character is a byte and up to three continuation bytes behind it.
  [[nodiscard]] std::vector<token_id> characters(std::string_view text) const {
    std::vector<token_id> ids;
    if (const token_id space = find(" "); space >= 0) ids.push_back(space);
    for (std::size_t i = 0; i < text.size();) {
      std::size_t length = 1;
      while (length < 4 && i + length < text.size() && (static_cast<unsigned char>(text[i + length]) & 0xc0) == 0x80)
        ++length;
      const std::string_view character = text.substr(i, length);
      if (const token_id id = find(character); id >= 0) {
        ids.push_back(id);
      } else {
        for (const char byte : character) {
          const token_id of_byte = first_byte + static_cast<unsigned char>(byte);
          ids.push_back(of_byte < vocab() ? of_byte : 0);
        }
      }
      i += length;
    }
    return ids;
  }

  void merge(std::vector<token_id> symbols, std::vector<token_id>& out) const {
    struct candidate {
      float score;
      token_id merged, left_id, right_id;
      std::size_t left;
      bool operator<(const candidate& other) const {
        return score != other.score ? score < other.score : left > other.left;
      }
    };
    constexpr token_id gone = -1;
    const std::size_t n = symbols.size();
    std::vector<std::size_t> previous(n), next(n);
    for (std::size_t i = 0; i < n; ++i) previous[i] = i - 1, next[i] = i + 1;
    std::priority_queue<candidate> queue;
    std::string joined;
    const auto consider = [&](std::size_t left) {
      if (left >= n || next[left] >= n) return;
      const token_id left_id = symbols[left], right_id = symbols[next[left]];
      joined.assign(pieces_[static_cast<std::size_t>(left_id)]);
      joined += pieces_[static_cast<std::size_t>(right_id)];
      if (const token_id id = find(joined); id >= 0)
        queue.push({scores_[static_cast<std::size_t>(id)], id, left_id, right_id, left});
    };
    for (std::size_t i = 0; i < n; ++i) consider(i);
    while (!queue.empty()) {
      const candidate best = queue.top();
      queue.pop();
      const std::size_t left = best.left, right = next[left];
      // A pair whose symbols have changed since is stale.
      if (symbols[left] != best.left_id || right >= n || symbols[right] != best.right_id) continue;
      symbols[left] = best.merged;
      symbols[right] = gone;
      next[left] = next[right];
      if (next[left] < n) previous[next[left]] = left;
      consider(previous[left]);
      consider(left);
    }
    for (std::size_t i = 0; i < n; i = next[i]) out.push_back(symbols[i]);
  }

  struct hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  std::vector<std::string> pieces_;
  std::vector<float> scores_;
  std::unordered_map<std::string, token_id, hash, std::equal_to<>> ids_;
};

/// Reads a tokenizer.bin for a model of @p vocab tokens. @throws std::system_error, format_error.
inline tokenizer read_tokenizer(const std::filesystem::path& path, index_t vocab) {
  return tokenizer(read_file(path), vocab, path.string());
}

}  // namespace hone::io
