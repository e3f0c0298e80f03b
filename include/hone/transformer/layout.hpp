// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Where `tensor_table` has each tensor, by its id, and views of the buffers that it lays out: parameters, gradients,
/// moments; what parameters are before any training.
#pragma once
#include "hone/core/random.hpp"
#include "hone/core/view.hpp"
#include "hone/transformer/config.hpp"

#include <cmath>
#include <vector>

namespace HONE_NAMESPACE::transformer {

/// The table of a configuration, built once.
class parameter_layout {
 public:
  /// @throws std::invalid_argument as `tensor_table`.
  explicit parameter_layout(const config& c)
      : table_(tensor_table(c)), layers_(c.n_layers), experts_(c.experts.count), tied_(c.tie_embeddings),
        index_(static_cast<std::size_t>(roles * layers_), -1) {
    for (std::size_t i = table_.size(); i-- > 0;) index_[slot(table_[i].id)] = static_cast<index_t>(i);
  }

  [[nodiscard]] const std::vector<tensor>& table() const { return table_; }
  /// Elements of a buffer.
  [[nodiscard]] index_t size() const { return table_.back().offset + table_.back().size(); }
  [[nodiscard]] const tensor& operator[](index_t i) const { return table_[static_cast<std::size_t>(i)]; }
  /// Where the table has @p id; -1 where it does not. A tied classifier is the embedding.
  [[nodiscard]] index_t index(tensor_id id) const {
    if (tied_ && id.role == role::wcls) id.role = role::tok_emb;
    if (id.layer < -1 || id.layer >= layers_ || id.expert < -1 || id.expert >= experts_) return -1;
    const index_t first = index_[slot(id)], i = first + (max)(id.expert, index_t{0});
    return first >= 0 && i < static_cast<index_t>(table_.size()) && (*this)[i].id == id ? i : -1;
  }

 private:
  [[nodiscard]] std::size_t slot(const tensor_id& id) const {
    return static_cast<std::size_t>(static_cast<index_t>(id.role) * layers_ + (max)(id.layer, index_t{0}));
  }

  std::vector<tensor> table_;
  index_t layers_, experts_;
  bool tied_;
  std::vector<index_t> index_;  ///< by role and layer; of experts the first
};

/// Where a model begins: matrices, embeddings and biases normal of variance 1 / columns, norms 1, the bias of a
/// router's selection 0.
/// @throws std::invalid_argument as `tensor_table`.
/// @note A function of (seed, place in the buffer).
template <class T>
std::vector<T> initial_parameters(const config& shape, std::uint64_t seed) {
  std::vector<T> result(static_cast<std::size_t>(parameter_count(shape)), T{1});
  const philox random{seed, 9};
  for (const tensor& t : tensor_table(shape)) {
    const double deviation = t.id.role == role::selection_bias ? 0 : 1 / std::sqrt(static_cast<double>(t.cols));
    for (index_t i = t.offset; t.kind != tensor_kind::norm && i < t.offset + t.size(); ++i)
      result[static_cast<std::size_t>(i)] = static_cast<T>(random.normal(static_cast<std::uint64_t>(i)) * deviation);
  }
  return result;
}

/// The tensors in a buffer. @pre that they ask for is in the layout.
template <class U>
struct parameter_views {
  const parameter_layout& layout;
  U* data;

  [[nodiscard]] matrix_view<U> matrix(const tensor_id& id) const {
    const tensor& t = layout[layout.index(id)];
    return {data + t.offset, t.rows, t.cols};
  }
  [[nodiscard]] vector_view<U> vector(const tensor_id& id) const { return matrix(id).row(0); }
  /// The bias of a matrix; empty where it has none.
  [[nodiscard]] vector_view<U> bias(const tensor_id& matrix_id) const {
    const tensor_id id{bias_of(matrix_id.role), matrix_id.layer, matrix_id.expert};
    return id == matrix_id || layout.index(id) < 0 ? vector_view<U>() : vector(id);
  }
  /// As a source: see transformer/source.hpp.
  [[nodiscard]] matrix_view<const U> operator()(const tensor_id& id) const { return matrix(id); }
};

}  // namespace HONE_NAMESPACE::transformer
