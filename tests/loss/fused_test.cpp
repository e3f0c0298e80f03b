// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/loss/fused.hpp"

#include <algorithm>

#include "loss/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::loss;

namespace {

/// The formula with q = weights / their sum on the subset, 0 elsewhere.
std::vector<double> naive_gradient(const std::vector<double>& z, const row_terms& terms, double temperature,
                                   index_t target, const std::vector<std::int32_t>& subset,
                                   const std::vector<double>& weights) {
  row_terms own = terms;
  own.forward_kl = 0;
  auto g = naive_row_gradient(z, z, own, temperature, target, subset);
  const auto p = naive_softmax(z, temperature);
  double total = 0;
  for (const double w : weights) total += w;
  for (std::size_t v = 0; v < g.size(); ++v) g[v] += terms.forward_kl * p[v] / temperature;
  if (terms.forward_kl != 0)
    for (std::size_t i = 0; i < subset.size(); ++i)
      g[static_cast<std::size_t>(subset[i])] -= terms.forward_kl * weights[i] / total / temperature;
  return g;
}

/// Half a unit in the last place of x as a T.
template <class T>
double half_unit(double x) {
  const int digits = std::is_same_v<T, bfloat16> ? 8 : std::is_same_v<T, float16> ? 11 : 24;
  const int least = std::is_same_v<T, float16> ? -14 : -126;
  return std::ldexp(1.0, (std::max)(x == 0 ? least : std::ilogb(x), least) - digits);
}

template <class T>
void check_row(index_t vocab, const row_terms& terms, index_t target, const std::vector<std::int32_t>& subset) {
  const double temperature = 1.3;
  auto z = random_logits<T>(1, vocab, 3), strided = std::vector<T>(2 * z.size());
  for (std::size_t v = 0; v < z.size(); ++v) strided[2 * v] = z[v];
  std::vector<double> weights;
  for (std::size_t i = 0; i < subset.size(); ++i) weights.push_back(0.3 + static_cast<double>(i % 5));
  const auto expected = naive_gradient(widened(z), terms, temperature, target, subset, weights);
  const auto summary = summarize_entropy(z, temperature);
  const double log_p = summary.normalizer.log_probability(from(z[static_cast<std::size_t>(target)]));
  const auto write = [&](auto&& row) {
    const auto f = [&](const row_summary& s, double log_py) {
      CHECK(s.normalizer.value() == Approx(summary.normalizer.value()).epsilon(1e-6));
      CHECK(log_py == Approx(log_p).epsilon(1e-6).margin(1e-6));
      if (terms.entropy != 0) CHECK(s.entropy == Approx(summary.entropy).epsilon(1e-5).margin(1e-5));
      return terms;
    };
    return terms.entropy == 0 ? fused_gradient(row, temperature, target, subset, f, weights)
                              : fused_gradient<true>(row, temperature, target, subset, f, weights);
  };
  CHECK(write(z) == Approx(log_p).epsilon(1e-6).margin(1e-6));
  write(vector_view<T>(strided.data(), vocab, 2));
  double scale = 1e-2, error = 0, units = 0;
  for (const double x : expected) scale = worst(scale, std::abs(x));
  for (std::size_t v = 0; v < z.size(); ++v) {
    error = worst(error, std::abs(from(z[v]) - expected[v]));
    units = worst(units, (std::abs(from(z[v]) - expected[v]) - 1e-5 * scale) / half_unit<T>(expected[v]));
    REQUIRE(from(strided[2 * v]) == from(z[v]));
    REQUIRE(from(strided[2 * v + 1]) == 0);
  }
  CHECK(error <= 4 * rounding<T> * scale);
  if (sizeof(T) == 2) CHECK(units < 1.05);  // rounded once
}

}  // namespace

