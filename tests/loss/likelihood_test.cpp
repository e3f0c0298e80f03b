// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/loss/likelihood.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <xtensor/xtensor.hpp>

#include "hone/core/thread_pool.hpp"
#include "hone/interop/eigen.hpp"
#include "hone/interop/xtensor.hpp"
#include "loss/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::loss;

namespace {

const std::vector<std::int32_t> labels = {3, ignored, 0, 36, 12, -1, 7};

template <class T>
matrix_view<T> rows_of(std::vector<T>& z) {
  return {z.data(), static_cast<index_t>(labels.size()), static_cast<index_t>(z.size() / labels.size())};
}

struct family {
  const char* name;
  double (*weight)(double p);  ///< of l = -log p in the loss
};

template <class T>
loss_sum run(int which, const matrix_view<T>& z, const row_options& options = {}) {
  switch (which) {
    case 0: return likelihood(z, labels, options);
    case 1: return gradient_ascent(z, labels, options);
    case 2: return wga(z, labels, 0.5, options);
    default: return satimp(z, labels, {.beta1 = 2, .beta2 = 0.5}, options);
  }
}

const family families[] = {{"likelihood", [](double) { return 1.0; }},
                           {"gradient ascent", [](double) { return -1.0; }},
                           {"wga", [](double p) { return -std::sqrt(p); }},
                           {"satimp", [](double p) { return -p * p * std::sqrt(1 - p); }}};

}  // namespace

TEMPLATE_TEST_CASE("token losses and their gradients are those of the formulas", "", double, float, bfloat16, float16) {
  using T = TestType;
  for (int which = 0; which < 4; ++which) {
    for (const double temperature : {1.0, 2.0}) {
      auto z = random_logits<T>(7, 37, 1);
      const auto before = widened(z);
      const std::vector<double> weights = {1, 5, 2, 0.5, 1, 1, 0};
      const auto total = run(which, rows_of(z), {.scale = 0.25, .weights = weights, .temperature = temperature});
      double expected = 0;
      for (std::size_t t = 0; t < labels.size(); ++t) {
        const std::vector<double> row(before.begin() + static_cast<index_t>(37 * t),
                                      before.begin() + static_cast<index_t>(37 * t + 37));
        std::vector<double> gradient(37, 0.0);
        if (labels[t] >= 0) {
          const double p = naive_softmax(row, temperature)[static_cast<std::size_t>(labels[t])];
          const double weight = weights[t] * families[which].weight(p);
          expected -= weight * std::log(p);
          gradient = naive_row_gradient(row, row, {.target = -0.25 * weight}, temperature, labels[t], {});
        }
        for (std::size_t v = 0; v < 37; ++v)
          REQUIRE(from(z[37 * t + v]) == Approx(gradient[v]).epsilon(rounding<T>).margin(rounding<T>));
      }
      INFO(families[which].name);
      CHECK(total.sum == Approx(expected).epsilon(std::is_same_v<T, double> ? 1e-13 : 1e-5));
      CHECK(total.count == 5);
      CHECK(total.nonfinite == 0);
    }
  }
}

TEST_CASE("likelihood and gradient ascent pass the gradient check; the weights of wga and satimp are constants") {
  for (const double temperature : {1.0, 0.6}) {
    auto z = random_logits<double>(7, 37, 2);
    const auto before = z;
    likelihood(rows_of(z), labels, {.temperature = temperature});
    CHECK(gradient_error(before, z, [&](std::vector<double> x) {
            return likelihood(rows_of(x), labels, {.temperature = temperature}).sum;
          }) < 1e-8);
    auto ascent = before;
    gradient_ascent(rows_of(ascent), labels, {.temperature = temperature});
    for (std::size_t i = 0; i < z.size(); ++i) REQUIRE(ascent[i] == -z[i]);
  }
  // Held weights: wga's gradient is p^beta times that of gradient ascent.
  auto z = random_logits<double>(1, 20, 3), weighted = z;
  const std::vector<std::int32_t> one = {4};
  const double p = naive_softmax(z)[4];
  gradient_ascent(matrix_view<double>(z.data(), 1, 20), one);
  wga(matrix_view<double>(weighted.data(), 1, 20), one, 2);
  for (std::size_t v = 0; v < 20; ++v) CHECK(weighted[v] == Approx(p * p * z[v]).epsilon(1e-12));
}

