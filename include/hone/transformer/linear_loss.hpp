// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A loss on logits = hidden W^T (hidden T x H, W V x H) without the T x V logits: they are made, read and turned into
/// their gradient a chunk of rows at a time. The loss is any function on rows of logits in memory, the very ones that a
/// whole matrix goes through (`loss::likelihood`, `policy::measure`, `policy::write_gradient`), so that no second
/// implementation can differ. Where a token's coefficients are known from its own row, one visit does it (6 T H V
/// flops); where they depend on the whole response, a first visit measures and a second writes (8 T H V).
/// [The idea: Hsu et al. 2024, Liger Kernel, arXiv 2410.10989; Wijmans et al. 2024, Cut Cross-Entropy, arXiv
/// 2411.09009]
#pragma once
#include "hone/core/executor.hpp"
#include "hone/transformer/panel.hpp"
#include "hone/transformer/source.hpp"

#include <vector>

namespace HONE_NAMESPACE::transformer {

namespace detail {

/// Columns [0, c.cols()) of one panel's width: c = a b or c += a b, with a(i, p) = a[i * row_stride + p * step].
template <class T>
void multiply_panel(const T* a, index_t row_stride, index_t step, const T* panel, index_t depth,
                    const matrix_view<T>& c, into how) {
  for_each_tile_of_rows(0, c.rows(), [&]<int Rows>(index_t t, std::integral_constant<int, Rows>) HONE_INLINE_LAMBDA {
    tile<T, Rows> sums;
    for (int i = 0; i < Rows; ++i)
      sums[i] = how == into::overwrite ? simd::pack<T>(0) : load_pack(c.row(t + i), 0, c.cols());
    multiply_tile(a + t * row_stride, row_stride, step, panel, depth, sums);
    for (int i = 0; i < Rows; ++i) store_pack(c.row(t + i), 0, c.cols(), sums[i]);
  });
}

}  // namespace detail

/// The memory of a chunk, rows x (V + H) elements, and the products around it.
template <class T>
class linear_loss {
 public:
  /// @param rows of a chunk: W is read once a chunk, so that a few hundred keep the cores, not the memory, busy.
  /// @throws std::invalid_argument unless all are positive.
  linear_loss(index_t inputs, index_t outputs, index_t rows = 256) : inputs_(inputs), outputs_(outputs), rows_(rows) {
    const char* function = "hone::transformer::linear_loss";
    invalid_argument_unless(inputs > 0, function, "inputs", "must be positive, is %td", inputs);
    invalid_argument_unless(outputs > 0, function, "outputs", "must be positive, is %td", outputs);
    invalid_argument_unless(rows > 0, function, "rows", "must be positive, is %td", rows);
    logits_.resize(static_cast<std::size_t>(rows * outputs));
  }

  [[nodiscard]] index_t rows() const { return rows_; }

  /// Calls f(first row, logits (n x V)) for every chunk of rows, in order, on the calling thread. What f leaves in the
  /// logits is forgotten.
  /// @param hidden (T x H), @param w (V x H), columns adjacent; w may be stored as another type, it is converted a few
  ///        rows at a time.
  /// @throws std::invalid_argument if something does not fit, before f is called.
  /// @note 2 T H V flops on the executor. The bits of a row of logits depend on that row and W alone, not on the rows
  ///       beside it, the chunk, or the executor; they are those of `multiply_rows`, hence of a `generator` with the
  ///       same features.
  template <class F, executor E = const serial>
  void forward(matrix_view<const T> hidden, const stored_matrix& w, F&& f, E&& pool = serial{}) {
    check("hone::transformer::linear_loss::forward", hidden, w);
    for_each_chunk(hidden, w, f, pool, [](index_t, const matrix_view<const T>&, const matrix_view<T>&) {});
  }

  /// As above, for an f that turns the logits into dL/dlogits: then dhidden = dlogits W and dW += dlogits^T hidden.
  /// @param dhidden (T x H), which may be hidden; or empty (0 rows) for none. @param dw (V x H), or empty for none.
  /// @throws std::invalid_argument, before anything is written, also if these do not fit.
  /// @note 6 T H V flops. dhidden is bitwise independent of the chunk and the executor, dW of the executor, and of the
  ///       chunk too: it is summed over rows in their order.
  template <class F, executor E = const serial>
  void backward(matrix_view<const T> hidden, const stored_matrix& w, F&& f, matrix_view<T> dhidden, matrix_view<T> dw,
                E&& pool = serial{}) {
    const char* function = "hone::transformer::linear_loss::backward";
    check(function, hidden, w);
    check_output(function, "dhidden", dhidden, hidden.rows(), hidden.cols());
    check_output(function, "dw", dw, w.rows(), w.cols());
    for_each_chunk(hidden, w, f, pool,
                   [&](index_t first, const matrix_view<const T>& x, const matrix_view<T>& dlogits) {
                     if (dw.rows() > 0) add_weight_gradient(x, dlogits, dw, pool);
                     if (dhidden.rows() > 0) write_input_gradient(dlogits, w, rows_of(dhidden, first, x.rows()), pool);
                   });
  }

 private:
  static constexpr index_t width = panels<T>::width;

  template <class U>
  static matrix_view<U> rows_of(const matrix_view<U>& m, index_t first, index_t count) {
    return {m.data() + first * m.row_stride(), count, m.cols(), m.row_stride(), index_t{1}};
  }
  /// Up to @p count columns from @p first on.
  static matrix_view<T> columns_of(const matrix_view<T>& m, index_t first, index_t count) {
    return {m.data() + first, m.rows(), (min)(count, m.cols() - first), m.row_stride(), index_t{1}};
  }

