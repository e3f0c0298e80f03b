// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/loss/sequence.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/loss/likelihood.hpp"
#include "hone/loss/preference.hpp"
#include "loss/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::loss;

TEST_CASE("NPO, SimNPO and DPO give the reference vectors (G4)") {
  const std::vector<double> nll = {12, 7.5}, reference = {10, 8}, refusal = {9, 6}, refusal_reference = {8.5, 6.5};
  const std::vector<index_t> lengths = {6, 5};
  std::vector<double> slope(2);
  CHECK(npo(nll, reference, slope, 0.1).mean() == Approx(13.165985173949).epsilon(1e-12));
  CHECK(npo(nll, reference, slope, 1).mean() == Approx(1.101004995223).epsilon(1e-12));
  CHECK(simnpo(nll, lengths, slope, {.beta = 0.1, .delta = 0.1}).mean() == Approx(12.282480916358).epsilon(1e-12));
  CHECK(simnpo(nll, lengths, slope, {.beta = 4.5, .delta = 0}).mean() == Approx(2.874659701e-4).epsilon(1e-9));
  CHECK(dpo(nll, reference, refusal, refusal_reference, slope, 0.1).mean() == Approx(13.141042283495).epsilon(1e-12));
}

TEST_CASE("slopes are the derivatives") {
  const std::vector<double> nll = {12, 7.5, 0.1}, reference = {10, 8, 30}, refusal = {9, 6, 1},
                            refusal_reference = {8, 7, 2};
  const std::vector<index_t> lengths = {6, 5, 1};
  const auto check = [&](auto&& f) {
    std::vector<double> slope(3), scratch(3);
    f(nll, slope);
    CHECK(gradient_error(nll, slope, [&](const std::vector<double>& x) { return f(x, scratch).sum; }) < 1e-8);
  };
  check([&](const auto& x, auto& slope) { return npo(x, reference, slope, 0.3); });
  check([&](const auto& x, auto& slope) { return simnpo(x, lengths, slope, {.beta = 2, .delta = 0.5}); });
  check([&](const auto& x, auto& slope) { return dpo(x, reference, refusal, refusal_reference, slope, 0.2); });
  std::vector<double> slope(3), scratch(3), negative;
  dpo(nll, reference, refusal, refusal_reference, slope, 0.2);
  for (const double s : slope) negative.push_back(-s);
  CHECK(gradient_error(refusal, negative, [&](const std::vector<double>& x) {
          return dpo(nll, reference, x, refusal_reference, scratch, 0.2).sum;
        }) < 1e-8);
}

TEST_CASE("NPO at its reference is (2/beta) log 2, and turns into gradient ascent on sequence sums as beta -> 0") {
  const std::vector<double> nll = {12, 7.5};
  std::vector<double> slope(2);
  for (const double beta : {0.01, 0.1, 3.0}) {
    CHECK(npo(nll, nll, slope, beta).mean() == Approx(2 / beta * std::log(2.0)).epsilon(1e-14));
    CHECK(slope == std::vector<double>{-1, -1});
  }
  npo(nll, std::vector<double>{2, 90}, slope, 1e-9);
  CHECK(slope[0] == Approx(-1).epsilon(1e-7));
  CHECK(slope[1] == Approx(-1).epsilon(1e-7));
}

TEST_CASE("extreme margins stay finite") {
  const std::vector<double> nll = {1e6, 0}, reference = {0, 1e6};
  std::vector<double> slope(2);
  const auto total = npo(nll, reference, slope, 1);
  CHECK(total.sum == Approx(2e6));
  CHECK(total.nonfinite == 0);
  CHECK(slope == std::vector<double>{0, -2});
  const std::vector<double> broken = {std::nan(""), 1};
  CHECK(npo(broken, reference, slope, 1).nonfinite == 1);
}

