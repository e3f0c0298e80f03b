// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The loss of a probe and its gradient over samples of states, forward and backward in one visit of each: the states
/// are read once from memory, the second pass finds them in the cache (33 x 4096 floats are 0.5 MB). What a sample adds
/// is computed by whoever takes it, rounded to the parameters' type, and added to double in the samples' order: neither
/// threads nor the cut into batches change a bit.
#pragma once
#include "hone/core/executor.hpp"
#include "hone/routing/detail/probe_records.hpp"
#include "hone/routing/detail/state_kernels.hpp"
#include "hone/routing/pooling.hpp"
#include "hone/routing/probe_objective.hpp"

#include <limits>
#include <numeric>
#include <optional>

namespace HONE_NAMESPACE::routing {

/// Sums and counts, to be divided by the caller.
struct probe_loss {
  double sum = 0;
  index_t count = 0;
  index_t right = 0;    ///< labels of which the logit is on the side of 1/2
  index_t invalid = 0;  ///< samples left out: a state that is not finite, or a label that is not in [0, 1]
};

/// Measures probes; what it needs beside the states it keeps from one batch to the next.
template <std::floating_point A>
class probe_evaluator {
 public:
  /// Adds the losses of samples @p order to @p total, and their gradient (probe.size(), or none) to @p gradient.
  /// @param labels of all samples; @param order indices of samples
  /// @param random of this epoch (`epoch_random`); stream s draws weights, s + 1 and s + 2 what is dropped
  /// @throws std::invalid_argument, before anything is written, if sizes do not fit, an index or an option is out of
  ///         range, or the probe has not what the objective asks of it.
  /// @note One read of the states, twice the layers' products a sample; a Dirichlet draw some 5 us of 33 layers. Keeps
  ///       what 64 samples add. Bitwise for any executor and any cut of @p order.
  template <scalar T>
  void add(const layer_probe<A>& probe, const states_view<T>& states, std::span<const double> labels,
           std::span<const std::size_t> order, const probe_objective& objective, const philox& random,
           probe_loss& total, std::span<double> gradient, executor_reference pool) {
    static_assert(std::is_same_v<accumulator_t<T>, A>,
                  "hone::routing::probe_evaluator: states and parameters compute in different types");
    detail::check_probe_loss(probe, states.samples(), states.layers(), states.width(), labels, order, objective,
                             gradient);
    open(probe, objective, !gradient.empty(), pool.concurrency());
    const states_view<const T> all = states;
    set_words(probe, !order.empty() && detail::reads_words(all.sample(0), !probe.mean.empty()));
    if (!gradient.empty()) records_.begin(gradient, probe.shape.width);
    for (std::size_t begin = 0; begin < order.size(); begin += static_cast<std::size_t>(rows_)) {
      const auto window = order.subspan(begin, (std::min)(static_cast<std::size_t>(rows_), order.size() - begin));
      pool.parallel_for(std::ssize(window), index_t{1}, [&](index_t first, index_t last) {
        scratch fresh;
        scratch& own = window.size() == 1 ? alone_ : fresh;
        for (index_t r = first; r < last; ++r) {
          const std::size_t i = window[static_cast<std::size_t>(r)];
          const std::size_t place = begin + static_cast<std::size_t>(r),
                            after = place + 1 < order.size() ? order[place + 1] : i;
          const detail::sample_states<T> z{all.sample(static_cast<index_t>(i)),
                                           probe.mean.empty() ? nullptr : probe.mean.data(), probe.inverse.data(),
                                           all.sample(static_cast<index_t>(after))};
          measure(probe, z, i, labels[i], objective, random, r, own);
        }
      });
      for (std::size_t r = 0; r < window.size(); ++r) {
        const bool used = records_.used[r] != 0;
        total.invalid += !used;
        if (!used) continue;
        ++total.count;
        total.sum += losses_[r];
        total.right += (logits_[r] > 0) == (labels[window[r]] > 0.5);
      }
      if (!gradient.empty()) records_.fold(probe, std::ssize(window), gradient, pool);
    }
    if (!gradient.empty()) records_.end(gradient);
  }

