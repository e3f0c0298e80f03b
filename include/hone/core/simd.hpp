// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A pack is 64 bytes of accumulators (16 float or 8 double) that the compiler keeps in vector registers. The lane
/// count is the same on every machine, so that sums by lane give the same bits for SSE2, AVX2 and AVX-512; nothing
/// else in the library knows a vector width. Compilers without the vector extension get the same loops over scalars.
///
/// Loads and stores, which convert, are in core/simd_memory.hpp.
#pragma once
#include "hone/core/contract.hpp"

#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#if defined(__GNUC__)
#define HONE_INLINE __attribute__((always_inline)) inline
#define HONE_INLINE_LAMBDA __attribute__((always_inline))
#define HONE_NOINLINE __attribute__((noinline))
#else
#define HONE_INLINE inline
#define HONE_INLINE_LAMBDA
#define HONE_NOINLINE
#endif

namespace HONE_NAMESPACE::simd {

namespace detail {

#if defined(__AVX512F__)
inline constexpr int register_bytes = 64;
#elif defined(__AVX__)
inline constexpr int register_bytes = 32;
#else
inline constexpr int register_bytes = 16;
#endif

#if defined(__GNUC__)
template <class T, int Bytes>
struct native {
  typedef T type __attribute__((vector_size(Bytes)));
  static constexpr int lanes = Bytes / int{sizeof(T)};
};
#else
template <class T, int>
struct native {
  using type = T;
  static constexpr int lanes = 1;
};
#endif

template <class A>
using integer_of = std::conditional_t<sizeof(A) == 4, std::int32_t, std::int64_t>;

/// 64 bytes of T, cut into registers. The functions below go register by register; the loops unroll.
template <class T>
struct block {
  using part_type = typename native<T, register_bytes>::type;
  static constexpr int part_lanes = native<T, register_bytes>::lanes;
  static constexpr int lanes = 64 / int{sizeof(T)};
  static constexpr std::size_t parts = std::size_t{lanes} / part_lanes;
  part_type part[parts];
};

}  // namespace detail

/// One truth value a lane: all bits set or none.
template <class A>
struct mask : detail::block<detail::integer_of<A>> {};

template <class A>
struct pack : detail::block<A> {
  using base = detail::block<A>;
  using base::lanes;
  using base::part;
  using base::parts;

  pack() = default;
  HONE_INLINE pack(A value) {  // broadcast
    for (std::size_t i = 0; i < parts; ++i) part[i] = value - typename base::part_type{};
  }
  [[nodiscard]] HONE_INLINE A lane(int i) const {
    A values[lanes];
    std::memcpy(values, part, sizeof values);
    return values[i];
  }

#define HONE_ARITHMETIC(op)                                                          \
  HONE_INLINE friend pack operator op(const pack& x, const pack& y) {                \
    pack result;                                                                     \
    for (std::size_t i = 0; i < parts; ++i) result.part[i] = x.part[i] op y.part[i]; \
    return result;                                                                   \
  }                                                                                  \
  HONE_INLINE pack& operator op##=(const pack & y) { return *this = *this op y; }
  HONE_ARITHMETIC(+)
  HONE_ARITHMETIC(-)
  HONE_ARITHMETIC(*)
  HONE_ARITHMETIC(/)
#undef HONE_ARITHMETIC

