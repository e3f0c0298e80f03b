// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/linalg/orthonormal.hpp"

#include "linalg/dense_support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::linalg;

TEST_CASE("signs: the largest entry positive, the first of equal ones, whatever the signs before") {
  matrix v(3, 3);
  v << 1, -1, 0, -3, 1, 0, 2, 1 + 1e-12, 0;
  matrix turned = -v;
  canonical_signs(v);
  canonical_signs(turned);
  CHECK(v == turned);
  CHECK(v(1, 0) == 3);
  CHECK(v(0, 1) == 1);  // 1 and 1 + 1e-12 count as equal
  CHECK(v.col(2).isZero());
}

TEST_CASE("an orthonormal part spans what columns add, drops what depends, and stands on the basis") {
  const index_t d = 40;
  const matrix basis = random_frame(d, 7, 1);
  matrix x = normal_matrix(d, 6, 2);
  x.col(2) = x.col(0) - 3 * x.col(1);                   // depends on the others
  x.col(3) = basis * normal_matrix(7, 1, 3);            // in the span
  x.col(4) = x.col(3) + 1e-9 * normal_matrix(d, 1, 4);  // almost
  x.col(5) *= 1e-100;
  const matrix q = orthonormal_part(basis, x);
  CHECK(q.cols() == 4);
  CHECK(skew(q) <= 1e-14);
  CHECK(largest(basis.transpose() * q) <= 1e-14);
  const matrix rest = x - basis * (basis.transpose() * x) - q * (q.transpose() * x);
  for (const index_t j : {0, 1, 2, 4}) CHECK(rest.col(j).norm() <= 1e-13);
  CHECK(orthonormal_part(basis, matrix::Zero(d, 3)).cols() == 0);
  CHECK(orthonormal_part(basis, normal_matrix(d, 3, 2) * 1e-200).cols() == 0);
  CHECK(orthonormal_part(matrix(3, 0), normal_matrix(3, 5, 5)).cols() == 3);  // no more than there are dimensions
}

TEST_CASE("an orthonormal part is one however little a column adds, as long as that is asked for") {
  matrix x = matrix::Zero(8, 4);
  x.topLeftCorner(3, 3) = normal_matrix(3, 3, 7);  // so that all rounding lies in their span
  x.col(3) = x.col(0) - 2 * x.col(1) + x.col(2);
  for (const double least : {1e-9, 1e-20, 1e-30}) {  // below 1e-16 the rounding of one pass is more
    x(7, 3) = least;
    const matrix q = orthonormal_part(matrix(8, 0), x, 1e-5 * least);
    REQUIRE(q.cols() == 4);
    CHECK(skew(q) <= 1e-14);
  }
}

TEST_CASE("completion keeps what is given, is orthonormal, and repeats itself") {
  for (const index_t k : {0, 1, 5, 11, 12}) {
    const matrix given = random_frame(12, k, 6);
    matrix q = given, again = given;
    complete_orthonormal(q, 12);
    complete_orthonormal(again, 12);
    CHECK(q.leftCols(k) == given);
    CHECK(q == again);
    CHECK(skew(q) <= 1e-13);
    CHECK(q.cols() == 12);
  }
  // A column that is completed may lie along another unit vector: that one adds nothing any more.
  matrix pairs = matrix::Zero(4, 2);
  pairs(0, 0) = pairs(1, 0) = pairs(2, 1) = pairs(3, 1) = std::sqrt(0.5);
  complete_orthonormal(pairs, 4);
  CHECK(skew(pairs) <= 1e-13);
  matrix units = matrix::Identity(5, 2);
  complete_orthonormal(units, 4);
  CHECK(units == matrix::Identity(5, 4));
}

TEST_CASE("signs: the last entry counts too, 1e-8 more is more, and a column of NaN is left") {
  matrix v(3, 4);
  v << 1, 1, -1, std::nan(""), 2, -1 - 1e-8, 1 + 1e-8, std::nan(""), -3, 0, 0, std::nan("");
  canonical_signs(v);
  CHECK(v(2, 0) == 3);
  CHECK(v(0, 0) == -1);
  CHECK(v(0, 1) == -1);
  CHECK(v(0, 2) == -1);
  CHECK(std::isnan(v(2, 3)));
}

TEST_CASE("an orthonormal part has no more columns than the basis leaves, whatever is asked for") {
  const matrix basis = random_frame(5, 3, 1);
  const matrix q = orthonormal_part(basis, normal_matrix(5, 4, 2), 1e-300);
  CHECK(q.cols() == 2);
  CHECK(skew(q) <= 1e-14);
  CHECK(largest(basis.transpose() * q) <= 1e-14);
  CHECK(orthonormal_part(random_frame(5, 5, 1), normal_matrix(5, 4, 2), 1e-300).cols() == 0);
  for (const double least : {1e-11, 1e-13}) {  // of a length of 1: below and above what is asked for if nothing is said
    matrix x = matrix::Identity(4, 2);
    x.col(1) = x.col(0);
    x(1, 1) = least;
    CHECK(orthonormal_part(matrix(4, 0), x).cols() == (least > 1e-12 ? 2 : 1));
  }
}

TEST_CASE("completion: unit vectors that lie equally far outside to 1e-9 are taken in their order") {
  matrix q(3, 1);
  q << std::sqrt(0.5 + 1e-12), std::sqrt(0.5 - 1e-12), 0;
  complete_orthonormal(q, 3);
  CHECK(q.col(1) == vector::Unit(3, 2));
  CHECK(q(0, 2) == Approx(std::sqrt(0.5)));
  CHECK(q(1, 2) == Approx(-std::sqrt(0.5)));
  matrix apart(3, 1);
  apart << std::sqrt(0.5 + 1e-8), std::sqrt(0.5 - 1e-8), 0;
  complete_orthonormal(apart, 3);
  CHECK(apart(1, 2) == Approx(std::sqrt(0.5)));
}
