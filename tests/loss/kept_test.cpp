// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/loss/kept.hpp"

#include <algorithm>

#include "hone/core/thread_pool.hpp"
#include "hone/loss/likelihood.hpp"
#include "loss/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::loss;

namespace {

/// Rows of logits, each with a random set of ids of which its label is one.
template <class T>
struct cut_rows {
  index_t rows, vocab;
  std::vector<T> logits;
  std::vector<std::int32_t> targets;
  std::vector<std::int64_t> ids;
  std::vector<index_t> offsets = {0};

  cut_rows(index_t rows_, index_t vocab_, double share) : rows(rows_), vocab(vocab_) {
    logits = random_logits<T>(rows, vocab, 1);
    for (index_t t = 0; t < rows; ++t) {
      targets.push_back(t % 5 == 3 ? ignored : static_cast<std::int32_t>((t * 37 + vocab - 1) % vocab));
      for (index_t v = 0; v < vocab; ++v)
        if (v == targets.back() || philox{2}.uniform(static_cast<std::uint64_t>(t * vocab + v)) < share)
          ids.push_back(v);
      offsets.push_back(std::ssize(ids));
    }
  }
  [[nodiscard]] kept_sets kept() const { return {ids, offsets}; }
  [[nodiscard]] matrix_view<T> view(std::vector<T>& z) const { return {z.data(), rows, vocab}; }
  /// The logits with -inf outside the sets.
  [[nodiscard]] std::vector<T> masked() const {
    std::vector<T> z(logits.size(), to<T>(-INFINITY));
    for (index_t t = 0; t < rows; ++t)
      for (index_t i = offsets[static_cast<std::size_t>(t)]; i < offsets[static_cast<std::size_t>(t) + 1]; ++i) {
        const auto at = static_cast<std::size_t>(t * vocab + ids[static_cast<std::size_t>(i)]);
        z[at] = logits[at];
      }
    return z;
  }
};

}  // namespace

TEST_CASE("kept sets give the reference vectors (W5)") {
  const std::vector<double> z = {.7, -.4, 1.3, .2, -1.1};
  const std::vector<std::int64_t> targets = {3}, ids = {0, 2, 3};
  const std::vector<index_t> offsets = {0, 3};
  const kept_sets kept{ids, offsets};
  const auto check = [&](const row_options& options, double loss, const std::vector<double>& gradient) {
    auto g = z;
    CHECK(kept_likelihood(matrix_view<double>(g.data(), 1, 5), targets, kept, options).sum ==
          Approx(loss).epsilon(1e-9));
    for (std::size_t v = 0; v < 5; ++v) CHECK(g[v] == Approx(gradient[v]).margin(1e-10));
  };
  const double minus[] = {-1};
  check({.weights = minus}, -1.7321664402, {-0.2916600287, 0, -0.5314392217, 0.8230992504, 0});
  check({.weights = minus, .temperature = .6}, -2.2571354117, {-0.4013279102, 0, -1.0909223656, 1.4922502759, 0});
  // The unclipped surrogate: a ratio to log pi_old = -2 with A = 1.25, -A rho its coefficient.
  std::vector<double> log_p(1);
  kept_log_likelihood(matrix_view<const double>(z.data(), 1, 5), targets, kept, log_p);
  const double weight[] = {1.25 * std::exp(log_p[0] + 2)};
  CHECK(weight[0] == Approx(1.6339119537).epsilon(1e-9));
  check({.weights = weight}, -weight[0] * log_p[0], {0.4765468073, 0, 0.8683248969, -1.3448717043, 0});
  // The entropy on S.
  auto g = z;
  with_kept(g, ids, [](const auto& row) {
    return fused_gradient<true>(row, 1, 2, {}, [](const row_summary& summary, double) {
      CHECK(summary.entropy == Approx(1.0017532821).epsilon(1e-9));
      return row_terms{.entropy = -1};
    });
  });
  const std::vector<double> expected = {0.0672023083, 0, -0.1964129436, 0.1292106352, 0};
  for (std::size_t v = 0; v < 5; ++v) CHECK(g[v] == Approx(expected[v]).margin(1e-10));
}

