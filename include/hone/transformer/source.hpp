// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Weights that are only read, where they lie and in the type that they are stored in: a mapped file's bfloat16, say. A
/// source says where: source(tensor_id) is a view of the tensor, a norm or a bias a matrix of one row. A product
/// converts 16-bit weights block by block, each as large as a second-level cache holds, and computes in T: there is
/// never a whole copy.
#pragma once
#include "hone/core/blas.hpp"
#include "hone/transformer/layout.hpp"
#include "hone/transformer/linear.hpp"

namespace HONE_NAMESPACE::transformer {

/// A matrix whose elements' type is known at run time: rows of adjacent elements.
class stored_matrix {
 public:
  stored_matrix() = default;
  /// @throws std::invalid_argument if the columns of @p m are not adjacent.
  template <scalar S>
  stored_matrix(const matrix_view<S>& m)
      : data_(m.data()), stored_(scalar_format<std::remove_const_t<S>>), rows_(m.rows()), cols_(m.cols()),
        row_stride_(m.row_stride()) {
    invalid_argument_unless(m.col_stride() == 1, "hone::transformer::stored_matrix", "m",
                            "has columns %td elements apart", m.col_stride());
  }

  template <scalar S>
  stored_matrix(const S* data, index_t rows, index_t cols) : stored_matrix(matrix_view<const S>(data, rows, cols)) {}

  [[nodiscard]] format stored() const { return stored_; }
  [[nodiscard]] index_t rows() const { return rows_; }
  [[nodiscard]] index_t cols() const { return cols_; }
  /// @pre stored() is the format of S.
  template <scalar S>
  [[nodiscard]] matrix_view<const S> as() const {
    return {static_cast<const S*>(data_), rows_, cols_, row_stride_, index_t{1}};
  }
  /// f(matrix_view<const S>) with the type S that the elements have.
  template <class F>
  decltype(auto) visit(F&& f) const {
    switch (stored_) {
      case format::bfloat16: return f(as<bfloat16>());
      case format::float16: return f(as<float16>());
      case format::float64: return f(as<double>());
      default: return f(as<float>());
    }
  }

  /// Converts elements [row, row + to.rows()) x [col, col + to.cols()), rounding where T is the narrower type.
  template <class T>
  void read(index_t row, index_t col, const matrix_view<T>& to) const {
    visit([&]<class S>(const matrix_view<const S>& m) {
      for (index_t i = 0; i < to.rows(); ++i) {
        const auto from = m.row(row + i).subvector(col, to.cols());
        if constexpr (std::is_same_v<accumulator_t<S>, T>)
          copy(from, to.row(i));
        else
          for (index_t j = 0; j < to.cols(); ++j) to(i, j) = static_cast<T>(to_accumulator(from[j]));
      }
    });
  }

