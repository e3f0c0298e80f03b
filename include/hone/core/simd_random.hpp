// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The numbers of core/philox.hpp, many at once: a Philox counter a 64-bit lane of vector registers. The bits are those
/// of `philox::bits`, on every machine.
#pragma once
#include "hone/core/random.hpp"
#include "hone/core/simd_memory.hpp"

#include <span>
#include <utility>

#if defined(__GNUC__) && (defined(__AVX2__) || (defined(__SSE2__) && !defined(__AVX__)))
#define HONE_VECTOR_PHILOX 1  // AVX without AVX2 has no integers in its registers
#endif

namespace HONE_NAMESPACE::simd {

#if defined(HONE_VECTOR_PHILOX)
namespace detail {

using word_lanes = native<std::uint64_t, register_bytes>;

/// The 64-bit products of the lower halves. g++ 12 would multiply whole lanes, whatever is known of their upper halves.
HONE_INLINE word_lanes::type multiply_words(const word_lanes::type& x, std::uint64_t y) {
  const word_lanes::type factor = y - word_lanes::type{};
#if defined(__AVX2__)
  word_lanes::type product;
  asm("vpmuludq %2, %1, %0" : "=v"(product) : "v"(x), "v"(factor));
#else
  word_lanes::type product = x;
  asm("pmuludq %1, %0" : "+x"(product) : "x"(factor));
#endif
  return product;
}

/// x ^ y ^ z, which g++ 12 makes two instructions of.
HONE_INLINE word_lanes::type exclusive_or(word_lanes::type x, const word_lanes::type& y, std::uint64_t z) {
  const word_lanes::type key = z - word_lanes::type{};
#if defined(__AVX512F__)
  asm("vpternlogq $150, %2, %1, %0" : "+v"(x) : "v"(y), "v"(key));
  return x;
#else
  return x ^ y ^ key;
#endif
}

/// Every other number of x and of y from @p First on, in 128-bit pieces x x y y.
template <int First>
HONE_INLINE float_part every_other(const float_part& x, const float_part& y) {
  constexpr int f = First;
#if defined(__AVX512F__)
  return __builtin_shufflevector(x, y, f, f + 2, f + 16, f + 18, f + 4, f + 6, f + 20, f + 22, f + 8, f + 10, f + 24,
                                 f + 26, f + 12, f + 14, f + 28, f + 30);
#elif defined(__AVX2__)
  return __builtin_shufflevector(x, y, f, f + 2, f + 8, f + 10, f + 4, f + 6, f + 12, f + 14);
#else
  return __builtin_shufflevector(x, y, f, f + 2, f + 4, f + 6);
#endif
}

/// A counter a lane, a word in the lower half of it; upper halves hold anything.
struct philox_lanes {
  static constexpr std::uint64_t lanes = word_lanes::lanes;
  word_lanes::type word[4];

  /// Half of the counters from @p index on in the even lanes, half in the odd, so that `write` stays within 128 bits.
  HONE_INLINE philox_lanes(std::uint64_t index, std::uint32_t stream, std::uint32_t draw) {
    static constexpr std::uint64_t order[] = {0, lanes / 2, 1, lanes / 2 + 1, 2, lanes / 2 + 2, 3, lanes / 2 + 3};
    std::memcpy(&word[0], order, sizeof word[0]);
    word[0] += index;
    word[1] = word[0] >> 32;
    word[2] = stream - word_lanes::type{};
    word[3] = draw - word_lanes::type{};
  }
  HONE_INLINE void round(const std::uint64_t (&key)[2]) {
    const word_lanes::type a = multiply_words(word[0], 0xD2511F53u), b = multiply_words(word[2], 0xCD9E8D57u);
    word[0] = exclusive_or(b >> 32, word[1], key[0]);
    word[1] = b;
    word[2] = exclusive_or(a >> 32, word[3], key[1]);
    word[3] = a;
  }
  HONE_INLINE void write(std::uint32_t* words) const {
    float_part x[4];  // floats are what compilers know the shuffle by
    std::memcpy(x, word, sizeof x);
    const float_part front = every_other<0>(x[0], x[1]), back = every_other<0>(x[2], x[3]);
    const float_part even = every_other<0>(front, back), odd = every_other<1>(front, back);
    std::memcpy(words, &even, sizeof even);
    std::memcpy(words + 2 * lanes, &odd, sizeof odd);
  }
};

}  // namespace detail
#endif

/// `bits` of consecutive indices of one stream and draw, 32 at a time.
class philox_words {
 public:
  static constexpr int indices = 32, count = 4 * indices;

  explicit philox_words(const philox& random, std::uint32_t draw = 0) : random_(random), draw_(draw) {
    for (std::uint32_t round = 0; round < 10; ++round) {
      key_[round][0] = static_cast<std::uint32_t>(random.seed) + round * 0x9E3779B9u;
      key_[round][1] = static_cast<std::uint32_t>(random.seed >> 32) + round * 0xBB67AE85u;
    }
  }

  /// words[4 i + w] <- word w of bits(index + i, draw), i < 32.
  HONE_INLINE void write(std::uint64_t index, std::uint32_t* words) const {
#if defined(HONE_VECTOR_PHILOX)
    // As many counters in turn as registers hold: one alone would wait for its own rounds.
    constexpr std::size_t together = detail::register_bytes == 64 ? 4 : 2;
    constexpr std::uint64_t step = together * detail::philox_lanes::lanes;
    for (std::uint64_t i = 0; i < indices; i += step)
      write(index + i, words + 4 * i, std::make_index_sequence<together>());
#else
    for (std::uint64_t i = 0; i < indices; ++i) {
      const auto bits = random_.bits(index + i, draw_);
      std::memcpy(words + 4 * i, bits.data(), sizeof bits);
    }
#endif
  }

