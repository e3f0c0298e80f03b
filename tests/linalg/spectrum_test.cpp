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

TEST_CASE("low-rank eigenpairs of K S K^T equal those of the dense matrix") {
  struct row {
    index_t d, m;
  };
  for (const row& r : {row{50, 12}, row{50, 49}, row{20, 20}, row{8, 30}, row{1, 3}, row{30, 1}}) {
    const matrix k = normal_matrix(r.d, r.m, 2);
    vector signs = vector::Ones(r.m);
    for (index_t i = 0; i < r.m; i += 3) signs(i) = -1;
    const matrix a = k * signs.asDiagonal() * k.transpose();
    const low_rank_eigen low(k, signs);
    const eigenpairs full = dense_eigen(a);
    const index_t t = (std::min)(r.d, r.m);
    REQUIRE(low.values().size() == t);
    const matrix v = low.vectors(0, t);
    CHECK(skew(v) <= 1e-13);
    CHECK(largest(a * v - v * low.values().asDiagonal()) <= 1e-12 * largest(a));
    index_t above = 0;
    while (above < t && full.values(above) > 1e-9) ++above;
    for (index_t i = 0; i < above; ++i) CHECK(std::abs(low.values()(i) - full.values(i)) <= 1e-12 * full.values(0));
    CHECK(largest(projector(low.vectors(0, above)) - projector(full.vectors.leftCols(above))) <= 1e-11);
    CHECK(low.vectors(above, 0).cols() == 0);
  }
}

TEST_CASE("low-rank eigenpairs: dependent columns, zeros, extremes and misuse") {
  matrix k = normal_matrix(30, 6, 3);
  k.col(4) = k.col(1);
  k.col(5).setZero();
  const low_rank_eigen low(k, vector::Ones(6));
  CHECK(low.values()(3) > 1);
  CHECK(std::abs(low.values()(4)) <= 1e-13 * low.values()(0));
  for (const double s : {1e-150, 1e150}) {
    const low_rank_eigen scaled(k * s, vector::Ones(6));
    CHECK(scaled.values()(0) / (s * s) == Approx(low.values()(0)));
  }
  CHECK(low_rank_eigen(matrix::Zero(4, 2), vector::Ones(2)).values().isZero());
  CHECK(low_rank_eigen(matrix(4, 0), vector(0)).values().size() == 0);
  CHECK_THROWS_AS(low_rank_eigen(k, vector::Ones(5)), std::invalid_argument);
}