TEST_CASE("log_likelihood writes a number a row and leaves the logits alone") {
  auto z = random_logits<float>(7, 37, 4);
  const auto before = z;
  std::vector<double> log_p(7, 99);
  const auto total = log_likelihood(rows_of(z), labels, log_p);
  CHECK(z == before);
  double expected = 0;
  for (std::size_t t = 0; t < 7; ++t) {
    const std::vector<float> row(z.begin() + static_cast<index_t>(37 * t),
                                 z.begin() + static_cast<index_t>(37 * t + 37));
    const double value = labels[t] < 0 ? 0 : std::log(naive_softmax(widened(row))[static_cast<std::size_t>(labels[t])]);
    CHECK(log_p[t] == Approx(value).margin(1e-6));
    expected -= value;
  }
  CHECK(total.sum == Approx(expected).epsilon(1e-6));
  CHECK(total.count == 5);
  const std::vector<double> weights = {2, 1, 0.5, 0, 3, 1, 1};
  std::vector<double> again(7, 99);
  const auto weighted = log_likelihood(rows_of(z), labels, again, {.scale = 7, .weights = weights});
  CHECK(again == log_p);
  CHECK(weighted.sum == Approx(-2 * log_p[0] - 0.5 * log_p[2] - 3 * log_p[4] - log_p[6]).epsilon(1e-14));
  CHECK(weighted.count == 5);
  CHECK(likelihood(rows_of(z), labels).sum == total.sum);
}

TEST_CASE("labels of 64 bits are labels, in every loss of the family; one beyond 32 bits is refused") {
  const std::vector<std::int64_t> wide(labels.begin(), labels.end());
  for (int which = 0; which < 4; ++which) {
    auto z = random_logits<float>(7, 37, 11), w = z;
    const auto expected = run(which, rows_of(z));
    const auto of_wide = [&](const matrix_view<float>& rows) {
      switch (which) {
        case 0: return likelihood(rows, wide);
        case 1: return gradient_ascent(rows, std::span<const std::int64_t>(wide));
        case 2: return wga(rows, wide, 0.5);
        default: return satimp(rows, wide, {.beta1 = 2, .beta2 = 0.5});
      }
    };
    CHECK(of_wide(rows_of(w)).sum == expected.sum);
    CHECK(w == z);
  }
  auto z = random_logits<float>(1, 37, 11);
  const auto before = z;
  const std::vector<std::int64_t> beyond = {(std::int64_t{1} << 32) + 3};
  CHECK_THROWS_WITH(likelihood(matrix_view<float>(z.data(), 1, 37), beyond), Catch::Contains("label 4294967299"));
  CHECK(z == before);
}

