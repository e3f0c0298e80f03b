// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Text to ids and back by byte-pair encoding, whichever file the vocabulary comes from: tokenizer_json.hpp,
/// tokenizer_bin.hpp and tokenizer_gguf.hpp read it into `tokenizer_parts`. In order: added tokens are cut out, what
/// lies between is normalized, cut into words, and each word's characters or bytes are merged. [Sennrich et al. 2016,
/// arXiv 1508.07909; Kudo and Richardson 2018, SentencePiece, arXiv 1808.06226]
#pragma once
#include "hone/core/contract.hpp"
#include "hone/io/added_tokens.hpp"
#include "hone/io/byte_alphabet.hpp"
#include "hone/io/pre_tokenizer.hpp"

#include <unordered_map>
#include <utility>

namespace HONE_NAMESPACE::io {

/// What a text goes through before it is cut into words.
struct normalizer_step {
  enum class kind { form_c, prepend, replace } is;
  std::string from = {};  ///< replace
  std::string to = {};    ///< replace; prepend: what is put in front of a text that is not empty
};

/// What a token stands for in a text.
struct decoding_rules {
  bool byte_alphabet = false;                                     ///< pieces are written in the alphabet of bytes
  std::vector<std::pair<std::string, std::string>> replace = {};  ///< in pieces, in turn
  bool byte_pieces = false;                                       ///< <0x41> is the byte 0x41
  std::string separator = {};                                     ///< between tokens
  std::string not_in_first = {};                                  ///< vanishes, replaced as it is, from the first token
  std::string strip = {};  ///< is taken from the front of the text, at most `strip_most` times
  std::size_t strip_most = 0;
  bool strip_after_begin = false;  ///< only where the first token follows the begin of text
};

/// A tokenizer as data. Ids in it must be in [0, pieces.size()).
struct tokenizer_parts {
  struct piece {
    std::string text = {};  ///< as it is stored; empty where an id has no token
    bool merges = false;    ///< whether merging can lead to it
  };
  std::vector<piece> pieces = {};              ///< by id
  std::vector<merge_table::rule> merges = {};  ///< in order; or
  std::vector<float> scores = {};              ///< by id: pairs that are a piece merge, that of the highest score first
  bool ignore_merges = false;                  ///< a word that is a piece is that token, whatever the merges
  bool byte_level = false;                     ///< merging begins with bytes, and pieces are in the alphabet of bytes
  std::vector<token_id> byte_ids = {};         ///< of the bytes of characters that are no piece; -1: none; or empty
  std::optional<token_id> unknown = {};        ///< for other characters, which else stand for nothing
  bool fuse_unknown = false;                   ///< one for several in a row
  std::vector<normalizer_step> normalizer = {};
  std::vector<split_rule> splits = {};
  std::string word_begin = {};  ///< the character that words begin with, where no split separates them
  std::vector<added_token> added = {};
  std::vector<token_id> prefix = {}, suffix = {};  ///< around every text
  std::optional<token_id> bos = {}, eos = {};
  decoding_rules decoding = {};
};

struct encode_options {
  bool add_special = true;    ///< put around the text what the file says: the begin of text, most often
  bool parse_special = true;  ///< special tokens that the text spells out are tokens; else they are plain text
};

/// Immutable: may be used from several threads at a time.
class tokenizer {
 public:
  explicit tokenizer(tokenizer_parts parts)
      : parts_(std::move(parts)), merges_(parts_.merges), special_(parts_.pieces.size()) {
    for (const auto& piece : parts_.pieces) texts_.push_back(text_of(piece));
    std::vector<added_token> raw, normalized;
    for (added_token t : parts_.added) {
      const auto at = static_cast<std::size_t>(t.id);
      if (t.special) special_[at] = true;
      if (t.normalized) {
        std::string storage;
        t.content = std::string(normalize(t.content, storage));
        if (!parts_.pieces[at].merges) texts_[at] = text_of({t.content, false});
      }
      (t.normalized ? normalized : raw).push_back(std::move(t));
    }
    raw_ = added_token_matcher(std::move(raw));
    normalized_ = added_token_matcher(std::move(normalized));
    learn_words();
  }

