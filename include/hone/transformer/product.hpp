// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a layer's blocks do with parameters: they name a tensor and hand over rows, and never see a weight or where its
/// gradient goes. Whoever runs the blocks brings an object with these members, const, callable in any order:
///   forward(id, x, y)                        y = x W^T + bias
///   vector(id)                               a norm's weights
///   embed(tokens, x)                         rows of the embedding
/// and for the backward pass
///   backward(id, dy, x, dx, how)             dx = dy W, or added to what dx holds; and what W and its bias get of it
///   norm_backward(id, x, inverse_rms, dy, dx)   as `rmsnorm_backward`
///   embed_backward(tokens, dx)
/// Here are frozen parameters and trained ones; an adapter's are in transformer/adapted.hpp, packed ones for generation
/// in transformer/packed.hpp. An expert has few rows, and products of its own for them.
#pragma once
#include "hone/transformer/few_rows.hpp"
#include "hone/transformer/normalization.hpp"

#include <span>

namespace HONE_NAMESPACE::transformer {

namespace detail {

/// y_t += bias for every row; nothing where there is no bias.
template <class T>
void add_bias(vector_view<const std::type_identity_t<T>> bias, const matrix_view<T>& y) {
  for (index_t t = 0; bias.size() > 0 && t < y.rows(); ++t) axpy(T{1}, bias, y.row(t));
}

}  // namespace detail

/// Parameters that nothing changes. @c Weights is `parameter_views<const T>` or `frozen_parameters<T>`.
template <class T, class Weights>
struct frozen_products {
  const Weights& weights;
  std::vector<T>& memory;  ///< as `linear_forward` of a stored matrix

  void forward(const tensor_id& id, const matrix_view<const T>& x, const matrix_view<T>& y) const {
    if (id.expert >= 0)
      few_rows_forward<T>(x, weights.matrix(id), y, memory);
    else
      linear_forward<T>(x, weights.matrix(id), y, memory);
    detail::add_bias<T>(weights.bias(id), y);
  }
  [[nodiscard]] vector_view<const T> vector(const tensor_id& id) const { return weights.vector(id); }
  void embed(std::span<const std::int32_t> tokens, const matrix_view<T>& x) const {
    const stored_matrix embedding = weights.matrix({role::tok_emb});
    for (index_t t = 0; t < x.rows(); ++t)
      embedding.read(tokens[static_cast<std::size_t>(t)], 0, matrix_view<T>(x.row(t).data(), 1, x.cols()));
  }
  void backward(const tensor_id& id, const matrix_view<const T>& dy, const matrix_view<const T>&,
                const matrix_view<T>& dx, into how) const {
    if (id.expert >= 0)
      few_rows_backward_input<T>(dy, weights.matrix(id), dx, how, memory);
    else
      linear_backward_input<T>(dy, weights.matrix(id), dx, how, memory);
  }
  void norm_backward(const tensor_id& id, const matrix_view<const T>& x, const T* inverse_rms,
                     const matrix_view<const T>& dy, const matrix_view<T>& dx) const {
    rmsnorm_backward<T>(x, vector(id), inverse_rms, dy, dx, {});
  }
  void embed_backward(std::span<const std::int32_t>, const matrix_view<const T>&) const {}
};

/// Parameters that all have a gradient, which is added to.
template <class T>
struct trained_products {
  frozen_products<T, parameter_views<const T>> read;
  parameter_views<T> gradient;

  void forward(const tensor_id& id, const matrix_view<const T>& x, const matrix_view<T>& y) const {
    read.forward(id, x, y);
  }
  [[nodiscard]] vector_view<const T> vector(const tensor_id& id) const { return read.vector(id); }
  void embed(std::span<const std::int32_t> tokens, const matrix_view<T>& x) const { read.embed(tokens, x); }
  void backward(const tensor_id& id, const matrix_view<const T>& dy, const matrix_view<const T>& x,
                const matrix_view<T>& dx, into how) const {
    read.backward(id, dy, x, dx, how);
    if (id.expert >= 0)
      few_rows_backward_weight<T>(dy, x, gradient.matrix(id));
    else
      linear_backward_weight<T>(dy, x, gradient.matrix(id));
    if (const auto bias = gradient.bias(id); bias.size() > 0)
      for (index_t t = 0; t < dy.rows(); ++t) axpy(T{1}, dy.row(t), bias);
  }
  void norm_backward(const tensor_id& id, const matrix_view<const T>& x, const T* inverse_rms,
                     const matrix_view<const T>& dy, const matrix_view<T>& dx) const {
    rmsnorm_backward<T>(x, vector(id), inverse_rms, dy, dx, gradient.vector(id));
  }
  void embed_backward(std::span<const std::int32_t> tokens, const matrix_view<const T>& dx) const {
    const auto embedding = gradient.matrix({role::tok_emb});
    for (index_t t = 0; t < dx.rows(); ++t) axpy(T{1}, dx.row(t), embedding.row(tokens[static_cast<std::size_t>(t)]));
  }
};

/// Sees no product.
struct no_observer {
  template <class T>
  void operator()(const tensor_id&, const matrix_view<const T>&, const matrix_view<T>&) const {}
};

/// The forward half of others, with observe(id, x, y) after each product.
template <class T, class Products, class Observe>
struct observed_products {
  const Products& products;
  Observe& observe;

  void forward(const tensor_id& id, const matrix_view<const T>& x, const matrix_view<T>& y) const {
    products.forward(id, x, y);
    observe(id, x, y);
  }
  [[nodiscard]] vector_view<const T> vector(const tensor_id& id) const { return products.vector(id); }
  void embed(std::span<const std::int32_t> tokens, const matrix_view<T>& x) const { products.embed(tokens, x); }
};

/// @p products and @p observe must outlive what it returns.
template <class T, class Products, class Observe>
observed_products<T, Products, Observe> observed(const Products& products, Observe& observe) {
  return {products, observe};
}

}  // namespace HONE_NAMESPACE::transformer
