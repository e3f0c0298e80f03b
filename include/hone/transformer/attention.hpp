// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Grouped-query attention over one sequence of n positions: head j of H computes softmax(q k^T / sqrt(head_size)) v,
/// with kv head floor(j K / H) [Ainslie et al. 2023, GQA, arXiv 2305.13245]. Scores are made for a block of queries at
/// a time and never kept: the backward pass recomputes them from each row's logarithmic normalizer [as Dao et al. 2022,
/// FlashAttention, arXiv 2205.14135]. It is two-way, causal, or two-way within blocks of positions and causal over
/// blocks [Arriola et al. 2025, Block diffusion, arXiv 2503.09573]. Causal attention does the work of its half of the
/// square, up to a tile's edge, and in a window [Beltagy et al. 2020, Longformer, arXiv 2004.05150; as in Jiang et al.
/// 2023, Mistral 7B, arXiv 2310.06825] that of its band. All functions here are serial, allocate nothing, repeat to the
/// bit and check no shape.
#pragma once
#include "hone/core/blas.hpp"
#include "hone/core/simd_math.hpp"
#include "hone/transformer/panel.hpp"

#include <cmath>

namespace HONE_NAMESPACE::transformer {

/// Where the block of position @p t ends, of a sequence of @p n.
constexpr index_t block_end(index_t block, index_t t, index_t n) { return (min)((t / block + 1) * block, n); }

/// Queries (n x H * head_size), keys and values (n x K * head_size), positions already turned; columns adjacent.
template <class T>
struct attention_input {
  matrix_view<const T> q, k, v;
  index_t head_size;
  bool causal;
  index_t window = 0;  ///< of a causal one: positions that a query looks at, its own the last of them; 0: all
  index_t block = 0;   ///< of one that is not: a query looks at its own block, of so many, and those before; 0: at all

  [[nodiscard]] index_t positions() const { return q.rows(); }
  [[nodiscard]] index_t heads() const { return q.cols() / head_size; }
  [[nodiscard]] index_t kv_heads() const { return k.cols() / head_size; }
  [[nodiscard]] index_t heads_per_kv() const { return heads() / kv_heads(); }
  /// Query @p t looks at keys [first_key(t), keys(t)).
  [[nodiscard]] index_t first_key(index_t t) const { return window > 0 ? (max)(t + 1 - window, index_t{0}) : 0; }
  [[nodiscard]] index_t keys(index_t t) const {
    return causal ? t + 1 : block > 0 ? block_end(block, t, positions()) : positions();
  }
  /// The first query that looks at key @p i.
  [[nodiscard]] index_t first_query(index_t i) const { return causal ? i : block > 0 ? i / block * block : 0; }
};

namespace detail {

/// Queries whose scores are held at a time.
inline constexpr index_t query_block = 48;

/// The columns of head @p head.
template <class T>
matrix_view<T> head_of(const matrix_view<T>& m, index_t head, index_t head_size) {
  return {m.data() + head * head_size, m.rows(), head_size, m.row_stride(), index_t{1}};
}

template <class T>
matrix_view<T> transposed(const matrix_view<T>& m) {
  return {m.data(), m.cols(), m.rows(), m.col_stride(), m.row_stride()};
}

/// Deals out scratch memory.
template <class T>
struct attention_memory {
  T* next;

