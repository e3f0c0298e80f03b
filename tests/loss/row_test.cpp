// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/loss/row.hpp"

#include <algorithm>

#include "loss/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::loss;

TEMPLATE_TEST_CASE("the row gradient is the formula for every mix of terms", "", double, float, bfloat16, float16) {
  using T = TestType;
  const std::vector<row_terms> mixes = {
      {.target = 1},      {.target = -0.5, .subset = 2}, {.subset = 1}, {.entropy = 1.5}, {.forward_kl = 1},
      {.reverse_kl = -2}, {1, -0.5, 0.25, 2, -1}};
  for (const index_t vocab : {1, 17, 97, 1500}) {
    const std::int32_t last = static_cast<std::int32_t>(vocab) - 1;
    std::vector<std::vector<std::int32_t>> subsets = {{}, {0}, {last}};
    if (vocab > 16) subsets.push_back({0, 3, 4, 7, 8, last});
    for (const auto& subset : subsets)
      for (const row_terms& terms : mixes)
        for (const index_t target : {index_t{0}, vocab / 2, vocab - 1}) {
          auto z = random_logits<T>(1, vocab, 3);
          const auto w = random_logits<T>(1, vocab, 4);
          const double temperature = 1.3;
          const auto expected = naive_row_gradient(widened(z), widened(w), terms, temperature, target, subset);
          auto summary = summarize(z, w, temperature);
          summary.entropy = summarize_entropy(z, temperature).entropy;
          row_gradient(z, summary, terms, temperature, target, subset, w);
          double scale = 1e-2, error = 0;
          for (const double x : expected) scale = worst(scale, std::abs(x));
          for (std::size_t v = 0; v < z.size(); ++v) error = worst(error, std::abs(from(z[v]) - expected[v]));
          CHECK(error <= 4 * rounding<T> * scale);
        }
  }
}

TEST_CASE("without a target no element is special") {
  auto z = random_logits<double>(1, 40, 5);
  const auto expected = naive_row_gradient(z, z, {.subset = 1}, 1, -1, {2, 30});
  row_gradient(z, summarize(z), {.subset = 1}, 1, -1, std::vector<std::int32_t>{2, 30});
  for (std::size_t v = 0; v < z.size(); ++v) CHECK(z[v] == Approx(expected[v]).margin(1e-15));
}

TEST_CASE("large logits neither overflow nor lose digits") {
  std::vector<float> z = {1e4f, 1e4f - 1, -1e4f, 3e38f};
  z.pop_back();
  const auto summary = summarize(z);
  CHECK(summary.normalizer.value() == Approx(1e4 + std::log1p(std::exp(-1.0))));
  row_gradient(z, summary, {.target = -1}, 1, 0);
  CHECK(z[1] == Approx(1 / (1 + std::exp(1.0))).epsilon(1e-5));
  CHECK(z[0] == Approx(-1 / (1 + std::exp(1.0))).epsilon(1e-5));
  CHECK(z[2] == 0);

  std::vector<double> far = {700, -700, 709};
  CHECK(summarize(far).normalizer.value() == Approx(709 + std::log1p(std::exp(-9.0))).epsilon(1e-15));
}

TEST_CASE("1 - p(y) keeps its digits where p(y) is nearly 1") {
  std::vector<double> z = {1020, 1000, 997};
  const double rest = std::exp(-20.0) + std::exp(-23.0);
  row_gradient(z, summarize(z), {.target = 1}, 1, 0);
  CHECK(z[0] == Approx(rest / (1 + rest)).epsilon(1e-6));
}

