// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Addressable random numbers: every draw is a function of (seed, stream, index), so that results do not depend on
/// batching or threads. Philox4x32-10 [Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3, SC'11].
/// Not for differential privacy, whose noise needs a cryptographic generator.
#pragma once
#include "hone/core/contract.hpp"

#include <array>
#include <cstdint>
#include <span>

namespace HONE_NAMESPACE {

/// Ten rounds over a counter of four words under a key of two.
constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                  std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

/// One stream of draws; `index` addresses a draw, `draw` further independent ones at the same index.
struct philox {
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;

  [[nodiscard]] constexpr std::array<std::uint32_t, 4> bits(std::uint64_t index, std::uint32_t draw = 0) const {
    return philox4x32({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), stream, draw},
                      {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  }

  /// In [0, 1), a multiple of 2^-53.
  [[nodiscard]] constexpr double uniform(std::uint64_t index, std::uint32_t draw = 0) const {
    const auto word = bits(index, draw);
    return unit(word[0], word[1]);
  }
  /// The `uniform` of these first two words.
  static constexpr double unit(std::uint32_t high, std::uint32_t low) {
    return static_cast<double>(((std::uint64_t{high} << 32) | low) >> 11) * 0x1p-53;
  }

  /// Standard normal; up to the last bits of std::log in the tails the same on every platform. Defined in
  /// core/random.hpp.
  [[nodiscard]] double normal(std::uint64_t index, std::uint32_t draw = 0) const;

  /// Gamma with the given @p shape and scale 1. Draws 2k and 2k + 1 of @p index feed attempt k; below shape 1, draw
  /// 2^32 - 1 the boost. [Marsaglia, Tsang 2000, A simple method for generating gamma variables, ACM TOMS 26(3)]
  /// @throws std::invalid_argument unless shape > 0 and finite. Defined in core/random.hpp.
  [[nodiscard]] double gamma(double shape, std::uint64_t index) const;

  /// The logarithm of a gamma variate, from the same draws: where the variate itself would underflow (at shape 0.01 to
  /// 0 in 6 of 10,000, in float in a third of them) its logarithm is still that of one, finite and with all its digits.
  /// @throws std::invalid_argument unless shape is in [1e-300, 1e300). Defined in core/random.hpp.
  [[nodiscard]] double log_gamma(double shape, std::uint64_t index) const;

  /// Logarithms of Dirichlet weights with @p shapes (n), into @p logs (n): log_gamma of the indices index n + i, less
  /// the logarithm of the sum of their exponentials.
  /// @throws std::invalid_argument if the sizes differ or a shape is not in [1e-300, 1e300), before anything is
  /// written. Defined in core/random.hpp.
  void log_dirichlet(std::span<const double> shapes, std::uint64_t index, std::span<double> logs) const;
  /// The weights themselves, which sum to 1 up to n roundings; below 1e-308 they are 0.
  void dirichlet(std::span<const double> shapes, std::uint64_t index, std::span<double> weights) const;
};

}  // namespace HONE_NAMESPACE
