// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the numbers of a command line may be, in words: in --help, and where one is refused.
#pragma once
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdlib>
#include <string>

#include <CLI/CLI.hpp>

namespace program {

/// Elements of a list that a user may ask for, and the largest weight: beyond it `float` sums are not finite.
inline constexpr double most_items = 1 << 20, most_count = 1e9, most_weight = 1e6, most_rate = 1e3;

namespace detail {

inline std::string plain(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.10g", x);
  return text;
}

/// A number from @p low, which it is not to be if @p open, to @p high.
inline CLI::Validator range(double low, bool open, double high, const std::string& words,
                            const std::string& too_large) {
  return {[=](std::string& text) {
            const double x = std::strtod(text.c_str(), nullptr);
            if (open ? x <= low : x < low) return "must be " + words + ", is " + text;
            return x > high ? "must be " + too_large + ", is " + text : std::string();
          },
          words};
}

}  // namespace detail

inline CLI::Validator at_least(double low, double high) {
  return detail::range(low, false, high, "at least " + detail::plain(low), "at most " + detail::plain(high));
}
inline CLI::Validator above(double low, double high) {
  return detail::range(low, true, high, "above " + detail::plain(low), "at most " + detail::plain(high));
}
inline CLI::Validator between(double low, double high) {
  const std::string words = "from " + detail::plain(low) + " to " + detail::plain(high);
  return detail::range(low, false, high, words, words);
}

/// What a T is read from: decimal digits for a whole number, a finite number otherwise.
template <class T>
CLI::Validator number() {
  return {[](std::string& text) -> std::string {
            if constexpr (std::floating_point<T>) {
              char* end = nullptr;
              const double x = std::strtod(text.c_str(), &end);
              if (text.empty() || *end != '\0') return '"' + text + "\" is no number";
              if (!std::isfinite(x)) return text + " is not a finite number";
            } else {
              T x{};
              const char *const begin = text.data() + text.starts_with('+'), *const last = text.data() + text.size();
              const auto [end, error] = std::from_chars(begin, last, x);
              if (error == std::errc::result_out_of_range) return text + " is too large";
              if (std::is_unsigned_v<T> && text.starts_with('-')) return "must be at least 0, is " + text;
              if (error != std::errc() || end != last) return '"' + text + "\" is no whole number";
              text = std::to_string(x);  // what reads it next takes 010 for 8
            }
            return {};
          },
          ""};
}

}  // namespace program