TEMPLATE_TEST_CASE("kept sets are what -inf outside them is, for any size of row and set", "", double, float, bfloat16,
                   float16) {
  using T = TestType;
  for (const index_t vocab : {1, 2, 17, 97, 1500, 3000})
    for (const double share : {0.0, 0.02, 0.5, 0.95}) {
      const cut_rows<T> c(6, vocab, share);
      auto z = c.logits, masked = c.masked();
      const std::vector<double> weights = {1, 2, -0.5, 9, 0, 1};
      const row_options options{.scale = 0.25, .weights = weights, .temperature = 1.7};
      std::vector<double> log_p(6, 9), expected(6, 9);
      const auto total = kept_log_likelihood(c.view(z), c.targets, c.kept(), log_p, options);
      const auto of_masked = log_likelihood(c.view(masked), c.targets, expected, options);
      CHECK(total.sum == Approx(of_masked.sum).epsilon(1e-5).margin(1e-5));
      CHECK(total.count == of_masked.count);
      for (std::size_t t = 0; t < 6; ++t) {
        CHECK(log_p[t] == Approx(expected[t]).epsilon(1e-5).margin(1e-5));
        CHECK(log_p[t] <= 0);
      }
      CHECK(std::memcmp(z.data(), c.logits.data(), z.size() * sizeof(T)) == 0);
      CHECK(kept_likelihood(c.view(z), c.targets, c.kept(), options).sum ==
            Approx(total.sum).epsilon(1e-6).margin(1e-6));
      likelihood(c.view(masked), c.targets, options);
      const auto outside = c.masked();
      for (std::size_t i = 0; i < z.size(); ++i) {
        REQUIRE(from(z[i]) == Approx(from(masked[i])).epsilon(rounding<T>).margin(rounding<T>));
        if (from(outside[i]) == -INFINITY) REQUIRE(from(z[i]) == 0);
      }
    }
}

TEMPLATE_TEST_CASE("a set of all ids, and none, have the bits of the ordinary path", "", double, float, bfloat16,
                   float16) {
  using T = TestType;
  for (const index_t vocab : {3, 97, 2500, 33000}) {
    const cut_rows<T> c(3, vocab, 1);
    const std::vector<index_t> nothing(4);
    for (const kept_sets& kept : {c.kept(), kept_sets{{}, nothing}}) {
      auto z = c.logits, plain = c.logits;
      std::vector<double> log_p(3), expected(3);
      kept_log_likelihood(c.view(z), c.targets, kept, log_p, {.temperature = 0.6});
      log_likelihood(c.view(z), c.targets, expected, {.temperature = 0.6});
      CHECK(log_p == expected);
      CHECK(kept_likelihood(c.view(z), c.targets, kept, {.temperature = 0.6}).sum ==
            likelihood(c.view(plain), c.targets, {.temperature = 0.6}).sum);
      CHECK(std::memcmp(z.data(), plain.data(), z.size() * sizeof(T)) == 0);
    }
  }
}

TEST_CASE("kept sets pass the gradient check; each row of the gradient sums to 0") {
  const cut_rows<double> c(6, 40, 0.3);
  auto z = c.logits;
  kept_likelihood(c.view(z), c.targets, c.kept(), {.temperature = 0.7});
  CHECK(gradient_error(c.logits, z, [&](std::vector<double> x) {
          return kept_likelihood(c.view(x), c.targets, c.kept(), {.temperature = 0.7}).sum;
        }) < 1e-8);
  for (index_t t = 0; t < 6; ++t) {
    double sum = 0;
    for (index_t v = 0; v < 40; ++v) sum += z[static_cast<std::size_t>(t * 40 + v)];
    CHECK(sum == Approx(0).margin(1e-15));
  }
}

TEMPLATE_TEST_CASE("logits outside the sets are not read, and their gradient is 0, whatever they are", "", double,
                   float, bfloat16, float16) {
  using T = TestType;
  const cut_rows<T> c(6, 300, 0.1);
  const auto outside = c.masked();
  auto z = c.logits, spoilt = c.logits;
  for (std::size_t i = 0; i < z.size(); ++i)
    if (from(outside[i]) == -INFINITY) spoilt[i] = to<T>(i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -INFINITY);
  const auto expected = kept_likelihood(c.view(z), c.targets, c.kept());
  const auto total = kept_likelihood(c.view(spoilt), c.targets, c.kept());
  CHECK(total.sum == expected.sum);
  CHECK(total.nonfinite == 0);
  CHECK(std::memcmp(z.data(), spoilt.data(), z.size() * sizeof(T)) == 0);
}

