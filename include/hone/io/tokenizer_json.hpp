// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Hugging Face's tokenizer.json with a BPE model: byte-level (GPT-2, Llama 3, Qwen2, 2.5 and 3, SmolLM) and in the
/// manner of SentencePiece (Llama 2, Mistral). Ids and texts are those of the tokenizers package, but that bytes which
/// are no UTF-8 are kept where it puts U+FFFD. What a file asks for and this does not do is refused by its name;
/// truncation and padding, which a file may ask for too, are left to the caller. [huggingface/tokenizers 0.23]
#pragma once
#include "hone/io/json.hpp"
#include "hone/io/tokenizer.hpp"

#include <unordered_set>

namespace HONE_NAMESPACE::io {

namespace detail {

/// A value of a file, with its path for errors.
struct json_place {
  const nlohmann::json* value;
  std::string path;
  const json_document* document;
  const std::string* file;

  [[noreturn]] void fail(const std::string& reason) const {
    const std::size_t outer = path.find('/');
    const std::size_t inner = outer == std::string::npos ? outer : path.find('/', outer + 1);
    position at = document->where(path.substr(0, inner));
    if (at.in == position::unit::none) at = document->where(path.substr(0, outer));
    throw format_error(*file, at, path.empty() ? reason : path + ": " + reason);
  }
  [[nodiscard]] json_place child(const nlohmann::json& of, const std::string& name) const {
    return {&of, path.empty() ? name : path + "/" + name, document, file};
  }
  /// Null where there is no such field.
  [[nodiscard]] json_place field(const char* key) const {
    static const nlohmann::json null;
    if (!value->is_object()) fail("not an object");
    const auto found = value->find(key);
    return child(found == value->end() ? null : *found, key);
  }
  [[nodiscard]] bool null() const { return value->is_null(); }
  [[nodiscard]] const std::string& string() const {
    if (!value->is_string()) fail(null() ? "missing" : "not a string");
    return *value->get_ptr<const std::string*>();
  }
  [[nodiscard]] bool flag(std::optional<bool> otherwise = {}) const {
    if (null() && otherwise) return *otherwise;
    if (!value->is_boolean()) fail(null() ? "missing" : "neither true nor false");
    return value->get<bool>();
  }
  [[nodiscard]] token_id id(std::uint64_t most) const {
    if (!value->is_number_integer()) fail(null() ? "missing" : "not a whole number");
    if (!value->is_number_unsigned() || value->get<std::uint64_t>() > most)
      fail(value->dump() + " is no id from 0 to " + std::to_string(most));
    return static_cast<token_id>(value->get<std::uint64_t>());
  }
  [[nodiscard]] std::vector<json_place> items() const {
    if (!value->is_array()) fail(null() ? "missing" : "not an array");
    std::vector<json_place> places;
    for (const auto& item : *value) places.push_back(child(item, std::to_string(places.size())));
    return places;
  }
  /// The steps of a field that is null, a step, or a Sequence of steps, which lie in its field @p key.
  [[nodiscard]] std::vector<json_place> steps(const char* key) const {
    if (null()) return {};
    if (field("type").string() != "Sequence") return {*this};
    std::vector<json_place> all;
    for (const json_place& item : field(key).items())
      for (json_place& step : item.steps(key)) all.push_back(std::move(step));
    return all;
  }
};

/// Reads the parts of a tokenizer.json, field by field.
class tokenizer_json {
 public:
  explicit tokenizer_json(json_place root) : root_(std::move(root)) {}

  tokenizer_parts read() {
    if (!root_.value->is_object()) root_.fail("not a JSON object");
    if (const auto version = root_.field("version"); !version.null() && version.string() != "1.0")
      version.fail("the version is \"" + version.string() + "\", \"1.0\" is read");
    read_vocabulary();
    read_pre_tokenizer();
    read_model();
    read_normalizer();
    read_post_processor();
    read_decoder();
    return std::move(parts_);
  }

