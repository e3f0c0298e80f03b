// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/linalg/spectrum.hpp"

#include "linalg/dense_support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::linalg;

TEST_CASE("dense eigenpairs: descending, orthonormal, and they rebuild the matrix") {
  for (const index_t d : {1, 2, 17, 60}) {
    const matrix x = normal_matrix(d, d, 1), a = x + x.transpose();
    const eigenpairs e = dense_eigen(a);
    CHECK(skew(e.vectors) <= 1e-13);
    CHECK(largest(e.vectors * e.values.asDiagonal() * e.vectors.transpose() - a) <= 1e-13 * static_cast<double>(d));
    for (index_t i = 1; i < d; ++i) CHECK(e.values(i) <= e.values(i - 1));
  }
  CHECK(dense_eigen(matrix()).values.size() == 0);
}

TEST_CASE("low-rank eigenpairs of K S K^T equal those of the dense matrix, of all columns and of the first") {
  struct row {
    index_t d, m, first;
  };
  for (const row& r : {row{50, 12, 12}, row{50, 49, 20}, row{20, 20, 1}, row{8, 30, 30}, row{8, 30, 5}, row{8, 30, 12},
                       row{1, 3, 3}, row{30, 1, 1}}) {
    const matrix k = normal_matrix(r.d, r.m, 2), used = k.leftCols(r.first);
    vector weights = vector::Constant(r.first, 0.3);
    for (index_t i = 0; i < r.first; i += 3) weights(i) = -0.7;
    const matrix a = used * weights.asDiagonal() * used.transpose();
    const low_rank_eigen factors(k);
    const eigenpairs low = factors.decompose(weights), full = dense_eigen(a);
    const index_t t = (std::min)(r.d, r.first);
    REQUIRE(low.values.size() == t);
    const matrix v = factors.vectors(low, 0, t);
    CHECK(skew(v) <= 1e-13);
    CHECK(largest(a * v - v * low.values.asDiagonal()) <= 1e-12 * largest(a));
    index_t above = 0;
    while (above < t && full.values(above) > 1e-9) ++above;
    for (index_t i = 0; i < above; ++i) CHECK(std::abs(low.values(i) - full.values(i)) <= 1e-12 * full.values(0));
    CHECK(largest(projector(factors.vectors(low, 0, above)) - projector(full.vectors.leftCols(above))) <= 1e-11);
    CHECK(factors.vectors(low, above, 0).cols() == 0);
    CHECK(largest(factors.vectors(low, above, t - above) - v.rightCols(t - above)) <= 1e-12);
  }
}

TEST_CASE("low-rank eigenpairs: dependent columns, zeros, extremes and misuse") {
  matrix k = normal_matrix(30, 6, 3);
  k.col(4) = k.col(1);
  k.col(5).setZero();
  const vector ones = vector::Ones(6);
  const low_rank_eigen factors(k);
  const eigenpairs low = factors.decompose(ones);
  CHECK(low.values(3) > 1);
  CHECK(std::abs(low.values(4)) <= 1e-13 * low.values(0));
  for (const double s : {1e-150, 1e150})
    CHECK(low_rank_eigen(k * s).decompose(ones).values(0) / (s * s) == Approx(low.values(0)));
  const matrix positive = k.cwiseAbs();
  const low_rank_eigen plain(positive);
  for (const double s : {1e-200, -1e-200, 1e200, -1e200}) {  // the values are out of range, the vectors are not
    const low_rank_eigen extreme(positive * s);
    CHECK(largest(projector(extreme.vectors(extreme.decompose(ones), 0, 4)) -
                  projector(plain.vectors(plain.decompose(ones), 0, 4))) <= 1e-11);
  }
  CHECK(low_rank_eigen(matrix::Zero(4, 2)).decompose(vector::Ones(2)).values.isZero());
  CHECK(low_rank_eigen(matrix(4, 0)).decompose(vector(0)).values.size() == 0);
  CHECK(factors.decompose(vector(0)).values.size() == 0);
  CHECK_THROWS_AS(factors.decompose(vector::Ones(7)), std::invalid_argument);
}
