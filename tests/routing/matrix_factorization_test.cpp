// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/matrix_factorization.hpp"

#include "hone/core/random.hpp"
#include "hone/core/thread_pool.hpp"
#include "routing/golden/factorization.hpp"
#include "support/catch.hpp"
#include "support/outputs.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

using namespace hone;
using namespace hone::routing;

namespace {

using model_type = matrix_factorization<double>;

std::vector<double> normals(std::size_t count, std::uint32_t stream) {
  std::vector<double> x;
  for (std::size_t i = 0; i < count; ++i) x.push_back(philox{1, stream}.normal(i));
  return x;
}

/// delta(m, e) from its formula.
double delta(const model_type& model, index_t m, const double* e) {
  const auto r = static_cast<std::size_t>(model.rank), d = static_cast<std::size_t>(model.width);
  const double* p = model.factors() + m * model.rank;
  double squares = 0, sum = 0;
  for (std::size_t f = 0; f < r; ++f) squares += p[f] * p[f];
  for (std::size_t f = 0; f < r; ++f) {
    double projected = 0;
    for (std::size_t j = 0; j < d; ++j) projected += model.projection()[f * d + j] * e[j];
    sum += model.classifier()[f] * p[f] / std::sqrt(squares) * projected;
  }
  return sum;
}

std::vector<std::size_t> all_of(std::size_t count) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

std::vector<comparison> draw_comparisons(index_t count, index_t models, index_t prompts) {
  std::vector<comparison> all;
  for (index_t i = 0; i < count; ++i) {
    const index_t won = (i * 7) % models;
    all.push_back({won, (won + 1 + i % (models - 1)) % models, (i * 5) % prompts});
  }
  return all;
}

comparison_loss loss_of(const model_type& model, const std::vector<double>& x, std::span<const comparison> all,
                        std::vector<double>* gradient = nullptr, double scale = 1, const embedding_noise& noise = {}) {
  const auto order = all_of(all.size());
  return measure_factorization(model, matrix_view<const double>(x.data(), std::ssize(x) / model.width, model.width),
                               all, order, noise,
                               gradient == nullptr ? std::span<double>() : std::span<double>(*gradient), scale);
}

}  // namespace

TEST_CASE("routing matrix_factorization: the specification's value") {
  const model_type model{2, 2, 3, {3, 4, 1, 0, 0.5, -1, 0.25, 1, 0.5, -0.5, 1.5, -0.5}};
  const std::vector<double> e = {0.2, 0.4, -0.1};
  CHECK(delta(model, 0, e.data()) == Approx(-0.4725).epsilon(1e-14));
  CHECK(delta(model, 1, e.data()) == Approx(-0.4875).epsilon(1e-14));
  const std::vector<double> direction = pair_direction(model, 0, 1);
  std::vector<double> score(1);
  CHECK(score_pairs(matrix_view<const double>(e.data(), 1, 3), direction, score) == 0);
  CHECK(score[0] == Approx(0.5037499297).margin(5e-11));
  const std::vector<comparison> one = {{0, 1, 0}};
  CHECK(loss_of(model, e, one).sum == Approx(-std::log(score[0])).epsilon(1e-14));
}

TEST_CASE("routing matrix_factorization: factors shorter than the least length are divided by a constant") {
  model_type model{2, 2, 3, {3e-13, 4e-13, 1e-13, 2e-13, 0.5, -1, 0.25, 1, 0.5, -0.5, 1.5, -0.5}};
  const std::vector<double> e = {0.2, 0.4, -0.1};
  const std::vector<comparison> one = {{0, 1, 0}};
  std::vector<double> gradient(model.parameters.size());
  loss_of(model, e, one, &gradient);
  for (std::size_t i = 0; i < 4; ++i) {
    const double step = 1e-15, p = model.parameters[i];
    model.parameters[i] = p + step;
    const double above = loss_of(model, e, one).sum;
    model.parameters[i] = p - step;
    const double below = loss_of(model, e, one).sum;
    model.parameters[i] = p;
    CHECK(gradient[i] == Approx((above - below) / (2 * step)).epsilon(1e-6));
  }
}

