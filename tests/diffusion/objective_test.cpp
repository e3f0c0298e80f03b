// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Losses of a batch that can be followed by hand; gradients by differences.
#include "hone/diffusion/objective.hpp"

#include "hone/loss/likelihood.hpp"
#include "support/catch.hpp"
#include "support/gradient_error.hpp"

using namespace hone;
using namespace hone::diffusion;

namespace {

const std::vector<std::int32_t> tokens = {0, 2, 1, 3, 3, 3, 0, 1}, noised = {4, 2, 4, 3, 3, 3, 0, 4};
const std::vector<index_t> offsets = {0, 4, 8};
const std::vector<double> logits = {.5, -.2, .1, .3,  0,  0,  .4, -.3, .2,  .1, -.1, .9, .2, -.4,
                                    .3, .2,  .2, .2,  .2, .2, .1, 0,   -.1, .5, .2,  .3, .3, .1,
                                    0,  -.2, .6, -.6, 0,  .2, .1, -.3, .8,  .1, .4,  -.5};

/// The loss, its sum over what it is divided by, and the gradient of that.
struct outcome {
  double loss;
  std::vector<double> gradient;
};
outcome loss_of(weighting how, std::vector<double> z, std::vector<double> values, bool subs = false,
                std::vector<std::uint8_t> may = {}) {
  std::vector<std::int32_t> labels(8);
  std::vector<double> weights(8);
  const double divisor = row_weights(
      how, {.tokens = tokens, .noised = noised, .offsets = offsets, .may = may, .values = values, .mask_token = 4},
      labels, weights);
  const matrix_view<double> rows(z.data(), 8, 5);
  if (subs) exclude_mask(rows, 4);
  const auto sum = loss::likelihood(rows, labels, {.scale = 1 / divisor, .weights = weights});
  CHECK(sum.count == 3);
  return {sum.sum / divisor, z};
}

}  // namespace

TEST_CASE("the published weights of masked places") {
  const std::vector<double> t = {.6, .2};
  CHECK(loss_of(weighting::exact_ratio, logits, {}).loss == Approx(1.076524448).epsilon(1e-9));
  CHECK(loss_of(weighting::inverse, logits, t).loss == Approx(1.109537095).epsilon(1e-9));
  CHECK(loss_of(weighting::unweighted, logits, {}).loss == Approx(0.410802190).epsilon(1e-9));
  CHECK(loss_of(weighting::masked_mean, logits, {}).loss == Approx(1.095472507).epsilon(1e-9));
  CHECK(loss_of(weighting::inverse, logits, t, true).loss == Approx(0.958712101).epsilon(1e-9));
  // Answers of three places: the sum over p and their length, the mean over sequences.
  const std::vector<std::uint8_t> answers = {1, 1, 1, 0, 0, 1, 1, 1};
  const double expected = ((1.278755575 + 0.987981679) / .6 / 3 + 1.019680268 / .2 / 3) / 2;
  CHECK(loss_of(weighting::answer, logits, t, false, answers).loss == Approx(expected).epsilon(1e-9));
  const double of_answers = ((1.278755575 + 0.987981679) * 3 / 2 + 1.019680268 * 3) / 6;
  CHECK(loss_of(weighting::exact_ratio, logits, {}, false, answers).loss == Approx(of_answers).epsilon(1e-9));
}

TEST_CASE("MDLM's weight of the log-linear schedule is 1 / t, its chance of a mask (1 - eps) t") {
  for (const double t : {.6, .2, 1e-3, 1.0}) {
    const double eps = 1e-3, sigma = -std::log1p(-(1 - eps) * t), slope = (1 - eps) / (1 - (1 - eps) * t);
    CHECK(slope / std::expm1(sigma) == Approx(1 / t).epsilon(1e-12));
    CHECK(-std::expm1(-sigma) == Approx((1 - eps) * t).epsilon(1e-12));
  }
}

