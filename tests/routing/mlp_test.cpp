// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/mlp.hpp"

#include "hone/core/random.hpp"
#include "hone/core/thread_pool.hpp"
#include "routing/golden/mlp.hpp"
#include "support/catch.hpp"
#include "support/outputs.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

using namespace hone;
using namespace hone::routing;

namespace {

using indices = std::vector<index_t>;
constexpr double infinity = std::numeric_limits<double>::infinity();

std::vector<std::size_t> all_of(std::size_t count) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

template <class A>
struct samples {
  index_t width;
  std::vector<A> x;
  std::vector<double> labels;

  /// Labels that tell whether the first element is larger than the second, in one of twenty wrongly.
  samples(index_t count, index_t d) : width(d) {
    for (index_t i = 0; i < count; ++i) {
      for (index_t j = 0; j < d; ++j)
        x.push_back(static_cast<A>(7 + 3 * philox{21}.normal(static_cast<std::uint64_t>(i * d + j))));
      const bool larger = x[static_cast<std::size_t>(i * d)] > x[static_cast<std::size_t>(i * d + 1)];
      labels.push_back(larger != (i % 20 == 0) ? 1 : 0);
    }
  }
  [[nodiscard]] matrix_view<const A> view() const { return {x.data(), std::ssize(labels), width}; }
};

mlp_loss loss_of(const embedding_mlp<double>& model, const samples<double>& s, const unit_dropout& dropout = {},
                 std::vector<double>* gradient = nullptr, double scale = 1) {
  const auto order = all_of(s.labels.size());
  return measure_mlp(model, s.view(), s.labels, order, dropout,
                     gradient == nullptr ? std::span<double>() : std::span<double>(*gradient), scale);
}

/// The formulas, sample by sample.
double naive_logit(const embedding_mlp<double>& model, const double* x) {
  std::vector<double> below;
  for (std::size_t j = 0; j < model.mean.size(); ++j) below.push_back((x[j] - model.mean[j]) / model.deviation[j]);
  const double* p = model.parameters.data();
  for (std::size_t l = 0; l < model.layers(); ++l) {
    const auto out = static_cast<std::size_t>(model.widths[l + 1]);
    std::vector<double> values(out);
    for (std::size_t o = 0; o < out; ++o) {
      values[o] = p[out * below.size() + o];
      for (std::size_t i = 0; i < below.size(); ++i) values[o] += p[o * below.size() + i] * below[i];
      if (l + 1 < model.layers()) values[o] = std::max(values[o], 0.0);
    }
    p += out * (below.size() + 1);
    below = values;
  }
  return below[0];
}

}  // namespace

TEST_CASE("routing mlp: PyTorch's logits, gradients and steps") {
  namespace golden = golden_mlp;
  const index_t n = std::ssize(golden::labels), d = golden::widths[0];
  const matrix_view<const double> x(golden::embeddings.data(), n, d);
  const indices hidden(golden::widths.begin() + 1, golden::widths.end() - 1);
  embedding_mlp<double> model = initialise_mlp<double>(d, hidden, 1);
  model.parameters = golden::parameters;
  CHECK(fit_normaliser(model, x) == n);
  for (std::size_t j = 0; j < model.mean.size(); ++j) {
    CHECK(model.mean[j] == Approx(golden::mean[j]).epsilon(1e-14).margin(1e-15));
    CHECK(model.deviation[j] == Approx(golden::deviation[j]).epsilon(1e-14));
  }
  std::vector<double> logits(static_cast<std::size_t>(n));
  CHECK(score_mlp(model, x, logits) == 0);
  for (std::size_t i = 0; i < logits.size(); ++i) CHECK(logits[i] == Approx(golden::logits[i]).epsilon(1e-12));
  const auto order = all_of(golden::labels.size());
  const double mean = 1 / static_cast<double>(n);
  std::vector<double> gradient(model.parameters.size()), m(gradient), v(gradient);
  const auto measure = [&] {
    gradient.assign(gradient.size(), 0);
    return mean * measure_mlp(model, x, golden::labels, order, {}, std::span(gradient), mean).sum;
  };
  measure();
  for (std::size_t i = 0; i < gradient.size(); ++i)
    CHECK(gradient[i] == Approx(golden::gradient[i]).epsilon(1e-11).margin(1e-14));
  for (std::size_t step = 0; step < golden::losses.size(); ++step) {
    CHECK(measure() == Approx(golden::losses[step]).epsilon(1e-11));
    gradient::descend(std::span(model.parameters), std::span(m), std::span(v), std::span<const double>(gradient),
                      static_cast<index_t>(step + 1), {.rate = 0.05});
  }
  for (std::size_t i = 0; i < gradient.size(); ++i)
    CHECK(model.parameters[i] == Approx(golden::trained[i]).epsilon(1e-8).margin(1e-9));
}

