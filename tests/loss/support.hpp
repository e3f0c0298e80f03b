// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Random rows of logits, and the losses' formulas written down naively in double.
#pragma once
#include "hone/core/random.hpp"
#include "hone/loss/row.hpp"
#include "support/gradient_error.hpp"

#include <cmath>
#include <cstdint>
#include <vector>

template <class T>
T to(double x) {
  return hone::from_accumulator<T>(static_cast<hone::accumulator_t<T>>(x));
}

template <class T>
double from(T x) {
  return static_cast<double>(hone::to_accumulator(x));
}

/// rows x vocab normal logits of deviation 3.
template <class T>
std::vector<T> random_logits(hone::index_t rows, hone::index_t vocab, std::uint32_t stream) {
  std::vector<T> z(static_cast<std::size_t>(rows * vocab));
  for (std::size_t i = 0; i < z.size(); ++i) z[i] = to<T>(3 * hone::philox{11, stream}.normal(i));
  return z;
}

template <class T>
std::vector<double> widened(const std::vector<T>& x) {
  std::vector<double> result;
  for (const T v : x) result.push_back(from(v));
  return result;
}

inline std::vector<double> naive_softmax(const std::vector<double>& z, double temperature = 1) {
  double top = -INFINITY, sum = 0;
  for (const double x : z) top = std::fmax(top, x / temperature);
  std::vector<double> p;
  for (const double x : z) sum += std::exp(x / temperature - top);
  for (const double x : z) p.push_back(std::exp(x / temperature - top) / sum);
  return p;
}

/// The gradient of row.hpp, term by term. An absent id (p = 0) contributes nothing to the logarithmic terms.
inline std::vector<double> naive_row_gradient(const std::vector<double>& z, const std::vector<double>& w,
                                              const hone::loss::row_terms& terms, double temperature,
                                              hone::index_t target, const std::vector<std::int32_t>& subset) {
  const auto p = naive_softmax(z, temperature), q = naive_softmax(w, temperature);
  double mass = 0, entropy = 0, reverse = 0;
  for (const auto v : subset) mass += p[static_cast<std::size_t>(v)];
  for (std::size_t v = 0; v < p.size(); ++v)
    if (p[v] > 0) {
      entropy -= p[v] * std::log(p[v]);
      reverse += p[v] * std::log(p[v] / q[v]);
    }
  std::vector<double> g;
  for (std::size_t v = 0; v < p.size(); ++v) {
    const bool in = std::find(subset.begin(), subset.end(), static_cast<std::int32_t>(v)) != subset.end();
    double x = terms.target * ((static_cast<hone::index_t>(v) == target) - p[v]) +
               terms.subset * (p[v] * in - mass * p[v]) + terms.forward_kl * (p[v] - q[v]);
    if (terms.entropy != 0 && p[v] > 0) x += terms.entropy * p[v] * (std::log(p[v]) + entropy);
    if (terms.reverse_kl != 0 && p[v] > 0) x += terms.reverse_kl * p[v] * (std::log(p[v] / q[v]) - reverse);
    g.push_back(x / temperature);
  }
  return g;
}

/// Rounding of the storage type, for numbers of size 1.
template <class T>
inline constexpr double rounding = std::is_same_v<T, double>  ? 1e-13
                                   : std::is_same_v<T, float> ? 2e-6
                                                              : 8e-3;
