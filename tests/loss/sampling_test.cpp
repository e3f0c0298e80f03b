// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/loss/sampling.hpp"

#include "support/catch.hpp"

#include <map>

using namespace hone;
using namespace hone::loss;

namespace {

const std::vector<float> logits = {1, 3, 2, 3, -1e30f, 0};

/// How often each token comes up in 20,000 draws.
std::map<std::int32_t, double> frequencies(const sampling_options& options, const std::vector<float>& z = logits) {
  std::vector<std::pair<double, std::int32_t>> scratch;
  std::map<std::int32_t, double> counts;
  for (std::uint32_t i = 0; i < 20000; ++i)
    counts[sample_token(z, options, i % 7, i / 7, scratch).token] += 1.0 / 20000;
  return counts;
}

}  // namespace

TEST_CASE("greedy is the first of the largest, with its log-probability") {
  std::vector<std::pair<double, std::int32_t>> scratch;
  const auto [token, log_p] = sample_token(logits, {}, 0, 0, scratch);
  CHECK(token == 1);
  CHECK(log_p == Approx(-std::log(2 + std::exp(-1.0) + std::exp(-2.0) + std::exp(-3.0))).epsilon(1e-6));
}

TEST_CASE("draws follow the tempered, cut and renormalized distribution") {
  const auto check = [](const sampling_options& options, const std::map<std::int32_t, double>& weights) {
    double total = 0;
    for (const auto& [token, weight] : weights) total += weight;
    const auto seen = frequencies(options);
    CHECK(seen.size() == weights.size());
    for (const auto& [token, weight] : weights) {
      const double p = weight / total;
      // 5 standard deviations of a frequency over 20,000 draws.
      CHECK(std::abs(seen.at(token) - p) < 5 * std::sqrt(p * (1 - p) / 20000) + 1e-9);
    }
  };
  const auto e = [](double x) { return std::exp(x); };
  check({.temperature = 1}, {{0, e(1)}, {1, e(3)}, {2, e(2)}, {3, e(3)}, {5, e(0)}});
  check({.temperature = 2, .seed = 4}, {{0, e(.5)}, {1, e(1.5)}, {2, e(1)}, {3, e(1.5)}, {5, e(0)}});
  check({.temperature = 1, .top_k = 3}, {{1, e(3)}, {2, e(2)}, {3, e(3)}});
  check({.temperature = 1, .top_k = 1}, {{1, 1}});
  check({.temperature = 1, .top_k = 100}, {{0, e(1)}, {1, e(3)}, {2, e(2)}, {3, e(3)}, {5, e(0)}});
  // p = .392 .392 .144 .053 .020: two reach 0.78, three 0.85.
  check({.temperature = 1, .top_p = 0.78}, {{1, 1}, {3, 1}});
  check({.temperature = 1, .top_p = 0.85}, {{1, e(3)}, {2, e(2)}, {3, e(3)}});
  check({.temperature = 1, .top_p = 1e-9}, {{1, 1}});
  // Of the top three, renormalized, two have 0.845.
  check({.temperature = 1, .top_k = 3, .top_p = 0.84}, {{1, 1}, {3, 1}});
}

TEST_CASE("a draw is a function of seed, sequence and position; its log-probability is that of the whole softmax") {
  std::vector<std::pair<double, std::int32_t>> scratch;
  const sampling_options options{.temperature = 0.5, .top_k = 4, .seed = 9};
  bool differs = false;
  for (std::uint32_t i = 0; i < 50; ++i) {
    const auto a = sample_token(logits, options, 3, i, scratch), b = sample_token(logits, options, 3, i, scratch);
    CHECK(a.token == b.token);
    differs = differs || sample_token(logits, options, 4, i, scratch).token != a.token;
    double total = 0;
    for (const float z : logits) total += std::exp(2.0 * static_cast<double>(z));
    CHECK(a.log_probability ==
          Approx(2.0 * static_cast<double>(logits[static_cast<std::size_t>(a.token)]) - std::log(total)).epsilon(1e-5));
  }
  CHECK(differs);
}

