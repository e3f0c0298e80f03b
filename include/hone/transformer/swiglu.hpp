// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The gate of a SwiGLU feed-forward layer: s = silu(a) b, silu(a) = a sigmoid(a), element by element.
/// [Shazeer 2020, GLU variants improve transformer, arXiv 2002.05202]
/// All functions here are one pass, serial, allocate nothing, repeat to the bit and check no size.
#pragma once
#include "hone/core/packs.hpp"
#include "hone/core/simd_math.hpp"

namespace HONE_NAMESPACE::transformer {

namespace detail {

template <class A>
HONE_INLINE simd::pack<A> sigmoid(const simd::pack<A>& x) {
  using packs = simd::pack<A>;
  const packs e = simd::exp_nonpositive(-simd::abs(x));
  return select(x >= packs(0), packs(1), e) / (packs(1) + e);
}

}  // namespace detail

/// s = silu(a) b (n each). @p s may be the memory of a or b.
template <class T>
void swiglu_forward(vector_view<const std::type_identity_t<T>> a, vector_view<const std::type_identity_t<T>> b,
                    vector_view<T> s) {
  using packs = simd::pack<T>;
  for_each_pack<packs::lanes>(
      0, s.size(),
      [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
        const packs gate = load_pack(a, i, bound);
        store_pack(s, i, bound, gate * detail::sigmoid(gate) * load_pack(b, i, bound));
      },
      a, b, s);
}

/// @param ds the gradient of s; @param da, db receive theirs (n each). @p db may be the memory of ds.
template <class T>
void swiglu_backward(vector_view<const std::type_identity_t<T>> a, vector_view<const std::type_identity_t<T>> b,
                     vector_view<const std::type_identity_t<T>> ds, vector_view<T> da, vector_view<T> db) {
  using packs = simd::pack<T>;
  for_each_pack<packs::lanes>(
      0, ds.size(),
      [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
        const packs gate = load_pack(a, i, bound), value = load_pack(b, i, bound), slope = load_pack(ds, i, bound);
        const packs sigma = detail::sigmoid(gate), silu = gate * sigma;
        store_pack(da, i, bound, slope * value * (sigma + silu * (packs(1) - sigma)));
        store_pack(db, i, bound, slope * silu);
      },
      a, b, ds, da, db);
}

}  // namespace HONE_NAMESPACE::transformer