TEST_CASE("routing mlp: logits by the formulas") {
  for (const indices& hidden : {indices{}, {1}, {33}, {40, 7}}) {
    const samples<double> s(300, 5);
    embedding_mlp<double> model = initialise_mlp<double>(5, hidden, 3);
    CHECK(std::ssize(model.widths) == std::ssize(hidden) + 2);
    fit_normaliser(model, s.view());
    std::vector<double> logits(300), again(300);
    CHECK(score_mlp(model, s.view(), logits) == 0);
    for (std::size_t i = 0; i < 300; ++i)
      CHECK(logits[i] == Approx(naive_logit(model, &s.x[5 * i])).epsilon(1e-12).margin(1e-13));
    thread_pool pool(3);
    CHECK(score_mlp(model, s.view(), again, pool) == 0);
    CHECK(again == logits);
    // Scale and shift of an embedding's elements are the normaliser's business.
    samples<double> moved = s;
    for (double& value : moved.x) value = 4 * value - 3;
    fit_normaliser(model, moved.view());
    score_mlp(model, moved.view(), again);
    for (std::size_t i = 0; i < 300; ++i) CHECK(again[i] == Approx(logits[i]).epsilon(1e-10).margin(1e-11));
  }
}

TEST_CASE("routing mlp: gradients by differences, with dropout and soft labels") {
  samples<double> s(13, 4);
  s.labels[3] = 0.3;
  for (const double share : {0.0, 0.4}) {
    embedding_mlp<double> model = initialise_mlp<double>(4, indices{35, 6}, 5);
    fit_normaliser(model, s.view());
    const unit_dropout dropout{share, {9}, 2};
    std::vector<double> gradient(model.parameters.size(), -0.5);
    const double sum = loss_of(model, s, dropout, &gradient, 2).sum;
    CHECK(sum == loss_of(model, s, dropout).sum);
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      const double own = model.parameters[i], step = 1e-6;
      model.parameters[i] = own + step;
      const double above = loss_of(model, s, dropout).sum;
      model.parameters[i] = own - step;
      const double below = loss_of(model, s, dropout).sum;
      model.parameters[i] = own;
      CHECK(gradient[i] + 0.5 == Approx(2 * (above - below) / (2 * step)).epsilon(1e-5).margin(1e-7));
    }
  }
}

TEST_CASE("routing mlp: dropout drops its share and keeps the mean") {
  // One layer of ones: the logit is the sum of what stays, over 1 - p.
  const index_t units = 500;
  embedding_mlp<double> model = initialise_mlp<double>(1, indices{units}, 1);
  std::fill(model.parameters.begin(), model.parameters.end(), 0.0);
  for (index_t u = 0; u < units; ++u) {
    model.parameters[static_cast<std::size_t>(units + u)] = 1;
    model.parameters[static_cast<std::size_t>(2 * units + u)] = 1.0 / units;
  }
  samples<double> s(400, 1);
  std::fill(s.labels.begin(), s.labels.end(), 0.0);
  double mean = 0, squares = 0;
  for (std::size_t i = 0; i < 400; ++i) {
    const double loss =
        measure_mlp(model, s.view(), s.labels, std::vector<std::size_t>{i}, {0.1, {3}, 7}, std::span<double>(), 1).sum;
    const double logit = std::log(std::expm1(loss));
    mean += logit / 400;
    squares += logit * logit / 400;
  }
  // Of 500 units each stays with 0.9: mean 1, variance 0.1 / 0.9 / 500.
  CHECK(mean == Approx(1).margin(4 * std::sqrt(0.1 / 0.9 / 500 / 400)));
  CHECK(squares - mean * mean == Approx(0.1 / 0.9 / 500).epsilon(0.3));
}