TEST_CASE("options out of range are refused") {
  std::vector<std::pair<double, std::int32_t>> scratch;
  const std::vector<float> row{1, 2, 3, 4};
  for (const sampling_options& bad :
       {sampling_options{.temperature = std::nan("")}, sampling_options{.temperature = -1},
        sampling_options{.temperature = 1e300}, sampling_options{.temperature = 1, .top_k = -1},
        sampling_options{.temperature = 1, .top_p = 0}, sampling_options{.temperature = 1, .top_p = std::nan("")}})
    CHECK_THROWS_WITH(sample_token(row, bad, 0, 0, scratch), Catch::Contains("hone::loss::sampling_options"));
  CHECK_THROWS_WITH(validate(sampling_options{.temperature = -1}), Catch::Contains("temperature"));
  CHECK_THROWS_WITH(validate(sampling_options{.temperature = std::nan("")}), Catch::Contains("temperature"));
  CHECK_THROWS_WITH(validate(sampling_options{.top_k = -1}), Catch::Contains("top_k"));
  CHECK_THROWS_WITH(validate(sampling_options{.top_p = 0}), Catch::Contains("top_p"));
  CHECK_THROWS_WITH(validate(sampling_options{.top_p = 1.5}), Catch::Contains("top_p"));
  const std::string name = "hone::loss::sampling_options: ";
  for (const double bad : {-1e-9, 1e300, double(INFINITY)})
    CHECK_THROWS_WITH(validate(sampling_options{.temperature = bad}), Catch::StartsWith(name + "temperature"));
  for (const double bad : {-1.0, 1.0000001, double(NAN)})
    CHECK_THROWS_WITH(validate(sampling_options{.top_p = bad}), Catch::StartsWith(name + "top_p"));
  CHECK_NOTHROW(validate(sampling_options{.temperature = 9e299, .top_k = 0, .top_p = 1e-300}));
  CHECK_NOTHROW(validate(sampling_options{.temperature = 0, .top_k = 1, .top_p = 1}));
  CHECK((sampling_options{}.temperature == 0 && sampling_options{}.top_k == 0 && sampling_options{}.top_p == 1));
  CHECK(sampling_options{}.seed == 0);
}

TEST_CASE("a draw is the inverse of the distribution function at the number of its seed, step, sequence and position") {
  std::vector<std::pair<double, std::int32_t>> scratch;
  for (const auto& [seed, step, sequence, position] :
       {std::tuple(0u, 0u, 0u, 0u), std::tuple(7u, 0u, 0u, 0u), std::tuple(7u, 3u, 0u, 0u), std::tuple(7u, 3u, 5u, 0u),
        std::tuple(7u, 3u, 5u, 11u), std::tuple(8u, 2u, 1u, 4000000000u)})
    for (std::uint32_t i = 0; i < 30; ++i) {
      const double u = philox{seed, step + i}.uniform((std::uint64_t{sequence} << 32) | position);
      double total = 0, below = 0;
      for (const float z : logits) total += std::exp(static_cast<double>(z) / 2);
      std::int32_t expected = 0;
      for (; expected < 5; ++expected) {
        below += std::exp(static_cast<double>(logits[static_cast<std::size_t>(expected)]) / 2) / total;
        if (below > u) break;
      }
      CHECK(sample_token(logits, {.temperature = 2, .seed = seed}, sequence, position, scratch, step + i).token ==
            expected);
    }
}

TEST_CASE("a temperature at which only the maximum survives draws it, with log p 0; of equals each as often") {
  std::vector<std::pair<double, std::int32_t>> scratch;
  const std::vector<float> z = {1.5f, 10.25f, 3.3f, -2.f}, near = {7.1f, 7.1000004f, 3.f}, ties = {2, 5, -1, 5, 5, 4};
  for (const double t : {1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-10, 1e-12, 1e-15, 1e-20, 1e-38, 1e-45, 1e-300, 5e-324})
    for (const double top_p : {1.0, 0.9, 1e-300})
      for (const index_t top_k : {0, 1, 3}) {
        const sampling_options options{.temperature = t, .top_k = top_k, .top_p = top_p, .seed = 1};
        const auto a = sample_token(z, options, 0, 0, scratch), b = sample_token(near, options, 0, 0, scratch);
        CHECK(a.token == 1);
        CHECK(a.log_probability == 0);
        if (t < 1e-8) CHECK(b.token == 1);
        if (t < 1e-8) CHECK(b.log_probability == 0);
        CHECK(sample_token(ties, options, 0, 0, scratch).log_probability == Approx(-std::log(3.0)).epsilon(1e-7));
      }
  const auto seen = frequencies({.temperature = 1e-300, .seed = 2}, ties);
  CHECK(seen.size() == 3);
  for (const std::int32_t v : {1, 3, 4}) CHECK(std::abs(seen.at(v) - 1.0 / 3) < 5 * std::sqrt(2.0 / 9 / 20000));
  CHECK(sample_token(ties, {}, 0, 0, scratch).token == 1);
}

