// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/linear.hpp"

#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

TEMPLATE_TEST_CASE("the three products of a linear layer, with rows apart", "", double, float) {
  using T = TestType;
  const index_t n = 5, in = 7, out = 3;
  // x lies in rows of 9: the products must honour the stride.
  const auto x_memory = normals<T>(n * 9, 1), w = normals<T>(out * in, 2), slope = normals<T>(n * out, 3);
  const matrix_view<const T> x(x_memory.data(), n, in, 9, 1);
  std::vector<T> y(static_cast<std::size_t>(n * out)), dx(static_cast<std::size_t>(n * in)), dw(w.size(), T{1});
  linear_forward<T>(x, as_rows(w, out), as_rows(y, n));
  linear_backward_input<T>(as_rows(slope, n), as_rows(w, out), as_rows(dx, n), into::overwrite);
  linear_backward_input<T>(as_rows(slope, n), as_rows(w, out), as_rows(dx, n), into::accumulate);
  linear_backward_weight<T>(as_rows(slope, n), x, as_rows(dw, out));
  const auto close = [](T a, double b) { return std::abs(static_cast<double>(a) - b) < 1e-5; };
  const auto at = [](const auto& v, index_t i) { return static_cast<double>(v[static_cast<std::size_t>(i)]); };
  for (index_t t = 0; t < n; ++t)
    for (index_t o = 0; o < out; ++o) {
      double sum = 0;
      for (index_t i = 0; i < in; ++i) sum += static_cast<double>(x(t, i)) * at(w, o * in + i);
      CHECK(close(y[static_cast<std::size_t>(t * out + o)], sum));
    }
  for (index_t t = 0; t < n; ++t)
    for (index_t i = 0; i < in; ++i) {
      double sum = 0;
      for (index_t o = 0; o < out; ++o) sum += at(slope, t * out + o) * at(w, o * in + i);
      CHECK(close(dx[static_cast<std::size_t>(t * in + i)], 2 * sum));
    }
  for (index_t o = 0; o < out; ++o)
    for (index_t i = 0; i < in; ++i) {
      double sum = 1;
      for (index_t t = 0; t < n; ++t) sum += at(slope, t * out + o) * static_cast<double>(x(t, i));
      CHECK(close(dw[static_cast<std::size_t>(o * in + i)], sum));
    }
}
