// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/interop/mdspan.hpp"

#include "hone/core/blas.hpp"

#include "interop/mdspan_reference.hpp"
#include "support/catch.hpp"

#include <vector>
#include <version>
#if defined(__cpp_lib_mdspan)
#include <mdspan>
#endif

using namespace hone;

TEST_CASE("an mdspan is seen with extents and strides, whatever its layout") {
  std::vector<float> memory(24);
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i);
  const reference::strided_mdspan<float, 2> columns{memory.data(), {4, 6}, {1, 4}};
  const reference::strided_mdspan<float, 1> every_third{memory.data() + 1, {5}, {3}};
  CHECK(as_matrix(columns).rows() == 4);
  CHECK(as_matrix(columns)(3, 5) == 23);
  CHECK(as_matrix(columns)(1, 2) == 9);
  CHECK(hone::sum(every_third) == 1 + 4 + 7 + 10 + 13);
  hone::fill(every_third, 0.0f);
  CHECK(memory[13] == 0);
  CHECK(memory[16] == 16);
}

TEST_CASE("mdspan: constness, rank and accessors that compute") {
  using vector = reference::strided_mdspan<float, 1>;
  STATIC_REQUIRE(mutable_vector<vector>);
  STATIC_REQUIRE(mutable_vector<const vector>);  // as a pointer, it does not own
  STATIC_REQUIRE(!mutable_vector<reference::strided_mdspan<const float, 1>>);
  STATIC_REQUIRE(!matrix_like<vector>);
  STATIC_REQUIRE(!vector_like<reference::strided_mdspan<float, 2>>);
  STATIC_REQUIRE(!vector_like<reference::strided_mdspan<int, 1>>);
  STATIC_REQUIRE(!vector_like<reference::scaled_mdspan>);
  const reference::strided_mdspan<float, 1> tiled{nullptr, {5}, {3}, false};
  CHECK_THROWS_WITH(as_vector(tiled), "hone::as_vector: x: this mdspan's layout has no strides");
}

#if defined(__cpp_lib_mdspan)
TEST_CASE("std::mdspan") {
  std::vector<double> memory(12, 1.0);
  const std::mdspan rows(memory.data(), 3, 4);
  const std::mdspan<double, std::extents<int, 3, 4>, std::layout_left> columns(memory.data());
  CHECK(as_matrix(rows).row_stride() == 4);
  CHECK(as_matrix(columns).col_stride() == 3);
  CHECK(hone::sum(std::mdspan(memory.data(), 12)) == 12);
}
#endif
