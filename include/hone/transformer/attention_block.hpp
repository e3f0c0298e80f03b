// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The attention half of a layer: y = x + Wo attention(q, k, v) + bo, where with n = rmsnorm(x)
///   q = rotate(Wq n + bq),  k = rotate(Wk n + bk),  v = Wv n + bv
/// and with qk_norm q and k are normalized before they are rotated, each head or all heads together; with clip_qkv q
/// and k, after their norms, and v are cut to [-clip_qkv, clip_qkv]. It owns its forward and backward passes over whole
/// sequences, the forward pass of rows with a cache, and its share of a workspace; it names parameters to an object of
/// transformer/product.hpp.
#pragma once
#include "hone/transformer/attention.hpp"
#include "hone/transformer/kv_cache.hpp"
#include "hone/transformer/product.hpp"
#include "hone/transformer/rotary.hpp"

namespace HONE_NAMESPACE::transformer {

template <class T>
class attention_block {
 public:
  /// What the forward pass leaves for the backward pass: an array of rows each.
  struct activations {
    T *rms, *q, *k, *v, *log_normalizers, *attended;
    T *q_raw, *k_raw;  ///< what norms of queries and keys, or else the cut, read; null without both
    T *q_rms, *k_rms;  ///< of these norms; null without
  };
  /// What a pass needs while it runs; any layer, and any other block, may use it next.
  struct scratch {
    T *normed, *dnormed, *dattended, *dq, *dk, *dv, *dq_raw, *dk_raw, *attention;
  };
  /// Memory of `forward_rows`, which grows as it must.
  struct row_memory {
    std::vector<T> normed, q, k, v, attended, scores, rms;
  };

  /// @p take(width) deals out an array of rows of that width.
  template <class Take>
  static activations share_activations(const config& c, Take&& take) {
    const auto take_if = [&](bool wanted, index_t width) { return wanted ? take(width) : nullptr; };
    return {.rms = take(1),
            .q = take(c.q_width()),
            .k = take(c.kv_width()),
            .v = take(c.kv_width()),
            .log_normalizers = take(c.n_heads),
            .attended = take(c.q_width()),
            .q_raw = take_if(changes(c), c.q_width()),
            .k_raw = take_if(changes(c), c.kv_width()),
            .q_rms = take_if(norms(c), c.q_width() / c.qk_norm_size(c.q_width())),
            .k_rms = take_if(norms(c), c.kv_width() / c.qk_norm_size(c.kv_width()))};
  }
  /// @param rows of every array.
  template <class Take>
  static scratch share_scratch(const config& c, index_t rows, Take&& take) {
    const auto take_if = [&](bool wanted, index_t width) { return wanted ? take(width) : nullptr; };
    const index_t longest = (min)(rows, c.max_seq);
    return {.normed = take(c.d_model),
            .dnormed = take(c.d_model),
            .dattended = take(c.q_width()),
            .dq = take(c.q_width()),
            .dk = take(c.kv_width()),
            .dv = take(c.kv_width()),
            .dq_raw = take_if(norms(c), c.q_width()),
            .dk_raw = take_if(norms(c), c.kv_width()),
            .attention = take(attention_scratch<T>(longest, c.head_size()) / rows + 1)};
  }

  /// @param c, rotary must outlive this.
  attention_block(const config& c, index_t layer, const rotary_table<T>& rotary)
      : c_(c), layer_(layer), rotary_(rotary) {}

  /// @param offsets of the sequences in the rows, as in a batch. @param x (n x d_model).
  /// @param y (n x d_model) receives the sum; it is not the memory of x.
  template <class Products>
  void forward(const Products& p, std::span<const index_t> offsets, const matrix_view<const T>& x, const activations& a,
               const scratch& s, const matrix_view<T>& y) const {
    const index_t n = x.rows();
    const matrix_view<T> normed(s.normed, n, c_.d_model), attended(a.attended, n, c_.q_width());
    const matrix_view<T> q(a.q, n, c_.q_width()), k(a.k, n, c_.kv_width()), v(a.v, n, c_.kv_width());
    const matrix_view<T> q_product(changes(c_) ? a.q_raw : a.q, n, c_.q_width());
    const matrix_view<T> k_product(changes(c_) ? a.k_raw : a.k, n, c_.kv_width());
    rmsnorm_forward<T>(x, p.vector(id(role::att_norm)), c_.norm_eps, a.rms, normed);
    p.forward(id(role::wq), normed, q_product);
    p.forward(id(role::wk), normed, k_product);
    p.forward(id(role::wv), normed, v);
    if (norms(c_)) {
      rmsnorm_forward<T>(normed_rows(q_product), p.vector(id(role::q_norm)), c_.norm_eps, a.q_rms, normed_rows(q));
      rmsnorm_forward<T>(normed_rows(k_product), p.vector(id(role::k_norm)), c_.norm_eps, a.k_rms, normed_rows(k));
    } else if (changes(c_)) {
      copy(detail::flat(q_product), detail::flat(q));
      copy(detail::flat(k_product), detail::flat(k));
    }
    for (const auto& part : {q, k, v}) cut(part);
    for_each_sequence(offsets, [&](const auto& rows) {
      rotary_.rotate(rows(q), 0, turn::forward);
      rotary_.rotate(rows(k), 0, turn::forward);
      attention_forward<T>(input(rows(q), rows(k), rows(v)), rows(attended),
                           rows(matrix_view<T>(a.log_normalizers, n, c_.n_heads)), s.attention);
    });
    p.forward(id(role::wo), attended, y);
    axpy(T{1}, detail::flat(x), detail::flat(y));
  }

