// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/policy/rows.hpp"

#include <algorithm>

#include "hone/core/thread_pool.hpp"
#include "loss/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::policy;

namespace {

std::vector<std::size_t> order_of(const std::vector<double>& z) {
  std::vector<std::size_t> order(z.size());
  for (std::size_t v = 0; v < z.size(); ++v) order[v] = v;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return z[a] > z[b]; });
  return order;
}

struct extracted {
  std::vector<std::int32_t> ids;
  std::vector<double> probability, mass;
  support_view view;
};

template <class T>
extracted extract(const std::vector<T>& z, index_t rows, const std::vector<std::int32_t>& targets, index_t width,
                  const support_options& options = {}) {
  extracted e;
  e.ids.resize(static_cast<std::size_t>(rows * width));
  e.probability.resize(e.ids.size());
  e.mass.resize(static_cast<std::size_t>(rows));
  thread_pool pool(2);
  top_k_support(matrix_view<const T>(z.data(), rows, std::ssize(z) / rows), targets, width,
                {e.ids, e.probability, e.mass}, options, pool);
  e.view = {e.ids, e.probability, width};
  return e;
}

}  // namespace

TEMPLATE_TEST_CASE("the support is the reference's likeliest ids without the target", "", double, float, bfloat16,
                   float16) {
  using T = TestType;
  for (const index_t vocab : {1, 2, 9, 97, 2049}) {
    const auto z = random_logits<T>(4, vocab, 3);
    const auto last = static_cast<std::int32_t>(vocab) - 1;
    const auto best = [&](std::size_t row) {
      const auto wide = widened(z);
      const auto begin = wide.begin() + static_cast<index_t>(row) * vocab;
      return order_of({begin, begin + vocab});
    };
    const std::vector<std::int32_t> targets = {0, static_cast<std::int32_t>(best(1)[0]), -1, last};
    for (const index_t width : {index_t{0}, index_t{1}, (std::min)(index_t{8}, vocab), vocab})
      for (const bool keep : {false, true}) {
        if (width > 20 && vocab > 20 && width == vocab && keep) continue;
        const double temperature = 1.5;
        const auto e = extract(z, 4, targets, width, {.keep_target = keep, .temperature = temperature});
        for (std::size_t t = 0; t < 4; ++t) {
          const auto wide = widened(z);
          const auto begin = wide.begin() + static_cast<index_t>(t) * vocab;
          const auto q = naive_softmax({begin, begin + vocab}, temperature);
          const auto order = order_of({begin, begin + vocab});
          std::vector<std::int32_t> expected;
          double mass = 0;
          for (std::size_t i = 0; i < static_cast<std::size_t>(width) && targets[t] >= 0; ++i)
            if (keep || static_cast<std::int32_t>(order[i]) != targets[t]) {
              expected.push_back(static_cast<std::int32_t>(order[i]));
              mass += q[order[i]];
            }
          std::sort(expected.begin(), expected.end());
          const auto members = e.view.of(t);
          REQUIRE(std::vector<std::int32_t>(members.begin(), members.end()) == expected);
          CHECK(e.mass[t] == Approx(mass).epsilon(rounding<float>).margin(1e-300));
          for (std::size_t i = 0; i < expected.size(); ++i)
            REQUIRE(e.view.probability_of(t, i) ==
                    Approx(q[static_cast<std::size_t>(expected[i])]).epsilon(1e-5).margin(1e-300));
        }
      }
  }
}

TEST_CASE("of equal logits the lowest ids are taken; NaN is no candidate") {
  const std::vector<float> z = {1, 3, 3, 3, 0, 3, NAN, 3, 3, 3};
  CHECK(extract(z, 2, {0, 4}, 2).ids == std::vector<std::int32_t>{1, 2, 0, 2});
  const std::vector<float> same(6, 1.0f);
  CHECK(extract(same, 1, {1}, 3).ids == std::vector<std::int32_t>{0, 2, -1});
  const auto few = extract(std::vector<float>{NAN, NAN, 1}, 1, {0}, 3);
  CHECK(few.ids == std::vector<std::int32_t>{2, -1, -1});
}