TEMPLATE_TEST_CASE("the kernel of one exponential writes the row gradient, each element rounded once", "", double,
                   float, bfloat16, float16) {
  using T = TestType;
  for (const index_t vocab : {1, 17, 97, 1500}) {
    std::vector<std::vector<std::int32_t>> subsets = {{}, {0}, {0, static_cast<std::int32_t>(vocab) - 1}};
    if (vocab == 1) subsets.pop_back();
    for (const index_t members : {31, 32, 33, 100}) {  // more than one stretch of a walk takes
      if (vocab < 1000) continue;
      subsets.emplace_back();
      for (std::int32_t i = 0; i < members; ++i) subsets.back().push_back(5 + i * (i % 3 == 0 ? 4 : 3));
      std::sort(subsets.back().begin(), subsets.back().end());
      subsets.back().erase(std::unique(subsets.back().begin(), subsets.back().end()), subsets.back().end());
    }
    for (const auto& subset : subsets)
      for (const row_terms& terms : {row_terms{.target = 1},
                                     {.target = -0.5, .subset = 2},
                                     {.subset = 1},
                                     {.target = 0.7, .entropy = 0.4},
                                     {.target = -1, .forward_kl = 0.8},
                                     {0.3, -0.2, 0.5, -0.6}})
        for (const index_t target : {index_t{0}, vocab / 2, vocab - 1})
          if (terms.forward_kl == 0 || !subset.empty()) check_row<T>(vocab, terms, target, subset);
  }
}

TEMPLATE_TEST_CASE("rows too long to keep their exponentials get the same gradient", "", double, float, bfloat16,
                   float16) {
  constexpr index_t kept = loss::detail::kept_exponentials<accumulator_t<TestType>>;
  for (const index_t vocab : {kept, kept + 1})
    for (const row_terms& terms : {row_terms{.target = -0.5, .subset = 2}, {0.3, -0.2, 0.5, -0.6}})
      check_row<TestType>(vocab, terms, 9000, {7, 9000, static_cast<std::int32_t>(vocab) - 3});
}

TEMPLATE_TEST_CASE("a NaN makes its whole row NaN; ids at -inf get exactly 0", "", float, bfloat16) {
  using T = TestType;
  for (const std::size_t vocab : {40u, 40000u}) {
    const auto f = [](const row_summary&, double) { return row_terms{.target = -1, .entropy = 0.5}; };
    const auto terms = [](const row_summary&, double) { return row_terms{.target = -1}; };
    std::vector<T> z(vocab, to<T>(1)), e = z;
    z[3] = e[3] = to<T>(-INFINITY);
    CHECK(std::isfinite(fused_gradient(z, 1, 0, {}, terms)));
    CHECK(std::isfinite(fused_gradient<true>(e, 1, 0, {}, f)));
    CHECK(from(z[3]) == 0);
    CHECK(from(e[3]) == 0);
    for (const double bad : {double(NAN), double(INFINITY)}) {
      z.assign(vocab, to<T>(1));
      z[5] = to<T>(bad);
      e = z;
      CHECK(std::isnan(fused_gradient(z, 1, 0, {}, terms)));
      CHECK(std::isnan(fused_gradient<true>(e, 1, 0, {}, f)));
      for (std::size_t v = 0; v < vocab; ++v) REQUIRE((std::isnan(from(z[v])) && std::isnan(from(e[v]))));
    }
  }
}

TEST_CASE("the fused gradient keeps the digits of 1 - p(y) where p(y) is nearly 1") {
  std::vector<double> z = {1020, 1000, 997};
  const double rest = std::exp(-20.0) + std::exp(-23.0);
  fused_gradient(z, 1, 0, {}, [](const row_summary&, double) { return row_terms{.target = 1}; });
  CHECK(z[0] == Approx(rest / (1 + rest)).epsilon(1e-6));
}

