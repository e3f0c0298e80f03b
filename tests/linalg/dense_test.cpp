// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/linalg/dense.hpp"

#include "linalg/dense_support.hpp"
#include "support/catch.hpp"

#include <limits>

using namespace hone;
using namespace hone::linalg;

TEST_CASE("dense matrices are views of their memory, and copies take any strides and storage") {
  matrix m = normal_matrix(4, 3, 1);
  const matrix_view<double> seen = view(m);
  CHECK(seen.rows() == 4);
  CHECK(seen(2, 1) == m(2, 1));
  seen(2, 1) = 7;
  CHECK(m(2, 1) == 7);
  CHECK(view(std::as_const(m)).data() == m.data());
  const auto rows = row_major<float>(m);
  const matrix_view<const float> whole(rows.data(), 4, 3);
  CHECK(copy_of(whole) == m.cast<float>().cast<double>());
  CHECK(copy_rows(whole, 1, 3, -2) == -2 * m.cast<float>().cast<double>().middleRows(1, 2));
  CHECK(copy_of(whole, -2) == -2 * m.cast<float>().cast<double>());
  const matrix_view<const float> transposed(rows.data(), 3, 4, 1, 3);
  CHECK(copy_of(transposed) == copy_of(whole).transpose());
  const auto halves = row_major<bfloat16>(m);
  CHECK(copy_of(matrix_view<const bfloat16>(halves.data(), 4, 3))(2, 1) == 7);
  CHECK(copy_of(matrix_view<const float>(nullptr, 0, 3)).rows() == 0);
}

TEST_CASE("non-finite elements of a matrix are counted, whatever its strides") {
  std::vector<float> x(12, 1.0f);
  x[0] = std::numeric_limits<float>::quiet_NaN();
  x[5] = -std::numeric_limits<float>::infinity();
  CHECK(count_nonfinite(matrix_view<const float>(x.data(), 3, 4)) == 2);
  CHECK(count_nonfinite(matrix_view<const float>(x.data(), 3, 2, 4, 1)) == 2);
  CHECK(count_nonfinite(matrix_view<const float>(x.data() + 1, 2, 2, 1, 2)) == 0);
}