  HONE_INLINE friend pack operator-(const pack& x) {
    pack result;
    for (std::size_t i = 0; i < parts; ++i) result.part[i] = -x.part[i];
    return result;
  }

#define HONE_COMPARISON(op)                                                 \
  HONE_INLINE friend mask<A> operator op(const pack & x, const pack & y) {  \
    mask<A> result;                                                         \
    using truth = typename detail::block<detail::integer_of<A>>::part_type; \
    for (std::size_t i = 0; i < parts; ++i) {                               \
      if constexpr (base::part_lanes == 1)                                  \
        result.part[i] = -static_cast<truth>(x.part[i] op y.part[i]);       \
      else                                                                  \
        result.part[i] = x.part[i] op y.part[i];                            \
    }                                                                       \
    return result;                                                          \
  }
  HONE_COMPARISON(<)
  HONE_COMPARISON(<=)
  HONE_COMPARISON(>)
  HONE_COMPARISON(>=)
  HONE_COMPARISON(==)
  HONE_COMPARISON(!=)
#undef HONE_COMPARISON
};

#define HONE_MASK_OPERATION(op)                                                               \
  template <class A>                                                                          \
  HONE_INLINE mask<A> operator op(const mask<A>& x, const mask<A>& y) {                       \
    mask<A> result;                                                                           \
    for (std::size_t i = 0; i < mask<A>::parts; ++i) result.part[i] = x.part[i] op y.part[i]; \
    return result;                                                                            \
  }
HONE_MASK_OPERATION(&)
HONE_MASK_OPERATION(|)
HONE_MASK_OPERATION(^)
#undef HONE_MASK_OPERATION

template <class A>
HONE_INLINE mask<A> operator!(const mask<A>& x) {
  mask<A> result;
  for (std::size_t i = 0; i < mask<A>::parts; ++i) result.part[i] = ~x.part[i];
  return result;
}

/// chosen ? yes : no, lane by lane, on the bits: NaNs and signed zeros pass through.
template <class A>
HONE_INLINE pack<A> select(const mask<A>& chosen, const pack<A>& yes, const pack<A>& no) {
  pack<A> result;
  for (std::size_t i = 0; i < pack<A>::parts; ++i) {
    if constexpr (pack<A>::part_lanes == 1)
      result.part[i] = chosen.part[i] != 0 ? yes.part[i] : no.part[i];
    else
      result.part[i] = chosen.part[i] ? yes.part[i] : no.part[i];
  }
  return result;
}

/// The larger number; @p y where x is NaN.
template <class A>
HONE_INLINE pack<A>(max)(const pack<A>& x, const pack<A>& y) {
  return select(x > y, x, y);
}

/// The smaller number; @p y where x is NaN.
template <class A>
HONE_INLINE pack<A>(min)(const pack<A>& x, const pack<A>& y) {
  return select(x < y, x, y);
}

/// The magnitude; clears the sign of a zero and of a NaN.
template <class A>
HONE_INLINE pack<A> abs(const pack<A>& x) {
  using integer = detail::integer_of<A>;
  pack<A> result;
  for (std::size_t i = 0; i < pack<A>::parts; ++i) {
    typename detail::block<integer>::part_type bits;
    std::memcpy(&bits, &x.part[i], sizeof bits);
    bits &= (std::numeric_limits<integer>::max)();
    std::memcpy(&result.part[i], &bits, sizeof bits);
  }
  return result;
}

namespace detail {

/// Whether a register has any of the bits of @p mask, one register too.
template <class V>
HONE_INLINE bool any_bit(const V& x, const V& mask) {
#if defined(__AVX512F__)
  native<std::int32_t, 64>::type bits[2];
  std::memcpy(&bits[0], &x, sizeof x);
  std::memcpy(&bits[1], &mask, sizeof x);
  constexpr unsigned short all_lanes = 0xffff;
#if defined(__clang__)  // which makes one instruction of both
  constexpr int unequal = 4;
  return __builtin_ia32_cmpd512_mask(bits[0] & bits[1], bits[0] ^ bits[0], unequal, all_lanes) != 0;
#else
  return __builtin_ia32_ptestmd512(bits[0], bits[1], all_lanes) != 0;
#endif
#elif defined(__AVX__)
  native<long long, 32>::type bits[2];
  std::memcpy(&bits[0], &x, sizeof x);
  std::memcpy(&bits[1], &mask, sizeof x);
  return __builtin_ia32_ptestz256(bits[0], bits[1]) == 0;
#else
  const V found = x & mask;
  std::uint64_t words[(sizeof found + 7) / 8] = {}, all = 0;
  std::memcpy(words, &found, sizeof found);
  for (const std::uint64_t word : words) all |= word;
  return all != 0;
#endif
}

}  // namespace detail

/// Whether every lane is finite. False, too, where some are so large that their sum is not: for a quick look.
template <class A>
HONE_INLINE bool surely_finite(const pack<A>& x) {
  using integer = detail::integer_of<A>;
  auto sum = x.part[0];
  for (std::size_t i = 1; i < pack<A>::parts; ++i) sum += x.part[i];
  const auto zero = sum - sum;  // or NaN
  typename detail::block<integer>::part_type bits;
  std::memcpy(&bits, &zero, sizeof bits);
  return !detail::any_bit(bits, (bits ^ bits) + (std::numeric_limits<integer>::max)());
}

/// Keeps a loaded pack in registers, where g++ would load it again for every use.
template <class A>
HONE_INLINE void hold([[maybe_unused]] pack<A>& x) {
#if defined(__GNUC__) && defined(__AVX512F__)
  for (auto& part : x.part) {
    auto value = part;
    asm("" : "+v"(value));
    part = value;
  }
#endif
}

/// @p x with its sign turned where that of @p y is set: zeros and NaNs have signs too.
template <class A>
HONE_INLINE pack<A> multiply_sign(const pack<A>& x, const pack<A>& y) {
  using integer = detail::integer_of<A>;
  pack<A> result;
  for (std::size_t i = 0; i < pack<A>::parts; ++i) {
    typename detail::block<integer>::part_type bits, sign;
    std::memcpy(&bits, &x.part[i], sizeof bits);
    std::memcpy(&sign, &y.part[i], sizeof sign);
    bits ^= sign & (std::numeric_limits<integer>::min)();
    std::memcpy(&result.part[i], &bits, sizeof bits);
  }
  return result;
}

/// Counts, lane by lane, in integers: compares are what packed loops wait for, so infinite and NaN values are counted
/// from their bits. A lane of a float pack counts to 2^32 - 1.
template <class A>
struct counter : detail::block<std::make_unsigned_t<detail::integer_of<A>>> {
  using integer = std::make_unsigned_t<detail::integer_of<A>>;
  using base = detail::block<integer>;

