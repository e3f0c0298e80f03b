// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/sampling.hpp"

#include "support/catch.hpp"

#include <map>

using namespace hone;
using namespace hone::transformer;

namespace {

const std::vector<float> logits = {1, 3, 2, 3, -1e30f, 0};

/// How often each token comes up in 20,000 draws.
std::map<std::int32_t, double> frequencies(const sampling_options& options) {
  std::vector<std::pair<double, std::int32_t>> scratch;
  std::map<std::int32_t, double> counts;
  for (std::uint32_t i = 0; i < 20000; ++i)
    counts[sample_token(logits, options, i % 7, i / 7, scratch).token] += 1.0 / 20000;
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
  CHECK_THROWS_WITH(validate(sampling_options{.temperature = -1}), Catch::Contains("temperature"));
  CHECK_THROWS_WITH(validate(sampling_options{.temperature = std::nan("")}), Catch::Contains("temperature"));
  CHECK_THROWS_WITH(validate(sampling_options{.top_k = -1}), Catch::Contains("top_k"));
  CHECK_THROWS_WITH(validate(sampling_options{.top_p = 0}), Catch::Contains("top_p"));
  CHECK_THROWS_WITH(validate(sampling_options{.top_p = 1.5}), Catch::Contains("top_p"));
}
