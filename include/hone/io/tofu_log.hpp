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
#include "hone/io/file.hpp"

#include <array>
#include <iterator>
#include <unordered_map>

#include <nlohmann/json.hpp>

namespace hone::io {

/// The numbers of one set: mean negative log-likelihoods of a token, and ROUGE-L recalls.
struct tofu_log_set {
  std::vector<double> answer, right, wrong, rouge_l;  ///< as in eval::tofu_answers

  operator eval::tofu_answers() const { return {answer, right, wrong, rouge_l}; }
};

struct tofu_log {
  tofu_log_set forget, retain, real_authors, world_facts;
};

namespace detail {

/// Reads characters and says how many it has read.
class counting_iterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  counting_iterator(const char* at, std::uint64_t* count) : at_(at), count_(count) {}
  char operator*() const { return *at_; }
  counting_iterator& operator++() {
    ++at_;
    ++*count_;
    return *this;
  }
  counting_iterator operator++(int) {
    const counting_iterator old = *this;
    ++*this;
    return old;
  }
  friend bool operator==(const counting_iterator& a, const counting_iterator& b) { return a.at_ == b.at_; }

 private:
  const char* at_;
  std::uint64_t* count_;
};

/// Takes the numbers out of the events of a parse; what is not asked for is passed over at any depth.
class tofu_log_events final : public nlohmann::json_sax<nlohmann::json> {
 public:
  static constexpr std::array sets = {"eval_log_forget.json", "eval_log.json", "eval_real_author_wo_options.json",
                                      "eval_real_world_wo_options.json"};
  static constexpr std::array fields = {"avg_gt_loss", "avg_paraphrased_loss", "average_perturb_loss", "rougeL_recall"};
  enum : std::size_t { answer, right, wrong, rouge_l };

  struct column {
    bool seen = false;
    std::vector<std::string> questions;
    std::vector<double> values;  ///< of a question as many as of the first
    std::size_t per_question = 0;
  };

  tofu_log_events(std::string_view text, const std::string& file) : text_(text), file_(file) {}
  std::uint64_t read = 0;

