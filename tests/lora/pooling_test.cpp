// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/lora/pooling.hpp"

#include "hone/core/thread_pool.hpp"
#include "linalg/dense_support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::lora;

namespace {
/// Sequences of 3, 1, 4 tokens of 2 elements; the last tokens of the first and third are padding.
const std::vector<double> outputs = {1, 10, 2, 20, 100, 1000, 4, 40, 5, 50, 6, 60, 7, 70, 300, 3000};
const std::vector<index_t> offsets = {0, 3, 4, 8};
const std::vector<std::uint8_t> mask = {1, 1, 0, 1, 1, 1, 1, 0};

template <class T = double>
std::vector<T> pooled(pooling how, std::span<const std::uint8_t> m) {
  const index_t rows = pooled_rows(offsets, m, how);
  std::vector<T> result(static_cast<std::size_t>(rows * 2));
  pool(matrix_view<const double>(outputs.data(), 8, 2), offsets, m, how, matrix_view<T>(result.data(), rows, 2));
  return result;
}
}  // namespace

TEST_CASE("pooling: sums with padding as the authors', masked sums and means, last tokens, tokens") {
  CHECK(pooled(pooling::sum, {}) == std::vector<double>{103, 1030, 4, 40, 318, 3180});
  CHECK(pooled(pooling::sum, mask) == std::vector<double>{3, 30, 4, 40, 18, 180});
  CHECK(pooled(pooling::mean, mask) == std::vector<double>{1.5, 15, 4, 40, 6, 60});
  CHECK(pooled(pooling::mean, {}) == std::vector<double>{103.0 / 3, 1030.0 / 3, 4, 40, 79.5, 795});
  CHECK(pooled(pooling::last_token, mask) == std::vector<double>{2, 20, 4, 40, 7, 70});
  CHECK(pooled(pooling::last_token, {}) == std::vector<double>{100, 1000, 4, 40, 300, 3000});
  CHECK(pooled(pooling::per_token, mask) == std::vector<double>{1, 10, 2, 20, 4, 40, 5, 50, 6, 60, 7, 70});
  CHECK(pooled(pooling::per_token, {}) == outputs);
  CHECK(pooled<float>(pooling::sum, mask) == std::vector<float>{3, 30, 4, 40, 18, 180});
  CHECK(static_cast<float>(pooled<bfloat16>(pooling::sum, {})[5]) == 3184);  // rounded once
}

TEST_CASE("pooling: wide rows, any strides, any executor") {
  const index_t tokens = 50, d = 131;
  const linalg::matrix x = normal_matrix(tokens, d, 1);
  std::vector<index_t> sequences;
  for (index_t t = 0; t <= tokens; t += 5) sequences.push_back(t);
  linalg::matrix expected(10, d), rows(10, d), parallel(10, d);
  for (index_t i = 0; i < 10; ++i) expected.row(i) = x.middleRows(5 * i, 5).colwise().sum();
  pool(linalg::view(x), sequences, {}, pooling::sum, linalg::view(rows));
  thread_pool workers(3);
  pool(linalg::view(x), sequences, {}, pooling::sum, linalg::view(parallel), workers);
  CHECK(largest(rows - expected) <= 1e-14);
  CHECK(rows == parallel);
}

TEST_CASE("pooling: sequences of nothing, and misuse") {
  const std::vector<index_t> empty = {0, 0, 8};
  linalg::matrix rows(2, 2);
  const matrix_view<const double> x(outputs.data(), 8, 2);
  pool(x, empty, {}, pooling::sum, linalg::view(rows));
  CHECK(rows.row(0).isZero());
  CHECK_THROWS_WITH(pool(x, empty, {}, pooling::mean, linalg::view(rows)), Catch::Contains("no token of sequence 0"));
  CHECK_THROWS_AS(pool(x, empty, {}, pooling::last_token, linalg::view(rows)), std::invalid_argument);
  const std::vector<std::uint8_t> short_mask(7, 1);
  CHECK_THROWS_AS(pool(x, empty, short_mask, pooling::sum, linalg::view(rows)), std::invalid_argument);
  const std::vector<index_t> late = {1, 8}, early = {0, 7}, back = {0, 5, 3, 8}, nothing = {};
  for (const auto& bad : {late, early, back, nothing})
    CHECK_THROWS_AS(pool(x, bad, {}, pooling::sum, linalg::view(rows)), std::invalid_argument);
  linalg::matrix wrong(3, 2);
  CHECK_THROWS_AS(pool(x, empty, {}, pooling::sum, linalg::view(wrong)), std::invalid_argument);
  const std::vector<index_t> zero = {0};
  linalg::matrix none(0, 2);
  pool(matrix_view<const double>(nullptr, 0, 2), zero, {}, pooling::sum, linalg::view(none));
  CHECK(pooled_rows(nothing, {}, pooling::per_token) == 0);
}