TEST_CASE("p(y) = 0 and p(y) = 1: limits of the weights, not 0 times infinity") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  const std::vector<std::int32_t> target = {1};
  const auto run_on = [&](std::vector<double> z, auto&& loss) {
    const loss_sum sum = loss(matrix_view<double>(z.data(), 1, 3));
    return std::pair(sum, z);
  };
  const std::vector<double> masked = {0, -inf, 0}, certain = {-inf, 5, -inf};
  for (const double beta : {1e-300, 0.5, 2.0}) {
    const auto [sum, g] = run_on(masked, [&](auto z) { return wga(z, target, beta); });
    CHECK(sum.sum == 0);
    CHECK(sum.nonfinite == 0);
    CHECK(g == std::vector<double>{0, 0, 0});
  }
  const auto [ascent, g] = run_on(masked, [&](auto z) { return wga(z, target, 0); });
  CHECK(ascent.sum == -inf);
  CHECK(ascent.nonfinite == 1);
  CHECK(g == std::vector<double>{-0.5, 1, -0.5});
  CHECK(run_on(masked, [&](auto z) { return gradient_ascent(z, target); }).second == g);
  for (const satimp_options& exponents : {satimp_options{5, 1}, {0.5, 0}, {1, 0.5}}) {
    const auto [sum, slope] = run_on(masked, [&](auto z) { return satimp(z, target, exponents); });
    CHECK(sum.sum == 0);
    CHECK(slope == std::vector<double>{0, 0, 0});
  }
  CHECK(run_on(masked, [&](auto z) { return satimp(z, target, {0, 2}); }).first.sum == -inf);
  for (const satimp_options& exponents : {satimp_options{5, 1}, {0, 0.5}, {0, 0}, {2, 3}}) {
    const auto [sum, slope] = run_on(certain, [&](auto z) { return satimp(z, target, exponents); });
    CHECK(sum.sum == 0);
    CHECK(slope == std::vector<double>{0, 0, 0});
  }
  CHECK(run_on(certain, [&](auto z) { return wga(z, target, 0); }).first.sum == 0);
  // A row that a weight of 0 leaves out.
  const std::vector<double> none = {0};
  CHECK(run_on(masked, [&](auto z) { return likelihood(z, target, {.weights = none}); }).first.sum == 0);
}

TEMPLATE_TEST_CASE("a masked vocabulary: what is left counts, wherever the mask is, for every loss of the family", "",
                   double, float, bfloat16, float16) {
  using T = TestType;
  for (const auto& [first, last] :
       std::vector<std::pair<index_t, index_t>>{{0, 1023}, {0, 1024}, {0, 2047}, {1, 2047}}) {
    const auto all = random_logits<T>(1, 2048, 12);
    auto z = all;
    std::fill(z.begin() + first, z.begin() + last, to<T>(-INFINITY));
    const std::vector<std::int32_t> y = {2047};
    const auto p = naive_softmax(widened(z), 0.7);
    for (int which = 0; which < 4; ++which) {
      auto g = z;
      const matrix_view<T> row(g.data(), 1, 2048);
      const row_options options{.scale = 3, .temperature = 0.7};
      const loss_sum sum = which == 0   ? likelihood(row, y, options)
                           : which == 1 ? gradient_ascent(row, y, options)
                           : which == 2 ? wga(row, y, 0.5, options)
                                        : satimp(row, y, {2, 0.5}, options);
      const double weight = families[which].weight(p[2047]);
      CHECK(sum.sum == Approx(-weight * std::log(p[2047])).epsilon(1e-5));
      CHECK(sum.nonfinite == 0);
      for (std::size_t v = 0; v < 2048; ++v)
        REQUIRE(from(g[v]) == Approx(3 * weight * (p[v] - (v == 2047)) / 0.7).epsilon(rounding<T>).margin(rounding<T>));
    }
    std::vector<double> out(1);
    const matrix_view<const T> row(z.data(), 1, 2048);
    log_likelihood(row, y, out, {.temperature = 0.7});
    CHECK(out[0] == Approx(std::log(p[2047])).epsilon(1e-5));
    // A label that is masked: infinite, and counted.
    CHECK(log_likelihood(row, std::vector<std::int64_t>{first}, out).nonfinite == 1);
    CHECK(out[0] == -INFINITY);
  }
}

TEST_CASE("Eigen of both orders, xtensor and strided memory give the bits of a plain array") {
  auto plain = random_logits<float>(7, 37, 5);
  const auto before = plain;
  Eigen::MatrixXf columns(7, 37);
  Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> rows(7, 37);
  xt::xtensor<float, 2> tensor = xt::zeros<float>({std::size_t{7}, std::size_t{37}});
  std::vector<float> spread(2 * before.size(), -1);
  for (index_t t = 0; t < 7; ++t)
    for (index_t v = 0; v < 37; ++v) {
      const float x = before[static_cast<std::size_t>(37 * t + v)];
      columns(t, v) = rows(t, v) = tensor(t, v) = x;
      spread[static_cast<std::size_t>(2 * (37 * t + v))] = x;
    }
  const matrix_view<float> strided(spread.data(), 7, 37, 74, 2);
  const auto expected = likelihood(rows_of(plain), labels);
  CHECK(likelihood(columns, labels).sum == expected.sum);
  CHECK(likelihood(rows, labels).sum == expected.sum);
  CHECK(likelihood(tensor, labels).sum == expected.sum);
  CHECK(likelihood(strided, labels).sum == expected.sum);
  for (index_t t = 0; t < 7; ++t)
    for (index_t v = 0; v < 37; ++v) {
      const float x = plain[static_cast<std::size_t>(37 * t + v)];
      REQUIRE(columns(t, v) == x);
      REQUIRE(rows(t, v) == x);
      REQUIRE(tensor(t, v) == x);
      REQUIRE(strided(t, v) == x);
    }
}