TEST_CASE("routing matrix_factorization: RouteLLM's losses, gradients and steps") {
  namespace golden = golden_factorization;
  model_type model{golden::models, golden::rank, golden::width, golden::parameters};
  std::vector<comparison> all;
  for (std::size_t i = 0; i < golden::won.size(); ++i)
    all.push_back({golden::won[i], golden::lost[i], golden::prompt[i]});
  const double mean = 1 / static_cast<double>(all.size());
  std::vector<double> gradient(model.parameters.size()), m(gradient), v(gradient);
  loss_of(model, golden::embeddings, all, &gradient, mean);
  for (std::size_t i = 0; i < gradient.size(); ++i)
    CHECK(gradient[i] == Approx(golden::gradient[i]).epsilon(1e-12).margin(1e-14));
  for (std::size_t step = 0; step < golden::losses.size(); ++step) {
    for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] = 0.01 * model.parameters[i];
    CHECK(loss_of(model, golden::embeddings, all, &gradient, mean).sum * mean ==
          Approx(golden::losses[step]).epsilon(1e-12));
    gradient::descend(std::span(model.parameters), std::span(m), std::span(v), std::span<const double>(gradient),
                      static_cast<index_t>(step + 1), {.rate = 0.05});
  }
  for (std::size_t i = 0; i < gradient.size(); ++i)
    CHECK(model.parameters[i] == Approx(golden::trained[i]).epsilon(1e-9));
}

TEST_CASE("routing matrix_factorization: gradients by differences, with noise") {
  for (const auto& [models, rank, width] : {std::tuple<index_t, index_t, index_t>{2, 1, 1}, {3, 4, 7}, {5, 33, 6}}) {
    CAPTURE(models, rank, width);
    model_type model = initialise_factorization<double>(models, rank, width, 7);
    const auto x = normals(static_cast<std::size_t>(4 * width), 2);
    const auto all = draw_comparisons(11, models, 4);
    const embedding_noise noise{0.3, {5}, 2};
    std::vector<double> gradient(model.parameters.size(), 0.25);
    const comparison_loss loss = loss_of(model, x, all, &gradient, 0.5, noise);
    CHECK(loss.count == 11);
    CHECK(loss.sum == loss_of(model, x, all, nullptr, 1, noise).sum);
    CHECK(loss.sum != loss_of(model, x, all).sum);
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      const double own = model.parameters[i], step = 1e-5;
      model.parameters[i] = own + step;
      const double above = loss_of(model, x, all, nullptr, 1, noise).sum;
      model.parameters[i] = own - step;
      const double below = loss_of(model, x, all, nullptr, 1, noise).sum;
      model.parameters[i] = own;
      CHECK(gradient[i] - 0.25 == Approx(0.5 * (above - below) / (2 * step)).epsilon(1e-6).margin(1e-8));
    }
  }
}

TEST_CASE("routing matrix_factorization: losses do not depend on the cut, nor on executors") {
  const index_t width = 40;
  const model_type model = initialise_factorization<double>(6, 70, width, 3);
  const auto x = normals(static_cast<std::size_t>(20 * width), 4);
  const matrix_view<const double> embeddings(x.data(), 20, width);
  const auto all = draw_comparisons(50, 6, 20);
  const embedding_noise noise{0.05, {5}, 1};
  const auto order = all_of(50);
  std::vector<double> gradient(model.parameters.size()), pooled(gradient), parts(gradient);
  const comparison_loss whole = measure_factorization(model, embeddings, std::span<const comparison>(all), order, noise,
                                                      std::span(gradient), 1.0);
  thread_pool pool(3);
  CHECK(measure_factorization(model, embeddings, std::span<const comparison>(all), order, noise, std::span(pooled), 1.0,
                              pool)
            .sum == whole.sum);
  CHECK(pooled == gradient);
  double sum = 0;
  for (const auto& [begin, count] : {std::pair{0u, 13u}, {13u, 37u}})
    sum +=
        measure_factorization(model, embeddings, std::span<const comparison>(all),
                              std::span<const std::size_t>(order).subspan(begin, count), noise, std::span(parts), 1.0)
            .sum;
  CHECK(sum == Approx(whole.sum).epsilon(1e-14));
  for (std::size_t i = 0; i < parts.size(); ++i) CHECK(parts[i] == Approx(gradient[i]).epsilon(1e-11).margin(1e-12));
  // The length of a model's factors is none of its scores.
  model_type longer = model;
  for (index_t f = 0; f < 70; ++f) longer.parameters[static_cast<std::size_t>(f)] *= 8;
  CHECK(measure_factorization(longer, embeddings, std::span<const comparison>(all), order, noise, std::span<double>(),
                              1.0)
            .sum == Approx(whole.sum).epsilon(1e-14));
}