  panels<T> take(index_t rows, index_t columns) {
    T* data = next;
    next += panels<T>::size(rows, columns);
    return {data, rows, columns};
  }
};

/// The border of packs at or before column @p i.
template <class T>
constexpr index_t pack_begin(index_t i) {
  return i / panels<T>::width * panels<T>::width;
}

/// Scores of queries [begin, end), row t in scores.row(t - begin), from each tile's first key to its last, in whole
/// packs.
template <class T>
void score_block(const attention_input<T>& in, matrix_view<const T> q, const panels<T>& keys, index_t begin,
                 index_t end, matrix_view<T> scores) {
  for_each_tile_of_rows(begin, end, [&]<int Rows>(index_t t, std::integral_constant<int, Rows>) HONE_INLINE_LAMBDA {
    for (index_t j = pack_begin<T>(in.first_key(t)); j < in.keys(t + Rows - 1); j += panels<T>::width) {
      tile<T, Rows> c;
      for (auto& sum : c) sum = simd::pack<T>(0);
      multiply_tile(&q(t, 0), q.row_stride(), 1, keys.at(0, j), in.head_size, c);
      for (int i = 0; i < Rows; ++i) simd::store(&scores(t - begin + i, j), c[i]);
    }
  });
}

/// out[t] = sum over its keys of weights(t - begin, key) values[key], for queries [begin, end). Weights of keys that a
/// query does not look at are zero from the first key of its tile to the last.
template <class T>
void mix_block(const attention_input<T>& in, matrix_view<const T> weights, const panels<T>& values, index_t begin,
               index_t end, matrix_view<T> out) {
  for_each_tile_of_rows(begin, end, [&]<int Rows>(index_t t, std::integral_constant<int, Rows>) HONE_INLINE_LAMBDA {
    const index_t first = in.first_key(t);
    for (index_t j = 0; j < in.head_size; j += panels<T>::width) {
      tile<T, Rows> c;
      for (auto& sum : c) sum = simd::pack<T>(0);
      multiply_tile(&weights(t - begin, first), weights.row_stride(), 1, values.at(first, j),
                    in.keys(t + Rows - 1) - first, c);
      for (int i = 0; i < Rows; ++i) store_pack(out.row(t + i), j, in.head_size, c[i]);
    }
  });
}

/// sums[key] += sum over queries t of [begin, end) of weights(t - begin, key) rows[t].
template <class T>
void scatter_block(const attention_input<T>& in, matrix_view<const T> weights, const panels<T>& rows, index_t begin,
                   index_t end, const panels<T>& sums) {
  for_each_tile_of_rows(in.first_key(begin), in.keys(end - 1),
                        [&]<int Rows>(index_t key, std::integral_constant<int, Rows>) HONE_INLINE_LAMBDA {
                          const index_t first = (max)(begin, in.first_query(key));
                          const index_t last = in.window > 0 ? (min)(end, key + Rows - 1 + in.window) : end;
                          for (index_t j = 0; j < in.head_size; j += panels<T>::width) {
                            tile<T, Rows> c;
                            for (int i = 0; i < Rows; ++i) c[i] = simd::load<T>(sums.at(key + i, j));
                            multiply_tile(&weights(first - begin, key), 1, weights.row_stride(), rows.at(first, j),
                                          last - first, c);
                            for (int i = 0; i < Rows; ++i) simd::store(sums.at(key + i, j), c[i]);
                          }
                        });
}

/// Whole packs of columns [begin, end) of query @p t that its block's products read: as far as the first and last keys
/// of its tile could lie. Those that it does not look at become @p weightless.
struct columns {
  index_t begin, end;
};
template <class T>
columns close_row(const attention_input<T>& in, index_t t, const vector_view<T>& row, T weightless) {
  const index_t first = in.first_key(t), allowed = in.keys(t);
  const index_t last_of_tile = (min)(t + tile_rows, in.positions()) - 1;
  const index_t read = (min)((max)(in.keys(last_of_tile), allowed + tile_rows - 1), in.positions());
  const columns padded{pack_begin<T>((max)(first - (tile_rows - 1), index_t{0})), panels<T>::size(1, read)};
  for (index_t i = padded.begin; i < first; ++i) row[i] = weightless;
  for (index_t i = allowed; i < padded.end; ++i) row[i] = weightless;
  return padded;
}

/// s <- softmax(scale s) over whole packs of adjacent elements, where -inf stands for nothing; returns its log sum exp.
template <class T>
HONE_INLINE T softmax_row(const vector_view<T>& s, const simd::pack<T>& scale) {
  using packs = simd::pack<T>;
  packs largest(-std::numeric_limits<T>::infinity());
  for (index_t i = 0; i < s.size(); i += packs::lanes) largest = (simd::max)(load_pack(s, i, whole_pack{}), largest);
  const packs top(simd::horizontal_max(largest));
  packs sums(0);
  for (index_t i = 0; i < s.size(); i += packs::lanes) {
    const packs p = simd::exp_nonpositive((load_pack(s, i, whole_pack{}) - top) * scale);
    sums += p;
    store_pack(s, i, whole_pack{}, p);
  }
  const T sum = simd::horizontal_sum(sums);
  const packs share(1 / sum);
  for (index_t i = 0; i < s.size(); i += packs::lanes)
    store_pack(s, i, whole_pack{}, share * load_pack(s, i, whole_pack{}));
  return (top * scale).lane(0) + std::log(sum);
}

}  // namespace detail

/// Elements of scratch memory that attention over n positions needs.
template <class T>
constexpr index_t attention_scratch(index_t n, index_t head_size) {
  return 2 * panels<T>::size(detail::query_block, n) + 2 * panels<T>::size(head_size, n) +
         6 * panels<T>::size(n, head_size);
}

/// @param out (n x H * head_size); @param log_normalizers receives log sum exp of each row and head (n x H);
/// @param scratch attention_scratch(n, head_size) elements.
/// @note 4 H head_size flops for each pair of query and key.
template <class T>
void attention_forward(const attention_input<T>& in, matrix_view<T> out, matrix_view<T> log_normalizers, T* scratch) {
  using packs = simd::pack<T>;
  const index_t n = in.positions(), size = in.head_size;
  const T scale = static_cast<T>(1 / std::sqrt(static_cast<double>(size)));
  detail::attention_memory<T> memory{scratch};
  const panels<T> keys = memory.take(size, n), values = memory.take(n, size);
  const index_t stride = panels<T>::size(1, n);
  T* const score_memory = memory.next;
  for (index_t kv_head = 0; kv_head < in.kv_heads(); ++kv_head) {
    keys.pack(detail::transposed(detail::head_of(in.k, kv_head, size)));
    values.pack(detail::head_of(in.v, kv_head, size));
    for (index_t head = kv_head * in.heads_per_kv(); head < (kv_head + 1) * in.heads_per_kv(); ++head)
      for (index_t begin = 0; begin < n; begin += detail::query_block) {
        const index_t end = (min)(begin + detail::query_block, n);
        const matrix_view<T> scores(score_memory, end - begin, n, stride, 1);
        detail::score_block<T>(in, detail::head_of(in.q, head, size), keys, begin, end, scores);
        for (index_t t = begin; t < end; ++t) {
          const auto row = scores.row(t - begin);
          const auto [first, last] = detail::close_row(in, t, row, -std::numeric_limits<T>::infinity());
          log_normalizers(t, head) = detail::softmax_row(row.subvector(first, last - first), packs(scale));
        }
        detail::mix_block<T>(in, scores, values, begin, end, detail::head_of(out, head, size));
      }
  }
}

/// @param out, log_normalizers of the forward pass; @param dout (n x H * head_size); @param dq (n x H * head_size),
///        @param dk, dv (n x K * head_size) receive the gradients; @param scratch as for the forward pass.
/// @note 10 H head_size flops for each pair of query and key.
template <class T>
void attention_backward(const attention_input<T>& in, matrix_view<const std::type_identity_t<T>> out,
                        matrix_view<const std::type_identity_t<T>> log_normalizers,
                        matrix_view<const std::type_identity_t<T>> dout, matrix_view<T> dq, matrix_view<T> dk,
                        matrix_view<T> dv, T* scratch) {
  using packs = simd::pack<T>;
  const index_t n = in.positions(), size = in.head_size;
  const T scale = static_cast<T>(1 / std::sqrt(static_cast<double>(size)));
  detail::attention_memory<T> memory{scratch};
  const panels<T> keys = memory.take(size, n), values = memory.take(size, n), key_rows = memory.take(n, size);
  const panels<T> queries = memory.take(n, size), slopes = memory.take(n, size);
  const panels<T> dkeys = memory.take(n, size), dvalues = memory.take(n, size);
  const index_t stride = panels<T>::size(1, n);
  T* const score_memory = memory.next;
  for (index_t kv_head = 0; kv_head < in.kv_heads(); ++kv_head) {
    keys.pack(detail::transposed(detail::head_of(in.k, kv_head, size)));
    values.pack(detail::transposed(detail::head_of(in.v, kv_head, size)));
    key_rows.pack(detail::head_of(in.k, kv_head, size));
    dkeys.clear();
    dvalues.clear();
    for (index_t head = kv_head * in.heads_per_kv(); head < (kv_head + 1) * in.heads_per_kv(); ++head) {
      const auto q = detail::head_of(in.q, head, size), slope = detail::head_of(dout, head, size);
      const auto result = detail::head_of(out, head, size);
      queries.pack(q);
      slopes.pack(slope);
      for (index_t begin = 0; begin < n; begin += detail::query_block) {
        const index_t end = (min)(begin + detail::query_block, n);
        const matrix_view<T> p(score_memory, end - begin, n, stride, 1);
        const matrix_view<T> ds(score_memory + detail::query_block * stride, end - begin, n, stride, 1);
        detail::score_block<T>(in, q, keys, begin, end, p);
        detail::score_block<T>(in, slope, values, begin, end, ds);
        for (index_t t = begin; t < end; ++t) {
          const auto ps = p.row(t - begin), dss = ds.row(t - begin);
          const auto slope_row = slope.row(t), result_row = result.row(t);
          packs products(0);
          for_each_pack<packs::lanes>(
              0, size,
              [&](index_t i, auto bound)
                  HONE_INLINE_LAMBDA { products += load_pack(slope_row, i, bound) * load_pack(result_row, i, bound); },
              slope_row, result_row);
          const packs mean(simd::horizontal_sum(products)), normalizer(log_normalizers(t, head));
          const auto [first, last] = detail::close_row(in, t, ps, -std::numeric_limits<T>::infinity());
          detail::close_row(in, t, dss, T{0});
          for (index_t i = first; i < last; i += packs::lanes) {
            const packs weight = simd::exp_nonpositive(load_pack(ps, i, whole_pack{}) * packs(scale) - normalizer);
            store_pack(ps, i, whole_pack{}, weight);
            store_pack(dss, i, whole_pack{}, weight * (load_pack(dss, i, whole_pack{}) - mean) * packs(scale));
          }
        }
        detail::scatter_block<T>(in, p, slopes, begin, end, dvalues);
        detail::scatter_block<T>(in, ds, queries, begin, end, dkeys);
        detail::mix_block<T>(in, ds, key_rows, begin, end, detail::head_of(dq, head, size));
      }
    }
    dkeys.unpack(detail::head_of(dk, kv_head, size));
    dvalues.unpack(detail::head_of(dv, kv_head, size));
  }
}

}  // namespace HONE_NAMESPACE::transformer
