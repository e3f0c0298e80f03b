// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The few vector operations that the rest is made of. Elements are converted to the accumulator type, computed
/// there, and rounded once on store; sums are double and fold as core/reduce.hpp says: bitwise for any executor.
/// All allocate nothing and throw std::invalid_argument when sizes differ. Outputs may be the same memory as inputs
/// (element for element), not shifted against them.
#pragma once
#include "hone/core/packs.hpp"
#include "hone/core/reduce.hpp"

namespace hone {

namespace detail {

inline void require_same_size(index_t x, index_t y, const char* function) {
  invalid_argument_unless(x == y, function, "y", "has %td elements, x has %td", y, x);
}

/// f(i, end) for each pack of [0, n), block by block on the executor.
template <int Lanes, executor E, class F>
void for_each_pack(index_t n, E& pool, F&& f) {
  pool.parallel_for((n + block_size - 1) / block_size, index_t{4}, [&](index_t first, index_t last) {
    const index_t end = (std::min)(last * block_size, n);
    for (index_t i = first * block_size; i < end; i += Lanes) f(i, end);
  });
}

HONE_INLINE void add_to(simd::pack<double>& sum, const simd::pack<double>& x) { sum += x; }
HONE_INLINE void add_to(simd::pack<double>& sum, const simd::pack<float>& x) {
  const simd::double_halves wide = simd::widen(x);
  sum += wide.low + wide.high;
}
HONE_INLINE void add_product(simd::pack<double>& sum, const simd::pack<double>& x, const simd::pack<double>& y) {
  sum += x * y;
}
HONE_INLINE void add_product(simd::pack<double>& sum, const simd::pack<float>& x, const simd::pack<float>& y) {
  const simd::double_halves a = simd::widen(x), b = simd::widen(y);
  sum += a.low * b.low + a.high * b.high;
}

}  // namespace detail

/// x <- value
template <mutable_vector X, executor E = const serial>
void fill(X&& x, accumulator_t<element_t<X>> value, E&& pool = serial{}) {
  const auto xs = as_vector(x);
  using packs = pack_of<element_t<X>>;
  detail::for_each_pack<packs::lanes>(xs.size(), pool, [&](index_t i, index_t end) {
    store_pack(xs, i, end, packs(value));
  });
}

/// y <- x, converting; @p x and @p y share an accumulator type. (n)
template <vector_like X, mutable_vector Y, executor E = const serial>
void copy(const X& x, Y&& y, E&& pool = serial{}) {
  const auto xs = as_vector(x);
  const auto ys = as_vector(y);
  detail::require_same_size(xs.size(), ys.size(), "hone::copy");
  detail::for_each_pack<pack_of<element_t<X>>::lanes>(xs.size(), pool, [&](index_t i, index_t end) {
    store_pack(ys, i, end, load_pack(xs, i, end));
  });
}

/// x <- a x
template <mutable_vector X, executor E = const serial>
void scale(accumulator_t<element_t<X>> a, X&& x, E&& pool = serial{}) {
  const auto xs = as_vector(x);
  using packs = pack_of<element_t<X>>;
  detail::for_each_pack<packs::lanes>(xs.size(), pool, [&](index_t i, index_t end) {
    store_pack(xs, i, end, packs(a) * load_pack(xs, i, end));
  });
}

/// y <- a x + y
template <vector_like X, mutable_vector Y, executor E = const serial>
void axpy(accumulator_t<element_t<Y>> a, const X& x, Y&& y, E&& pool = serial{}) {
  const auto xs = as_vector(x);
  const auto ys = as_vector(y);
  detail::require_same_size(xs.size(), ys.size(), "hone::axpy");
  using packs = pack_of<element_t<Y>>;
  detail::for_each_pack<packs::lanes>(xs.size(), pool, [&](index_t i, index_t end) {
    store_pack(ys, i, end, packs(a) * load_pack(xs, i, end) + load_pack(ys, i, end));
  });
}

/// <x, y>. Products of float are exact in double.
template <vector_like X, vector_like Y, executor E = const serial>
double dot(const X& x, const Y& y, E&& pool = serial{}) {
  const auto xs = as_vector(x);
  const auto ys = as_vector(y);
  detail::require_same_size(xs.size(), ys.size(), "hone::dot");
  constexpr index_t lanes = pack_of<element_t<X>>::lanes;
  double result;
  blocked_sum<1>(xs.size(), &result, [&](index_t begin, index_t end, double* sum) {
    simd::pack<double> even(0.0), odd(0.0);
    index_t i = begin;
    for (; i + lanes < end; i += 2 * lanes) {
      detail::add_product(even, load_pack(xs, i, end), load_pack(ys, i, end));
      detail::add_product(odd, load_pack(xs, i + lanes, end), load_pack(ys, i + lanes, end));
    }
    if (i < end) detail::add_product(even, load_pack(xs, i, end), load_pack(ys, i, end));
    *sum = simd::horizontal_sum(even + odd);
  }, pool);
  return result;
}

/// <x, x>
template <vector_like X, executor E = const serial>
double squared_norm(const X& x, E&& pool = serial{}) {
  return dot(x, x, pool);
}

/// The sum of the elements.
template <vector_like X, executor E = const serial>
double sum(const X& x, E&& pool = serial{}) {
  const auto xs = as_vector(x);
  constexpr index_t lanes = pack_of<element_t<X>>::lanes;
  double result;
  blocked_sum<1>(xs.size(), &result, [&](index_t begin, index_t end, double* total) {
    simd::pack<double> lane_sums(0.0);
    for (index_t i = begin; i < end; i += lanes) detail::add_to(lane_sums, load_pack(xs, i, end));
    *total = simd::horizontal_sum(lane_sums);
  }, pool);
  return result;
}

/// How many elements are infinite or NaN.
template <vector_like X, executor E = const serial>
index_t count_nonfinite(const X& x, E&& pool = serial{}) {
  const auto xs = as_vector(x);
  constexpr index_t lanes = pack_of<element_t<X>>::lanes;
  double result;
  blocked_sum<1>(xs.size(), &result, [&](index_t begin, index_t end, double* total) {
    simd::pack<accumulator_t<element_t<X>>> lane_counts(0);
    for (index_t i = begin; i < end; i += lanes) lane_counts += ones(simd::nonfinite(load_pack(xs, i, end)));
    *total = simd::horizontal_sum(lane_counts);
  }, pool);
  return static_cast<index_t>(result);
}

}  // namespace hone
