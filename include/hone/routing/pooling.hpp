// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Probes on the hidden states of a small model that say how likely it is right: layers are pooled into one vector,
/// f = sum_l W_l z_l, a head makes it a logit. Which layers, is the pooling:
///   fixed, last    one layer, or the last                             (hs_mlp, ProbeFinal)
///   mean, max      W = 1 / L; the largest of each element over layers
///   softmax        W = softmax(theta), learnt                         (dynamic_softmax)
///   dirichlet      in training W ~ Dir(exp(gamma) softmax(theta)), a draw a sample; in use its mean, softmax(theta)
/// [ProbeDirichlet: arXiv 2602.11877; zhuchichi56/RouterXBench, src/train_router.py; the names in brackets are its]
///
/// With a linear head the logit is sum_l W_l u_l + b, u_l = <w, z_l>: all there is to know of a sample are L numbers,
/// and in use one vector v_l = W_l w a layer (`fold`). gamma changes the noise of training, and no score.
/// An earlier revision of the authors' code made the concentrations of the mean state x of the layers, by a network:
/// alpha(x) = softplus(network(x)) + 1e-6; here `layer_probe::concentration_layers`.
#pragma once
#include "hone/core/sigmoid.hpp"
#include "hone/routing/detail/perceptron.hpp"
#include "hone/routing/dirichlet.hpp"
#include "hone/routing/features.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::routing {

enum class pooling : std::uint8_t { fixed, last, mean, max, softmax, dirichlet };

/// What a probe is made of.
struct probe_shape {
  pooling how = pooling::dirichlet;
  index_t layers = 0;
  index_t width = 0;
  index_t layer = 0;                               ///< of `fixed`
  std::vector<index_t> hidden = {};                ///< of the head: none, a linear one
  std::vector<index_t> concentration_layers = {};  ///< hidden layers of alpha's network: none, alpha is global
};

/// A probe's parameters are one vector: the head's (W by rows, then b, layer by layer; w and b of a linear one), then
/// theta (L) of softmax and Dirichlet, gamma of Dirichlet; or, where alpha depends on the input, its network's.
template <std::floating_point A = float>
struct layer_probe {
  probe_shape shape;
  std::vector<A> mean = {};     ///< of each state's element, L x d; none: states are read as they are
  std::vector<A> inverse = {};  ///< 1 / deviation
  std::vector<A> parameters = {};

  [[nodiscard]] detail::perceptron head() const { return {shape.width, shape.hidden, 1}; }
  [[nodiscard]] detail::perceptron concentration_network() const {
    return {shape.width, shape.concentration_layers, shape.layers};
  }
  [[nodiscard]] bool linear() const { return shape.hidden.empty(); }
  [[nodiscard]] bool input_dependent() const {
    return shape.how == pooling::dirichlet && !shape.concentration_layers.empty();
  }
  [[nodiscard]] bool learns_layers() const { return shape.how == pooling::softmax || shape.how == pooling::dirichlet; }
  /// Where the head's parameters end.
  [[nodiscard]] index_t head_size() const { return head().parameters(); }
  [[nodiscard]] index_t size() const {
    if (!learns_layers()) return head_size();
    if (input_dependent()) return head_size() + concentration_network().parameters();
    return head_size() + shape.layers + (shape.how == pooling::dirichlet);
  }

  /// Of a linear head.
  [[nodiscard]] std::span<A> weights() { return std::span(parameters).first(static_cast<std::size_t>(shape.width)); }
  [[nodiscard]] std::span<const A> weights() const {
    return std::span(parameters).first(static_cast<std::size_t>(shape.width));
  }
  [[nodiscard]] A& bias() { return parameters[static_cast<std::size_t>(shape.width)]; }
  [[nodiscard]] A bias() const { return parameters[static_cast<std::size_t>(shape.width)]; }
  /// Of softmax and a global Dirichlet.
  [[nodiscard]] std::span<A> theta() {
    return std::span(parameters).subspan(static_cast<std::size_t>(head_size()), static_cast<std::size_t>(shape.layers));
  }
  [[nodiscard]] std::span<const A> theta() const {
    return std::span(parameters).subspan(static_cast<std::size_t>(head_size()), static_cast<std::size_t>(shape.layers));
  }
  /// gamma of a global Dirichlet.
  [[nodiscard]] A& log_concentration() { return parameters.back(); }
  [[nodiscard]] A log_concentration() const { return parameters.back(); }
};