TEST_CASE("sequence sums do not depend on their neighbours or on workers, and ragged or empty sequences are fine") {
  const index_t rows = 23, vocab = 40;
  const auto z = random_logits<float>(rows, vocab, 1);
  std::vector<std::int32_t> targets;
  for (index_t t = 0; t < rows; ++t) targets.push_back(t % 4 == 0 ? ignored : static_cast<std::int32_t>(t));
  const std::vector<index_t> offsets = {0, 5, 5, 6, 23};
  const matrix_view<const float> view(z.data(), rows, vocab);
  std::vector<double> nll(4);
  const auto total = sequence_nll(view, targets, offsets, nll);
  CHECK(total.count == 17);
  CHECK(nll[1] == 0);
  for (std::size_t b = 0; b < 4; ++b) {
    const index_t begin = offsets[b], count = offsets[b + 1] - begin;
    std::vector<double> alone(1), log_p(static_cast<std::size_t>(count));
    const std::vector<index_t> own = {0, count};
    const matrix_view<const float> part(z.data() + begin * vocab, count, vocab);
    const auto labels = std::span(targets).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count));
    sequence_nll(part, labels, own, alone);
    CHECK(alone[0] == nll[b]);
    if (count > 0) CHECK(log_likelihood(part, labels, log_p).sum == Approx(nll[b]).epsilon(1e-14));
  }
  thread_pool pool(3);
  std::vector<double> again(4);
  CHECK(sequence_nll(view, targets, offsets, again, 1, pool).sum == total.sum);
  CHECK(again == nll);
}

TEST_CASE(
    "no sequence is likelier than certain, at any temperature: losses that take logarithms of 1 - p stay finite") {
  std::vector<float> z = {100, 0, 0};
  const std::vector<std::int64_t> target = {0};
  const std::vector<index_t> offsets = {0, 1}, length = {1};
  std::vector<double> nll(1), rejected = {2}, chosen_slope(1), rejected_slope(1);
  for (const double temperature : {0.1, 0.3, 0.6, 0.7, 0.9, 1.1, 3.0}) {
    const matrix_view<const float> row(z.data(), 1, 3);
    CHECK(sequence_nll(row, target, offsets, nll, temperature).sum == nll[0]);
    CHECK(nll[0] >= 0);
    CHECK(nll[0] == Approx(2 * std::exp(-100 / temperature)).margin(1e-9));
    const auto loss = preference(
        orpo_loss{}, {.chosen = nll, .rejected = rejected, .chosen_length = length, .rejected_length = length},
        chosen_slope, rejected_slope);
    CHECK(std::isfinite(loss.sum));
    auto g = z;
    CHECK(std::isfinite(
        satimp(matrix_view<float>(g.data(), 1, 3), target, {.beta1 = 5, .beta2 = 0.5}, {.temperature = temperature})
            .sum));
  }
}

TEMPLATE_TEST_CASE("sequences of masked rows; those of which nothing is left are counted", "", double, float, bfloat16,
                   float16) {
  using T = TestType;
  const index_t vocab = 1500;
  auto z = random_logits<T>(5, vocab, 9);
  double expected = 0;
  for (index_t t = 0; t < 3; ++t) {
    const auto row = z.begin() + t * vocab;
    std::fill_n(row, t == 0 ? 1024 : 1300, to<T>(-INFINITY));
    expected -= std::log(naive_softmax(widened(std::vector<T>(row, row + vocab)), 0.8)[1400]);
  }
  std::fill_n(z.begin() + 4 * vocab, vocab, to<T>(-INFINITY));
  const std::vector<std::int32_t> targets = {1400, 1400, 1400, 0, 0};
  const std::vector<index_t> offsets = {0, 3, 3, 4, 5};
  std::vector<double> nll(4);
  const auto total = sequence_nll(matrix_view<const T>(z.data(), 5, vocab), targets, offsets, nll, 0.8);
  CHECK(nll[0] == Approx(expected).epsilon(1e-5));
  CHECK(nll[1] == 0);
  CHECK(std::isfinite(nll[2]));
  CHECK(std::isnan(nll[3]));
  CHECK(total.nonfinite == 1);
  CHECK(total.count == 5);
  CHECK(sequence_nll(matrix_view<const T>(z.data(), 0, vocab), {}, std::vector<index_t>{0}, {}).count == 0);
}