  /// @param x, a as of the forward pass. @param dx holds the gradient of y and receives that of x.
  template <class Products>
  void backward(const Products& p, std::span<const index_t> offsets, const matrix_view<const T>& x,
                const activations& a, const scratch& s, const matrix_view<T>& dx) const {
    const index_t n = x.rows();
    const matrix_view<T> normed(s.normed, n, c_.d_model), dnormed(s.dnormed, n, c_.d_model);
    const matrix_view<T> q(a.q, n, c_.q_width()), k(a.k, n, c_.kv_width()), v(a.v, n, c_.kv_width());
    const matrix_view<T> attended(a.attended, n, c_.q_width()), dattended(s.dattended, n, c_.q_width());
    matrix_view<T> dq(s.dq, n, c_.q_width()), dk(s.dk, n, c_.kv_width());
    const matrix_view<T> dv(s.dv, n, c_.kv_width());
    p.backward(id(role::wo), dx, attended, dattended, into::overwrite);
    for_each_sequence(offsets, [&](const auto& rows) {
      attention_backward<T>(input(rows(q), rows(k), rows(v)), rows(attended),
                            rows(matrix_view<T>(a.log_normalizers, n, c_.n_heads)), rows(dattended), rows(dq), rows(dk),
                            rows(dv), s.attention);
      rotary_.rotate(rows(dq), 0, turn::back);
      rotary_.rotate(rows(dk), 0, turn::back);
    });
    if (changes(c_)) {
      const auto before_turn = [&](role r, T* raw_memory, const T* rms, const matrix_view<T>& dy, T* draw_memory) {
        const matrix_view<T> raw(raw_memory, n, dy.cols()), draw(draw_memory, n, dy.cols());
        if (!norms(c_)) {
          cut_gradient(raw, dy);
          return dy;
        }
        if (c_.clip_qkv > 0) {
          rmsnorm_apply<T>(normed_rows(raw), p.vector(id(r)), rms, normed_rows(draw));
          cut_gradient(draw, dy);
        }
        fill(detail::flat(draw), T{0});
        p.norm_backward(id(r), normed_rows(raw), rms, normed_rows(dy), normed_rows(draw));
        return draw;
      };
      dq = before_turn(role::q_norm, a.q_raw, a.q_rms, dq, s.dq_raw);
      dk = before_turn(role::k_norm, a.k_raw, a.k_rms, dk, s.dk_raw);
      cut_gradient(v, dv);
    }
    rmsnorm_apply<T>(x, p.vector(id(role::att_norm)), a.rms, normed);
    p.backward(id(role::wq), dq, normed, dnormed, into::overwrite);
    p.backward(id(role::wk), dk, normed, dnormed, into::accumulate);
    p.backward(id(role::wv), dv, normed, dnormed, into::accumulate);
    p.norm_backward(id(role::att_norm), x, a.rms, dnormed, dx);
  }

  /// Rows that each continue the sequence of a cache, those of one sequence in order: @p x (n x d_model) becomes y, and
  /// the caches get the rows' keys and values. A row's bits do not depend on the others if those of @p p do not.
  template <class Products>
  void forward_rows(const Products& p, std::span<const cached_row<T>> rows, const matrix_view<T>& x,
                    row_memory& m) const {
    const auto n = static_cast<index_t>(rows.size());
    const auto [normed, q, k, v, attended] = project_rows(p, x, m);
    for (index_t t = 0; t < n; ++t) {
      const cached_row<T>& row = rows[static_cast<std::size_t>(t)];
      rotary_.rotate({q.row(t).data(), 1, c_.q_width()}, row.position, turn::forward);
      rotary_.rotate({k.row(t).data(), 1, c_.kv_width()}, row.position, turn::forward);
      row.cache->put(layer_, row.position, k.row(t), v.row(t));
    }
    for (index_t t = 0; t < n; ++t)
      attend_cached(c_, layer_, rows[static_cast<std::size_t>(t)], q.row(t).data(), attended.row(t).data(), m.scores);
    p.forward(id(role::wo), attended, normed);
    axpy(T{1}, detail::flat(normed), detail::flat(x));
  }