  template <class F, class G, executor E>
  void for_each_chunk(const matrix_view<const T>& hidden, const stored_matrix& w, F& f, E& pool, G&& after) {
    for (index_t first = 0; first < hidden.rows(); first += rows_) {
      const auto x = rows_of(hidden, first, (min)(rows_, hidden.rows() - first));
      const matrix_view<T> logits(logits_.data(), x.rows(), outputs_);
      multiply(x, w, logits, pool);
      f(first, logits);
      after(first, x, logits);
    }
  }

  /// y = x w^T, a panel of w's rows at a time.
  template <executor E>
  void multiply(const matrix_view<const T>& x, const stored_matrix& w, const matrix_view<T>& y, E& pool) {
    pool.parallel_for((outputs_ + width - 1) / width, index_t{1}, [&](index_t begin, index_t end) {
      std::vector<T> turned(static_cast<std::size_t>(inputs_ * width));
      for (index_t j = begin * width; j < (min)(end * width, outputs_); j += width) {
        const auto columns = columns_of(y, j, width);
        const panels<T> panel(turned.data(), inputs_, columns.cols());
        w.visit([&]<class S>(const matrix_view<const S>& m) {
          panel.pack(matrix_view<const S>(m.row(j).data(), inputs_, columns.cols(), index_t{1}, m.row_stride()));
        });
        detail::multiply_panel(x.data(), x.row_stride(), 1, turned.data(), inputs_, columns, into::overwrite);
      }
    });
  }

  /// dw += dy^T x, some of dw's rows at a time.
  template <executor E>
  void add_weight_gradient(const matrix_view<const T>& x, const matrix_view<T>& dy, const matrix_view<T>& dw, E& pool) {
    constexpr index_t block = 8 * tile_rows;
    const index_t n = x.rows();
    hidden_.resize(static_cast<std::size_t>(panels<T>::size(rows_, inputs_)));
    const panels<T> packed(hidden_.data(), n, inputs_);
    packed.pack(x);
    pool.parallel_for((outputs_ + block - 1) / block, index_t{1}, [&](index_t begin, index_t end) {
      std::vector<T> slopes(static_cast<std::size_t>(n * block));  // of a block, side by side
      for (index_t v = begin * block; v < (min)(end * block, outputs_); v += block) {
        const auto dw_rows = rows_of(dw, v, (min)(block, outputs_ - v));
        for (index_t t = 0; t < n; ++t)
          for (index_t i = 0; i < dw_rows.rows(); ++i) slopes[static_cast<std::size_t>(t * block + i)] = dy(t, v + i);
        for (index_t j = 0; j < inputs_; j += width)
          detail::multiply_panel<T>(slopes.data(), 1, block, packed.at(0, j), n, columns_of(dw_rows, j, width),
                                    into::accumulate);
      }
    });
  }

  /// dx = dy w: for some rows and columns at a time, over w's rows in order.
  template <executor E>
  void write_input_gradient(const matrix_view<T>& dy, const stored_matrix& w, const matrix_view<T>& dx, E& pool) {
    constexpr index_t rows = 10 * tile_rows, columns = 4 * width, depth = 128;
    const index_t across = (inputs_ + columns - 1) / columns;
    pool.parallel_for((dx.rows() + rows - 1) / rows * across, index_t{1}, [&](index_t begin, index_t end) {
      std::vector<T> block(static_cast<std::size_t>(depth * columns));
      for (index_t item = begin; item < end; ++item) {
        const index_t t = item / across * rows, j = item % across * columns;
        const auto out = columns_of(rows_of(dx, t, (min)(rows, dx.rows() - t)), j, columns);
        for (index_t v = 0; v < outputs_; v += depth) {
          const index_t n = (min)(depth, outputs_ - v);
          const panels<T> packed(block.data(), n, out.cols());
          w.visit([&]<class S>(const matrix_view<const S>& m) {
            packed.pack(matrix_view<const S>(&m(v, j), n, out.cols(), m.row_stride(), index_t{1}));
          });
          for (index_t k = 0; k < out.cols(); k += width)
            detail::multiply_panel<T>(dy.data() + t * dy.row_stride() + v, dy.row_stride(), 1, packed.at(0, k), n,
                                      columns_of(out, k, width), v == 0 ? into::overwrite : into::accumulate);
        }
      }
    });
  }

  void check(const char* function, const matrix_view<const T>& hidden, const stored_matrix& w) const {
    invalid_argument_unless(hidden.cols() == inputs_ && hidden.col_stride() == 1, function, "hidden",
                            "is %td x %td, must have %td adjacent columns", hidden.rows(), hidden.cols(), inputs_);
    invalid_argument_unless(w.rows() == outputs_ && w.cols() == inputs_, function, "w",
                            "is %td x %td, must be %td x %td", w.rows(), w.cols(), outputs_, inputs_);
  }
  static void check_output(const char* function, const char* argument, const matrix_view<T>& m, index_t rows,
                           index_t cols) {
    invalid_argument_unless(m.rows() == 0 || (m.rows() == rows && m.cols() == cols && m.col_stride() == 1), function,
                            argument, "is %td x %td, must be %td x %td with adjacent columns", m.rows(), m.cols(), rows,
                            cols);
    hone::check_output(m, function, argument);
  }

  index_t inputs_, outputs_, rows_;
  std::vector<T> logits_, hidden_;
};

}  // namespace HONE_NAMESPACE::transformer