 private:
  /// The pieces of the model and the added tokens, once each, by their ids.
  void read_vocabulary() {
    const json_place model = root_.field("model");
    if (model.null()) model.fail("missing");
    if (const auto type = model.field("type"); !type.null() && type.string() != "BPE")
      type.fail("the model is " + type.string() + ", BPE is read");
    const json_place vocab = model.field("vocab");
    if (!vocab.value->is_object()) vocab.fail(vocab.null() ? "missing" : "not an object");
    const json_place added = root_.field("added_tokens");
    const std::vector<json_place> tokens = added.null() ? std::vector<json_place>{} : added.items();
    const std::uint64_t most = 2 * (vocab.value->size() + tokens.size()) + 65535;
    const auto put = [&](const json_place& place, token_id id, const std::string& text) {
      const auto at = static_cast<std::size_t>(id);
      if (at >= parts_.pieces.size()) parts_.pieces.resize(at + 1);
      if (!taken_.insert(id).second)
        place.fail("\"" + text + "\" has the id " + std::to_string(id) + " of \"" + parts_.pieces[at].text + "\"");
      parts_.pieces[at].text = text;
    };
    for (const auto& [text, value] : vocab.value->items()) {
      if (!value.is_number_unsigned() || value.template get<std::uint64_t>() > most)
        (void)vocab.child(value, text).id(most);  // throws
      const auto id = static_cast<token_id>(value.template get<std::uint64_t>());
      put(vocab, id, text);
      parts_.pieces[static_cast<std::size_t>(id)].merges = true;
      ids_.emplace(text, id);
    }
    std::unordered_set<std::string> contents;
    for (const json_place& token : tokens) {
      added_token t{.content = token.field("content").string(),
                    .id = token.field("id").id(most),
                    .single_word = token.field("single_word").flag(),
                    .lstrip = token.field("lstrip").flag(),
                    .rstrip = token.field("rstrip").flag(),
                    .normalized = token.field("normalized").flag(),
                    .special = token.field("special").flag()};
      if (!contents.insert(t.content).second) token.fail("\"" + t.content + "\" comes twice");
      const auto known = ids_.find(t.content);
      if (known == ids_.end()) {
        put(token, t.id, t.content);
      } else if (known->second != t.id) {
        token.fail("\"" + t.content + "\" has the id " + std::to_string(t.id) + " here and " +
                   std::to_string(known->second) + " in model/vocab");
      }
      parts_.added.push_back(std::move(t));
    }
    if (parts_.pieces.empty()) vocab.fail("no token");
  }

  void read_model() {
    const json_place model = root_.field("model");
    if (const auto dropout = model.field("dropout"); !dropout.null() && *dropout.value != 0)
      dropout.fail("merges that are left out at random are not read");
    for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"})
      if (const auto place = model.field(affix); !place.null() && !place.string().empty()) place.fail("not read");
    if (const auto unknown = model.field("unk_token"); !unknown.null()) {
      parts_.unknown = find(unknown.string());
      if (!parts_.unknown) unknown.fail("\"" + unknown.string() + "\" is not in model/vocab");
    }
    parts_.fuse_unknown = model.field("fuse_unk").flag(false);
    parts_.ignore_merges = model.field("ignore_merges").flag(false);
    if (const auto fallback = model.field("byte_fallback"); fallback.flag(false)) {
      if (parts_.byte_level) fallback.fail("not read together with ByteLevel");
      for (unsigned byte = 0; byte < 256; ++byte) {
        char name[8];
        std::snprintf(name, sizeof name, "<0x%02X>", byte);
        parts_.byte_ids.push_back(find(name).value_or(-1));
      }
    }
    const json_place merges = model.field("merges");
    if (!merges.value->is_array()) merges.fail(merges.null() ? "missing" : "not an array");
    std::string joined;
    for (std::size_t i = 0; i < merges.value->size(); ++i) {
      const nlohmann::json& merge = (*merges.value)[i];
      const auto fail = [&](const std::string& reason) { merges.child(merge, std::to_string(i)).fail(reason); };
      std::string_view left, right;
      if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
        left = *merge[0].get_ptr<const std::string*>();
        right = *merge[1].get_ptr<const std::string*>();
      } else if (merge.is_string()) {
        const std::string_view both = *merge.get_ptr<const std::string*>();
        const std::size_t space = both.find(' ');
        if (space == std::string_view::npos || both.find(' ', space + 1) != std::string_view::npos)
          fail("\"" + std::string(both) + "\" is not two tokens with a space between");
        left = both.substr(0, space);
        right = both.substr(space + 1);
      } else {
        fail("neither a string nor two");
      }
      joined = left;
      joined += right;
      const auto id_of = [&](std::string_view piece) {
        const std::optional<token_id> id = find(piece);
        if (!id) fail("\"" + std::string(piece) + "\" is not in model/vocab");
        return *id;
      };
      parts_.merges.push_back({id_of(left), id_of(right), id_of(joined)});
    }
  }

