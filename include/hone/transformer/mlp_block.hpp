// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The feed-forward half of a layer: y = x + W2 (silu(W1 n) W3 n), n = rmsnorm(x), row by row, and what it shares with
/// experts. It owns its forward and
/// backward passes, the forward pass of rows alone, and its share of a workspace; it names parameters to an object of
/// transformer/product.hpp. [Shazeer 2020, GLU variants improve transformer, arXiv 2002.05202]
#pragma once
#include "hone/transformer/product.hpp"
#include "hone/transformer/swiglu.hpp"

namespace HONE_NAMESPACE::transformer {

/// The three matrices of W2 (silu(W1 x) W3 x), by their names.
struct gated_products {
  tensor_id w1, w2, w3;

  /// @param gate, up (rows x width) receive W1 x and W3 x, @param gated their product with silu, which may be the
  ///        memory of gate. @param y receives the output.
  template <class Products, class T>
  void forward(const Products& p, const matrix_view<const T>& x, const matrix_view<T>& gate, const matrix_view<T>& up,
               const matrix_view<T>& gated, const matrix_view<T>& y) const {
    p.forward(w1, x, gate);
    p.forward(w3, x, up);
    swiglu_forward<T>(detail::flat(gate), detail::flat(up), detail::flat(gated));
    p.forward(w2, gated, y);
  }
  /// @param dup holds the gradient of gated and receives that of up; dgate that of gate, dx that of x.
  template <class Products, class T>
  void backward_inputs(const Products& p, const matrix_view<const T>& x, const matrix_view<T>& gate,
                       const matrix_view<T>& up, const matrix_view<T>& dgate, const matrix_view<T>& dup,
                       const matrix_view<T>& dx) const {
    swiglu_backward<T>(detail::flat(gate), detail::flat(up), detail::flat(dup), detail::flat(dgate), detail::flat(dup));
    p.backward(w1, dgate, x, dx, into::overwrite);
    p.backward(w3, dup, x, dx, into::accumulate);
  }
  /// @param gated receives what it was in the forward pass.
  template <class Products, class T>
  void backward(const Products& p, const matrix_view<const T>& x, const matrix_view<T>& gate, const matrix_view<T>& up,
                const matrix_view<T>& gated, const matrix_view<const T>& dy, const matrix_view<T>& dgate,
                const matrix_view<T>& dup, const matrix_view<T>& dx) const {
    swiglu_forward<T>(detail::flat(gate), detail::flat(up), detail::flat(gated));
    p.backward(w2, dy, gated, dup, into::overwrite);
    backward_inputs(p, x, gate, up, dgate, dup, dx);
  }
};

template <class T>
class mlp_block {
 public:
  /// What the forward pass leaves for the backward pass: an array of rows each, of the width in brackets.
  struct activations {
    T *rms, *gate, *up;  ///< (1), (d_ff), (d_ff)
  };
  /// What a pass needs while it runs; any layer, and any other block, may use it next.
  struct scratch {
    T *normed, *dnormed, *gated, *dgate, *dup;  ///< (d_model), (d_model), (d_ff), (d_ff), (d_ff)
  };
  /// Memory of `forward_rows`, which grows as it must.
  struct row_memory {
    std::vector<T> normed, gate, up, rms;
  };

  /// @p take(width) deals out an array of rows of that width.
  template <class Take>
  static activations share_activations(const config& c, Take&& take) {
    return {.rms = take(1), .gate = take(c.d_ff), .up = take(c.d_ff)};
  }
  template <class Take>
  static scratch share_scratch(const config& c, Take&& take) {
    return {.normed = take(c.d_model),
            .dnormed = take(c.d_model),
            .gated = take(c.d_ff),
            .dgate = take(c.d_ff),
            .dup = take(c.d_ff)};
  }

  /// @param c must outlive this.
  mlp_block(const config& c, index_t layer) : c_(c), layer_(layer) {}

  /// @param x (n x d_model). @param y (n x d_model) receives the sum; it is not the memory of x.
  template <class Products>
  void forward(const Products& p, const matrix_view<const T>& x, const activations& a, const scratch& s,
               const matrix_view<T>& y) const {
    const index_t n = x.rows();
    const matrix_view<T> normed(s.normed, n, c_.d_model);
    const matrix_view<T> gate(a.gate, n, c_.d_ff), up(a.up, n, c_.d_ff), gated(s.gated, n, c_.d_ff);
    rmsnorm_forward<T>(x, p.vector(id(role::ffn_norm)), c_.norm_eps, a.rms, normed);
    products().template forward<Products, T>(p, normed, gate, up, gated, y);
    axpy(T{1}, detail::flat(x), detail::flat(y));
  }

  /// @param x, a as of the forward pass. @param dx holds the gradient of y and receives that of x.
  template <class Products>
  void backward(const Products& p, const matrix_view<const T>& x, const activations& a, const scratch& s,
                const matrix_view<T>& dx) const {
    const index_t n = x.rows();
    const matrix_view<T> normed(s.normed, n, c_.d_model), dnormed(s.dnormed, n, c_.d_model);
    const matrix_view<T> gate(a.gate, n, c_.d_ff), up(a.up, n, c_.d_ff), gated(s.gated, n, c_.d_ff);
    const matrix_view<T> dgate(s.dgate, n, c_.d_ff), dup(s.dup, n, c_.d_ff);
    rmsnorm_apply<T>(x, p.vector(id(role::ffn_norm)), a.rms, normed);
    products().template backward<Products, T>(p, normed, gate, up, gated, dx, dgate, dup, dnormed);
    p.norm_backward(id(role::ffn_norm), x, a.rms, dnormed, dx);
  }

  /// With nothing kept for a backward pass: @p x (n x d_model) becomes y.
  template <class Products>
  void forward_rows(const Products& p, const matrix_view<T>& x, row_memory& m) const {
    const index_t n = x.rows();
    const auto normed = detail::sized(m.normed, n, c_.d_model), gate = detail::sized(m.gate, n, c_.d_ff),
               up = detail::sized(m.up, n, c_.d_ff);
    rmsnorm_forward<T>(x, p.vector(id(role::ffn_norm)), c_.norm_eps, detail::sized(m.rms, n, 1).data(), normed);
    products().template forward<Products, T>(p, normed, gate, up, gate, normed);
    axpy(T{1}, detail::flat(normed), detail::flat(x));
  }

 private:
  [[nodiscard]] tensor_id id(role r) const { return {r, layer_}; }
  [[nodiscard]] gated_products products() const { return {id(role::w1), id(role::w2), id(role::w3)}; }

  const config& c_;
  index_t layer_;
};

}  // namespace HONE_NAMESPACE::transformer
