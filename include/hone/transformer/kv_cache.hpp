// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The keys and values that a sequence has so far, in panels, and attention over them: one position at a time, or rows
/// that look at the same ones together.
#pragma once
#include "hone/transformer/attention.hpp"
#include "hone/transformer/config.hpp"
#include "hone/transformer/linear.hpp"

#include <algorithm>
#include <vector>

namespace HONE_NAMESPACE::transformer {

/// The keys and values of one sequence so far: keys by head and dimension, values by position, the heads side by side.
template <class T>
class kv_cache {
 public:
  /// @param kept false: of one layer at a time, for whoever makes all of them in every pass.
  kv_cache(const config& c, index_t capacity, bool kept = true)
      : head_size_(c.head_size()), kv_heads_(c.n_kv_heads), capacity_(panels<T>::size(1, capacity)),
        layers_(kept ? c.n_layers : 1),
        memory_(static_cast<std::size_t>(layers_ * (kv_heads_ * key_size() + value_size()))) {}

  /// head_size x capacity
  [[nodiscard]] panels<T> keys(index_t layer, index_t kv_head) {
    return {layer_memory(layer) + kv_head * key_size(), head_size_, capacity_};
  }
  /// capacity x (kv_heads head_size)
  [[nodiscard]] panels<T> values(index_t layer) {
    return {layer_memory(layer) + kv_heads_ * key_size(), capacity_, kv_heads_ * head_size_};
  }
  /// Puts the key and value of @p position there.
  void put(index_t layer, index_t position, vector_view<const T> k, vector_view<const T> v) {
    constexpr index_t width = panels<T>::width;
    for (index_t head = 0; head < kv_heads_; ++head)
      for (index_t i = 0; i < head_size_; ++i)
        keys(layer, head).at(i, position / width * width)[position % width] = k[head * head_size_ + i];
    for (index_t i = 0; i < v.size(); ++i) values(layer).at(position, i / width * width)[i % width] = v[i];
  }

  index_t length = 0;

 private:
  [[nodiscard]] index_t key_size() const { return panels<T>::size(head_size_, capacity_); }
  [[nodiscard]] index_t value_size() const { return panels<T>::size(capacity_, kv_heads_ * head_size_); }
  T* layer_memory(index_t layer) { return memory_.data() + layer % layers_ * (kv_heads_ * key_size() + value_size()); }

