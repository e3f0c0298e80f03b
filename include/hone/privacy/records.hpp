// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Private records as both stages read them: rows clipped to the domain, the constant column appended, eight rows a
/// tile with column after column in it, so that products with the rows of a tile need no sum across a register.
///
/// Whatever a record holds, it takes part and nothing is thrown: a feature or outcome that is not finite, or an arm
/// that is not on the list, makes it a zero record, of which every product and every sum is 0.
#pragma once
#include "hone/core/packs.hpp"
#include "hone/privacy/domain.hpp"
#include "hone/privacy/row_shards.hpp"

namespace HONE_NAMESPACE::privacy {

static_assert(tile_rows == simd::pack<double>::lanes);

class records {
 public:
  /// @param x held rows x features, any scalar and strides; @param arm held, in [0, arms); @param outcome held
  /// @throws std::invalid_argument for a bad domain or a shape that is not the domain's; never for a value of a record.
  /// @note One read of @p x and one copy, 8 bytes an element. Bitwise for any executor.
  template <matrix_like X>
  records(const domain& limits, const X& x, std::span<const index_t> arm, std::span<const double> outcome,
          const row_shards& shards, executor_reference pool)
      : limits_(limits), shards_(shards) {
    const char* function = "hone::privacy::records";
    check(limits, function);
    const auto xs = as_matrix(x);
    invalid_argument_unless(shards.rows() == limits.rows, function, "shards", "of %td rows, the domain has %td",
                            shards.rows(), limits.rows);
    invalid_argument_unless(xs.rows() == shards.held() && xs.cols() == limits.features, function, "x",
                            "is %td x %td, not %td x %td", xs.rows(), xs.cols(), shards.held(), limits.features);
    invalid_argument_unless(std::ssize(arm) == shards.held(), function, "arm", "has %td elements, there are %td rows",
                            std::ssize(arm), shards.held());
    invalid_argument_unless(std::ssize(outcome) == shards.held(), function, "outcome",
                            "has %td elements, there are %td rows", std::ssize(outcome), shards.held());
    columns_ = privacy::columns(limits);
    const auto padded = static_cast<std::size_t>(tiles() * tile_rows);
    tiles_.resize(static_cast<std::size_t>(tiles() * columns_), simd::pack<double>(0.0));
    arm_.assign(padded, -1);
    valid_.resize(padded);
    sign_.resize(padded);
    outcome_.resize(padded);
    pool.parallel_for(tiles(), index_t{16}, [&](index_t first, index_t last) {
      for (index_t i = first * tile_rows; i < (min)(last * tile_rows, shards.held()); ++i)
        take(xs, i, arm[static_cast<std::size_t>(i)], outcome[static_cast<std::size_t>(i)]);
    });
  }
  template <matrix_like X>
  records(const domain& limits, const X& x, std::span<const index_t> arm, std::span<const double> outcome,
          executor_reference pool)
      : records(limits, x, arm, outcome, row_shards(limits.rows), pool) {}

  [[nodiscard]] const domain& limits() const { return limits_; }
  [[nodiscard]] const row_shards& shards() const { return shards_; }
  [[nodiscard]] index_t held() const { return shards_.held(); }
  [[nodiscard]] index_t columns() const { return columns_; }
  [[nodiscard]] index_t tiles() const { return (held() + tile_rows - 1) / tile_rows; }
  /// Element j of row i.
  [[nodiscard]] double operator()(index_t i, index_t j) const {
    return tile(i / tile_rows)[j * tile_rows + i % tile_rows];
  }
  [[nodiscard]] const double* tile(index_t t) const {
    return reinterpret_cast<const double*>(tiles_.data()) + t * columns_ * tile_rows;
  }
  // Of row i, up to the end of the last tile.
  [[nodiscard]] const index_t* arm() const { return arm_.data(); }     ///< -1 for a zero record
  [[nodiscard]] const double* valid() const { return valid_.data(); }  ///< 1, or 0 for a zero record
  [[nodiscard]] const double* sign() const {
    return sign_.data();
  }  ///< t: 1 for arm 1, -1 for others; 0 for a zero record
  [[nodiscard]] const double* outcome() const { return outcome_.data(); }  ///< clipped

 private:
  template <class T>
  void take(const matrix_view<T>& x, index_t i, index_t arm, double outcome) {
    const auto at = static_cast<std::size_t>(i);
    double largest = 0;
    bool finite = std::isfinite(outcome) && arm >= 0 && arm < limits_.arms;
    for (index_t j = 0; j < x.cols() && finite; ++j) {
      const double value = std::abs(static_cast<double>(to_accumulator(x(i, j))));
      finite = std::isfinite(value);
      largest = (max)(largest, value);
    }
    if (!finite) return;
    // Rounded, a clipped row must not be longer than the bound: (d + 8) units in the last place stay free.
    const double free = static_cast<double>(columns_ + 8) * std::numeric_limits<double>::epsilon() / 2;
    const double b = limits_.row_bound, b0 = limits_.intercept;
    const double most = std::sqrt((b - b0) * (b + b0)) * (1 - free);
    double squared = 0;  // of the row over its largest element, which neither overflows nor vanishes
    for (index_t j = 0; j < x.cols() && largest > 0; ++j) {
      const double value = static_cast<double>(to_accumulator(x(i, j))) / largest;
      squared += value * value;
    }
    const double length = std::sqrt(squared);
    const bool clip = largest > 0 && length * (1 + free) > most / largest;
    double* row = reinterpret_cast<double*>(tiles_.data()) + i / tile_rows * columns_ * tile_rows + i % tile_rows;
    for (index_t j = 0; j < x.cols(); ++j) {
      const auto value = static_cast<double>(to_accumulator(x(i, j)));
      row[j * tile_rows] = clip ? value / largest * (most / length) : value;
    }
    if (b0 != 0) row[x.cols() * tile_rows] = b0;
    arm_[at] = arm;
    valid_[at] = 1;
    sign_[at] = arm == 1 ? 1 : -1;
    outcome_[at] = (max)(-limits_.outcome_bound, (min)(limits_.outcome_bound, outcome));
  }

  domain limits_;
  row_shards shards_;
  index_t columns_ = 0;
  std::vector<simd::pack<double>> tiles_;  // a column of eight rows in each, aligned as registers are
  std::vector<double> valid_, sign_, outcome_;
  std::vector<index_t> arm_;
};

}  // namespace HONE_NAMESPACE::privacy
