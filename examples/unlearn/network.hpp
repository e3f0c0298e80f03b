// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A decoder with its parameters, or with an adapter over them, those it had before unlearning (the reference), and
/// what every loss needs of both.
#pragma once
#include "hone/core/thread_pool.hpp"
#include "hone/gradient/combine.hpp"
#include "hone/loss/likelihood.hpp"
#include "hone/statistics/means.hpp"
#include "hone/transformer/adapted.hpp"
#include "hone/transformer/schedule.hpp"
#include "support/knowledge.hpp"
#include "support/ranks.hpp"
#include "support/training.hpp"

#include <optional>

namespace unlearn {

using namespace hone;
using lessons::lesson;
using transformer::microbatch;

class network {
 public:
  network(const transformer::config& c, std::vector<float> parameters, long threads, program::ranks& ranks)
      : ranks_(ranks), pool_(threads), model_(c), lanes_(make_lanes(model_)), parameters_(std::move(parameters)),
        m_(parameters_.size()), v_(parameters_.size()) {}

  [[nodiscard]] const transformer::config& shape() const { return model_.shape(); }
  [[nodiscard]] const transformer::decoder<float>& model() const { return model_; }
  [[nodiscard]] const std::vector<float>& parameters() const { return parameters_; }
  [[nodiscard]] thread_pool& pool() { return pool_; }
  /// What is trained: the adapter's numbers where there is one, else the parameters.
  [[nodiscard]] std::vector<float>& trained() { return adapted_ ? adapter_ : parameters_; }
  /// The parameters of a plain model that says the same.
  [[nodiscard]] std::vector<float> merged() const { return adapted_ ? adapted_->merged(adapter_) : parameters_; }

  /// From here on the adapter is trained, over @p parameters as they are now.
  void adapt(std::vector<float> parameters, const std::vector<lora::site>& sites, std::vector<float> adapter) {
    parameters_ = std::move(parameters);
    adapter_ = std::move(adapter);
    adapted_.emplace(model_, parameters_, sites);
    lanes_ = make_lanes(*adapted_);
    m_.assign(adapter_.size(), 0);
    v_.assign(adapter_.size(), 0);
  }
  /// Whether Ctrl-C was pressed, on any rank.
  [[nodiscard]] bool interrupted() { return ranks_.any(program::interrupted()); }

  /// Adds the gradient of @p loss over @p rows to @p gradient.
  template <class Loss>
  loss::loss_sum accumulate(const lessons::rows& rows, std::vector<float>& gradient, Loss&& loss) {
    const auto add_to = [&](std::vector<float>& sum) {
      return with_model([&](const auto& model, std::span<const float> parameters) {
        return transformer::accumulate_gradient(model, parameters, rows.batch(), loss, lanes_, sum, pool_);
      });
    };
    if (ranks_.size() == 1) return add_to(gradient);
    std::vector<float> share(gradient.size());
    const auto own = add_to(share);
    ranks_.sum(share);
    axpy(1.0f, share, gradient, pool_);
    std::vector<double> sums = {own.sum, static_cast<double>(own.count), static_cast<double>(own.nonfinite)};
    ranks_.sum(sums);
    return {sums[0], static_cast<index_t>(sums[1]), static_cast<index_t>(sums[2])};
  }

  /// The likelihood of every label, times weight / labels, or times the factor of its sequence.
  loss::loss_sum likelihood(const lessons::rows& rows, std::vector<float>& gradient, double weight) {
    return likelihood(rows, gradient, weight / static_cast<double>(rows.label_count()), {});
  }
  loss::loss_sum likelihood(const lessons::rows& rows, std::vector<float>& gradient, double scale,
                            std::span<const double> by_sequence) {
    std::vector<double> weights(by_sequence.empty() ? 0 : rows.tokens.size());
    if (!by_sequence.empty()) loss::spread(by_sequence, rows.offsets, weights);
    return accumulate(rows, gradient, [&](microbatch<float>& part) {
      loss::row_options options{.scale = scale};
      if (!weights.empty()) options.weights = part.rows_of<double>(weights);
      return loss::likelihood(part.activations.logits(), part.rows_of<std::int32_t>(rows.targets), options);
    });
  }