TEST_CASE("a temperature above all logits draws every token as often, masked ones never") {
  std::vector<float> z = {1, -std::numeric_limits<float>::infinity(), 300, -3e38f, 3e38f};
  for (const double t : {1e42, 1e100, 1e299}) {
    const auto seen = frequencies({.temperature = t, .seed = 3}, z);
    CHECK(seen.size() == 4);
    CHECK(!seen.contains(1));
    for (const auto& [token, share] : seen) CHECK(std::abs(share - 0.25) < 5 * std::sqrt(3.0 / 16 / 20000));
  }
}

TEST_CASE("masked tokens are not drawn, whatever is cut, and log-probabilities are those of what is left") {
  std::vector<std::pair<double, std::int32_t>> scratch;
  for (const std::size_t masked : {1u, 1023u, 1024u, 2046u}) {
    std::vector<float> z(2048, 0.f);
    std::fill_n(z.begin(), masked, -std::numeric_limits<float>::infinity());
    z[2047] = 1;
    for (const double top_p : {1.0, 0.5, 1e-300})
      for (const index_t top_k : {0, 1, 5000})
        for (const double t : {0.0, 0.6, 1.0, 2.0})
          for (std::uint32_t i = 0; i < 20; ++i) {
            const auto a = sample_token(z, {.temperature = t, .top_k = top_k, .top_p = top_p}, 0, i, scratch);
            REQUIRE(a.token >= static_cast<std::int32_t>(masked));
            const double last = t > 0 ? 1 / t : 1, sum = static_cast<double>(2047 - masked) + std::exp(last);
            REQUIRE(a.log_probability == Approx((a.token == 2047 ? last : 0) - std::log(sum)).epsilon(1e-6));
          }
  }
}

TEST_CASE("the smallest nucleus has a token: of equals and of any vocabulary") {
  std::vector<std::pair<double, std::int32_t>> scratch;
  for (const std::size_t vocab : {1u, 3u, 7u, 49u, 1000u})
    for (const double top_p : {5e-324, 1e-300, 1e-17, 1e-9, 0.999999}) {
      const std::vector<double> z(vocab, 2.5);
      const auto a = sample_token(z, {.temperature = 0.3, .top_p = top_p}, 1, 1, scratch);
      CHECK((a.token >= 0 && a.token < static_cast<std::int32_t>(vocab)));
    }
}

TEMPLATE_TEST_CASE("a row without a distribution is refused: NaN, +inf, nothing but absent tokens, no tokens", "",
                   double, float, bfloat16, float16) {
  using T = TestType;
  std::vector<std::pair<double, std::int32_t>> scratch;
  const auto to_t = [](double x) { return from_accumulator<T>(static_cast<accumulator_t<T>>(x)); };
  for (const std::size_t vocab : {1u, 40u, 2048u})
    for (const double t : {0.0, 1e-300, 0.7, 1.0})
      for (const double bad : {double(NAN), double(INFINITY), -double(INFINITY)})
        for (const std::size_t place : {std::size_t{0}, vocab / 2, vocab - 1}) {
          std::vector<T> z(vocab, to_t(bad < 0 ? bad : 1));
          z[place] = to_t(bad);
          CHECK_THROWS_WITH(sample_token(z, {.temperature = t}, 0, 0, scratch), Catch::Contains("logits"));
          CHECK_THROWS_WITH(sample_token(z, {.temperature = t, .top_k = 3, .top_p = 0.5}, 0, 0, scratch),
                            Catch::Contains("no distribution"));
        }
  CHECK_THROWS_AS(sample_token(std::vector<T>{}, {}, 0, 0, scratch), std::invalid_argument);
}

TEST_CASE("the largest logits are kept, also where all probabilities round to one number") {
  std::vector<std::pair<double, std::int32_t>> scratch;
  const std::vector<double> z = {1, 3, 2, 5, 4};
  for (std::uint32_t i = 0; i < 50; ++i) {
    CHECK(sample_token(z, {.temperature = 1e30, .top_k = 1}, 0, i, scratch).token == 3);
    CHECK(sample_token(z, {.temperature = 1e30, .top_k = 2}, 0, i, scratch).token >= 3);
  }
}