TEMPLATE_TEST_CASE("masked references: only ids that are left are members; of none there are none", "", double, float,
                   bfloat16, float16) {
  using T = TestType;
  for (const index_t masked : {1023, 1024, 2048, 2097, 2099}) {
    auto z = random_logits<T>(2, 2100, 14);
    std::fill_n(z.begin(), masked, to<T>(-INFINITY));
    std::fill_n(z.begin() + 2100, 2100, to<T>(-INFINITY));
    const auto e = extract(z, 2, {2099, 0}, 5, {.temperature = 0.7});
    const auto wide = widened(z);
    const std::vector<double> row(wide.begin(), wide.begin() + 2100);
    const auto p = naive_softmax(row, 0.7);
    std::vector<std::int32_t> likeliest;
    for (std::size_t i = 0; i < 5; ++i)
      if (const std::size_t v = order_of(row)[i]; p[v] > 0 && v != 2099)
        likeliest.push_back(static_cast<std::int32_t>(v));
    std::sort(likeliest.begin(), likeliest.end());
    const auto members = e.view.of(0);
    REQUIRE(std::vector<std::int32_t>(members.begin(), members.end()) == likeliest);
    double mass = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      const double expected = p[static_cast<std::size_t>(members[i])];
      CHECK(e.view.probability_of(0, i) == Approx(expected).epsilon(1e-5));
      mass += expected;
    }
    CHECK(e.mass[0] == Approx(mass).epsilon(1e-5).margin(1e-300));
    CHECK(e.view.of(1).empty());
    CHECK(e.mass[1] == 0);
  }
}

TEMPLATE_TEST_CASE("measures of masked policies are those of what is left, and a mass is never above 1", "", double,
                   float, bfloat16, float16) {
  using T = TestType;
  const index_t vocab = 2100;
  for (const index_t masked : {1024, 2048})
    for (const double temperature : {1.0, 0.6}) {
      auto z = random_logits<T>(2, vocab, 15);
      std::fill_n(z.begin(), masked, to<T>(-INFINITY));
      std::fill_n(z.begin() + vocab, vocab, to<T>(-INFINITY));
      const auto wide = widened(z);
      const auto p = naive_softmax({wide.begin(), wide.begin() + vocab}, temperature);
      double entropy = 0;
      for (const double x : p)
        if (x > 0) entropy -= x * std::log(x);
      std::vector<std::int32_t> ids;
      std::vector<double> q;
      for (int row = 0; row < 2; ++row)
        for (std::int32_t v = 0; v < vocab; ++v) {
          ids.push_back(v);
          q.push_back(v < masked ? 0 : 1e-3);
        }
      const std::vector<std::int64_t> targets = {2099, 2099};
      std::vector<double> out[6];
      for (auto& x : out) x.resize(2, 5.0);
      measure(matrix_view<const T>(z.data(), 2, vocab), targets, {ids, q, vocab},
              {out[0], out[1], out[2], out[3], out[4], out[5]}, temperature);
      CHECK(out[0][0] == Approx(std::log(p[2099])).epsilon(1e-5));
      CHECK(out[1][0] == Approx(entropy).epsilon(1e-5));
      CHECK(out[2][0] == Approx(*std::max_element(p.begin(), p.end())).epsilon(1e-5));
      CHECK(out[3][0] <= 0);
      CHECK(out[3][0] == Approx(0).margin(1e-6));
      CHECK(std::isfinite(out[4][0]));
      for (int i = 0; i < 5; ++i) CHECK(std::isnan(out[i][1]));
      CHECK(out[5][1] == 0);
      // Members that the policy excludes have no mass.
      const std::vector<std::int32_t> excluded = {0, 1, 0, 1};
      measure(matrix_view<const T>(z.data(), 2, vocab), targets, {excluded, {}, 2}, {.log_mass = out[3]}, temperature);
      CHECK(out[3][0] == -INFINITY);
    }
}

TEMPLATE_TEST_CASE("gradients of masked policies; a row of absent ids alone gets 0", "", double, float, bfloat16,
                   float16) {
  using T = TestType;
  const index_t vocab = 2100;
  auto z = random_logits<T>(3, vocab, 16);
  std::fill_n(z.begin(), 1024, to<T>(-INFINITY));
  std::fill_n(z.begin() + vocab, vocab, to<T>(-INFINITY));
  std::fill_n(z.begin() + 2 * vocab + 1, vocab - 1, to<T>(-INFINITY));
  const std::vector<std::int64_t> targets = {1500, 3, 0};
  std::vector<std::int32_t> ids = {5, 1024, 2099, 5, 1024, 2099, 5, 1024, 2099};
  const std::vector<double> q(9, 0.25);
  for (const auto& term : {loss::row_terms{.target = 1},
                           {.target = 1, .subset = -0.3},
                           {.target = 1, .subset = 0.2, .entropy = 0.1, .forward_kl = 0.4}}) {
    auto g = z;
    write_gradient(matrix_view<T>(g.data(), 3, vocab), targets, std::vector<loss::row_terms>(3, term), {ids, q, 3},
                   0.8);
    const auto wide = widened(z);
    auto plain = term;
    plain.forward_kl = 0;
    const std::vector<double> row(wide.begin(), wide.begin() + vocab);
    auto expected = naive_row_gradient(row, row, plain, 0.8, 1500, {5, 1024, 2099});
    const auto p = naive_softmax(row, 0.8);
    for (std::size_t v = 0; v < p.size(); ++v) expected[v] += term.forward_kl * p[v] / 0.8;
    for (const std::size_t v : {5u, 1024u, 2099u}) expected[v] -= term.forward_kl / 3 / 0.8;
    for (std::size_t v = 0; v < p.size(); ++v) {
      REQUIRE(from(g[v]) == Approx(expected[v]).epsilon(2 * rounding<T>).margin(2 * rounding<T>));
      if (v < 1024 && v != 5) REQUIRE(from(g[v]) == 0);
      REQUIRE(from(g[v + p.size()]) == 0);
      REQUIRE(std::isfinite(from(g[v + 2 * p.size()])));
    }
  }
}

