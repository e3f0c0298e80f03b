// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Training of a probe as published [zhuchichi56/RouterXBench, src/train_router.py]: Adam on the mean loss of batches
/// in an order of each epoch's own. After each epoch the loss on other samples, with mean weights, decides on three
/// things:
///   the rate is halved where more than 5 epochs have not brought it down by 1 in 10,000 (PyTorch's ReduceLROnPlateau)
///   the parameters of the least loss are kept
///   training ends where 8 epochs have not bettered it, from the epoch after number 10 on
#pragma once
#include "hone/core/shuffler.hpp"
#include "hone/gradient/descend.hpp"
#include "hone/routing/probe_loss.hpp"

#include <vector>

namespace HONE_NAMESPACE::routing {

struct probe_training_options {
  double rate = 1e-4;  ///< of Adam
  index_t batch = 192;
  index_t epochs = 50;
  double factor = 0.5;        ///< on the rate on a plateau
  index_t patience = 5;       ///< epochs without progress that are borne before that
  double threshold = 1e-4;    ///< relative, of what is progress
  index_t stop_patience = 8;  ///< epochs without a better loss until training ends; 0: never
  index_t least_epochs = 11;  ///< the number of epochs after which it may
  std::uint64_t seed = 42;    ///< of orders and draws
};

struct probe_epoch {
  double loss = 0;        ///< the mean as it went, with draws and regularisers
  double validation = 0;  ///< the mean on the other samples, with mean weights; the training's of none
  double accuracy = 0;    ///< there
  double rate = 0;        ///< that it was trained at
};

template <std::floating_point A = float>
struct probe_training {
  layer_probe<A> probe;  ///< of the best epoch
  std::vector<probe_epoch> epochs = {};
  index_t best = -1;    ///< epoch; -1: none was measured, the probe is as it began
  index_t invalid = 0;  ///< samples left out of training
  index_t validation_invalid = 0;
};

/// Lowers a rate as PyTorch's ReduceLROnPlateau(min) does.
class plateau_schedule {
 public:
  plateau_schedule(double factor, index_t patience, double threshold)
      : factor_(factor), threshold_(threshold), patience_(patience) {}
  /// The rate after @p loss was measured.
  double next(double loss, double rate) {
    if (loss < best_ * (1 - threshold_)) {
      best_ = loss;
      waited_ = 0;
    } else if (++waited_ > patience_) {
      waited_ = 0;
      return rate * factor_;
    }
    return rate;
  }