  /// The logits of samples @p order into @p logits, with mean weights; NaN where a state is not finite.
  template <scalar T>
  void score(const layer_probe<A>& probe, const states_view<T>& states, std::span<double> logits,
             executor_reference pool) {
    static const probe_objective plain{.noise = weight_noise::mean};
    open(probe, plain, false, pool.concurrency());
    const states_view<const T> all = states;
    set_words(probe, detail::reads_words(all.sample(0), !probe.mean.empty()));
    pool.parallel_for(states.samples(), index_t{1}, [&](index_t first, index_t last) {
      scratch own;
      for (index_t i = first; i < last; ++i) {
        const detail::sample_states<T> z{all.sample(i), probe.mean.empty() ? nullptr : probe.mean.data(),
                                         probe.inverse.data(), all.sample(i + 1 < states.samples() ? i + 1 : i)};
        const double logit = measure(probe, z, 0, 0.5, plain, {}, -1, own);
        logits[static_cast<std::size_t>(i)] = logit;
      }
    });
  }

 private:
  /// What a worker needs for one sample.
  struct scratch {
    std::vector<double> u, alpha, mean;
    std::vector<A> input, f, values, deltas, slope, network_values, network_deltas;
    sample_terms terms;
    dirichlet_draw draw;
    std::optional<dirichlet_gradient> gradient;
  };

  void open(const layer_probe<A>& probe, const probe_objective& objective, bool learns, index_t workers) {
    const probe_shape& s = probe.shape;
    learns_ = learns;
    head_ = probe.head();
    sampled_ = s.how == pooling::dirichlet && objective.noise == weight_noise::sampled;
    delta_ = s.how == pooling::dirichlet && objective.noise == weight_noise::delta;
    draws_ = sampled_ ? objective.draws : 1;
    const auto layers = static_cast<std::size_t>(s.layers);
    active_.assign(1, s.how == pooling::fixed ? s.layer : s.layers - 1);
    if (s.how != pooling::fixed && s.how != pooling::last) {
      active_.resize(layers);
      std::iota(active_.begin(), active_.end(), index_t{0});
    }
    gradient_.reset();
    regulariser_ = 0;
    regulariser_slope_.assign(layers, 0);
    if (probe.input_dependent()) {
      network_ = probe.concentration_network();
    } else if (s.how != pooling::max) {
      mean_ = mean_weights(probe);
      alpha_ = mean_;
      if (s.how == pooling::dirichlet) {
        alpha_ = concentrations(probe);
        add_regularisers(alpha_, objective, regulariser_, regulariser_slope_);
      }
      if (sampled_) gradient_.emplace(alpha_, objective.form);
    }
    total_ = 1;  // of softmax
    if (s.how == pooling::dirichlet && !probe.input_dependent())
      total_ = std::exp(static_cast<double>(probe.log_concentration()));
    // What one worker alone adds need not leave its cache; networks' gradients want many samples at once.
    const bool alone = workers == 1 && probe.linear() && !probe.input_dependent();
    rows_ = alone ? 1 : probe.linear() ? 64 : (std::max)(index_t{1}, 64 / draws_);
    const auto rows = static_cast<std::size_t>(rows_);
    losses_.resize(rows);
    logits_.resize(rows);
    records_.open(probe, rows_, draws_, learns);
  }

  /// How the states are read, and w beside them.
  void set_words(const layer_probe<A>& probe, bool words) {
    words_ = words && probe.linear();
    records_.words = words_;
    ordered_.resize(words_ ? static_cast<std::size_t>(probe.shape.width) : 0);
    if (words_) detail::order_by_words<false>(probe.parameters.data(), probe.shape.width, ordered_.data());
  }

