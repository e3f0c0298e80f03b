// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/features.hpp"

#include "hone/core/random.hpp"
#include "support/catch.hpp"
#include "support/outputs.hpp"

#include <cmath>
#include <limits>
#include <vector>

using namespace hone;
using namespace hone::routing;

namespace {

constexpr index_t layers = 3, width = 37;

/// tokens x layers x width.
template <class T>
std::vector<T> drawn(index_t tokens) {
  std::vector<T> x;
  for (index_t i = 0; i < tokens * layers * width; ++i)
    x.push_back(from_accumulator<T>(static_cast<accumulator_t<T>>(philox{3}.normal(static_cast<std::uint64_t>(i)))));
  return x;
}

template <class T>
states_view<const T> view(const std::vector<T>& x) {
  return {x.data(), std::ssize(x) / (layers * width), layers, width};
}

}  // namespace

TEMPLATE_TEST_CASE("routing features: a masked mean by its formula, in pieces as at once", "", float, double, bfloat16,
                   float16) {
  const auto x = drawn<TestType>(29);
  std::vector<std::uint8_t> mask(29, 1);
  for (const std::size_t t : {0u, 1u, 2u, 17u}) mask[t] = 0;
  std::vector<float> once(layers * width), pieces(once);
  const auto report = pool_tokens(view(x), token_pooling::mean, matrix_view<float>(once.data(), layers, width), mask);
  CHECK(report.tokens == 25);
  CHECK(report.unequal == 0);
  CHECK(report.nonfinite == 0);
  for (index_t l = 0; l < layers; ++l)
    for (index_t j = 0; j < width; ++j) {
      double sum = 0;
      for (index_t t = 0; t < 29; ++t)
        if (mask[static_cast<std::size_t>(t)] != 0) sum += static_cast<double>(to_accumulator(view(x).sample(t)(l, j)));
      CHECK(once[static_cast<std::size_t>(l * width + j)] == Approx(sum / 25).epsilon(1e-6).margin(1e-7));
    }
  // Layers in another order, tokens in pieces, rows that are strided: the same bits.
  for (const index_t piece : {1, 2, 7, 28, 29, 40}) {
    token_features features(layers, width);
    for (const index_t l : {2, 0, 1})
      for (index_t begin = 0; begin < 29; begin += piece) {
        const index_t count = (std::min)(piece, 29 - begin);
        features.add(l, matrix_view<const TestType>(&view(x).sample(begin)(l, 0), count, width, layers * width, 1),
                     std::span<const std::uint8_t>(mask).subspan(static_cast<std::size_t>(begin),
                                                                 static_cast<std::size_t>(count)));
      }
    features.write(matrix_view<float>(pieces.data(), layers, width));
    CHECK(pieces == once);
  }
}

TEST_CASE("routing features: padding changes nothing, the last token is the last that counts") {
  const auto x = drawn<float>(6);
  std::vector<float> padded(2 * layers * width, 1e30f);
  padded.insert(padded.end(), x.begin(), x.end());
  padded.insert(padded.end(), layers * width, std::nanf(""));
  const std::vector<std::uint8_t> mask = {0, 0, 1, 1, 1, 1, 1, 1, 0};
  for (const token_pooling how : {token_pooling::mean, token_pooling::last}) {
    std::vector<float> plain(layers * width), with(plain);
    pool_tokens(view(x), how, matrix_view<float>(plain.data(), layers, width));
    const auto report = pool_tokens(view(padded), how, matrix_view<float>(with.data(), layers, width), mask);
    CHECK(with == plain);
    CHECK(report.nonfinite == 0);
    if (how == token_pooling::last)
      for (index_t l = 0; l < layers; ++l) CHECK(plain[static_cast<std::size_t>(l * width)] == view(x).sample(5)(l, 0));
  }
}

TEST_CASE("routing features: before or after the norm, the reference vectors (R.4)") {
  // Tokens (2,1), (-1,7), RMS norm with weights (1, 0.5): the norm comes before the mean.
  const std::vector<double> before = {2, 1, -1, 7};
  std::vector<double> after, mean(2);
  for (std::size_t t = 0; t < 2; ++t) {
    const double rms = std::sqrt((before[2 * t] * before[2 * t] + before[2 * t + 1] * before[2 * t + 1]) / 2);
    after.push_back(before[2 * t] / rms);
    after.push_back(0.5 * before[2 * t + 1] / rms);
  }
  const auto pooled = [&](const std::vector<double>& x) {
    pool_tokens(states_view<const double>(x.data(), 2, 1, 2), token_pooling::mean,
                matrix_view<double>(mean.data(), 1, 2));
    return mean;
  };
  CHECK(pooled(before) == std::vector<double>{0.5, 4});
  CHECK(pooled(after)[0] == Approx(0.5324555320).epsilon(1e-9));
  CHECK(pooled(after)[1] == Approx(0.5081138830).epsilon(1e-9));
}