 private:
  double factor_, threshold_, best_ = std::numeric_limits<double>::infinity();
  index_t patience_, waited_ = 0;
};

/// Sets the probe's standardisation to the mean and deviation, with count - 1 and at least 1e-6, of each element of
/// samples @p order, those that are all finite, of which it returns how many; of fewer than two it stays as it is.
/// @note Two reads of the states, the second shared out by layers; sums in double, of distances from the first sample.
template <std::floating_point A, scalar T, executor E = const serial>
index_t fit_standardisation(layer_probe<A>& probe, const states_view<T>& states, std::span<const std::size_t> order,
                            E&& pool = serial{}) {
  const char* function = "hone::routing::fit_standardisation";
  detail::check_probe(probe, states.layers(), states.width(), function);
  std::vector<std::size_t> kept;
  for (const std::size_t i : order) {
    invalid_argument_unless(static_cast<index_t>(i) < states.samples(), function, "order", "has index %zu of %td", i,
                            states.samples());
    kept.push_back(i);
  }
  const index_t layers = states.layers(), d = states.width();
  std::vector<char> finite(kept.size(), 1);
  pool.parallel_for(std::ssize(kept), index_t{1}, [&](index_t begin, index_t end) {
    for (index_t k = begin; k < end; ++k) {
      const auto z = states.sample(static_cast<index_t>(kept[static_cast<std::size_t>(k)]));
      for (index_t l = 0; l < layers; ++l)
        if (count_nonfinite(z.row(l)) > 0) finite[static_cast<std::size_t>(k)] = 0;
    }
  });
  std::vector<std::size_t> used;
  for (std::size_t k = 0; k < kept.size(); ++k)
    if (finite[k] != 0) used.push_back(kept[k]);
  if (used.size() < 2) return std::ssize(used);
  probe.mean.resize(static_cast<std::size_t>(layers * d));
  probe.inverse.resize(probe.mean.size());
  pool.parallel_for(layers, index_t{1}, [&](index_t begin, index_t end) {
    std::vector<double> first(static_cast<std::size_t>(d)), sums(first), squares(first);
    for (index_t l = begin; l < end; ++l) {
      const auto at = [&](std::size_t i, index_t j) {
        return static_cast<double>(to_accumulator(states.sample(static_cast<index_t>(i))(l, j)));
      };
      sums.assign(sums.size(), 0);
      squares.assign(squares.size(), 0);
      for (index_t j = 0; j < d; ++j) first[static_cast<std::size_t>(j)] = at(used[0], j);
      for (const std::size_t i : used)
        for (index_t j = 0; j < d; ++j) {
          const auto k = static_cast<std::size_t>(j);
          const double distance = at(i, j) - first[k];
          sums[k] += distance;
          squares[k] += distance * distance;
        }
      const auto count = static_cast<double>(used.size());
      for (index_t j = 0; j < d; ++j) {
        const auto k = static_cast<std::size_t>(j), to = static_cast<std::size_t>(l * d + j);
        const double variance = (squares[k] - sums[k] * sums[k] / count) / (count - 1);
        probe.mean[to] = static_cast<A>(first[k] + sums[k] / count);
        probe.inverse[to] = static_cast<A>(1 / (std::max)(std::sqrt((std::max)(variance, 0.0)), 1e-6));
      }
    }
  });
  return std::ssize(used);
}

/// Trains @p probe, as `initialise_probe` or another training left it, on samples @p order of @p states (N x L x d, of
/// any storage that computes in A, memory-mapped too) with @p labels (N) in [0, 1]; @p validation are samples of the
/// same states that are not learnt from, none for the training's own loss in their place.
/// @throws std::invalid_argument if the sizes do not fit, an index or an option is out of range.
/// @note Each epoch one read of the samples; nothing of the set is copied. Memory: the parameters six times and what 64
///       samples add. Draws are addressed by (seed, epoch, sample, draw, layer). Bitwise for any executor.
template <std::floating_point A, scalar T, executor E = const serial>
probe_training<A> train_probe(layer_probe<A> probe, const states_view<T>& states, std::span<const double> labels,
                              std::span<const std::size_t> order, std::span<const std::size_t> validation,
                              const probe_objective& objective = {}, const probe_training_options& options = {},
                              E&& pool = serial{}) {
  const char* function = "hone::routing::train_probe";
  invalid_argument_unless(options.batch > 0, function, "batch", "must be positive, is %td", options.batch);
  invalid_argument_unless(options.epochs >= 0, function, "epochs", "must not be negative, is %td", options.epochs);
  invalid_argument_unless(options.factor > 0 && options.factor <= 1, function, "factor", "must be in (0, 1], is %g",
                          options.factor);
  invalid_argument_unless(options.threshold >= 0 && options.threshold < 1, function, "threshold",
                          "must be in [0, 1), is %g", options.threshold);
  invalid_argument_unless(options.patience >= 0 && options.stop_patience >= 0, function, "patience",
                          "must not be negative, is %td or %td", options.patience, options.stop_patience);
  probe_evaluator<A> evaluator;
  const executor_reference workers(pool);
  {
    probe_loss nothing;  // what is wrong is said before anything is read
    evaluator.add(probe, states, labels, {}, objective, {}, nothing, {}, workers);
  }
  probe_training<A> result{.probe = probe};
  std::vector<double> sums(probe.parameters.size());
  std::vector<A> gradient(sums.size()), m(sums.size()), v(sums.size());
  std::vector<std::size_t> samples(order.size());
  const auto size = static_cast<std::size_t>(options.batch);
  plateau_schedule schedule(options.factor, options.patience, options.threshold);
  const philox draws{options.seed, 8}, orders{options.seed, 4};
  const probe_objective plain{.noise = weight_noise::mean,
                              .positive_weight = objective.positive_weight,
                              .negative_weight = objective.negative_weight};
  double rate = options.rate, best = std::numeric_limits<double>::infinity();
  index_t step = 0, waited = 0;
  for (index_t epoch = 0; epoch < options.epochs && !order.empty(); ++epoch) {
    std::copy(order.begin(), order.end(), samples.begin());
    const auto number = static_cast<std::uint64_t>(epoch);
    const philox own = epoch_random(draws, number), shuffled = epoch_random(orders, number);
    shuffle(samples, [&](std::size_t i) { return shuffled.uniform(i); });
    probe_loss total;
    for (std::size_t begin = 0; begin < samples.size(); begin += size) {
      const auto batch = std::span<const std::size_t>(samples).subspan(begin, (std::min)(size, samples.size() - begin));
      sums.assign(sums.size(), 0);
      const index_t before = total.count;
      evaluator.add(probe, states, labels, batch, objective, own, total, std::span<double>(sums), workers);
      if (total.count == before) continue;
      const double share = 1 / static_cast<double>(total.count - before);
      for (std::size_t i = 0; i < sums.size(); ++i) gradient[i] = static_cast<A>(share * sums[i]);
      gradient::descend(std::span<A>(probe.parameters), std::span<A>(m), std::span<A>(v), std::span<const A>(gradient),
                        ++step, {.rate = rate}, pool);
    }
    result.invalid = total.invalid;
    if (total.count == 0) break;
    probe_epoch done{.loss = total.sum / static_cast<double>(total.count), .rate = rate};
    probe_loss other = total;
    if (!validation.empty()) {
      other = {};
      evaluator.add(probe, states, labels, validation, plain, {}, other, {}, workers);
      result.validation_invalid = other.invalid;
    }
    const auto count = static_cast<double>(other.count);
    done.validation = validation.empty() ? done.loss : other.sum / count;  // NaN, which betters nothing, of none
    done.accuracy = other.count > 0 ? static_cast<double>(other.right) / count : 0;
    result.epochs.push_back(done);
    if (done.validation < best) {
      best = done.validation;
      waited = 0;
      result.best = epoch;
      result.probe.parameters = probe.parameters;
    } else {
      ++waited;
    }
    rate = schedule.next(done.validation, rate);
    if (options.stop_patience > 0 && waited >= options.stop_patience && epoch >= options.least_epochs) break;
  }
  return result;
}

}  // namespace HONE_NAMESPACE::routing