  /// One more than the largest id. A model may have more.
  [[nodiscard]] index_t vocab() const { return std::ssize(parts_.pieces); }
  [[nodiscard]] std::optional<token_id> bos() const { return parts_.bos; }
  [[nodiscard]] std::optional<token_id> eos() const { return parts_.eos; }

  /// The ids of @p text, which may hold any bytes: those that are no UTF-8 count as characters of their own, of no
  /// class. O(n log n).
  [[nodiscard]] std::vector<token_id> encode(std::string_view text, encode_options options = {}) const {
    std::vector<token_id> ids;
    if (options.add_special) ids = parts_.prefix;
    std::string storage;
    scratch s;
    raw_.cut(text, options.parse_special, [&](std::string_view part, const added_token* token, std::size_t begin) {
      if (token != nullptr) return ids.push_back(token->id);
      normalized_.cut(normalize(part, storage), options.parse_special,
                      [&](std::string_view rest, const added_token* found, std::size_t inner) {
                        if (found != nullptr) return ids.push_back(found->id);
                        split_words(rest, parts_.splits, begin + inner == 0,
                                    [&](std::string_view piece) { encode_piece(piece, s, ids); });
                      });
    });
    if (options.add_special) ids.insert(ids.end(), parts_.suffix.begin(), parts_.suffix.end());
    return ids;
  }

  /// The text of @p ids: byte for byte what their tokens stand for, UTF-8 or not. Special tokens stand for nothing,
  /// unless @p skip_special is false.
  /// @throws std::invalid_argument if an id is not in the vocabulary.
  [[nodiscard]] std::string decode(std::span<const token_id> ids, bool skip_special = true) const {
    std::string text;
    decoder_state state;
    for (const token_id id : ids) decode(id, skip_special, state, text);
    return text;
  }

  /// The token as it is stored; empty if there is none of that id. @throws std::invalid_argument if @p id is not in the
  /// vocabulary.
  [[nodiscard]] std::string_view piece(token_id id) const { return parts_.pieces[checked(id)].text; }

  /// What the token stands for inside a text. @throws std::invalid_argument if @p id is not in the vocabulary.
  [[nodiscard]] std::string_view text(token_id id) const { return texts_[checked(id)]; }

  /// Where a text that is decoded token by token has got to.
  struct decoder_state {
    token_id previous = -1;
    bool begun = false;     ///< a token has been decoded
    bool stripped = false;  ///< what there was to strip is past
    std::size_t stripped_count = 0;
  };

  /// Puts after @p out what @p id stands for after the tokens that @p state has seen.
  /// @throws std::invalid_argument if @p id is not in the vocabulary.
  void decode(token_id id, bool skip_special, decoder_state& state, std::string& out) const {
    const decoding_rules& rules = parts_.decoding;
    const std::size_t at = checked(id);
    const token_id previous = std::exchange(state.previous, id);
    if (skip_special && special_[at]) return;
    std::string_view text = texts_[at];
    std::string first;
    if (state.begun) out += rules.separator;
    if (!state.begun && !rules.not_in_first.empty()) text = first = detail::replaced(text, rules.not_in_first, "");
    state.begun = true;
    if (rules.strip_after_begin) {
      if (previous == parts_.bos && piece(id).starts_with(rules.strip)) text.remove_prefix(rules.strip.size());
    } else if (!state.stripped) {
      for (; state.stripped_count < rules.strip_most && text.starts_with(rules.strip); ++state.stripped_count)
        text.remove_prefix(rules.strip.size());
      state.stripped = !text.empty();
    }
    out += text;
  }

 private:
  struct scratch {
    std::vector<token_id> symbols;
    std::string joined;
    merge_scratch merging;
  };
  struct word_entry {
    token_id id;
    bool whole;  ///< whether a word of these bytes is this token
  };
  struct hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  [[nodiscard]] std::size_t checked(token_id id) const {
    invalid_argument_unless(id >= 0 && id < vocab(), "hone::io::tokenizer", "id", "must be in [0, %td), is %d", vocab(),
                            id);
    return static_cast<std::size_t>(id);
  }

  [[nodiscard]] std::string_view normalize(std::string_view text, std::string& storage) const {
    for (const normalizer_step& step : parts_.normalizer) {
      std::string next;
      switch (step.is) {
        case normalizer_step::kind::form_c:
          if (const std::string_view same = normalize_form_c(text, next); same.data() == text.data()) continue;
          break;
        case normalizer_step::kind::prepend:
          if (text.empty()) continue;
          next = step.to;
          next += text;
          break;
        case normalizer_step::kind::replace: next = detail::replaced(text, step.from, step.to); break;
      }
      text = storage = std::move(next);
    }
    return text;
  }

