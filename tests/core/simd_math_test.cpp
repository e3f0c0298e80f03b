// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/simd_math.hpp"
#include "hone/core/simd_memory.hpp"

#include "support/catch.hpp"

#include <bit>
#include <cmath>
#include <limits>

using namespace hone;

TEST_CASE("exp of float is within 2 units in the last place") {
  double worst = 0;
  for (std::uint32_t bits = 0; bits < 0xff800000u; bits += 50023) {
    const float x = std::bit_cast<float>(bits);
    if (!(x > -87.3f && x < 88.7f)) continue;
    const double expected = std::exp(static_cast<double>(x));
    const double error = std::abs(static_cast<double>(simd::exp(simd::pack<float>(x)).lane(9)) - expected);
    worst = (std::max)(worst, error / std::ldexp(1.0, std::ilogb(expected) - 23));
  }
  CHECK(worst < 2);
}

TEST_CASE("exp of double is within 2 units in the last place") {
  long double worst = 0;
  for (double x = -708; x < 709.7; x += 0.0173) {
    const long double expected = std::exp(static_cast<long double>(x));
    const long double error = std::abs(static_cast<long double>(simd::exp(simd::pack<double>(x)).lane(5)) - expected);
    worst = (std::max)(worst, error / std::ldexp(1.0L, std::ilogb(expected) - 52));
  }
  CHECK(worst < 2);
}

TEST_CASE("log1p_unit is within 2 units in the last place, from 0 to 1") {
  const auto error_at = [](double t) {
    const long double expected = std::log1p(static_cast<long double>(t));
    const long double error =
        std::abs(static_cast<long double>(simd::log1p_unit(simd::pack<double>(t)).lane(3)) - expected);
    return error / std::ldexp(1.0L, std::ilogb(expected) - 52);
  };
  long double worst = 0;
  for (double t = 1; t > 1e-300; t *= 0.9973) worst = (std::max)(worst, error_at(t));
  for (int i = 1; i <= 20000; ++i) worst = (std::max)(worst, error_at(i / 20000.0));
  CHECK(worst < 2);
  CHECK(simd::log1p_unit(simd::pack<double>(0.0)).lane(0) == 0);
  CHECK(std::isnan(simd::log1p_unit(simd::pack<double>(std::nan(""))).lane(7)));
}

TEMPLATE_TEST_CASE("exp at the ends of its range", "", float, double) {
  using A = TestType;
  const auto exp = [](A x) { return simd::exp(simd::pack<A>(x)).lane(0); };
  constexpr A inf = std::numeric_limits<A>::infinity();
  CHECK(exp(0) == 1);
  CHECK(exp(A(-0.0)) == 1);
  CHECK(exp(-inf) == 0);
  CHECK(exp(A(-1e4)) == 0);
  CHECK(exp(inf) == inf);
  CHECK(exp(A(1e4)) == inf);
  CHECK(std::isnan(exp(std::numeric_limits<A>::quiet_NaN())));
  const A subnormal = std::is_same_v<A, float> ? A(-95) : A(-720);
  CHECK(std::abs(exp(subnormal) - std::exp(subnormal)) <= 2 * std::numeric_limits<A>::denorm_min());
}

TEMPLATE_TEST_CASE("exp_nonpositive is exp, without its subnormal results", "", float, double) {
  using A = TestType;
  const auto exp = [](A x) { return simd::exp_nonpositive(simd::pack<A>(x)).lane(2); };
  const A normal = std::is_same_v<A, float> ? A(-87) : A(-708);
  long double worst = 0;
  for (A x = 0; x >= normal; x -= A(0.0173)) {
    const long double expected = std::exp(static_cast<long double>(x));
    const long double unit = std::ldexp(1.0L, std::ilogb(expected) - std::numeric_limits<A>::digits + 1);
    worst = (std::max)(worst, std::abs(static_cast<long double>(exp(x)) - expected) / unit);
  }
  CHECK(worst < 2);
  CHECK(exp(0) == 1);
  CHECK(exp(A(-0.0)) == 1);
  CHECK(exp(std::nextafter(normal, A(-1e9))) == 0);
  CHECK(exp(A(-1e30)) == 0);
  CHECK(exp(-std::numeric_limits<A>::infinity()) == 0);
  CHECK(std::isnan(exp(std::numeric_limits<A>::quiet_NaN())));
}