  /// Sample @p i's logit with mean weights, or its loss and what it adds at row @p r; NaN, and not used, where a state
  /// is not finite.
  template <scalar T>
  double measure(const layer_probe<A>& probe, const detail::sample_states<T>& z, std::size_t i, double label,
                 const probe_objective& objective, const philox& random, index_t r, scratch& own) {
    const probe_shape& s = probe.shape;
    const auto layers = static_cast<std::size_t>(s.layers), width = static_cast<std::size_t>(s.width);
    const double nothing = std::numeric_limits<double>::quiet_NaN();
    const auto row = static_cast<std::size_t>((std::max)(r, index_t{0}));
    if (r >= 0) records_.used[row] = 0;
    if (!(label >= 0 && label <= 1)) return nothing;
    own.terms.clear(layers);
    std::span<const double> mean = mean_, alpha = alpha_;
    const dirichlet_gradient* gradient = gradient_ ? &*gradient_ : nullptr;
    double total = total_;
    if (probe.input_dependent()) {
      own.mean.assign(layers, 1 / static_cast<double>(s.layers));
      own.input.resize(width);
      detail::combine_layers(z, own.mean, active_, own.input.data());
      own.network_values.resize(static_cast<std::size_t>(network_.units()));
      network_.forward(probe.parameters.data() + probe.head_size(), own.input.data(), own.network_values.data(),
                       {objective.dropout,
                        {random.seed, random.stream + 2},
                        draw_index(i, 0) * static_cast<std::uint64_t>(network_.units())});
      own.alpha.resize(layers);
      total = 0;
      for (std::size_t l = 0; l < layers; ++l) {
        const double o = raw_concentration(own, l);
        if (!std::isfinite(o)) return nothing;
        total += own.alpha[l] = -log_sigmoid(-o) + 1e-6;
      }
      for (std::size_t l = 0; l < layers; ++l) own.mean[l] = own.alpha[l] / total;
      mean = own.mean;
      alpha = own.alpha;
      if (sampled_) gradient = &own.gradient.emplace(alpha, objective.form);
    }
    const double logit =
        probe.linear() ? measure_linear(probe, z, i, label, objective, random, mean, alpha, total, gradient, r, own)
                       : measure_head(probe, z, i, label, objective, random, mean, alpha, total, gradient, r, own);
    if (r < 0 || !std::isfinite(logit)) return std::isfinite(logit) ? logit : nothing;
    records_.used[row] = 1;
    logits_[row] = logit;
    if (probe.input_dependent()) {
      add_regularisers(alpha, objective, own.terms.loss, own.terms.alpha);
    } else {
      own.terms.loss += regulariser_;
      for (std::size_t l = 0; l < layers; ++l) own.terms.alpha[l] += regulariser_slope_[l];
    }
    losses_[row] = own.terms.loss;
    if (learns_ && probe.learns_layers()) chain(probe, objective, mean, alpha, row, own);
    return logit;
  }

  double raw_concentration(const scratch& own, std::size_t l) const {
    return static_cast<double>(own.network_values[own.network_values.size() - own.alpha.size() + l]);
  }

  /// Whether all states are finite.
  template <scalar T>
  bool take_largest(const detail::sample_states<T>& z, scratch& own) const {
    own.u.resize(active_.size());
    detail::pass_over<detail::layer_pass::largest>(words_, z, nullptr, active_, nullptr, own.u.data(), own.f.data());
    return std::all_of(own.u.begin(), own.u.end(), [](double sum) { return sum == 0; });
  }

