// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/linalg/truncated_svd.hpp"

#include "linalg/dense_support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::linalg;

TEST_CASE("singular triplets: best approximation, exact and by subspace iteration") {
  struct row {
    index_t rows, cols;
  };
  for (const row& r : {row{40, 25}, row{25, 40}, row{30, 30}}) {
    const index_t least = (std::min)(r.rows, r.cols);
    vector s(least);
    for (index_t i = 0; i < least; ++i) s(i) = std::pow(0.6, static_cast<double>(i));
    const matrix u = random_frame(r.rows, least, 1), v = random_frame(r.cols, least, 2);
    const matrix a = u * s.asDiagonal() * v.transpose();
    for (const index_t iterations : {0, 4}) {
      const auto t = truncated_svd(a, 5, {.iterations = iterations});
      CHECK(skew(t.u) <= 1e-13);
      CHECK(skew(t.v) <= 1e-13);
      CHECK((t.values - s.head(5)).cwiseAbs().maxCoeff() <= 1e-13);
      const matrix best = u.leftCols(5) * s.head(5).asDiagonal() * v.leftCols(5).transpose();
      CHECK(largest(t.u * t.values.asDiagonal() * t.v.transpose() - best) <= 1e-11);
      for (index_t j = 0; j < 5; ++j) CHECK(t.v.col(j).maxCoeff() >= -t.v.col(j).minCoeff());
    }
  }
}

TEST_CASE("singular triplets: subspace iteration repeats itself and finds flat spectra roughly") {
  const matrix a = normal_matrix(60, 50, 3);
  const auto one = truncated_svd(a, 6, {.iterations = 2}), two = truncated_svd(a, 6, {.iterations = 2});
  CHECK(one.u == two.u);
  const auto exact = truncated_svd(a, 6);
  for (index_t j = 0; j < 6; ++j) {
    CHECK(one.values(j) <= exact.values(j) * (1 + 1e-12));
    CHECK(one.values(j) >= 0.9 * exact.values(j));
  }
  CHECK(truncated_svd(a, 6, {.iterations = 2, .random = {.seed = 1}}).u != one.u);
  // Each iteration brings the sum of the singular values, on a spectrum that decays by a tenth, nearer by a factor.
  vector s(50);
  for (index_t i = 0; i < 50; ++i) s(i) = std::pow(0.9, static_cast<double>(i));
  const matrix slow = random_frame(60, 50, 5) * s.asDiagonal() * random_frame(50, 50, 6).transpose();
  double before = 0.1;
  for (const index_t iterations : {1, 2, 3}) {
    const double missing = s.head(6).sum() - truncated_svd(slow, 6, {.iterations = iterations}).values.sum();
    CHECK(missing < 0.5 * before);
    before = missing;
  }
}

TEST_CASE("singular triplets: none, all, of zeros, and misuse") {
  CHECK(truncated_svd(matrix::Zero(3, 4), 2).values.isZero());
  CHECK(truncated_svd(normal_matrix(3, 4, 4), 0).u.cols() == 0);
  CHECK(truncated_svd(normal_matrix(3, 4, 4), 3, {.iterations = 1}).values.size() == 3);
  CHECK_THROWS_AS(truncated_svd(normal_matrix(3, 4, 4), 4), std::invalid_argument);
  CHECK_THROWS_AS(truncated_svd(normal_matrix(3, 4, 4), 1, {.iterations = -1}), std::invalid_argument);
}