TEST_CASE("routing mlp: losses do not depend on the cut, nor on executors") {
  const samples<double> s(90, 20);
  embedding_mlp<double> model = initialise_mlp<double>(20, indices{70, 40}, 5);
  const unit_dropout dropout{0.1, {9}, 1};
  const auto order = all_of(90);
  std::vector<double> gradient(model.parameters.size()), pooled(gradient), parts(gradient);
  const double whole = measure_mlp(model, s.view(), s.labels, order, dropout, std::span(gradient), 1).sum;
  thread_pool pool(3);
  CHECK(measure_mlp(model, s.view(), s.labels, order, dropout, std::span(pooled), 1, pool).sum == whole);
  CHECK(pooled == gradient);
  double sum = 0;
  for (const auto& [begin, count] : {std::pair{0u, 50u}, {50u, 40u}})
    sum += measure_mlp(model, s.view(), s.labels, std::span<const std::size_t>(order).subspan(begin, count), dropout,
                       std::span(parts), 1)
               .sum;
  CHECK(sum == Approx(whole).epsilon(1e-13));
  for (std::size_t i = 0; i < parts.size(); ++i) CHECK(parts[i] == Approx(gradient[i]).epsilon(1e-10).margin(1e-11));
}

TEST_CASE("routing mlp: learns; test is as training; the same bits again") {
  const samples<float> known(600, 6);
  const mlp_options options{.hidden = {32, 8}, .rate = 3e-3, .epochs = 15};
  std::vector<double> logits(known.labels.size());
  const auto trained = routing::train_mlp(known.view(), known.labels, options);
  routing::score_mlp(trained.model, known.view(), logits);  // normalised as in training
  int right = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) right += (logits[i] > 0) == (known.labels[i] > 0.5);
  CHECK(right > 540);
  CHECK(trained.losses.size() == 15);
  CHECK(trained.losses.back() < 0.6 * trained.losses.front());
  CHECK(trained.invalid == 0);
  thread_pool pool(3);
  const auto again = train_mlp(known.view(), known.labels, options, pool);
  CHECK(again.model.parameters == trained.model.parameters);
  CHECK(again.losses == trained.losses);
  auto other = options;
  other.seed = 1;
  CHECK(train_mlp(known.view(), known.labels, other).losses != trained.losses);
}

TEST_CASE("routing mlp: embeddings of 16 bits and by columns are those of their values") {
  const samples<float> s(70, 6);
  std::vector<bfloat16> narrow(s.x.size());
  std::vector<float> wide(s.x.size());
  for (std::size_t i = 0; i < 70; ++i)
    for (std::size_t j = 0; j < 6; ++j) {
      narrow[j * 70 + i] = bfloat16(s.x[i * 6 + j]);
      wide[i * 6 + j] = narrow[j * 70 + i];
    }
  const matrix_view<const bfloat16> columns(narrow.data(), 70, 6, 1, 70);
  const matrix_view<const float> rows(wide.data(), 70, 6);
  const mlp_options options{.hidden = {9}, .epochs = 2};
  const auto trained = train_mlp(columns, s.labels, options);
  CHECK(trained.model.parameters == train_mlp(rows, s.labels, options).model.parameters);
  std::vector<double> logits(70), again(70);
  score_mlp(trained.model, columns, logits);
  score_mlp(trained.model, rows, again);
  CHECK(logits == again);
}

TEST_CASE("routing mlp: samples left out, one class, constant elements, nothing") {
  samples<float> s(64, 3);
  const mlp_options options{.hidden = {8}, .rate = 0.01, .epochs = 40};
  s.x[3 * 5 + 1] = std::nanf("");
  s.x[3 * 9] = std::numeric_limits<float>::infinity();
  s.labels[11] = std::nan("");
  s.labels[12] = 1.5;
  const auto trained = train_mlp(s.view(), s.labels, options);
  CHECK(trained.invalid == 4);
  CHECK(std::isfinite(trained.losses.back()));
  std::vector<double> logits(64);
  CHECK(score_mlp(trained.model, s.view(), logits) == 2);
  CHECK(std::isnan(logits[5]));
  CHECK(std::isnan(logits[9]));
  const samples<float> one(64, 3);
  const auto sure = train_mlp(one.view(), std::vector<double>(64, 1.0), options);
  CHECK(score_mlp(sure.model, one.view(), logits) == 0);
  for (const double logit : logits) CHECK(logit > 1);
  const std::vector<float> equal(64 * 3, 2.0f);
  const auto constant = train_mlp(matrix_view<const float>(equal.data(), 64, 3), s.labels, options);
  for (const float deviation : constant.model.deviation) CHECK(deviation == 1e-6f);
  CHECK(std::isfinite(constant.losses.back()));
  const auto none = train_mlp(matrix_view<const float>(equal.data(), 0, 3), std::vector<double>{}, options);
  CHECK(none.losses.empty());
  CHECK(none.model.parameters == initialise_mlp<float>(3, options.hidden, options.seed).parameters);
  const auto broken =
      train_mlp(matrix_view<const float>(equal.data(), 2, 3), std::vector<double>{infinity, -1}, options);
  CHECK(broken.invalid == 2);
  CHECK(broken.losses.empty());
}

