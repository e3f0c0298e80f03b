// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What each sample of a window adds to a probe's gradient, a row each, written by whoever measures it and added up in
/// the samples' order.
#pragma once
#include "hone/core/executor.hpp"
#include "hone/routing/detail/state_kernels.hpp"
#include "hone/routing/pooling.hpp"
#include "hone/routing/probe_objective.hpp"

#include <algorithm>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::routing::detail {

template <class A>
void check_probe_loss(const layer_probe<A>& probe, index_t samples, index_t layers, index_t width,
                      std::span<const double> labels, std::span<const std::size_t> order, const probe_objective& o,
                      std::span<double> gradient) {
  const char* function = "hone::routing::probe_loss";
  check_probe(probe, layers, width, function);
  invalid_argument_unless(std::ssize(labels) == samples, function, "labels", "has %zu elements, states %td samples",
                          labels.size(), samples);
  for (const std::size_t i : order)
    invalid_argument_unless(i < labels.size(), function, "order", "has index %zu of %zu", i, labels.size());
  invalid_argument_unless(gradient.empty() || std::ssize(gradient) == probe.size(), function, "gradient",
                          "has %zu elements, expected %td", gradient.size(), probe.size());
  check_output(gradient, function, "gradient");
  check_objective(o, function);
  invalid_argument_unless((o.kl == 0 && o.entropy == 0) || probe.shape.how == pooling::dirichlet, function,
                          "kl, entropy", "are %g and %g of a probe without concentrations", o.kl, o.entropy);
  invalid_argument_unless(o.noise != weight_noise::delta || probe.linear(), function, "noise",
                          "delta needs the variance of a linear head");
}

template <class A>
struct probe_records {
  std::vector<char> used;
  std::vector<A> inputs;  ///< of a linear head, times the factors, its gradient; of others what it was given
  std::vector<double> factors, bias;                              ///< of a linear head
  std::vector<A> values, deltas;                                  ///< of one with hidden layers, a record a draw
  std::vector<double> layer_slopes;                               ///< in theta and gamma
  std::vector<A> network_inputs, network_values, network_deltas;  ///< of the concentrations'
  index_t draws = 1;
  bool words = false;

  void open(const layer_probe<A>& probe, index_t count, index_t draws_each, bool learns) {
    const auto size = [count](index_t n) { return static_cast<std::size_t>(count * n); };
    draws = draws_each;
    used.assign(size(1), 0);
    if (!learns) return;
    inputs.resize(size((probe.linear() ? 1 : draws) * probe.shape.width));
    bias.resize(used.size());
    factors.resize(used.size());
    layer_slopes.resize(size(probe.shape.layers + 1));
    if (!probe.linear()) {
      values.resize(size(draws * probe.head().units()));
      deltas.resize(values.size());
    }
    if (probe.input_dependent()) {
      network_inputs.resize(size(probe.shape.width));
      network_values.resize(size(probe.concentration_network().units()));
      network_deltas.resize(network_values.size());
    }
  }

  /// Around the windows of one gradient: its part that is summed in words' order, if the `inputs` are in that.
  void begin(std::span<const double> gradient, index_t width) {
    ordered_sums_.resize(words ? static_cast<std::size_t>(width) : 0);
    if (words) order_by_words<false>(gradient.data(), width, ordered_sums_.data());
  }
  void end(std::span<double> gradient) const {
    order_by_words<true>(ordered_sums_.data(), std::ssize(ordered_sums_), gradient.data());
  }

  /// gradient += what the window's rows add, in their order.
  void fold(const layer_probe<A>& probe, index_t rows, std::span<double> gradient, executor_reference& pool) {
    const index_t width = probe.shape.width;
    const auto taken = [&](index_t r) { return used[static_cast<std::size_t>(r)] != 0; };
    if (probe.linear()) {
      const std::span<double> sums = words ? std::span<double>(ordered_sums_) : gradient;
      constexpr index_t columns = 1024;
      pool.parallel_for((width + columns - 1) / columns, index_t{1}, [&](index_t first, index_t last) {
        for (index_t j = first * columns; j < (std::min)(last * columns, width); j += columns)
          for (index_t r = 0; r < rows; ++r) {
            if (!taken(r)) continue;
            const double factor = factors[static_cast<std::size_t>(r)];
            const A* from = inputs.data() + r * width + j;
            double* to = sums.data() + j;
            const index_t count = (std::min)(columns, width - j);
            for (index_t i = 0; i < count; ++i) to[i] += factor * static_cast<double>(from[i]);
          }
      });
      for (index_t r = 0; r < rows; ++r)
        if (taken(r)) gradient[static_cast<std::size_t>(width)] += bias[static_cast<std::size_t>(r)];
    } else {
      probe.head().add_gradients(
          rows * draws, [&](index_t record) { return taken(record / draws); }, inputs.data(), width, values.data(),
          deltas.data(), gradient.data(), pool);
    }
    if (!probe.learns_layers()) return;
    double* to = gradient.data() + probe.head_size();
    if (probe.input_dependent()) {
      probe.concentration_network().add_gradients(rows, taken, network_inputs.data(), width, network_values.data(),
                                                  network_deltas.data(), to, pool);
      return;
    }
    const index_t layers = probe.shape.layers, count = probe.size() - probe.head_size();
    for (index_t r = 0; r < rows; ++r)
      if (taken(r))
        for (index_t l = 0; l < count; ++l) to[l] += layer_slopes[static_cast<std::size_t>(r * (layers + 1) + l)];
  }

 private:
  std::vector<double> ordered_sums_;
};

}  // namespace HONE_NAMESPACE::routing::detail