namespace detail {

template <class A>
void check_probe(const layer_probe<A>& probe, index_t layers, index_t width, const char* function) {
  const probe_shape& s = probe.shape;
  invalid_argument_unless(s.layers > 0 && s.width > 0, function, "probe", "is of %td layers of %td", s.layers, s.width);
  invalid_argument_unless(s.how != pooling::fixed || (s.layer >= 0 && s.layer < s.layers), function, "probe",
                          "has layer %td of %td", s.layer, s.layers);
  for (const auto& widths : {s.hidden, s.concentration_layers})
    for (const index_t w : widths) invalid_argument_unless(w > 0, function, "probe", "has a hidden layer of %td", w);
  invalid_argument_unless(std::ssize(probe.parameters) == probe.size(), function, "probe",
                          "has %zu parameters, expected %td", probe.parameters.size(), probe.size());
  invalid_argument_unless(
      probe.mean.size() == probe.inverse.size() && (probe.mean.empty() || std::ssize(probe.mean) == s.layers * s.width),
      function, "probe", "has %zu means and %zu inverses, expected %td or none", probe.mean.size(),
      probe.inverse.size(), s.layers * s.width);
  invalid_argument_unless(layers == s.layers && width == s.width, function, "states",
                          "are of %td layers of %td, the probe's of %td of %td", layers, width, s.layers, s.width);
}

inline std::vector<double> softmax(std::span<const double> theta) {
  std::vector<double> weights(theta.begin(), theta.end());
  double largest = weights.empty() ? 0 : weights[0], sum = 0;
  for (const double t : weights) largest = (max)(largest, t);
  for (double& w : weights) sum += w = std::exp(w - largest);
  for (double& w : weights) w /= sum;
  return weights;
}

}  // namespace detail

/// A probe as training begins: the head uniform in +-1 / sqrt(inputs), from addressed draws; theta all 1, gamma 1.
/// @throws std::invalid_argument unless layers and widths are positive and the layer of `fixed` exists.
template <std::floating_point A = float>
layer_probe<A> initialise_probe(const probe_shape& shape, std::uint64_t seed) {
  layer_probe<A> probe{.shape = shape};
  const char* function = "hone::routing::initialise_probe";
  invalid_argument_unless(shape.layers > 0 && shape.width > 0, function, "shape", "is of %td layers of %td",
                          shape.layers, shape.width);
  probe.parameters.assign(static_cast<std::size_t>(probe.size()), A{1});
  detail::check_probe(probe, shape.layers, shape.width, function);
  probe.head().initialise(philox{seed, 1}, probe.parameters.data());
  if (probe.input_dependent())
    probe.concentration_network().initialise(philox{seed, 2}, probe.parameters.data() + probe.head_size());
  return probe;
}

/// The mean weights of the layers (L), those that scores are made with.
/// @throws std::invalid_argument of max pooling and of concentrations that depend on the input: they have none.
template <std::floating_point A>
std::vector<double> mean_weights(const layer_probe<A>& probe) {
  const char* function = "hone::routing::mean_weights";
  const probe_shape& s = probe.shape;
  detail::check_probe(probe, s.layers, s.width, function);
  invalid_argument_unless(s.how != pooling::max && !probe.input_dependent(), function, "probe",
                          "has no weights of its layers alone");
  if (probe.learns_layers()) {
    const std::vector<double> theta(probe.theta().begin(), probe.theta().end());
    return detail::softmax(theta);
  }
  std::vector<double> weights(static_cast<std::size_t>(s.layers), 0.0);
  if (s.how == pooling::mean) weights.assign(weights.size(), 1 / static_cast<double>(s.layers));
  if (s.how == pooling::fixed) weights[static_cast<std::size_t>(s.layer)] = 1;
  if (s.how == pooling::last) weights.back() = 1;
  return weights;
}

