// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A decoder, its parameters, and the state of their optimiser: a policy or a critic.
#pragma once
#include "hone/core/thread_pool.hpp"
#include "hone/transformer/schedule.hpp"
#include "hone/transformer/trainer.hpp"
#include "support/training.hpp"

namespace reason {

using namespace hone;
using transformer::microbatch;

struct optimiser_settings {
  double rate = 1e-3, weight_decay = 0, clip = 1;
  long warmup = 0;
};

class network {
 public:
  network(const transformer::config& c, std::vector<float> parameters)
      : model_(c), lanes_(model_, (std::max)(c.max_seq, index_t{128}), lanes), parameters_(std::move(parameters)),
        m_(parameters_.size()), v_(parameters_.size()), gradient_(parameters_.size()) {}
  network(const network&) = delete;
  network& operator=(const network&) = delete;

  [[nodiscard]] const transformer::config& shape() const { return model_.shape(); }
  [[nodiscard]] const transformer::decoder<float>& model() const { return model_; }
  [[nodiscard]] const std::vector<float>& parameters() const { return parameters_; }
  [[nodiscard]] long updates() const { return updates_; }

  /// f(microbatch<float>&) behind the forward pass of every part of @p b with @p parameters of this shape.
  template <class F>
  void evaluate(std::span<const float> parameters, const transformer::batch& b, F&& f, thread_pool& pool) {
    transformer::evaluate(
        model_, parameters, b, [&](microbatch<float>& part) { return f(part), loss::loss_sum{}; }, lanes_, pool);
  }
  template <class F>
  void evaluate(const transformer::batch& b, F&& f, thread_pool& pool) {
    evaluate(parameters_, b, f, pool);
  }

  /// An AdamW step along the gradient of @p loss over @p b. Returns the gradient's length before it was cut.
  /// @throws std::runtime_error if that is not finite.
  template <class Loss>
  double learn(const transformer::batch& b, Loss&& loss, const optimiser_settings& s, thread_pool& pool) {
    fill(gradient_, 0.0f, pool);
    transformer::accumulate_gradient(
        model_, parameters_, b, [&](microbatch<float>& part) { return loss(part), loss::loss_sum{}; }, lanes_,
        gradient_, pool);
    const double length = std::sqrt(squared_norm(gradient_, pool));
    if (!std::isfinite(length)) throw std::runtime_error("the gradient of an update is not finite");
    ++updates_;
    const double warm = transformer::rate_factor({.steps = s.warmup + 1, .warmup = s.warmup}, updates_);
    program::descend(parameters_, m_, v_, gradient_, updates_, s.clip,
                     {.learning_rate = s.rate * warm, .weight_decay = s.weight_decay}, pool);
    return length;
  }

  /// What a later run needs to go on: parameters, moments, number of updates.
  struct state {
    std::span<float> parameters, m, v;
    long& updates;
  };
  [[nodiscard]] state all() { return {parameters_, m_, v_, updates_}; }

 private:
  static constexpr index_t lanes = 4;

  transformer::decoder<float> model_;
  transformer::gradient_lanes<float> lanes_;
  std::vector<float> parameters_, m_, v_, gradient_;
  long updates_ = 0;
};

/// The part of @p x, @p width elements a row, that belongs to rows [first, first + rows); none of none.
template <class X>
std::span<X> rows_of(std::vector<X>& x, index_t first, index_t rows, index_t width = 1) {
  if (x.empty()) return {};
  return std::span(x).subspan(static_cast<std::size_t>(first * width), static_cast<std::size_t>(rows * width));
}

}  // namespace reason