TEST_CASE("routing matrix_factorization: learns which model is better at what; the same bits again") {
  // Model 0 wins where the first element is positive, else model 1; model 2 loses.
  const index_t prompts = 200, width = 12;
  std::vector<float> x;
  std::vector<comparison> comparisons;
  for (index_t i = 0; i < prompts; ++i) {
    for (index_t j = 0; j < width; ++j)
      x.push_back(static_cast<float>(philox{11}.normal(static_cast<std::uint64_t>(i * width + j))));
    x[static_cast<std::size_t>(i * width + 1)] = 1;
    const index_t better = x[static_cast<std::size_t>(i * width)] > 0 ? 0 : 1;
    comparisons.push_back({better, 1 - better, i});
    comparisons.push_back({i % 2, 2, i});
  }
  const matrix_view<const float> embeddings(x.data(), prompts, width);
  const factorization_options options{.rank = 8, .rate = 0.01, .epochs = 30};
  std::vector<double> scores(static_cast<std::size_t>(prompts));
  const auto trained = routing::train_factorization(embeddings, comparisons, 3, options);  // of three models
  const auto direction = routing::pair_direction(trained.model, 0, 1);                     // one vector a pair
  routing::score_pairs(embeddings, direction, scores);                                     // that model 0 wins
  CHECK(trained.losses.back() < 0.5 * trained.losses.front());
  int right = 0;
  for (index_t i = 0; i < prompts; ++i)
    right += (scores[static_cast<std::size_t>(i)] > 0.5) == (x[static_cast<std::size_t>(i * width)] > 0);
  CHECK(right > 190);
  score_pairs(embeddings, pair_direction(trained.model, 0, 2), scores);
  CHECK(std::count_if(scores.begin(), scores.end(), [](double s) { return s > 0.5; }) > 190);
  thread_pool pool(3);
  const auto again = train_factorization(embeddings, comparisons, 3, options, pool);
  CHECK(again.model.parameters == trained.model.parameters);
  CHECK(again.losses == trained.losses);
  auto other = options;
  other.seed = 43;
  CHECK(train_factorization(embeddings, comparisons, 3, other).losses != trained.losses);
  // A prompt that is not finite is as if it had not been compared.
  std::vector<float> broken = x;
  broken[3] = std::nanf("");
  const auto counted =
      train_factorization(matrix_view<const float>(broken.data(), prompts, width), comparisons, 3, options);
  const auto without = train_factorization(embeddings, std::span<const comparison>(comparisons).subspan(2), 3, options);
  CHECK(counted.nonfinite == 2);
  CHECK(counted.model.parameters == without.model.parameters);
}

TEST_CASE("routing matrix_factorization: l2 alone moves a model that is not compared, towards 0 by Adam's first step") {
  const auto x = normals(4 * 6, 5);
  const std::vector<comparison> comparisons = {{0, 1, 0}, {1, 0, 1}, {0, 1, 2}, {0, 1, 3}};
  factorization_options options{.rank = 5, .noise = 0, .rate = 0.01, .l2 = 1, .batch = 4, .epochs = 1};
  const matrix_view<const double> embeddings(x.data(), 4, 6);
  const model_type start = initialise_factorization<double>(3, 5, 6, options.seed);
  const model_type moved = train_factorization(embeddings, comparisons, 3, options).model;
  options.l2 = 0;
  const model_type still = train_factorization(embeddings, comparisons, 3, options).model;
  for (std::size_t i = 10; i < 15; ++i) {
    CHECK(start.parameters[i] - moved.parameters[i] == Approx(std::copysign(0.01, start.parameters[i])).epsilon(1e-5));
    CHECK(still.parameters[i] == start.parameters[i]);
  }
}