  /// Rows [first, first + n) of one sequence of a model that is not causal, the last ones of what it has: @p x (n x
  /// d_model) becomes y, and @p cache gets the rows' keys and values. Bits as above.
  /// @pre the cache has those of positions [0, first), and first is where a block begins.
  template <class Products>
  void forward_rows(const Products& p, kv_cache<T>& cache, index_t first, const matrix_view<T>& x,
                    row_memory& m) const {
    const index_t n = x.rows(), end = first + n, block = c_.block > 0 ? c_.block : end;
    const auto [normed, q, k, v, attended] = project_rows(p, x, m);
    rotary_.rotate(q, first, turn::forward);
    rotary_.rotate(k, first, turn::forward);
    for (index_t t = 0; t < n; ++t) cache.put(layer_, first + t, k.row(t), v.row(t));
    for (index_t t = first; t < end; t = block_end(block, t, end)) {
      const index_t count = block_end(block, t, end) - t;
      const auto part = [&](const matrix_view<T>& all) {
        return matrix_view<T>(all.row(t - first).data(), count, all.cols());
      };
      attend_together<T>(c_, layer_, cache, t + count, part(q), part(attended), m.scores);
    }
    p.forward(id(role::wo), attended, normed);
    axpy(T{1}, detail::flat(normed), detail::flat(x));
  }

 private:
  struct projected {
    matrix_view<T> normed, q, k, v, attended;
  };
  /// Queries, keys and values of rows, before they are turned, and room for what follows.
  template <class Products>
  projected project_rows(const Products& p, const matrix_view<T>& x, row_memory& m) const {
    const index_t n = x.rows();
    const projected r{detail::sized(m.normed, n, c_.d_model), detail::sized(m.q, n, c_.q_width()),
                      detail::sized(m.k, n, c_.kv_width()), detail::sized(m.v, n, c_.kv_width()),
                      detail::sized(m.attended, n, c_.q_width())};
    T* const rms = detail::sized(m.rms, n, c_.n_heads).data();
    rmsnorm_forward<T>(x, p.vector(id(role::att_norm)), c_.norm_eps, rms, r.normed);
    p.forward(id(role::wq), r.normed, r.q);
    p.forward(id(role::wk), r.normed, r.k);
    p.forward(id(role::wv), r.normed, r.v);
    if (norms(c_)) {
      rmsnorm_forward<T>(normed_rows(r.q), p.vector(id(role::q_norm)), c_.norm_eps, rms, normed_rows(r.q));
      rmsnorm_forward<T>(normed_rows(r.k), p.vector(id(role::k_norm)), c_.norm_eps, rms, normed_rows(r.k));
    }
    for (const auto& part : {r.q, r.k, r.v}) cut(part);
    return r;
  }
  [[nodiscard]] tensor_id id(role r) const { return {r, layer_}; }
  static bool norms(const config& c) { return c.qk_norm != query_key_norm::none; }
  /// Whether queries and keys that are turned are not what the products made.
  static bool changes(const config& c) { return norms(c) || c.clip_qkv > 0; }
  [[nodiscard]] attention_input<T> input(const matrix_view<T>& q, const matrix_view<T>& k,
                                         const matrix_view<T>& v) const {
    return {q, k, v, c_.head_size(), c_.causal, c_.window_of(layer_), c_.block};
  }
  /// What a norm of queries or keys goes over, a row each.
  [[nodiscard]] matrix_view<T> normed_rows(const matrix_view<T>& m) const {
    const index_t size = c_.qk_norm_size(m.cols());
    return {m.data(), m.rows() * m.cols() / size, size};
  }
  void cut(const matrix_view<T>& m) const {
    const T most = static_cast<T>(c_.clip_qkv);
    if (most > 0)
      for (T& x : std::span(m.data(), static_cast<std::size_t>(m.rows() * m.cols())))
        x = x > most ? most : x < -most ? -most : x;  // NaN stays
  }
  /// @param m before the cut or after it.
  void cut_gradient(const matrix_view<T>& m, const matrix_view<T>& dm) const {
    const T most = static_cast<T>(c_.clip_qkv);
    for (index_t i = 0; most > 0 && i < m.rows() * m.cols(); ++i)
      if (!(std::abs(m.data()[i]) < most)) dm.data()[i] = 0;
  }
  /// f(rows) for each sequence, where rows(m) are those of m that belong to it.
  template <class F>
  static void for_each_sequence(std::span<const index_t> offsets, F&& f) {
    for (std::size_t s = 0; s + 1 < offsets.size(); ++s)
      f([begin = offsets[s], end = offsets[s + 1]](const matrix_view<T>& m) {
        return matrix_view<T>(m.data() + begin * m.row_stride(), end - begin, m.cols());
      });
  }

  const config& c_;
  index_t layer_;
  const rotary_table<T>& rotary_;
};

}  // namespace HONE_NAMESPACE::transformer