TEST_CASE("routing features: no tokens, unequal layers, what is not finite, another prompt") {
  token_features features(layers, width);
  std::vector<float> out(layers * width, 7);
  auto report = features.write(matrix_view<float>(out.data(), layers, width));
  CHECK(report.tokens == 0);
  CHECK(out == std::vector<float>(layers * width, 0.0f));
  const auto x = drawn<float>(2);
  features.add(0, view(x).sample(0).row(0).size() == width ? matrix_view<const float>(x.data(), 1, width)
                                                           : matrix_view<const float>());
  report = features.write(matrix_view<float>(out.data(), layers, width));
  CHECK(report.tokens == 1);
  CHECK(report.unequal == 2);
  const std::vector<float> bad(width, std::numeric_limits<float>::infinity());
  features.add(1, matrix_view<const float>(bad.data(), 1, width));
  CHECK(features.write(matrix_view<float>(out.data(), layers, width)).nonfinite == width);
  features.clear();
  CHECK(features.tokens(0) == 0);
  CHECK(features.write(matrix_view<float>(out.data(), layers, width)).nonfinite == 0);
}

TEST_CASE("routing features: each token a sample") {
  const auto x = drawn<float>(5);
  const std::vector<std::uint8_t> mask = {1, 0, 1, 1, 0};
  std::vector<bfloat16> out(3 * layers * width);
  copy_tokens(view(x), mask, states_view<bfloat16>(out.data(), 3, layers, width));
  for (const auto& [to, from] : {std::pair<index_t, index_t>{0, 0}, {1, 2}, {2, 3}})
    for (index_t l = 0; l < layers; ++l)
      for (index_t j = 0; j < width; ++j)
        CHECK(float(out[static_cast<std::size_t>((to * layers + l) * width + j)]) ==
              float(bfloat16(view(x).sample(from)(l, j))));
  CHECK_THROWS_AS(copy_tokens(view(x), mask, states_view<bfloat16>(out.data(), 2, layers, width)),
                  std::invalid_argument);
  CHECK_THROWS_AS(
      copy_tokens(view(x), mask, states_view<bfloat16>(out.data(), 3, layers, width, layers * width, width, 0)),
      std::invalid_argument);
  CHECK_THROWS_WITH(copy_tokens(view(x), mask, states_view<bfloat16>(out.data(), 3, layers, width, 0, width)),
                    Catch::Contains("strides 0 and " + std::to_string(width)));
  CHECK_THROWS_WITH(copy_tokens(view(x), mask, states_view<bfloat16>(out.data(), 3, layers, width, 1, 3 * width)),
                    Catch::Contains("strides 1 and 1"));
  // All tokens without a mask, none with one of zeros, and what does not fit.
  std::vector<float> all(x.size());
  copy_tokens(view(x), {}, states_view<float>(all.data(), 5, layers, width));
  CHECK(all == x);
  copy_tokens(view(x), std::vector<std::uint8_t>(5, 0), states_view<float>(nullptr, 0, layers, width));
  CHECK_THROWS_WITH(copy_tokens(view(x), {}, states_view<float>(all.data(), 5, layers - 1, width)),
                    "hone::routing::copy_tokens: out: is 5 x 2 x 37, expected 5 x 3 x 37");
  CHECK_THROWS_AS(copy_tokens(view(x), {}, states_view<float>(all.data(), 5, layers, width - 1)),
                  std::invalid_argument);
  CHECK_THROWS_AS(copy_tokens(view(x), {}, states_view<float>(nullptr, 5, layers, width)), std::invalid_argument);
  CHECK_THROWS_AS(copy_tokens(view(x), {}, states_view<float>(all.data(), 5, layers, width, layers * width, 0)),
                  std::invalid_argument);
  CHECK_THROWS_WITH(copy_tokens(view(x), std::vector<std::uint8_t>{1, 0, 1, 0, 1, 0},
                                states_view<float>(all.data(), 3, layers, width)),
                    "hone::routing::copy_tokens: mask: has 6, tokens 5");
  CHECK_THROWS_AS(copy_tokens(view(x), std::span(mask).first(3), states_view<bfloat16>(out.data(), 3, layers, width)),
                  std::invalid_argument);
}

