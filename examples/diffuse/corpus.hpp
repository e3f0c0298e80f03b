// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What is learnt from, as sequences of one length: sentences of the grammar, without end, or windows of a text, of
/// whose last tenth none is learnt from.
#pragma once
#include "diffuse/alphabet.hpp"
#include "hone/transformer/labelled_rows.hpp"
#include "support/streams.hpp"

namespace diffuse {

namespace transformer = hone::transformer;
using program::seed_of;

/// Every random choice is a number of one of these streams.
enum class stream : std::uint32_t { parameters = 1, text, masks, held_out_text, held_out_masks, sampling };

class corpus {
 public:
  /// Of the grammar.
  explicit corpus(index_t length) : length_(length), sentences_(grammar()) {}
  /// Of @p tokens, those of @p file but for a share @p left_out of it. @throws std::runtime_error if they are not one
  /// sequence to be held out and one to be learnt from.
  corpus(index_t length, std::vector<std::int32_t> tokens, double left_out, const std::string& file)
      : length_(length), tokens_(std::move(tokens)), left_out_(left_out) {
    const index_t count = std::ssize(tokens_);
    program::require(count >= length, "%s: has %td tokens, fewer than a sequence of --length %td", file.c_str(), count,
                     length);
    program::require(count >= 2 * length,
                     "%s: has %td tokens: with one sequence of --length %td held out, none is left", file.c_str(),
                     count, length);
    learnt_ = (std::min)(count - length, (std::max)(length, count - count / 10));
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const std::int32_t token : tokens_) hash = (hash ^ static_cast<std::uint32_t>(token)) * 0x100000001b3;
    fingerprint_ = program::text("%td tokens, %016llx", count, static_cast<unsigned long long>(hash));
  }

  /// @p count sequences of step @p step of a run: where windows begin is drawn.
  [[nodiscard]] transformer::token_rows draw(std::uint64_t seed, long step, index_t count) const {
    transformer::token_rows rows;
    const std::uint64_t own = seed_of(seed, stream::text);
    for (index_t i = 0; i < count; ++i) {
      const auto number = static_cast<std::uint64_t>((step - 1) * count + i);
      if (sentences_)
        rows.add(sentences_->draw(own, number, length_));
      else
        rows.add(window(
            static_cast<index_t>(hone::philox{own}.uniform(number) * static_cast<double>(learnt_ - length_ + 1))));
    }
    return rows;
  }
  /// @p count sequences that are never learnt from, the same ones in every run; fewer of a short text.
  [[nodiscard]] transformer::token_rows held_out(index_t count) const {
    transformer::token_rows rows;
    const index_t windows = sentences_ ? count : (std::min)(count, (std::ssize(tokens_) - learnt_) / length_);
    for (index_t i = 0; i < windows; ++i)
      if (sentences_)
        rows.add(sentences_->draw(seed_of(0, stream::held_out_text), static_cast<std::uint64_t>(i), length_));
      else
        rows.add(window(learnt_ + i * ((std::ssize(tokens_) - learnt_) / windows)));
    return rows;
  }
  /// -log p of @p rows a token, where the source says; else none.
  [[nodiscard]] std::optional<double> entropy_of(const transformer::token_rows& rows) const {
    if (!sentences_) return {};
    double sum = 0;
    for (std::size_t s = 0; s + 1 < rows.offsets.size(); ++s)
      sum -= sentences_->log_probability(
          std::span(rows.tokens).subspan(static_cast<std::size_t>(rows.offsets[s]), static_cast<std::size_t>(length_)));
    return sum / static_cast<double>(rows.tokens.size());
  }
  [[nodiscard]] index_t length() const { return length_; }
  /// The share of a text's bytes that its tokens do not say.
  [[nodiscard]] double left_out() const { return left_out_; }
  /// Whether @p token may be in it.
  [[nodiscard]] bool has(std::int32_t token) const {
    return sentences_ ? token < grammar::words : std::find(tokens_.begin(), tokens_.end(), token) != tokens_.end();
  }
  /// Of a text's tokens (FNV-1a, of words of 32 bits), which tells another text of the same name; empty of the grammar.
  [[nodiscard]] const std::string& fingerprint() const { return fingerprint_; }

 private:
  [[nodiscard]] std::span<const std::int32_t> window(index_t begin) const {
    return std::span(tokens_).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(length_));
  }

  index_t length_;
  std::optional<grammar> sentences_;
  std::vector<std::int32_t> tokens_;
  index_t learnt_ = 0;  ///< tokens before those that are held out
  double left_out_ = 0;
  std::string fingerprint_;
};

/// The text that @p file is, in tokens of @p of; the grammar where @p file is empty.
/// @throws std::system_error if it cannot be read, and as `corpus`.
inline corpus read_corpus(const std::string& file, const alphabet& of, index_t length) {
  if (file.empty()) return corpus(length);
  const auto bytes = io::read_file(file);
  std::vector<std::int32_t> tokens = of.encode(io::text_of(bytes));
  const double left_out = bytes.empty() ? 0 : 1 - of.bytes_of(tokens) / static_cast<double>(bytes.size());
  return {length, std::move(tokens), left_out, file};
}

}  // namespace diffuse