TEST_CASE("the whole of NPO on logits: three calls, and the gradient check holds") {
  const index_t vocab = 11;
  const std::vector<index_t> offsets = {0, 3, 8};
  const std::vector<std::int32_t> targets = {1, ignored, 4, 10, 0, 2, ignored, 3};
  const std::vector<double> reference = {6, 14};
  const auto before = random_logits<double>(8, vocab, 2);
  const auto run = [&](std::vector<double>& z) {
    const matrix_view<double> logits(z.data(), 8, vocab);
    std::vector<double> nll(2), slope(2), weights(8);
    sequence_nll(logits, targets, offsets, nll);
    const loss_sum loss = npo(nll, reference, slope, 0.5);
    spread(slope, offsets, weights);
    likelihood(logits, targets, {.weights = weights});
    return loss.sum;
  };
  auto gradient = before;
  run(gradient);
  CHECK(gradient_error(before, gradient, [&](std::vector<double> z) { return run(z); }) < 1e-8);
}

TEST_CASE("sequences that do not fit are refused") {
  const auto z = random_logits<float>(4, 5, 3);
  const matrix_view<const float> view(z.data(), 4, 5);
  const std::vector<std::int32_t> targets = {0, 1, 2, 3};
  std::vector<double> two(2), three(3), four(4);
  const std::vector<index_t> lengths = {2, 0};
  CHECK_THROWS_WITH(sequence_nll(view, targets, std::vector<index_t>{0, 2, 5}, two), Catch::Contains("offsets"));
  CHECK_THROWS_WITH(sequence_nll(view, targets, std::vector<index_t>{0, 4}, two), Catch::Contains("offsets"));
  CHECK_THROWS_WITH(sequence_nll(view, targets, std::vector<index_t>{0, 3, 2, 4}, three),
                    Catch::Contains("sequence 1"));
  CHECK_THROWS_WITH(spread(two, std::vector<index_t>{0, 1, 3}, four), Catch::Contains("offsets"));
  CHECK_THROWS_WITH(npo(two, three, two), Catch::Contains("reference"));
  CHECK_THROWS_WITH(npo(two, two, three), Catch::Contains("slope"));
  CHECK_THROWS_WITH(npo(two, two, two, 0), Catch::Contains("beta"));
  CHECK_THROWS_WITH(npo(two, two, two, std::nan("")), Catch::Contains("beta"));
  CHECK_THROWS_WITH(simnpo(two, lengths, two), Catch::Contains("sequence 1 has 0 labels"));
  CHECK_THROWS_WITH(dpo(two, two, three, two, two), Catch::Contains("refusal_nll"));
  const std::vector<index_t> some = {2, 1}, first = {0, 2}, many = {1, 1, 1};
  std::vector<double> kept = {9, 9};
  CHECK_THROWS_WITH(dpo(two, three, two, two, kept), "hone::loss::dpo: reference: has 3 sequences, nll has 2");
  CHECK_THROWS_WITH(dpo(two, two, two, three, kept), "hone::loss::dpo: refusal_reference: has 3 sequences, nll has 2");
  CHECK_THROWS_WITH(dpo(two, two, two, two, three), "hone::loss::dpo: slope: has 3 sequences, nll has 2");
  CHECK_THROWS_WITH(simnpo(two, first, kept), Catch::Contains("sequence 0 has 0 labels"));
  CHECK_THROWS_WITH(simnpo(two, many, kept), "hone::loss::simnpo: lengths: has 3 sequences, nll has 2");
  CHECK_THROWS_WITH(simnpo(two, some, three), "hone::loss::simnpo: slope: has 3 sequences, nll has 2");
  for (const double beta : {0.0, -1e-9, 1e300, double(INFINITY), double(NAN)}) {
    CHECK_THROWS_WITH(npo(two, two, kept, beta), Catch::StartsWith("hone::loss::npo: beta: must be positive"));
    CHECK_THROWS_WITH(simnpo(two, some, kept, {.beta = beta}), Catch::StartsWith("hone::loss::simnpo: beta"));
    CHECK_THROWS_WITH(dpo(two, two, two, two, kept, beta), Catch::StartsWith("hone::loss::dpo: beta"));
  }
  const std::vector<index_t> halves = {0, 2, 4};
  CHECK_THROWS_WITH(sequence_nll(view, std::vector<std::int32_t>{0, 1, 2, 5}, halves, kept),
                    Catch::Contains("label 5 of row 3"));
  CHECK_THROWS_WITH(sequence_nll(view, targets, halves, kept, 0), Catch::Contains("temperature"));
  CHECK(kept == std::vector<double>{9, 9});
}

