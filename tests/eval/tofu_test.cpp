// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/eval/tofu.hpp"

#include "hone/core/random.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::eval;

namespace {

using vector = std::vector<double>;
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr truth_ratio kinds[] = {truth_ratio::geometric, truth_ratio::arithmetic, truth_ratio::open_unlearning};

struct answers {
  vector answer, right, wrong, rouge_l;
  operator tofu_answers() const { return {answer, right, wrong, rouge_l}; }
};

answers random_answers(std::uint32_t stream, std::size_t n, std::size_t wrongs, double shift = 0) {
  const auto draw = [&](std::uint32_t part, std::size_t count) {
    vector x;
    for (std::size_t i = 0; i < count; ++i) x.push_back(4 * philox{stream, part}.uniform(i));
    return x;
  };
  answers a{draw(0, n), draw(1, n), draw(2, n * wrongs), draw(3, n)};
  for (double& loss : a.wrong) loss += shift;
  for (double& recall : a.rouge_l) recall /= 4;
  return a;
}

}  // namespace

TEST_CASE("TOFU: the reference vectors (G5)") {
  const answers a{{.5, 1}, {1.5, 2}, {2, 3, 4, 1, 1.5, .5}, {}};
  const auto ratios = [&](truth_ratio kind) {
    vector r = log_truth_ratios(a, kind);
    for (double& x : r) x = std::exp(x);
    return r;
  };
  CHECK(ratios(truth_ratio::geometric)[0] == Approx(.22313016).epsilon(1e-7));
  CHECK(ratios(truth_ratio::geometric)[1] == Approx(2.71828183).epsilon(1e-8));
  CHECK(ratios(truth_ratio::arithmetic)[0] == Approx(.30391527).epsilon(1e-7));
  CHECK(ratios(truth_ratio::arithmetic)[1] == Approx(2.94956406).epsilon(1e-8));
  CHECK(score_tofu(a, tofu_part::forget, truth_ratio::geometric).truth_ratio.mean == Approx(.29550480).epsilon(1e-7));
  CHECK(score_tofu(a, tofu_part::forget, truth_ratio::arithmetic).truth_ratio.mean == Approx(.32147421).epsilon(1e-7));
  CHECK(score_tofu(a, tofu_part::retain, truth_ratio::geometric).truth_ratio.mean == Approx(.38843492).epsilon(1e-7));
  CHECK(score_tofu(a, tofu_part::retain, truth_ratio::arithmetic).truth_ratio.mean == Approx(.34804236).epsilon(1e-7));
  CHECK(normalized_probability(.5, vector{2, 3, 4}) == Approx(.74883227).epsilon(1e-7));
  CHECK(normalized_probability(1, vector{1, 1.5, .5}) == Approx(.23500371).epsilon(1e-7));
}

TEST_CASE("TOFU: scores are those of the formulas") {
  for (const truth_ratio kind : kinds)
    for (const tofu_part part :
         {tofu_part::forget, tofu_part::retain, tofu_part::real_authors, tofu_part::world_facts}) {
      const std::size_t n = 23, k = 5;
      const answers a = random_answers(1, n, k, -0.5);
      const double epsilon = kind == truth_ratio::open_unlearning ? 1e-10 : 0;
      double probability = 0, truth = 0, rouge = 0;
      for (std::size_t i = 0; i < n; ++i) {
        double sum = 0, mean = 0;
        for (std::size_t j = 0; j < k; ++j) {
          sum += std::exp(-a.wrong[i * k + j]);
          mean += a.wrong[i * k + j] / static_cast<double>(k);
        }
        const double p = std::exp(-a.answer[i]), right = std::exp(-a.right[i]);
        const double ratio = kind == truth_ratio::arithmetic ? sum / static_cast<double>(k) / right
                                                             : std::exp(-mean) / (right + epsilon);
        const bool options = part == tofu_part::real_authors || part == tofu_part::world_facts;
        probability += options ? p / (p + sum + epsilon) : p;
        truth += part == tofu_part::forget ? (std::min)(ratio, 1 / (ratio + epsilon)) : (std::max)(0.0, 1 - ratio);
        rouge += a.rouge_l[i];
      }
      const tofu_score s = score_tofu(a, part, kind);
      CHECK(s.probability.mean == Approx(probability / 23).epsilon(1e-13));
      CHECK(s.truth_ratio.mean == Approx(truth / 23).epsilon(1e-13));
      CHECK(s.rouge_l.mean == Approx(rouge / 23).epsilon(1e-13));
      CHECK(s.truth_ratio.count == 23);
      CHECK(s.truth_ratio.standard_error > 0);
    }
}

TEST_CASE("TOFU: the two truth ratios are the same for one wrong answer, and the geometric is the smaller") {
  const answers one = random_answers(1, 30, 1), five = random_answers(2, 30, 5);
  const vector a = log_truth_ratios(one, truth_ratio::geometric), b = log_truth_ratios(one, truth_ratio::arithmetic);
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == Approx(b[i]).margin(1e-14));
  const vector c = log_truth_ratios(five, truth_ratio::geometric), d = log_truth_ratios(five, truth_ratio::arithmetic);
  for (std::size_t i = 0; i < c.size(); ++i) CHECK(c[i] <= d[i] + 1e-14);
}

