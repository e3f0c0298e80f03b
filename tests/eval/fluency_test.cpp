// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/eval/fluency.hpp"

#include "support/catch.hpp"

using namespace hone::eval;

namespace {
using tokens = std::vector<std::int32_t>;
}

TEST_CASE("entropy of n-grams") {
  CHECK(ngram_entropy(tokens{1, 2, 1, 2, 1}, 1) == Approx(-0.6 * std::log2(0.6) - 0.4 * std::log2(0.4)).epsilon(1e-15));
  CHECK(ngram_entropy(tokens{1, 2, 1, 2, 1}, 2) == Approx(1).epsilon(1e-15));
  CHECK(ngram_entropy(tokens(50, 7), 2) == 0);
  tokens distinct(33);
  for (std::size_t i = 0; i < distinct.size(); ++i) distinct[i] = static_cast<std::int32_t>(i);
  CHECK(ngram_entropy(distinct, 2) == Approx(5).epsilon(1e-14));
  CHECK(ngram_entropy(tokens{}, 2) == 0);
  CHECK(ngram_entropy(tokens{1}, 2) == 0);
  CHECK(ngram_entropy(tokens{1, 2}, 2) == 0);
  CHECK_THROWS_AS(ngram_entropy(tokens{1}, 0), std::invalid_argument);
}

TEST_CASE("fluency weighs pairs and triples") {
  // a b a b c a: pairs ab ba ab bc ca, triples aba bab abc bca.
  const tokens text = {0, 1, 0, 1, 2, 0};
  const double pairs = -0.4 * std::log2(0.4) - 3 * 0.2 * std::log2(0.2), triples = 2;
  CHECK(fluency(text) == Approx(0.5 * (2.0 / 3 * pairs + 4.0 / 3 * triples)).epsilon(1e-14));
  CHECK(fluency(tokens(100, 1)) == 0);
}
