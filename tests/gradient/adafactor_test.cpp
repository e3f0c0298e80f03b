// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/adafactor.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/gradient/upgrad.hpp"

#include "gradient/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::gradient;

namespace {
struct naive_adafactor {
  std::size_t rows, cols;
  std::vector<double> p, r = std::vector<double>(rows), c = std::vector<double>(cols);

  double step(const std::vector<double>& g, int t, const adafactor_options& o) {
    const double b = 1 - std::pow(t, -o.decay_exponent), n = static_cast<double>(rows * cols);
    double mean = 0, square = 0, update = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      double sum = 0;
      for (std::size_t j = 0; j < cols; ++j) sum += g[i * cols + j] * g[i * cols + j] + o.epsilon1;
      r[i] = b * r[i] + (1 - b) * sum / static_cast<double>(cols);
      mean += r[i] / static_cast<double>(rows);
    }
    for (std::size_t j = 0; j < cols; ++j) {
      double sum = 0;
      for (std::size_t i = 0; i < rows; ++i) sum += g[i * cols + j] * g[i * cols + j] + o.epsilon1;
      c[j] = b * c[j] + (1 - b) * sum / static_cast<double>(rows);
    }
    std::vector<double> u(g.size());
    for (std::size_t e = 0; e < u.size(); ++e) {
      u[e] = g[e] / std::sqrt(r[e / cols] * c[e % cols] / mean);
      update += u[e] * u[e] / n;
      square += p[e] * p[e] / n;
    }
    const double rate = o.learning_rate > 0 ? o.learning_rate : (std::min)(.01, 1 / std::sqrt(t));
    const double a = rate * (o.scale_by_parameter ? (std::max)(o.epsilon2, std::sqrt(square)) : 1);
    const double clip = o.clip_threshold > 0 ? (std::max)(1.0, std::sqrt(update) / o.clip_threshold) : 1;
    for (std::size_t e = 0; e < u.size(); ++e) p[e] -= a / clip * u[e] + a * o.weight_decay * p[e];
    return std::sqrt(update);
  }
};
}  // namespace

TEMPLATE_TEST_CASE("five steps against a naive Adafactor, of matrices wide, tall, of one row and one column", "",
                   double, float) {
  using T = TestType;
  for (const auto& [rows, cols] :
       {std::pair<std::size_t, std::size_t>{3, 5001}, {700, 13}, {1, 6000}, {500, 1}, {37, 64}})
    for (const adafactor_options& o :
         {adafactor_options{},
          adafactor_options{.learning_rate = .05, .clip_threshold = 0, .scale_by_parameter = false},
          adafactor_options{.learning_rate = .05, .clip_threshold = .5, .weight_decay = .1}}) {
      const auto n = static_cast<index_t>(rows * cols);
      naive_adafactor naive{.rows = rows, .cols = cols, .p = normals<double>(n, 9)};
      std::vector<T> p = narrowed<T>(naive.p), r(rows), c(cols);
      const matrix_view<T> matrix(p.data(), static_cast<index_t>(rows), static_cast<index_t>(cols));
      for (int t = 1; t <= 5; ++t) {
        const auto wide = normals<double>(n, static_cast<std::uint32_t>(t));
        const auto g = narrowed<T>(wide);
        const auto report = adafactor(
            matrix, r, c, t,
            [&](index_t begin, index_t count, auto&& sink) {
              weighted_sum(std::array{1.0}, tasks(g).slice(begin, count), sink);
            },
            o);
        const double rms = naive.step(wide, t, o);
        CHECK(report.update_rms == Approx(o.clip_threshold > 0 ? rms : 0).epsilon(1e-5));
      }
      CHECK(near<T>(p, naive.p));
      for (std::size_t i = 0; i < rows; ++i) REQUIRE(static_cast<double>(r[i]) == Approx(naive.r[i]).epsilon(1e-5));
      for (std::size_t j = 0; j < cols; ++j) REQUIRE(static_cast<double>(c[j]) == Approx(naive.c[j]).epsilon(1e-5));
    }
}

TEST_CASE("after a combination Adafactor gives the same bits on any executor") {
  thread_pool two(2), seven(7);
  const family<float, 3> f(50 * 321, 4, 1);
  const auto g = f.tasks();
  const auto w = upgrad<3>{}.weights(gram(g));
  std::vector<float> start = normals<float>(50 * 321, 8), expected;
  const auto run = [&](auto&& pool) {
    std::vector<float> p = start, r(50), c(321);
    for (index_t t = 1; t <= 2; ++t)
      adafactor(
          matrix_view<float>(p.data(), 50, 321), r, c, t,
          [&](index_t begin, index_t count, auto&& sink) { weighted_sum(w, g.slice(begin, count), sink); }, {}, pool);
    return p;
  };
  expected = run(serial{});
  CHECK(run(two) == expected);
  CHECK(run(seven) == expected);
}

