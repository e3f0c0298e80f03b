// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What docs/routing.md shows.
#include "hone/core/thread_pool.hpp"
#include "hone/routing/ability.hpp"
#include "hone/routing/chain.hpp"
#include "hone/routing/curve_bootstrap.hpp"
#include "hone/routing/domains.hpp"
#include "hone/routing/probe_training.hpp"
#include "hone/routing/routellm.hpp"
#include "hone/routing/scenario.hpp"
#include "hone/routing/sink.hpp"
#include "hone/routing/thresholds.hpp"
#include "hone/routing/utility.hpp"
#include "routing/probe_support.hpp"
#include "routing/support.hpp"
#include "support/catch.hpp"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <span>
#include <vector>

using namespace hone;
using namespace routing_test;

TEST_CASE("docs: a curve and its figures") {
  const std::vector<double> weak = {1, 0, 1, 1, 0, 0, 1, 0, 0, 0};    // was the small model right
  const std::vector<double> strong = {1, 1, 1, 0, 1, 1, 1, 1, 1, 0};  // and the large one
  const std::vector<double> score = {.95, .15, .70, .55, .45, .30, .85, .60, .20, .40};
  const routing::deferral_curve curve = routing::curve(weak, strong, score);  // one sort, ties averaged
  const double at_half = curve.at(5);                                         // 0.8, five prompts called
  const routing::measure apgr = routing::apgr(curve);                         // 0.75
  const routing::measure half = routing::call_threshold(curve, 0.5);          // half the way at 0.2 of the calls
  if (!apgr.value) std::puts(routing::text_of(apgr.why));
  CHECK(at_half == Approx(.8));
  CHECK(*apgr.value == Approx(.75));
  CHECK(*half.value == Approx(.2));

  const auto as_published = routing::measure_scenarios(routing::curve(weak, strong, score, routing::ties::file_order),
                                                       routing::config_bands, routing::scenario_mode::reference);
  const auto scenarios = routing::measure_scenarios(curve);  // cheap 0.617; the other two bands are empty
  const auto of_routellm = routing::apgr(routing::routellm_points(curve));
  CHECK(*as_published.high_accuracy.figure.value == 0.0);
  CHECK(*scenarios.cheap.figure.value == Approx(.6166666667));
  CHECK(!scenarios.high_accuracy.figure.value);
  CHECK(*of_routellm.value == Approx(.75));

  const auto figures = [](const routing::deferral_curve& c, std::span<double> values) {
    values[0] = routing::apgr(c).value.value_or(std::nan(""));
    values[1] = c.at(0.3 * static_cast<double>(c.count));
  };
  const auto errors = routing::bootstrap_curve(weak, strong, score, routing::ties::averaged, 2, figures);
  CHECK(errors[1].percentile.low < errors[1].percentile.high);

  const routing::ability_report ability = routing::measure_ability(score, weak);  // AUROC, AUPRC, Youden's threshold
  CHECK(ability.auroc.value == Approx(.9583333333));
}

TEST_CASE("docs: thresholds") {
  const table past = drawn(1, 2000, 0, 1e-12);
  const auto &weak = past.weak, &strong = past.strong, &score = past.score;
  const auto budget = routing::threshold_by_call_rate(score, 0.3);
  const auto sure = routing::threshold_by_local_error(score, weak, {.error = 0.2, .level = 0.9});
  const auto risk = routing::threshold_by_risk(weak, strong, score, {.risk = 0.05});  // of what is lost by keeping
  const auto way = routing::threshold_by_recovery(routing::curve(weak, strong, score), 0.8);
  const bool answer_here = budget.keeps(0.7);
  CHECK(answer_here);
  CHECK(sure.bound <= 0.2);
  CHECK(risk.bound <= 0.05);
  CHECK(way.bound >= 0.8);
}

TEST_CASE("docs: costs, many models, domains") {
  const table t = toy();
  const routing::deferral_curve curve = routing::curve(t.weak, t.strong, t.score);
  const routing::best_calls best = routing::maximise_utility(curve, 1, 10, 0.02);  // 5 calls, 0.8 - 0.02 * 5.5
  CHECK(best.calls == 5);

  const std::vector<double> predicted = {.5, .6, .9, .8, .82, .9}, prices = {1, 3, 20};  // two prompts, three models
  const auto chosen = routing::choose_by_utility(matrix_view<const double>(predicted.data(), 2, 3),
                                                 {prices.data(), 2, 3, 0, 1}, 0.02);  // one row of prices for all
  const std::vector<routing::cost_quality> routers = {{1, .40}, {2, .50}, {3, .70}, {4, .68}, {6, .80}};
  const auto paper = routing::aiq(routers, 8);                                // 0.707
  const auto code = routing::aiq(routers, 8, routing::aiq_divisor::maximum);  // 0.619
  const routing::arena_score arena = routing::score_arena(0.7, 1.0);          // 0.674
  CHECK(chosen.model == std::vector<index_t>{1, 0});
  CHECK(*paper == Approx(.7071428571));
  CHECK(*code == Approx(.61875));
  CHECK(arena.score == Approx(.6744394195));

  const std::vector<double> auroc = {.72, .66, .74, .65, .70, .71}, trained_on = {1, 0, 0, 0, 1, 0};
  const auto means = routing::average_domains(matrix_view<const double>(auroc.data(), 2, 3),
                                              matrix_view<const double>(trained_on.data(), 2, 3));
  CHECK(means[0].gap() == Approx(.02));
}

