// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What is public about private records: how many there are, and the ranges into which each one is clipped. Every bound
/// of this component is made of these constants alone, before a record is read. Neighbours are data sets of the same
/// size that differ in one record, which may take any value: an invalid one, too, stays in the count as a zero record.
///
/// Record i: features x_i, to which a constant column is appended; arm t_i (what was done), one of a public list;
/// outcome r_i, larger is better. The constant column is regularised like any other. The features are scaled down to a
/// length of at most sqrt(B^2 - b0^2), so that |(x_i, b0)| <= B and the constant stays the same in every row.
#pragma once
#include "hone/privacy/guarantee.hpp"

#include <cmath>
#include <limits>

namespace HONE_NAMESPACE::privacy {

struct domain {
  index_t rows = 0;          ///< n
  index_t features = 0;      ///< of x, without the constant column
  double row_bound = 1;      ///< B: the largest length of a row, the constant column in it
  double outcome_bound = 1;  ///< R_max: outcomes are clipped to [-R_max, R_max]
  double intercept = 0.5;    ///< b0: the value of the constant column; 0 for none
  index_t arms = 2;          ///< K; with two of them arm 0 is t = -1 and arm 1 is t = 1
};

/// d: columns of a row, the constant one in it.
constexpr index_t columns(const domain& d) { return d.features + (d.intercept != 0 ? 1 : 0); }

/// Rows of a block of every sum over records, and of a tile, which are multiplied together.
inline constexpr index_t block_rows = 1024, tile_rows = 8;

/// The most arms.
inline constexpr index_t most_arms = 64;

/// @throws std::invalid_argument unless there are rows, columns, two to 64 arms and finite positive bounds, with
///         0 <= b0 < B, or b0 = B without features.
inline void check(const domain& d, const char* function) {
  invalid_argument_unless(d.rows > 0, function, "rows", "there are %td", d.rows);
  invalid_argument_unless(d.features >= 0 && columns(d) > 0, function, "features", "%td, and no constant column",
                          d.features);
  detail::check_positive(d.row_bound, function, "row_bound");
  detail::check_positive(d.outcome_bound, function, "outcome_bound");
  invalid_argument_unless(
      d.intercept >= 0 && (d.intercept < d.row_bound || (d.intercept == d.row_bound && d.features == 0)), function,
      "intercept", "is %g, which leaves nothing of the row bound %g", d.intercept, d.row_bound);
  invalid_argument_unless(d.arms >= 2 && d.arms <= most_arms, function, "arms", "are %td, not 2 to %td", d.arms,
                          most_arms);
}

/// A little more than any rounding of the few operations that a bound is made of.
constexpr double rounded_up(double x) { return x * (1 + 0x1p-40); }

namespace detail {

inline double positive(double x, const char* function, const char* argument) {
  check_positive(x, function, argument);
  return x;
}

/// Additions that an element of a sum over n records goes through: those of its block, one record after the other or,
/// of @p lanes, in as many sums side by side; the tree's; and a few for what is made of the sum.
inline double sum_depth(double n, index_t lanes = tile_rows) {
  return static_cast<double>(block_rows) / static_cast<double>(lanes) + 24 + std::log2(n + 1);
}

}  // namespace detail

/// How far a solver goes. A data set on which it stops earlier or later is not told by the noise: this constant is
/// what is charged, on every one.
struct certificate {
  double tau = 1e-11;  ///< the norm of the gradient that is reached, in units of the largest where the solver starts
};

}  // namespace HONE_NAMESPACE::privacy