TEMPLATE_TEST_CASE("exp_softmax keeps the error it names", "", float, double) {
  using A = TestType;
  const A normal = std::is_same_v<A, float> ? A(-87) : A(-708);
  const auto check = [&](auto exp, double error, A zero) {
    double worst = 0;
    for (A x = 0; x >= normal; x -= A(0.00173)) {
      const double expected = std::exp(static_cast<double>(x));
      const double allowed = error + 1e-7 + 8e-8 * std::abs(static_cast<double>(x));
      worst = (std::max)(worst, std::abs(static_cast<double>(exp(x)) / expected - 1) / allowed);
    }
    CHECK(worst <= 1);
    CHECK(exp(0) == zero);
    CHECK(exp(std::nextafter(normal, A(-1e9))) == 0);
    CHECK(exp(A(-1e30)) == 0);
    CHECK(exp(-std::numeric_limits<A>::infinity()) == 0);
    CHECK(std::isnan(exp(std::numeric_limits<A>::quiet_NaN())));
  };
  const bool narrow = std::is_same_v<A, float>;
  check([](A x) { return simd::exp_softmax(simd::pack<A>(x)).lane(2); }, 9.2e-8, A(1));
  check([](A x) { return simd::exp_softmax<4>(simd::pack<A>(x)).lane(2); }, 2.6e-6, narrow ? A(0.9999992614f) : A(1));
  check([](A x) { return simd::exp_softmax<3>(simd::pack<A>(x)).lane(2); }, 7.5e-5, narrow ? A(0.9999280735f) : A(1));
}

TEMPLATE_TEST_CASE("exp_softmax takes exponents times any normal rate, and -inf is absent at each", "", float, double) {
  using A = TestType;
  using packs = simd::pack<A>;
  constexpr A inf = std::numeric_limits<A>::infinity(), least = (std::numeric_limits<A>::min)();
  const double lowest = std::is_same_v<A, float> ? -86.9 : -707.9;
  for (const double rate : {1.0, 0.3, 7.7, 1e-20, 1e20, static_cast<double>(least), 1 / static_cast<double>(least)}) {
    const simd::softmax_rate<A> of(rate);
    const auto exp = [&](A x) { return simd::exp_softmax(packs(x), of).lane(1); };
    CHECK(exp(0) == 1);
    CHECK(exp(-inf) == 0);
    CHECK(std::isnan(exp(std::numeric_limits<A>::quiet_NaN())));
    for (double exponent = lowest; exponent < 0; exponent += 0.37) {
      const A x = static_cast<A>(exponent / rate);
      const double expected = std::exp(static_cast<double>(x) * rate);
      if (std::isfinite(x)) REQUIRE(static_cast<double>(exp(x)) == Approx(expected).epsilon(1e-5).margin(1e-300));
    }
    const A beyond = static_cast<A>(1.1 * lowest / rate);
    if (std::isfinite(beyond)) CHECK(exp(beyond) == 0);
    if (rate == 1) CHECK(exp(A(-3.3)) == simd::exp_softmax(packs(A(-3.3))).lane(1));
  }
}

TEST_CASE("exp_softmax keeps NaNs of every payload") {
  for (std::uint32_t payload = 1; payload < 0x400000u; payload += 4093)
    for (const std::uint32_t top : {0x7f800000u, 0x7fc00000u, 0xff800000u, 0xffc00000u})
      REQUIRE(std::isnan(simd::exp_softmax(simd::pack<float>(std::bit_cast<float>(top | payload))).lane(1)));
}

TEMPLATE_TEST_CASE("sqrt is correctly rounded, subnormal numbers too", "", float, double) {
  using A = TestType;
  const auto root = [](A x) { return simd::sqrt(simd::pack<A>(x)).lane(3); };
  using limits = std::numeric_limits<A>;
  for (int exponent = limits::min_exponent - limits::digits + 2; exponent < limits::max_exponent; ++exponent)
    for (int i = 0; i < 64; ++i) {
      const A x = std::ldexp(A(0.5) + A(i) / A(128) + A(i) * limits::epsilon(), exponent);
      REQUIRE(root(x) == std::sqrt(x));
    }
  constexpr A inf = std::numeric_limits<A>::infinity();
  CHECK(root(0) == 0);
  CHECK(root(std::numeric_limits<A>::denorm_min()) == std::sqrt(std::numeric_limits<A>::denorm_min()));
  CHECK(root(inf) == inf);
  CHECK(std::isnan(root(-1)));
  CHECK(std::isnan(root(std::numeric_limits<A>::quiet_NaN())));
}

TEMPLATE_TEST_CASE("what is finite is seen lane by lane, and which lanes are true in bits", "", float, double) {
  constexpr int lanes = simd::pack<TestType>::lanes;
  constexpr TestType infinity = std::numeric_limits<TestType>::infinity(), most = std::numeric_limits<TestType>::max();
  const TestType kinds[] = {0,
                            -most,
                            most,
                            infinity,
                            -infinity,
                            std::numeric_limits<TestType>::quiet_NaN(),
                            -std::numeric_limits<TestType>::quiet_NaN(),
                            std::numeric_limits<TestType>::denorm_min()};
  for (int shift = 0; shift < 8; ++shift) {
    TestType values[std::size_t{lanes}];
    std::uint32_t expected = 0;
    for (int i = 0; i < lanes; ++i) {
      values[i] = kinds[(i + shift) % 8];
      expected |= static_cast<std::uint32_t>(std::isfinite(values[i])) << i;
    }
    CHECK(simd::bits(simd::finite(simd::load<TestType>(values))) == expected);
  }
}
