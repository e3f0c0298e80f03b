// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Arithmetic expressions over numbers that each appear in them once: their values, and names that are equal where only
/// the order of summands or factors, their grouping, or where a sign is, differs: a - (b - c) is (c + a) - b.
#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

namespace tasks {

/// A sum of products: what order and grouping do not change.
class expression {
 public:
  /// Ids of the words, digits being their own.
  enum symbol : std::int32_t { plus = 10, minus, times, open, close };

  explicit expression(std::int64_t number)
      : value_(number), terms_{{1, {mix(static_cast<std::uint64_t>(number))}}},
        text_{static_cast<std::int32_t>(number)} {}

  [[nodiscard]] std::int64_t value() const { return value_; }
  /// Never 0.
  [[nodiscard]] std::uint64_t name() const { return hash(terms_) | 1; }
  /// With no more parentheses than needed.
  [[nodiscard]] const std::vector<std::int32_t>& text() const { return text_; }

  [[nodiscard]] expression combine(symbol operation, const expression& other) const {
    expression result = *this;
    const bool product = operation == times;
    result.value_ = product ? value_ * other.value_ : value_ + (operation == plus ? other.value_ : -other.value_);
    result.text_ = wrapped(product);
    result.text_.push_back(operation);
    const auto right = other.wrapped(operation != plus);
    result.text_.insert(result.text_.end(), right.begin(), right.end());
    if (product) {
      term all = as_factors();
      const term more = other.as_factors();
      all.sign *= more.sign;
      all.factors.insert(all.factors.end(), more.factors.begin(), more.factors.end());
      std::sort(all.factors.begin(), all.factors.end());
      result.terms_ = {all};
    } else {
      for (term t : other.terms_) {
        if (operation == minus) t.sign = -t.sign;
        result.terms_.push_back(t);
      }
      std::sort(result.terms_.begin(), result.terms_.end());
    }
    return result;
  }

 private:
  struct term {
    int sign;
    std::vector<std::uint64_t> factors;  // names of numbers and of sums, ascending
    auto operator<=>(const term&) const = default;
  };

  static std::uint64_t mix(std::uint64_t x) {  // splitmix64's
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
  }
  static std::uint64_t hash(const std::vector<term>& terms) {
    std::uint64_t h = mix(terms.size() + 1000);  // numbers are below, so that no step cancels another
    for (const term& t : terms) {
      h = mix(h + (t.sign > 0 ? 2000 : 3000));
      for (const std::uint64_t f : t.factors) h = mix(h * 3 + f);
    }
    return h;
  }
  /// A sum as a factor goes by the same name as its negative, whose sign is taken out.
  [[nodiscard]] term as_factors() const {
    if (terms_.size() == 1) return terms_[0];
    std::vector<term> negative = terms_;
    for (term& t : negative) t.sign = -t.sign;
    std::sort(negative.begin(), negative.end());
    return negative < terms_ ? term{-1, {hash(negative)}} : term{1, {hash(terms_)}};
  }
  [[nodiscard]] std::vector<std::int32_t> wrapped(bool sums) const {
    if (!sums || terms_.size() == 1) return text_;
    std::vector<std::int32_t> result = {open};
    result.insert(result.end(), text_.begin(), text_.end());
    result.push_back(close);
    return result;
  }

  std::int64_t value_;
  std::vector<term> terms_;  // ascending
  std::vector<std::int32_t> text_;
};

/// Every expression in which each of @p numbers appears once, by name: those of a set of numbers are those of its two
/// parts, combined.
inline std::map<std::uint64_t, expression> enumerate(std::span<const std::int64_t> numbers) {
  std::vector<std::map<std::uint64_t, expression>> of_set(std::size_t{1} << numbers.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const expression e(numbers[i]);
    of_set[std::size_t{1} << i].emplace(e.name(), e);
  }
  for (std::size_t set = 1; set < of_set.size(); ++set)
    for (std::size_t part = (set - 1) & set; part > 0; part = (part - 1) & set)
      for (const auto& [name, left] : of_set[part])
        for (const auto& [other, right] : of_set[set ^ part])
          for (const auto operation : {expression::minus, expression::plus, expression::times}) {
            if (operation != expression::minus && part < (set ^ part)) continue;  // the other way round is the same
            const expression e = left.combine(operation, right);
            of_set[set].emplace(e.name(), e);
          }
  return std::move(of_set.back());
}

/// Reads words as sums of products of digits and parentheses.
class expression_reader {
 public:
  explicit expression_reader(std::span<const std::int32_t> words) : words_(words) {}

  /// The expression, its numbers in order after @p digits; nothing if the words are none, or more than one.
  /// Parentheses may be where they change nothing; recursion is as deep as they are nested.
  [[nodiscard]] std::optional<expression> read(std::vector<std::int64_t>& digits) {
    auto result = sum(digits);
    if (at_ != words_.size()) result.reset();
    return result;
  }

 private:
  using maybe = std::optional<expression>;

  [[nodiscard]] bool next(std::int32_t first, std::int32_t last) const {
    return at_ < words_.size() && words_[at_] >= first && words_[at_] <= last;
  }
  maybe sum(std::vector<std::int64_t>& digits) {
    maybe left = product(digits);
    while (left && next(expression::plus, expression::minus)) {
      const auto operation = static_cast<expression::symbol>(words_[at_++]);
      const maybe right = product(digits);
      if (!right) return {};
      left = left->combine(operation, *right);
    }
    return left;
  }
  maybe product(std::vector<std::int64_t>& digits) {
    maybe left = factor(digits);
    while (left && next(expression::times, expression::times)) {
      ++at_;
      const maybe right = factor(digits);
      if (!right) return {};
      left = left->combine(expression::times, *right);
    }
    return left;
  }
  maybe factor(std::vector<std::int64_t>& digits) {
    if (next(0, 9)) {
      digits.push_back(words_[at_++]);
      return expression(digits.back());
    }
    if (!next(expression::open, expression::open)) return {};
    ++at_;
    maybe inner = sum(digits);
    if (!inner || !next(expression::close, expression::close)) return {};
    ++at_;
    return inner;
  }

  std::span<const std::int32_t> words_;
  std::size_t at_ = 0;
};

}  // namespace tasks