TEMPLATE_TEST_CASE("absent ids get exactly 0 also as target and members, and with an entropy", "", double, float,
                   bfloat16, float16) {
  using T = TestType;
  const T absent = to<T>(-INFINITY);
  for (const index_t vocab : {40, 2100, 40000}) {
    auto z = random_logits<T>(1, vocab, 15);
    const auto masked = static_cast<std::size_t>((std::min)(vocab - 5, index_t{2048}));
    for (std::size_t v = 0; v < masked; ++v) z[v] = absent;
    const std::int32_t inside = static_cast<std::int32_t>(masked) + 1;
    const std::vector<std::int32_t> subset = {0, 3, inside};
    const std::vector<double> weights = {0.5, 0.25, 0.25};
    for (const index_t target : {index_t{0}, index_t{5}, index_t{inside}}) {
      const row_terms terms{.target = 1, .subset = 0.5, .entropy = 0.25};
      const auto f = [&](const row_summary&, double) { return terms; };
      auto g = z, strided = std::vector<T>(2 * z.size());
      for (std::size_t v = 0; v < z.size(); ++v) strided[2 * v] = z[v];
      const double log_p = fused_gradient<true>(g, 1.3, target, subset, f);
      fused_gradient<true>(vector_view<T>(strided.data(), vocab, 2), 1.3, target, subset, f);
      const auto expected = naive_row_gradient(widened(z), widened(z), terms, 1.3, target, subset);
      CHECK((target == inside ? std::isfinite(log_p) : log_p == -INFINITY));
      for (std::size_t v = 0; v < z.size(); ++v) {
        REQUIRE(from(g[v]) == Approx(expected[v]).margin(4 * rounding<T>));
        REQUIRE(from(strided[2 * v]) == from(g[v]));
        if (v < masked && static_cast<index_t>(v) != target) REQUIRE(from(g[v]) == 0);
      }
      g = z;
      fused_gradient(
          g, 1.3, target, subset, [](const row_summary&, double) { return row_terms{.forward_kl = 1}; }, weights);
      CHECK(from(g[0]) == Approx(-0.5 / 1.3).epsilon(rounding<T>));
      CHECK(from(g[1]) == 0);
    }
  }
}

TEMPLATE_TEST_CASE("a row of absent ids alone: log p NaN, the gradient 0, and nobody is asked for terms", "", double,
                   float, bfloat16, float16) {
  using T = TestType;
  for (const std::size_t vocab : {1u, 40u, 2048u, 40000u}) {
    const auto f = [](const row_summary&, double) -> row_terms { throw std::logic_error("asked"); };
    std::vector<T> z(vocab, to<T>(-INFINITY)), e = z;
    CHECK(std::isnan(fused_gradient(z, 0.6, 0, {}, f)));
    CHECK(std::isnan(fused_gradient<true>(e, 0.6, 0, {}, f)));
    for (std::size_t v = 0; v < vocab; ++v) REQUIRE((from(z[v]) == 0 && from(e[v]) == 0));
  }
}

TEMPLATE_TEST_CASE("the fused gradient at logits of 300 with a temperature, at scales, and at temperatures of any size",
                   "", double, float, bfloat16) {
  using T = TestType;
  for (const index_t vocab : {40, 2049, 40000})
    for (const double temperature : {1e-20, 0.5, 3.0, 1e10})
      for (const double scale : {1e-20, 1.0, 1e15}) {
        auto z = random_logits<T>(1, vocab, 16);
        z[7] = to<T>(300);
        z[30] = to<T>(299);
        const row_terms terms{.target = -scale, .subset = 0.5 * scale};
        const auto expected = naive_row_gradient(widened(z), widened(z), terms, temperature, 30, {7, 9});
        const double log_p = fused_gradient(z, temperature, 30, std::vector<std::int32_t>{7, 9},
                                            [&](const row_summary&, double) { return terms; });
        CHECK(log_p <= 0);
        for (std::size_t v = 0; v < z.size(); ++v)
          REQUIRE(from(z[v]) == Approx(expected[v]).epsilon(rounding<T>).margin(4 * rounding<T> * scale / temperature));
      }
}