TEST_CASE("gradients of all objectives are those of differences") {
  for (const weighting how :
       {weighting::inverse, weighting::exact_ratio, weighting::unweighted, weighting::masked_mean, weighting::answer})
    for (const bool subs : {false, true}) {
      const std::vector<double> values = {.6, .2};
      const auto value = [&](const std::vector<double>& z) { return loss_of(how, z, values, subs).loss; };
      CHECK(gradient_error(logits, loss_of(how, logits, values, subs).gradient, value) < 1e-8);
    }
}

TEST_CASE("a mask that is a token of the prompt has no label and no weight, and is none of the masked") {
  const std::vector<std::int32_t> clean = {4, 1, 2, 3}, with_mask = {4, 4, 2, 3};
  const std::vector<index_t> one = {0, 4};
  const std::vector<std::uint8_t> may = {0, 1, 1, 1};
  for (const weighting how :
       {weighting::inverse, weighting::exact_ratio, weighting::unweighted, weighting::masked_mean, weighting::answer}) {
    CAPTURE(static_cast<int>(how));
    std::vector<std::int32_t> labels(4);
    std::vector<double> weights(4);
    const double divisor = row_weights(how, {clean, with_mask, one, may, std::vector<double>{.5}, 4}, labels, weights);
    CHECK(labels == std::vector<std::int32_t>{-1, 1, -1, -1});
    CHECK((weights[0] == 0 && weights[2] == 0 && weights[3] == 0));
    const double expected = how == weighting::inverse       ? 2
                            : how == weighting::exact_ratio ? 3
                            : how == weighting::answer      ? 1 / 1.5
                                                            : 1;
    CHECK(weights[1] == Approx(expected));
    CHECK(divisor == (how == weighting::answer || how == weighting::masked_mean ? 1 : 3));
  }
}

TEST_CASE("sums and divisors of parts are those of the whole; a sequence without a mask has no loss") {
  for (const weighting how : {weighting::inverse, weighting::exact_ratio, weighting::masked_mean, weighting::answer}) {
    const std::vector<double> values = {.6, .2};
    std::vector<std::int32_t> labels(8);
    std::vector<double> weights(8);
    const double whole = row_weights(how, {tokens, noised, offsets, {}, values, 4}, labels, weights);
    double parts = 0;
    for (std::size_t s = 0; s < 2; ++s) {
      std::vector<std::int32_t> own(4);
      std::vector<double> w(4);
      parts += row_weights(how,
                           {std::span(tokens).subspan(4 * s, 4),
                            std::span(noised).subspan(4 * s, 4),
                            std::vector<index_t>{0, 4},
                            {},
                            std::span(values).subspan(s, 1),
                            4},
                           own, w);
      CHECK(std::equal(w.begin(), w.end(), weights.begin() + static_cast<std::ptrdiff_t>(4 * s)));
      CHECK(std::equal(own.begin(), own.end(), labels.begin() + static_cast<std::ptrdiff_t>(4 * s)));
    }
    CHECK(parts == whole);
    row_weights(how, {tokens, tokens, offsets, {}, values, 4}, labels, weights);
    CHECK(labels == std::vector<std::int32_t>(8, -1));
    CHECK(weights == std::vector<double>(8, 0));
    const std::vector<std::uint8_t> nobody(8, 0);
    CHECK(row_weights(how, {tokens, tokens, offsets, nobody, values, 4}, labels, weights) ==
          (how == weighting::answer ? 2 : 0));
  }
}