TEST_CASE("routing mlp: what is left out moves neither mean nor deviation") {
  samples<float> s(24, 3);
  const mlp_options options{.hidden = {4}, .batch = 8, .epochs = 3};
  const matrix_view<const float> without(s.x.data(), 20, 3);
  const auto wanted = train_mlp(without, std::span<const double>(s.labels).first(20), options);
  for (std::size_t i = 20; i < 24; ++i) {
    s.labels[i] = i % 2 == 0 ? std::nan("") : 2;
    s.x[3 * i] = 1e6f;
  }
  const auto trained = train_mlp(s.view(), s.labels, options);
  CHECK(trained.invalid == 4);
  CHECK(trained.model.mean == wanted.model.mean);
  CHECK(trained.model.deviation == wanted.model.deviation);
  CHECK(trained.model.parameters == wanted.model.parameters);
  CHECK(trained.losses == wanted.losses);
  auto model = initialise_mlp<float>(3, indices{4}, 1);
  const std::vector<float> nothing(6, std::nanf(""));
  CHECK(fit_normaliser(model, matrix_view<const float>(nothing.data(), 2, 3)) == 0);
  CHECK(model.mean == std::vector<float>(3, 0.0f));
  CHECK(model.deviation == std::vector<float>(3, 1.0f));
}

TEST_CASE("routing mlp: the published settings, and how parameters are drawn at first") {
  const mlp_options options;
  CHECK(options.hidden == indices{256, 64});
  CHECK((options.dropout == 0.1 && options.rate == 1e-4 && options.batch == 32 && options.epochs == 50));
  CHECK(options.seed == 42);
  CHECK(unit_dropout{}.draw == 0);
  CHECK(mlp_loss{}.invalid == 0);
  // Weights and biases uniform in +-1/2 and +-1/10.
  const auto model = initialise_mlp<double>(4, indices{100}, 3), other = initialise_mlp<double>(4, indices{100}, 4);
  REQUIRE(model.parameters.size() == 500 + 101);
  const auto check = [&](std::size_t begin, std::size_t end, double bound) {
    double mean = 0, most = 0;
    for (std::size_t i = begin; i < end; ++i) {
      mean += model.parameters[i] / static_cast<double>(end - begin);
      most = std::max(most, std::abs(model.parameters[i]));
      CHECK(model.parameters[i] != other.parameters[i]);
    }
    CHECK(std::abs(mean) < 0.2 * bound);
    CHECK(most <= bound);
    CHECK(most > 0.9 * bound);
  };
  check(0, 500, 0.5);
  check(500, 601, 0.1);
  CHECK(model.deviation == std::vector<double>(4, 1.0));
}

TEST_CASE("routing mlp: a normaliser by its formula, of rows that are finite; labels of 0 and 1 are kept") {
  auto model = initialise_mlp<double>(2, indices{3}, 1);
  const std::vector<double> x = {1, 10, 3, std::nan(""), 5, 16, 6, 10};
  const matrix_view<const double> rows(x.data(), 4, 2);
  CHECK(fit_normaliser(model, rows) == 3);
  CHECK(model.mean == std::vector<double>{4, 12});
  CHECK(model.deviation[0] == Approx(std::sqrt(7.0)).epsilon(1e-15));
  CHECK(model.deviation[1] == Approx(std::sqrt(12.0)).epsilon(1e-15));
  CHECK(fit_normaliser(model, matrix_view<const double>(x.data(), 2, 2)) == 1);
  CHECK(model.mean == std::vector<double>{1, 10});
  CHECK(model.deviation == std::vector<double>(2, 1e-6));
  CHECK_THROWS_AS(fit_normaliser(model, matrix_view<const double>(x.data(), 2, 4)), std::invalid_argument);
  const std::vector<std::size_t> order = {0, 1, 2, 3};
  const auto count = [&](const std::vector<double>& labels) {
    return measure_mlp(model, rows, labels, order, {}, std::span<double>(), 1);
  };
  CHECK(count({0, 1, 1, 0.5}).count == 3);
  CHECK(count({0, 1, 1, 0.5}).invalid == 1);
  CHECK(count({-1e-9, 1, 1 + 1e-9, 0.5}).count == 1);
  CHECK(count({-1e-9, 1, 1 + 1e-9, 0.5}).invalid == 3);
  CHECK(count({2, 1, -1, std::nan("")}).count == 0);
  CHECK(train_mlp(rows, std::vector<double>{0, 1, 1, 2}, {.hidden = {2}, .epochs = 1}).invalid == 2);
}

