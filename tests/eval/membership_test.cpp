// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/eval/membership.hpp"

#include "hone/core/random.hpp"
#include "hone/statistics/roc.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::eval;

namespace {

using vector = std::vector<double>;
constexpr double infinity = std::numeric_limits<double>::infinity();

token_moments by_formula(const vector& z, std::size_t target) {
  long double top = -infinity, sum = 0, mean = 0, variance = 0;
  for (const double v : z) top = (std::max)(top, static_cast<long double>(v));
  for (const double v : z) sum += std::exp(v - top);
  const auto log_p = [&](std::size_t i) { return z[i] - top - std::log(sum); };
  for (std::size_t i = 0; i < z.size(); ++i)
    if (z[i] > -infinity) mean += std::exp(log_p(i)) * log_p(i);
  for (std::size_t i = 0; i < z.size(); ++i)
    if (z[i] > -infinity) variance += std::exp(log_p(i)) * (log_p(i) - mean) * (log_p(i) - mean);
  return {static_cast<double>(log_p(target)), static_cast<double>(mean), static_cast<double>(variance)};
}

vector logits(std::uint32_t stream, std::size_t size, double scale) {
  vector z;
  for (std::size_t i = 0; i < size; ++i) z.push_back(scale * philox{4, stream}.normal(i) + 50);
  return z;
}

void same(const token_moments& a, const token_moments& b, double tolerance) {
  CHECK(a.log_probability == Approx(b.log_probability).epsilon(tolerance).margin(tolerance));
  CHECK(a.mean == Approx(b.mean).epsilon(tolerance).margin(tolerance));
  CHECK(a.variance == Approx(b.variance).epsilon(tolerance).margin(tolerance));
}

}  // namespace

TEST_CASE("moments of log p are those of the formula, for any size, type and stride") {
  for (const std::size_t size : {1u, 2u, 7u, 8u, 9u, 1023u, 1024u, 1025u, 5000u})
    for (const double scale : {0.1, 2.0, 8.0}) {
      const vector z = logits(static_cast<std::uint32_t>(size), size, scale);
      const std::size_t target = size / 2;
      const token_moments expected = by_formula(z, target);
      same(moments_of(z, static_cast<index_t>(target)), expected, 1e-12);
      vector spread(3 * size, -1e9);
      for (std::size_t i = 0; i < size; ++i) spread[3 * i] = z[i];
      same(moments_of(vector_view<const double>(spread.data(), static_cast<index_t>(size), 3),
                      static_cast<index_t>(target)),
           expected, 1e-12);
      std::vector<float> single(z.begin(), z.end());
      const vector rounded(single.begin(), single.end());
      same(moments_of(single, static_cast<index_t>(target)), by_formula(rounded, target), 2e-5);
    }
}

TEST_CASE("a variance that rounding exceeds is not negative") {
  std::vector<float16> z(std::size_t{1} << 24);  // all alike but one: the variance is 6e-8 of what cancels
  for (const float below : {0.01f, 0.3f, 0.7f, 1.7f, 5.1f}) {
    std::fill(z.begin(), z.end(), float16(-below));
    z[5] = float16(0.0f);
    CHECK(moments_of(z, 0).variance >= 0);
  }
}

TEST_CASE("one possible token, absent tokens, broken logits") {
  const token_moments one = moments_of(vector{-infinity, 3, -infinity}, 1);
  CHECK(one.log_probability == 0);
  CHECK(one.mean == 0);
  CHECK(one.variance == 0);
  same(moments_of(vector{1, -infinity, 2}, 0), by_formula(vector{1, 2}, 0), 1e-14);
  CHECK(moments_of(vector{1, -infinity, 2}, 1).log_probability == -infinity);
  CHECK(std::isnan(moments_of(vector{1, std::nan(""), 2}, 0).mean));
  CHECK_THROWS_WITH(moments_of(vector{1, 2}, 2), "hone::eval::moments_of: target: must be in [0, 2), is 2");
  CHECK_THROWS_WITH(moments_of(vector{1, 2}, -1), "hone::eval::moments_of: target: must be in [0, 2), is -1");
  CHECK_THROWS_AS(moments_of(vector{}, 0), std::invalid_argument);
}