TEST_CASE("no rows have no supports and no measures") {
  std::vector<double> none;
  top_k_support(matrix_view<const float>(nullptr, 0, 7), {}, 3, {{}, {}, none});
  measure(matrix_view<const float>(nullptr, 0, 7), {}, {}, {.log_probability = none});
  CHECK(none.empty());
}

TEST_CASE("measures are their formulas") {
  const index_t vocab = 40;
  const auto z = random_logits<double>(3, vocab, 4), w = random_logits<double>(3, vocab, 5);
  const std::vector<std::int32_t> targets = {7, -1, 39};
  const auto e = extract(w, 3, targets, 8);
  const double temperature = 0.8;
  std::vector<double> out[6];
  for (auto& x : out) x.resize(3, 5.0);
  const row_measures all{out[0], out[1], out[2], out[3], out[4], out[5]};
  thread_pool pool(2);
  measure(matrix_view<const double>(z.data(), 3, vocab), targets, e.view, all, temperature, pool);
  for (const auto& x : out) CHECK(x[1] == 0);
  for (const std::size_t t : {0u, 2u}) {
    const auto begin = z.begin() + static_cast<index_t>(t) * vocab;
    const auto p = naive_softmax({begin, begin + vocab}, temperature);
    double entropy = 0, mass = 0, likelihood = 0, rare = 0;
    for (const double x : p) entropy -= x * std::log(x);
    const auto members = e.view.of(t);
    for (std::size_t i = 0; i < members.size(); ++i) {
      const double x = p[static_cast<std::size_t>(members[i])];
      mass += x;
      likelihood += e.view.probability_of(t, i) / e.mass[t] * std::log(x);
      rare += x < rare_probability;
    }
    CHECK(out[0][t] == Approx(std::log(p[static_cast<std::size_t>(targets[t])])).epsilon(1e-13));
    CHECK(out[1][t] == Approx(entropy).epsilon(1e-13));
    CHECK(out[2][t] == Approx(*std::max_element(p.begin(), p.end())).epsilon(1e-13));
    CHECK(out[3][t] == Approx(std::log(mass)).epsilon(1e-13));
    CHECK(out[4][t] == Approx(likelihood).epsilon(1e-13));
    CHECK(out[5][t] == rare);
  }
}

TEST_CASE("the mass of a support far below the rest keeps its digits; an empty support has none; NaN shows") {
  const std::vector<double> z = {0, -2000, -2001, 3};
  const std::vector<std::int32_t> target = {0}, ids = {1, 2};
  std::vector<double> log_mass(1);
  const matrix_view<const double> row(z.data(), 1, 4);
  measure(row, target, {ids, {}, 2}, {.log_mass = log_mass});
  CHECK(log_mass[0] == Approx(-2000 + std::log1p(std::exp(-1.0)) - 3 - std::log1p(std::exp(-3.0))).epsilon(1e-14));
  const std::vector<std::int32_t> nobody = {-1, -1};
  measure(row, target, {nobody, {}, 2}, {.log_mass = log_mass});
  CHECK(log_mass[0] == -std::numeric_limits<double>::infinity());
  const std::vector<double> broken = {NAN, 1, 2, 3};
  std::vector<double> log_p(1), entropy(1);
  measure(matrix_view<const double>(broken.data(), 1, 4), target, {ids, {}, 2},
          {.log_probability = log_p, .entropy = entropy, .log_mass = log_mass});
  for (const double x : {log_p[0], entropy[0], log_mass[0]}) CHECK(std::isnan(x));
}