TEST_CASE("kept logits that are not finite are counted; one id alone is certain") {
  const std::vector<std::int32_t> ids = {0, 2, 3, 0, 2, 3, 0, 2, 3, 2}, targets = {2, 2, 2, 2};
  const std::vector<index_t> offsets = {0, 3, 6, 9, 10};
  const float inf = std::numeric_limits<float>::infinity();
  std::vector<float> z = {1, 7, 2, -inf, -inf, 8, -inf, -inf, 1, NAN, 2, inf, 1, NAN, -4, inf};
  std::vector<float> log_p(4);
  const kept_sets kept{ids, offsets};
  CHECK(kept_log_likelihood(matrix_view<float>(z.data(), 4, 4), targets, kept, log_p).nonfinite == 2);
  CHECK(log_p[0] == Approx(-std::log1p(std::exp(-1.0))).epsilon(1e-6));
  CHECK(std::isnan(log_p[1]));
  CHECK(std::isnan(log_p[2]));
  CHECK(log_p[3] == 0);
  const auto total = kept_likelihood(matrix_view<float>(z.data(), 4, 4), targets, kept);
  CHECK(total.nonfinite == 2);
  CHECK(total.count == 4);
  for (const std::size_t zero : {1u, 3u, 4u, 5u, 6u, 7u, 9u, 12u, 13u, 14u, 15u}) CHECK(z[zero] == 0);
  for (const std::size_t bad : {8u, 10u, 11u}) CHECK(std::isnan(z[bad]));
  // y at -inf: infinite, and counted; its gradient is not.
  std::vector<float> masked = {1, 2, -inf, 3};
  const auto of_masked = kept_likelihood(matrix_view<float>(masked.data(), 1, 4), std::vector<std::int32_t>{2},
                                         {std::span(ids).first(3), std::span(offsets).first(2)});
  CHECK(of_masked.sum == INFINITY);
  CHECK(of_masked.nonfinite == 1);
  CHECK(masked[2] == -1);
  CHECK(masked[1] == 0);
}

TEST_CASE("strided rows, columns and workers give the same bits") {
  const cut_rows<float> c(40, 77, 0.3);
  auto z = c.logits, parallel = z;
  std::vector<float> turned(z.size());
  for (index_t t = 0; t < 40; ++t)
    for (index_t v = 0; v < 77; ++v)
      turned[static_cast<std::size_t>(v * 40 + t)] = z[static_cast<std::size_t>(t * 77 + v)];
  const matrix_view<float> columns(turned.data(), 40, 77, 1, 40);
  thread_pool pool(3);
  const auto expected = kept_likelihood(c.view(z), c.targets, c.kept());
  CHECK(kept_likelihood(columns, c.targets, c.kept()).sum == expected.sum);
  CHECK(kept_likelihood(c.view(parallel), c.targets, c.kept(), {}, pool).sum == expected.sum);
  CHECK(parallel == z);
  for (index_t t = 0; t < 40; ++t)
    for (index_t v = 0; v < 77; ++v) REQUIRE(columns(t, v) == z[static_cast<std::size_t>(t * 77 + v)]);
  CHECK(kept_likelihood(matrix_view<float>(nullptr, 0, 77), {}, {{}, std::vector<index_t>{0}}).count == 0);
}