  void read_normalizer() {
    for (const json_place& step : root_.field("normalizer").steps("normalizers")) {
      const std::string& type = step.field("type").string();
      if (type == "NFC") {
        parts_.normalizer.push_back({.is = normalizer_step::kind::form_c});
      } else if (type == "Prepend") {
        parts_.normalizer.push_back({.is = normalizer_step::kind::prepend, .to = step.field("prepend").string()});
      } else if (type == "Replace") {
        auto [from, to] = replacement_of(step);
        if (from == " " && one_character(to)) parts_.word_begin = to;
        parts_.normalizer.push_back({normalizer_step::kind::replace, std::move(from), std::move(to)});
      } else {
        step.fail("the normalizer " + type + " is not read");
      }
    }
  }

  void read_pre_tokenizer() {
    for (const json_place& step : root_.field("pre_tokenizer").steps("pretokenizers")) {
      const std::string& type = step.field("type").string();
      if (parts_.byte_level) step.fail(type + " after ByteLevel is not read");
      if (type == "ByteLevel") {
        parts_.byte_level = true;
        if (step.field("add_prefix_space").flag(true)) parts_.splits.push_back({split_rule::kind::prefix_space});
        if (step.field("use_regex").flag(true)) parts_.splits.push_back({split_rule::kind::gpt2});
      } else if (type == "Digits") {
        parts_.splits.push_back(
            {step.field("individual_digits").flag(false) ? split_rule::kind::digits : split_rule::kind::digit_runs});
      } else if (type == "Split") {
        parts_.splits.push_back({pattern_of(step)});
      } else if (type == "Metaspace") {
        split_rule rule = metaspace_of(step);
        rule.before_every_mark = step.field("split").flag(true);
        parts_.word_begin = rule.mark;
        parts_.splits.push_back(std::move(rule));
      } else {
        step.fail("the pre-tokenizer " + type + " is not read");
      }
    }
  }

  /// A pattern that is known by its text. It matches everywhere, so that its matches are the pieces whether they are
  /// isolated, or what lies between them is removed.
  static split_rule::kind pattern_of(const json_place& step) {
    const std::string& behavior = step.field("behavior").string();
    if (behavior != (step.field("invert").flag(false) ? "Removed" : "Isolated"))
      step.field("behavior").fail("Split with " + behavior + " is not read");
    const json_place pattern = step.field("pattern");
    if (pattern.field("Regex").null()) pattern.fail("a pattern that is not a Regex is not read");
    const std::string& text = pattern.field("Regex").string();
    for (const known_pattern& known : known_patterns)
      if (known.text == text) return known.is;
    pattern.fail("the regular expression " + text + " is not known");
  }

  static split_rule metaspace_of(const json_place& step) {
    split_rule rule{.is = split_rule::kind::metaspace, .mark = step.field("replacement").string()};
    if (!one_character(rule.mark)) step.field("replacement").fail("not one character");
    const json_place scheme = step.field("prepend_scheme");
    const std::string prepend = !scheme.null()                              ? scheme.string()
                                : step.field("add_prefix_space").flag(true) ? "always"
                                                                            : "never";
    if (prepend == "always")
      rule.where = split_rule::prefix::always;
    else if (prepend == "first")
      rule.where = split_rule::prefix::first;
    else if (prepend != "never")
      scheme.fail("\"" + prepend + "\" is neither always, first nor never");
    return rule;
  }

  void read_post_processor() {
    for (const json_place& step : root_.field("post_processor").steps("processors")) {
      const std::string& type = step.field("type").string();
      if (type == "ByteLevel") continue;  // moves offsets, which are not kept here
      if (type != "TemplateProcessing") step.fail("the post-processor " + type + " is not read");
      std::vector<token_id> before, after;
      bool text = false;
      for (const json_place& item : step.field("single").items()) {
        if (const json_place special = item.field("SpecialToken"); !special.null()) {
          const std::string& name = special.field("id").string();
          for (const json_place& id : step.field("special_tokens").field(name.c_str()).field("ids").items())
            (text ? after : before).push_back(id.id(parts_.pieces.size() - 1));
        } else if (text || item.field("Sequence").field("id").string() != "A") {
          item.fail("neither a special token nor the one text");
        } else {
          text = true;
        }
      }
      if (!text) step.field("single").fail("no text");
      parts_.prefix.insert(parts_.prefix.begin(), before.begin(), before.end());
      parts_.suffix.insert(parts_.suffix.end(), after.begin(), after.end());
    }
    if (!parts_.prefix.empty()) parts_.bos = parts_.prefix.front();
    if (!parts_.suffix.empty()) parts_.eos = parts_.suffix.back();
  }