 private:
  const void* data_ = nullptr;
  format stored_ = format::float32;
  index_t rows_ = 0, cols_ = 0, row_stride_ = 0;
};

template <class S>
concept parameter_source = requires(const S& s, const tensor_id& id) {
  { s(id) } -> std::convertible_to<stored_matrix>;
};

namespace detail {

/// f(first, count) for runs of [0, total), each row or column of which has @p depth elements to convert. Runs are
/// multiples of what Eigen's kernels take at a time (8 to 48), the rest goes with the last run: each row meets the
/// kernel that it would meet in the whole matrix.
template <class F>
void for_each_conversion(index_t total, index_t depth, F&& f) {
  constexpr index_t multiple = 96, elements = index_t{1} << 18;
  const index_t run = (max)(elements / (multiple * depth), index_t{1}) * multiple;
  for (index_t first = 0; first < total;) {
    const index_t count = total - first < run + multiple ? total - first : run;
    f(first, count);
    first += count;
  }
}

/// Part of a stored matrix, converted to @p memory.
template <class T>
matrix_view<const T> converted(const stored_matrix& w, index_t row, index_t rows, index_t col, index_t cols,
                               std::vector<T>& memory) {
  const matrix_view<T> block = sized(memory, rows, cols);
  w.read(row, col, block);
  return block;
}

template <class T>
matrix_view<T> columns_of(const matrix_view<T>& m, index_t first, index_t count) {
  return {m.data() + first, m.rows(), count, m.row_stride(), index_t{1}};
}

}  // namespace detail

/// y = x W^T, to the bit as for a W of type T with the same elements.
/// @param memory for converted blocks: about 2^18 elements, or 191 rows of W if they are more; grows as it must.
template <class T>
void linear_forward(matrix_view<const std::type_identity_t<T>> x, const stored_matrix& w, matrix_view<T> y,
                    std::vector<T>& memory) {
  if (w.stored() == scalar_format<T>) return linear_forward<T>(x, w.as<T>(), y);
  detail::for_each_conversion(w.rows(), w.cols(), [&](index_t first, index_t count) {
    linear_forward<T>(x, detail::converted<T>(w, first, count, 0, w.cols(), memory),
                      detail::columns_of(y, first, count));
  });
}

/// dx = dy W, or added to what dx holds; bits and memory as above, with columns for rows. But a single row of dx by a W
/// whose rows are longer than 32,000 bytes, which Eigen sums in other groups, may differ in its last bits.
template <class T>
void linear_backward_input(matrix_view<const std::type_identity_t<T>> dy, const stored_matrix& w, matrix_view<T> dx,
                           into how, std::vector<T>& memory) {
  if (w.stored() == scalar_format<T>) return linear_backward_input<T>(dy, w.as<T>(), dx, how);
  detail::for_each_conversion(w.cols(), w.rows(), [&](index_t first, index_t count) {
    linear_backward_input<T>(dy, detail::converted<T>(w, 0, w.rows(), first, count, memory),
                             detail::columns_of(dx, first, count), how);
  });
}

/// The frozen parameters of a model: its matrices where a source has them, its norms and biases as T.
template <class T>
class frozen_parameters {
 public:
  /// @param layout must outlive this, like what @p source shows.
  /// @throws std::invalid_argument, naming the tensor, if it has another shape than in the table.
  /// @note Copies norms and biases that are not stored as T: a few rows a layer.
  template <parameter_source S>
  frozen_parameters(const parameter_layout& layout, const S& source) : layout_(&layout) {
    for (const tensor& t : layout.table()) {
      const stored_matrix m = source(t.id);
      invalid_argument_unless(m.rows() == t.rows && m.cols() == t.cols, "hone::transformer::frozen_parameters",
                              t.name.c_str(), "is %td x %td, must be %td x %td", m.rows(), m.cols(), t.rows, t.cols);
      matrices_.push_back(m);
      const bool copied =
          m.stored() != scalar_format<T> && (t.kind == tensor_kind::norm || t.kind == tensor_kind::bias);
      vectors_.push_back(copied ? static_cast<index_t>(converted_.size()) : -1);
      if (!copied) continue;
      converted_.resize(converted_.size() + static_cast<std::size_t>(t.cols));
      m.read(0, 0, matrix_view<T>(converted_.data() + vectors_.back(), 1, t.cols));
    }
  }

  [[nodiscard]] const parameter_layout& layout() const { return *layout_; }
  [[nodiscard]] const stored_matrix& matrix(const tensor_id& id) const { return at(layout_->index(id)); }
  [[nodiscard]] const stored_matrix& at(index_t tensor) const { return matrices_[static_cast<std::size_t>(tensor)]; }
  [[nodiscard]] vector_view<const T> vector(const tensor_id& id) const {
    const auto i = static_cast<std::size_t>(layout_->index(id));
    const T* own = vectors_[i] < 0 ? matrices_[i].template as<T>().data() : converted_.data() + vectors_[i];
    return {own, matrices_[i].cols()};
  }
  /// The bias of a matrix; empty where it has none.
  [[nodiscard]] vector_view<const T> bias(const tensor_id& matrix_id) const {
    const tensor_id id{bias_of(matrix_id.role), matrix_id.layer, matrix_id.expert};
    return id == matrix_id || layout_->index(id) < 0 ? vector_view<const T>() : vector(id);
  }

 private:
  const parameter_layout* layout_;
  std::vector<stored_matrix> matrices_;  ///< in the order of the table
  std::vector<index_t> vectors_;         ///< where `converted_` has the tensor; -1: it is read where it lies
  std::vector<T> converted_;
};

}  // namespace HONE_NAMESPACE::transformer