TEST_CASE("docs: a probe on hidden states") {
  const index_t prompts = 500, layers = 4, width = 12, tokens = 5;
  const probe_test::drawn_states<float> s(prompts, layers, width);
  const std::vector<float>& memory = s.x;
  const std::vector<double>& labels = s.labels;
  std::vector<std::size_t> train, held_out;
  for (std::size_t i = 0; i < 500; ++i) (i % 5 == 0 ? held_out : train).push_back(i);
  thread_pool pool(2);

  const routing::states_view<const float> states(memory.data(), prompts, layers, width);  // yours, or a mapped file's
  const auto start = routing::initialise_probe({.layers = layers, .width = width}, 42);   // Dirichlet's, linear
  const auto trained = routing::train_probe(start, states, labels, train, held_out, {}, {.rate = 0.01}, pool);
  std::vector<double> logits(labels.size());
  const index_t without = routing::score_probe(trained.probe, states, logits, pool);  // NaN: a state is not finite
  const routing::folded_probe router = routing::fold(trained.probe);  // one vector a layer: what an engine needs
  CHECK(without == 0);
  CHECK(trained.epochs[static_cast<std::size_t>(trained.best)].accuracy > 0.7);
  CHECK(router.v.size() == 48);

  const routing::probe_objective without_draws{.noise = routing::weight_noise::delta};
  const routing::probe_objective of_eight{.draws = 8, .kl = 1e-4, .positive_weight = 2};
  auto standardised = start;
  routing::fit_standardisation(standardised, states, train, pool);  // z-scores, which fold takes into v and bias
  const auto delta = routing::train_probe(standardised, states, labels, train, held_out, without_draws, {.epochs = 1});
  CHECK(std::isfinite(delta.epochs[0].loss));
  CHECK(std::isfinite(routing::train_probe(start, states, labels, train, {}, of_eight, {.epochs = 1}).epochs[0].loss));

  routing::token_features features(layers, width);  // the masked mean over tokens, in pieces of any length
  for (index_t layer = 0; layer < layers; ++layer)
    features.add(layer, matrix_view<const float>(memory.data() + layer * tokens * width, tokens, width));
  std::vector<float> prompt(static_cast<std::size_t>(layers * width));
  const routing::feature_report seen = features.write(matrix_view<float>(prompt.data(), layers, width));
  const bool usable = seen.tokens > 0 && seen.unequal == 0 && seen.nonfinite == 0;
  CHECK(usable);

  std::vector<float> chain(labels.size() * 6);
  for (index_t i = 0; i < prompts; ++i)
    routing::chain_features(states.sample(i), vector_view<float>(chain.data() + i * 6, 6));
  const routing::states_view<const float> of_one_layer(chain.data(), prompts, 1, 6);
  CHECK(of_one_layer.sample(0)(0, 0) == chain[0]);
}

TEST_CASE("docs: a sink in an engine") {
  const std::vector<float> v = {0.5f, -0.25f, 0.125f, 1}, states = {1, 2, 3, 4};
  const std::int32_t tokens = 2;
  const routing::folded_router router{v.data(), 2, 2, 0.1, 0.5, 1, 0, 2};         // two states of width 2
  std::vector<routing::layer_sum> sums(static_cast<std::size_t>(router.layers));  // once
  routing::state_sink sink(router, sums.data());
  for (std::int32_t state = 0; state < router.states; ++state)  // as the engine makes them, in any pieces
    sink.add(state, {states.data(), tokens, router.width, router.width, routing::number::float32});
  const bool answer_here = sink.decide() == routing::decision::small_model;
  if (sink.decide() == routing::decision::large_by_fault) std::puts(routing::text_of(sink.why()));
  const double p = sink.probability(), of_embedding = sink.contribution(0);
  CHECK(answer_here);
  CHECK(of_embedding == 0.25);
  CHECK(p == Approx(1 / (1 + std::exp(-3.6))));
}
