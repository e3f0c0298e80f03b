// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/few_rows.hpp"

#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

namespace {

struct shape {
  index_t in, out;
};
const shape shapes[] = {{1, 1}, {5, 3}, {16, 16}, {33, 17}, {70, 130}, {40, 300}};

template <class T>
auto rows_at(std::vector<T>& x, index_t first, index_t count, index_t width) {
  return matrix_view<T>(x.data() + first * width, count, width);
}

}  // namespace

TEMPLATE_TEST_CASE("products of few rows are the products, to the bit the same however the rows are cut", "", double,
                   float) {
  using T = TestType;
  constexpr index_t n = 61;
  std::vector<T> memory;
  for (const shape& size : shapes) {
    const index_t in = size.in, out = size.out;
    const auto w = normals<T>(in * out, 1), x = normals<T>(n * in, 2), dy = normals<T>(n * out, 3);
    const auto start = normals<T>(n * in, 4), dw_start = normals<T>(in * out, 5);
    const auto run = [&](index_t step) {  // y, dx, dx added, dW
      std::vector<T> y(static_cast<std::size_t>(n * out)), dx(x.size()), added = start, dw = dw_start;
      for (index_t t = 0; t < n; t += step) {
        const index_t count = (std::min)(step, n - t);
        const matrix_view<const T> xs(x.data() + t * in, count, in), dys(dy.data() + t * out, count, out);
        few_rows_forward<T>(xs, as_rows(w, out), rows_at(y, t, count, out), memory);
        few_rows_backward_input<T>(dys, as_rows(w, out), rows_at(dx, t, count, in), into::overwrite, memory);
        few_rows_backward_input<T>(dys, as_rows(w, out), rows_at(added, t, count, in), into::accumulate, memory);
        few_rows_backward_weight<T>(dys, xs, as_rows(dw, out));
      }
      y.insert(y.end(), dx.begin(), dx.end());
      y.insert(y.end(), added.begin(), added.end());
      y.insert(y.end(), dw.begin(), dw.end());
      return y;
    };
    const std::vector<T> all = run(n);
    for (const index_t step : {1, 2, 3, 7, 16, 60}) REQUIRE(run(step) == all);
    const auto near = [&](std::size_t at, double sum) {
      REQUIRE(static_cast<double>(all[at]) == Approx(sum).margin(std::is_same_v<T, double> ? 1e-12 : 2e-4));
    };
    const auto value = [](const std::vector<T>& m, index_t row, index_t col, index_t cols) {
      return static_cast<double>(m[static_cast<std::size_t>(row * cols + col)]);
    };
    std::size_t at = 0;
    for (index_t t = 0; t < n; ++t)
      for (index_t i = 0; i < out; ++i) {
        double sum = 0;
        for (index_t j = 0; j < in; ++j) sum += value(x, t, j, in) * value(w, i, j, in);
        near(at++, sum);
      }
    for (const bool adds : {false, true})
      for (index_t t = 0; t < n; ++t)
        for (index_t j = 0; j < in; ++j) {
          double sum = adds ? value(start, t, j, in) : 0;
          for (index_t i = 0; i < out; ++i) sum += value(dy, t, i, out) * value(w, i, j, in);
          near(at++, sum);
        }
    for (index_t i = 0; i < out; ++i)
      for (index_t j = 0; j < in; ++j) {
        double sum = value(dw_start, i, j, in);
        for (index_t t = 0; t < n; ++t) sum += value(dy, t, i, out) * value(x, t, j, in);
        near(at++, sum);
      }
  }
}

TEMPLATE_TEST_CASE("products of few rows with a matrix of 16 bits have the bits of its floats", "", bfloat16, float16) {
  using S = TestType;
  std::vector<float> memory;
  for (const auto [in, out] : {shape{33, 17}, shape{600, 700}}) {
    const auto narrow = stored_as<S>(normals<float>(in * out, 1));
    const auto wide = converted_from<float>(narrow);
    const auto x = normals<float>(5 * in, 2), dy = normals<float>(5 * out, 3);
    std::vector<float> y(dy.size()), wide_y(dy.size()), dx(x.size()), wide_dx(x.size());
    few_rows_forward<float>(as_rows(x, 5), as_rows(narrow, out), as_rows(y, 5), memory);
    few_rows_forward<float>(as_rows(x, 5), as_rows(wide, out), as_rows(wide_y, 5), memory);
    CHECK(y == wide_y);
    few_rows_backward_input<float>(as_rows(dy, 5), as_rows(narrow, out), as_rows(dx, 5), into::overwrite, memory);
    few_rows_backward_input<float>(as_rows(dy, 5), as_rows(wide, out), as_rows(wide_dx, 5), into::overwrite, memory);
    CHECK(dx == wide_dx);
  }
}

TEST_CASE("products of no rows write nothing") {
  std::vector<double> w = normals<double>(6, 1), dw = w, memory;
  few_rows_forward<double>({nullptr, 0, 3}, as_rows(w, 2), matrix_view<double>(nullptr, 0, 2), memory);
  few_rows_backward_input<double>({nullptr, 0, 2}, as_rows(w, 2), matrix_view<double>(nullptr, 0, 3), into::overwrite,
                                  memory);
  few_rows_backward_weight<double>({nullptr, 0, 2}, {nullptr, 0, 3}, as_rows(dw, 2));
  CHECK(dw == w);
}
