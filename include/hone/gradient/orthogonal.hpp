// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The forget gradient without its part in the span of k retain gradients r_1 … r_k:
///   f' = f - R^T pinv(R R^T) R f,   <f', r_j> = 0 for every j
/// PCGrad against many vectors at once, whatever the signs: agreement is removed too (`gem`, upgrad.hpp, removes
/// conflict alone). [Unlearning by the component of the forget gradient normal to the retain span, 2025, arXiv
/// 2511.17100]
///
/// Two roads to it: `retain_orthogonal` is a method on inner products, for retain gradients that change every step;
/// `orthonormalise` and `project_out` keep an orthonormal basis of stored ones (a QR decomposition), for many steps.
#pragma once
#include "hone/gradient/tasks.hpp"
#include "hone/linalg/symmetric_eigen.hpp"

namespace HONE_NAMESPACE::gradient {

/// forget f' + retain mean_j r_j, for task 0 the forget gradient and tasks 1 … K - 1 the retain gradients. Dependent
/// and zero retain gradients are no failure: what depends, to 1e-6 of its length, does not count. Non-finite gradients:
/// f is kept.
struct retain_orthogonal {
  double retain = 0;
  double forget = 1;

  void check() const {
    detail::check_weight(retain, "hone::gradient::retain_orthogonal", "retain");
    detail::check_weight(forget, "hone::gradient::retain_orthogonal", "forget");
  }
  template <std::size_t K>
  [[nodiscard]] std::array<double, K> weights(const gram_matrix<K>& g) const {
    auto w = detail::filled<K>(retain / (K > 1 ? K - 1 : 1));
    w[0] = forget;
    if (!detail::solvable(g)) return w;
    auto kept = g.value;
    kept[0] = {};
    for (auto& row : kept) row[0] = 0;
    const linalg::unit_rows<K> rows(kept);
    std::array<double, K> along{};
    for (std::size_t i = 1; i < K; ++i)
      if (rows.length[i] > 0) along[i] = g(0, i) / rows.length[i];
    const auto c = linalg::pseudo_solve(rows.cosine, along, g.tolerance());
    for (std::size_t i = 1; i < K; ++i)
      if (rows.length[i] > 0) w[i] -= forget * c[i] / rows.length[i];
    return w;
  }
};

/// Makes the rows of @p basis (k x n, contiguous rows or not) orthonormal in place, by Gram-Schmidt with each row
/// projected twice, and returns the rank: the basis are the first `rank` rows, the others are zero. Rows of which less
/// than @p tolerance of their length is new, zero (or of no normal length) and non-finite ones are dropped.
/// @throws std::invalid_argument unless tolerance is in (0, 1).
/// @note About 2 k^2 passes over a row; allocates nothing; bitwise for any executor. Orthonormal to the rounding of the
///       storage type: do not store it in 16 bits.
template <mutable_matrix B, executor E = const serial>
index_t orthonormalise(B&& basis, double tolerance = 1e-6, E&& pool = serial{}) {
  invalid_argument_unless(tolerance > 0 && tolerance < 1, "hone::gradient::orthonormalise", "tolerance",
                          "must be in (0, 1), is %g", tolerance);
  const auto rows = output_matrix(basis, "hone::gradient::orthonormalise", "basis");
  using A = accumulator_t<element_t<B>>;
  index_t rank = 0;
  for (index_t k = 0; k < rows.rows(); ++k) {
    const auto row = rows.row(k), target = rows.row(rank);
    const double before = std::sqrt(squared_norm(row, pool));
    double after = 0;
    if (std::isfinite(before) && before >= static_cast<double>((std::numeric_limits<A>::min)())) {
      // To length 1 first: the products with the basis cannot overflow then.
      scale(static_cast<A>(1 / before), row, pool);
      for (int pass = 0; pass < 2; ++pass)
        for (index_t i = 0; i < rank; ++i) axpy(static_cast<A>(-dot(row, rows.row(i), pool)), rows.row(i), row, pool);
      after = std::sqrt(squared_norm(row, pool));
    }
    if (after > tolerance) {
      scale(static_cast<A>(1 / after), row, pool);
      if (rank != k) {
        copy(row, target, pool);
        fill(row, A(0), pool);
      }
      ++rank;
    } else {
      fill(row, A(0), pool);
    }
  }
  return rank;
}

/// Takes out of @p x (n) its part in the span of the first @p rank rows of the orthonormal @p basis (k x n), in place.
/// @throws std::invalid_argument if the sizes differ or rank is not in [0, k].
/// @note Two passes over (x, row) a row, twice over; allocates nothing; bitwise for any executor.
template <mutable_vector X, matrix_like B, executor E = const serial>
void project_out(X&& x, const B& basis, index_t rank, E&& pool = serial{}) {
  const char* function = "hone::gradient::project_out";
  const auto xs = output_vector(x, function, "x");
  const auto rows = as_matrix(basis);
  invalid_argument_unless(rank >= 0 && rank <= rows.rows(), function, "rank",
                          "must be in [0, %td], the rows of the basis, is %td", rows.rows(), rank);
  invalid_argument_unless(rank == 0 || xs.size() == rows.cols(), function, "x", "has %td elements, the basis %td",
                          xs.size(), rows.cols());
  using A = accumulator_t<element_t<X>>;
  for (int pass = 0; pass < 2; ++pass)
    for (index_t i = 0; i < rank; ++i) axpy(static_cast<A>(-dot(xs, rows.row(i), pool)), rows.row(i), xs, pool);
}

}  // namespace HONE_NAMESPACE::gradient