TEST_CASE("routing mlp: misuse") {
  const samples<double> s(4, 3);
  const embedding_mlp<double> model = initialise_mlp<double>(3, indices{2}, 1);
  const matrix_view<const double> wide(s.x.data(), 3, 4);
  std::vector<double> gradient(model.parameters.size()), logits(4);
  const auto call = [&](const matrix_view<const double>& x, std::span<const double> labels, std::size_t index,
                        double share, std::span<double> g) {
    measure_mlp(model, x, labels, std::vector<std::size_t>{index}, {share}, g, 1);
  };
  CHECK_THROWS_WITH(call(s.view(), s.labels, 4, 0, {}), "hone::routing::measure_mlp: order: has index 4 of 4");
  CHECK_THROWS_AS(call(s.view(), std::span(s.labels).first(3), 0, 0, {}), std::invalid_argument);
  CHECK_THROWS_AS(call(wide, std::span(s.labels).first(3), 0, 0, {}), std::invalid_argument);
  CHECK_THROWS_AS(call(s.view(), s.labels, 0, 0, std::span(gradient).first(3)), std::invalid_argument);
  for (const double bad : {-0.1, 1.0, std::nan("")})
    CHECK_THROWS_AS(call(s.view(), s.labels, 0, bad, {}), std::invalid_argument);
  check_refuses_spans<double>(gradient.size(), "hone::routing::measure_mlp: gradient: ", [&](std::span<double> out) {
    call(s.view(), s.labels, 0, 0, out);
  });
  check_refuses_spans<double>(
      4, "hone::routing::score_mlp: logits: ", [&](std::span<double> out) { score_mlp(model, s.view(), out); });
  CHECK_THROWS_AS(score_mlp(model, wide, std::span(logits).first(3)), std::invalid_argument);
  CHECK_THROWS_AS(score_mlp(model, s.view(), std::span(logits).first(3)), std::invalid_argument);
  embedding_mlp<double> cut = model;
  cut.parameters.pop_back();
  CHECK_THROWS_WITH(score_mlp(cut, s.view(), logits), Catch::StartsWith("hone::routing::score_mlp: model: has "));
  CHECK_THROWS_AS(score_mlp(embedding_mlp<double>{}, s.view(), logits), std::invalid_argument);
  embedding_mlp<double> two = model;
  two.widths.back() = 2;
  CHECK_THROWS_AS(score_mlp(two, s.view(), logits), std::invalid_argument);
  CHECK_THROWS_AS(initialise_mlp<double>(0, indices{2}, 1), std::invalid_argument);
  embedding_mlp<double> one = model, no_mean = model, no_deviation = model, negative = model;
  one.widths = {1}, one.parameters.clear(), one.mean = one.deviation = {0};
  no_mean.mean.pop_back(), no_deviation.deviation.pop_back();
  negative.widths[1] = 0, negative.parameters.resize(1);
  for (const embedding_mlp<double>& bad : {one, no_mean, no_deviation, negative})
    CHECK_THROWS_WITH(score_mlp(bad, s.view(), logits), Catch::StartsWith("hone::routing::score_mlp: model: has "));
  CHECK_THROWS_WITH(score_mlp(model, matrix_view<const double>(s.x.data(), 4, 2, 3, 1), logits),
                    "hone::routing::score_mlp: embeddings: have 2 elements, expected 3");
  CHECK_THROWS_AS(initialise_mlp<double>(-1, indices{2}, 1), std::invalid_argument);
  CHECK_THROWS_AS(initialise_mlp<double>(3, indices{2, 0}, 1), std::invalid_argument);
  for (const mlp_options& bad :
       {mlp_options{.hidden = {0}}, {.dropout = 1}, {.dropout = -0.1}, {.rate = -1}, {.batch = 0}, {.epochs = -1}})
    CHECK_THROWS_AS(train_mlp(s.view(), s.labels, bad), std::invalid_argument);
  CHECK_THROWS_AS(train_mlp(s.view(), std::span<const double>(s.labels).first(2)), std::invalid_argument);
}
