// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/linalg/principal_angles.hpp"

#include "linalg/dense_support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::linalg;

TEST_CASE("principal angles: known, small and right ones, whatever the bases") {
  const double small = 1e-9, wide = 1.3;
  matrix u = matrix::Zero(6, 3), v = matrix::Zero(6, 2);
  u(0, 0) = u(1, 1) = u(2, 2) = 1;
  v(0, 0) = std::cos(small);
  v(3, 0) = std::sin(small);
  v(1, 1) = std::cos(wide);
  v(4, 1) = std::sin(wide);
  const matrix turn = random_frame(6, 6, 7);
  const vector angles = principal_angles(turn * u * random_frame(3, 3, 8), turn * v * random_frame(2, 2, 9));
  REQUIRE(angles.size() == 2);
  CHECK(std::abs(angles(0) - small) <= 1e-15);
  CHECK(angles(1) == Approx(wide).epsilon(1e-14));
  CHECK(principal_angles(v, u).isApprox(angles, 1e-14));
  CHECK(principal_angles(u, u.rightCols(1))(0) <= 1e-15);
  const double right = principal_angles(matrix::Identity(4, 1), matrix(matrix::Identity(4, 4).rightCols(2)))(0);
  CHECK(right == Approx(std::acos(0.0)));
  CHECK(principal_angles(u, matrix(6, 0)).size() == 0);
  CHECK_THROWS_WITH(principal_angles(u, matrix(matrix::Identity(5, 1))),
                    "hone::linalg::principal_angles: v: has 5 rows, u has 6");
}

TEST_CASE("principal angles: as many columns on either side; sines of small ones, cosines of those near a right one") {
  const double small = 1e-9, near = std::acos(1e-9);
  matrix u = matrix::Zero(4, 2), v = matrix::Zero(4, 2);
  u(0, 0) = u(1, 1) = 1;
  v(0, 0) = 1;
  v(2, 0) = small;
  v(1, 1) = 1e-9;
  v(3, 1) = 1;
  const vector angles = principal_angles(u, v);
  REQUIRE(angles.size() == 2);
  CHECK(angles(0) == Approx(small).epsilon(1e-12));
  CHECK(std::abs(angles(1) - near) <= 2e-16);
  const vector none = principal_angles(u, u);
  CHECK(none.isZero());
}
