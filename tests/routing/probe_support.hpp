// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The probe and states of the reference vectors R.4, and states drawn at random.
#pragma once
#include "hone/core/random.hpp"
#include "hone/routing/pooling.hpp"

#include <numeric>
#include <vector>

namespace probe_test {

using numbers = std::vector<double>;

inline const numbers reference_states = {0.5, -1,  0.25, 2, 1,    0,     -0.5, 0.75, -0.25, 1.5, 0.5,  -1,
                                         -1,  0.5, 1,    0, 0.25, -0.75, 1.25, 0.5,  2,     1,   -1.5, 0.25};
inline const numbers reference_labels = {1, 0};

/// w = (0.3, -0.2, 0.5, 0.1), b = 0.05; theta = (0.2, -0.5, 1), gamma = 0.7 of R.1; layer 1 where it is fixed.
inline hone::routing::layer_probe<double> reference_probe(hone::routing::pooling how) {
  hone::routing::layer_probe<double> probe{.shape = {.how = how, .layers = 3, .width = 4, .layer = 1}};
  probe.parameters = {0.3, -0.2, 0.5, 0.1, 0.05};
  if (probe.learns_layers()) probe.parameters.insert(probe.parameters.end(), {0.2, -0.5, 1.0});
  if (how == hone::routing::pooling::dirichlet) probe.parameters.push_back(0.7);
  return probe;
}

inline std::vector<std::size_t> all_of(std::size_t count) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

/// Normal states, N x L x d; labels that follow one direction of the last layer, one in ten wrong.
template <hone::scalar T>
struct drawn_states {
  hone::index_t layers, width;
  std::vector<T> x;
  numbers labels;

  drawn_states(hone::index_t samples, hone::index_t l, hone::index_t d) : layers(l), width(d) {
    const hone::philox random{17};
    for (hone::index_t i = 0; i < samples; ++i) {
      double signal = 0;
      for (hone::index_t at = 0; at < l * d; ++at) {
        const double z = random.normal(static_cast<std::uint64_t>(i * l * d + at));
        x.push_back(hone::from_accumulator<T>(static_cast<hone::accumulator_t<T>>(z)));
        if (at >= (l - 1) * d && at < (l - 1) * d + 3) signal += z;
      }
      labels.push_back((signal > 0) != (i % 10 == 3) ? 1 : 0);
    }
  }
  [[nodiscard]] hone::routing::states_view<const T> view() const {
    return {x.data(), std::ssize(labels), layers, width};
  }
};

}  // namespace probe_test