TEST_CASE("any executor gives the same bits, and cutting the batch changes no gradient") {
  const index_t count = 333, vocab = 65;
  std::vector<std::int32_t> targets;
  for (index_t t = 0; t < count; ++t) targets.push_back(t % 5 == 0 ? ignored : static_cast<std::int32_t>(t % vocab));
  auto z = random_logits<float>(count, vocab, 6);
  const auto before = z;
  const auto expected = likelihood(matrix_view<float>(z.data(), count, vocab), targets);
  for (const int workers : {2, 3, 7}) {
    thread_pool pool(workers);
    auto again = before;
    const auto total = likelihood(matrix_view<float>(again.data(), count, vocab), targets, {}, pool);
    CHECK(total.sum == expected.sum);
    CHECK(total.count == expected.count);
    CHECK(again == z);
  }
  auto cut = before;
  loss_sum parts;
  for (const auto& [begin, end] : {std::pair{0, 100}, {100, 101}, {101, 333}})
    parts +=
        likelihood(matrix_view<float>(cut.data() + begin * vocab, end - begin, vocab),
                   std::span(targets).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)));
  CHECK(cut == z);
  CHECK(parts.sum == Approx(expected.sum).epsilon(1e-14));
  CHECK(parts.count == expected.count);
}

TEST_CASE("IDK tuning is the likelihood of refusals and retain rows, sums and counts together") {
  auto refusals = random_logits<double>(7, 37, 7), retain = random_logits<double>(7, 37, 8);
  std::vector<double> both = refusals;
  both.insert(both.end(), retain.begin(), retain.end());
  std::vector<std::int32_t> targets = labels;
  targets.insert(targets.end(), labels.begin(), labels.end());
  loss_sum parts = likelihood(rows_of(refusals), labels);
  parts += likelihood(rows_of(retain), labels);
  const auto whole = likelihood(matrix_view<double>(both.data(), 14, 37), targets);
  CHECK(parts.mean() == Approx(whole.mean()).epsilon(1e-14));
}

TEST_CASE("non-finite rows are counted, empty and fully ignored batches are nothing") {
  auto z = random_logits<float>(7, 37, 9);
  z[0] = std::numeric_limits<float>::quiet_NaN();
  z[37] = std::numeric_limits<float>::quiet_NaN();  // an ignored row
  const auto total = likelihood(rows_of(z), labels);
  CHECK(total.nonfinite == 1);
  CHECK(std::isnan(total.sum));
  CHECK(z[37] == 0);
  const std::vector<std::int32_t> none(7, ignored);
  CHECK(likelihood(rows_of(z), none).count == 0);
  CHECK(likelihood(rows_of(z), none).sum == 0);
  CHECK(std::all_of(z.begin(), z.end(), [](float x) { return x == 0; }));
  for (const loss_sum& nothing :
       {likelihood(matrix_view<float>(nullptr, 0, 37), {}), gradient_ascent(matrix_view<float>(nullptr, 0, 37), {}),
        wga(matrix_view<float>(nullptr, 0, 0), {}), satimp(matrix_view<float>(nullptr, 0, 37), {})}) {
    CHECK(nothing.count == 0);
    CHECK(nothing.sum == 0);
    CHECK(nothing.nonfinite == 0);
  }
}

