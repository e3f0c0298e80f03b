// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The three products of a linear layer for a few rows, such as an expert has, of which a general product would spend
/// its time packing W. Here W is read once, in its order, and what is laid out anew are the rows:
///   forward   y = x W^T    rows of W over packs of x's rows, transposed: a lane a row, the last pack padded
///   input     dx = dy W    panels of a few rows of W
///   weight    dW += dy^T x rows of dW over panels of x
/// Each sum goes in order: the bits of a row depend on that row and W alone, those of dW on the rows and their order,
/// neither on how the rows are cut. Shapes as in transformer/linear.hpp, columns adjacent. All functions here take 2 n
/// in out flops, are serial, check no size, and keep memory of their own for each thread, which grows as it must.
#pragma once
#include "hone/transformer/panel.hpp"
#include "hone/transformer/source.hpp"

namespace HONE_NAMESPACE::transformer {

namespace detail {

/// Memory of this thread for @p rows x @p columns elements in panels.
template <class T>
panels<T> thread_panels(index_t rows, index_t columns) {
  static thread_local std::vector<T> memory;
  return {sized(memory, 1, panels<T>::size(rows, columns)).data(), rows, columns};
}

/// @p m, whose columns are adjacent, in panels: row after row, as it lies.
template <class T>
panels<T> packed_rows(const matrix_view<const T>& m) {
  constexpr index_t width = panels<T>::width;
  const panels<T> packed = thread_panels<T>(m.rows(), m.cols());
  for (index_t i = 0; i < m.rows(); ++i)
    for (index_t j = 0; j < m.cols(); j += width) simd::store(packed.at(i, j), load_pack(m.row(i), j, m.cols()));
  return packed;
}

/// y = (w x)^T for @p x in panels.
template <class T>
void few_rows_forward(const panels<T>& x, const matrix_view<const T>& w, const matrix_view<T>& y) {
  constexpr index_t width = panels<T>::width;
  for_each_tile_of_rows(0, w.rows(), [&]<int Rows>(index_t i, std::integral_constant<int, Rows>) HONE_INLINE_LAMBDA {
    for_each_pair_of_panels<T>(y.rows(),
                               [&]<int Panels>(index_t t, std::integral_constant<int, Panels>) HONE_INLINE_LAMBDA {
                                 tile<T, Rows> sums[std::size_t{Panels}];
                                 for (auto& panel : sums)
                                   for (auto& sum : panel) sum = simd::pack<T>(0);
                                 multiply_tiles(&w(i, 0), w.row_stride(), 1, x.at(0, t), x.rows(), w.cols(), sums);
                                 T lanes[std::size_t{Rows}][std::size_t{Panels * width}];
                                 for (int k = 0; k < Rows; ++k)
                                   for (int panel = 0; panel < Panels; ++panel)
                                     simd::store(lanes[k] + panel * width, sums[panel][k]);
                                 for (index_t lane = 0; lane < (min)(Panels * width, y.rows() - t); ++lane)
                                   for (int k = 0; k < Rows; ++k) y(t + lane, i + k) = lanes[k][lane];
                               });
  });
}

template <class T>
void few_rows_backward_input(const matrix_view<const T>& dy, const matrix_view<const T>& w, const matrix_view<T>& dx,
                             into how) {
  constexpr index_t width = panels<T>::width, depth = 64;
  // Rows of dy, a power of two of bytes apart, would push each other out of the first-level cache.
  static thread_local std::vector<T> memory;
  T* const slopes = sized(memory, dy.rows(), depth).data();
  for (index_t v = 0; v < w.rows(); v += depth) {
    const index_t n = (min)(depth, w.rows() - v);
    for (index_t t = 0; t < dy.rows(); ++t)
      for (index_t p = 0; p < n; p += width)
        store_pack(vector_view<T>(slopes + t * depth, n), p, n, load_pack(vector_view<const T>(&dy(t, v), n), p, n));
    const panels<T> packed = packed_rows<T>({&w(v, 0), n, w.cols(), w.row_stride(), 1});
    const bool first = how == into::overwrite && v == 0;
    for_each_pair_of_panels<T>(
        w.cols(), [&]<int Panels>(index_t j, std::integral_constant<int, Panels>) HONE_INLINE_LAMBDA {
          for_each_tile_of_rows(
              0, dx.rows(), [&]<int Rows>(index_t t, std::integral_constant<int, Rows>) HONE_INLINE_LAMBDA {
                tile<T, Rows> sums[std::size_t{Panels}];
                for (int k = 0; k < Panels; ++k)
                  for (int i = 0; i < Rows; ++i)
                    sums[k][i] = first ? simd::pack<T>(0) : load_pack(dx.row(t + i), j + k * width, dx.cols());
                multiply_tiles(slopes + t * depth, depth, 1, packed.at(0, j), n, n, sums);
                for (int k = 0; k < Panels; ++k)
                  for (int i = 0; i < Rows; ++i) store_pack(dx.row(t + i), j + k * width, dx.cols(), sums[k][i]);
              });
        });
  }
}

}  // namespace detail

/// y = x W^T; W may be stored as another type, with the bits of the same elements in T.
/// @param memory for converted blocks, as in `linear_forward`.
template <class T>
void few_rows_forward(matrix_view<const std::type_identity_t<T>> x, const stored_matrix& w, matrix_view<T> y,
                      std::vector<T>& memory) {
  const panels<T> transposed = detail::thread_panels<T>(x.cols(), x.rows());
  transposed.pack(matrix_view<const T>(x.data(), x.cols(), x.rows(), index_t{1}, x.row_stride()));
  if (w.stored() == scalar_format<T>) return detail::few_rows_forward<T>(transposed, w.as<T>(), y);
  detail::for_each_conversion(w.rows(), w.cols(), [&](index_t first, index_t count) {
    detail::few_rows_forward<T>(transposed, detail::converted<T>(w, first, count, 0, w.cols(), memory),
                                detail::columns_of(y, first, count));
  });
}

/// dx = dy W, or added to what dx holds; W and bits as above.
template <class T>
void few_rows_backward_input(matrix_view<const std::type_identity_t<T>> dy, const stored_matrix& w, matrix_view<T> dx,
                             into how, std::vector<T>& memory) {
  if (w.stored() == scalar_format<T>) return detail::few_rows_backward_input<T>(dy, w.as<T>(), dx, how);
  detail::for_each_conversion(w.cols(), w.rows(), [&](index_t first, index_t count) {
    detail::few_rows_backward_input<T>(dy, detail::converted<T>(w, 0, w.rows(), first, count, memory),
                                       detail::columns_of(dx, first, count), how);
  });
}

/// dW += dy^T x
template <class T>
void few_rows_backward_weight(matrix_view<const std::type_identity_t<T>> dy,
                              matrix_view<const std::type_identity_t<T>> x, matrix_view<T> dw) {
  constexpr index_t width = panels<T>::width, together = 8 * tile_rows;  // a whole number of packs
  const panels<T> packed = detail::packed_rows<T>(x);
  static thread_local std::vector<T> memory;
  const index_t n = x.rows();
  T* const slopes = detail::sized(memory, n, together).data();
  for (index_t first = 0; first < dw.rows(); first += together) {
    const index_t count = (min)(together, dw.rows() - first);
    for (index_t t = 0; t < n; ++t)
      for (index_t p = 0; p < count; p += width)
        store_pack(vector_view<T>(slopes + t * together, count), p, count,
                   load_pack(vector_view<const T>(&dy(t, first), count), p, count));
    for_each_tile_of_rows(0, count, [&]<int Rows>(index_t i, std::integral_constant<int, Rows>) HONE_INLINE_LAMBDA {
      for_each_pair_of_panels<T>(dw.cols(),
                                 [&]<int Panels>(index_t j, std::integral_constant<int, Panels>) HONE_INLINE_LAMBDA {
                                   tile<T, Rows> sums[std::size_t{Panels}];
                                   for (int panel = 0; panel < Panels; ++panel)
                                     for (int k = 0; k < Rows; ++k)
                                       sums[panel][k] = load_pack(dw.row(first + i + k), j + panel * width, dw.cols());
                                   multiply_tiles(slopes + i, 1, together, packed.at(0, j), n, n, sums);
                                   for (int panel = 0; panel < Panels; ++panel)
                                     for (int k = 0; k < Rows; ++k)
                                       store_pack(dw.row(first + i + k), j + panel * width, dw.cols(), sums[panel][k]);
                                 });
    });
  }
}

}  // namespace HONE_NAMESPACE::transformer
