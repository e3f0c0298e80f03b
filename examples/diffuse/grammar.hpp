// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Sentences of a small grammar whose entropy is known: words of four classes follow each other in turn (the, old, fox,
/// sees, the, …), and one of eight topics, drawn for each sentence, says by which word of its class each word is
/// followed. With chance 0.85 the topic is followed, else any word of the class comes, so that
///   H(x_1 … x_l | topic) = log 32 + (l - 1) h,  h = -a log a - 7 b log b,  a = 0.85 + 0.15 / 8,  b = 0.15 / 8
/// nats, and at most log 8 more where the topic is not said. A neighbour's word says little without the topic, which
/// all words together say.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "hone/core/philox.hpp"
#include "hone/core/shuffler.hpp"

namespace diffuse {

using hone::index_t;

class grammar {
 public:
  static constexpr index_t topics = 8, classes = 4, class_words = 8, words = classes * class_words;
  static constexpr double followed = 0.85;

  grammar() {
    for (index_t topic = 0; topic < topics; ++topic)
      for (index_t c = 0; c < classes; ++c) {
        std::array<std::int32_t, class_words> order{};
        for (index_t i = 0; i < class_words; ++i)
          order[at(i)] = static_cast<std::int32_t>((c + 1) % classes * class_words + i);
        const hone::philox random{2604, static_cast<std::uint32_t>(topic * classes + c)};
        hone::shuffle(order, [&](std::size_t i) { return random.uniform(i); });
        for (index_t i = 0; i < class_words; ++i) next_[at(topic)][at(c * class_words + i)] = order[at(i)];
      }
  }

  /// Word @p id, in [0, words).
  static const char* word(std::int32_t id) {
    static constexpr const char* all[] = {"the",  "a",     "every", "no",    "some",  "this",   "my",    "your",
                                          "old",  "red",   "small", "quiet", "wild",  "bright", "cold",  "kind",
                                          "fox",  "moon",  "river", "child", "wolf",  "tree",   "ship",  "king",
                                          "sees", "finds", "loves", "fears", "calls", "hides",  "helps", "wants"};
    return all[static_cast<std::size_t>(id)];
  }

  /// Sentence @p number of the stream @p seed, of @p length words; it begins with any word.
  [[nodiscard]] std::vector<std::int32_t> draw(std::uint64_t seed, std::uint64_t number, index_t length) const {
    const hone::philox random{seed, 1};
    const auto below = [&](index_t n, std::uint32_t draw) {
      return static_cast<index_t>(random.uniform(number, draw) * static_cast<double>(n));
    };
    const index_t topic = below(topics, 0);
    std::vector<std::int32_t> text = {static_cast<std::int32_t>(below(words, 1))};
    while (std::ssize(text) < length) {
      const auto draw = static_cast<std::uint32_t>(3 * std::ssize(text));
      const std::int32_t last = text.back(), next = next_[at(topic)][at(last)];
      const bool follows = random.uniform(number, draw) < followed;
      text.push_back(
          follows ? next : static_cast<std::int32_t>(next / class_words * class_words + below(class_words, draw + 1)));
    }
    return text;
  }

  /// log p(@p text), the topic not said; -inf where classes do not come in turn. @pre text is not empty.
  [[nodiscard]] double log_probability(std::span<const std::int32_t> text) const {
    const double by_chance = (1 - followed) / static_cast<double>(class_words);
    std::array<double, topics> logs{};
    double largest = -INFINITY, sum = 0;
    for (index_t topic = 0; topic < topics; ++topic) {
      double& log_p = logs[at(topic)];
      log_p = -std::log(static_cast<double>(words * topics));
      for (std::size_t i = 1; i < text.size(); ++i) {
        const std::int32_t next = next_[at(topic)][at(text[i - 1])];
        const bool in_turn = next / class_words == text[i] / class_words;
        log_p += std::log((text[i] == next ? followed : 0) + (in_turn ? by_chance : 0));
      }
      largest = (std::max)(largest, log_p);
    }
    if (!std::isfinite(largest)) return largest;
    for (const double log_p : logs) sum += std::exp(log_p - largest);
    return largest + std::log(sum);
  }

  /// H / l of sentences of @p length words, the topic said; log(topics) / l more is not exceeded where it is not.
  static double entropy(index_t length) {
    const double b = (1 - followed) / static_cast<double>(class_words), a = followed + b;
    const double step = -a * std::log(a) - static_cast<double>(class_words - 1) * b * std::log(b);
    return (std::log(static_cast<double>(words)) + static_cast<double>(length - 1) * step) /
           static_cast<double>(length);
  }

 private:
  static std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

  std::array<std::array<std::int32_t, words>, topics> next_{};
};

}  // namespace diffuse
