// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How a batch was routed, layer by layer, counted while its microbatches pass, and the biases of a selection that are
/// moved by that once a step (`update_biases`, `follow_thresholds`).
#pragma once
#include "hone/moe/balance.hpp"
#include "hone/moe/load.hpp"
#include "hone/moe/update.hpp"
#include "hone/transformer/trainer.hpp"

#include <type_traits>

namespace HONE_NAMESPACE::transformer {

/// One layer.
struct layer_routing {
  index_t layer = 0;
  moe::expert_load load;
  std::vector<index_t> chosen;     ///< an expert each, with those that were dropped
  moe::token_load masked, others;  ///< tokens that have a label; the others
  std::vector<double> cutoffs;     ///< an expert each, of `selection::threshold`: sums of `column_thresholds`
  index_t cutoff_count = 0;        ///< of so many microbatches

  [[nodiscard]] moe::token_load tokens() const {
    moe::token_load all = masked;
    return all += others;
  }
};

/// Counts of all sparse layers; integers, so that they depend neither on workers nor, but for `padded_rows` and what a
/// pool of the batch decides, on how the batch was cut. Cutoffs are summed lane by lane.
class routing_statistics {
 public:
  /// @param lanes of the learner. @throws std::invalid_argument as `validate`, or unless there is one.
  explicit routing_statistics(const config& c, index_t lanes = 4)
      : router_(c.experts.router), experts_(c.experts.count) {
    validate(c);
    invalid_argument_unless(lanes >= 1, "hone::transformer::routing_statistics", "lanes", "must be at least 1, is %td",
                            lanes);
    std::vector<layer_routing> layers;
    for (index_t layer = 0; layer < c.n_layers; ++layer) {
      if (!c.sparse(layer)) continue;
      layer_routing& own = layers.emplace_back();
      own.layer = layer;
      own.chosen.resize(static_cast<std::size_t>(c.experts.count));
      if (router_.chosen == moe::selection::threshold) own.cutoffs.resize(own.chosen.size());
    }
    lanes_.assign(static_cast<std::size_t>(lanes), layers);
  }

  /// Adds the plans of @p part, after its forward pass. @param labels its rows' (negative: none).
  /// @throws std::invalid_argument if the learner has more lanes than this.
  /// @pre No other thread adds a part of this lane meanwhile. @note A pass over each plan.
  template <class T>
  void add(microbatch<T>& part, std::span<const std::int32_t> labels) {
    invalid_argument_unless(part.lane < std::ssize(lanes_), "hone::transformer::routing_statistics::add", "part",
                            "is of lane %td, there are %zu", part.lane, lanes_.size());
    std::vector<std::uint8_t> masked, others;
    for (const std::int32_t label : labels) {
      masked.push_back(label >= 0);
      others.push_back(label < 0);
    }
    for (layer_routing& own : lanes_[static_cast<std::size_t>(part.lane)]) {
      const moe::routing_plan<T>& plan = part.activations.plan(own.layer);
      own.load.add(plan);
      moe::count_chosen(plan, own.chosen);
      own.masked += moe::count_experts(plan, masked);
      own.others += moe::count_experts(plan, others);
      if (own.cutoffs.empty()) continue;
      std::vector<double> cutoffs(own.cutoffs.size());
      moe::column_thresholds(by_expert(part.activations.router_logits(own.layer)), router_.per_token, cutoffs);
      for (std::size_t e = 0; e < cutoffs.size(); ++e) own.cutoffs[e] += cutoffs[e];
      ++own.cutoff_count;
    }
  }

  /// The sparse layers, all lanes together; of a learner in parts, this part's microbatches.
  [[nodiscard]] std::vector<layer_routing> layers() const {
    std::vector<layer_routing> result = lanes_[0];
    for (std::size_t lane = 1; lane < lanes_.size(); ++lane)
      for (std::size_t i = 0; i < result.size(); ++i) {
        layer_routing& to = result[i];
        const layer_routing& from = lanes_[lane][i];
        to.load.taken.resize(to.chosen.size());
        for (std::size_t e = 0; e < from.load.taken.size(); ++e) to.load.taken[e] += from.load.taken[e];
        for (std::size_t e = 0; e < to.chosen.size(); ++e) to.chosen[e] += from.chosen[e];
        for (std::size_t e = 0; e < to.cutoffs.size(); ++e) to.cutoffs[e] += from.cutoffs[e];
        to.load.dropped += from.load.dropped;
        to.load.padded_rows += from.load.padded_rows;
        to.masked += from.masked;
        to.others += from.others;
        to.cutoff_count += from.cutoff_count;
      }
    return result;
  }