TEMPLATE_TEST_CASE("a row of absent ids alone is counted, and its gradient is 0", "", double, float, bfloat16,
                   float16) {
  using T = TestType;
  auto z = random_logits<T>(7, 37, 13);
  std::fill_n(z.begin(), 37, to<T>(-INFINITY));
  for (int which = 0; which < 4; ++which) {
    auto g = z;
    const auto total = run(which, rows_of(g), {.temperature = 0.5});
    CHECK(total.nonfinite == 1);
    CHECK(total.count == 5);
    CHECK(std::isnan(total.sum));
    for (std::size_t v = 0; v < 37; ++v) REQUIRE(from(g[v]) == 0);
    for (const T x : g) REQUIRE(std::isfinite(from(x)));
  }
}

TEST_CASE("what does not fit is refused before anything is written") {
  auto z = random_logits<float>(7, 37, 10);
  const auto before = z;
  const auto rows = rows_of(z);
  const std::vector<std::int32_t> few = {1, 2}, high = {0, 1, 2, 37, 3, 4, 5};
  const std::vector<double> weights = {1, 2};
  CHECK_THROWS_WITH(likelihood(rows, few), Catch::Contains("targets") && Catch::Contains("2 labels"));
  CHECK_THROWS_WITH(likelihood(rows, high), Catch::Contains("label 37 of row 3"));
  CHECK_THROWS_WITH(likelihood(rows, {}), Catch::Contains("targets"));
  CHECK_THROWS_WITH(likelihood(rows, labels, {.weights = weights}), Catch::Contains("weights"));
  for (const double bad : {0.0, -1.0, std::nan(""), double{INFINITY}})
    CHECK_THROWS_WITH(likelihood(rows, labels, {.temperature = bad}), Catch::Contains("temperature"));
  CHECK_THROWS_WITH(likelihood(rows, labels, {.scale = std::nan("")}), Catch::Contains("scale"));
  CHECK_THROWS_WITH(wga(rows, labels, -1), Catch::Contains("beta"));
  CHECK_THROWS_WITH(satimp(rows, labels, {.beta2 = std::nan("")}), Catch::Contains("exponents"));
  std::vector<double> out(3);
  CHECK_THROWS_WITH(log_likelihood(rows, labels, out), Catch::Contains("out"));
  std::vector<double> seven(7, 5);
  CHECK_THROWS_WITH(log_likelihood(rows, high, seven), Catch::StartsWith("hone::loss::log_likelihood: targets"));
  CHECK_THROWS_WITH(log_likelihood(rows, labels, seven, {.temperature = 0}), Catch::Contains("temperature"));
  CHECK(seven == std::vector<double>(7, 5));
  for (const double bad : {-1e-9, 1e300, double(INFINITY), double(NAN)}) {
    CHECK_THROWS_WITH(wga(rows, labels, bad), Catch::StartsWith("hone::loss::wga: beta: must be finite"));
    CHECK_THROWS_WITH(satimp(rows, labels, {.beta1 = bad}), Catch::StartsWith("hone::loss::satimp: exponents"));
    CHECK_THROWS_WITH(satimp(rows, labels, {.beta2 = bad}), Catch::StartsWith("hone::loss::satimp: exponents"));
  }
  CHECK(z == before);
}

TEST_CASE("exponents that nobody sets are 1, and 5 and 1; 0 makes them ascent") {
  const auto before = random_logits<double>(7, 37, 9);
  const auto run = [&](auto&& f) {
    auto z = before;
    const double sum = f(rows_of(z)).sum;
    return std::pair(sum, z);
  };
  CHECK(run([](const auto& z) { return wga(z, labels); }) == run([](const auto& z) { return wga(z, labels, 1); }));
  CHECK(run([](const auto& z) { return satimp(z, labels); }) ==
        run([](const auto& z) { return satimp(z, labels, {.beta1 = 5, .beta2 = 1}); }));
  const auto ascent = run([](const auto& z) { return gradient_ascent(z, labels); });
  CHECK(run([](const auto& z) { return wga(z, labels, 0); }) == ascent);
  CHECK(run([](const auto& z) { return satimp(z, labels, {.beta1 = 0, .beta2 = 0}); }) == ascent);
}
