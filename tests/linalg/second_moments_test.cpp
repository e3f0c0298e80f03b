// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/linalg/second_moments.hpp"

#include "hone/core/thread_pool.hpp"
#include "linalg/dense_support.hpp"
#include "support/catch.hpp"

#include <limits>

using namespace hone;
using namespace hone::linalg;

namespace {
template <class T>
std::vector<T> stream(index_t rows, index_t width, std::uint32_t seed) {
  return row_major<T>(normal_matrix(rows, width, seed));
}
/// The sums by their definition, in double.
template <class T>
matrix naive(const std::vector<T>& x, index_t rows, index_t width) {
  const matrix m = copy_of(matrix_view<const T>(x.data(), rows, width));
  matrix result = matrix::Zero(width, width);
  for (index_t i = 0; i < rows; ++i)
    for (index_t a = 0; a < width; ++a)
      for (index_t b = 0; b < width; ++b) result(a, b) += m(i, a) * m(i, b);
  return result;
}
}  // namespace

TEMPLATE_TEST_CASE("second moments equal their definition around every chunk border", "", float, double, bfloat16) {
  using A = accumulator_t<TestType>;
  const index_t chunk = second_moments<A>::chunk;
  for (const index_t rows : {index_t{1}, chunk - 1, chunk, chunk + 1, 2 * chunk + 3}) {
    const index_t width = 9;
    const auto x = stream<TestType>(rows, width, 1);
    second_moments<A> moments(width);
    moments.add(matrix_view<const TestType>(x.data(), rows, width));
    const matrix expected = naive(x, rows, width), sum = moments.sum();
    // What rounding may do to sums of a chunk whose terms are 1 on average.
    const double unit = std::is_same_v<A, double> ? 0x1p-53 : 0x1p-24;
    const double scale = static_cast<double>(rows) * unit * (static_cast<double>((std::min)(rows, chunk)) + 2);
    CHECK(largest(sum - expected) <= scale);
    CHECK(sum == sum.transpose());
    CHECK(moments.count() == rows);
    CHECK(largest(moments.mean() - expected / static_cast<double>(rows)) <= scale / static_cast<double>(rows));
    const vector total = copy_of(matrix_view<const TestType>(x.data(), rows, width)).colwise().sum();
    CHECK((moments.total() - total).cwiseAbs().maxCoeff() <= 1e-11);
    const vector mean = total / static_cast<double>(rows);
    CHECK(largest(moments.mean(true) - (expected / static_cast<double>(rows) - mean * mean.transpose())) <=
          2 * scale / static_cast<double>(rows) + 1e-13);
  }
}

TEST_CASE("second moments wider than several tiles reach every element") {
  const index_t rows = 3, width = 2600;
  const auto x = stream<float>(rows, width, 5);
  second_moments<float> moments(width);
  moments.add(matrix_view<const float>(x.data(), rows, width));
  const matrix sum = moments.sum(), m = copy_of(matrix_view<const float>(x.data(), rows, width));
  CHECK(largest(sum - m.transpose() * m) <= 1e-5);
  // Two columns of tiles, each added to by several chunks.
  const index_t many = 2 * second_moments<float>::chunk + 3, two_tiles = 300;
  const auto y = stream<float>(many, two_tiles, 6);
  second_moments<float> added(two_tiles);
  added.add(matrix_view<const float>(y.data(), many, two_tiles));
  const matrix n = copy_of(matrix_view<const float>(y.data(), many, two_tiles));
  CHECK(largest(added.sum() - n.transpose() * n) <= 1e-6 * static_cast<double>(many));
}

TEST_CASE("second moments: no cut of the stream, no executor and no reading between changes a bit") {
  for (const index_t width : {1, 255, 256, 257, 530}) {  // around a tile's edge
    const index_t rows = 1100;
    const auto x = stream<float>(rows, width, 2);
    second_moments<float> whole(width);
    whole.add(matrix_view<const float>(x.data(), rows, width));
    const matrix expected = whole.sum();
    thread_pool pool(3);
    for (const index_t step : {1, 100, 511, 512, 513}) {
      second_moments<float> parts(width);
      for (index_t begin = 0; begin < rows; begin += step) {
        parts.add(matrix_view<const float>(x.data() + begin * width, (std::min)(step, rows - begin), width), pool);
        if (begin % 7 == 0) (void)parts.total();
        if (begin == 0 || begin == 600) (void)parts.sum(pool);
      }
      REQUIRE(parts.sum(pool) == expected);
      REQUIRE(parts.total() == whole.total());
    }
  }
}

TEST_CASE("second moments of strided rows, of none, and of numbers that are none") {
  const auto x = stream<float>(6, 4, 3);
  second_moments<float> columns(6), rows(6);
  columns.add(matrix_view<const float>(x.data(), 4, 6, 1, 4));  // the transpose
  const matrix transposed = copy_of(matrix_view<const float>(x.data(), 6, 4)).transpose();
  rows.add(matrix_view<const float>(row_major<float>(transposed).data(), 4, 6));
  CHECK(columns.sum() == rows.sum());

  second_moments<float> none(3);
  none.add(matrix_view<const float>(nullptr, 0, 3));
  CHECK(none.count() == 0);
  CHECK(none.sum().isZero());
  CHECK_THROWS_AS(none.mean(), std::invalid_argument);
  CHECK_THROWS_AS(none.add(matrix_view<const float>(x.data(), 2, 4)), std::invalid_argument);
  CHECK_THROWS_AS(second_moments<float>(0), std::invalid_argument);

  std::vector<float> bad = {1, 2, std::numeric_limits<float>::quiet_NaN(), 3, std::numeric_limits<float>::infinity(),
                            4};
  none.add(matrix_view<const float>(bad.data(), 2, 3));
  CHECK(none.nonfinite() == 2);
  CHECK(!none.sum().allFinite());
  CHECK(none.sum()(0, 0) == 10);
}

TEST_CASE("second moments: a long stream of float keeps more digits than a float sum does") {
  const index_t rows = 40000;
  second_moments<float> moments(1);
  std::vector<float> x(static_cast<std::size_t>(rows), 1.1f);
  moments.add(matrix_view<const float>(x.data(), rows, 1));
  const double exact = static_cast<double>(rows) * static_cast<double>(1.1f) * static_cast<double>(1.1f);
  CHECK(std::abs(moments.sum()(0, 0) - exact) <= 3e-6 * exact);
}
