// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/panel.hpp"

#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

TEMPLATE_TEST_CASE("panels hold a matrix, padded with zeros, and give it back", "", double, float) {
  using T = TestType;
  for (const index_t columns : {1, 8, 16, 19, 40}) {
    const auto values = normals<T>(5 * columns, 1);
    std::vector<T> memory(static_cast<std::size_t>(panels<T>::size(5, columns)), T{9}), back(values.size());
    const panels<T> p(memory.data(), 5, columns);
    p.pack(as_rows(values, 5));
    p.unpack(as_rows(back, 5));
    CHECK(back == values);
    for (index_t j = columns; j % panels<T>::width != 0; ++j)
      CHECK(p.at(2, j / panels<T>::width * panels<T>::width)[j % panels<T>::width] == 0);
    p.clear();
    CHECK(memory == std::vector<T>(memory.size(), T{0}));
  }
}

TEST_CASE("tiles cover every row once") {
  for (index_t n = 0; n < 20; ++n) {
    std::vector<int> seen(20, 0);
    for_each_tile_of_rows(3, 3 + n, [&]<int Rows>(index_t t, std::integral_constant<int, Rows>) {
      for (int i = 0; i < Rows; ++i) ++seen.at(static_cast<std::size_t>(t + i - 3));
    });
    for (index_t i = 0; i < 20; ++i) CHECK(seen[static_cast<std::size_t>(i)] == (i < n ? 1 : 0));
  }
}

TEMPLATE_TEST_CASE("multiply_rows is the product, and a row's bits do not depend on the rows beside it", "", double,
                   float) {
  using T = TestType;
  for (const index_t in : {1, 5, 33})
    for (const index_t out : {1, 16, 17, 32, 70, 130}) {
      const auto w = normals<T>(in * out, 2), x = normals<T>(13 * in, 3);
      std::vector<T> memory(static_cast<std::size_t>(panels<T>::size(in, out)));
      const panels<T> p(memory.data(), in, out);
      p.pack(as_rows(w, in));
      std::vector<T> alone;
      for (index_t t = 0; t < 13; ++t) {
        std::vector<T> y(static_cast<std::size_t>(out));
        multiply_rows<T>({x.data() + t * in, 1, in}, p, {y.data(), 1, out});
        alone.insert(alone.end(), y.begin(), y.end());
        for (index_t o = 0; o < out; ++o) {
          double sum = 0;
          for (index_t i = 0; i < in; ++i)
            sum += static_cast<double>(x[static_cast<std::size_t>(t * in + i)]) *
                   static_cast<double>(w[static_cast<std::size_t>(i * out + o)]);
          REQUIRE(static_cast<double>(y[static_cast<std::size_t>(o)]) == Approx(sum).margin(1e-4));
        }
      }
      for (index_t n = 2; n <= 13; ++n) {
        std::vector<T> y(static_cast<std::size_t>(n * out));
        multiply_rows<T>({x.data(), n, in}, p, {y.data(), n, out});
        REQUIRE(std::equal(y.begin(), y.end(), alone.begin()));
      }
    }
}
