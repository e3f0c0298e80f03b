// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/simd_memory.hpp"

#include "support/catch.hpp"

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

using namespace hone;

namespace {
template <class A>
std::vector<A> awkward() {
  constexpr A inf = std::numeric_limits<A>::infinity();
  constexpr A nan = std::numeric_limits<A>::quiet_NaN();
  std::vector<A> values = {0,
                           A(-0.0),
                           1,
                           -1,
                           std::numeric_limits<A>::denorm_min(),
                           std::numeric_limits<A>::max(),
                           inf,
                           -inf,
                           nan,
                           -nan,
                           A(0.1),
                           A(-3.5),
                           A(1e-30),
                           A(-1e30),
                           7,
                           -8};
  values.insert(values.end(), values.begin(), values.begin() + 8);
  return values;
}
template <class A>
bool same(A x, A y) {
  return (std::isnan(x) && std::isnan(y)) || (x == y && std::signbit(x) == std::signbit(y));
}
template <class A>
bool truth(const simd::mask<A>& x, int lane) {
  return select(x, simd::pack<A>(1), simd::pack<A>(0)).lane(lane) == 1;
}
}  // namespace

TEMPLATE_TEST_CASE("every operation is the scalar one, lane by lane", "", float, double) {
  using A = TestType;
  constexpr int lanes = simd::pack<A>::lanes;
  const std::vector<A> x = awkward<A>();
  for (std::size_t shift = 0; shift < 16; ++shift) {
    std::vector<A> y(x);
    std::rotate(y.begin(), y.begin() + static_cast<std::ptrdiff_t>(shift), y.end());
    const auto a = simd::load<A>(x.data()), b = simd::load<A>(y.data());
    for (int i = 0; i < lanes; ++i) {
      const A p = x[static_cast<std::size_t>(i)], q = y[static_cast<std::size_t>(i)];
      CHECK(same((a + b).lane(i), p + q));
      CHECK(same((a - b).lane(i), p - q));
      CHECK(same((a * b).lane(i), p * q));
      CHECK(same((a / b).lane(i), p / q));
      CHECK(same((-a).lane(i), -p));
      CHECK(same(simd::abs(a).lane(i), std::abs(p)));
      CHECK(same(simd::multiply_sign(a, b).lane(i), std::signbit(q) ? -p : p));
      CHECK(truth(a < b, i) == (p < q));
      CHECK(truth(a <= b, i) == (p <= q));
      CHECK(truth(a == b, i) == (p == q));
      CHECK(truth(a != b, i) == (p != q));
      CHECK(truth((a < b) ^ (b > a), i) == 0);
      CHECK(truth((!(a < b)) & (a >= b), i) == (p >= q));
      CHECK(same(select(a < b, a, b).lane(i), p < q ? p : q));
      CHECK(same(simd::max(a, b).lane(i), p > q ? p : q));
      CHECK(same(simd::min(a, b).lane(i), p < q ? p : q));
    }
    simd::counter<A> counts;
    counts.add_nonfinite(a);
    counts.add_nonfinite(b);
    index_t expected = 0;
    for (std::size_t i = 0; i < std::size_t{lanes}; ++i) expected += !std::isfinite(x[i]) + !std::isfinite(y[i]);
    CHECK(counts.total() == expected);
  }
}

TEMPLATE_TEST_CASE("one lane that is not finite is seen, wherever it is; large numbers are finite", "", float, double) {
  using packs = simd::pack<TestType>;
  constexpr TestType large = (std::numeric_limits<TestType>::max)() / packs::lanes;
  TestType values[packs::lanes];
  for (int i = 0; i < packs::lanes; ++i) values[i] = i % 3 == 0 ? -large : large;
  CHECK(surely_finite(simd::load<TestType>(values)));
  for (TestType& value : values) {
    for (const TestType other : {TestType(NAN), -TestType(NAN), TestType(INFINITY), -TestType(INFINITY)}) {
      const TestType before = std::exchange(value, other);
      CHECK_FALSE(surely_finite(simd::load<TestType>(values)));
      value = before;
    }
  }
}

TEST_CASE("folds over lanes") {
  float values[16];
  for (int i = 0; i < 16; ++i) values[i] = static_cast<float>(i * i);
  const auto x = simd::load<float>(values);
  CHECK(simd::horizontal_sum(x) == 1240);
  CHECK(simd::horizontal_max(x) == 225);
  simd::counter<float> counts;
  counts.add(x > simd::pack<float>(100));
  CHECK(counts.total() == 5);
  const auto wide = simd::widen(x);
  CHECK(wide.low.lane(7) == 49);
  CHECK(wide.high.lane(0) == 64);
}

TEST_CASE("floats become doubles in halves, the first half first, and go back rounded once") {
  constexpr int lanes = simd::pack<float>::lanes, half = simd::pack<double>::lanes;
  STATIC_REQUIRE(lanes == 2 * half);
  float values[std::size_t{lanes}];
  for (std::size_t i = 0; i < lanes; ++i) values[i] = 0.1f + static_cast<float>(i);
  const simd::pack<float> x = simd::load<float>(values);
  simd::double_halves wide = simd::widen(x);
  for (int i = 0; i < half; ++i) {
    CHECK(wide.low.lane(i) == static_cast<double>(values[i]));
    CHECK(wide.high.lane(i) == static_cast<double>(values[i + half]));
  }
  wide.low = wide.low * simd::pack<double>(1 / 3.0);
  wide.high = wide.high * simd::pack<double>(-1 / 7.0);
  const simd::pack<float> back = simd::narrow(wide);
  for (int i = 0; i < lanes; ++i)
    CHECK(back.lane(i) == static_cast<float>(static_cast<double>(values[i]) * (i < half ? 1 / 3.0 : -1 / 7.0)));
}