  /// Fills the table of words. The vocabulary is its own cache: a word that is a piece and whose merges end in that
  /// piece need not be merged again.
  void learn_words() {
    for (std::size_t id = 0; id < parts_.pieces.size(); ++id) {
      const auto& [text, merges] = parts_.pieces[id];
      if (!merges || text.empty()) continue;
      std::optional<std::string> word = parts_.byte_level ? bytes_of_alphabet(text) : text;
      if (word) words_.try_emplace(std::move(*word), word_entry{static_cast<token_id>(id), parts_.ignore_merges});
      longest_ = (std::max)(longest_, text.size());
    }
    if (parts_.byte_level)
      for (std::size_t byte = 0; byte < 256; ++byte) {
        const char letter = static_cast<char>(byte);
        const auto found = words_.find(std::string_view(&letter, 1));
        byte_symbols_[byte] = found == words_.end() ? -1 : found->second.id;
      }
    scratch s;
    for (auto& [word, entry] : words_) {
      if (entry.whole) continue;
      merge_word(word, s);
      entry.whole = s.symbols.size() == 1 && s.symbols.front() == entry.id;
    }
    words_apart_ = words_begin_safely();
  }

  /// Whether words may be merged one by one: no merge crosses their begin, which is a piece, and is inside no piece
  /// after anything else.
  [[nodiscard]] bool words_begin_safely() const {
    const std::string& mark = parts_.word_begin;
    if (parts_.byte_level || parts_.ignore_merges || mark.empty() || !words_.contains(mark)) return false;
    for (const auto& [text, merges] : parts_.pieces)
      for (std::size_t at = text.find(mark, 1); merges && at != std::string::npos; at = text.find(mark, at + 1))
        if (!std::string_view(text).substr(0, at).ends_with(mark)) return false;
    const auto touches = [&](token_id id) {
      const std::string& text = parts_.pieces[static_cast<std::size_t>(id)].text;
      return text.starts_with(mark) || text.ends_with(mark);
    };
    for (const token_id id : parts_.byte_ids)
      if (id >= 0 && touches(id)) return false;
    return !parts_.unknown || !touches(*parts_.unknown);
  }

  /// Encodes a piece that no split cuts any more, word by word where words begin with a mark.
  void encode_piece(std::string_view piece, scratch& s, std::vector<token_id>& ids) const {
    const std::string& mark = parts_.word_begin;
    if (!words_apart_) return encode_word(piece, s, ids);
    for (std::size_t begin = 0; begin < piece.size();) {
      std::size_t end = begin;
      while (piece.substr(end).starts_with(mark)) end += mark.size();
      end = (std::min)(piece.find(mark, end), piece.size());
      encode_word(piece.substr(begin, end - begin), s, ids);
      begin = end;
    }
  }

  void encode_word(std::string_view word, scratch& s, std::vector<token_id>& ids) const {
    if (const auto found = words_.find(word); found != words_.end() && found->second.whole)
      return ids.push_back(found->second.id);
    merge_word(word, s);
    ids.insert(ids.end(), s.symbols.begin(), s.symbols.end());
  }

  void merge_word(std::string_view word, scratch& s) const {
    symbols_of(word, s.symbols);
    if (parts_.scores.empty()) return merge_pairs(s.symbols, merges_, s.merging);
    const auto by_score = [&](token_id left, token_id right) -> std::optional<pair_merge> {
      s.joined = parts_.pieces[static_cast<std::size_t>(left)].text;
      s.joined += parts_.pieces[static_cast<std::size_t>(right)].text;
      const auto found = s.joined.size() <= longest_ ? words_.find(s.joined) : words_.end();
      if (found == words_.end()) return std::nullopt;
      return pair_merge{-static_cast<double>(parts_.scores[static_cast<std::size_t>(found->second.id)]),
                        found->second.id};
    };
    merge_pairs(s.symbols, by_score, s.merging);
  }

