// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/probe_training.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/routing/chain.hpp"
#include "routing/probe_support.hpp"
#include "support/catch.hpp"

#include <cmath>
#include <limits>
#include <vector>

using namespace hone;
using namespace hone::routing;
using namespace probe_test;

namespace {

std::vector<std::size_t> from_to(std::size_t begin, std::size_t end) {
  std::vector<std::size_t> order;
  for (std::size_t i = begin; i < end; ++i) order.push_back(i);
  return order;
}

const probe_training_options quick{.rate = 0.01, .batch = 32, .epochs = 12};

}  // namespace

TEST_CASE("routing probe training: every pooling learns what a layer shows") {
  const drawn_states<float> s(700, 4, 12);
  const auto train = from_to(0, 500), test = from_to(500, 700);
  for (const pooling how :
       {pooling::fixed, pooling::last, pooling::mean, pooling::max, pooling::softmax, pooling::dirichlet}) {
    INFO(static_cast<int>(how));
    const auto start = initialise_probe<float>({.how = how, .layers = 4, .width = 12, .layer = 3}, 42);
    const auto trained = train_probe(start, s.view(), s.labels, train, test, {}, quick);
    REQUIRE(!trained.epochs.empty());
    CHECK(trained.epochs.back().validation < 0.99 * trained.epochs.front().validation);
    CHECK(trained.epochs[static_cast<std::size_t>(trained.best)].accuracy > (how == pooling::max    ? 0.6
                                                                             : how == pooling::mean ? 0.65
                                                                                                    : 0.72));
    if (how == pooling::softmax || how == pooling::dirichlet) {
      const numbers weights = mean_weights(trained.probe);
      for (std::size_t l = 0; l < 3; ++l) CHECK(weights[3] > weights[l]);
    }
  }
}

TEST_CASE("routing probe training: draws, delta, heads, concentrations of the input learn too") {
  const drawn_states<float> s(500, 4, 12);
  const auto train = from_to(0, 400), test = from_to(400, 500);
  const probe_shape plain{.layers = 4, .width = 12}, deep{.layers = 4, .width = 12, .hidden = {16}},
      dependent{.layers = 4, .width = 12, .concentration_layers = {64}};
  const auto loss_of = [&](const probe_shape& shape, const probe_objective& objective) {
    const auto trained =
        train_probe(initialise_probe<float>(shape, 42), s.view(), s.labels, train, test, objective, quick);
    return trained.epochs[static_cast<std::size_t>(trained.best)].validation;
  };
  const auto check = [&](const char* what, const probe_shape& shape, const probe_objective& objective) {
    INFO(what);
    CHECK(loss_of(shape, objective) < 0.66);
  };
  check("8 draws", plain, {.draws = 8});
  check("delta", plain, {.noise = weight_noise::delta});
  check("gamma", plain, {.form = gradient_form::gamma});
  check("kl", plain, {.kl = 1e-3});
  check("entropy", plain, {.entropy = 1e-4});
  check("hidden", deep, {.dropout = 0.1});
  // The network of the concentrations learns its 400 samples by heart.
  const auto known = train_probe(initialise_probe<float>(dependent, 42), s.view(), s.labels, train, test, {}, quick);
  CHECK(known.epochs.back().loss < 0.95 * known.epochs.front().loss);
}

TEST_CASE("routing probe training: threads change no bit, seeds do") {
  const drawn_states<bfloat16> s(200, 3, 33);
  const auto train = from_to(0, 150), test = from_to(150, 200);
  const auto start = initialise_probe<float>({.layers = 3, .width = 33}, 42);
  const probe_training_options options{.rate = 0.01, .batch = 64, .epochs = 3};
  const auto one = train_probe(start, s.view(), s.labels, train, test, {.draws = 2}, options);
  thread_pool pool(3);
  const auto two = train_probe(start, s.view(), s.labels, train, test, {.draws = 2}, options, pool);
  CHECK(one.probe.parameters == two.probe.parameters);
  for (std::size_t e = 0; e < 3; ++e) {
    CHECK(one.epochs[e].loss == two.epochs[e].loss);
    CHECK(one.epochs[e].validation == two.epochs[e].validation);
  }
  auto other = options;
  other.seed = 43;
  CHECK(train_probe(start, s.view(), s.labels, train, test, {.draws = 2}, other).epochs[0].loss != one.epochs[0].loss);
}