TEST_CASE("a first step moves every parameter of a vector alike; zero gradients move none; nothing is no failure") {
  std::vector<double> p = {1, -2, 3}, r(1), c(3), g = {5, -1e-6, 100};
  const auto pass = [&](index_t begin, index_t count, auto&& sink) {
    weighted_sum(std::array{1.0}, tasks(g).slice(begin, count), sink);
  };
  const adafactor_options options{.learning_rate = .1, .scale_by_parameter = false};
  adafactor(matrix_view<double>(p.data(), 1, 3), r, c, 1, pass, options);
  CHECK(p[0] == Approx(.9));
  CHECK(p[1] == Approx(-1.9));
  CHECK(p[2] == Approx(2.9));
  g = {0, 0, 0};
  const auto before = p;
  adafactor(matrix_view<double>(p.data(), 1, 3), r, c, 2, pass, options);
  CHECK(p == before);
  std::vector<double> none;
  CHECK(adafactor(matrix_view<double>(p.data(), 0, 3), none, c, 1, pass).step_size == 0);
}

TEST_CASE("the report has the step that was taken, by the parameters' size where asked for, clipped or not") {
  for (const bool by_size : {false, true})
    for (const double clip : {0.0, 0.25}) {
      CAPTURE(by_size, clip);
      std::vector<double> p = {3, -4, 0}, r(1), c(3), g = {5, -1, 100};
      const auto pass = [&](index_t begin, index_t count, auto&& sink) {
        weighted_sum(std::array{1.0}, tasks(g).slice(begin, count), sink);
      };
      const auto report = adafactor(matrix_view<double>(p.data(), 1, 3), r, c, 1, pass,
                                    {.learning_rate = .1, .clip_threshold = clip, .scale_by_parameter = by_size});
      const double expected = .1 * (by_size ? std::sqrt(25.0 / 3) : 1) * (clip > 0 ? clip : 1);
      CHECK(report.step_size == Approx(expected));
      CHECK(3 - p[0] == Approx(expected));  // the first update is 1 everywhere
    }
}

TEST_CASE("rows and columns without a gradient, and parameters of zero, take finite steps from the first on") {
  for (const bool column : {false, true}) {
    naive_adafactor naive{.rows = 3, .cols = 4, .p = std::vector<double>(12)};
    std::vector<float> p(12), r(3), c(4);
    std::vector<double> wide = {1, -2, 3, -4, 5, 6, -7, 8, 9, 1, 2, 3};
    for (std::size_t i = 0; i < 12; ++i)
      if (column ? i % 4 == 2 : i / 4 == 1) wide[i] = 0;
    const auto g = narrowed<float>(wide);
    for (int t = 1; t <= 3; ++t) {
      const auto report =
          adafactor(matrix_view<float>(p.data(), 3, 4), r, c, t, [&](index_t begin, index_t count, auto&& sink) {
            weighted_sum(std::array{1.0}, tasks(g).slice(begin, count), sink);
          });
      const double rms = naive.step(wide, t, {});
      CHECK(report.update_rms == Approx(rms).epsilon(1e-5));
      // At parameters of zero the step is epsilon2 of the rate, not none.
      if (t == 1) CHECK(report.step_size == Approx(.01 * 1e-3 / (std::max)(1.0, rms)).epsilon(1e-5));
    }
    CHECK(near<float>(p, naive.p));
    CHECK(p[0] != 0);
  }
}

TEST_CASE("Adafactor refuses sizes, step numbers and options out of range") {
  std::vector<double> p(6), r(2), c(3), g(6);
  const matrix_view<double> matrix(p.data(), 2, 3);
  const auto pass = [&](index_t, index_t, auto&&) {};
  CHECK_THROWS_WITH(adafactor(matrix, c, c, 1, pass), "hone::gradient::adafactor: row: has 3 elements, p has 2 rows");
  const std::string name = "hone::gradient::adafactor: ";
  CHECK_THROWS_WITH(adafactor(matrix, r, r, 1, pass), name + "col: has 2 elements, p has 3 columns");
  CHECK_THROWS_WITH(adafactor(matrix, r, c, 0, pass), name + "t: steps are counted from 1, is 0");
  const auto refuses = [&](const adafactor_options& options, const std::string& option) {
    CHECK_THROWS_WITH(adafactor(matrix, r, c, 1, pass, options), Catch::StartsWith(name + option + ": must be"));
  };
  for (const double bad : {-1e-9, 1e300, double(INFINITY), double(NAN)}) {
    refuses({.learning_rate = bad}, "learning_rate");
    refuses({.decay_exponent = bad}, "decay_exponent");
    refuses({.epsilon1 = bad}, "epsilon1");
    refuses({.epsilon2 = bad}, "epsilon2");
    refuses({.clip_threshold = bad}, "clip_threshold");
    refuses({.weight_decay = bad}, "weight_decay");
  }
  refuses({.epsilon1 = 0}, "epsilon1");
  std::vector<float> narrow(6), row(2), col(3);
  CHECK_THROWS_WITH(adafactor(matrix_view<float>(narrow.data(), 2, 3), row, col, 1, pass, {.epsilon1 = 1e-60}),
                    Catch::StartsWith(name + "epsilon1"));
  CHECK_NOTHROW(adafactor(matrix, r, c, 1, pass,
                          {.learning_rate = 0,
                           .decay_exponent = 0,
                           .epsilon1 = 1e-300,
                           .epsilon2 = 0,
                           .clip_threshold = 0,
                           .weight_decay = 0}));
  CHECK_THROWS_WITH(adafactor(matrix, r, std::span(p).first(3), 1, pass), name + "col: lies in the memory of p");
}