TEST_CASE("the plain scores") {
  const vector l = {-1, -2, -6};
  CHECK(loss_score(l) == 3);
  CHECK(loss_score(l) == Approx(min_k(l, 1)).epsilon(1e-15));
  CHECK(reference_score(3, 2.5) == 0.5);
  CHECK(zlib_score(3, 60) == 0.05);
  CHECK(gradient_norm_score(vector{1, 2, 6}) == 3);
  CHECK(std::isnan(loss_score(vector{-1, std::nan("")})));
  CHECK_THROWS_AS(loss_score(vector{}), std::invalid_argument);
  CHECK_THROWS_AS(gradient_norm_score(vector{}), std::invalid_argument);
  CHECK_THROWS_WITH(zlib_score(3, 0), "hone::eval::zlib_score: compressed_bytes: must be positive, is 0");
}

TEST_CASE("min-k is the mean of the least likely tokens") {
  const vector l = {-1, -5, -2, -4, -3, -6, -7, -8, -9, -10};
  CHECK(min_k(l, 0.2) == Approx(9.5));
  CHECK(min_k(l, 0.29) == Approx(9.5));
  CHECK(min_k(l, 0.3) == Approx(9));
  CHECK(min_k(l, 0.01) == 10);  // at least one
  CHECK(min_k(l, 1) == Approx(5.5));
  CHECK(min_k(l) == min_k(l, 0.2));
  CHECK(std::isnan(min_k(vector{-1, std::nan("")}, 0.5)));
  CHECK(min_k(vector{-1, -infinity}, 0.5) == infinity);
  CHECK_THROWS_AS(min_k(vector{}), std::invalid_argument);
  CHECK_THROWS_AS(min_k(l, 0), std::invalid_argument);
  CHECK_THROWS_AS(min_k(l, 1.5), std::invalid_argument);
}

TEST_CASE("min-k does not depend on the order of tokens") {
  for (const std::size_t size : {50u, 999u}) {
    vector l = logits(1, size, 7);
    const double score = min_k(l, 0.4), whole = min_k(l, 1);
    for (int turn = 0; turn < 5; ++turn) {
      std::rotate(l.begin(), l.begin() + 17, l.end());
      std::reverse(l.begin(), l.begin() + 31);
      CHECK(min_k(l, 0.4) == score);
      CHECK(min_k(l, 1) == whole);
    }
  }
}

TEST_CASE("min-k++ standardises by the model's own distribution") {
  std::vector<token_moments> tokens;
  vector standardised;
  for (std::uint32_t t = 0; t < 30; ++t) {
    const vector z = logits(t, 40, 2);
    tokens.push_back(moments_of(z, t));
    const token_moments m = by_formula(z, t);
    standardised.push_back((m.log_probability - m.mean) / std::sqrt(m.variance));
  }
  std::sort(standardised.begin(), standardised.end());
  double sum = 0;
  for (std::size_t i = 0; i < 6; ++i) sum += standardised[i];
  CHECK(min_k_plus_plus(tokens) == Approx(-sum / 6).epsilon(1e-12));
  sum = 0;
  for (std::size_t i = 0; i < 15; ++i) sum += standardised[i];
  CHECK(min_k_plus_plus(tokens, 0.5) == Approx(-sum / 15).epsilon(1e-12));
  CHECK(min_k_plus_plus(std::vector<token_moments>{{-1, 0, 0.25}}, 1, 4) == 0.5);
  CHECK_THROWS_WITH(min_k_plus_plus(tokens, 0), "hone::eval::min_k_plus_plus: share: must be in (0, 1], is 0");
  const std::vector<token_moments> certain = {{-1, 0, 0}};
  CHECK(min_k_plus_plus(certain) == Approx(1000));
  CHECK(std::isnan(min_k_plus_plus(std::vector<token_moments>{{std::nan(""), 0, 1}})));
  CHECK_THROWS_AS(min_k_plus_plus({}), std::invalid_argument);
}

TEST_CASE("privacy leakage is relative to the retrained model's complement") {
  CHECK(privacy_leakage(0.7, 0.7) == 0);
  CHECK(privacy_leakage(1, 1) == 0);  // a model that tells members perfectly: 1e-10 below, not 0
  CHECK(privacy_leakage(0.9, 1) == Approx(1e11).epsilon(1e-9));
  CHECK(privacy_leakage(0.9, 0.5) == Approx(-80).epsilon(1e-9));
  CHECK(privacy_leakage(0.1, 0.5) == Approx(80).epsilon(1e-9));
}

TEST_CASE("a text learnt by heart has low scores") {
  vector members, others;
  for (std::uint32_t i = 0; i < 40; ++i) {
    members.push_back(min_k(logits(i, 30, 1), 0.2) - 3);
    others.push_back(min_k(logits(i + 100, 30, 1), 0.2));
  }
  CHECK(statistics::auc(others, members).auc == 1);
}
