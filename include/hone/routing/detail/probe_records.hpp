// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What each sample of a window adds to a probe's gradient, a row each, written by whoever measures it and added up in
/// the samples' order.
#pragma once
#include "hone/core/executor.hpp"
#include "hone/routing/detail/state_kernels.hpp"
#include "hone/routing/pooling.hpp"

#include <algorithm>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::routing::detail {

template <class A>
struct probe_records {
  std::vector<char> used;
  std::vector<A> inputs;  ///< of a linear head, times the factors, its gradient; of others what it was given
  std::vector<double> factors, bias;                              ///< of a linear head
  std::vector<A> values, deltas;                                  ///< of one with hidden layers, a record a draw
  std::vector<double> layer_slopes;                               ///< in theta and gamma
  std::vector<A> network_inputs, network_values, network_deltas;  ///< of the concentrations'
  std::vector<std::size_t> places;                                ///< of elements among words
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

  /// Whether `inputs` are in words' order.
  void set_words(bool yes, index_t width) {
    words = yes;
    places.resize(yes ? static_cast<std::size_t>(width) : 0);
    for (std::size_t j = 0; j < places.size(); ++j)
      places[j] = static_cast<std::size_t>(word_place(static_cast<index_t>(j), width));
  }

  /// gradient += what the window's rows add, in their order.
  void fold(const layer_probe<A>& probe, index_t rows, std::span<double> gradient, executor_reference& pool) {
    const index_t width = probe.shape.width;
    const auto taken = [&](index_t r) { return used[static_cast<std::size_t>(r)] != 0; };
    if (probe.linear()) {
      std::span<double> sums = gradient.first(static_cast<std::size_t>(width));
      if (words) {
        ordered_sums_.resize(sums.size());
        for (std::size_t j = 0; j < sums.size(); ++j) ordered_sums_[places[j]] = sums[j];
        sums = ordered_sums_;
      }
      constexpr index_t columns = 1024;
      pool.parallel_for((width + columns - 1) / columns, index_t{1}, [&](index_t first, index_t last) {
        for (index_t j = first * columns; j < (std::min)(last * columns, width); j += columns)
          for (index_t r = 0; r < rows; ++r) {
            if (!taken(r)) continue;
            const double factor = factors[static_cast<std::size_t>(r)];
            const A* from = inputs.data() + r * width;
            for (index_t i = j; i < (std::min)(j + columns, width); ++i)
              sums[static_cast<std::size_t>(i)] += factor * static_cast<double>(from[i]);
          }
      });
      if (words)
        for (std::size_t j = 0; j < sums.size(); ++j) gradient[j] = ordered_sums_[places[j]];
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