  template <scalar T>
  double measure_linear(const layer_probe<A>& probe, const detail::sample_states<T>& z, std::size_t i, double label,
                        const probe_objective& objective, const philox& random, std::span<const double> mean,
                        std::span<const double> alpha, double total, const dirichlet_gradient* gradient, index_t r,
                        scratch& own) {
    const index_t width = probe.shape.width;
    const auto bias = static_cast<double>(probe.bias());
    const bool learns = learns_ && r >= 0;
    A* out = learns ? records_.inputs.data() + r * width : nullptr;
    if (probe.shape.how == pooling::max) {
      own.f.resize(static_cast<std::size_t>(width));
      if (!take_largest(z, own)) return std::numeric_limits<double>::quiet_NaN();
      const double logit = dot(own.f, words_ ? std::span<const A>(ordered_) : probe.weights()) + bias;
      const logit_terms t = binary_loss(label, logit, objective.positive_weight, objective.negative_weight);
      own.terms.loss = t.loss;
      if (learns) {
        records_.bias[static_cast<std::size_t>(r)] = t.slope;
        records_.factors[static_cast<std::size_t>(r)] = t.slope;
        std::copy(own.f.begin(), own.f.end(), out);
      }
      return logit;
    }
    own.u.assign(mean.size(), 0);
    const A* w = words_ ? ordered_.data() : probe.parameters.data();
    const bool drawn = sampled_ && r >= 0;
    // Of one set of weights, which are known before the states are read, nothing but the slope is left to come.
    const bool once = learns && !delta_ && draws_ == 1;
    if (drawn) own.draw.sample(alpha, random, draw_index(i, 0));
    const std::span<const double> weights = drawn ? own.draw.weights() : mean;
    if (once)
      detail::pass_over<detail::layer_pass::both>(words_, z, w, active_, weights.data(), own.u.data(), out);
    else
      detail::pass_over<detail::layer_pass::multiply>(words_, z, w, active_, nullptr, own.u.data(), nullptr);
    for (const index_t l : active_)
      if (!std::isfinite(own.u[static_cast<std::size_t>(l)])) return std::numeric_limits<double>::quiet_NaN();
    double logit = 0;
    if (drawn) {
      for (index_t k = 0; k < draws_; ++k) {
        if (k > 0) own.draw.sample(alpha, random, draw_index(i, k));
        logit += add_drawn_terms(own.u, bias, label, objective, own.draw, *gradient, 1 / static_cast<double>(draws_),
                                 own.terms);
      }
      logit /= static_cast<double>(draws_);
    } else {
      logit = add_mean_terms(own.u, bias, label, objective, mean, total, delta_, own.terms);
    }
    if (learns) {
      records_.bias[static_cast<std::size_t>(r)] = own.terms.bias;
      records_.factors[static_cast<std::size_t>(r)] = once ? own.terms.bias : 1;
      if (!once)
        detail::pass_over<detail::layer_pass::combine>(words_, z, nullptr, active_, own.terms.layers.data(), nullptr,
                                                       out);
    }
    return logit;
  }

  template <scalar T>
  double measure_head(const layer_probe<A>& probe, const detail::sample_states<T>& z, std::size_t i, double label,
                      const probe_objective& objective, const philox& random, std::span<const double> mean,
                      std::span<const double> alpha, double total, const dirichlet_gradient* gradient, index_t r,
                      scratch& own) {
    const index_t width = probe.shape.width, units = head_.units();
    const bool learns = learns_ && r >= 0, drawn = sampled_ && r >= 0;
    const index_t draws = r >= 0 ? draws_ : 1;
    own.f.resize(static_cast<std::size_t>(width));
    own.slope.resize(own.f.size());
    own.values.resize(static_cast<std::size_t>(units));
    own.deltas.resize(own.values.size());
    own.u.assign(static_cast<std::size_t>(probe.shape.layers), 0);
    const double share = 1 / static_cast<double>(draws);
    double logit_sum = 0;
    for (index_t k = 0; k < draws; ++k) {
      if (probe.shape.how == pooling::max) {
        if (!take_largest(z, own)) return std::numeric_limits<double>::quiet_NaN();
      } else {
        if (drawn) own.draw.sample(alpha, random, draw_index(i, k));
        detail::combine_layers(z, drawn ? own.draw.weights() : mean, active_, own.f.data());
        if (count_nonfinite(own.f) > 0) return std::numeric_limits<double>::quiet_NaN();
      }
      head_.forward(probe.parameters.data(), own.f.data(), own.values.data(),
                    {r >= 0 ? objective.dropout : 0,
                     {random.seed, random.stream + 1},
                     draw_index(i, k) * static_cast<std::uint64_t>(units)});
      const auto logit = static_cast<double>(own.values.back());
      logit_sum += logit;
      if (r < 0) continue;
      const logit_terms t = binary_loss(label, logit, objective.positive_weight, objective.negative_weight);
      own.terms.loss += share * t.loss;
      if (!learns) continue;
      own.deltas.back() = static_cast<A>(share * t.slope);
      head_.backward(probe.parameters.data(), own.values.data(), own.deltas.data(), objective.dropout,
                     probe.learns_layers() ? own.slope.data() : nullptr);
      const index_t record = r * draws + k;
      std::copy(own.f.begin(), own.f.end(), records_.inputs.begin() + record * width);
      std::copy(own.values.begin(), own.values.end(), records_.values.begin() + record * units);
      std::copy(own.deltas.begin(), own.deltas.end(), records_.deltas.begin() + record * units);
      if (!probe.learns_layers()) continue;
      detail::multiply_layers(z, own.slope.data(), active_, own.u);
      if (drawn) {
        gradient->add(own.draw, own.u, 1, own.terms.alpha);
      } else {
        double middle = 0;
        for (std::size_t l = 0; l < own.u.size(); ++l) middle += mean[l] * own.u[l];
        for (std::size_t l = 0; l < own.u.size(); ++l) own.terms.alpha[l] += (own.u[l] - middle) / total;
      }
    }
    return logit_sum * share;
  }