  bool null() override { return scalar("null"); }
  bool boolean(bool) override { return scalar("a boolean"); }
  bool number_integer(number_integer_t value) override { return number(static_cast<double>(value)); }
  bool number_unsigned(number_unsigned_t value) override { return number(static_cast<double>(value)); }
  bool number_float(number_float_t value, const string_t&) override { return number(value); }
  bool string(string_t&) override { return scalar("a string"); }
  bool binary(binary_t&) override { return scalar("binary"); }
  bool start_object(std::size_t) override {
    if (depth_ == 3 && column_ != nullptr) fail("is an object, must be " + wanted());
    if (depth_ == 4 && column_ != nullptr) fail("holds an object, must be " + wanted());
    ++depth_;
    return true;
  }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ == 0) fail("is an array, must be an object");
    if ((depth_ == 1 && set_ < sets.size()) || (depth_ == 2 && column_ != nullptr))
      fail("is an array, must be an object");
    if (column_ != nullptr && depth_ == 3 && field_ != wrong) fail("is an array, must be a number");
    if (column_ != nullptr && depth_ == 4) fail("holds an array, must be an array of numbers");
    if (column_ != nullptr && depth_ == 3) in_question_ = 0;
    ++depth_;
    return true;
  }
  bool end_array() override {
    --depth_;
    if (column_ != nullptr && depth_ == 3) finish_question();
    return true;
  }
  bool key(string_t& name) override {
    if (depth_ == 1) {
      path_ = {name};
      set_ = static_cast<std::size_t>(std::find(sets.begin(), sets.end(), name) - sets.begin());
      if (set_ < sets.size() && std::exchange(set_seen_[set_], true)) fail("is there twice");
    } else if (depth_ == 2 && set_ < sets.size()) {
      path_.resize(1);
      path_.push_back(name);
      field_ = static_cast<std::size_t>(std::find(fields.begin(), fields.end(), name) - fields.begin());
      column_ = field_ < fields.size() ? &columns_[set_][field_] : nullptr;
      if (column_ != nullptr && std::exchange(column_->seen, true)) fail("is there twice");
    } else if (depth_ == 3 && column_ != nullptr) {
      path_.resize(2);
      path_.push_back(name);
      column_->questions.push_back(name);
    }
    if (depth_ == 1) column_ = nullptr;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    const char last = 0 < position && position <= text_.size() ? text_[position - 1] : ' ';
    throw format_error(file_, {position_of(position)},
                       last == 'N' || last == 'I'
                           ? "not valid JSON: NaN and Infinity, as Python writes them, are no numbers"
                           : "not valid JSON");
  }

  tofu_log result() {
    tofu_log log;
    tofu_log_set* const out[] = {&log.forget, &log.retain, &log.real_authors, &log.world_facts};
    for (std::size_t s = 0; s < sets.size(); ++s) {
      path_ = {sets[s]};
      if (!set_seen_[s]) fail("is not there");
      *out[s] = {std::move(take(s, answer).values), std::move(take(s, right).values), std::move(take(s, wrong).values),
                 std::move(take(s, rouge_l).values)};
    }
    return log;
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    std::string place;
    for (const std::string& part : path_) place += (place.empty() ? "" : "/") + part;
    throw format_error(file_, {position_of(read)}, (place.empty() ? std::string("the file") : place) + " " + reason);
  }
  [[nodiscard]] position position_of(std::uint64_t at) const {
    return {position::unit::byte, (std::min)(at, std::uint64_t{text_.size()})};
  }
  [[nodiscard]] std::string wanted() const { return field_ == wrong ? "an array of numbers" : "a number"; }

  bool scalar(const char* what) {
    if (depth_ == 0 || (depth_ == 1 && set_ < sets.size()) || (depth_ == 2 && column_ != nullptr))
      fail(std::string("is ") + what + ", must be an object");
    if (column_ != nullptr && depth_ == 3) fail(std::string("is ") + what + ", must be " + wanted());
    if (column_ != nullptr && depth_ == 4) fail(std::string("holds ") + what + ", must be " + wanted());
    return true;
  }
  bool number(double value) {
    if (column_ == nullptr || depth_ < 3) return scalar("a number");
    if (depth_ == 3 && field_ == wrong) return scalar("a number");
    if (field_ == rouge_l && !(value >= 0 && value <= 1)) fail("is not between 0 and 1");
    column_->values.push_back(value);
    ++in_question_;
    if (depth_ == 3) finish_question();
    return true;
  }
  void finish_question() {
    if (in_question_ == 0) fail("is an empty array");
    if (column_->per_question == 0) column_->per_question = in_question_;
    if (in_question_ != column_->per_question)
      fail("has " + std::to_string(in_question_) + " numbers, the questions before have " +
           std::to_string(column_->per_question));
    in_question_ = 0;
  }

  /// The column, its questions in the order of the set's first.
  column& take(std::size_t set, std::size_t field) {
    column& c = columns_[set][field];
    const column& first = columns_[set][answer];
    path_ = {sets[set], fields[field]};
    if (!c.seen) fail("is not there");
    if (c.questions.empty()) fail("has no question");
    if (c.questions.size() != first.questions.size())
      fail("has " + std::to_string(c.questions.size()) + " questions, " + fields[answer] + " has " +
           std::to_string(first.questions.size()));
    std::unordered_map<std::string_view, std::size_t> place;
    for (std::size_t i = 0; i < c.questions.size(); ++i)
      if (!place.emplace(c.questions[i], i).second) fail("has question " + c.questions[i] + " twice");
    std::vector<double> values;
    values.reserve(c.values.size());
    for (const std::string& question : first.questions) {
      const auto found = place.find(question);
      if (found == place.end()) fail("has no question " + question);
      const auto begin = c.values.begin() + static_cast<std::ptrdiff_t>(found->second * c.per_question);
      values.insert(values.end(), begin, begin + static_cast<std::ptrdiff_t>(c.per_question));
    }
    c.values = std::move(values);
    return c;
  }

  std::string_view text_;
  const std::string& file_;
  std::size_t depth_ = 0, set_ = sets.size(), field_ = fields.size(), in_question_ = 0;
  column* column_ = nullptr;
  std::vector<std::string> path_;
  std::array<bool, sets.size()> set_seen_{};
  std::array<std::array<column, fields.size()>, sets.size()> columns_;
};

}  // namespace detail

/// Reads the log in @p text; @p file is what errors call it. Members that are not named above are passed over,
/// questions may be called anything and stand in any order.
/// @throws format_error with the byte and the member's path, if the text is not JSON or a member is not there, twice
///         there, of another type, of another number of questions or answers; or a ROUGE-L recall is not in [0, 1].
/// @note One pass over the text, without recursion; memory a small multiple of its numbers.
inline tofu_log parse_tofu_log(std::string_view text, const std::string& file) {
  detail::tofu_log_events events(text, file);
  const char* end = text.data() + text.size();
  nlohmann::json::sax_parse(detail::counting_iterator(text.data(), &events.read),
                            detail::counting_iterator(end, &events.read), &events);
  return events.result();
}

/// @throws std::system_error, format_error.
inline tofu_log read_tofu_log(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return parse_tofu_log({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

}  // namespace hone::io