TEST_CASE("weights of what does not fit are refused before anything is written") {
  std::vector<std::int32_t> labels(8, 5);
  std::vector<double> weights(8, 5);
  const auto refused = [&](weighting how, masked_batch b, const char* part) {
    CAPTURE(part);
    CHECK_THROWS_WITH(row_weights(how, b, labels, weights), Catch::Contains(part));
    CHECK((labels == std::vector<std::int32_t>(8, 5) && weights == std::vector<double>(8, 5)));
  };
  const std::vector<double> one = {1}, above = {.5, 1.5}, zero = {0, .5}, nan = {.5, std::nan("")};
  const std::vector<std::uint8_t> two = {1, 1}, first_not = {0, 1, 1, 1, 1, 1, 1, 1};
  const std::vector<index_t> early = {0, 4, 7}, falls = {0, 6, 4, 8};
  refused(weighting::exact_ratio, {tokens, std::span(noised).first(7), offsets, {}, {}, 4},
          "noised: has 7 elements, must have 8");
  refused(weighting::exact_ratio, {tokens, noised, offsets}, "mask_token: must not be negative, is -1");
  refused(weighting::exact_ratio, {tokens, noised, early, {}, {}, 4}, "offsets: must begin with 0");
  refused(weighting::exact_ratio, {tokens, noised, falls, {}, {}, 4}, "offsets: sequence 1 ends before it begins");
  refused(weighting::exact_ratio, {tokens, noised, offsets, two, {}, 4}, "may: has 2 elements");
  refused(weighting::exact_ratio, {tokens, noised, offsets, first_not, {}, 4}, "noised: token 0 is neither");
  refused(weighting::exact_ratio, {tokens, noised, offsets, {}, {}, 3}, "noised: token 0 is neither");
  refused(weighting::inverse, {tokens, noised, offsets, {}, one, 4}, "values: has 1 elements, must have 2");
  for (const auto& v : {above, zero, nan})
    refused(weighting::answer, {tokens, noised, offsets, {}, v, 4}, "values: must be in (0, 1]");
  CHECK_THROWS_WITH(
      row_weights(weighting::exact_ratio, {tokens, noised, offsets, {}, {}, 4}, std::span(labels).first(7), weights),
      Catch::Contains("labels: has 7"));
  CHECK_THROWS_WITH(
      row_weights(weighting::exact_ratio, {tokens, noised, offsets, {}, {}, 4}, labels, std::span(weights).first(7)),
      Catch::Contains("weights: has 7"));
  refused(weighting::answer, {tokens, noised, offsets, {}, one, 4}, "values: has 1 elements, must have 2");
  const auto nowhere = [](auto* null) { return std::span(null, 8); };
  const masked_batch good{tokens, noised, offsets, {}, {}, 4};
  CHECK_THROWS_WITH(row_weights(weighting::unweighted, good, nowhere(static_cast<std::int32_t*>(nullptr)), weights),
                    Catch::StartsWith("hone::diffusion::row_weights: labels"));
  CHECK_THROWS_WITH(row_weights(weighting::unweighted, good, labels, nowhere(static_cast<double*>(nullptr))),
                    Catch::StartsWith("hone::diffusion::row_weights: weights"));
  CHECK((labels == std::vector<std::int32_t>(8, 5) && weights == std::vector<double>(8, 5)));
  std::vector<float> z(10, 1);
  CHECK_THROWS_WITH(exclude_mask(matrix_view<float>(z.data(), 2, 5), 5),
                    Catch::Contains("is 5, the logits have 5 columns"));
  CHECK_THROWS_WITH(exclude_mask(matrix_view<float>(z.data(), 2, 5), -1), Catch::Contains("mask_token"));
  exclude_mask(matrix_view<float>(z.data(), 2, 5), 2);
  for (std::size_t i = 0; i < 10; ++i) CHECK(z[i] == (i % 5 == 2 ? -INFINITY : 1));
}

TEST_CASE("the mask may be id 0 and a value 1; an answer of one place weighs 1 / v") {
  const std::vector<std::int32_t> clean = {3, 2, 1}, with_mask = {3, 0, 0};
  const std::vector<index_t> two = {0, 2, 3};
  const std::vector<std::uint8_t> may = {0, 1, 1};
  std::vector<std::int32_t> labels(3);
  std::vector<double> weights(3);
  CHECK(row_weights(weighting::answer, {clean, with_mask, two, may, std::vector<double>{1, .5}, 0}, labels, weights) ==
        2);
  CHECK(weights == std::vector<double>{0, 1, 2});
  CHECK(labels == std::vector<std::int32_t>{-1, 2, 1});
  CHECK(row_weights(weighting::exact_ratio, {clean, with_mask, two, may, {}, 0}, labels, weights) == 2);
  CHECK(weights == std::vector<double>{0, 1, 1});
  std::vector<float> z(6, 1);
  exclude_mask(matrix_view<float>(z.data(), 2, 3), 0);
  CHECK(z == std::vector<float>{-INFINITY, 1, 1, -INFINITY, 1, 1});
}
