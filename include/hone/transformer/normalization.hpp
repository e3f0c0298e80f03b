// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Root-mean-square normalization of rows: y_i = w_i x_i r, r = 1 / sqrt(mean(x^2) + epsilon).
/// [Zhang, Sennrich 2019, Root mean square layer normalization, arXiv 1910.07467]
/// All functions here are serial, allocate nothing, repeat to the bit and check no size; a row is read twice, in cache.
#pragma once
#include "hone/core/packs.hpp"

#include <cmath>

namespace HONE_NAMESPACE::transformer {

/// y = w x r for given r (n), in one pass.
template <class T>
void rmsnorm_apply(matrix_view<const std::type_identity_t<T>> x, vector_view<const std::type_identity_t<T>> w,
                   const T* inverse_rms, matrix_view<T> y) {
  using packs = simd::pack<T>;
  for (index_t t = 0; t < x.rows(); ++t) {
    const auto from = x.row(t);
    const auto to = y.row(t);
    const packs r(inverse_rms[t]);
    for_each_pack<packs::lanes>(
        0, x.cols(),
        [&](index_t i, auto bound)
            HONE_INLINE_LAMBDA { store_pack(to, i, bound, load_pack(w, i, bound) * (load_pack(from, i, bound) * r)); },
        from, to, w);
  }
}

/// @param x (n x d); @param w (d); @param inverse_rms receives r (n), which the backward pass needs; @param y (n x d).
template <class T>
void rmsnorm_forward(matrix_view<const std::type_identity_t<T>> x, vector_view<const std::type_identity_t<T>> w,
                     double epsilon, T* inverse_rms, matrix_view<T> y) {
  using packs = simd::pack<T>;
  for (index_t t = 0; t < x.rows(); ++t) {
    const auto row = x.row(t);
    packs squares(0);
    for_each_pack<packs::lanes>(
        0, x.cols(),
        [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
          const packs value = load_pack(row, i, bound);
          squares += value * value;
        },
        row);
    const double mean = static_cast<double>(simd::horizontal_sum(squares)) / static_cast<double>(x.cols());
    inverse_rms[t] = static_cast<T>(1 / std::sqrt(mean + epsilon));
  }
  rmsnorm_apply<T>(x, w, inverse_rms, y);
}

/// Adds the gradients, from @p dy (n x d) and what the forward pass left, to @p dx (n x d) and @p dw (d), or, where dw
/// is empty, to dx alone:
///   dx_i += r (w_i dy_i - x_i r^2 mean_j(w_j dy_j x_j)),  dw_i += dy_i x_i r
template <class T>
void rmsnorm_backward(matrix_view<const std::type_identity_t<T>> x, vector_view<const std::type_identity_t<T>> w,
                      const T* inverse_rms, matrix_view<const std::type_identity_t<T>> dy, matrix_view<T> dx,
                      vector_view<T> dw) {
  using packs = simd::pack<T>;
  const auto run = [&]<bool Weights>(std::bool_constant<Weights>) {
    for (index_t t = 0; t < x.rows(); ++t) {
      const auto xs = x.row(t);
      const auto dys = dy.row(t);
      const auto dxs = dx.row(t);
      packs products(0);
      for_each_pack<packs::lanes>(
          0, x.cols(),
          [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
            products += load_pack(w, i, bound) * load_pack(dys, i, bound) * load_pack(xs, i, bound);
          },
          xs, dys, w);
      const T r = inverse_rms[t];
      const T shrink = r * r * simd::horizontal_sum(products) / static_cast<T>(x.cols());
      for_each_pack<packs::lanes>(
          0, x.cols(),
          [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
            const packs value = load_pack(xs, i, bound), slope = load_pack(dys, i, bound);
            store_pack(dxs, i, bound,
                       load_pack(dxs, i, bound) + packs(r) * (load_pack(w, i, bound) * slope - value * packs(shrink)));
            if constexpr (Weights) store_pack(dw, i, bound, load_pack(dw, i, bound) + slope * (value * packs(r)));
          },
          xs, dys, dxs, w, dw);
    }
  };
  if (dw.size() > 0) return run(std::true_type{});
  run(std::false_type{});
}

}  // namespace HONE_NAMESPACE::transformer
