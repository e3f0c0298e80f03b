// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The few vector operations that the rest is made of. Elements are converted to the accumulator type, computed
/// there, and rounded once on store; sums are double and fold as core/reduce.hpp says: bitwise for any executor.
/// All allocate nothing and throw std::invalid_argument when sizes differ or an output is not `writable`. Outputs may
/// be the same memory as inputs (element for element), not shifted against them.
#pragma once
#include "hone/core/output.hpp"
#include "hone/core/packs.hpp"
#include "hone/core/reduce.hpp"

namespace HONE_NAMESPACE {

namespace detail {

inline void require_same_size(index_t x, index_t y, const char* function) {
  invalid_argument_unless(x == y, function, "y", "has %td elements, x has %td", y, x);
}

}  // namespace detail

/// for_each_pack over [0, n), in runs of blocks on the executor.
template <class A, executor E, class F, scalar... T>
void for_each_block(index_t n, E& pool, F&& f, const vector_view<T>&... vectors) {
  pool.parallel_for((n + block_size - 1) / block_size, index_t{4}, [&](index_t first, index_t last) {
    for_each_pack<simd::pack<A>::lanes>(first * block_size, (min)(last * block_size, n), f, vectors...);
  });
}

/// x y, exact for floats.
HONE_INLINE simd::pack<double> exact_product(const simd::pack<double>& x, const simd::pack<double>& y) { return x * y; }
HONE_INLINE simd::double_halves exact_product(const simd::pack<float>& x, const simd::pack<float>& y) {
  const simd::double_halves a = simd::widen(x), b = simd::widen(y);
  return {a.low * b.low, a.high * b.high};
}

/// A running sum in double, two packs for the halves of a float pack: the adds do not wait for each other.
struct lane_sum {
  simd::pack<double> low = 0.0, high = 0.0;

  HONE_INLINE void add(const simd::pack<double>& x) { low += x; }
  HONE_INLINE void add(const simd::double_halves& x) {
    low += x.low;
    high += x.high;
  }
  HONE_INLINE void add(const simd::pack<float>& x) { add(simd::widen(x)); }
  template <class A>
  HONE_INLINE void add_product(const simd::pack<A>& x, const simd::pack<A>& y) {
    add(exact_product(x, y));
  }
  [[nodiscard]] HONE_INLINE double total() const { return simd::horizontal_sum(low + high); }
};

/// x <- value
template <mutable_vector X, executor E = const serial>
void fill(X&& x, accumulator_t<element_t<X>> value, E&& pool = serial{}) {
  const auto xs = output_vector(x, "hone::fill", "x");
  using packs = pack_of<element_t<X>>;
  for_each_block<accumulator_t<element_t<X>>>(
      xs.size(), pool, [&](index_t i, auto end) { store_pack(xs, i, end, packs(value)); }, xs);
}

/// y <- x, converting; @p x and @p y share an accumulator type. (n)
template <vector_like X, mutable_vector Y, executor E = const serial>
void copy(const X& x, Y&& y, E&& pool = serial{}) {
  const auto xs = as_vector(x);
  const auto ys = output_vector(y, "hone::copy", "y");
  detail::require_same_size(xs.size(), ys.size(), "hone::copy");
  for_each_block<accumulator_t<element_t<X>>>(
      xs.size(), pool, [&](index_t i, auto end) { store_pack(ys, i, end, load_pack(xs, i, end)); }, xs, ys);
}

/// x <- a x
template <mutable_vector X, executor E = const serial>
void scale(accumulator_t<element_t<X>> a, X&& x, E&& pool = serial{}) {
  const auto xs = output_vector(x, "hone::scale", "x");
  using packs = pack_of<element_t<X>>;
  for_each_block<accumulator_t<element_t<X>>>(
      xs.size(), pool, [&](index_t i, auto end) { store_pack(xs, i, end, packs(a) * load_pack(xs, i, end)); }, xs);
}

/// y <- a x + y
template <vector_like X, mutable_vector Y, executor E = const serial>
void axpy(accumulator_t<element_t<Y>> a, const X& x, Y&& y, E&& pool = serial{}) {
  const auto xs = as_vector(x);
  const auto ys = output_vector(y, "hone::axpy", "y");
  detail::require_same_size(xs.size(), ys.size(), "hone::axpy");
  using packs = pack_of<element_t<Y>>;
  for_each_block<accumulator_t<element_t<Y>>>(
      xs.size(), pool,
      [&](index_t i, auto end) { store_pack(ys, i, end, packs(a) * load_pack(xs, i, end) + load_pack(ys, i, end)); },
      xs, ys);
}

/// <x, y>. Products of float are exact in double.
template <vector_like X, vector_like Y, executor E = const serial>
double dot(const X& x, const Y& y, E&& pool = serial{}) {
  const auto xs = as_vector(x);
  const auto ys = as_vector(y);
  detail::require_same_size(xs.size(), ys.size(), "hone::dot");
  double result;
  blocked_sum<1>(
      xs.size(), &result,
      [&](index_t begin, index_t end, double* partial) {
        lane_sum sums;
        for_each_pack<pack_of<element_t<X>>::lanes>(
            begin, end,
            [&](index_t i, auto bound) { sums.add_product(load_pack(xs, i, bound), load_pack(ys, i, bound)); }, xs, ys);
        *partial = sums.total();
      },
      pool);
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
  double result;
  blocked_sum<1>(
      xs.size(), &result,
      [&](index_t begin, index_t end, double* partial) {
        lane_sum sums;
        for_each_pack<pack_of<element_t<X>>::lanes>(
            begin, end, [&](index_t i, auto bound) { sums.add(load_pack(xs, i, bound)); }, xs);
        *partial = sums.total();
      },
      pool);
  return result;
}

/// How many elements are infinite or NaN.
template <vector_like X, executor E = const serial>
index_t count_nonfinite(const X& x, E&& pool = serial{}) {
  const auto xs = as_vector(x);
  double result;
  blocked_sum<1>(
      xs.size(), &result,
      [&](index_t begin, index_t end, double* partial) {
        simd::counter<accumulator_t<element_t<X>>> counts;
        for_each_pack<pack_of<element_t<X>>::lanes>(
            begin, end, [&](index_t i, auto bound) { counts.add_nonfinite(load_pack(xs, i, bound)); }, xs);
        *partial = static_cast<double>(counts.total());
      },
      pool);
  return static_cast<index_t>(result);
}

}  // namespace HONE_NAMESPACE
