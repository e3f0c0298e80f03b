// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/discrete.hpp"

#include <cmath>
#include <map>
#include <vector>

#include "hone/core/gamma.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::privacy;

namespace {

/// A source that plays words and then has none.
struct scripted {
  struct exhausted {};
  std::vector<std::uint64_t> words;
  std::size_t next = 0;

  std::uint64_t operator()() {
    if (next == words.size()) throw exhausted();
    return words[next++];
  }
};
static_assert(random_bits<scripted>);

constexpr double slack = 2.5e-5;

struct enumeration {
  std::map<std::int64_t, double> probability;
  double open = 0;  // of the scripts that were too short
};

/// Every script of words of three bits until @p draw returns; those less likely than @p least stay open. As functions
/// look at the low bits of a word only, the probabilities are exact up to `slack`: that coins of 1 in k come to k = 9,
/// which wants four bits.
template <class Draw>
void enumerate(Draw&& draw, double least, scripted& script, double probability, enumeration& result) {
  script.next = 0;
  try {
    const std::int64_t drawn = draw(script);
    REQUIRE(script.next == script.words.size());
    result.probability[drawn] += probability;
    return;
  } catch (const scripted::exhausted&) {
  }
  const double each = probability / 8;
  if (each < least) {
    result.open += probability;
    return;
  }
  for (std::uint64_t word = 0; word < 8; ++word) {
    script.words.push_back(word);
    enumerate(draw, least, script, each, result);
    script.words.pop_back();
  }
}

template <class Draw>
enumeration enumerate(Draw&& draw, double least) {
  enumeration result;
  scripted script;
  enumerate(draw, least, script, 1, result);
  return result;
}

/// That the probability of @p value is @p expected, as far as scripts decide, and they decide all but @p open.
void decides(const enumeration& all, std::int64_t value, double expected, double open) {
  const auto found = all.probability.find(value);
  const double probability = found == all.probability.end() ? 0 : found->second;
  INFO("P(" << value << ") in " << probability << " + " << all.open << ", expected " << expected);
  CHECK(probability <= expected + slack);
  CHECK(expected <= probability + all.open + slack);
  CHECK(all.open < open);
}

double laplace_mass(std::int64_t x, double scale) {
  return std::tanh(0.5 / scale) * std::exp(-std::abs(static_cast<double>(x)) / scale);
}
double gaussian_mass(std::int64_t x, double variance) {
  double sum = 0;
  for (int y = -1000; y <= 1000; ++y) sum += std::exp(-0.5 * y * y / variance);
  return std::exp(-0.5 * static_cast<double>(x * x) / variance) / sum;
}
double variance_of(double (*mass)(std::int64_t, double), double parameter) {
  double sum = 0;
  for (std::int64_t x = -1000; x <= 1000; ++x) sum += static_cast<double>(x * x) * mass(x, parameter);
  return sum;
}

/// The probability that chi-square of the draws from @p draw is as large, cells of at least 20 expected draws.
template <class Draw, class Mass>
double p_value(int draws, Draw&& draw, Mass&& mass) {
  std::map<std::int64_t, double> counts;
  for (int i = 0; i < draws; ++i) counts[draw()] += 1;
  double statistic = 0, seen = 0, expected = 0;
  int cells = 0;
  for (std::int64_t x = -200; x <= 200; ++x) {
    const double mean = draws * mass(x);
    if (mean < 20) continue;
    statistic += (counts[x] - mean) * (counts[x] - mean) / mean;
    seen += counts[x];
    expected += mean;
    ++cells;
  }
  if (const double rest = draws - expected; rest > 20) {
    statistic += (draws - seen - rest) * (draws - seen - rest) / rest;
    ++cells;
  }
  return incomplete_gamma(0.5 * (cells - 1), 0.5 * statistic).upper;
}

/// Mean, mean square and mean fourth power of draws, within six deviations of what they should be.
template <class Draw, class Mass>
void has_moments(int draws, Draw&& draw, Mass&& mass) {
  double sum = 0, square = 0;
  for (int i = 0; i < draws; ++i) {
    const auto x = static_cast<double>(draw());
    sum += x;
    square += x * x;
  }
  double second = 0, fourth = 0;
  for (std::int64_t x = -2000; x <= 2000; ++x) {
    second += std::pow(static_cast<double>(x), 2) * mass(x);
    fourth += std::pow(static_cast<double>(x), 4) * mass(x);
  }
  CHECK(std::abs(sum) < 6 * std::sqrt(second * draws));
  CHECK(std::abs(square - second * draws) < 6 * std::sqrt((fourth - second * second) * draws));
}

}  // namespace