TEST_CASE("routing matrix_factorization: embeddings of 16 bits and by columns are those of their values") {
  const auto x = normals(20 * 6, 3);
  std::vector<bfloat16> narrow(x.size());
  std::vector<float> wide(x.size());
  for (std::size_t i = 0; i < 20; ++i)
    for (std::size_t j = 0; j < 6; ++j) {
      narrow[j * 20 + i] = bfloat16(static_cast<float>(x[i * 6 + j]));
      wide[i * 6 + j] = narrow[j * 20 + i];
    }
  const matrix_view<const bfloat16> columns(narrow.data(), 20, 6, 1, 20);
  const matrix_view<const float> rows(wide.data(), 20, 6);
  const auto comparisons = draw_comparisons(40, 3, 20);
  const factorization_options options{.rank = 5, .epochs = 2};
  const auto trained = train_factorization(columns, comparisons, 3, options);
  CHECK(trained.model.parameters == train_factorization(rows, comparisons, 3, options).model.parameters);
  std::vector<double> scores(20), again(20);
  const auto direction = pair_direction(trained.model, 0, 2);
  score_pairs(columns, direction, scores);
  score_pairs(rows, direction, again);
  CHECK(scores == again);
}

TEST_CASE("routing matrix_factorization: nothing to learn, zero factors, broken embeddings") {
  const std::vector<double> x = {1, 2, std::nan(""), 1, 0, 0};
  const matrix_view<const double> embeddings(x.data(), 3, 2);
  const std::vector<comparison> broken = {{0, 1, 1}}, none;
  const auto start = initialise_factorization<double>(2, 3, 2, 42);
  const factorization_options options{.rank = 3, .epochs = 2};
  for (const auto& comparisons : {broken, none}) {
    const auto trained = train_factorization(embeddings, comparisons, 2, options);
    CHECK(trained.model.parameters == start.parameters);
    CHECK(trained.losses.empty());
    CHECK(trained.nonfinite == std::ssize(comparisons));
  }
  std::vector<double> gradient(start.parameters.size());
  const auto order = all_of(1);
  const comparison_loss loss = measure_factorization(start, embeddings, std::span<const comparison>(broken), order, {},
                                                     std::span(gradient), 1.0);
  CHECK(loss.nonfinite == 1);
  CHECK(loss.count == 0);
  CHECK(gradient == std::vector<double>(gradient.size()));
  std::vector<double> scores(3);
  CHECK(score_pairs(embeddings, pair_direction(start, 0, 1), scores) == 1);
  CHECK(std::isnan(scores[1]));
  CHECK(scores[2] == 0.5);
  model_type zeros = start;
  std::fill(zeros.parameters.begin(), zeros.parameters.begin() + 3, 0.0);
  const std::vector<comparison> one = {{0, 1, 0}};
  CHECK(std::isfinite(
      measure_factorization(zeros, embeddings, std::span<const comparison>(one), order, {}, std::span(gradient), 1.0)
          .sum));
  for (const double slope : gradient) CHECK(std::isfinite(slope));
}

