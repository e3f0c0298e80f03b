// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "diffuse/grammar.hpp"

#include "support/catch.hpp"

using diffuse::grammar;
using hone::index_t;

TEST_CASE("grammar: probabilities of all sentences of two words, and of three, sum to one") {
  const grammar g;
  double two = 0, three = 0;
  for (std::int32_t a = 0; a < grammar::words; ++a)
    for (std::int32_t b = 0; b < grammar::words; ++b) {
      two += std::exp(g.log_probability(std::vector<std::int32_t>{a, b}));
      for (std::int32_t c = 0; a < 4 && c < grammar::words; ++c)
        three += std::exp(g.log_probability(std::vector<std::int32_t>{a, b, c}));
    }
  CHECK(two == Approx(1));
  CHECK(three == Approx(4.0 / grammar::words));                             // the first word is any, each as likely
  CHECK(g.log_probability(std::vector<std::int32_t>{0, 31}) == -INFINITY);  // a determiner, then a verb
}

TEST_CASE("grammar: the entropy is that of what is drawn") {
  const grammar g;
  CHECK(grammar::entropy(1) == Approx(std::log(32.0)));
  const index_t length = 24, count = 4000;
  double mean = 0, squares = 0;
  for (index_t i = 0; i < count; ++i) {
    const double x = -g.log_probability(g.draw(7, static_cast<std::uint64_t>(i), length)) / static_cast<double>(length);
    mean += x / static_cast<double>(count);
    squares += x * x / static_cast<double>(count);
  }
  const double error = std::sqrt((squares - mean * mean) / static_cast<double>(count));
  const double topic = std::log(static_cast<double>(grammar::topics)) / static_cast<double>(length);
  CHECK(mean > grammar::entropy(length) - 4 * error);
  CHECK(mean < grammar::entropy(length) + topic + 4 * error);
  // 24 words say the topic nearly always: what it adds is nearly all there.
  CHECK(mean > grammar::entropy(length) + 0.9 * topic - 4 * error);
}

TEST_CASE("grammar: sentences are functions of (seed, number), of the length, in classes that follow in turn") {
  const grammar g;
  CHECK(g.draw(1, 2, 30) == g.draw(1, 2, 30));
  CHECK(g.draw(1, 2, 30) != g.draw(1, 3, 30));
  CHECK(g.draw(1, 2, 30) != g.draw(2, 2, 30));
  std::vector<index_t> first(grammar::words);
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const auto text = g.draw(3, i, 9);
    REQUIRE(text.size() == 9);
    ++first[static_cast<std::size_t>(text[0])];
    for (std::size_t k = 1; k < text.size(); ++k)
      REQUIRE(text[k] / grammar::class_words == (text[k - 1] / grammar::class_words + 1) % grammar::classes);
  }
  for (const index_t n : first) CHECK((n > 30 && n < 100));  // 62.5 and six deviations
}
