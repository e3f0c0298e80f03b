// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/lora/eva.hpp"

#include "lora/golden_support.hpp"

#include <limits>

using namespace hone;
using namespace hone::lora;

TEST_CASE("PEFT's incremental components on three batches") {
  incremental_pca pca(golden::inputs, 4);
  for (const auto& batch : golden::batches) {
    CHECK((pca.count() == 24 || !pca.converged(4, -2)));  // not before two batches
    pca.add(matrix_view<const double>(batch.data(), 12, golden::inputs));
  }
  CHECK(largest(pca.components().transpose() - golden::as_rows(golden::eva_components, golden::inputs)) <= 1e-5);
  for (index_t i = 0; i < 4; ++i) {
    const auto k = static_cast<std::size_t>(i);
    CHECK(pca.singular_values()(i) == Approx(golden::eva_singular_values[k]).epsilon(1e-5));
    CHECK(pca.explained_ratio()(i) == Approx(golden::eva_ratios[k]).epsilon(1e-5));
  }
  double least = 1;
  for (const double cosine : golden::eva_cosines) least = (std::min)(least, cosine);
  CHECK(pca.converged(4, least - 1e-4));
  CHECK(!pca.converged(4, least + 1e-4));
  CHECK(pca.converged(1, golden::eva_cosines[0] - 1e-4));
  CHECK(!pca.converged(5, -2));
}

TEST_CASE("incremental components: exact where all are kept, whatever the batches; the mean and the variance are") {
  const index_t rows = 60, inputs = 7;
  const linalg::matrix x = normal_matrix(rows, inputs, 2) * normal_matrix(inputs, inputs, 3);
  const linalg::matrix centred = x.rowwise() - x.colwise().mean();
  const auto exact = linalg::truncated_svd(centred, inputs);
  for (const index_t step : {10, 23, 60}) {
    incremental_pca pca(inputs, inputs);
    for (index_t begin = 0; begin < rows; begin += step)
      pca.add(matrix_view<const double>(x.data() + begin, (std::min)(step, rows - begin), inputs, 1, rows));
    CHECK(pca.count() == rows);
    CHECK((pca.singular_values() - exact.values).cwiseAbs().maxCoeff() <= 1e-12 * exact.values(0));
    CHECK(largest(pca.components() - exact.v) <= 1e-10);
    CHECK((pca.mean() - linalg::vector(x.colwise().mean())).cwiseAbs().maxCoeff() <= 1e-13);
    CHECK(pca.explained_ratio().sum() == Approx(1));
  }
}

TEST_CASE("EVA: A is the first components, whitened or not, B zero, the weight untouched") {
  incremental_pca pca(golden::inputs, 4);
  for (const auto& batch : golden::batches) pca.add(matrix_view<const double>(batch.data(), 12, golden::inputs));
  auto l = golden::fresh();
  initialise(eva{pca}, l.w(), l.site, l.parameters);
  CHECK(l.a() == pca.components().leftCols(3).transpose());
  CHECK(l.b().isZero());
  CHECK(l.now() == l.original());
  initialise(eva{.inputs = pca, .whiten = true}, l.w(), l.site, l.parameters);
  for (index_t i = 0; i < 3; ++i) CHECK(l.a().row(i).norm() == Approx(1 / std::sqrt(pca.singular_values()(i))));
}

TEST_CASE("EVA's ranks go where they explain most, ties to the lower site, no more than a site has components") {
  const std::vector<linalg::vector> ratios = {linalg::vector{{0.5, 0.1, 0.05, 0.01}},
                                              linalg::vector{{0.3, 0.3, 0.2, 0.1}},
                                              linalg::vector{{0.04, 0.03, 0.02, 0.0}}};
  CHECK(redistribute_ranks(ratios, std::vector<index_t>{2, 2, 2}) == std::vector<index_t>{2, 4, 0});
  CHECK(redistribute_ranks(ratios, std::vector<index_t>{1, 1, 1}) == std::vector<index_t>{1, 2, 0});
  CHECK(redistribute_ranks(ratios, std::vector<index_t>{1, 2, 2}) == std::vector<index_t>{2, 3, 0});  // 0.1 and 0.1
  CHECK(redistribute_ranks(ratios, std::vector<index_t>{4, 4, 9}) == std::vector<index_t>{4, 4, 4});
  CHECK(redistribute_ranks({}, {}).empty());
  CHECK_THROWS_AS(redistribute_ranks(ratios, std::vector<index_t>{1}), std::invalid_argument);
  CHECK(eva_components(16, 2) == 32);
  CHECK(eva_components(5, 1.5) == 8);  // 7.5, to even
  CHECK(eva_components(3, 1.5) == 4);  // 4.5
  CHECK_THROWS_AS(eva_components(3, 0.5), std::invalid_argument);
}

TEST_CASE("incremental components: misuse and inputs without variance") {
  CHECK_THROWS_AS(incremental_pca(4, 5), std::invalid_argument);
  CHECK_THROWS_AS(incremental_pca(4, 0), std::invalid_argument);
  incremental_pca pca(3, 2);
  std::vector<float> x = {1, 2, 3, 1, 2, 3, 1, 2, 3};
  CHECK_THROWS_AS(pca.add(matrix_view<const float>(x.data(), 1, 3)), std::invalid_argument);
  CHECK_THROWS_AS(pca.add(matrix_view<const float>(x.data(), 3, 2)), std::invalid_argument);
  pca.add(matrix_view<const float>(x.data(), 3, 3));
  CHECK(pca.explained_ratio().isZero());
  CHECK(skew(pca.components()) <= 1e-14);
  pca.add(matrix_view<const float>(x.data(), 1, 3));  // later batches may be shorter
  CHECK(pca.count() == 4);
  x[4] = std::numeric_limits<float>::infinity();
  CHECK_THROWS_AS(pca.add(matrix_view<const float>(x.data(), 2, 3)), std::invalid_argument);
  CHECK(pca.count() == 4);
  layer<float> l(5, 3, 2, 1);
  CHECK_THROWS_AS(initialise(eva{.inputs = pca, .whiten = true}, l.w(), l.site, l.parameters), std::invalid_argument);
  layer<float> deeper(5, 3, 3, 1), wider(5, 4, 2, 1);
  CHECK_THROWS_AS(initialise(eva{pca}, deeper.w(), deeper.site, deeper.parameters), std::invalid_argument);
  CHECK_THROWS_AS(initialise(eva{pca}, wider.w(), wider.site, wider.parameters), std::invalid_argument);
}