  index_t head_size_, kv_heads_, capacity_, layers_;
  std::vector<T> memory_;
};

/// A row that continues the sequence of a cache.
template <class T>
struct cached_row {
  std::int32_t token;
  index_t position;
  kv_cache<T>* cache;
};

/// Attention of one position over the cache up to itself, as far back as the layer's window.
/// @param q (n_heads head_size), rotated. @param out as many elements. @param memory for scores; grows as it must.
/// @pre the cache has the position's own key and value.
/// @note 4 n_heads head_size flops a key; serial, the same bits on every call.
template <class T>
void attend_cached(const config& c, index_t layer, const cached_row<T>& r, const T* q, T* out, std::vector<T>& memory) {
  const index_t size = c.head_size(), group = c.n_heads / c.n_kv_heads, keys = r.position + 1;
  const index_t window = c.window_of(layer), first = window > 0 ? (max)(keys - window, index_t{0}) : 0;
  const index_t stride = panels<T>::size(1, keys), begin = detail::pack_begin<T>(first);
  const auto scores = detail::sized(memory, group, stride);
  using packs = simd::pack<T>;
  const packs scale(static_cast<T>(1 / std::sqrt(static_cast<double>(size))));
  for (index_t kv_head = 0; kv_head < c.n_kv_heads; ++kv_head) {
    const T* const heads = q + kv_head * group * size;
    const auto key_panels = r.cache->keys(layer, kv_head), value_panels = r.cache->values(layer);
    const index_t column = kv_head * size;
    for_each_tile_of_rows(0, group, [&]<int Rows>(index_t h, std::integral_constant<int, Rows>) HONE_INLINE_LAMBDA {
      for (index_t j = begin; j < keys; j += packs::lanes) {
        tile<T, Rows> sums;
        for (auto& sum : sums) sum = packs(0);
        multiply_tile(heads + h * size, size, 1, key_panels.at(0, j), size, sums);
        for (int i = 0; i < Rows; ++i) simd::store(&scores(h + i, j), sums[i]);
      }
    });
    for (index_t h = 0; h < group; ++h) {
      const auto s = scores.row(h);
      for (index_t i = begin; i < first; ++i) s[i] = -std::numeric_limits<T>::infinity();
      for (index_t i = keys; i < stride; ++i) s[i] = -std::numeric_limits<T>::infinity();
      detail::softmax_row(s.subvector(begin, stride - begin), scale);
    }
    for_each_tile_of_rows(0, group, [&]<int Rows>(index_t h, std::integral_constant<int, Rows>) HONE_INLINE_LAMBDA {
      for (index_t j = detail::pack_begin<T>(column); j < column + size; j += packs::lanes) {
        tile<T, Rows> sums;
        for (auto& sum : sums) sum = packs(0);
        multiply_tile<Rows <= 2   ? 4
                      : Rows == 3 ? 2
                                  : 1>(&scores(h, first), stride, 1, value_panels.at(first, j), keys - first, sums);
        const index_t from = (max)(j, column), to = (min)(j + packs::lanes, column + size);
        for (int i = 0; i < Rows; ++i) {
          T lanes[packs::lanes];  // those of a neighbouring head are left out
          simd::store(lanes, sums[i]);
          std::copy_n(lanes + (from - j), to - from, out + (kv_head * group + h + i) * size + (from - column));
        }
      }
    });
  }
}

/// Attention of rows that all look at the same positions: the first @p keys of @p cache, whatever lies after them.
/// @param q (n x n_heads head_size), rotated. @param out as many elements. @param memory for scores; grows as it must.
/// @pre the cache has the keys and values of all of them; the layer has no window.
/// @note 4 n_heads head_size flops a row and key; serial. A row's bits do not depend on the others.
template <class T>
void attend_together(const config& c, index_t layer, kv_cache<T>& cache, index_t keys, matrix_view<const T> q,
                     const matrix_view<T>& out, std::vector<T>& memory) {
  const index_t size = c.head_size(), group = c.n_heads / c.n_kv_heads, stride = panels<T>::size(1, keys);
  const auto scores = detail::sized(memory, tile_rows, stride);
  using packs = simd::pack<T>;
  const packs scale(static_cast<T>(1 / std::sqrt(static_cast<double>(size))));
  for (index_t head = 0; head < c.n_heads; ++head) {
    const auto key_panels = cache.keys(layer, head / group), value_panels = cache.values(layer);
    const index_t column = head / group * size;
    for_each_tile_of_rows(0, q.rows(), [&]<int Rows>(index_t t, std::integral_constant<int, Rows>) HONE_INLINE_LAMBDA {
      for (index_t j = 0; j < keys; j += packs::lanes) {
        tile<T, Rows> sums;
        for (auto& sum : sums) sum = packs(0);
        multiply_tile(&q(t, head * size), q.row_stride(), 1, key_panels.at(0, j), size, sums);
        for (int i = 0; i < Rows; ++i) simd::store(&scores(i, j), sums[i]);
      }
      for (int i = 0; i < Rows; ++i) {
        const auto s = scores.row(i);
        for (index_t j = keys; j < stride; ++j) s[j] = -std::numeric_limits<T>::infinity();
        detail::softmax_row(s, scale);
      }
      for (index_t j = detail::pack_begin<T>(column); j < column + size; j += packs::lanes) {
        tile<T, Rows> sums;
        for (auto& sum : sums) sum = packs(0);
        multiply_tile(&scores(0, 0), stride, 1, value_panels.at(0, j), keys, sums);
        const index_t from = (max)(j, column), to = (min)(j + packs::lanes, column + size);
        for (int i = 0; i < Rows; ++i) {
          T lanes[packs::lanes];  // those of a neighbouring head are left out
          simd::store(lanes, sums[i]);
          std::copy_n(lanes + (from - j), to - from, &out(t + i, head * size + (from - column)));
        }
      }
    });
  }
}

}  // namespace HONE_NAMESPACE::transformer
