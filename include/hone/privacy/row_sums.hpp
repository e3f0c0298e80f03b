// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Sums over records of functions of a few products with their row,
///   sum_i f_i(z_i1, …, z_im),   z_ic = <x_i, theta_c>
/// with gradient sum_i x_i (df_i / dz_ic) and, for m = 1, the Hessian sum_i f_i'' x_i x_i^T, each in one read of the
/// rows: a tile is in the first-level cache when its products with the slopes are added.
#pragma once
#include "hone/privacy/records.hpp"

namespace HONE_NAMESPACE::privacy {

using lanes = simd::pack<double>;

/// What one tile of rows adds.
template <std::size_t Products>
struct row_terms {
  lanes value = 0.0;
  lanes slope[Products];
};

namespace detail {

/// z <- the products of a tile with @p m vectors of @p d elements.
HONE_INLINE void tile_products(const double* tile, const double* theta, index_t d, index_t m, lanes* z) {
  for (index_t c = 0; c < m; ++c) {
    const double* t = theta + c * d;
    // Four sums, so that an addition does not wait for the one before.
    lanes sum[4] = {0.0, 0.0, 0.0, 0.0};
    index_t j = 0;
    for (; j + 4 <= d; j += 4)
      for (index_t k = 0; k < 4; ++k) sum[k] += simd::load<double>(tile + (j + k) * tile_rows) * lanes(t[j + k]);
    for (; j < d; ++j) sum[0] += simd::load<double>(tile + j * tile_rows) * lanes(t[j]);
    z[c] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  }
}

/// value and gradient (lanes) += what @c Group tiles from @p t on add. The products of all come first, so that the
/// functions of the rows do not wait for each other; the rows, read again, are in the cache. Lines of later tiles are
/// asked for.
template <std::size_t Group, std::size_t Products, class Row>
HONE_INLINE void add_tiles(const records& data, index_t t, const double* theta, index_t m, Row& row, lanes& value,
                           lanes* gradient) {
  const index_t d = data.columns(), tile = d * tile_rows, ahead = (max)(index_t{sizeof(double)} * tile, index_t{16384});
  const double* first = data.tile(t);
  lanes z[Group][Products] = {};
  row_terms<Products> added[Group];
  for (std::size_t k = 0; k < Group; ++k) tile_products(first + static_cast<index_t>(k) * tile, theta, d, m, z[k]);
  for (std::size_t k = 0; k < Group; ++k) added[k] = row((t + static_cast<index_t>(k)) * tile_rows, z[k]);
  for (std::size_t k = 0; k < Group; ++k) value += added[k].value;
  for (index_t c = 0; c < m; ++c)
    for (index_t j = 0; j < d; ++j) {
      lanes sum = gradient[c * d + j];
      for (std::size_t k = 0; k < Group; ++k) {
        const double* x = first + static_cast<index_t>(k) * tile + j * tile_rows;
        simd::prefetch(x, ahead);
        sum += added[k].slope[c] * simd::load<double>(x);
      }
      gradient[c * d + j] = sum;
    }
}

}  // namespace detail

/// Returns the sum of the values; @p gradient (m * d, overwritten) is that of the slopes times rows, column c of theta
/// after column c - 1. row(first, z) -> row_terms<Products> is called with the first row of a tile and its m <=
/// Products products; the slopes of zero records and of rows after the last one do not matter, their values do.
/// @note One read of the records. Bitwise for any executor and any number of ranks.
template <std::size_t Products, class Row>
double sum_rows(const records& data, std::span<const double> theta, std::span<double> gradient, Row&& row,
                executor_reference pool) {
  const index_t d = data.columns(), m = std::ssize(theta) / d, terms = m * d;
  std::vector<double> sums(theta.size() + 1);
  data.shards().sum(
      sums,
      [&](index_t first, index_t last, double* out) {
        std::vector<lanes> own(static_cast<std::size_t>(terms), lanes(0.0));
        lanes value = 0.0;
        // Four short rows at a time; the tiles of four long ones would not stay in the first-level cache.
        constexpr std::size_t group = Products == 1 ? 4 : 1;
        index_t t = first / tile_rows;
        const index_t end = (last + tile_rows - 1) / tile_rows;
        for (; t + index_t{group} <= end && d <= 64; t += index_t{group})
          detail::add_tiles<group, Products>(data, t, theta.data(), m, row, value, own.data());
        for (; t < end; ++t) detail::add_tiles<1, Products>(data, t, theta.data(), m, row, value, own.data());
        out[terms] += simd::horizontal_sum(value);
        for (index_t k = 0; k < terms; ++k) out[k] += simd::horizontal_sum(own[static_cast<std::size_t>(k)]);
      },
      pool);
  for (std::size_t k = 0; k < gradient.size(); ++k) gradient[k] = sums[k];
  return sums.back();
}

/// hessian (d * d by rows, the lower triangle is overwritten) <- sum_i curvature_i x_i x_i^T: curvature(first, z) gives
/// the second derivatives of a tile.
/// @note d^2 / 2 multiplications a record. Bitwise for any executor and any number of ranks.
template <class Curvature>
void sum_row_products(const records& data, std::span<const double> theta, std::span<double> hessian,
                      Curvature&& curvature, executor_reference pool) {
  constexpr index_t run = 16;  // tiles of which the rows stay in the cache for all pairs of columns
  const index_t d = data.columns();
  std::vector<double> sums(static_cast<std::size_t>(d * d));
  data.shards().sum(
      sums,
      [&](index_t first, index_t last, double* out) {
        lanes weight[run];
        for (index_t t = first / tile_rows, end = (last + tile_rows - 1) / tile_rows; t < end; t += run) {
          const index_t count = (min)(run, end - t);
          for (index_t k = 0; k < count; ++k) {
            lanes z;
            detail::tile_products(data.tile(t + k), theta.data(), d, 1, &z);
            weight[k] = curvature((t + k) * tile_rows, z);
          }
          for (index_t a = 0; a < d; a += 4)
            for (index_t b = 0; b <= a; b += 4) {
              lanes sum[4][4];
              for (auto& line : sum)
                for (lanes& s : line) s = 0.0;
              const index_t wide = (min)(d - a, index_t{4}), high = (min)(d - b, index_t{4});
              for (index_t k = 0; k < count; ++k) {
                const double* tile = data.tile(t + k);
                lanes left[4], right[4];
                for (index_t i = 0; i < 4; ++i) {
                  left[i] = i < wide ? weight[k] * simd::load<double>(tile + (a + i) * tile_rows) : lanes(0.0);
                  right[i] = i < high ? simd::load<double>(tile + (b + i) * tile_rows) : lanes(0.0);
                }
                for (index_t i = 0; i < 4; ++i)
                  for (index_t j = 0; j < 4; ++j) sum[i][j] += left[i] * right[j];
              }
              for (index_t i = 0; i < wide; ++i)
                for (index_t j = 0; j < high && b + j <= a + i; ++j)
                  out[(a + i) * d + b + j] += simd::horizontal_sum(sum[i][j]);
            }
        }
      },
      pool);
  for (index_t i = 0; i < d; ++i)
    for (index_t j = 0; j <= i; ++j)
      hessian[static_cast<std::size_t>(i * d + j)] = sums[static_cast<std::size_t>(i * d + j)];
}

}  // namespace HONE_NAMESPACE::privacy
