// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A snapshot of a model's parameters for `forward_rows` of its blocks: every matrix in panels, with which each row is
/// multiplied in an order of its own. 16-bit matrices stay in their 16 bits and are converted in registers.
#pragma once
#include "hone/transformer/adapted.hpp"
#include "hone/transformer/panel.hpp"

#include <variant>

namespace HONE_NAMESPACE::transformer {

/// The forward half of what transformer/product.hpp asks for. Const functions may be called from several threads.
template <class T>
class packed_parameters {
 public:
  /// @throws std::invalid_argument if @p adapter does not fit.
  /// @param model whose decoder must outlive this; the parameters are copied. An adapter is merged into matrices that
  ///        are kept as T; beside those of 16 bits, which W + scale B A would not fit in, it lies unmerged.
  packed_parameters(const adapted_decoder<T>& model, std::span<const std::type_identity_t<T>> adapter)
      : layout_(&model.base().layout()) {
    invalid_argument_unless(static_cast<index_t>(adapter.size()) == model.parameters(),
                            "hone::transformer::packed_parameters", "adapter", "has %zu elements, the model's has %td",
                            adapter.size(), model.parameters());
    std::vector<T> merged;
    for (std::size_t i = 0; i < layout_->table().size(); ++i) {
      const auto tensor_index = static_cast<index_t>(i);
      const tensor& t = layout_->table()[i];
      const lora::site* site = model.site(tensor_index);
      packed& to = tensors_.emplace_back();
      const bool is_vector = t.kind == tensor_kind::norm || t.kind == tensor_kind::bias;
      model.frozen().at(tensor_index).visit([&]<class S>(const matrix_view<const S>& m) {
        if constexpr (std::is_same_v<accumulator_t<S>, T> && !std::is_same_v<S, T>) {
          if (!is_vector) {
            to.matrix = packed_transpose<S>(m);
            if (site == nullptr) return;
            merged.assign(site->b(adapter.data()).data(), site->b(adapter.data()).data() + t.rows * site->rank);
            for (T& x : merged) x *= static_cast<T>(site->scale);
            to.a = packed_transpose<T>(site->a(adapter.data()));
            to.b = packed_transpose<T>({merged.data(), t.rows, site->rank});
            to.rank = site->rank;
            return;
          }
        }
        const auto whole = detail::sized(merged, t.rows, t.cols);
        model.merge(tensor_index, adapter, whole);
        to.matrix = is_vector ? std::vector<T>(whole.data(), whole.data() + t.cols) : packed_transpose<T>(whole);
      });
    }
  }

  void forward(const tensor_id& id, const matrix_view<const T>& x, const matrix_view<T>& y) const {
    const auto i = static_cast<std::size_t>(layout_->index(id));
    const packed& m = tensors_[i];
    visit(m.matrix,
          [&]<class S>(const S* data) { multiply_rows<T>(x, panels<T, const S>(data, x.cols(), y.cols()), y); });
    if (m.rank > 0) {
      static thread_local std::vector<T> low_memory, delta_memory;
      const auto low = detail::sized(low_memory, x.rows(), m.rank),
                 delta = detail::sized(delta_memory, y.rows(), y.cols());
      multiply_rows<T>(x, panels<T, const T>(m.a.data(), x.cols(), m.rank), low);
      multiply_rows<T>(low, panels<T, const T>(m.b.data(), m.rank, y.cols()), delta);
      axpy(T{1}, detail::flat(delta), detail::flat(y));
    }
    if (const tensor_id bias{bias_of(id.role), id.layer, id.expert}; bias != id && layout_->index(bias) >= 0)
      detail::add_bias<T>(vector(bias), y);
  }
  [[nodiscard]] vector_view<const T> vector(const tensor_id& id) const {
    const index_t i = layout_->index(id);
    return {std::get<std::vector<T>>(tensors_[static_cast<std::size_t>(i)].matrix).data(), (*layout_)[i].cols};
  }
  void embed(std::span<const std::int32_t> tokens, const matrix_view<T>& x) const {
    const index_t i = layout_->index({role::tok_emb});
    visit(tensors_[static_cast<std::size_t>(i)].matrix, [&]<class S>(const S* data) {
      const panels<T, const S> embedding(data, x.cols(), (*layout_)[i].rows);
      constexpr index_t width = panels<T>::width;
      for (index_t t = 0; t < x.rows(); ++t) {
        const index_t token = tokens[static_cast<std::size_t>(t)];
        for (index_t j = 0; j < x.cols(); ++j)
          x(t, j) = static_cast<T>(to_accumulator(embedding.at(j, token / width * width)[token % width]));
      }
    });
  }

 private:
  struct packed {
    std::variant<std::vector<T>, std::vector<bfloat16>, std::vector<float16>> matrix;  ///< or a vector, as it is
    std::vector<T> a, b;  ///< panels of an unmerged adapter, with its scale in B
    index_t rank = 0;
  };

  template <class S>
  static std::vector<S> packed_transpose(matrix_view<const S> w) {
    std::vector<S> memory(static_cast<std::size_t>(panels<T, S>::size(w.cols(), w.rows())));
    panels<T, S>(memory.data(), w.cols(), w.rows())
        .pack(matrix_view<const S>(w.data(), w.cols(), w.rows(), index_t{1}, w.row_stride()));
    return memory;
  }
  /// f(pointer) for the type that @p matrix is kept in.
  template <class M, class F>
  static void visit(const M& matrix, F&& f) {
    std::visit(
        [&]<class S>(const std::vector<S>& memory) {
          if constexpr (std::is_same_v<accumulator_t<S>, T>) f(memory.data());
        },
        matrix);
  }

  const parameter_layout* layout_;
  std::vector<packed> tensors_;  ///< in the order of the table
};

}  // namespace HONE_NAMESPACE::transformer