  /// The same of all parts.
  /// @param sum sum(std::span<double>): x <- the sum over the parts, as `learner::sum_over_parts`.
  /// @note Counts are exact; cutoffs of parts may have other last bits than those of one process.
  template <class Sum>
  [[nodiscard]] std::vector<layer_routing> layers(Sum&& sum) const {
    std::vector<layer_routing> result = layers();
    std::vector<double> all;
    for_each_number(result, [&](auto& x) { all.push_back(static_cast<double>(x)); });
    const std::size_t numbers = all.size(), width = static_cast<std::size_t>(experts_) + 1;
    all.resize(numbers + 2 * result.size() * width);
    // The extremes of each part, where they are: the first and the last of all are those of all tokens.
    for_each_load(result, [&](std::size_t i, moe::token_load& load) {
      if (load.tokens == 0) return;
      for (const index_t n : {load.least, load.most}) all[numbers + i * width + static_cast<std::size_t>(n)] = 1;
    });
    sum(std::span<double>(all));
    auto from = all.begin();
    for_each_number(result, [&](auto& x) { x = static_cast<std::remove_reference_t<decltype(x)>>(*from++); });
    for_each_load(result, [&](std::size_t i, moe::token_load& load) {
      if (load.tokens == 0) return;
      const auto begin = all.begin() + static_cast<std::ptrdiff_t>(numbers + i * width);
      load.least = 0;
      while (begin[load.least] == 0) ++load.least;
      load.most = experts_;
      while (begin[load.most] == 0) --load.most;
    });
    return result;
  }

 private:
  template <class F>
  static void for_each_number(std::vector<layer_routing>& layers, F&& f) {
    for (layer_routing& l : layers) {
      l.load.taken.resize(l.chosen.size());
      for (index_t& x : l.load.taken) f(x);
      for (index_t& x : l.chosen) f(x);
      for (double& x : l.cutoffs) f(x);
      for (moe::token_load* t : {&l.masked, &l.others}) f(t->tokens), f(t->uncovered), f(t->executed), f(t->squares);
      f(l.load.dropped), f(l.load.padded_rows), f(l.cutoff_count);
    }
  }
  template <class F>
  static void for_each_load(std::vector<layer_routing>& layers, F&& f) {
    for (std::size_t i = 0; i < layers.size(); ++i) f(2 * i, layers[i].masked), f(2 * i + 1, layers[i].others);
  }

  moe::router router_;
  index_t experts_;
  std::vector<std::vector<layer_routing>> lanes_;
};

/// Slots that all layers executed.
inline index_t executed_slots(std::span<const layer_routing> layers) {
  index_t sum = 0;
  for (const layer_routing& l : layers) sum += l.load.total();
  return sum;
}

/// `moe::update_bias` of every layer, by what a step's batch chose.
/// @param parameters of @p model. @throws std::invalid_argument unless the model has biases of its selections, and as
///        `moe::update_bias`.
template <class T>
void update_biases(const decoder<T>& model, std::span<T> parameters, std::span<const layer_routing> seen,
                   double rate = 1e-3, bool centred = false) {
  invalid_argument_unless(model.shape().experts.selection_bias, "hone::transformer::update_biases", "model",
                          "has no bias of a selection");
  for (const layer_routing& l : seen)
    moe::update_bias(model.view(parameters).vector({role::selection_bias, l.layer}), l.chosen, rate, centred);
}

/// `moe::update_thresholds` of every layer: a bias of the selection is a threshold with the other sign.
/// @throws std::invalid_argument as above, and as `moe::update_thresholds`.
template <class T>
void follow_thresholds(const decoder<T>& model, std::span<T> parameters, std::span<const layer_routing> seen,
                       double decay) {
  invalid_argument_unless(model.shape().experts.selection_bias, "hone::transformer::follow_thresholds", "model",
                          "has no bias of a selection");
  for (const layer_routing& l : seen) {
    const auto bias = model.view(parameters).vector({role::selection_bias, l.layer});
    std::vector<double> thresholds, observed = l.cutoffs;
    for (double& x : observed) x /= static_cast<double>(l.cutoff_count);
    for (index_t e = 0; e < bias.size(); ++e) thresholds.push_back(-static_cast<double>(bias[e]));
    moe::update_thresholds(thresholds, observed, decay);
    for (index_t e = 0; e < bias.size(); ++e) bias[e] = static_cast<T>(-thresholds[static_cast<std::size_t>(e)]);
  }
}

}  // namespace HONE_NAMESPACE::transformer
