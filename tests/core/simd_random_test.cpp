// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/simd_random.hpp"

#include "support/catch.hpp"

#include <cmath>
#include <vector>

using namespace hone;

namespace {
constexpr std::uint64_t seed = 0x243f6a8885a308d3;
/// Beginnings of streams, carries into the index's upper half, and the end, where it wraps round.
constexpr std::uint64_t firsts[] = {0, 1, 4, 0xfffffff3, std::uint64_t{5} << 32, 0xffffffffffffffe5};
}  // namespace

TEST_CASE("many counters at once give the bits of each alone") {
  for (const std::uint64_t first : firsts)
    for (const std::uint32_t draw : {0u, 7u, 0xffffffffu})
      for (const philox random : {philox{}, philox{seed, 3}, philox{~std::uint64_t{0}, 0xffffffff}}) {
        alignas(64) std::uint32_t words[simd::philox_words::count];
        simd::philox_words(random, draw).write(first, words);
        for (std::uint64_t i = 0; i < simd::philox_words::indices; ++i) {
          const auto expected = random.bits(first + i, draw);
          for (std::size_t w = 0; w < 4; ++w) REQUIRE(words[4 * i + w] == expected[w]);
        }
      }
}

TEST_CASE("fill_bits and fill_uniform give the numbers one by one, for any size, and write no further") {
  const philox random{seed, 9};
  for (const std::uint64_t first : firsts)
    for (const std::size_t n : {0u, 1u, 3u, 31u, 32u, 33u, 127u, 128u, 129u, 1000u}) {
      std::vector<std::uint32_t> bits(n + 1, 77);
      std::vector<double> uniform(n + 1, 77);
      fill_bits(random, std::span(bits).first(n), first, 2);
      fill_uniform(random, std::span(uniform).first(n), first, 2);
      for (std::size_t i = 0; i < n; ++i) {
        REQUIRE(bits[i] == random.bits(first + i / 4, 2)[i % 4]);
        REQUIRE(uniform[i] == random.uniform(first + i, 2));
      }
      CHECK(bits[n] == 77);
      CHECK(uniform[n] == 77);
    }
}

TEMPLATE_TEST_CASE("uniform_pack takes the upper 24 bits", "", float, double) {
  using packs = simd::pack<TestType>;
  std::uint32_t words[packs::lanes] = {0, 255, 256, 0x7fffffff, 0x80000000, 0xffffffff, 0xffffff00, 12345678};
  const packs x = simd::uniform_pack<TestType>(words);
  for (int i = 0; i < packs::lanes; ++i) CHECK(x.lane(i) == static_cast<TestType>(words[i] >> 8) * TestType(0x1p-24));
  CHECK(x.lane(1) == 0);
  CHECK(x.lane(5) < 1);
}

TEST_CASE("gamma variates in bulk are those one by one, in logarithms") {
  for (const std::size_t size : {0u, 1u, 4u, 5u, 31u, 33u, 64u, 100u}) {
    std::vector<double> shapes, logs(size);
    for (std::size_t i = 0; i < size; ++i) shapes.push_back(std::pow(10.0, static_cast<double>(i % 9) - 5));
    for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{12345}, ~std::uint64_t{0} - 40}) {
      fill_log_gamma({7, 3}, shapes, first, logs);
      for (std::size_t i = 0; i < size; ++i) CHECK(logs[i] == philox{7, 3}.log_gamma(shapes[i], first + i));
    }
  }
  std::vector<double> logs(2);
  CHECK_THROWS_AS(fill_log_gamma({}, std::vector<double>{1}, 0, logs), std::invalid_argument);
  for (const double bad : {0.0, 1e300, std::nan("")})
    CHECK_THROWS_AS(fill_log_gamma({}, std::vector<double>{1, bad}, 0, logs), std::invalid_argument);
}
