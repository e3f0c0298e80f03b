// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/eval/memorization.hpp"

#include "support/catch.hpp"

#include <cmath>
#include <vector>

using namespace hone::eval;

namespace {
using tokens = std::vector<std::int32_t>;
}

TEST_CASE("exact memorization is the share of right tokens, extraction strength that of the right end") {
  const tokens labels = {4, 5, 6, 7};
  const auto check = [&](const tokens& predicted, double exact, double strength) {
    CHECK(exact_memorization(predicted, labels) == exact);
    CHECK(extraction_strength(predicted, labels) == strength);
  };
  check({4, 5, 6, 7}, 1, 1);
  check({0, 5, 6, 7}, 0.75, 0.75);
  check({4, 5, 0, 7}, 0.75, 0.25);
  check({4, 5, 6, 0}, 0.75, 0);  // no suffix is right: k = n
  check({0, 0, 0, 0}, 0, 0);
}

TEST_CASE("extraction strength is 1 - k / n with the least k after which all is right") {
  for (unsigned bits = 0; bits < 256; ++bits) {
    tokens predicted(8), labels(8, 1);
    for (unsigned i = 0; i < 8; ++i) predicted[i] = (bits >> i & 1) != 0;
    unsigned k = 8;
    while (k > 0 && predicted[k - 1] == labels[k - 1]) --k;
    CHECK(extraction_strength(predicted, labels) == 1 - k / 8.0);
    CHECK(extraction_strength(predicted, labels) <= exact_memorization(predicted, labels));
  }
}

TEST_CASE("ignored labels do not count, wherever they are") {
  const tokens labels = {-100, 4, -100, 5, -1}, predicted = {9, 4, 9, 5, 9};
  CHECK(exact_memorization(predicted, labels) == 1);
  CHECK(extraction_strength(predicted, labels) == 1);
  CHECK(extraction_strength(tokens{9, 0, 9, 5, 9}, labels) == 0.5);
  // Token 0 counts.
  CHECK(exact_memorization(tokens{0, 1, 1}, tokens{0, 1, 0}) == Approx(2.0 / 3));
  CHECK(extraction_strength(tokens{0, 1, 1}, tokens{0, 1, 0}) == 0);
  CHECK(exact_memorization(tokens{3}, tokens{3}) == 1);
  CHECK(extraction_strength(tokens{3}, tokens{3}) == 1);
  for (const tokens& none : {tokens{}, tokens{-100, -100}}) {
    CHECK(std::isnan(exact_memorization(none, none)));
    CHECK(std::isnan(extraction_strength(none, none)));
  }
}

TEST_CASE("tokens and labels of 64 bits are compared as they are") {
  const std::vector<std::int64_t> labels = {4, -100, 5}, predicted = {4, 0, (std::int64_t{1} << 32) + 5};
  CHECK(exact_memorization(predicted, labels) == 0.5);
  CHECK(exact_memorization(tokens{4, 0, 5}, labels) == 1);
  CHECK(extraction_strength(predicted, labels) == 0);
}

TEST_CASE("memorization: misuse") {
  CHECK_THROWS_WITH(exact_memorization(tokens{1}, tokens{1, 2}),
                    "hone::eval::exact_memorization: predicted: has 1 tokens, labels 2");
  CHECK_THROWS_AS(extraction_strength(tokens{1}, tokens{}), std::invalid_argument);
}