/// Their sum, exp(gamma), at most 1e6. @pre a global Dirichlet
template <std::floating_point A>
double total_concentration(const layer_probe<A>& probe) {
  return (min)(std::exp(static_cast<double>(probe.log_concentration())), most_concentration);
}

/// The concentrations of a global Dirichlet, exp(gamma) softmax(theta), each at least 1e-100 and together at most 1e6.
/// @throws std::invalid_argument of other probes.
template <std::floating_point A>
std::vector<double> concentrations(const layer_probe<A>& probe) {
  invalid_argument_unless(probe.shape.how == pooling::dirichlet && !probe.input_dependent(),
                          "hone::routing::concentrations", "probe", "has no global Dirichlet");
  std::vector<double> alpha = mean_weights(probe);
  const double total = total_concentration(probe);
  for (double& a : alpha) a = (max)(a * total, least_concentration);
  return alpha;
}

/// A probe that is one vector a layer: logit = bias + sum_l <v_l, z_l>, standardisation included.
struct folded_probe {
  std::vector<float> v;  ///< layers x width
  index_t layers = 0;
  index_t width = 0;
  double bias = 0;
};

/// @throws std::invalid_argument of a probe with hidden layers, max pooling or concentrations that depend on the input:
/// no one vector a layer does what they do.
template <std::floating_point A>
folded_probe fold(const layer_probe<A>& probe) {
  const char* function = "hone::routing::fold";
  const std::vector<double> weights = mean_weights(probe);
  invalid_argument_unless(probe.linear(), function, "probe", "has hidden layers: it is no one vector a layer");
  const probe_shape& s = probe.shape;
  folded_probe result{.v = {}, .layers = s.layers, .width = s.width, .bias = static_cast<double>(probe.bias())};
  result.v.reserve(static_cast<std::size_t>(s.layers * s.width));
  for (std::size_t l = 0; l < weights.size(); ++l)
    for (std::size_t j = 0; j < static_cast<std::size_t>(s.width); ++j) {
      const std::size_t at = l * static_cast<std::size_t>(s.width) + j;
      double v = weights[l] * static_cast<double>(probe.weights()[j]);
      if (!probe.mean.empty()) {
        v *= static_cast<double>(probe.inverse[at]);
        result.bias -= v * static_cast<double>(probe.mean[at]);
      }
      result.v.push_back(static_cast<float>(v));
    }
  return result;
}

/// The mean over the weights of the logit of a sample whose layers have logits @p u (L), u_l = <w, z_l>.
/// @throws std::invalid_argument if the sizes differ, and as mean_weights.
template <std::floating_point A>
double expected_logit(const layer_probe<A>& probe, std::span<const double> u) {
  const std::vector<double> weights = mean_weights(probe);
  invalid_argument_unless(u.size() == weights.size(), "hone::routing::expected_logit", "u", "has %zu, expected %zu",
                          u.size(), weights.size());
  double sum = static_cast<double>(probe.bias());
  for (std::size_t l = 0; l < u.size(); ++l) sum += weights[l] * u[l];
  return sum;
}

/// Its variance, (sum_l W_l u_l^2 - (sum_l W_l u_l)^2) / (1 + exp(gamma)); 0 where the pooling is not Dirichlet's.
/// @throws as expected_logit.
template <std::floating_point A>
double logit_variance(const layer_probe<A>& probe, std::span<const double> u) {
  const double mean = expected_logit(probe, u) - static_cast<double>(probe.bias());
  if (probe.shape.how != pooling::dirichlet) return 0;
  const std::vector<double> weights = mean_weights(probe);
  double sum = 0;
  for (std::size_t l = 0; l < u.size(); ++l) sum += weights[l] * (u[l] - mean) * (u[l] - mean);
  return sum / (1 + total_concentration(probe));
}

}  // namespace HONE_NAMESPACE::routing