TEST_CASE("routing features: the last of pieces, pieces without a token that counts, strides, one element") {
  const auto x = drawn<float>(4);
  std::vector<double> turned;  // width x layers of each token
  for (index_t t = 0; t < 4; ++t)
    for (index_t j = 0; j < width; ++j)
      for (index_t l = 0; l < layers; ++l) turned.push_back(static_cast<double>(view(x).sample(t)(l, j)));
  const states_view<const double> strided(turned.data(), 4, layers, width, layers * width, 1, layers);
  for (const token_pooling how : {token_pooling::mean, token_pooling::last}) {
    std::vector<float> plain(layers * width), other(plain), pieces(plain);
    const matrix_view<float> out(pieces.data(), layers, width);
    pool_tokens(view(x), how, matrix_view<float>(plain.data(), layers, width));
    pool_tokens(strided, how, matrix_view<float>(other.data(), layers, width));
    CHECK(other == plain);
    token_features features(layers, width, how);
    const std::vector<float> junk(2 * width, 9.0f);
    for (index_t l = 0; l < layers; ++l) {
      const auto rows = [&](index_t t) {
        return matrix_view<const float>(&view(x).sample(t)(l, 0), 2, width, layers * width, 1);
      };
      features.add(l, rows(0));
      features.add(l, rows(2));
      features.add(l, matrix_view<const float>(junk.data(), 2, width), std::vector<std::uint8_t>{0, 0});
      features.add(l, matrix_view<const float>(junk.data(), 0, width));
      CHECK(features.tokens(l) == 4);
    }
    features.write(out);
    CHECK(pieces == plain);
    features.clear();
    features.write(out);
    CHECK(pieces == std::vector<float>(layers * width, 0.0f));
    CHECK(features.write(out).tokens == 0);
  }
  // Of the layers the one that saw most comes first, or last.
  token_features features(2, 1);
  const std::vector<float> three = {1, 2, 6}, one = {5};
  features.add(0, matrix_view<const float>(three.data(), 3, 1));
  features.add(1, matrix_view<const float>(one.data(), 1, 1));
  std::vector<float> out(2);
  const auto report = features.write(matrix_view<float>(out.data(), 2, 1));
  CHECK(out == std::vector<float>{3, 5});
  CHECK(report.tokens == 3);
  CHECK(report.unequal == 1);
  const std::vector<float> two = {1, 0, 0, 2};
  features.add(1, matrix_view<const float>(two.data(), 4, 1), std::vector<std::uint8_t>{1, 1, 1, 1});
  CHECK(features.write(matrix_view<float>(out.data(), 2, 1)).tokens == 5);
  CHECK(out[1] == 1.6f);
}

TEST_CASE("routing features: misuse") {
  const auto x = drawn<float>(4);
  token_features features(layers, width);
  const matrix_view<const float> rows(x.data(), 2, width);
  const std::vector<std::uint8_t> mask(3, 1);
  CHECK_THROWS_WITH(features.add(3, rows), "hone::routing::token_features::add: layer: is 3 of 3");
  CHECK_THROWS_AS(features.add(-1, rows), std::invalid_argument);
  CHECK_THROWS_AS(features.add(0, rows, mask), std::invalid_argument);
  CHECK_THROWS_AS(features.add(0, matrix_view<const float>(x.data(), 2, width - 1)), std::invalid_argument);
  CHECK(features.tokens(0) == 0);
  CHECK_THROWS_AS(token_features(0, width), std::invalid_argument);
  CHECK_THROWS_AS(token_features(layers, 0), std::invalid_argument);
  CHECK_THROWS_WITH(token_features(1, -1), "hone::routing::token_features: width: must be positive, is -1");
  CHECK_THROWS_WITH(token_features(-1, 1), "hone::routing::token_features: layers: must be positive, is -1");
  CHECK_THROWS_WITH(pool_tokens(view(x), token_pooling::mean, matrix_view<float>(), std::vector<std::uint8_t>(5, 1)),
                    "hone::routing::pool_tokens: mask: has 5, tokens 4");
  std::vector<float> rows_missing((layers - 1) * width);
  CHECK_THROWS_WITH(features.write(matrix_view<float>(rows_missing.data(), layers - 1, width)),
                    "hone::routing::token_features::write: out: is 2 x 37, expected 3 x 37");
  std::vector<float> out(layers * width);
  CHECK_THROWS_AS(features.write(matrix_view<float>(out.data(), layers, width - 1)), std::invalid_argument);
  check_refuses_matrices<float>(layers, width, "hone::routing::token_features::write: out: ",
                                [&](const matrix_view<float>& y) { features.write(y); });
  CHECK_THROWS_AS(pool_tokens(view(x), token_pooling::mean, matrix_view<float>(out.data(), layers, width), mask),
                  std::invalid_argument);
}
