// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Representation misdirection: hidden states h (rows x d) of one layer are driven to a fixed random direction u on
/// forget rows, and held where they were on retain rows:
///   rmu_forget   sum_rows (1/d) |h - c u|^2
///   rmu_retain   sum_rows (1/d) |h - h_ref|^2
/// [Li et al. 2024, WMDP and RMU, arXiv 2403.03218, Sec. 4; as in its code the square is a mean over d, not a sum]
#pragma once
#include "hone/core/random.hpp"
#include "hone/loss/batch.hpp"

namespace HONE_NAMESPACE::loss {

/// u: d elements of U[0, 1), normalised to length 1. The same for the same @p random.
/// @throws std::invalid_argument if @p u is empty.
template <mutable_vector U>
void steering_direction(U&& u, const philox& random) {
  const auto us = output_vector(u, "hone::loss::steering_direction", "u");
  invalid_argument_unless(us.size() > 0, "hone::loss::steering_direction", "u", "is empty");
  double squares = 0;
  for (index_t i = 0; i < us.size(); ++i) squares += std::pow(random.uniform(static_cast<std::uint64_t>(i)), 2);
  using A = accumulator_t<element_t<U>>;
  for (index_t i = 0; i < us.size(); ++i)
    us[i] = from_accumulator<element_t<U>>(
        static_cast<A>(random.uniform(static_cast<std::uint64_t>(i)) / std::sqrt(squares)));
}

namespace detail {

/// (1/d) |h - c target(row)|^2 over the rows that count, h overwritten by scale times its gradient.
template <scalar T, class Target, executor E>
loss_sum squared_distance(const matrix_view<T>& h, label_view labels, double c, const row_options& options,
                          Target&& target, E& pool) {
  return sum_gradient_rows(
      h, labels,
      [&](index_t row, index_t) {
        using A = accumulator_t<T>;
        using packs = simd::pack<A>;
        const auto x = h.row(row);
        const auto to = target(row);
        const double weight = weight_of(options, row) / static_cast<double>(h.cols());
        const packs slope(static_cast<A>(2 * options.scale * weight)), factor(static_cast<A>(c));
        lane_sum squares;
        for_each_pack<packs::lanes>(
            0, x.size(),
            [&](index_t i, auto bound) {
              const packs gap = load_pack(x, i, bound) - factor * load_pack(to, i, bound);
              squares.add_product(gap, gap);
              store_pack(x, i, bound, slope * gap);
            },
            x, to);
        return weight * squares.total();
      },
      pool);
}

}  // namespace detail

/// The hidden states @p h (rows x d) become the gradient, zero on ignored rows; an empty @p labels counts every row.
/// @param u direction (d); @param c its length, the authors' steering coefficient.
/// @throws std::invalid_argument if sizes differ or @p c is not finite; nothing is written then.
/// @note One read and one write; allocates nothing; bitwise for any executor. `row_options::temperature` is not used.
template <mutable_matrix H, vector_like U, executor E = const serial>
loss_sum rmu_forget(H&& h, label_view labels, const U& u, double c, const row_options& options = {},
                    E&& pool = serial{}) {
  const char* function = "hone::loss::rmu_forget";
  const auto hs = output_matrix(h, function, "h");
  const auto us = as_vector(u);
  check_rows(hs.rows(), (std::numeric_limits<index_t>::max)(), labels, options, function, true);
  invalid_argument_unless(us.size() == hs.cols(), function, "u", "has %td elements, h has %td columns", us.size(),
                          hs.cols());
  invalid_argument_unless(std::abs(c) < 1e300, function, "c", "must be finite, is %g", c);
  return detail::squared_distance(hs, labels, c, options, [&](index_t) { return us; }, pool);
}

/// As `rmu_forget`, its errors and cost too, towards the rows of @p reference (rows x d), which is read besides.
template <mutable_matrix H, matrix_like R, executor E = const serial>
loss_sum rmu_retain(H&& h, const R& reference, label_view labels, const row_options& options = {},
                    E&& pool = serial{}) {
  const char* function = "hone::loss::rmu_retain";
  const auto hs = output_matrix(h, function, "h");
  const auto rs = as_matrix(reference);
  check_rows(hs.rows(), (std::numeric_limits<index_t>::max)(), labels, options, function, true);
  invalid_argument_unless(rs.rows() == hs.rows() && rs.cols() == hs.cols(), function, "reference",
                          "is %td x %td, h is %td x %td", rs.rows(), rs.cols(), hs.rows(), hs.cols());
  return detail::squared_distance(hs, labels, 1, options, [&](index_t row) { return rs.row(row); }, pool);
}

}  // namespace HONE_NAMESPACE::loss