TEST_CASE("TOFU: losses that no exponential holds") {
  for (const truth_ratio kind : {truth_ratio::geometric, truth_ratio::arithmetic}) {
    CHECK(log_truth_ratio(kind, 2000, vector{1000, 1000}) == Approx(1000).epsilon(1e-14));
    CHECK(log_truth_ratio(kind, 1, vector{infinity, infinity}) == -infinity);
    CHECK(log_truth_ratio(kind, infinity, vector{1, 2}) == infinity);
    CHECK(std::isnan(log_truth_ratio(kind, std::nan(""), vector{1, 2})));
    CHECK(std::isnan(log_truth_ratio(kind, 1, vector{infinity, std::nan("")})));
    CHECK(std::isnan(log_truth_ratio(kind, 1, vector{std::nan(""), infinity})));
  }
  CHECK(log_truth_ratio(truth_ratio::arithmetic, 1, vector{infinity, 1}) == Approx(-std::log(2.0)).epsilon(1e-14));
  CHECK(log_truth_ratio(truth_ratio::open_unlearning, 2000, vector{1, 1}) ==
        Approx(-1 + std::log(1e10)).epsilon(1e-14));
  CHECK(normalized_probability(2000, vector{2000, 2000, 2000}) == Approx(0.25).epsilon(1e-14));
  CHECK(normalized_probability(2000, vector{1, 1}) == 0);
  CHECK(normalized_probability(1, vector{2000, 2000}) == 1);
  CHECK(normalized_probability(50, vector{50}, 1e-10) == Approx(std::exp(-50.0) / 1e-10).epsilon(1e-8));
  const answers wild{{1, 1}, {2000, 1}, {1, 2000}, {}};
  const tofu_score forget = score_tofu(wild, tofu_part::forget, truth_ratio::geometric);
  CHECK(forget.truth_ratio.mean == 0);
  CHECK(score_tofu(wild, tofu_part::retain, truth_ratio::geometric).truth_ratio.mean == 0.5);
}

TEST_CASE("TOFU: NaN is counted, not hidden") {
  const answers broken{{1, std::nan("")}, {1, std::nan("")}, {1, 1}, {}};
  const tofu_score s = score_tofu(broken, tofu_part::forget, truth_ratio::geometric);
  CHECK(s.probability.nonfinite == 1);
  CHECK(s.truth_ratio.nonfinite == 1);
  CHECK(std::isnan(s.truth_ratio.mean));
  CHECK(std::isnan(score_tofu(broken, tofu_part::retain, truth_ratio::geometric).truth_ratio.mean));
  CHECK(forget_quality(broken, broken, truth_ratio::geometric).nans == 2);  // of both samples
  CHECK(s.rouge_l.count == 0);
}

TEST_CASE("TOFU: model utility is the harmonic mean of nine, and 0 where one is") {
  const auto score = [](double a, double b, double c) { return tofu_score{{.mean = a}, {.mean = b}, {.mean = c}}; };
  CHECK(model_utility(score(.9, .8, .5), score(.4, .4, .45), score(.5, .7, .6)) ==
        Approx(.539614561028).epsilon(1e-12));
  CHECK(model_utility(score(.9, .8, .5), score(.4, 0, .45), score(.5, .7, .6)) == 0);
}

TEST_CASE("TOFU: forget quality is the exact test on truth ratios, whichever way up") {
  const answers x = random_answers(1, 60, 5), y = random_answers(2, 75, 5, 2);
  for (const truth_ratio kind : kinds) {
    const statistics::ks_result q = forget_quality(x, y, kind);
    vector a = log_truth_ratios(x, kind), b = log_truth_ratios(y, kind);
    for (vector* v : {&a, &b})
      for (double& r : *v) r = 1 / std::exp(r);
    const statistics::ks_result inverted = statistics::ks_two_sample(a, b);
    CHECK(q.statistic == inverted.statistic);
    CHECK(q.p_value == inverted.p_value);
    CHECK(q.n == 60);
    CHECK(q.m == 75);
    CHECK(q.p_value < 0.5);
    CHECK(forget_quality(x, x, kind).p_value == 1);
  }
}

TEST_CASE("TOFU: sizes that do not fit") {
  const answers good = random_answers(1, 4, 3);
  const auto refuses = [](answers a) {
    CHECK_THROWS_AS(score_tofu(a, tofu_part::forget, truth_ratio::geometric), std::invalid_argument);
  };
  refuses({});
  refuses({good.answer, {1}, good.wrong, {}});
  refuses({good.answer, good.right, {}, {}});
  refuses({good.answer, good.right, {1, 2, 3}, {}});
  refuses({good.answer, good.right, good.wrong, {1}});
  CHECK_THROWS_WITH(log_truth_ratio(truth_ratio::geometric, 1, {}), "hone::eval::log_truth_ratio: wrong: is empty");
  const auto says = [](const answers& a, const char* why) {
    CHECK_THROWS_WITH(score_tofu(a, tofu_part::retain, truth_ratio::arithmetic), Catch::Contains(why));
  };
  says({}, "answer: is empty");
  says({good.answer, good.right, {}, {}}, "wrong");
  says({good.answer, good.right, {1, 2, 3}, {}}, "wrong");
  const answers one = random_answers(3, 1, 2);
  CHECK(score_tofu(one, tofu_part::forget, truth_ratio::geometric).probability.count == 1);
}
