// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The logs of the TOFU benchmark's own evaluation, eval_log_aggregated.json: an object with one member a set of
/// questions, of which four are read here,
///   eval_log_forget.json, eval_log.json, eval_real_author_wo_options.json, eval_real_world_wo_options.json
/// (to be forgotten, to be kept, real authors, world facts), and in each of them the members
///   avg_gt_loss, avg_paraphrased_loss, rougeL_recall   {"0": number, "1": number, ...}, by question
///   average_perturb_loss                               {"0": [number, ...], ...}, as many for every question
/// [Maini et al. 2024, TOFU, arXiv 2401.06121; locuslab/tofu]
#pragma once
#include "hone/eval/tofu.hpp"
#include "hone/io/json.hpp"

#include <array>
#include <unordered_map>

namespace HONE_NAMESPACE::io {

/// The numbers of one set: mean negative log-likelihoods of a token, and ROUGE-L recalls.
struct tofu_log_set {
  std::vector<double> answer, right, wrong, rouge_l;  ///< as in eval::tofu_answers

  operator eval::tofu_answers() const { return {answer, right, wrong, rouge_l}; }
};

struct tofu_log {
  tofu_log_set forget, retain, real_authors, world_facts;
};

namespace detail {

/// Takes the numbers out of a log's tokens; what is not asked for is passed over.
class tofu_log_reader {
 public:
  explicit tofu_log_reader(const std::string& file) : file_(file) {}

  void operator()(const json_event& e) {
    if (e.depth == 0) return expect_object(e);
    if (e.depth == 1) {
      if (e.is != kind::key) return set_ < sets.size() ? expect_object(e) : void();
      path_ = {*e.text};
      set_ = place_in(sets, *e.text);
      column_ = nullptr;
      if (set_ < sets.size()) set_at_[set_] = {position::unit::byte, e.at};
    } else if (e.depth == 2 && set_ < sets.size()) {
      if (e.is != kind::key) return column_ != nullptr ? expect_object(e) : void();
      path_ = {sets[set_], *e.text};
      field_ = place_in(fields, *e.text);
      column_ = field_ < fields.size() ? &columns_[set_][field_] : nullptr;
      if (column_ != nullptr) column_->at = {position::unit::byte, e.at};
    } else if (column_ != nullptr) {
      in_column(e);
    }
  }

  tofu_log result() {
    tofu_log log;
    tofu_log_set* const out[] = {&log.forget, &log.retain, &log.real_authors, &log.world_facts};
    for (std::size_t s = 0; s < sets.size(); ++s) {
      path_ = {sets[s]};
      if (set_at_[s].in == position::unit::none) fail({}, "is not there");
      *out[s] = {take(s, answer), take(s, right), take(s, wrong), take(s, rouge_l)};
    }
    return log;
  }

 private:
  using kind = json_event::kind;

  static constexpr std::array sets = {"eval_log_forget.json", "eval_log.json", "eval_real_author_wo_options.json",
                                      "eval_real_world_wo_options.json"};
  static constexpr std::array fields = {"avg_gt_loss", "avg_paraphrased_loss", "average_perturb_loss", "rougeL_recall"};
  enum : std::size_t { answer, right, wrong, rouge_l };

  struct column {
    position at = {};
    std::vector<std::string> questions = {};
    std::vector<double> values = {};  ///< of a question as many as of the first
    std::size_t per_question = 0;
  };

  template <std::size_t N>
  static std::size_t place_in(const std::array<const char*, N>& names, std::string_view name) {
    return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
  }
  [[noreturn]] void fail(position at, const std::string& reason) const {
    std::string place;
    for (const std::string& part : path_) place += (place.empty() ? "" : "/") + part;
    throw format_error(file_, at, (place.empty() ? std::string("the file") : place) + " " + reason);
  }
  [[noreturn]] void fail(const json_event& e, const std::string& verb, const std::string& wanted) const {
    constexpr const char* names[] = {"null", "a boolean", "a number", "a number", "a number", "a string",
                                     "",     "an object", "",         "an array", ""};
    fail({position::unit::byte, e.at}, verb + " " + names[static_cast<int>(e.is)] + ", must be " + wanted);
  }
  void expect_object(const json_event& e) const {
    if (e.is != kind::begin_object && e.is != kind::end_object) fail(e, "is", "an object");
  }

