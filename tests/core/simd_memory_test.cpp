// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/simd_memory.hpp"

#include "support/catch.hpp"
#include "support/denormals.hpp"

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

using namespace hone;

namespace {
template <class A>
bool same(A x, A y) {
  return (std::isnan(x) && std::isnan(y)) || (x == y && std::signbit(x) == std::signbit(y));
}
}  // namespace

TEMPLATE_TEST_CASE("loads and stores convert, and keep inside their count", "", float, double, bfloat16, float16) {
  using T = TestType;
  using A = accumulator_t<T>;
  constexpr int lanes = simd::pack<A>::lanes;
  const A infinity = std::numeric_limits<A>::infinity();
  for (const A value : {A(0), A(-0.0), A(0.1), A(-3.5), A(1e30), infinity, -infinity}) {
    std::vector<T> memory(static_cast<std::size_t>(lanes) + 2, from_accumulator<T>(A(5)));
    simd::store(memory.data() + 1, simd::pack<A>(value));
    const A expected = to_accumulator(from_accumulator<T>(value));
    CHECK(same(to_accumulator(memory[1]), expected));
    CHECK(same(simd::load<A>(memory.data() + 1).lane(lanes - 1), expected));
    CHECK(to_accumulator(memory.front()) == 5);
    CHECK(to_accumulator(memory.back()) == 5);
  }
  std::vector<T> memory(3, from_accumulator<T>(A(2)));
  const auto partial = simd::load<A>(memory.data(), 2, A(7));
  CHECK(partial.lane(1) == 2);
  CHECK(partial.lane(2) == 7);
  simd::store(memory.data(), simd::pack<A>(1), 2);
  CHECK(to_accumulator(memory[1]) == 1);
  CHECK(to_accumulator(memory[2]) == 2);
}

TEMPLATE_TEST_CASE("every 16-bit number is read and written as its own conversion does", "", bfloat16, float16) {
  using T = TestType;
  constexpr int lanes = simd::pack<float>::lanes;
  index_t wrong = 0;
  for (std::uint32_t first = 0; first < 65536; first += lanes) {
    T memory[std::size_t{lanes}], written[std::size_t{lanes}];
    for (std::uint32_t i = 0; i < lanes; ++i) memory[i].bits = static_cast<std::uint16_t>(first + i);
    const auto x = simd::load<float>(memory);
    simd::store(written, x);
    for (int i = 0; i < lanes; ++i) {
      wrong += !same(x.lane(i), to_accumulator(memory[i]));
      wrong += written[i].bits != from_accumulator<T>(x.lane(i)).bits;
    }
  }
  CHECK(wrong == 0);
}

TEMPLATE_TEST_CASE("floats of every exponent, ties and NaNs round to 16 bits as their own conversion does", "",
                   bfloat16, float16) {
  using T = TestType;
  constexpr int lanes = simd::pack<float>::lanes;
  index_t wrong = 0;
  float values[std::size_t{lanes}];
  std::size_t filled = 0;
  const auto flush = [&] {
    T written[std::size_t{lanes}];
    simd::store(written, simd::load<float>(values));
    for (std::size_t i = 0; i < lanes; ++i) wrong += written[i].bits != from_accumulator<T>(values[i]).bits;
    filled = 0;
  };
  for (std::uint32_t high = 0; high < 4096; ++high)  // sign, exponent, three bits of the mantissa
    for (const std::uint32_t low : {0u, 1u, 0xfffu, 0x1000u, 0x1001u, 0x1fffu, 0x2000u, 0x3000u, 0x7fffu, 0x8000u,
                                    0x8001u, 0xffffu, 0x17fffu, 0x18000u, 0x18001u, 0xfffffu}) {
      values[filled++] = std::bit_cast<float>(high << 20 | low);
      if (filled == lanes) flush();
    }
  CHECK(wrong == 0);
}

