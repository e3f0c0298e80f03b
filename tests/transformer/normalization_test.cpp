// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/normalization.hpp"

#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

TEMPLATE_TEST_CASE("rmsnorm is its formula", "", double, float) {
  using T = TestType;
  for (const index_t d : {1, 8, 16, 37}) {
    const auto x = normals<T>(3 * d, 1), w = normals<T>(d, 2);
    std::vector<T> y(x.size()), again(x.size()), r(3);
    rmsnorm_forward<T>(as_rows(x, 3), as_vector(w), 0.25, r.data(), as_rows(y, 3));
    rmsnorm_apply<T>(as_rows(x, 3), as_vector(w), r.data(), as_rows(again, 3));
    CHECK(y == again);
    for (index_t t = 0; t < 3; ++t) {
      double squares = 0;
      for (index_t i = 0; i < d; ++i)
        squares += std::pow(static_cast<double>(x[static_cast<std::size_t>(t * d + i)]), 2);
      for (index_t i = 0; i < d; ++i) {
        const auto k = static_cast<std::size_t>(t * d + i);
        const double expected = static_cast<double>(w[static_cast<std::size_t>(i)]) * static_cast<double>(x[k]) /
                                std::sqrt(squares / static_cast<double>(d) + 0.25);
        CHECK(static_cast<double>(y[k]) == Approx(expected).epsilon(std::is_same_v<T, double> ? 1e-13 : 2e-6));
      }
    }
  }
}

TEST_CASE("rmsnorm passes the gradient check, and adds to what is there") {
  const index_t d = 19, n = 4;
  const auto x = normals<double>(n * d, 3), w = normals<double>(d, 4), slope = normals<double>(n * d, 5);
  const auto loss = [&](const std::vector<double>& xs, const std::vector<double>& ws) {
    std::vector<double> y(xs.size()), r(4);
    rmsnorm_forward<double>(as_rows(xs, n), as_vector(ws), 1e-2, r.data(), as_rows(y, n));
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * slope[i];
    return sum;
  };
  std::vector<double> y(x.size()), r(4), dx(x.size(), 1.0), dw(w.size(), -2.0);
  rmsnorm_forward<double>(as_rows(x, n), as_vector(w), 1e-2, r.data(), as_rows(y, n));
  rmsnorm_backward<double>(as_rows(x, n), as_vector(w), r.data(), as_rows(slope, n), as_rows(dx, n), as_vector(dw));
  for (double& v : dx) v -= 1;
  for (double& v : dw) v += 2;
  CHECK(gradient_error(x, dx, [&](const auto& v) { return loss(v, w); }) < 1e-8);
  CHECK(gradient_error(w, dw, [&](const auto& v) { return loss(x, v); }) < 1e-8);
  std::vector<double> alone(x.size(), 0.0), none;
  rmsnorm_backward<double>(as_rows(x, n), as_vector(w), r.data(), as_rows(slope, n), as_rows(alone, n),
                           as_vector(none));
  for (std::size_t i = 0; i < alone.size(); ++i) CHECK(alone[i] == Approx(dx[i]).margin(1e-14));
}