 private:
#if defined(HONE_VECTOR_PHILOX)
  template <std::size_t... Register>
  HONE_INLINE void write(std::uint64_t index, std::uint32_t* words, std::index_sequence<Register...>) const {
    constexpr std::uint64_t n = detail::philox_lanes::lanes;
    detail::philox_lanes x[] = {{index + n * Register, random_.stream, draw_}...};
    for (const auto& key : key_) (x[Register].round(key), ...);
    (x[Register].write(words + 4 * n * Register), ...);
  }
#endif

  philox random_;
  std::uint32_t draw_;
  std::uint64_t key_[10][2];
};

/// Uniform numbers in [0, 1), multiples of 2^-24, from the upper bits of the words at @p words, one a lane.
template <class A>
HONE_INLINE pack<A> uniform_pack(const std::uint32_t* words) {
  pack<A> result;
#if defined(__GNUC__)
  constexpr int bytes = pack<A>::part_lanes * int{sizeof(std::uint32_t)};
  for (std::size_t i = 0; i < pack<A>::parts; ++i) {
    typename detail::native<std::uint32_t, bytes>::type bits;
    std::memcpy(&bits, words + i * pack<A>::part_lanes, sizeof bits);
    // Signed, which every machine converts.
    const auto number = __builtin_convertvector(bits >> 8, typename detail::native<std::int32_t, bytes>::type);
    result.part[i] = __builtin_convertvector(number, typename pack<A>::part_type) * A(0x1p-24);
  }
#else
  for (std::size_t i = 0; i < pack<A>::parts; ++i) result.part[i] = static_cast<A>(words[i] >> 8) * A(0x1p-24);
#endif
  return result;
}

}  // namespace HONE_NAMESPACE::simd

namespace HONE_NAMESPACE {

/// x[4 i + w] <- word w of random.bits(first + i, draw); the last index may be cut short.
inline void fill_bits(const philox& random, std::span<std::uint32_t> x, std::uint64_t first = 0,
                      std::uint32_t draw = 0) {
  invalid_argument_unless(x.data() != nullptr || x.empty(), "hone::fill_bits", "x", "has %zu elements and no memory",
                          x.size());
  const simd::philox_words source(random, draw);
  constexpr std::size_t step = simd::philox_words::count;
  std::size_t i = 0;
  for (; i + step <= x.size(); i += step) source.write(first + i / 4, x.data() + i);
  std::uint32_t rest[step];
  source.write(first + i / 4, rest);
  for (std::size_t k = 0; i + k < x.size(); ++k) x[i + k] = rest[k];
}

/// x[i] <- random.uniform(first + i, draw).
inline void fill_uniform(const philox& random, std::span<double> x, std::uint64_t first = 0, std::uint32_t draw = 0) {
  invalid_argument_unless(x.data() != nullptr || x.empty(), "hone::fill_uniform", "x", "has %zu elements and no memory",
                          x.size());
  const simd::philox_words source(random, draw);
  constexpr std::size_t step = simd::philox_words::indices;
  for (std::size_t i = 0; i < x.size(); i += step) {
    std::uint32_t words[simd::philox_words::count];
    source.write(first + i, words);
    for (std::size_t k = 0; k < step && i + k < x.size(); ++k) x[i + k] = philox::unit(words[4 * k], words[4 * k + 1]);
  }
}

/// logs[i] <- random.log_gamma(shapes[i], first + i).
/// @throws std::invalid_argument if the sizes differ or a shape is not in [1e-300, 1e300).
inline void fill_log_gamma(const philox& random, std::span<const double> shapes, std::uint64_t first,
                           std::span<double> logs) {
  invalid_argument_unless(logs.size() == shapes.size(), "hone::fill_log_gamma", "logs", "has %zu, shapes %zu",
                          logs.size(), shapes.size());
  invalid_argument_unless(logs.data() != nullptr || logs.empty(), "hone::fill_log_gamma", "logs",
                          "has %zu elements and no memory", logs.size());
  for (const double shape : shapes)
    invalid_argument_unless(shape >= 1e-300 && shape < 1e300, "hone::fill_log_gamma", "shapes",
                            "must be in [1e-300, 1e300), one is %g", shape);
  const simd::philox_words normals(random, 0), uniforms(random, 1), boosts(random, 0xffffffffu);
  constexpr std::size_t step = simd::philox_words::indices;
  std::size_t i = 0;
  for (; i + 4 < shapes.size(); i += step) {
    std::uint32_t words[3][simd::philox_words::count];
    normals.write(first + i, words[0]);
    uniforms.write(first + i, words[1]);
    boosts.write(first + i, words[2]);
    for (std::size_t k = 0; k < step && i + k < shapes.size(); ++k) {
      const auto unit = [&](int draw) { return philox::unit(words[draw][4 * k], words[draw][4 * k + 1]); };
      const double shape = shapes[i + k], d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3;
      double v, value;
      if (detail::gamma_attempt(d, 1 / std::sqrt(9 * d), detail::normal_of(unit(0)), unit(1) + 0x1p-54, v))
        value = d * v;
      else
        value = detail::gamma_from_one(random, shape, first + i + k, "hone::fill_log_gamma", 1);
      logs[i + k] = std::log(value) + (shape < 1 ? std::log(unit(2) + 0x1p-54) / shape : 0);
    }
  }
  for (; i < shapes.size(); ++i) logs[i] = random.log_gamma(shapes[i], first + i);
}

}  // namespace HONE_NAMESPACE
