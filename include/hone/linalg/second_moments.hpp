// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The second moments of a stream of rows, sum_i x_i x_i^T and sum_i x_i: float (or 16-bit, or double) in, double out.
/// Rows are gathered in chunks of a fixed number; the products of a chunk are summed in float (double), tile by tile of
/// the lower triangle, and then added in double. A row's chunk and place follow from its number alone, so that neither
/// the cut of the stream into batches nor the executor changes a bit.
#pragma once
#include "hone/linalg/dense.hpp"

#include <vector>

namespace HONE_NAMESPACE::linalg {

/// Second moments of rows of @c width elements, products computed in @p A: float, or double for twice the digits at
/// half the speed. Holds width^2 doubles and one chunk of rows.
template <class A = float>
class second_moments {
 public:
  /// Rows whose products are summed in A before they are added in double.
  static constexpr index_t chunk = 512;

  /// @throws std::invalid_argument unless @p width > 0.
  explicit second_moments(index_t width) : width_(width) {
    invalid_argument_unless(width > 0, "hone::linalg::second_moments", "width", "must be positive, is %td", width);
    sum_ = matrix::Zero(width, width);
    total_ = vector::Zero(width);
    rows_.resize(static_cast<std::size_t>(chunk * width));
  }

  [[nodiscard]] index_t width() const { return width_; }
  [[nodiscard]] index_t count() const { return count_; }  ///< rows so far
  /// Infinite or NaN elements so far; they are in the sums.
  [[nodiscard]] index_t nonfinite() const { return nonfinite_; }

  /// Adds @p x (any number of rows x width, any strides).
  /// @throws std::invalid_argument if the rows are not @c width long; nothing is added then.
  /// @note width^2 multiply-adds a row; allocates one tile a worker and chunk; bitwise for any cut and executor.
  template <matrix_like X, executor E = const serial>
  void add(const X& x, E&& pool = serial{}) {
    const auto xs = as_matrix(x);
    using T = element_t<X>;
    invalid_argument_unless(xs.cols() == width_, "hone::linalg::second_moments::add", "x",
                            "has rows of %td elements, expected %td", xs.cols(), width_);
    for (index_t begin = 0; begin < xs.rows();) {
      const index_t held = count_ % chunk, taken = (min)(chunk - held, xs.rows() - begin);
      for (index_t i = 0; i < taken; ++i) {
        const auto row = xs.row(begin + i);
        nonfinite_ += hone::count_nonfinite(row);
        A* to = rows_.data() + (held + i) * width_;
        for (index_t j = 0; j < width_; ++j) to[j] = static_cast<A>(to_accumulator<T>(row[j]));
      }
      count_ += taken;
      begin += taken;
      if (held + taken == chunk) add_chunk(chunk, sum_, total_, pool);
    }
  }

  /// sum_i x_i x_i^T, both triangles.
  template <executor E = const serial>
  [[nodiscard]] matrix sum(E&& pool = serial{}) const {
    matrix result = sum_;
    vector total = total_;
    if (count_ % chunk > 0) add_chunk(count_ % chunk, result, total, pool);
    result.template triangularView<Eigen::StrictlyUpper>() = result.transpose();
    return result;
  }

  /// sum_i x_i.
  [[nodiscard]] vector total() const {
    vector result = total_;
    add_totals(count_ % chunk, result);
    return result;
  }

  /// The second moment sum / count, or with @p centred the covariance, that less mean mean^T.
  /// @throws std::invalid_argument if no row was added.
  template <executor E = const serial>
  [[nodiscard]] matrix mean(bool centred = false, E&& pool = serial{}) const {
    invalid_argument_unless(count_ > 0, "hone::linalg::second_moments::mean", "count", "no row was added");
    matrix result = sum(pool) / static_cast<double>(count_);
    if (centred) {
      const vector middle = total() / static_cast<double>(count_);
      result.noalias() -= middle * middle.transpose();
    }
    return result;
  }

 private:
  using rows_map = Eigen::Map<const Eigen::Matrix<A, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
  // A tile is small enough for a core's cache, and large enough for its operands to be packed seldom.
  static constexpr index_t tile_cols = 256, tile_rows = 1024;

  void add_totals(index_t rows, vector& total) const {
    for (index_t i = 0; i < rows; ++i)
      for (index_t j = 0; j < width_; ++j)
        total(j) += static_cast<double>(rows_[static_cast<std::size_t>(i * width_ + j)]);
  }

  template <class E>
  void add_chunk(index_t rows, matrix& sum, vector& total, E& pool) const {
    add_totals(rows, total);
    struct tile {
      index_t row, col, height, width;
    };
    std::vector<tile> tiles;
    for (index_t j = 0; j < width_; j += tile_cols) {
      const index_t w = (min)(tile_cols, width_ - j);
      tiles.push_back({j, j, w, w});
      for (index_t i = j + w; i < width_; i += tile_rows) tiles.push_back({i, j, (min)(tile_rows, width_ - i), w});
    }
    const rows_map x(rows_.data(), rows, width_);
    pool.parallel_for(static_cast<index_t>(tiles.size()), 1, [&](index_t begin, index_t end) {
      Eigen::Matrix<A, Eigen::Dynamic, Eigen::Dynamic> products;
      for (index_t k = begin; k < end; ++k) {
        const tile& t = tiles[static_cast<std::size_t>(k)];
        const auto left = x.middleCols(t.col, t.width);
        auto place = sum.block(t.row, t.col, t.height, t.width);
        if (t.row == t.col) {
          products.setZero(t.width, t.width);
          products.template selfadjointView<Eigen::Lower>().rankUpdate(left.transpose());
          place.template triangularView<Eigen::Lower>() += products.template cast<double>();
        } else {
          products.noalias() = x.middleCols(t.row, t.height).transpose() * left;
          place += products.template cast<double>();
        }
      }
    });
  }

  index_t width_, count_ = 0, nonfinite_ = 0;
  matrix sum_;           // of the whole chunks, lower triangle
  vector total_;         // of the whole chunks
  std::vector<A> rows_;  // of the chunk that is not whole
};

}  // namespace HONE_NAMESPACE::linalg
