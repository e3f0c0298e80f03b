// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/linalg/top_eigen.hpp"

#include "linalg/dense_support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::linalg;

namespace {
/// A symmetric matrix of given eigenvalues, and its eigenvectors.
struct known {
  vector values;
  matrix vectors, a;
  known(const vector& of, std::uint32_t seed) : values(of), vectors(random_frame(of.size(), of.size(), seed)) {
    a = vectors * values.asDiagonal() * vectors.transpose();
  }
  [[nodiscard]] top_eigenpairs top(index_t count, const top_eigen_options& options = {}) const {
    return top_eigen([&](const matrix& x) -> matrix { return a * x; }, index_t{a.rows()}, count, options);
  }
};
}  // namespace

TEST_CASE("iterated eigenpairs: the algebraically largest, where negative ones are a thousand times as large") {
  const index_t d = 300;
  vector values(d);
  for (index_t i = 0; i < d; ++i)
    values(i) = i < 20 ? 1.0 / static_cast<double>(i + 1) : i < 200 ? 0 : -1000.0 / static_cast<double>(i);
  values(d - 1) = -1000;
  const known k(values, 1);
  const auto top = k.top(10, {.tolerance = 1e-12});
  CHECK(top.converged);
  CHECK(top.residual <= 1e-12);
  CHECK(skew(top.vectors) <= 1e-12);
  for (index_t i = 0; i < 10; ++i) CHECK(std::abs(top.values(i) - values(i)) <= 1e-9);
  CHECK(largest(projector(top.vectors) - projector(k.vectors.leftCols(10))) <= 1e-6);
  CHECK(top.norm == Approx(1000).epsilon(0.05));
}

TEST_CASE("iterated eigenpairs: a decaying spectrum to the last digits, repeated eigenvalues as a space") {
  const index_t d = 200;
  vector values(d);
  for (index_t i = 0; i < d; ++i) values(i) = std::pow(0.9, static_cast<double>(i)) - 0.3;
  values(1) = values(2) = values(0);
  const known k(values, 2);
  const auto top = k.top(8);
  CHECK(top.converged);
  for (index_t i = 0; i < 8; ++i) CHECK(std::abs(top.values(i) - values(i)) <= 1e-12);
  CHECK(largest(projector(top.vectors) - projector(k.vectors.leftCols(8))) <= 1e-8);
  CHECK(top.products < 2000);
}

TEST_CASE("iterated eigenpairs: small, zero and invariant cases, and all of them") {
  for (const index_t d : {1, 2, 9, 30}) {
    const matrix x = normal_matrix(d, d, 3);
    const matrix a = x + x.transpose();
    const eigenpairs full = dense_eigen(a);
    for (const index_t count : {index_t{0}, index_t{1}, d}) {
      const auto top = top_eigen([&](const matrix& y) -> matrix { return a * y; }, d, count);
      CHECK(top.converged);
      REQUIRE(top.values.size() == count);
      for (index_t i = 0; i < count; ++i)
        CHECK(std::abs(top.values(i) - full.values(i)) <= 1e-12 * static_cast<double>(d));
    }
  }
  const auto zero = top_eigen([](const matrix& y) -> matrix { return 0 * y; }, 100, 5);
  CHECK(zero.converged);
  CHECK(zero.values.isZero());
  CHECK(skew(zero.vectors) <= 1e-13);
}

TEST_CASE("iterated eigenpairs: given up early, the residual says so; misuse") {
  vector values(400);
  for (index_t i = 0; i < 400; ++i) values(i) = 1 - 1e-4 * static_cast<double>(i);
  const known k(values, 4);
  const auto top = k.top(5, {.tolerance = 1e-10, .products = 40});
  CHECK(!top.converged);
  CHECK(top.residual > 1e-10);
  CHECK(top.products <= 40);
  CHECK(top.residual ==
        Approx((k.a * top.vectors - top.vectors * top.values.asDiagonal()).colwise().norm().maxCoeff() / top.norm));
  const std::string function = "hone::linalg::top_eigen: ";
  CHECK_THROWS_WITH(k.top(401), function + "count: must be in [0, 400], is 401");
  CHECK_THROWS_WITH(k.top(-1), function + "count: must be in [0, 400], is -1");
  CHECK_THROWS_WITH(k.top(1, {.tolerance = 0}), function + "tolerance: must be in (0, 1), is 0");
  CHECK_THROWS_WITH(k.top(1, {.tolerance = 1}), function + "tolerance: must be in (0, 1), is 1");
  CHECK_THROWS_AS(k.top(1, {.tolerance = std::nan("")}), std::invalid_argument);
}

TEST_CASE(
    "iterated eigenpairs: products are counted, blocks are small, a loose tolerance takes fewer, a start is one") {
  const index_t d = 300;
  vector values(d);
  for (index_t i = 0; i < d; ++i) values(i) = std::pow(0.97, static_cast<double>(i));
  const known k(values, 5);
  const auto run = [&](const top_eigen_options& options) {
    index_t applied = 0, widest = 0;
    const auto top = top_eigen(
        [&](const matrix& x) -> matrix {
          applied += x.cols();
          widest = (std::max)(widest, index_t{x.cols()});
          return k.a * x;
        },
        d, 4, options);
    CHECK(top.converged);
    CHECK(top.residual <= options.tolerance);
    CHECK(top.products == applied - 4);  // but those of the certificate
    CHECK(widest == 12);
    for (index_t i = 0; i < 4; ++i) CHECK(std::abs(top.values(i) - values(i)) <= options.tolerance);
    return top;
  };
  const auto loose = run({.tolerance = 1e-3}), tight = run({.tolerance = 1e-12}), usual = run({});
  CHECK(loose.products < usual.products);
  CHECK(usual.products < tight.products);
  CHECK(usual.residual > 1e-13);
  CHECK(tight.products < 500);
  CHECK(loose.norm == Approx(1).epsilon(1e-3));
  CHECK(run({}).vectors == usual.vectors);
  CHECK(run({.random = {.seed = 1}}).vectors != usual.vectors);
  CHECK(top_eigen_options{}.tolerance == 1e-10);
  CHECK(top_eigen_options{}.products == 20000);
}