  /// A question, its number, or its array of numbers.
  void in_column(const json_event& e) {
    const bool number = e.is == kind::negative || e.is == kind::whole || e.is == kind::real;
    if (e.is == kind::key) {
      path_ = {sets[set_], fields[field_], *e.text};
      column_->questions.push_back(*e.text);
      in_question_ = 0;
    } else if (e.depth == 3 && field_ == wrong) {
      if (e.is != kind::begin_array && e.is != kind::end_array) fail(e, "is", "an array of numbers");
      if (e.is == kind::end_array) finish_question(e);
    } else if (!number) {
      e.depth == 3 ? fail(e, "is", "a number") : fail(e, "holds", "an array of numbers");
    } else {
      if (field_ == rouge_l && !(e.real >= 0 && e.real <= 1))
        fail({position::unit::byte, e.at}, "is not between 0 and 1");
      column_->values.push_back(e.real);
      ++in_question_;
      if (e.depth == 3) finish_question(e);
    }
  }
  void finish_question(const json_event& e) {
    const position at = {position::unit::byte, e.at};
    if (in_question_ == 0) fail(at, "is an empty array");
    if (column_->per_question == 0) column_->per_question = in_question_;
    if (in_question_ != column_->per_question)
      fail(at, "has " + std::to_string(in_question_) + " numbers, the questions before have " +
                   std::to_string(column_->per_question));
  }

  /// The column's values, its questions in the order of the set's first.
  std::vector<double> take(std::size_t set, std::size_t field) {
    const column &c = columns_[set][field], &first = columns_[set][answer];
    path_ = {sets[set], fields[field]};
    if (c.at.in == position::unit::none) fail(set_at_[set], "is not there");
    if (c.questions.empty()) fail(c.at, "has no question");
    if (c.questions.size() != first.questions.size())
      fail(c.at, "has " + std::to_string(c.questions.size()) + " questions, " + fields[answer] + " has " +
                     std::to_string(first.questions.size()));
    std::unordered_map<std::string_view, std::size_t> place;
    for (std::size_t i = 0; i < c.questions.size(); ++i) place.emplace(c.questions[i], i);
    std::vector<double> values;
    values.reserve(c.values.size());
    for (const std::string& question : first.questions) {
      const auto found = place.find(question);
      if (found == place.end()) fail(c.at, "has no question " + question);
      const auto begin = c.values.begin() + static_cast<std::ptrdiff_t>(found->second * c.per_question);
      values.insert(values.end(), begin, begin + static_cast<std::ptrdiff_t>(c.per_question));
    }
    return values;
  }

  const std::string& file_;
  std::size_t set_ = sets.size(), field_ = fields.size(), in_question_ = 0;
  column* column_ = nullptr;
  std::vector<std::string> path_;
  std::array<position, sets.size()> set_at_{};
  std::array<std::array<column, fields.size()>, sets.size()> columns_;
};

}  // namespace detail

/// Reads the log in @p text; @p file is what errors call it. Members that are not named above are passed over,
/// questions may be called anything and appear in any order.
/// @throws format_error with the byte and the member's path, as `parse_json_events`, and if a member is not there, of
///         another type, of another number of questions or answers, or a ROUGE-L recall is not in [0, 1].
/// @note One pass over the text; memory a small multiple of its numbers.
inline tofu_log parse_tofu_log(std::string_view text, const std::string& file) {
  detail::tofu_log_reader reader(file);
  parse_json_events(text, file, reader);
  return reader.result();
}

/// @throws std::system_error, format_error.
inline tofu_log read_tofu_log(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return parse_tofu_log(text_of(bytes), path.string());
}

}  // namespace HONE_NAMESPACE::io