TEST_CASE("ids with logit -inf are absent; other non-finite logits give NaN") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  std::vector<double> z = {1, -inf, 2, -inf}, w = {0, -inf, 1, -inf};
  const auto summary = summarize(z, w, 1);
  CHECK(summary.forward_kl == Approx(0).margin(1e-15));
  auto with_entropy = summary;
  with_entropy.entropy = summarize_entropy(z).entropy;
  CHECK(with_entropy.entropy == Approx(summarize_entropy(std::vector<double>{1, 2}).entropy));
  row_gradient(z, with_entropy, {1, 1, 1, 1, 1}, 1, 0, std::vector<std::int32_t>{0, 1}, w);
  CHECK(z[1] == 0);
  CHECK(z[3] == 0);
  CHECK(std::isfinite(z[0]));

  const std::vector<double> open = {0, 1, 2}, closed = {0, 1, -inf};
  CHECK(summarize(closed, open, 1).forward_kl == inf);
  CHECK(std::isfinite(summarize(open, closed, 1).forward_kl));
  CHECK(summarize(open, closed, 1).reverse_kl == inf);
  CHECK(std::isnan(summarize(std::vector<double>{-inf, -inf}).normalizer.value()));
  CHECK(std::isnan(summarize(std::vector<double>{1, std::nan(""), 3}).normalizer.value()));
  CHECK(std::isnan(summarize(std::vector<double>{1, inf}).normalizer.value()));
}

TEST_CASE("a row may be strided") {
  const auto values = random_logits<float>(1, 2 * 2100, 6);
  std::vector<float> dense, strided = values;
  for (std::size_t i = 0; i < values.size(); i += 2) dense.push_back(values[i]);
  const vector_view<float> row(strided.data(), 2100, 2);
  const auto summary = summarize(row);
  CHECK(summary.normalizer.value() == summarize(dense).normalizer.value());
  row_gradient(row, summary, {.target = 1, .entropy = 0.5}, 1, 7);
  row_gradient(dense, summary, {.target = 1, .entropy = 0.5}, 1, 7);
  for (index_t i = 0; i < 2100; ++i) REQUIRE(row[i] == dense[static_cast<std::size_t>(i)]);
  for (std::size_t i = 1; i < values.size(); i += 2) REQUIRE(strided[i] == values[i]);
}

TEST_CASE("1 - p(y) of a summary keeps the digits of its log_sum") {
  // p(y) = 1 - 1e-20: exp(log p) - 1 would be 0.
  std::vector<double> z = {3, -44};
  const row_summary summary{.normalizer = {3, 1e-20}};
  row_gradient(z, summary, {.target = 1}, 1, 0);
  CHECK(z[0] == Approx(1e-20).epsilon(1e-14).margin(0));
}

TEMPLATE_TEST_CASE("logits of 300 at a temperature, and scales of 1e20 and 1e-20", "", double, float, bfloat16) {
  using T = TestType;
  for (const double temperature : {0.5, 2.0, 40.0})
    for (const double scale : {1e-20, 1.0, 1e20}) {
      auto z = random_logits<T>(1, 97, 10);
      const auto w = random_logits<T>(1, 97, 11);
      z[3] = to<T>(300);
      z[90] = to<T>(299);
      z[96] = to<T>(-300);
      const row_terms terms{scale, -0.5 * scale, 0.25 * scale, 2 * scale, -scale};
      const auto expected = naive_row_gradient(widened(z), widened(w), terms, temperature, 90, {3, 96});
      auto summary = summarize(z, w, temperature);
      summary.entropy = summarize_entropy(z, temperature).entropy;
      row_gradient(z, summary, terms, temperature, 90, std::vector<std::int32_t>{3, 96}, w);
      // The terms are of this size, where their sum is not.
      const double size = scale * (1 + 600 / temperature) / temperature;
      for (std::size_t v = 0; v < z.size(); ++v)
        REQUIRE(from(z[v]) == Approx(expected[v]).epsilon(rounding<T>).margin(rounding<T> * size));
    }
}