TEST_CASE("a row's measures do not depend on the rows beside it") {
  const index_t vocab = 333;
  const auto z = random_logits<float>(6, vocab, 6);
  const std::vector<std::int32_t> targets = {1, 2, 3, 4, 5, 6};
  std::vector<double> together(6), alone(1), h(6), one(1);
  measure(matrix_view<const float>(z.data(), 6, vocab), targets, {}, {.log_probability = together, .entropy = h});
  for (std::size_t t = 0; t < 6; ++t) {
    measure(matrix_view<const float>(z.data() + static_cast<index_t>(t) * vocab, 1, vocab),
            std::span(targets).subspan(t, 1), {}, {.log_probability = alone, .entropy = one});
    CHECK(alone[0] == together[t]);
    CHECK(one[0] == h[t]);
  }
}

TEMPLATE_TEST_CASE("coefficients become the gradient", "", double, float, bfloat16) {
  using T = TestType;
  for (const index_t vocab : {1, 2, 40, 1100}) {
    auto z = random_logits<T>(4, vocab, 7);
    const auto before = widened(z);
    const auto last = static_cast<std::int32_t>(vocab) - 1;
    const std::vector<std::int32_t> targets = {0, last, -1, last / 2};
    const auto e = extract(random_logits<double>(4, vocab, 8), 4, targets, (std::min)(vocab, index_t{8}),
                           {.keep_target = vocab == 1100});
    std::vector<loss::row_terms> terms(4);
    terms[0] = {.target = 0.7, .subset = -0.4, .entropy = 0.3};
    terms[1] = {.target = -0.7, .forward_kl = 0.6};
    terms[2] = {.target = 5, .subset = 5};
    terms[3] = {.target = 0.2, .subset = 0.1, .entropy = -0.2, .forward_kl = -0.5};
    const double temperature = 1.4;
    thread_pool pool(2);
    write_gradient(matrix_view<T>(z.data(), 4, vocab), targets, terms, e.view, temperature, pool);
    for (std::size_t t = 0; t < 4; ++t) {
      const auto begin = before.begin() + static_cast<index_t>(t) * vocab;
      const std::vector<double> row(begin, begin + vocab);
      const auto members = e.view.of(t);
      auto plain = terms[t];
      plain.forward_kl = 0;
      auto expected = naive_row_gradient(row, row, plain, temperature, targets[t], {members.begin(), members.end()});
      const auto p = naive_softmax(row, temperature);
      double mass = 0;
      for (std::size_t i = 0; i < members.size(); ++i) mass += e.view.probability_of(t, i);
      for (std::size_t v = 0; v < p.size(); ++v) expected[v] += terms[t].forward_kl * p[v] / temperature;
      for (std::size_t i = 0; i < members.size(); ++i)
        expected[static_cast<std::size_t>(members[i])] -=
            terms[t].forward_kl * e.view.probability_of(t, i) / mass / temperature;
      for (std::size_t v = 0; v < p.size(); ++v)
        REQUIRE(from(z[t * p.size() + v]) ==
                Approx(targets[t] < 0 ? 0 : expected[v]).epsilon(2 * rounding<T>).margin(2 * rounding<T>));
    }
  }
}

TEMPLATE_TEST_CASE("a NaN stays in its row; no rows and rows that do not count write zeros or nothing", "", double,
                   float, bfloat16) {
  using T = TestType;
  const index_t rows = 4, vocab = 60;
  const auto clean = random_logits<T>(rows, vocab, 12);
  const std::vector<std::int32_t> targets = {3, 7, 9, 11}, nobody(4, -1);
  const auto e = extract(random_logits<double>(rows, vocab, 13), rows, targets, 5);
  for (const auto& term : {loss::row_terms{.target = 1},
                           {.target = 1, .subset = -0.3},
                           {.target = 1, .subset = 0.2, .entropy = 0.1, .forward_kl = 0.4}}) {
    const std::vector<loss::row_terms> terms(4, term);
    auto expected = clean, z = clean;
    z[static_cast<std::size_t>(vocab) + 20] = to<T>(NAN);
    write_gradient(matrix_view<T>(expected.data(), rows, vocab), targets, terms, e.view);
    write_gradient(matrix_view<T>(z.data(), rows, vocab), targets, terms, e.view);
    for (std::size_t i = 0; i < z.size(); ++i) {
      if (i / static_cast<std::size_t>(vocab) == 1)
        REQUIRE(std::isnan(from(z[i])));
      else
        REQUIRE(from(z[i]) == from(expected[i]));
    }
    write_gradient(matrix_view<T>(z.data(), rows, vocab), nobody, terms, e.view);
    for (const T x : z) REQUIRE(from(x) == 0);
    write_gradient(matrix_view<T>(z.data(), 0, vocab), {}, {}, {{}, {}, 5});
  }
}

