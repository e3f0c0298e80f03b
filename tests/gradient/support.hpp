// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Reference vectors and random gradients for the tests of gradient/.
#pragma once
#include "hone/core/random.hpp"
#include "hone/gradient/combine.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

struct g1_row {
  std::vector<double> f, r;
  double alpha, gamma;
  std::vector<double> pcgrad, sago, prefer_retain, blur;
  double pcgrad_cosine, sago_cosine;
};

/// Two-gradient combiners with the authors' epsilon of 1e-10.
inline const std::vector<g1_row> g1 = {
    {{1, -2, .5}, {2, 1, -1}, 1, 1,
     {3.16666666666, -.916666666668, -.583333333332}, {1, 1, -1}, {3, 1, -1},
     {3.09523809524, -1.19047619047, -.452380952382}, .731652913, .942809042},
    {{1, 2, -1}, {.5, 1, 2}, 1, 1,
     {1.5, 3, 1}, {1, 2, 2}, {1.5, 3, 2},
     {1.41666666667, 2.83333333334, 1.08333333333}, .717001639, .945610858},
    {{3, -1, 2, -4}, {1, 2, -1, 1}, .5, 2,
     {7.92857142855, 1.8571428571, 2.07142857145, -6.07142857145}, {6, 1, -.5, .5}, {6.5, 1, -.5, .5},
     {6.75, -1.08333333333, 3.66666666667, -7.83333333333}, .127610657, .555492060},
    {{.1, .2, .3}, {3, 2, 1}, 1, 1,
     {3.1, 2.2, 1.3}, {.1, .2, .3}, {3.1, 2.2, 1.3},
     {2.38571428622, .771428572449, -.842857141327}, .997873469, .714285714},
    {{.01, -1}, {10, 1}, 1, 1,
     {10.0991089109, .0089108910891}, {.01, 1}, {10.01, 1},
     {10.0189991001, -.899910008909}, .995124599, .109448619},
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

template <class T>
std::vector<T> normals(hone::index_t n, std::uint32_t stream) {
  std::vector<T> x(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = hone::from_accumulator<T>(static_cast<hone::accumulator_t<T>>(hone::philox{5, stream}.normal(i)));
  return x;
}