TEMPLATE_TEST_CASE("absent ids get 0, not 0 times infinity, from every mix of terms", "", double, float, bfloat16,
                   float16) {
  using T = TestType;
  const T absent = to<T>(-INFINITY);
  for (const index_t vocab : {5, 97, 2100})
    for (const row_terms& terms : {row_terms{.target = 1},
                                   {.target = 1, .subset = -1},
                                   {.target = 1, .entropy = 2},
                                   {.target = 1, .forward_kl = 1},
                                   {.entropy = 1, .forward_kl = 1},
                                   {1, 1, 1, 1, 1}}) {
      auto z = random_logits<T>(1, vocab, 12), w = random_logits<T>(1, vocab, 13);
      const auto n = z.size();
      for (std::size_t v = 0; v < n; ++v)
        if (v % 3 != 1) z[v] = absent;
      // Of an id that the reference alone excludes only the reverse divergence is infinite.
      if (terms.reverse_kl == 0) w[1] = absent;
      const auto last = static_cast<std::int32_t>(n) - 1;
      auto strided = std::vector<T>(2 * n);
      for (std::size_t v = 0; v < n; ++v) strided[2 * v] = z[v];
      auto summary = summarize(z, w, 0.7);
      summary.entropy = summarize_entropy(z, 0.7).entropy;
      const auto before = z;
      row_gradient(z, summary, terms, 0.7, 1, std::vector<std::int32_t>{0, 1, last}, w);
      row_gradient(vector_view<T>(strided.data(), vocab, 2), summary, terms, 0.7, 1,
                   std::vector<std::int32_t>{0, 1, last}, w);
      for (std::size_t v = 0; v < n; ++v) {
        INFO(v);
        REQUIRE(from(strided[2 * v]) == from(z[v]));
        if (from(before[v]) == -INFINITY && terms.forward_kl == 0) REQUIRE(from(z[v]) == 0);
        REQUIRE(std::isfinite(from(z[v])));
      }
    }
}

TEMPLATE_TEST_CASE("a row of absent ids alone has the gradient 0, as has one whose reference is such; NaN stays", "",
                   double, float, bfloat16, float16) {
  using T = TestType;
  const std::vector<T> empty(70, to<T>(-INFINITY)), some = random_logits<T>(1, 70, 14);
  for (const row_terms& terms : {row_terms{.target = 1, .subset = 1}, {.forward_kl = 1}, {1, 1, 1, 1, 1}}) {
    auto z = empty;
    row_gradient(z, summarize(z, some, 1), terms, 1, 5, std::vector<std::int32_t>{0, 5}, some);
    for (const T x : z) REQUIRE(from(x) == 0);
    z = some;
    if (terms.forward_kl == 0) continue;
    row_gradient(z, summarize(z, empty, 1), terms, 1, 5, std::vector<std::int32_t>{0, 5}, empty);
    for (const T x : z) REQUIRE(from(x) == 0);
    z = some;
    z[40] = to<T>(NAN);
    row_gradient(z, summarize(z, some, 1), terms, 1, 5, std::vector<std::int32_t>{0, 5}, some);
    for (const T x : z) REQUIRE(std::isnan(from(x)));
  }
}

TEMPLATE_TEST_CASE("at the smallest temperatures gradients are 0 where p is, and infinite where they are out of range",
                   "", float, bfloat16) {
  using T = TestType;
  for (const double temperature : {1e-38, 1e-45, 1e-300}) {
    std::vector<T> z(40, to<T>(1));
    z[3] = z[30] = to<T>(2);
    auto own = z, other = z;
    row_gradient(own, summarize(own, temperature), {.target = 1}, temperature, 3);
    row_gradient(other, summarize(other, temperature), {.target = 1}, temperature, 7);
    const double slope = temperature < 1e-40 ? INFINITY : 1e38;
    for (std::size_t v = 0; v < z.size(); ++v) {
      const bool top = v == 3 || v == 30;
      const double of_own = v == 3 ? 0.5 * slope : top ? -0.5 * slope : 0;
      const double of_other = v == 7 ? slope : top ? -0.5 * slope : 0;
      REQUIRE(from(own[v]) == Approx(of_own).epsilon(4e-3).margin(0));
      REQUIRE(from(other[v]) == Approx(of_other).epsilon(4e-3).margin(0));
    }
  }
}