  HONE_INLINE counter() {
    for (auto& lane : this->part) lane = typename base::part_type{};
  }
  HONE_INLINE void add(const mask<A>& x) {
    for (std::size_t i = 0; i < base::parts; ++i) {
      typename base::part_type truth;
      std::memcpy(&truth, &x.part[i], sizeof truth);
      this->part[i] -= truth;
    }
  }
  HONE_INLINE void add_nonfinite(const pack<A>& x) {
    constexpr int sign = 8 * int{sizeof(A)} - 1, mantissa = std::numeric_limits<A>::digits - 1;
    constexpr integer magnitude = (std::numeric_limits<integer>::max)() >> 1,
                      infinity = magnitude >> mantissa << mantissa;
    for (std::size_t i = 0; i < base::parts; ++i) {
      typename base::part_type bits;
      std::memcpy(&bits, &x.part[i], sizeof bits);
      this->part[i] += ((bits & magnitude) + (magnitude + 1 - infinity)) >> sign;
    }
  }
  [[nodiscard]] HONE_INLINE index_t total() const {
    integer counts[base::lanes];
    std::memcpy(counts, this->part, sizeof counts);
    index_t sum = 0;
    for (const integer count : counts) sum += static_cast<index_t>(count);
    return sum;
  }
};

namespace detail {

enum class fold { sum, max };

template <fold How, class V>
HONE_INLINE void fold_into(V& x, const V& y) {
  if constexpr (How == fold::sum)
    x = x + y;
  else
    x = y > x ? y : x;
}

/// Folds all lanes in halves: ((0+8)+(4+12)) …, without narrow stores that wider loads would wait for.
template <fold How, class A>
HONE_INLINE A fold_lanes(const pack<A>& x) {
#if defined(__GNUC__)
  typename native<A, 32>::type half[2];
  std::memcpy(half, x.part, sizeof half);
  fold_into<How>(half[0], half[1]);
  typename native<A, 16>::type quarter[2];
  std::memcpy(quarter, half, sizeof quarter);
  fold_into<How>(quarter[0], quarter[1]);
  constexpr std::size_t left = 16 / sizeof(A);
  A values[left];
  std::memcpy(values, quarter, sizeof values);
#else
  constexpr std::size_t left = 64 / sizeof(A);
  A values[left];
  std::memcpy(values, x.part, sizeof values);
#endif
  for (std::size_t count = left / 2; count > 0; count /= 2)
    for (std::size_t i = 0; i < count; ++i) fold_into<How>(values[i], values[i + count]);
  return values[0];
}

}  // namespace detail

/// All lanes, always folded in halves: ((0+8)+(4+12)) …
template <class A>
HONE_INLINE A horizontal_sum(const pack<A>& x) {
  return detail::fold_lanes<detail::fold::sum>(x);
}

/// The largest lane; NaN lanes are passed over unless they are in lane 0.
template <class A>
HONE_INLINE A horizontal_max(const pack<A>& x) {
  return detail::fold_lanes<detail::fold::max>(x);
}

/// The lanes of a float pack as two double packs, first half first.
struct double_halves {
  pack<double> low, high;
};

/// Converts every lane, exactly.
HONE_INLINE double_halves widen(const pack<float>& x) {
  double_halves result;
#if defined(__GNUC__)
  using half = typename detail::native<float, detail::register_bytes / 2 < 8 ? 8 : detail::register_bytes / 2>::type;
  half values[2 * pack<double>::parts];
  static_assert(sizeof values == sizeof x);
  std::memcpy(values, x.part, sizeof values);
  for (std::size_t i = 0; i < pack<double>::parts; ++i) {
    result.low.part[i] = __builtin_convertvector(values[i], pack<double>::part_type);
    result.high.part[i] = __builtin_convertvector(values[i + pack<double>::parts], pack<double>::part_type);
  }
#else
  for (int i = 0; i < 8; ++i) {
    result.low.part[i] = x.part[i];
    result.high.part[i] = x.part[i + 8];
  }
#endif
  return result;
}

/// Back to floats, each rounded once.
HONE_INLINE pack<float> narrow(const double_halves& x) {
  pack<float> result;
#if defined(__GNUC__)
  using half = typename detail::native<float, detail::register_bytes / 2 < 8 ? 8 : detail::register_bytes / 2>::type;
  half values[2 * pack<double>::parts];
  static_assert(sizeof values == sizeof result);
  for (std::size_t i = 0; i < pack<double>::parts; ++i) {
    values[i] = __builtin_convertvector(x.low.part[i], half);
    values[i + pack<double>::parts] = __builtin_convertvector(x.high.part[i], half);
  }
  std::memcpy(result.part, values, sizeof values);
#else
  for (int i = 0; i < 8; ++i) {
    result.part[i] = static_cast<float>(x.low.part[i]);
    result.part[i + 8] = static_cast<float>(x.high.part[i]);
  }
#endif
  return result;
}

HONE_INLINE double_halves abs(const double_halves& x) { return {abs(x.low), abs(x.high)}; }

}  // namespace HONE_NAMESPACE::simd
