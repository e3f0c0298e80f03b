// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/statistics/ks.hpp"

#include "hone/core/random.hpp"
#include "statistics/golden/ks.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::statistics;

namespace {

using vector = std::vector<double>;
constexpr double infinity = std::numeric_limits<double>::infinity();

/// P(D >= h / lcm) by counting the paths that leave the band, in long double: exact for totals below 2^64.
double by_counting(index_t h, index_t n, index_t m) {
  const index_t divisor = std::gcd(n, m);
  std::vector<long double> stay(static_cast<std::size_t>(m) + 1), all = stay;
  for (index_t i = 0; i <= n; ++i)
    for (index_t j = 0; j <= m; ++j) {
      const auto at = static_cast<std::size_t>(j);
      all[at] = i == 0 || j == 0 ? 1 : all[at] + all[at - 1];
      const index_t gap = i * (m / divisor) - j * (n / divisor);
      if (gap >= h || -gap >= h)
        stay[at] = 0;
      else if (i == 0 || j == 0)
        stay[at] = i == 0 && j == 0 ? 1 : i == 0 ? stay[at - 1] : stay[at];
      else
        stay[at] += stay[at - 1];
    }
  return static_cast<double>((all.back() - stay.back()) / all.back());
}

vector normals(std::uint32_t stream, std::size_t count, double shift = 0) {
  vector x;
  for (std::size_t i = 0; i < count; ++i) x.push_back(philox{3, stream}.normal(i) + shift);
  return x;
}

}  // namespace

TEST_CASE("KS: the reference vectors (G5, evaluation)") {
  const vector x = {.1, .4, .35, .8, .9}, y = {.5, .6, .7, 1.2, 1.3, 1.4};
  const ks_result r = ks_two_sample(x, y);
  CHECK(r.statistic == Approx(.6).epsilon(1e-15));
  CHECK(r.p_value == Approx(.238095238095238).epsilon(1e-14));
  CHECK(r.n == 5);
  CHECK(r.m == 6);
  CHECK(r.nans == 0);
  const ks_result s = ks_two_sample(vector{.1, .4, .7, .2, .9}, vector{.3, .5, .6, .8, 1.0, 1.1});
  CHECK(s.statistic == Approx(.4333333333).epsilon(1e-9));
  CHECK(s.p_value == Approx(.5909090909).epsilon(1e-9));
  CHECK(std::exp(log_ks_probability(2, 20, 20)) == Approx(.999992393163553).epsilon(1e-14));
  CHECK(std::exp(log_ks_probability(104, 300, 300)) == Approx(2.1942743021891e-16).epsilon(1e-13));
}

TEST_CASE("KS: the exact probability is the share of paths that leave the band, for every statistic of small samples") {
  for (index_t n = 1; n <= 9; ++n)
    for (index_t m = 1; m <= 12; ++m)
      for (index_t h = 0; h <= std::lcm(n, m); ++h) {
        INFO(n << ", " << m << ", " << h);
        CHECK(std::exp(log_ks_probability(h, n, m)) == Approx(by_counting(h, n, m)).epsilon(1e-12));
      }
  for (const index_t h : {5, 20, 40, 72})
    CHECK(std::exp(log_ks_probability(h, 24, 36)) == Approx(by_counting(h, 24, 36)).epsilon(1e-12));
  for (const index_t h : {20, 100, 400, 800})
    CHECK(std::exp(log_ks_probability(h, 25, 32)) == Approx(by_counting(h, 25, 32)).epsilon(1e-12));
}

TEST_CASE("KS: SciPy's p-values, by size and statistic") {
  for (const golden_ks& g : golden_ks_sizes) {
    INFO(g.n << ", " << g.m << ", " << g.h);
    const double p = std::exp(log_ks_probability(g.h, g.n, g.m));
    CHECK(p == Approx(g.p).epsilon(1e-10).margin(1e-310));  // below, SciPy's has lost its digits
    CHECK(log_ks_probability(g.h, g.m, g.n) == log_ks_probability(g.h, g.n, g.m));
  }
  CHECK(golden_ks_sizes.size() == 147);
}

TEST_CASE("KS: SciPy's statistics and p-values of samples with ties") {
  for (const golden_ties& g : golden_ks_ties) {
    const ks_result r = ks_two_sample(g.x, g.y);
    CHECK(r.statistic == Approx(g.statistic).margin(1e-15));
    CHECK(r.p_value == Approx(g.p).epsilon(1e-12));
  }
  CHECK(golden_ks_ties.size() == 80);
}