  [[nodiscard]] std::vector<double> sequence_nll(const lessons::rows& rows) {
    return with_model(
        [&](const auto& model, std::span<const float> parameters) { return nll_of(rows, model, parameters); });
  }
  [[nodiscard]] std::vector<double> reference_nll(const lessons::rows& rows) {
    return nll_of(rows, model_, reference_);
  }

  /// The mean probability of the answers; NaN of none.
  [[nodiscard]] double probability(const lessons::rows& rows) {
    return statistics::estimate_mean(knowledge::answer_probabilities(rows, sequence_nll(rows))).mean;
  }
  [[nodiscard]] knowledge::recital recite(const std::vector<lesson>& lessons, const lessons::codec& codec) {
    return knowledge::recite(model_, merged(), lessons, codec, pool_);
  }
  [[nodiscard]] knowledge::score examine(const std::vector<lesson>& lessons, const lessons::codec& codec) {
    const knowledge::recital said = recite(lessons, codec);
    return {probability(lessons::all_rows(lessons)), statistics::estimate_mean(said.exact).mean,
            statistics::estimate_mean(said.rouge_l).mean};
  }

  /// From here on the present parameters are the reference.
  void remember_reference() {
    reference_ = merged();
    reference_activations_.clear();
    for (index_t lane = 0; lane < lanes_.size(); ++lane) reference_activations_.emplace_back(shape(), lanes_.rows());
  }
  /// The reference's activations on the rows of @p part.
  transformer::workspace<float>& reference_of(const microbatch<float>& part) {
    auto& activations = reference_activations_[static_cast<std::size_t>(part.lane)];
    model_.forward(reference_, part.tokens, activations);
    return activations;
  }

  void forget_moments() {
    fill(m_, 0.0f);
    fill(v_, 0.0f);
  }
  /// An AdamW step along @p g, cut to length @p clip; 0: any length.
  void update(const std::vector<float>& g, long step, double clip, const gradient::adamw_options& options) {
    program::descend(trained(), m_, v_, g, step, clip, options, pool_);
  }

 private:
  template <class M>
  transformer::gradient_lanes<float> make_lanes(const M& model) const {
    return {model, (std::max)(shape().max_seq, index_t{256}), lanes, ranks_.rank(), ranks_.size()};
  }

  /// f(what is trained, its numbers)
  template <class F>
  std::invoke_result_t<F&, const transformer::decoder<float>&, std::span<const float>> with_model(F&& f) {
    return adapted_ ? f(*adapted_, std::span<const float>(adapter_)) : f(model_, std::span<const float>(parameters_));
  }

  template <class M>
  std::vector<double> nll_of(const lessons::rows& rows, const M& model, std::span<const float> parameters) {
    std::vector<double> nll(rows.labels.size());
    transformer::evaluate(
        model, parameters, rows.batch(),
        [&](microbatch<float>& part) {
          const auto own = std::span(nll).subspan(static_cast<std::size_t>(part.first_sequence),
                                                  static_cast<std::size_t>(part.tokens.sequences()));
          return loss::sequence_nll(part.activations.logits(), part.rows_of<std::int32_t>(rows.targets),
                                    part.tokens.offsets, own);
        },
        lanes_, pool_);
    ranks_.sum(nll);  // each sequence is one rank's, and 0 elsewhere
    return nll;
  }

  static constexpr index_t lanes = 4;

  program::ranks& ranks_;
  thread_pool pool_;
  transformer::decoder<float> model_;
  transformer::gradient_lanes<float> lanes_;
  std::vector<float> parameters_, adapter_, m_, v_, reference_;
  std::optional<transformer::adapted_decoder<float>> adapted_;
  std::vector<transformer::workspace<float>> reference_activations_;
};

}  // namespace unlearn