TEST_CASE("uniform_below: all alike, one word up to 2^64, two beyond") {
  for (const std::int64_t n : {1, 2, 3, 5, 7, 8}) {
    const auto all = enumerate(
        [n](scripted& s) { return static_cast<std::int64_t>(uniform_below(static_cast<uint128>(n), s)); }, 1e-6);
    for (std::int64_t x = 0; x < n; ++x) decides(all, x, 1.0 / static_cast<double>(n), 8e-3);
    decides(all, n, 0, 8e-3);
  }
  const std::uint64_t ones = ~std::uint64_t{0};
  scripted limit{{ones}};
  CHECK(uniform_below(uint128{1} << 64, limit) == ones);
  CHECK(limit.next == 1);
  scripted wide{{ones, 5}};  // of 2^65 the upper word is one bit
  CHECK(uniform_below(uint128{1} << 65, wide) == (uint128{1} << 64 | 5));
  scripted rejected{{1, 0, 6, ones}};  // 2^64 is not below 2^64
  CHECK(uniform_below((uint128{1} << 64) + 1, rejected) == uint128{1} << 64);
  CHECK(rejected.next == 2);
  scripted refused{{1, 1, 6, 9}};
  CHECK(uniform_below((uint128{1} << 64) + 1, refused) == 9);
  CHECK(refused.next == 4);
  scripted least{{0, 12}};
  CHECK(uniform_below(~uint128{0}, least) == 12);
}

TEST_CASE("bernoulli: p of q, never at 0, always from q on") {
  for (std::int64_t q = 1; q <= 4; ++q)
    for (std::int64_t p = 0; p <= q + 1; ++p) {
      const auto all = enumerate(
          [&](scripted& s) { return std::int64_t{bernoulli(static_cast<uint128>(p), static_cast<uint128>(q), s)}; },
          1e-6);
      decides(all, 1, (std::min)(1.0, static_cast<double>(p) / static_cast<double>(q)), 3e-4);
    }
}

TEST_CASE("bernoulli_exp is e^(-p / q), below 1, at whole numbers, and beyond") {
  for (const auto& [p, q] : std::vector<std::pair<int, int>>{
           {0, 1}, {1, 4}, {1, 2}, {3, 4}, {1, 1}, {5, 4}, {2, 1}, {5, 2}, {4, 2}, {3, 1}}) {
    const auto all = enumerate(
        [p = p, q = q](scripted& s) {
          return std::int64_t{bernoulli_exp(static_cast<uint128>(p), static_cast<uint128>(q), s)};
        },
        1e-6);
    INFO(p << " / " << q);
    decides(all, 1, std::exp(-static_cast<double>(p) / q), 0.25);
    decides(all, 0, -std::expm1(-static_cast<double>(p) / q), 0.25);
  }
}

TEST_CASE("bernoulli_exp takes fractions of 127 bits, and huge ones end") {
  test_random random(3);
  const uint128 q = uint128{1} << 126;
  int hits = 0, never = 0;
  for (int i = 0; i < 20000; ++i) {
    hits += bernoulli_exp(q / 2, q, random);
    never += bernoulli_exp(~uint128{0}, 1, random);
  }
  CHECK(std::abs(hits - 20000 * std::exp(-0.5)) < 6 * std::sqrt(20000 * 0.25));
  CHECK(never == 0);
}

TEST_CASE("small Laplace noise is exact, as far as short scripts of words decide") {
  const auto all = enumerate([](scripted& s) { return discrete_laplace(1, s); }, 1e-6);
  for (std::int64_t x = -5; x <= 5; ++x) decides(all, x, laplace_mass(x, 1), 0.4);
}

TEST_CASE("the masses and variances that the draws are compared with") {
  const double gaussian[][4] = {{.25, 0.786570707042, 0.106450769423, 0.215012675088},
                                {1, 0.398942278267, 0.241970723224, 0.999999788768},
                                {4, 0.199471140201, 0.176032663382, 4.0},
                                {100, 0.0398942280401, 0.0396952547477, 100.0}};
  for (const auto& [variance, zero, one, second] : gaussian) {
    CHECK(gaussian_mass(0, variance) == Approx(zero).epsilon(1e-11));
    CHECK(gaussian_mass(1, variance) == Approx(one).epsilon(1e-11));
    CHECK(variance_of(gaussian_mass, variance) == Approx(second).epsilon(1e-11));
  }
  const double laplace[][4] = {{.5, 0.761594155956, 0.103070560808, 0.362030830483},
                               {1, 0.46211715726, 0.170003401569, 1.84134718842},
                               {2, 0.244918662404, 0.148550677884, 7.83539617807},
                               {10, 0.0499583749579, 0.0452042070062, 199.833416634}};
  for (const auto& [scale, zero, one, second] : laplace) {
    CHECK(laplace_mass(0, scale) == Approx(zero).epsilon(1e-11));
    CHECK(laplace_mass(1, scale) == Approx(one).epsilon(1e-11));
    CHECK(variance_of(laplace_mass, scale) == Approx(second).epsilon(1e-11));
  }
}