TEST_CASE("routing probe training: a step is Adam's on the mean loss") {
  const drawn_states<double> s(20, 3, 5);
  const auto start = initialise_probe<double>({.layers = 3, .width = 5}, 42);
  const auto trained = train_probe(start, s.view(), s.labels, all_of(20), {}, {.noise = weight_noise::delta},
                                   {.rate = 0.01, .batch = 20, .epochs = 1});
  probe_loss total;
  numbers gradient(start.parameters.size());
  add_probe_loss(start, s.view(), s.labels, all_of(20), {.noise = weight_noise::delta}, {}, total, gradient);
  CHECK(trained.epochs[0].loss == Approx(total.sum / 20).epsilon(1e-13));
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const double g = gradient[i] / 20;
    CHECK(trained.probe.parameters[i] == Approx(start.parameters[i] - 0.01 * g / (std::abs(g) + 1e-8)).epsilon(1e-9));
  }
}

TEST_CASE("routing probe training: the rate falls on plateaus as PyTorch's does") {
  plateau_schedule schedule(0.5, 5, 1e-4);
  double rate = 1;
  numbers rates;
  for (const double loss : {1.0, 0.9, 0.9, 0.89999, 0.9, 0.9, 0.9, 0.9, 0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5})
    rates.push_back(rate = schedule.next(loss, rate));
  CHECK(rates == numbers{1, 1, 1, 1, 1, 1, 1, .5, .5, .5, .5, .5, .5, .5, .5, .25, .25});
}

TEST_CASE("routing probe training: stops where nothing gets better, keeps the best") {
  // Labels of coins, a high rate: the loss on other samples rises.
  drawn_states<float> s(120, 2, 30);
  for (std::size_t i = 0; i < 120; ++i) s.labels[i] = philox{5}.uniform(i) < 0.5 ? 0 : 1;
  const auto train = from_to(0, 60), test = from_to(60, 120);
  const auto start = initialise_probe<float>({.layers = 2, .width = 30}, 42);
  const auto trained =
      train_probe(start, s.view(), s.labels, train, test, {}, {.rate = 0.1, .batch = 16, .epochs = 60});
  REQUIRE(trained.epochs.size() == 12);  // the first epoch that may be the last
  CHECK(trained.best <= 3);
  probe_loss total;
  add_probe_loss(trained.probe, s.view(), s.labels, test, {.noise = weight_noise::mean}, {}, total, {});
  CHECK(total.sum / 60 == Approx(trained.epochs[static_cast<std::size_t>(trained.best)].validation).epsilon(1e-6));
  CHECK(trained.epochs.back().rate < 0.1);
  CHECK(train_probe(start, s.view(), s.labels, train, test, {},
                    {.rate = 0.1, .batch = 16, .epochs = 20, .stop_patience = 0})
            .epochs.size() == 20);
}

TEMPLATE_TEST_CASE("routing probe training: standardisation by its formula, folded into the weights", "", float,
                   bfloat16) {
  drawn_states<TestType> s(41, 3, 7);
  for (std::size_t i = 0; i < s.x.size(); ++i)
    s.x[i] = from_accumulator<TestType>(1000 + to_accumulator(s.x[i]) * static_cast<float>(i % 7));
  s.x[5 * 21 + 3] = from_accumulator<TestType>(std::nanf(""));
  auto probe = initialise_probe<float>({.layers = 3, .width = 7}, 42);
  thread_pool pool(2);
  CHECK(fit_standardisation(probe, s.view(), all_of(41), pool) == 40);
  for (index_t l = 0; l < 3; ++l)
    for (index_t j = 0; j < 7; ++j) {
      double mean = 0, squares = 0;
      const auto at = static_cast<std::size_t>(l * 7 + j);
      for (index_t n = 0; n < 41; ++n)
        if (n != 5) mean += static_cast<double>(to_accumulator(s.view().sample(n)(l, j))) / 40;
      for (index_t n = 0; n < 41; ++n)
        if (n != 5) squares += std::pow(static_cast<double>(to_accumulator(s.view().sample(n)(l, j))) - mean, 2);
      CHECK(probe.mean[at] == Approx(mean).epsilon(1e-6));
      CHECK(probe.inverse[at] == Approx(1 / (std::max)(std::sqrt(squares / 39), 1e-6)).epsilon(1e-5));
    }
  numbers logits(41);
  CHECK(score_probe(probe, s.view(), logits) == 1);
  const folded_probe folded = fold(probe);
  for (index_t n = 0; n < 41; ++n) {
    if (n == 5) continue;
    double logit = folded.bias;
    for (index_t l = 0; l < 3; ++l)
      for (index_t j = 0; j < 7; ++j)
        logit += static_cast<double>(folded.v[static_cast<std::size_t>(l * 7 + j)]) *
                 static_cast<double>(to_accumulator(s.view().sample(n)(l, j)));
    // Elements that never change have deviation 1e-6: v is large there, and bias as large the other way.
    CHECK(logit == Approx(logits[static_cast<std::size_t>(n)]).margin(1e-6 * std::abs(folded.bias) + 1e-2));
  }
  const std::vector<std::size_t> one = {3};
  auto plain = initialise_probe<float>({.layers = 3, .width = 7}, 42);
  CHECK(fit_standardisation(plain, s.view(), one) == 1);
  CHECK(plain.mean.empty());
  CHECK_THROWS_AS(fit_standardisation(plain, s.view(), std::vector<std::size_t>{41}), std::invalid_argument);
}