TEST_CASE("kept sets that do not fit are refused, and nothing is written") {
  std::vector<float> z = {1, 2, 3, 4, 5, 6, 7, 8};
  const auto before = z;
  const matrix_view<float> rows(z.data(), 2, 4);
  const std::vector<std::int32_t> targets = {1, 3};
  const auto run = [&](const std::vector<std::int64_t>& ids, const std::vector<index_t>& offsets) {
    kept_likelihood(rows, targets, {ids, offsets});
  };
  run({0, 1, 3}, {0, 2, 3});
  z = before;
  CHECK_THROWS_WITH(run({0, 1, 3}, {0, 2}), Catch::Contains("offsets"));
  CHECK_THROWS_WITH(run({0, 1, 3}, {0, 2, 2}), Catch::Contains("offsets"));
  CHECK_THROWS_WITH(run({0, 1, 3}, {0, 4, 3}), Catch::Contains("offsets"));
  CHECK_THROWS_WITH(run({0, 2, 3}, {0, 2, 3}), Catch::Contains("label 1 of row 0 is not kept"));
  CHECK_THROWS_WITH(run({1, 0, 3}, {0, 2, 3}), Catch::Contains("id 0 of row 0"));
  CHECK_THROWS_WITH(kept_likelihood(rows, std::vector<std::int32_t>{0, 3},
                                    {std::vector<std::int64_t>{1, 2, 3}, std::vector<index_t>{0, 2, 3}}),
                    Catch::Contains("label 0 of row 0 is not kept"));
  CHECK_THROWS_WITH(run({0, 1, 3, 3}, {0, 2, 4}), Catch::Contains("id 3 of row 1"));
  CHECK_THROWS_WITH(run({-1, 1, 3}, {0, 2, 3}), Catch::Contains("id -1 of row 0"));
  CHECK_THROWS_WITH(run({0, 1, 4}, {0, 2, 3}), Catch::Contains("below 4"));
  CHECK_THROWS_WITH(run({0, 1, (std::int64_t{1} << 32) + 3}, {0, 2, 3}), Catch::Contains("id 4294967299 of row 1"));
  std::vector<double> out(3);
  const std::vector<index_t> full(3);
  CHECK_THROWS_WITH(kept_log_likelihood(rows, targets, {{}, full}, out), Catch::Contains("out"));
  std::vector<double> two = {7, 7};
  const auto read = [&](const std::vector<std::int64_t>& ids, const std::vector<index_t>& offsets,
                        const row_options& options = {}) {
    kept_log_likelihood(rows, targets, {ids, offsets}, two, options);
  };
  const std::string name = "hone::loss::kept_log_likelihood: ";
  CHECK_THROWS_WITH(read({0, 1, 3}, {0, 2}), Catch::StartsWith(name + "offsets"));
  CHECK_THROWS_WITH(read({0, 1, 2}, {0, 2, 3}), Catch::Contains("label 3 of row 1 is not kept"));
  CHECK_THROWS_WITH(read({1, 1, 3}, {0, 2, 3}), Catch::Contains("id 1 of row 0"));
  CHECK_THROWS_WITH(read({0, 1, 3}, {0, 2, 3}, {.temperature = 0}), Catch::StartsWith(name + "temperature"));
  CHECK_THROWS_WITH(read({0, 1, 3}, {0, 2, 3}, {.weights = out}), Catch::StartsWith(name + "weights"));
  CHECK_THROWS_WITH(kept_log_likelihood(rows, std::vector<std::int32_t>{1, 4}, {{}, full}, two),
                    Catch::Contains("label 4 of row 1"));
  CHECK(two == std::vector<double>{7, 7});
  read({0, 1, 3}, {0, 2, 3});
  CHECK((two[0] == Approx(-std::log1p(std::exp(-1.0))) && two[1] == 0));
  CHECK_THROWS_WITH(kept_likelihood(rows, std::vector<std::int32_t>{1, 4}, {{}, full}), Catch::Contains("label 4"));
  CHECK_THROWS_WITH(kept_likelihood(rows, targets, {{}, full}, {.temperature = 0}), Catch::Contains("temperature"));
  CHECK(z == before);
  // A row that is ignored may keep what it likes.
  const std::vector<std::int32_t> some = {ignored, 3}, ids = {2, 3};
  const std::vector<index_t> offsets = {0, 1, 2};
  CHECK(kept_likelihood(rows, some, {ids, offsets}).count == 1);
  CHECK(z == std::vector<float>(8));
}

TEST_CASE("the page's snippet") {
  const index_t vocab = 40;
  cut_rows<float> c(6, vocab, 0.2);
  const auto& [rows, width, values, targets, ids, offsets] = c;
  std::vector<double> log_probability(6), weight(6);
  auto memory = values;
  const matrix_view<float> logits(memory.data(), rows, width);

  const kept_sets kept{ids, offsets};  // of each row: the ids that the sampler's cut left
  kept_log_likelihood(logits, targets, kept, log_probability, {.temperature = 0.6});
  for (std::size_t t = 0; t < weight.size(); ++t) weight[t] = std::exp(log_probability[t] + 2);  // the loss's slope
  kept_likelihood(logits, targets, kept, {.weights = weight, .temperature = 0.6});

  CHECK(std::isfinite(memory[0]));
}