TEST_CASE("draws have the masses and moments, of both sources") {
  test_random random(11);
  chacha20 secret;
  for (const std::int64_t scale : {1, 2, 3, 10}) {
    const auto s = static_cast<double>(scale);
    const auto laplace = [&](std::int64_t x) { return laplace_mass(x, s); };
    const auto gaussian = [&](std::int64_t x) { return gaussian_mass(x, s * s); };
    INFO(scale);
    CHECK(p_value(40000, [&] { return discrete_laplace(scale, random); }, laplace) > 1e-4);
    CHECK(p_value(40000, [&] { return discrete_gaussian(scale, random); }, gaussian) > 1e-4);
    CHECK(p_value(10000, [&] { return discrete_laplace(scale, secret); }, laplace) > 1e-7);
    CHECK(p_value(10000, [&] { return discrete_gaussian(scale, secret); }, gaussian) > 1e-7);
    has_moments(40000, [&] { return discrete_laplace(scale, random); }, laplace);
    has_moments(40000, [&] { return discrete_gaussian(scale, random); }, gaussian);
  }
}

TEST_CASE("at the scale of releases the noise has its spread, and odd values") {
  test_random random(5);
  const std::int64_t scale = (std::int64_t{1} << 20) + 7;
  double square = 0;
  int odd = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::int64_t x = discrete_gaussian(scale, random);
    const double z = static_cast<double>(x) / static_cast<double>(scale);
    square += z * z;
    odd += static_cast<int>(x & 1);
  }
  CHECK(std::abs(square - 20000) < 6 * std::sqrt(2 * 20000.0));
  CHECK(std::abs(odd - 10000) < 6 * std::sqrt(5000.0));
}

TEST_CASE("Laplace noise saturates at the ends, on either side; Gaussian noise of the largest scale fits") {
  test_random random(1);
  int ends[2] = {0, 0};
  for (int i = 0; i < 200; ++i) {  // beyond 2^62 with probability 1/e
    const std::int64_t x = discrete_laplace(largest_noise, random);
    CHECK(std::abs(x) <= largest_noise);
    ends[0] += x == -largest_noise;
    ends[1] += x == largest_noise;
  }
  CHECK(ends[0] > 10);
  CHECK(ends[1] > 10);
  CHECK(std::abs(ends[0] + ends[1] - 200 * std::exp(-1)) < 6 * std::sqrt(200 * 0.24));
  const std::int64_t widest = std::int64_t{1} << 42;
  double square = 0;
  for (int i = 0; i < 2000; ++i)
    square += std::pow(static_cast<double>(discrete_gaussian(widest, random)) / static_cast<double>(widest), 2);
  CHECK(std::abs(square - 2000) < 6 * std::sqrt(4000.0));
}

TEST_CASE("sums are the clamp of the ideal sum") {
  CHECK(largest_noise == 4611686018427387904);
  CHECK(largest_sum == 2305843009213693952);
  CHECK(saturated_sum(5, -7) == -2);
  const std::int64_t most = (std::int64_t{1} << 60) - 1, far_off = (std::numeric_limits<std::int64_t>::max)();
  for (const std::int64_t sign : {-1, 1}) {
    CHECK(saturated_sum(sign * most, 3) == sign * most + 3);
    CHECK(saturated_sum(sign * (most + 5), 3) == sign * most + 3);
    CHECK(saturated_sum(sign * far_off, 0) == sign * most);
    CHECK(saturated_sum(-sign * most, sign * largest_noise) == sign * largest_sum);
    CHECK(saturated_sum(0, sign * (largest_sum - 1)) == sign * (largest_sum - 1));
    CHECK(saturated_sum(0, sign * (largest_sum + 1)) == sign * largest_sum);
    CHECK(saturated_sum(sign * far_off, sign * far_off) == sign * largest_sum);
  }
}

TEST_CASE("scales outside their range are refused") {
  test_random random(0);
  const std::int64_t beyond = std::int64_t{1} << 42;
  for (const std::int64_t scale : {std::int64_t{0}, std::int64_t{-1}, largest_noise + 1}) {
    CHECK_THROWS_AS(discrete_laplace(scale, random), std::invalid_argument);
    CHECK_THROWS_AS(discrete_gaussian(scale, random), std::invalid_argument);
  }
  CHECK_THROWS_WITH(discrete_gaussian(beyond + 1, random),
                    "hone::privacy::discrete_gaussian: scale: must be in "
                    "[1, 4398046511104], is 4398046511105");
}