TEST_CASE("routing matrix_factorization: misuse") {
  const model_type model = initialise_factorization<double>(2, 3, 2, 1);
  const std::vector<double> x = {1, 2, 3, 4};
  const matrix_view<const double> embeddings(x.data(), 2, 2), wide(x.data(), 1, 4);
  std::vector<double> gradient(model.parameters.size()), direction(2), scores(2);
  const auto order = all_of(1);
  const auto call = [&](const comparison& c, const matrix_view<const double>& e, std::span<double> g) {
    const std::vector<comparison> all = {c};
    measure_factorization(model, e, std::span<const comparison>(all), order, {}, g, 1.0);
  };
  CHECK_THROWS_WITH(call({0, 2, 0}, embeddings, {}),
                    "hone::routing::measure_factorization: comparisons: element 0 is of model 2 of 2");
  CHECK_THROWS_WITH(call({0, 1, 2}, embeddings, {}),
                    "hone::routing::measure_factorization: comparisons: element 0 is of prompt 2 of 2");
  CHECK_THROWS_AS(call({-1, 1, 0}, embeddings, {}), std::invalid_argument);
  CHECK_THROWS_AS(call({0, -1, 0}, embeddings, {}), std::invalid_argument);
  CHECK_THROWS_WITH(call({0, 1, -1}, embeddings, {}),
                    "hone::routing::measure_factorization: comparisons: element 0 is of prompt -1 of 2");
  CHECK_THROWS_AS(call({0, 1, 0}, wide, {}), std::invalid_argument);
  CHECK_THROWS_AS(call({0, 1, 0}, embeddings, std::span(gradient).first(4)), std::invalid_argument);
  CHECK_THROWS_AS(
      measure_factorization(model, embeddings, std::span<const comparison>(), order, {}, std::span<double>(), 1.0),
      std::invalid_argument);
  model_type cut = model;
  cut.parameters.pop_back();
  CHECK_THROWS_WITH(pair_direction(cut, 0, 1), Catch::StartsWith("hone::routing::pair_direction: model: "));
  CHECK_THROWS_AS(pair_direction(model, 0, 2), std::invalid_argument);
  CHECK_THROWS_WITH(call({0, 1, 0}, wide, {}),
                    "hone::routing::measure_factorization: embeddings: have 4 elements, expected 2");
  CHECK_THROWS_WITH(pair_direction(model, -1, 0), "hone::routing::pair_direction: a, b: must be in [0, 2), one is -1");
  CHECK_THROWS_WITH(pair_direction(model, 0, 2), "hone::routing::pair_direction: a, b: must be in [0, 2), one is 2");
  for (const model_type& bad : {model_type{-1, 1, 2, {1, 1}},
                                {1, 0, 2, {}},
                                {1, -1, 2, std::vector<double>(4)},
                                {3, 1, -1, std::vector<double>(3)}})
    CHECK_THROWS_WITH(pair_direction(bad, 0, 0), Catch::Contains("pair_direction: model: of "));
  CHECK(pair_direction(model_type{1, 1, 0, {1, 1}}, 0, 0).empty());
  CHECK_THROWS_WITH(score_pairs(embeddings, std::vector<double>(3), scores),
                    "hone::routing::score_pairs: direction: has 3 elements, embeddings 2");
  CHECK_THROWS_AS(score_pairs(wide, direction, scores), std::invalid_argument);
  CHECK_THROWS_AS(score_pairs(embeddings, direction, std::span(scores).first(1)), std::invalid_argument);
  check_refuses_spans<double>(2, "hone::routing::score_pairs: scores: ", [&](std::span<double> out) {
    score_pairs(embeddings, direction, out);
  });
  check_refuses_spans<double>(model.parameters.size(), "hone::routing::measure_factorization: gradient: ",
                              [&](std::span<double> out) { call({0, 1, 0}, embeddings, out); });
  CHECK_THROWS_AS(initialise_factorization<double>(-1, 3, 2, 1), std::invalid_argument);
  CHECK_THROWS_AS(initialise_factorization<double>(2, 0, 2, 1), std::invalid_argument);
  CHECK_THROWS_AS(initialise_factorization<double>(2, 3, 0, 1), std::invalid_argument);
  const std::vector<comparison> one = {{0, 1, 0}};
  for (const factorization_options& bad : {factorization_options{.rank = 0},
                                           {.noise = -1},
                                           {.noise = std::nan("")},
                                           {.rate = -1},
                                           {.l2 = -1},
                                           {.batch = 0},
                                           {.epochs = -1}})
    CHECK_THROWS_AS(train_factorization(embeddings, one, 2, bad), std::invalid_argument);
  CHECK_THROWS_AS(train_factorization(embeddings, std::vector<comparison>{{0, 1, 5}}, 2), std::invalid_argument);
  for (const factorization_options& bad : {factorization_options{.noise = INFINITY},
                                           {.noise = 1e30},
                                           {.l2 = INFINITY},
                                           {.l2 = 1e30},
                                           {.l2 = std::nan("")},
                                           {.rank = -1}})
    CHECK_THROWS_AS(train_factorization(embeddings, one, 2, bad), std::invalid_argument);
  for (const index_t prompt : {-1, 2})
    CHECK_THROWS_WITH(train_factorization(embeddings, std::vector<comparison>{{0, 1, 0}, {0, 1, prompt}}, 2),
                      Catch::StartsWith("hone::routing::train_factorization: comparisons: element 1 is of prompt"));
}