  /// What merging begins with: the ids of the bytes, or of the characters, which are what words begin with, or a byte
  /// and up to three continuation bytes after it. As in Hugging Face's BPE, an unknown token waits for the next known
  /// or unknown character.
  void symbols_of(std::string_view word, std::vector<token_id>& symbols) const {
    symbols.clear();
    bool pending = false;
    const auto flush = [&] {
      if (std::exchange(pending, false)) symbols.push_back(*parts_.unknown);
    };
    for (std::size_t at = 0; at < word.size();) {
      std::size_t size = 1;
      token_id id = -1;
      if (parts_.byte_level) {
        id = byte_symbols_[static_cast<std::uint8_t>(word[at])];
      } else {
        const std::string& mark = parts_.word_begin;
        if (!mark.empty() && word.substr(at).starts_with(mark)) {
          size = mark.size();
        } else {
          const auto continues = [&](std::size_t i) {
            return i < word.size() && (static_cast<std::uint8_t>(word[i]) & 0xc0) == 0x80;
          };
          while (size < 4 && continues(at + size)) ++size;
        }
        if (const auto found = words_.find(word.substr(at, size)); found != words_.end()) id = found->second.id;
      }
      if (id >= 0) {
        flush();
        symbols.push_back(id);
      } else if (!put_bytes(word.substr(at, size), symbols) && parts_.unknown) {
        if (!parts_.fuse_unknown) flush();
        pending = true;
      }
      at += size;
    }
    flush();
  }

  bool put_bytes(std::string_view character, std::vector<token_id>& symbols) const {
    if (parts_.byte_ids.empty()) return false;
    const auto id_of = [&](char byte) { return parts_.byte_ids[static_cast<std::uint8_t>(byte)]; };
    for (const char byte : character)
      if (id_of(byte) < 0) return false;
    for (const char byte : character) symbols.push_back(id_of(byte));
    return true;
  }

  [[nodiscard]] std::string text_of(const tokenizer_parts::piece& piece) const {
    const decoding_rules& rules = parts_.decoding;
    if (rules.byte_alphabet) {
      // An added token that is no piece of the model is written as it appears in texts.
      std::optional<std::string> bytes = piece.merges ? bytes_of_alphabet(piece.text) : std::nullopt;
      return bytes ? std::move(*bytes) : piece.text;
    }
    if (const int byte = byte_of_piece(piece.text); rules.byte_pieces && byte >= 0)
      return std::string(1, static_cast<char>(byte));
    std::string text = piece.text;
    for (const auto& [from, to] : rules.replace) text = detail::replaced(text, from, to);
    return text;
  }

  tokenizer_parts parts_;
  merge_table merges_;
  added_token_matcher raw_, normalized_;
  std::vector<bool> special_;       ///< by id
  std::vector<std::string> texts_;  ///< by id
  std::unordered_map<std::string, word_entry, hash, std::equal_to<>> words_;
  std::array<token_id, 256> byte_symbols_{};
  std::size_t longest_ = 0;
  bool words_apart_ = false;  ///< no merge crosses the begin of a word
};

/// Decodes token by token, for text that is shown as it is generated: what is handed out never ends inside a UTF-8
/// character of which more may come. All that is handed out, with `rest()`, is `decode` of all tokens.
class text_stream {
 public:
  /// @p before are the ids in front of the first token, whose text is not handed out. @p t must outlive the stream.
  /// @throws std::invalid_argument if an id is not in the vocabulary.
  explicit text_stream(const tokenizer& t, std::span<const token_id> before = {}, bool skip_special = true)
      : tokenizer_(&t), skip_special_(skip_special) {
    for (const token_id id : before) push(id);
    pending_.clear();
  }

  /// The text that @p id completes, often but not always its own. @throws std::invalid_argument if @p id is not in the
  /// vocabulary.
  [[nodiscard]] std::string operator()(token_id id) {
    push(id);
    std::string whole = pending_.substr(0, whole_characters(pending_));
    pending_.erase(0, whole.size());
    return whole;
  }

  /// The bytes of a character that was not completed.
  [[nodiscard]] std::string rest() { return std::exchange(pending_, {}); }

 private:
  void push(token_id id) { tokenizer_->decode(id, skip_special_, state_, pending_); }

  const tokenizer* tokenizer_;
  bool skip_special_;
  tokenizer::decoder_state state_;
  std::string pending_;
};

}  // namespace HONE_NAMESPACE::io