TEST_CASE("logits in columns give what logits in rows do") {
  const index_t rows = 5, vocab = 77;
  auto z = random_logits<float>(rows, vocab, 9);
  std::vector<float> turned(z.size());
  for (index_t t = 0; t < rows; ++t)
    for (index_t v = 0; v < vocab; ++v)
      turned[static_cast<std::size_t>(v * rows + t)] = z[static_cast<std::size_t>(t * vocab + v)];
  const matrix_view<float> by_rows(z.data(), rows, vocab), by_columns(turned.data(), rows, vocab, 1, rows);
  const std::vector<std::int32_t> targets = {1, 76, 0, -1, 30};
  const auto run = [&](const matrix_view<float>& logits) {
    extracted e{std::vector<std::int32_t>(20), std::vector<double>(20), std::vector<double>(5), {}};
    top_k_support(logits, targets, 4, {e.ids, e.probability, e.mass});
    std::vector<double> log_p(5), log_mass(5);
    measure(logits, targets, {e.ids, e.probability, 4}, {.log_probability = log_p, .log_mass = log_mass});
    const std::vector<loss::row_terms> terms(5, {.target = 0.5, .subset = 0.25, .entropy = 0.1});
    write_gradient(logits, targets, terms, {e.ids, e.probability, 4});
    return std::pair(e.ids, std::pair(log_p, log_mass));
  };
  CHECK(run(by_rows) == run(by_columns));
  for (index_t t = 0; t < rows; ++t)
    for (index_t v = 0; v < vocab; ++v) REQUIRE(by_rows(t, v) == by_columns(t, v));
}

TEST_CASE("rows and supports that do not fit are refused, and nothing is written") {
  std::vector<double> z = {1, 2, 3, 4, 5, 6}, q(4), mass(2), three(3);
  std::vector<std::int32_t> ids(4, 9);
  const std::vector<std::int32_t> targets = {0, 1}, large = {0, 3};
  const matrix_view<double> view(z.data(), 2, 3);
  CHECK_THROWS_WITH(top_k_support(view, targets, 4, {ids, q}), Catch::Contains("has 4 ids a row, the vocabulary 3"));
  CHECK_THROWS_WITH(top_k_support(view, targets, -1, {ids, q}), Catch::Contains("support"));
  CHECK_THROWS_WITH(top_k_support(view, targets, 3, {ids, q}), Catch::Contains("has 4 ids"));
  CHECK_THROWS_WITH(top_k_support(view, targets, 2, {ids, three}), Catch::Contains("probabilit"));
  CHECK_THROWS_WITH(top_k_support(view, targets, 2, {ids, q, three}), Catch::Contains("mass"));
  CHECK_THROWS_WITH(top_k_support(view, large, 2, {ids, q}), Catch::Contains("label 3 of row 1"));
  CHECK_THROWS_WITH(top_k_support(view, targets, 2, {ids, q}, {.temperature = 0}), Catch::Contains("temperature"));
  CHECK(ids == std::vector<std::int32_t>(4, 9));
  std::vector<double> two(2);
  CHECK_THROWS_WITH(measure(view, targets, {}, {.log_probability = three}), Catch::Contains("log_probability"));
  CHECK_THROWS_WITH(measure(view, targets, {ids, {}, 3}, {.log_mass = two}), Catch::Contains("support"));
  CHECK_THROWS_WITH(measure(view, targets, {ids, {}, 2}, {.reference_likelihood = two}),
                    Catch::Contains("no probabilities"));
  std::vector<loss::row_terms> terms(2);
  terms[1].subset = 1;
  const auto before = z;
  CHECK_THROWS_WITH(write_gradient(view, targets, terms), Catch::Contains("support"));
  CHECK_THROWS_WITH(write_gradient(view, targets, std::span(terms).first(1)), Catch::Contains("terms"));
  const std::vector<loss::row_terms> divergence(2, {.forward_kl = 1});
  CHECK_THROWS_WITH(write_gradient(view, targets, divergence), Catch::Contains("support"));
  CHECK_THROWS_WITH(write_gradient(view, targets, divergence, {ids, q, 3}), Catch::Contains("support"));
  terms[1] = {.forward_kl = 1};
  CHECK_THROWS_WITH(write_gradient(view, targets, terms, {ids, {}, 2}), Catch::Contains("no probabilities"));
  CHECK(z == before);
}
