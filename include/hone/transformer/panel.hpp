// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Products of attention, generation and `linear_loss`, in which a general product would spend its time packing: the
/// right-hand matrix is laid out once in panels of one vector's width, and then used for every block that shares it.
#pragma once
#include "hone/core/packs.hpp"

#include <utility>

namespace HONE_NAMESPACE::transformer {

/// Rows x columns elements as panels: columns [w j, w (j + 1)) of all rows lie together, w wide, the last panel padded
/// with zeros; w is the lane count of a pack of T. They are stored as @c Stored, of which T is the accumulator type.
template <class T, class Stored = T>
class panels {
 public:
  using stored = std::remove_const_t<Stored>;
  static constexpr index_t width = simd::pack<T>::lanes;

  /// Elements that @p rows x @p columns take.
  static constexpr index_t size(index_t rows, index_t columns) {
    return rows * ((columns + width - 1) / width * width);
  }

  /// Over @p data, size(rows, columns) elements of the caller's.
  panels(Stored* data, index_t rows, index_t columns) : data_(data), rows_(rows), columns_(columns) {}

  [[nodiscard]] index_t rows() const { return rows_; }
  [[nodiscard]] index_t columns() const { return columns_; }
  /// Row @p row of the panel that begins with column @p column, a multiple of w.
  [[nodiscard]] Stored* at(index_t row, index_t column) const { return data_ + column * rows_ + row * width; }

  /// Copies @p m (rows x columns, any strides), converting where it is stored as another type.
  template <scalar S>
  void pack(const matrix_view<S>& m) const {
    const auto convert = [](const S& x) {
      if constexpr (std::is_same_v<std::remove_const_t<S>, stored>)
        return x;
      else
        return static_cast<stored>(to_accumulator(x));
    };
    for (index_t j = 0; j < columns_; j += width) {
      const index_t count = (min)(width, columns_ - j);
      for (index_t i = 0; i < rows_; ++i) {
        Stored* to = at(i, j);
        for (index_t lane = 0; lane < count; ++lane) to[lane] = convert(m(i, j + lane));
        for (index_t lane = count; lane < width; ++lane) to[lane] = stored(0);
      }
    }
  }

  /// Copies to @p m, without the padding.
  void unpack(matrix_view<stored> m) const {
    for (index_t j = 0; j < columns_; j += width)
      for (index_t i = 0; i < rows_; ++i)
        for (index_t lane = 0; lane < (min)(width, columns_ - j); ++lane) m(i, j + lane) = at(i, j)[lane];
  }

  void clear() const {
    for (index_t i = 0; i < size(rows_, columns_); ++i) data_[i] = stored(0);
  }