  /// From the concentrations to theta and gamma, or into their network.
  void chain(const layer_probe<A>& probe, const probe_objective& objective, std::span<const double> mean,
             std::span<const double> alpha, std::size_t r, scratch& own) {
    const std::size_t layers = alpha.size();
    if (!probe.input_dependent()) {
      double sum = 0;
      for (std::size_t l = 0; l < layers; ++l) sum += alpha[l] * own.terms.alpha[l];
      double* to = records_.layer_slopes.data() + r * (layers + 1);
      for (std::size_t l = 0; l < layers; ++l) to[l] = alpha[l] * own.terms.alpha[l] - mean[l] * sum;
      to[layers] = sampled_ || delta_ || objective.kl != 0 || objective.entropy != 0 ? sum : 0;
      return;
    }
    const auto units = static_cast<std::size_t>(network_.units());
    own.network_deltas.resize(units);
    for (std::size_t l = 0; l < layers; ++l)
      own.network_deltas[units - layers + l] = static_cast<A>(own.terms.alpha[l] * sigmoid(raw_concentration(own, l)));
    network_.backward(probe.parameters.data() + probe.head_size(), own.network_values.data(), own.network_deltas.data(),
                      objective.dropout, static_cast<A*>(nullptr));
    const auto at = [r](std::size_t n) { return static_cast<std::ptrdiff_t>(r * n); };
    std::copy(own.input.begin(), own.input.end(), records_.network_inputs.begin() + at(own.input.size()));
    std::copy(own.network_values.begin(), own.network_values.end(), records_.network_values.begin() + at(units));
    std::copy(own.network_deltas.begin(), own.network_deltas.end(), records_.network_deltas.begin() + at(units));
  }

  detail::perceptron head_, network_;
  bool learns_ = false, sampled_ = false, delta_ = false, words_ = false;
  index_t draws_ = 1, rows_ = 64;
  double total_ = 1, regulariser_ = 0;
  std::vector<index_t> active_;
  std::vector<A> ordered_;  // w in words' order
  std::vector<double> mean_, alpha_, regulariser_slope_;
  std::optional<dirichlet_gradient> gradient_;
  std::vector<double> losses_, logits_;
  scratch alone_;
  detail::probe_records<A> records_;
};

/// As `probe_evaluator::add`, once.
template <std::floating_point A, scalar T, executor E = const serial>
void add_probe_loss(const layer_probe<A>& probe, const states_view<T>& states, std::span<const double> labels,
                    std::span<const std::size_t> order, const probe_objective& objective, const philox& random,
                    probe_loss& total, std::span<double> gradient, E&& pool = serial{}) {
  probe_evaluator<A>().add(probe, states, labels, order, objective, random, total, gradient, executor_reference(pool));
}

/// The logits of all samples of @p states into @p logits (N), with mean weights: larger, the model is more likely
/// right, sigmoid(logit) how likely. NaN of a sample with a state, of the layers that the probe reads, that is not
/// finite; returns how many.
/// @throws std::invalid_argument, before anything is written, if the sizes do not fit.
/// @note One read of those layers. Bitwise for any executor.
template <std::floating_point A, scalar T, executor E = const serial>
index_t score_probe(const layer_probe<A>& probe, const states_view<T>& states, std::span<double> logits,
                    E&& pool = serial{}) {
  const char* function = "hone::routing::score_probe";
  detail::check_probe(probe, states.layers(), states.width(), function);
  invalid_argument_unless(std::ssize(logits) == states.samples(), function, "logits",
                          "has %zu elements, states %td samples", logits.size(), states.samples());
  check_output(logits, function, "logits");
  probe_evaluator<A>().score(probe, states, logits, executor_reference(pool));
  index_t none = 0;
  for (const double logit : logits) none += std::isnan(logit);
  return none;
}

}  // namespace HONE_NAMESPACE::routing
