// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Vectors, a pack at a time: contiguous memory by vector loads, strided memory lane by lane, the end padded.
#pragma once
#include "hone/core/simd_memory.hpp"
#include "hone/core/view.hpp"

namespace HONE_NAMESPACE {

/// The pack type that a vector of T is computed in.
template <scalar T>
using pack_of = simd::pack<accumulator_t<T>>;

/// Elements [i, min(i + lanes, end)) of @p x; lanes past the end hold @p fill.
template <scalar T>
HONE_INLINE pack_of<std::remove_const_t<T>> load_pack(const vector_view<T>& x, index_t i, index_t end,
                                                      accumulator_t<T> fill = 0) {
  using A = accumulator_t<T>;
  constexpr index_t lanes = simd::pack<A>::lanes;
  if (x.contiguous())
    return end - i >= lanes ? simd::load<A>(x.data() + i) : simd::load<A>(x.data() + i, end - i, fill);
  A values[simd::pack<A>::lanes];
  for (index_t lane = 0; lane < lanes; ++lane) values[lane] = i + lane < end ? to_accumulator(x[i + lane]) : fill;
  return simd::load<A>(values);
}

/// Writes elements [i, min(i + lanes, end)) of @p x.
template <scalar T>
HONE_INLINE void store_pack(const vector_view<T>& x, index_t i, index_t end, const pack_of<T>& value) {
  using A = accumulator_t<T>;
  constexpr index_t lanes = simd::pack<A>::lanes;
  if (x.contiguous()) {
    if (end - i >= lanes)
      simd::store(x.data() + i, value);
    else
      simd::store(x.data() + i, value, end - i);
    return;
  }
  A values[simd::pack<A>::lanes];
  simd::store(values, value);
  for (index_t lane = 0; lane < lanes && i + lane < end; ++lane) x[i + lane] = from_accumulator<T>(values[lane]);
}

/// Says that a whole pack of contiguous memory lies at i: nothing to test.
struct whole_pack {};

/// Elements [i, i + lanes) of @p x. @pre @p x is contiguous and has them.
template <scalar T>
HONE_INLINE pack_of<std::remove_const_t<T>> load_pack(const vector_view<T>& x, index_t i, whole_pack,
                                                      accumulator_t<T> = 0) {
  return simd::load<accumulator_t<T>>(x.data() + i);
}

/// Writes elements [i, i + lanes) of @p x. @pre as above.
template <scalar T>
HONE_INLINE void store_pack(const vector_view<T>& x, index_t i, whole_pack, const pack_of<T>& value) {
  simd::store(x.data() + i, value);
}

/// f(i, bound) for every pack of [begin, end), in ascending order; f hands @c bound to load_pack and store_pack. It is
/// `whole_pack` where all @p vectors are contiguous and the pack is full, else @p end: the test is outside the
/// loop.
template <index_t Lanes, class F, scalar... T>
HONE_INLINE void for_each_pack(index_t begin, index_t end, F&& f, const vector_view<T>&... vectors) {
  index_t i = begin;
  if ((vectors.contiguous() && ...))
    for (; end - i >= Lanes; i += Lanes) f(i, whole_pack{});
  for (; i < end; i += Lanes) f(i, end);
}

}  // namespace HONE_NAMESPACE
