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
  const auto none = truncated_svd(normal_matrix(3, 4, 4), 0);
  CHECK(none.u.rows() == 3);
  CHECK(none.v.rows() == 4);
  CHECK(none.values.size() == 0);
  const std::string function = "hone::linalg::truncated_svd: ";
  CHECK_THROWS_WITH(truncated_svd(normal_matrix(3, 4, 4), 4), function + "count: must be in [0, 3], is 4");
  CHECK_THROWS_WITH(truncated_svd(normal_matrix(4, 3, 4), -1), function + "count: must be in [0, 3], is -1");
  CHECK_THROWS_WITH(truncated_svd(normal_matrix(3, 4, 4), 1, {.iterations = -1}),
                    function + "iterations: must not be negative, is -1");
  CHECK_THROWS_WITH(truncated_svd(normal_matrix(3, 4, 4), 1, {.oversampling = -1}),
                    function + "oversampling: must not be negative, is -1");
}

TEST_CASE("singular triplets: a subspace as wide as the matrix is exact, a narrow one is not; ten columns are usual") {
  const matrix a = normal_matrix(60, 50, 3);
  const auto exact = truncated_svd(a, 6);
  const auto missing = [&](index_t oversampling) {
    const auto t = truncated_svd(a, 6, {.iterations = 1, .oversampling = oversampling});
    CHECK(t.u.cols() == 6);
    CHECK(t.v.cols() == 6);
    return exact.values.sum() - t.values.sum();
  };
  for (const index_t whole : {44, 45, 1000}) CHECK(std::abs(missing(whole)) <= 1e-11);
  CHECK(missing(43) > 1e-6);
  CHECK(missing(0) > 1.2 * missing(10));
  CHECK(truncated_svd(a, 6, {.iterations = 1}).u == truncated_svd(a, 6, {.iterations = 1, .oversampling = 10}).u);
  CHECK(truncated_svd(a, 6, {.iterations = 1, .random = {.stream = 1}}).u != truncated_svd(a, 6, {.iterations = 1}).u);
  CHECK(svd_options{}.iterations == 0);
}

TEST_CASE("singular triplets: signs turn pairs together") {
  singular_triplets x{matrix::Identity(3, 2), vector::Ones(2), matrix::Identity(2, 2)};
  x.v(1, 1) = -1;
  canonical_signs(x);
  CHECK(x.v == matrix::Identity(2, 2));
  CHECK(x.u(0, 0) == 1);
  CHECK(x.u(1, 1) == -1);
}