 private:
  Stored* data_;
  index_t rows_, columns_;
};

/// Rows of a tile: with one accumulator each, what vector registers hold.
inline constexpr index_t tile_rows = 6;

/// Sums of one tile, a pack a row.
template <class T, int Rows>
using tile = simd::pack<T>[std::size_t{Rows}];

/// f(first row, std::integral_constant<int, rows>) for tiles of [begin, end), the last one lower.
template <int Rows = tile_rows, class F>
HONE_INLINE void for_each_tile_of_rows(index_t begin, index_t end, F&& f) {
  for (; end - begin >= Rows; begin += Rows) f(begin, std::integral_constant<int, Rows>{});
  if constexpr (Rows > 1)
    if (begin < end) for_each_tile_of_rows<Rows - 1>(begin, end, f);
}

/// c[i] += sum_p a[i * row_stride + p * step] * panel[p], i < Rows, p < depth; sums in ascending p. With several @c
/// Parts, for tiles too low to hide the latency of an addition, every Parts-th p has a sum of its own.
template <int Parts = 1, class T, std::size_t Rows>
HONE_INLINE void multiply_tile(const T* a, index_t row_stride, index_t step, const T* panel, index_t depth,
                               simd::pack<T> (&c)[Rows]) {
  const auto add = [&](index_t p, simd::pack<T>(&sums)[Rows]) HONE_INLINE_LAMBDA {
    const auto b = simd::load<T>(panel + p * panels<T>::width);
    for (std::size_t i = 0; i < Rows; ++i)
      sums[i] += simd::pack<T>(a[static_cast<index_t>(i) * row_stride + p * step]) * b;
  };
  index_t p = 0;
  if constexpr (Parts > 1) {
    tile<T, static_cast<int>(Rows)> sums[std::size_t{Parts}];
    for (auto& part : sums)
      for (auto& sum : part) sum = simd::pack<T>(0);
    for (; p + Parts <= depth; p += Parts)
      for (int k = 0; k < Parts; ++k) add(p + k, sums[k]);
    for (const auto& part : sums)
      for (std::size_t i = 0; i < Rows; ++i) c[i] += part[i];
  }
  for (; p < depth; ++p) add(p, c);
}

/// The same for adjacent panels, the first at @p panel, and a tile of each: an element of a is loaded for all of them.
template <class T, std::size_t Panels, std::size_t Rows>
HONE_INLINE void multiply_tiles(const T* a, index_t row_stride, index_t step, const T* panel, index_t rows_of_panel,
                                index_t depth, simd::pack<T> (&c)[Panels][Rows]) {
  constexpr index_t width = panels<T>::width;
  // No loop within the loop: g++ would interleave steps of the outer one, with the sums in memory.
  const auto run = [&]<std::size_t... Row, std::size_t... Panel>(std::index_sequence<Row...>,
                                                                 std::index_sequence<Panel...>) HONE_INLINE_LAMBDA {
    for (index_t p = 0; p < depth; ++p) {
      const simd::pack<T> b[] = {simd::load<T>(panel + (static_cast<index_t>(Panel) * rows_of_panel + p) * width)...};
      const auto add = [&](std::size_t i) HONE_INLINE_LAMBDA {
        const simd::pack<T> x(a[static_cast<index_t>(i) * row_stride + p * step]);
        ((c[Panel][i] += x * b[Panel]), ...);
      };
      (add(Row), ...);
    }
  };
  run(std::make_index_sequence<Rows>{}, std::make_index_sequence<Panels>{});
}

/// f(first column, std::integral_constant<int, panels>) for pairs of panels of [0, columns), the last one alone.
template <class T, class F>
HONE_INLINE void for_each_pair_of_panels(index_t columns, F&& f) {
  constexpr index_t width = panels<T>::width;
  index_t j = 0;
  for (; columns - j > width; j += 2 * width) f(j, std::integral_constant<int, 2>{});
  if (j < columns) f(j, std::integral_constant<int, 1>{});
}

/// y = x w for rows @p x (n x in), @p w (in x out) in panels, @p y (n x out). A row's bits do not depend on the others.
/// @note Four panels at a time pass all rows, from the second-level cache: @p w is read from memory once.
template <class T, class Stored>
void multiply_rows(matrix_view<const std::type_identity_t<T>> x, const panels<T, Stored>& w, matrix_view<T> y) {
  constexpr index_t width = panels<T>::width, together = 4 * width;
  for (index_t first = 0; first < w.columns(); first += together) {
    const index_t last = (min)(first + together, w.columns());
    for_each_tile_of_rows(0, x.rows(), [&]<int Rows>(index_t t, std::integral_constant<int, Rows>) HONE_INLINE_LAMBDA {
      // A few rows alone would wait for their own sums: they take several panels at a time.
      constexpr int group = Rows >= 4 ? 1 : Rows >= 2 ? 2 : 4;
      index_t j = first;
      const auto run = [&]<int Panels>(std::integral_constant<int, Panels>) HONE_INLINE_LAMBDA {
        tile<T, Rows> c[std::size_t{Panels}];
        for (auto& panel : c)
          for (auto& sum : panel) sum = simd::pack<T>(0);
        for (index_t p = 0; p < w.rows(); ++p)
          for (int k = 0; k < Panels; ++k) {
            const auto b = simd::load<T>(w.at(p, j + k * width));
            for (int i = 0; i < Rows; ++i) c[k][i] += simd::pack<T>(x(t + i, p)) * b;
          }
        for (int k = 0; k < Panels; ++k)
          for (int i = 0; i < Rows; ++i) store_pack(y.row(t + i), j + k * width, w.columns(), c[k][i]);
        j += Panels * width;
      };
      while (last - j > (group - 1) * width) run(std::integral_constant<int, group>{});
      while (j < last) run(std::integral_constant<int, 1>{});
    });
  }
}

}  // namespace HONE_NAMESPACE::transformer
