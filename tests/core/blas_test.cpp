// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/blas.hpp"
#include "hone/core/random.hpp"
#include "hone/core/thread_pool.hpp"

#include "support/catch.hpp"

#include <limits>
#include <vector>

using namespace hone;

namespace {
template <class T>
std::vector<T> normals(index_t n, std::uint32_t stream) {
  std::vector<T> x(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = from_accumulator<T>(static_cast<accumulator_t<T>>(philox{11, stream}.normal(i)));
  return x;
}
const index_t sizes[] = {0, 1, block_size - 1, block_size, block_size + 1, 5 * block_size + 77};
}  // namespace

TEMPLATE_TEST_CASE("sums against a naive one, the same bits on every executor and stride", "", float, double,
                   bfloat16) {
  using T = TestType;
  thread_pool two(2), seven(7);
  for (const index_t n : sizes) {
    const auto x = normals<T>(n, 0), y = normals<T>(n, 1);
    double expected_sum = 0, expected_dot = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      expected_sum += static_cast<double>(to_accumulator(x[i]));
      expected_dot += static_cast<double>(to_accumulator(x[i])) * static_cast<double>(to_accumulator(y[i]));
    }
    CHECK(sum(x) == Approx(expected_sum).margin(1e-10));
    CHECK(dot(x, y) == Approx(expected_dot).margin(1e-10));
    CHECK(dot(x, y) == dot(x, y, two));
    CHECK(dot(x, y) == dot(x, y, seven));
    CHECK(sum(x) == sum(x, seven));
    std::vector<T> spread(x.size() * 3);
    for (std::size_t i = 0; i < x.size(); ++i) spread[3 * i] = x[i];
    const vector_view<const T> strided(spread.data(), n, 3);
    CHECK(dot(strided, y) == dot(x, y));
    CHECK(squared_norm(strided) == squared_norm(x));
  }
}

TEST_CASE("16,384 ones in bfloat16 add up") { CHECK(sum(std::vector<bfloat16>(16384, bfloat16(1.0f))) == 16384); }

TEST_CASE("squares of float neither over- nor underflow") {
  CHECK(squared_norm(std::vector<float>(100, 1e30f)) == Approx(1e62));
  CHECK(squared_norm(std::vector<float>(100, 1e-30f)) == Approx(1e-58));
}

TEMPLATE_TEST_CASE("fill, copy, scale, axpy", "", float, double, bfloat16, float16) {
  using T = TestType;
  using A = accumulator_t<T>;
  thread_pool two(2);
  for (const index_t n : sizes) {
    auto x = normals<T>(n, 2), y = normals<T>(n, 3);
    const auto x0 = x, y0 = y;
    axpy(A(-1.5), x, y, two);
    for (std::size_t i = 0; i < x.size(); ++i)
      REQUIRE(to_accumulator(y[i]) ==
              to_accumulator(from_accumulator<T>(A(-1.5) * to_accumulator(x0[i]) + to_accumulator(y0[i]))));
    scale(A(3), x, two);
    for (std::size_t i = 0; i < x.size(); ++i)
      REQUIRE(to_accumulator(x[i]) == to_accumulator(from_accumulator<T>(A(3) * to_accumulator(x0[i]))));
    hone::copy(y0, x, two);
    for (std::size_t i = 0; i < x.size(); ++i) REQUIRE(to_accumulator(x[i]) == to_accumulator(y0[i]));
    hone::fill(x, A(2), two);
    for (std::size_t i = 0; i < x.size(); ++i) REQUIRE(to_accumulator(x[i]) == 2);
  }
}

TEST_CASE("non-finite elements are counted") {
  std::vector<float> x(9000, 1.0f);
  CHECK(count_nonfinite(x) == 0);
  x[0] = std::numeric_limits<float>::quiet_NaN();
  x[4096] = -std::numeric_limits<float>::infinity();
  x[8999] = std::numeric_limits<float>::infinity();
  CHECK(count_nonfinite(x) == 3);
  thread_pool two(2);
  CHECK(count_nonfinite(x, two) == 3);
  CHECK(count_nonfinite(vector_view<const float>(x.data(), 3, 4096)) == 2);
  CHECK(count_nonfinite(std::vector<double>{1, -std::numeric_limits<double>::infinity(), std::nan("")}) == 2);
  CHECK(count_nonfinite(std::vector<double>(40, std::numeric_limits<double>::max())) == 0);
  CHECK(count_nonfinite(std::vector<bfloat16>(70, bfloat16(std::nanf("")))) == 70);
  CHECK(count_nonfinite(std::vector<float16>(70, float16(1e5f))) == 70);
}

TEST_CASE("storage may differ where the accumulator is one; strided outputs leave what lies between") {
  const std::vector<float> x = {1, -2, 0.5f};
  std::vector<bfloat16> y(3, bfloat16(4.0f));
  axpy(2, x, y);
  CHECK(to_accumulator(y[0]) == 6);
  CHECK(to_accumulator(y[1]) == 0);
  CHECK(to_accumulator(y[2]) == 5);
  hone::copy(x, y);
  CHECK(to_accumulator(y[1]) == -2);
  CHECK(dot(x, y) == 5.25);
  CHECK(sum(y) == -0.5);
  std::vector<double> spread(40, 7);
  const vector_view<double> every(spread.data() + 1, 13, 3);
  fill(every, 1);
  scale(2, every);
  axpy(3, std::vector<double>(13, 1), every);
  for (std::size_t i = 0; i < spread.size(); ++i) CHECK(spread[i] == (i % 3 == 1 && i < 38 ? 5 : 7));
  CHECK(squared_norm(every) == 13 * 25);
}

TEST_CASE("products of floats are exact, and so are sums that double holds") {
  const float a = 1 + 0x1p-23f;
  CHECK(dot(std::vector<float>{a, -1}, std::vector<float>{a, 1}) == 0x1p-22 + 0x1p-46);
  CHECK(sum(std::vector<float>{0x1p24f, 1}) == 0x1p24 + 1);
}

TEST_CASE("sizes must agree") {
  const std::vector<float> x(3);
  std::vector<float> y(4);
  CHECK_THROWS_WITH(dot(x, y), "hone::dot: y: has 4 elements, x has 3");
  CHECK_THROWS_WITH(axpy(1.0f, x, y), "hone::axpy: y: has 4 elements, x has 3");
  CHECK_THROWS_WITH(hone::copy(x, y), "hone::copy: y: has 4 elements, x has 3");
}