#if defined(__GNUC__)
TEMPLATE_TEST_CASE("words hold the even and the odd elements of memory, and give them back", "", bfloat16, float16) {
  using T = TestType;
  using words = simd::words<T>;
  constexpr auto count = std::size_t{words::count};
  index_t wrong = 0;
  for (std::uint32_t first = 0; first < 65536; first += words::count) {
    T memory[count], written[count];
    for (std::uint32_t i = 0; i < count; ++i) memory[i].bits = static_cast<std::uint16_t>(first + i);
    const words x = words::load(memory);
    words::join(x.even(), x.odd()).store(written);
    for (std::size_t i = 0; i < count; ++i) {
      const float value = to_accumulator(memory[i]);
      const int lane = static_cast<int>(i) / 2;
      wrong += !same(i % 2 == 0 ? x.even().lane(lane) : x.odd().lane(lane), value);
      wrong += written[i].bits != from_accumulator<T>(value).bits;
    }
  }
  CHECK(wrong == 0);
}

TEMPLATE_TEST_CASE("of all 16-bit elements those that are not finite are seen, wherever they are", "", bfloat16,
                   float16) {
  using T = TestType;
  using words = simd::words<T>;
  index_t wrong = 0;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    T memory[words::count] = {};
    T& element = memory[bits % std::uint32_t{words::count}];
    element.bits = static_cast<std::uint16_t>(bits);
    const T others[words::count] = {};
    const words x[] = {words::load(memory), words::load(others)}, y[] = {x[1], x[0]};
    const bool finite = std::isfinite(to_accumulator(element));
    wrong += simd::all_finite(x) != finite || simd::all_finite(y) != finite;
  }
  CHECK(wrong == 0);
}

TEMPLATE_TEST_CASE("words of what operations made of numbers are joined as any are", "", bfloat16, float16) {
  using words = simd::words<TestType>;
  constexpr int lanes = simd::pack<float>::lanes;
  const float infinity = std::numeric_limits<float>::infinity(), made = infinity - infinity;
  const float special[] = {0, -0.0f, infinity, -infinity, made, -made, 3.4e38f, -3.4e38f, 65519.9f, 65520, 1e-8f};
  index_t wrong = 0;
  for (std::uint32_t i = 0; i < 100000; ++i) {
    float even[lanes], odd[lanes];
    for (std::uint32_t k = 0; k < std::uint32_t{lanes}; ++k) {
      const auto x = std::bit_cast<float>((i * lanes + k) * 2654435761u);
      even[k] = i % 16 == 0 ? special[(i / 16 + k) % std::size(special)] : std::isnan(x) ? 1.0f : x;
      odd[k] = -even[k] * 0.7f;
    }
    const auto x = simd::load<float>(even), y = simd::load<float>(odd);
    TestType joined[words::count], numbers[words::count];
    words::join(x, y).store(joined);
    words::join_numbers(x, y).store(numbers);
    wrong += std::memcmp(joined, numbers, sizeof joined) != 0;
  }
  CHECK(wrong == 0);
}
#endif

#if defined(HONE_TEST_FLUSHES)
TEST_CASE("every float16 number is read, and every float rounded to one, where denormals are flushed, too") {
  constexpr int lanes = simd::pack<float>::lanes;
  std::vector<float> one_by_one(65536), packed(65536), expected(65536);
  std::vector<float16> halves(65536), rounded(65536);
  for (std::size_t i = 0; i < halves.size(); ++i) {
    halves[i].bits = static_cast<std::uint16_t>(i);
    expected[i] = halves[i];
  }
  {
    const flushes_denormals here;
    for (std::size_t i = 0; i < halves.size(); ++i) one_by_one[i] = to_accumulator(halves[i]);
    for (std::size_t i = 0; i < halves.size(); i += lanes) {
      const auto x = simd::load<float>(halves.data() + i);
      simd::store(packed.data() + i, x);
      simd::store(rounded.data() + i, x);
    }
  }
  index_t wrong = 0;
  for (std::size_t i = 0; i < halves.size(); ++i) {
    wrong += !same(one_by_one[i], expected[i]) + !same(packed[i], expected[i]);
    wrong += expected[i] == expected[i] && rounded[i].bits != halves[i].bits;
  }
  CHECK(wrong == 0);
}
#endif