TEST_CASE("routing probe training: left out samples, one class, nothing to learn from") {
  drawn_states<float> s(60, 2, 6);
  s.x[7 * 12] = std::nanf("");
  s.labels[9] = -1;
  const auto start = initialise_probe<float>({.layers = 2, .width = 6}, 42);
  const auto trained = train_probe(start, s.view(), s.labels, from_to(0, 40), from_to(5, 60), {}, quick);
  CHECK(trained.invalid == 2);
  CHECK(trained.validation_invalid == 2);
  for (const float p : trained.probe.parameters) CHECK(std::isfinite(p));
  const auto sure = train_probe(start, s.view(), numbers(60, 1.0), from_to(0, 60), {}, {}, {.rate = 0.1, .epochs = 40});
  CHECK(sure.epochs.back().accuracy > 0.95);
  const auto nothing = train_probe(start, s.view(), s.labels, {}, {}, {}, quick);
  CHECK(nothing.best == -1);
  CHECK(nothing.probe.parameters == start.parameters);
  const auto broken = train_probe(start, s.view(), s.labels, std::vector<std::size_t>{7, 9}, {}, {}, quick);
  CHECK(broken.invalid == 2);
  CHECK(broken.epochs.empty());
  const auto unseen =
      train_probe(start, s.view(), s.labels, from_to(10, 40), std::vector<std::size_t>{7, 9}, {}, quick);
  CHECK(unseen.validation_invalid == 2);
  CHECK(unseen.best == -1);
  CHECK(unseen.probe.parameters == start.parameters);
  auto silent = start;  // no noise at all: draws are the mean
  silent.log_concentration() = 1e4f;
  const auto still = train_probe(silent, s.view(), s.labels, from_to(10, 40), {}, {}, quick);
  for (const float p : still.probe.parameters) CHECK(std::isfinite(p));
}

TEST_CASE("routing probe training: the probe on the chain of embedding") {
  const drawn_states<float> s(300, 5, 8);
  std::vector<float> features(300 * 8);
  numbers labels;
  for (index_t i = 0; i < 300; ++i) {
    CHECK(chain_features(s.view().sample(i), vector_view<float>(features.data() + i * 8, 8)) == 0);
    labels.push_back(features[static_cast<std::size_t>(i * 8)] > features[static_cast<std::size_t>(i * 8 + 3)] ? 1 : 0);
  }
  const states_view<const float> view(features.data(), 300, 1, 8);
  auto probe = initialise_probe<float>({.how = pooling::mean, .layers = 1, .width = 8}, 42);
  fit_standardisation(probe, view, all_of(300));
  const auto trained = train_probe(probe, view, labels, all_of(300), {}, {}, {.rate = 0.02, .epochs = 50});
  CHECK(trained.epochs.back().accuracy > 0.88);
}

TEST_CASE("routing probe training: misuse") {
  const drawn_states<float> s(10, 2, 6);
  const auto start = initialise_probe<float>({.layers = 2, .width = 6}, 42);
  for (const probe_training_options& bad : {probe_training_options{.rate = -1},
                                            {.batch = 0},
                                            {.epochs = -1},
                                            {.factor = 0},
                                            {.factor = 2},
                                            {.patience = -1},
                                            {.threshold = 1},
                                            {.stop_patience = -1}})
    CHECK_THROWS_AS(train_probe(start, s.view(), s.labels, all_of(10), {}, {}, bad), std::invalid_argument);
  CHECK_THROWS_AS(train_probe(start, s.view(), s.labels, std::vector<std::size_t>{10}, {}), std::invalid_argument);
  CHECK_THROWS_AS(train_probe(start, s.view(), s.labels, all_of(10), std::vector<std::size_t>{10}),
                  std::invalid_argument);
  CHECK_THROWS_AS(train_probe(start, s.view(), numbers(3), all_of(3), {}), std::invalid_argument);
}
