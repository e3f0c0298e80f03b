// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Reference vectors and random gradients for the tests of gradient/.
#pragma once
#include "support/catch.hpp"

#include "hone/core/random.hpp"
#include "hone/gradient/combine.hpp"
#include "hone/gradient/sago.hpp"

#include "support/sizes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

struct g1_row {
  std::vector<double> f, r;
  double alpha, gamma;
  std::vector<double> pcgrad, sago, prefer_retain, blur;
  double pcgrad_cosine, sago_cosine;
};

/// Two-gradient combiners with the authors' epsilon of 1e-10.
inline const std::vector<g1_row> g1 = {
    {{1, -2, .5},
     {2, 1, -1},
     1,
     1,
     {3.16666666666, -.916666666668, -.583333333332},
     {1, 1, -1},
     {3, 1, -1},
     {3.09523809524, -1.19047619047, -.452380952382},
     .731652913,
     .942809042},
    {{1, 2, -1},
     {.5, 1, 2},
     1,
     1,
     {1.5, 3, 1},
     {1, 2, 2},
     {1.5, 3, 2},
     {1.41666666667, 2.83333333334, 1.08333333333},
     .717001639,
     .945610858},
    {{3, -1, 2, -4},
     {1, 2, -1, 1},
     .5,
     2,
     {7.92857142855, 1.8571428571, 2.07142857145, -6.07142857145},
     {6, 1, -.5, .5},
     {6.5, 1, -.5, .5},
     {6.75, -1.08333333333, 3.66666666667, -7.83333333333},
     .127610657,
     .555492060},
    {{.1, .2, .3},
     {3, 2, 1},
     1,
     1,
     {3.1, 2.2, 1.3},
     {.1, .2, .3},
     {3.1, 2.2, 1.3},
     {2.38571428622, .771428572449, -.842857141327},
     .997873469,
     .714285714},
    {{.01, -1},
     {10, 1},
     1,
     1,
     {10.0991089109, .0089108910891},
     {.01, 1},
     {10.01, 1},
     {10.0189991001, -.899910008909},
     .995124599,
     .109448619},
};

template <class T>
std::vector<T> narrowed(const std::vector<double>& x) {
  std::vector<T> result;
  for (const double v : x) result.push_back(hone::from_accumulator<T>(static_cast<hone::accumulator_t<T>>(v)));
  return result;
}

template <class T, class Method>
std::vector<T> combined(const Method& method, const g1_row& row) {
  const auto f = narrowed<T>(row.f), r = narrowed<T>(row.r);
  std::vector<T> out(f.size());
  hone::gradient::combine(method, hone::gradient::tasks(f, r), out);
  return out;
}

/// Equal up to the printed digits, or to the storage type's rounding of the inputs and the result. Elements that cancel
/// are measured against the largest.
template <class T>
bool near(const std::vector<T>& x, const std::vector<double>& expected) {
  const double tolerance = std::is_same_v<T, double> ? 1e-10 : std::is_same_v<T, float> ? 1e-6 : 0.016;
  double scale = 0;
  for (const double v : expected) scale = (std::max)(scale, std::abs(v));
  for (std::size_t i = 0; i < expected.size(); ++i)
    if (!(std::abs(static_cast<double>(hone::to_accumulator(x[i])) - expected[i]) <= tolerance * scale)) return false;
  return x.size() == expected.size();
}

/// Equal up to nine printed digits, or to what `near` allows.
template <class T>
bool printed(const std::vector<T>& x, const std::vector<double>& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double off = std::abs(static_cast<double>(hone::to_accumulator(x[i])) - expected[i]);
    if (std::is_same_v<T, double> && !(off <= 1e-9)) return false;
  }
  return std::is_same_v<T, double> ? x.size() == expected.size() : near<T>(x, expected);
}

