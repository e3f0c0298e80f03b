// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/scalar.hpp"
#include "hone/interop/eigen.hpp"

#include "support/catch.hpp"

#include <cmath>
#include <limits>

using hone::bfloat16;
using hone::float16;

TEST_CASE("bfloat16 agrees with Eigen's on every value and on floats in between") {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto narrow = std::bit_cast<bfloat16>(static_cast<std::uint16_t>(bits));
    const float wide = narrow;
    if (std::isnan(wide)) {
      CHECK(std::isnan(static_cast<float>(bfloat16(wide))));
      continue;
    }
    REQUIRE(bfloat16(wide).bits == bits);
    for (const std::uint32_t low : {0x7fffu, 0x8000u, 0x8001u}) {
      const float between = std::bit_cast<float>((bits << 16) | low);
      if (std::isnan(between)) continue;
      REQUIRE(bfloat16(between).bits == std::bit_cast<std::uint16_t>(Eigen::bfloat16(between)));
    }
  }
}

TEST_CASE("float16 agrees with Eigen's on every value and on floats in between") {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto narrow = std::bit_cast<float16>(static_cast<std::uint16_t>(bits));
    const float wide = narrow;
    const float expected = static_cast<float>(std::bit_cast<Eigen::half>(static_cast<std::uint16_t>(bits)));
    if (std::isnan(expected)) {
      REQUIRE(std::isnan(wide));
      continue;
    }
    REQUIRE(std::bit_cast<std::uint32_t>(wide) == std::bit_cast<std::uint32_t>(expected));
    REQUIRE(float16(wide).bits == bits);
    if (std::isinf(wide)) continue;
    for (const float nudge : {std::nextafter(wide, 1e9f), std::nextafter(wide, -1e9f), wide * 1.00048828125f,
                              wide * 1.0004882f, wide * 1.00049f})
      REQUIRE(float16(nudge).bits == std::bit_cast<std::uint16_t>(Eigen::half(nudge)));
  }
  CHECK(float16(65520.0f).bits == 0x7c00);
  CHECK(float16(65519.99f).bits == 0x7bff);
  CHECK(float16(std::numeric_limits<float>::quiet_NaN()).bits > 0x7c00);
}

TEST_CASE("16-bit storage and float compute in float, double in double") {
  STATIC_REQUIRE(std::is_same_v<hone::accumulator_t<bfloat16>, float>);
  STATIC_REQUIRE(std::is_same_v<hone::accumulator_t<const Eigen::half>, float>);
  STATIC_REQUIRE(std::is_same_v<hone::accumulator_t<double>, double>);
  STATIC_REQUIRE(!hone::scalar<int>);
  CHECK(hone::to_accumulator(Eigen::bfloat16(1.5f)) == 1.5f);
  CHECK(static_cast<float>(hone::from_accumulator<Eigen::half>(1.5f)) == 1.5f);
}

TEST_CASE("a NaN keeps its sign and its upper bits, and becomes quiet, on the way to 16 bits and back") {
  const auto narrow = [](std::uint32_t bits) { return bfloat16(std::bit_cast<float>(bits)).bits; };
  CHECK(narrow(0x7f800001u) == 0x7fc0);
  CHECK(narrow(0xff810000u) == 0xffc1);
  CHECK(narrow(0x7fffffffu) == 0x7fff);
  const auto half = [](std::uint32_t bits) { return float16(std::bit_cast<float>(bits)).bits; };
  CHECK(half(0x7f800001u) == 0x7e00);
  CHECK(half(0xff802000u) == 0xfe01);
  CHECK(half(0x7fffffffu) == 0x7fff);
  const auto wide = [](std::uint16_t bits) {
    return std::bit_cast<std::uint32_t>(hone::detail::float16_to_float(bits));
  };
  CHECK(wide(0x7c01) == 0x7fc02000u);
  CHECK(wide(0xfc01) == 0xffc02000u);
  CHECK(std::bit_cast<std::uint32_t>(hone::detail::bfloat16_to_float(0xff81)) == 0xff810000u);
  CHECK(std::isnan(hone::to_accumulator(bfloat16(std::nanf("")))));
  CHECK(std::isnan(hone::to_accumulator(float16(std::nanf("")))));
  CHECK(bfloat16().bits == 0);
  CHECK(float16().bits == 0);
  CHECK(float16(-0.0f).bits == 0x8000);
  CHECK(float16(-65520.0f).bits == 0xfc00);
  CHECK(bfloat16(std::numeric_limits<float>::infinity()).bits == 0x7f80);
  CHECK(bfloat16(std::numeric_limits<float>::max()).bits == 0x7f80);
}
