// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/interop/xtensor.hpp"

#include "hone/core/blas.hpp"

#include "support/catch.hpp"

#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>

#include <vector>

using namespace hone;

TEST_CASE("containers, adaptors and views are seen with offset and strides") {
  xt::xtensor<double, 1> x = xt::arange<double>(0, 16);
  CHECK(hone::sum(x) == 120);
  CHECK(hone::sum(xt::view(x, xt::range(1, 8, 2))) == 1 + 3 + 5 + 7);
  xt::xarray<float> a = xt::ones<float>({3, 4});
  auto row = xt::view(a, 1, xt::all());
  hone::fill(row, 2.0f);
  CHECK(a(1, 3) == 2);
  CHECK(a(0, 3) == 1);
  CHECK(hone::sum(xt::view(a, xt::all(), 2)) == 4);
  CHECK(as_matrix(a)(1, 2) == 2);
  xt::xtensor<float, 2, xt::layout_type::column_major> c({2, 3});
  c(1, 2) = 5;
  CHECK(as_matrix(c)(1, 2) == 5);
  std::vector<double> memory(12, 1.0);
  auto adapted = xt::adapt(memory, {3, 4});
  CHECK(as_matrix(adapted).cols() == 4);
}

TEST_CASE("xtensor: constness is kept, and what has no memory is no vector") {
  STATIC_REQUIRE(mutable_vector<xt::xtensor<float, 1>&>);
  STATIC_REQUIRE(!mutable_vector<const xt::xtensor<float, 1>&>);
  using expression = decltype(std::declval<xt::xtensor<float, 1>&>() + std::declval<xt::xtensor<float, 1>&>());
  STATIC_REQUIRE(!vector_like<expression>);
}

TEST_CASE("the number of dimensions must fit") {
  xt::xarray<float> a = xt::ones<float>({3, 4});
  CHECK_THROWS_WITH(as_vector(a), "hone::as_vector: x: the xtensor has 2 dimensions, expected 1");
  CHECK_THROWS_WITH(as_matrix(xt::view(a, 0, xt::all())),
                    "hone::as_matrix: x: the xtensor has 1 dimensions, expected 2");
  const xt::xarray<float> cube = xt::ones<float>({2, 3, 4});
  CHECK_THROWS_WITH(as_matrix(cube), "hone::as_matrix: x: the xtensor has 3 dimensions, expected 2");
  auto part = xt::view(a, xt::range(0, 3, 2), xt::range(1, 4));
  a(2, 3) = 9;
  CHECK(as_matrix(part).rows() == 2);
  CHECK(as_matrix(part).cols() == 3);
  CHECK(as_matrix(part)(1, 2) == 9);
  CHECK(as_matrix(part).row_stride() == 8);
}