TEST_CASE("KS: logarithms go on where the probability underflows") {
  // Complete separation has probability 2 / C(n + m, n).
  for (const auto& [n, m] : {std::pair<index_t, index_t>{20000, 20000}, {20000, 19999}, {30000, 500}}) {
    const double expected =
        std::log(2.0) - (std::lgamma(static_cast<double>(n + m) + 1) - std::lgamma(static_cast<double>(n) + 1) -
                         std::lgamma(static_cast<double>(m) + 1));
    CHECK(log_ks_probability(std::lcm(n, m), n, m) == Approx(expected).epsilon(1e-11));
  }
  const auto x = normals(1, 20000), y = normals(2, 20000, 100);
  const ks_result r = ks_two_sample(x, y);
  CHECK(r.statistic == 1);
  CHECK(r.p_value == 0);
  CHECK(r.log10_p == Approx(-12038.499703915).epsilon(1e-12));
  const ks_result unequal = ks_two_sample(x, std::span(y).first(19999));
  CHECK(unequal.log10_p < -1e4);
}

TEST_CASE("KS: equal sizes and sizes that differ by one meet") {
  for (const double d : {0.03, 0.05, 0.1, 0.3}) {
    const auto h = static_cast<index_t>(d * 2000);
    const double equal = log_ks_probability(h, 2000, 2000);
    const double less = log_ks_probability(h * 1999, 2000, 1999);
    CHECK(less == Approx(equal).epsilon(0.05));
  }
}

TEST_CASE("KS: p falls as the statistic grows") {
  for (const auto& [n, m] : {std::pair<index_t, index_t>{50, 50}, {50, 51}, {48, 60}}) {
    double before = 0;
    for (index_t h = 1; h <= std::lcm(n, m); h += (std::max)(index_t{1}, std::lcm(n, m) / 100)) {
      const double log_p = log_ks_probability(h, n, m);
      CHECK(log_p <= before + 1e-13);
      before = log_p;
    }
    CHECK(before < -20);
  }
}

TEST_CASE("KS: an increasing map, a decreasing one, and exchanging the samples change nothing") {
  const auto x = normals(1, 57), y = normals(2, 80, 0.7);
  const ks_result r = ks_two_sample(x, y);
  const auto mapped = [](vector v, auto&& f) {
    for (double& value : v) value = f(value);
    return v;
  };
  const auto same = [&](const ks_result& other) {
    CHECK(other.statistic == r.statistic);
    CHECK(other.p_value == r.p_value);
    CHECK(other.log10_p == r.log10_p);
  };
  same(ks_two_sample(y, x));
  for (const auto f : {+[](double v) { return std::exp(v); }, +[](double v) { return std::exp(-v); },
                       +[](double v) { return 1 / std::exp(v); }, +[](double v) { return v * v * v + 3; }})
    same(ks_two_sample(mapped(x, f), mapped(y, f)));
}

TEST_CASE("KS: equal samples, one value, infinite values") {
  const auto x = normals(1, 30);
  CHECK(ks_two_sample(x, x).statistic == 0);
  CHECK(ks_two_sample(x, x).p_value == 1);
  CHECK(ks_two_sample(x, x).log10_p == 0);
  CHECK(ks_two_sample(vector{1}, vector{2}).p_value == 1);
  CHECK(ks_two_sample(vector{0.0}, vector{-0.0}).statistic == 0);
  const ks_result r = ks_two_sample(vector{-infinity, 1, infinity}, vector{infinity, infinity, infinity});
  CHECK(r.statistic == Approx(2.0 / 3));
  CHECK(r.nans == 0);
}

TEST_CASE("KS: values without an order are counted and leave no result") {
  const double nan = std::nan("");
  for (const auto& [x, y] : {std::pair<vector, vector>{{1, nan}, {2}}, {{1}, {nan, 2}}}) {
    const ks_result r = ks_two_sample(x, y);
    CHECK(r.nans == 1);
    CHECK(std::isnan(r.statistic));
    CHECK(std::isnan(r.p_value));
    CHECK(std::isnan(r.log10_p));
    CHECK(r.n == std::ssize(x));
    CHECK(r.m == std::ssize(y));
  }
  const ks_result both = ks_two_sample_asymptotic(vector{1, nan}, vector{nan, 2, nan});
  CHECK(both.nans == 3);
  CHECK(std::isnan(both.statistic));
}

