// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The feed-forward half of a layer whose rows go through a few experts each, which a router chooses between:
///   y = x + shared(n) + sum_e g_e expert_e(n),  n = rmsnorm(x),  gates g from the logits Wr n  (moe/route.hpp)
/// experts and the shared one each W2 (silu(W1 n) W3 n). It owns what `mlp_block` does; its plan and its logits are
/// kept for the backward pass and for balance losses, whose gradients come in with those of the logits.
#pragma once
#include "hone/moe/route.hpp"
#include "hone/transformer/attention.hpp"  // block_end
#include "hone/transformer/experts.hpp"

#include <numeric>

namespace HONE_NAMESPACE::transformer {

/// A matrix of router logits, rows x experts, as `moe` reads it: experts x rows, in the same memory.
template <class T>
matrix_view<T> by_expert(const matrix_view<T>& logits) {
  return {logits.data(), logits.cols(), logits.rows(), logits.col_stride(), logits.row_stride()};
}

template <class T>
class expert_block {
 public:
  /// What the forward pass leaves for the backward pass: an array of rows each, of the width in brackets, and one of
  /// slots, which grows to the largest plan.
  struct activations {
    T *rms = nullptr, *logits = nullptr;             ///< (1), (experts)
    T *shared_gate = nullptr, *shared_up = nullptr;  ///< (shared_d_ff)
    moe::routing_plan<T> plan{};
    std::vector<T> gate{}, up{};  ///< of slots (d_ff)

    /// Memory for @p rows rows of per_token slots.
    void reserve(const expert_layers& e, index_t rows) {
      if (logits == nullptr) return;
      detail::sized(gate, rows * e.router.per_token, e.d_ff);
      detail::sized(up, rows * e.router.per_token, e.d_ff);
    }
  };
  /// What a pass needs while it runs; any layer, and any other block, may use it next.
  struct scratch {
    T *normed, *dnormed, *dlogits;                   ///< (d_model), (d_model), (experts)
    T *shared_gated, *shared_dgate, *shared_dup;     ///< (shared_d_ff)
    T *x, *y, *dy, *gated, *weighted, *dgate, *dup;  ///< of one expert's rows: (d_model) thrice, (d_ff)
    std::vector<T> dgates{};                         ///< of slots
    moe::route_memory<T> route{};
    std::vector<index_t> offsets{}, capacities{};  ///< of the pools, where they are not those of the batch
  };
  /// Memory of `forward_rows`, which grows as it must.
  struct row_memory {
    std::vector<T> normed, sum, logits, rms, shared_gate, shared_up;
    expert_memory<T> slot_rows;
    moe::routing_plan<T> plan;
    moe::route_memory<T> route;
  };

  /// @p take(width) deals out an array of rows of that width.
  template <class Take>
  static activations share_activations(const config& c, Take&& take) {
    return {.rms = take(1),
            .logits = take(c.experts.count),
            .shared_gate = take(c.experts.shared_d_ff),
            .shared_up = take(c.experts.shared_d_ff)};
  }
  template <class Take>
  static scratch share_scratch(const config& c, Take&& take) {
    const index_t d = c.d_model, own = c.experts.d_ff, shared = c.experts.shared_d_ff;
    return {.normed = take(d),
            .dnormed = take(d),
            .dlogits = take(c.experts.count),
            .shared_gated = take(shared),
            .shared_dgate = take(shared),
            .shared_dup = take(shared),
            .x = take(d),
            .y = take(d),
            .dy = take(d),
            .gated = take(own),
            .weighted = take(own),
            .dgate = take(own),
            .dup = take(own)};
  }

  /// @param c must outlive this.
  expert_block(const config& c, index_t layer) : c_(c), layer_(layer) {}

  /// @param b whose rows they are: its sequences, and what experts that choose may take of each.
  /// @param x (n x d_model). @param y (n x d_model) receives the sum; it is not the memory of x.
  /// @throws std::invalid_argument as `moe::route`.
  template <class Products>
  void forward(const Products& p, const batch& b, const matrix_view<const T>& x, activations& a, scratch& s,
               const matrix_view<T>& y) const {
    const index_t n = x.rows();
    const matrix_view<T> normed(s.normed, n, c_.d_model);
    rmsnorm_forward<T>(x, p.vector(id(role::ffn_norm)), c_.norm_eps, a.rms, normed);
    p.forward(id(role::router), normed, {a.logits, n, c_.experts.count});
    moe::route<T>(c_.experts.router, routed(a.logits, n), options(p, b, s), a.plan, s.route);
    const index_t shared = c_.experts.shared_d_ff;
    if (shared > 0) {
      const matrix_view<T> gate(a.shared_gate, n, shared), up(a.shared_up, n, shared), gated(s.shared_gated, n, shared);
      shared_products().template forward<Products, T>(p, normed, gate, up, gated, y);
      axpy(T{1}, detail::flat(x), detail::flat(y));
    } else {
      copy(detail::flat(x), detail::flat(y));
    }
    experts_forward(p, layer_, a.plan, normed, rows(a, s, n), y);
  }