template <class T>
std::vector<T> normals(hone::index_t n, std::uint32_t stream) {
  std::vector<T> x(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = hone::from_accumulator<T>(static_cast<hone::accumulator_t<T>>(hone::philox{5, stream}.normal(i)));
  return x;
}

/// K random gradients of n elements; a pull apart (> 0) makes conflicts common, n < K dependence certain.
template <class T, std::size_t K>
struct family {
  std::array<std::vector<T>, K> g;

  family(hone::index_t n, std::uint32_t seed, double apart = 0) {
    for (std::size_t i = 0; i < K; ++i) {
      const auto x = normals<double>(n, seed * 64 + static_cast<std::uint32_t>(i));
      const auto common = normals<double>(n, seed * 64 + 63);
      const double sign = i % 2 == 0 ? apart : -apart, length = 0.25 * static_cast<double>(1 + i % 5);
      std::vector<double> row;
      for (std::size_t e = 0; e < x.size(); ++e) row.push_back(length * (x[e] + sign * common[e]));
      g[i] = narrowed<T>(row);
    }
  }
  [[nodiscard]] hone::gradient::task_gradients<T, K> tasks() const {
    hone::gradient::task_gradients<T, K> result;
    for (std::size_t i = 0; i < K; ++i) result.task[i] = hone::as_vector(g[i]);
    return result;
  }
  /// By the formula, so that a test of a method's weights does not compile the products of K gradients.
  [[nodiscard]] hone::gradient::gram_matrix<K> gram() const {
    hone::gradient::gram_matrix<K> result;
    for (std::size_t i = 0; i < K; ++i)
      for (std::size_t j = 0; j < K; ++j)
        for (std::size_t e = 0; e < g[i].size(); ++e)
          result.value[i][j] +=
              static_cast<double>(hone::to_accumulator(g[i][e])) * static_cast<double>(hone::to_accumulator(g[j][e]));
    return result;
  }
  /// Likewise the combination with weights @p w.
  [[nodiscard]] std::vector<double> weighted(const std::array<double, K>& w) const {
    std::vector<double> result(g[0].size());
    for (std::size_t i = 0; i < K; ++i)
      for (std::size_t e = 0; e < result.size(); ++e)
        result[e] += w[i] * static_cast<double>(hone::to_accumulator(g[i][e]));
    return result;
  }
};

/// The Gram matrix with gradient i scaled by s[i].
template <std::size_t K>
hone::gradient::gram_matrix<K> scaled_tasks(hone::gradient::gram_matrix<K> g, const std::array<double, K>& s) {
  for (std::size_t i = 0; i < K; ++i)
    for (std::size_t j = 0; j < K; ++j) g.value[i][j] *= s[i] * s[j];
  return g;
}

/// The Gram matrix with the tasks in reverse order.
template <std::size_t K>
hone::gradient::gram_matrix<K> reversed(const hone::gradient::gram_matrix<K>& g) {
  hone::gradient::gram_matrix<K> result;
  for (std::size_t i = 0; i < K; ++i)
    for (std::size_t j = 0; j < K; ++j) result.value[i][j] = g(K - 1 - i, K - 1 - j);
  return result;
}

/// Whether two sets of weights make the same combination, to @p tolerance of the length of the longest gradient used.
template <std::size_t K>
bool same_combination(const hone::gradient::gram_matrix<K>& g, const std::array<double, K>& a,
                      const std::array<double, K>& b, double tolerance = 1e-9) {
  std::array<double, K> difference{};
  double scale = 0;
  for (std::size_t i = 0; i < K; ++i) {
    difference[i] = a[i] - b[i];
    scale = (std::max)({scale, std::abs(a[i]) * std::sqrt(g(i, i)), std::abs(b[i]) * std::sqrt(g(i, i))});
  }
  return std::sqrt(g.squared_norm(difference)) <= tolerance * scale;
}

template <std::size_t K>
std::array<double, K> scaled_weights(std::array<double, K> w, double s) {
  for (double& x : w) x *= s;
  return w;
}

/// That a method returns finite weights for whatever Gram matrix it is given: zero, singular, with zero tasks, at the
/// ends of the exponent's range; that it does not depend on the order of the tasks, nor on their common scale; and that
/// non-finite ones do not hide.
template <std::size_t K, class Method>
void check_robust(const Method& method, bool ordered = false) {
  using hone::gradient::gram_matrix;
  const auto finite = [](const std::array<double, K>& w) {
    return std::all_of(w.begin(), w.end(), [](double x) { return std::isfinite(x); });
  };
  CHECK(finite(method.weights(gram_matrix<K>{})));
  gram_matrix<K> identical, opposite, one_zero, chaos;
  for (std::size_t i = 0; i < K; ++i)
    for (std::size_t j = 0; j < K; ++j) {
      identical.value[i][j] = 3;
      opposite.value[i][j] = (i + j) % 2 == 0 ? 3 : -3;
      one_zero.value[i][j] = i == 0 || j == 0 ? 0 : i == j ? 2 : -0.5;
    }
  for (const auto& g : {identical, opposite, one_zero}) CHECK(finite(method.weights(g)));
  const auto equal = method.weights(identical);
  std::array<double, K> last = equal;
  std::reverse(last.begin(), last.end());
  CHECK(same_combination(identical, equal, last));
  for (std::uint32_t seed = 0; seed < 12; ++seed) {
    const hone::index_t n = std::array<hone::index_t, 4>{2, 5, 20, 300}[seed % 4];
    const auto g = family<double, K>(n, seed, seed % 3).gram();
    const auto w = method.weights(g);
    CHECK(finite(w));
    for (const double s : {1e-150, 1e-20, 1e-6, 1e6, 1e120}) {
      std::array<double, K> all;
      all.fill(s);
      auto same = method.weights(scaled_tasks(g, all));
      CHECK(finite(same));
      CHECK((same_combination(g, same, w, 1e-6) || same_combination(g, scaled_weights(same, s), w, 1e-6)));
    }
    if (!ordered) {
      auto back = method.weights(reversed(g));
      std::reverse(back.begin(), back.end());
      CHECK(same_combination(g, back, w, 1e-6));
    }
  }
  chaos = identical;
  chaos.value[0][0] = std::numeric_limits<double>::quiet_NaN();
  CHECK(finite(method.weights(chaos)));
  chaos.value[0][0] = std::numeric_limits<double>::infinity();
  CHECK(finite(method.weights(chaos)));
}