TEST_CASE("KS: the limiting distribution") {
  // In the tail 2 e^(-2 x^2), which at n = m = 300, D = 104 / 300 is twice the exact probability.
  vector x(300), y(300);
  for (std::size_t i = 0; i < 300; ++i) {
    x[i] = static_cast<double>(i);
    y[i] = static_cast<double>(i) + 103.5;
  }
  const ks_result r = ks_two_sample_asymptotic(x, y);
  CHECK(r.statistic == Approx(104.0 / 300).epsilon(1e-15));
  CHECK(r.p_value == Approx(4.398112e-16).epsilon(1e-6));
  CHECK(ks_two_sample(x, y).p_value == Approx(2.1942743021891e-16).epsilon(1e-12));
  x.resize(75);  // of samples of unequal size n m / (n + m) = 60
  const ks_result unequal = ks_two_sample_asymptotic(x, y), turned = ks_two_sample_asymptotic(y, x);
  CHECK(unequal.statistic == 1);
  CHECK(unequal.log10_p * std::log(10.0) == Approx(std::log(2.0) - 120).epsilon(1e-13));
  CHECK(turned.log10_p == unequal.log10_p);
  // scipy.stats.kstwobign.sf
  CHECK(std::exp(statistics::detail::log_kolmogorov_tail(0.5)) == Approx(0.9639452436648751).epsilon(1e-14));
  CHECK(std::exp(statistics::detail::log_kolmogorov_tail(1)) == Approx(0.26999967167735456).epsilon(1e-14));
  CHECK(std::exp(statistics::detail::log_kolmogorov_tail(3)) == Approx(3.045995948942526e-08).epsilon(1e-13));
  CHECK(statistics::detail::log_kolmogorov_tail(0) == 0);
  for (const double at : {0.031, 0.1, 0.2, 0.3, 0.7, 0.99}) {  // the complement, by many more terms
    long double complement = 0;
    for (int k = 1; k < 200; k += 2) complement += std::exp(-k * k * 9.8696044010893586188L / (8.0L * at * at));
    complement *= 2.5066282746310005024L / static_cast<long double>(at);
    CHECK(statistics::detail::log_kolmogorov_tail(at) ==
          Approx(static_cast<double>(std::log1p(-complement))).epsilon(1e-12).margin(0));
  }
  for (const double at : {1.0, 1.01, 1.3, 2.0}) {
    long double tail = 0;
    for (int k = 1; k < 200; ++k) tail += (k % 2 == 1 ? 2 : -2) * std::exp(-2.0L * k * k * at * at);
    CHECK(statistics::detail::log_kolmogorov_tail(at) == Approx(static_cast<double>(std::log(tail))).epsilon(1e-14));
  }
  CHECK(statistics::detail::log_kolmogorov_tail(1 - 1e-12) ==
        Approx(statistics::detail::log_kolmogorov_tail(1)).epsilon(1e-10));
  // It is the limit.
  CHECK(std::exp(log_ks_probability(2000, 1000000, 1000000)) ==
        Approx(std::exp(statistics::detail::log_kolmogorov_tail(0.002 * std::sqrt(5e5)))).epsilon(1e-2));
}

TEST_CASE("KS: misuse") {
  CHECK_THROWS_WITH(ks_two_sample(vector{}, vector{1}),
                    "hone::statistics::ks_two_sample: n: must be in [1, 2^31 - 1], is 0");
  CHECK_THROWS_WITH(ks_two_sample(vector{1}, vector{}),
                    "hone::statistics::ks_two_sample: m: must be in [1, 2^31 - 1], is 0");
  CHECK_THROWS_WITH(ks_two_sample_asymptotic(vector{}, vector{}),
                    "hone::statistics::ks_two_sample_asymptotic: n: must be in [1, 2^31 - 1], is 0");
  CHECK_THROWS_WITH(log_ks_probability(-1, 3, 3), "hone::statistics::log_ks_probability: h: must be in [0, 3], is -1");
  CHECK_THROWS_AS(log_ks_probability(4, 3, 3), std::invalid_argument);
  CHECK_THROWS_WITH(log_ks_probability(13, 4, 6), "hone::statistics::log_ks_probability: h: must be in [0, 12], is 13");
  constexpr index_t most = (index_t{1} << 31) - 1;
  CHECK_THROWS_AS(log_ks_probability(1, most + 1, 3), std::invalid_argument);
  CHECK_THROWS_AS(log_ks_probability(1, 3, most + 1), std::invalid_argument);
  // Complete separation has probability 2 / C(2 n, n), of which Stirling knows the logarithm.
  constexpr auto n = static_cast<double>(most);
  CHECK(log_ks_probability(most, most, most) ==
        Approx(std::log(2.0) - 2 * n * std::log(2.0) + 0.5 * std::log(3.14159265358979323846 * n)).epsilon(1e-13));
  CHECK_THROWS_AS(log_ks_probability(1, 0, 3), std::invalid_argument);
}