  /// @param b, x, a as of the forward pass. @param dx holds the gradient of y and receives that of x.
  /// @param s whose dlogits hold the gradient that the router's logits have beside that of the gates.
  template <class Products>
  void backward(const Products& p, const batch& b, const matrix_view<const T>& x, activations& a, scratch& s,
                const matrix_view<T>& dx) const {
    const index_t n = x.rows(), shared = c_.experts.shared_d_ff;
    const matrix_view<T> normed(s.normed, n, c_.d_model), dnormed(s.dnormed, n, c_.d_model);
    rmsnorm_apply<T>(x, p.vector(id(role::ffn_norm)), a.rms, normed);
    if (shared > 0) {
      const matrix_view<T> gate(a.shared_gate, n, shared), up(a.shared_up, n, shared), gated(s.shared_gated, n, shared);
      const matrix_view<T> dgate(s.shared_dgate, n, shared), dup(s.shared_dup, n, shared);
      shared_products().template backward<Products, T>(p, normed, gate, up, gated, dx, dgate, dup, dnormed);
    } else {
      fill(detail::flat(dnormed), T{0});
    }
    s.dgates.resize(a.plan.token.size());
    experts_backward(p, layer_, a.plan, normed, dx, rows(a, s, n), s.dgates.data(), dnormed);
    moe::route_backward<T>(c_.experts.router, routed(a.logits, n), options(p, b, s), a.plan, s.dgates,
                           routed(s.dlogits, n), s.route);
    p.backward(id(role::router), {s.dlogits, n, c_.experts.count}, normed, dnormed, into::accumulate);
    p.norm_backward(id(role::ffn_norm), x, a.rms, dnormed, dx);
  }

  /// With nothing kept for a backward pass: @p x (n x d_model) becomes y. No capacity drops a token, and none is left
  /// out at random: where tokens choose, a row's bits do not depend on the others if those of @p p do not.
  /// @param pools borders of what competes together, where row_router() sees the future; else it may be empty.
  /// @param capacities of experts that choose, one a pool; empty: what the router says.
  template <class Products>
  void forward_rows(const Products& p, const matrix_view<T>& x, row_memory& m, std::span<const index_t> pools = {},
                    std::span<const index_t> capacities = {}) const {
    const index_t n = x.rows(), shared = c_.experts.shared_d_ff;
    const auto normed = detail::sized(m.normed, n, c_.d_model), sum = detail::sized(m.sum, n, c_.d_model);
    const auto logits = detail::sized(m.logits, n, c_.experts.count);
    rmsnorm_forward<T>(x, p.vector(id(role::ffn_norm)), c_.norm_eps, detail::sized(m.rms, n, 1).data(), normed);
    p.forward(id(role::router), normed, logits);
    moe::route_options<T> o = options(p);
    o.offsets = pools;
    o.capacities = capacities;
    moe::route<T>(row_router(c_), routed(logits.data(), n), o, m.plan, m.route);
    if (shared > 0) {
      const auto gate = detail::sized(m.shared_gate, n, shared), up = detail::sized(m.shared_up, n, shared);
      shared_products().template forward<Products, T>(p, normed, gate, up, gate, sum);
      axpy(T{1}, detail::flat(sum), detail::flat(x));
    }
    experts_forward(p, layer_, m.plan, normed, m.slot_rows.passing(m.plan, c_.d_model, c_.experts.d_ff), x);
  }
  /// How rows are routed that come one after another, or that are one sequence alone.
  static moe::router row_router(const config& c) {
    moe::router r = c.experts.router;
    r.capacity_numerator = 0;
    r.second_at_random = false;
    if (!c.causal) r.over = moe::pool::sequence;
    return r;
  }

 private:
  [[nodiscard]] tensor_id id(role r) const { return {r, layer_}; }
  [[nodiscard]] gated_products shared_products() const {
    return {id(role::shared_w1), id(role::shared_w2), id(role::shared_w3)};
  }
  /// Logits of @p n rows, as `moe::route` reads them.
  [[nodiscard]] matrix_view<T> routed(T* logits, index_t n) const {
    return by_expert(matrix_view<T>(logits, n, c_.experts.count));
  }
  /// @param s where what the batch does not have is put.
  template <class Products>
  [[nodiscard]] moe::route_options<T> options(const Products& p, const batch& b, scratch& s) const {
    const moe::router& r = c_.experts.router;
    moe::route_options<T> o = options(p);
    o.offsets = b.offsets;
    s.capacities.clear();
    const bool limited = r.chosen == moe::selection::column_top && !b.capacities.empty();
    if (r.over == moe::pool::batch) {
      if (limited) s.capacities.push_back(std::accumulate(b.capacities.begin(), b.capacities.end(), index_t{0}));
    } else if (c_.block > 0) {  // what an expert takes of a sequence it takes of each of its blocks
      s.offsets.assign(1, 0);
      for (index_t i = 0; i < b.sequences(); ++i)
        for (index_t t = 0, n = b.end(i) - b.begin(i); t < n;) {
          t = block_end(c_.block, t, n);
          s.offsets.push_back(b.begin(i) + t);
          if (limited) s.capacities.push_back(b.capacities[static_cast<std::size_t>(i)]);
        }
      o.offsets = s.offsets;
    } else {
      if (limited) o.capacities = b.capacities;
      return o;
    }
    o.capacities = s.capacities;
    return o;
  }
  template <class Products>
  [[nodiscard]] moe::route_options<T> options(const Products& p) const {
    moe::route_options<T> o{.causal = c_.causal && !c_.experts.sees_the_future};
    if (!c_.experts.selection_bias) return o;
    const vector_view<const T> bias = p.vector(id(role::selection_bias));
    o.bias = {bias.data(), static_cast<std::size_t>(bias.size())};
    return o;
  }
  /// Arrays of the plan's slots and of one expert's rows.
  [[nodiscard]] expert_rows<T> rows(activations& a, scratch& s, index_t n) const {
    const index_t slot_count = a.plan.size(), d = c_.d_model, own = c_.experts.d_ff;
    return {detail::sized(a.gate, slot_count, own),
            detail::sized(a.up, slot_count, own),
            {s.x, n, d},
            {s.y, n, d},
            {s.gated, n, own},
            {s.dy, n, d},
            {s.weighted, n, own},
            {s.dgate, n, own},
            {s.dup, n, own}};
  }

  const config& c_;
  index_t layer_;
};

}  // namespace HONE_NAMESPACE::transformer