TEST_CASE("beta of NPO and DPO is 0.1 where nobody sets it") {
  const std::vector<double> nll = {3, 1}, reference = {2, 2.5}, refusal = {1, 4};
  std::vector<double> slope(2), same(2);
  CHECK(npo(nll, reference, slope).sum == npo(nll, reference, same, 0.1).sum);
  CHECK(slope == same);
  CHECK(dpo(nll, reference, refusal, refusal, slope).sum == dpo(nll, reference, refusal, refusal, same, 0.1).sum);
  CHECK(slope == same);
}

TEMPLATE_TEST_CASE("a label that is certain costs 0, not -0", "", float, double, bfloat16) {
  std::vector<TestType> z(3, TestType(0));
  z[0] = TestType(2000.0f);
  const matrix_view<TestType> row(z.data(), 1, 3);
  const std::vector<std::int32_t> label{0};
  const std::vector<index_t> offsets{0, 1};
  std::vector<double> nll{-1};
  const loss_sum total = sequence_nll(row, label, offsets, nll);
  CHECK(nll[0] == 0);
  CHECK_FALSE(std::signbit(nll[0]));
  CHECK_FALSE(std::signbit(total.sum));
  CHECK_FALSE(std::signbit(likelihood(row, label).sum));
}

TEST_CASE("sequences whose loss is infinite or NaN are counted, each by itself") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> nll = {1, 1, nan, infinity, 2}, reference = {1, infinity, 1, 1, 1};
  std::vector<double> slope(5);
  loss_sum sum = npo(nll, reference, slope);  // margins 0, -inf, NaN, inf, 1
  CHECK(sum.nonfinite == 2);
  CHECK(slope[1] == -2);
  CHECK(slope[3] == 0);
  const std::vector<double> answers = {1, 1, 1, 1, 1};
  sum = dpo(answers, answers, nll, answers, slope);  // margins 0, 0, NaN, -inf, -1
  CHECK(sum.nonfinite == 2);
  const std::vector<index_t> lengths = {1, 2, 3, 4, 5};
  sum = simnpo(std::vector<double>{1, -infinity, nan, infinity, 2}, lengths, slope);
  CHECK(sum.nonfinite == 2);
}

TEST_CASE("the sum of sequences is that of their losses, with the labels that count and the rows that are not finite") {
  auto z = random_logits<double>(6, 5, 4);
  z[5 * 4] = NAN;
  const std::vector<std::int32_t> targets = {0, ignored, 4, ignored, 1, 2};
  std::vector<double> out(4);
  const loss_sum total =
      sequence_nll(matrix_view<const double>(z.data(), 6, 5), targets, std::vector<index_t>{0, 3, 4, 4, 6}, out, 0.5);
  CHECK((total.count == 4 && total.nonfinite == 1 && std::isnan(total.sum)));
  CHECK((out[0] > 0 && out[1] == 0 && out[2] == 0 && std::isnan(out[3])));
  z[5 * 4] = 0;
  const loss_sum finite =
      sequence_nll(matrix_view<const double>(z.data(), 6, 5), targets, std::vector<index_t>{0, 3, 4, 4, 6}, out, 0.5);
  CHECK((finite.count == 4 && finite.nonfinite == 0));
  CHECK(finite.sum == Approx(out[0] + out[3]).epsilon(1e-14));
  double expected = 0;
  for (const std::size_t row : {std::size_t{0}, std::size_t{2}}) {
    const auto begin = z.begin() + static_cast<std::ptrdiff_t>(5 * row);
    const auto p = naive_softmax(std::vector<double>(begin, begin + 5), 0.5);
    expected -= std::log(p[static_cast<std::size_t>(targets[row])]);
  }
  CHECK(out[0] == Approx(expected).epsilon(1e-12));
}
