// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// One router: a probe that is trained on states and labels, calibrated, and made a file.
#pragma once
#include <numeric>

#include "hone/core/shuffler.hpp"
#include "hone/io/router.hpp"
#include "hone/routing/chain.hpp"
#include "hone/routing/thresholds.hpp"
#include "hone/statistics/recalibration.hpp"
#include "route/settings.hpp"
#include "route/streams.hpp"
#include "support/router_figures.hpp"

namespace route {

/// Which prompts a router learns from, and those that choose its epoch, calibration and thresholds.
struct split {
  std::vector<std::size_t> learn, choose;
};

/// Four of five of @p rows, in an order that @p random draws; the others choose.
inline split split_of(std::vector<std::size_t> rows, const hone::philox& random) {
  hone::shuffle(rows, [&](std::size_t i) { return random.uniform(i); });
  const auto at = rows.begin() + static_cast<std::ptrdiff_t>(rows.size() * 4 / 5);
  return {{rows.begin(), at}, {at, rows.end()}};
}

/// The logistic function of a line, which makes scores probabilities. Of scores that do not rise with the labels a
/// level line, the labels' mean.
inline statistics::platt_scaling calibrated(std::span<const double> scores, std::span<const double> labels,
                                            const std::vector<std::size_t>& rows) {
  std::vector<double> s, y;
  double sum = 0;
  for (const std::size_t i : rows) {
    s.push_back(scores[i]);
    y.push_back(labels[i]);
    sum += labels[i];
  }
  const statistics::platt_scaling line = statistics::fit_platt(s, y);
  if (line.slope > 0 && std::isfinite(line.slope) && std::isfinite(line.intercept)) return line;
  const double n = static_cast<double>(rows.size()) + 2;  // Platt's targets
  return {.slope = 0, .intercept = hone::logit((sum + 1) / n)};
}

/// Thresholds on probabilities at call rates of 5, 10 … 95 percent of @p rows.
inline std::vector<io::router_threshold> thresholds_of(const std::vector<double>& probabilities,
                                                       const std::vector<std::size_t>& rows) {
  std::vector<double> p;
  for (const std::size_t i : rows) p.push_back(probabilities[i]);
  std::vector<io::router_threshold> result;
  for (int percent = static_cast<int>(100 * least_call_rate + 0.5); percent < 100; percent += 5) {
    const double rate = percent / 100.0, value = routing::threshold_by_call_rate(p, rate).value;
    if (std::isfinite(value)) result.push_back({rate, value});
  }
  program::require(!result.empty(), "%zu prompts to choose by are too few for a threshold", rows.size());
  return result;
}

/// A trained probe. The chain of embedding is a probe on features of its own.
struct trained_router {
  probe_kind kind;
  routing::probe_training<float> training;
  statistics::platt_scaling calibration;
};

/// The features of the chain of embedding, a set of one layer.
template <class T>
std::vector<float> chain_of(const routing::states_view<const T>& states) {
  const index_t width = 2 * (states.layers() - 1);
  std::vector<float> features(static_cast<std::size_t>(states.samples() * width));
  for (index_t i = 0; i < states.samples(); ++i)
    routing::chain_features(states.sample(i), hone::vector_view<float>(features.data() + i * width, width));
  return features;
}

/// f(states that the probe reads)
template <class T, class F>
decltype(auto) with_features(probe_kind kind, const routing::states_view<const T>& states, F&& f) {
  if (kind != probe_kind::chain) return f(states);
  const std::vector<float> features = chain_of(states);
  return f(routing::states_view<const float>(features.data(), states.samples(), 1, 2 * (states.layers() - 1)));
}

/// Of every prompt.
template <class T>
std::vector<double> logits_of(const trained_router& r, const routing::states_view<const T>& states,
                              program::stoppable_pool& pool) {
  std::vector<double> logits(static_cast<std::size_t>(states.samples()));
  with_features(r.kind, states, [&](const auto& features) {
    routing::score_probe(r.training.probe, features, std::span(logits), pool);
  });
  return logits;
}

template <class T>
trained_router train_router(const settings& s, const routing::states_view<const T>& states,
                            std::span<const double> labels, const split& rows, program::stoppable_pool& pool) {
  constexpr routing::pooling poolings[] = {
      routing::pooling::fixed,   routing::pooling::last,      routing::pooling::mean, routing::pooling::max,
      routing::pooling::softmax, routing::pooling::dirichlet, routing::pooling::last};
  program::require(s.pooling != probe_kind::chain || states.layers() > 1, "%s",
                   "--pooling chain: there is one state only");
  trained_router r{.kind = s.pooling, .training = {}, .calibration = {}};
  with_features(s.pooling, states, [&](const auto& features) {
    auto probe = routing::initialise_probe<float>({.how = poolings[static_cast<std::size_t>(s.pooling)],
                                                   .layers = features.layers(),
                                                   .width = features.width(),
                                                   .layer = s.layer.value_or(features.layers() / 2),
                                                   .hidden = s.hidden,
                                                   .concentration_layers = s.concentration_layers},
                                                  seed_of(s.seed, stream::probe));
    if (s.standardise || s.pooling == probe_kind::chain)
      routing::fit_standardisation(probe, features, rows.learn, pool);
    routing::probe_training_options how = s.training;
    how.seed = seed_of(s.seed, stream::probe, 1);
    r.training =
        routing::train_probe(std::move(probe), features, labels, rows.learn, rows.choose, s.objective, how, pool);
  });
  program::require(r.training.best >= 0, "%s", "the router's loss is no number: a smaller --rate may help");
  r.calibration = calibrated(logits_of(r, states, pool), labels, rows.choose);
  return r;
}

/// What the layers count: their weights, how many that is in effect, and the sum of the concentrations.
inline nlohmann::json layers_of(const trained_router& r) {
  const auto& probe = r.training.probe;
  if (r.kind == probe_kind::chain || r.kind == probe_kind::max || probe.input_dependent()) return nullptr;
  const std::vector<double> weights = routing::mean_weights(probe);
  double squares = 0;
  for (const double w : weights) squares += w * w;
  nlohmann::json result = {{"weights", weights}, {"effective", 1 / squares}};
  if (r.kind == probe_kind::dirichlet) result["concentration"] = routing::total_concentration(probe);
  return result;
}

/// How it was trained, and what its layers count.
inline nlohmann::json about(const trained_router& r) {
  const auto& t = r.training;
  return {{"epochs", t.epochs.size()},
          {"best_epoch", t.best},
          {"validation_loss", t.best < 0 ? std::nan("") : t.epochs[static_cast<std::size_t>(t.best)].validation},
          {"calibrated", r.calibration.slope > 0},
          {"layers", layers_of(r)}};
}

/// @throws std::runtime_error unless a router's scores rise with the labels that it was chosen by.
inline void require_rising(bool rises) {
  program::require(rises, "%s",
                   "the router's scores do not rise with the labels that it was chosen by: nothing to save");
}

/// The router's file, of states @p state_of of a model of @p blocks blocks; those that have no weight are left out.
/// @throws std::runtime_error if its scores fall where the labels rise.
inline io::stored_router stored_of(const trained_router& r, const std::string& model, index_t blocks,
                                   const std::vector<std::int32_t>& state_of, routing::last_state last,
                                   routing::token_pooling tokens, bool chat_template,
                                   std::vector<io::router_threshold> thresholds, const std::string& data) {
  require_rising(r.calibration.slope > 0);
  const routing::folded_probe folded = routing::fold(r.training.probe);
  const std::vector<double> weights = routing::mean_weights(r.training.probe);
  std::vector<std::int32_t> read;
  std::vector<float> v;
  for (std::size_t l = 0; l < weights.size(); ++l) {
    if (weights[l] == 0) continue;
    read.push_back(state_of[l]);
    const auto row = folded.v.begin() + static_cast<std::ptrdiff_t>(l) * folded.width;
    v.insert(v.end(), row, row + folded.width);
  }
  return {.model = model,
          .states = static_cast<std::int32_t>(blocks + 1),
          .layers = std::move(read),
          .last = last,
          .tokens = tokens,
          .chat_template = chat_template,
          .v = std::move(v),
          .bias = folded.bias,
          .slope = r.calibration.slope,
          .intercept = r.calibration.intercept,
          .thresholds = std::move(thresholds),
          .training_data = data};
}

}  // namespace route