  void read_decoder() {
    const json_place decoder = root_.field("decoder");
    const std::vector<json_place> steps = decoder.steps("decoders");
    decoding_rules& rules = parts_.decoding;
    if (steps.empty()) rules.separator = " ";
    enum class stage { replace, bytes, fuse, strip, last } reached = stage::replace;
    for (const json_place& step : steps) {
      const std::string& type = step.field("type").string();
      const stage now = type == "Replace"        ? stage::replace
                        : type == "ByteFallback" ? stage::bytes
                        : type == "Fuse"         ? stage::fuse
                        : type == "Strip"        ? stage::strip
                                                 : stage::last;
      if (now < reached || (now == stage::strip && reached != stage::fuse) || (now == stage::last && steps.size() > 1))
        step.fail("the decoder " + type + " is not read in this place");
      reached = now;
      if (now == stage::replace) {
        rules.replace.push_back(replacement_of(step));
      } else if (now == stage::bytes) {
        rules.byte_pieces = true;
      } else if (now == stage::strip) {
        rules.strip = step.field("content").string();
        if (rules.strip.empty()) step.field("content").fail("empty");
        rules.strip_most = static_cast<std::size_t>(step.field("start").id(1 << 20));
        if (step.field("stop").id(1 << 20) != 0) step.field("stop").fail("must be 0");
        reached = stage::last;
      } else if (type == "ByteLevel") {
        rules.byte_alphabet = true;
      } else if (type == "Metaspace") {
        const split_rule rule = metaspace_of(step);
        rules.replace.emplace_back(rule.mark, " ");
        if (rule.where != split_rule::prefix::never) rules.not_in_first = " ";
      } else if (type != "Fuse") {
        step.fail("the decoder " + type + " is not read");
      }
    }
  }

  static std::pair<std::string, std::string> replacement_of(const json_place& step) {
    const json_place pattern = step.field("pattern");
    if (pattern.field("String").null()) pattern.fail("a pattern that is not a String is not read");
    const std::string& from = pattern.field("String").string();
    if (from.empty()) pattern.fail("empty");
    return {from, step.field("content").string()};
  }

  static bool one_character(std::string_view text) {
    return !text.empty() && character_at(text, 0).size == text.size();
  }

  [[nodiscard]] std::optional<token_id> find(std::string_view piece) const {
    const auto found = ids_.find(piece);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }

  json_place root_;
  tokenizer_parts parts_;
  std::unordered_map<std::string_view, token_id> ids_;  ///< of the model's pieces
  std::unordered_set<token_id> taken_;
};

}  // namespace detail

/// The parts of a tokenizer.json; @p file is what errors call it. The begin and end of text are what its post-processor
/// puts around a text, if it does.
/// @throws format_error, with the byte and the path in the JSON, for what is not JSON, not a BPE tokenizer, not sound
///         (an id twice, or above 2 n + 65535 for n tokens; a merge that names no token) or not read here. Fields that
///         are not known are passed over.
inline tokenizer_parts parse_tokenizer_json(std::string_view text, const std::string& file) {
  const json_document document = parse_json(text, file);
  return detail::tokenizer_json({&document.root, "", &document, &file}).read();
}

/// Takes begin and end of text from the bos_token and eos_token of a tokenizer_config.json, where it has them.
/// @throws format_error if it is not a JSON object, or they name no token.
inline void parse_tokenizer_config(std::string_view text, const std::string& file, tokenizer_parts& parts) {
  const json_document document = parse_json(text, file);
  const detail::json_place root{&document.root, "", &document, &file};
  const auto read = [&](const char* key, std::optional<token_id>& id) {
    detail::json_place name = root.field(key);
    if (name.null()) return;
    if (name.value->is_object()) name = name.field("content");
    const auto found = std::find_if(parts.pieces.begin(), parts.pieces.end(),
                                    [&](const auto& piece) { return piece.text == name.string(); });
    if (found == parts.pieces.end() || name.string().empty()) name.fail("\"" + name.string() + "\" is no token");
    id = static_cast<token_id>(found - parts.pieces.begin());
  };
  read("bos_token", parts.bos);
  read("eos_token", parts.eos);
}

/// Reads a tokenizer.json and, for begin and end of text, the tokenizer_config.json beside it, if there is one.
/// @throws std::system_error, format_error.
inline tokenizer read_tokenizer_json(const std::filesystem::path& path) {
  constexpr std::uint64_t most = std::uint64_t{1} << 28;
  tokenizer_parts parts = parse_tokenizer_json(text_of(read_file(path, most)), path.string());
  const std::filesystem::path config = path.parent_path() / "tokenizer_config.json";
  if (std::filesystem::exists(config)) parse_tokenizer_config(text_of(read_file(config, most)), config.string(), parts);
  return tokenizer(std::move(parts));
}

}  // namespace HONE_NAMESPACE::io
