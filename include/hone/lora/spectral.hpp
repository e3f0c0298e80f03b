// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Starts from the weight's own decomposition W = U S V^T (or W = Q R), s the site's scale:
///   pissa    B = U_r sqrt(S_r / s), A = sqrt(S_r / s) V_r^T, the r largest
///            [Meng et al. 2024, PiSSA, arXiv 2404.02948]
///   milora   the same of the r smallest [Wang et al. 2024, MiLoRA, arXiv 2406.09044]
///   mica     B = the last r of U, frozen, A = 0; the weight stays as it is [MiCA, arXiv 2604.01694]
///   olora    B = Q_r, A = R_r [Buyukakyuz 2024, OLoRA, arXiv 2406.01775]
///   fila     pissa of diag(w) W, w_i = sqrt(sum_j importance_ij), importance = F_f / (1e-5 + F_r) of mean squared
///            gradients; B <- diag(1 / (w + 1e-5)) B [Cha et al. 2024, LoKU, arXiv 2408.06621]
/// The division by s follows PEFT (and LoKU's code), so that s B A is the part of the weight that it stands for; the
/// papers have no s. MiLoRA follows the same, its paper has no scale either.
#pragma once
#include "hone/linalg/truncated_svd.hpp"
#include "hone/lora/initialise.hpp"

namespace HONE_NAMESPACE::lora {

namespace detail {

/// B = U sqrt(S / s), A = sqrt(S / s) V^T
inline proposal split_evenly(const linalg::singular_triplets& t, double scale) {
  const linalg::vector root = (t.values / scale).cwiseSqrt();
  return {.b = t.u * root.asDiagonal(), .a = root.asDiagonal() * t.v.transpose(), .compensate = true};
}

/// The last @p count triplets of the exact decomposition.
template <linalg::dense_matrix M>
linalg::singular_triplets smallest_triplets(const M& w, index_t count) {
  const linalg::singular_triplets all = linalg::truncated_svd(w, (min)(index_t{w.rows()}, index_t{w.cols()}));
  return {all.u.rightCols(count), all.values.tail(count), all.v.rightCols(count)};
}

}  // namespace detail

struct pissa {
  linalg::svd_options svd = {};  ///< .iterations > 0: by subspace iteration, PEFT's pissa_niter_…

  template <scalar T>
  [[nodiscard]] proposal propose(const matrix_view<const T>& w, const site& s) const {
    return detail::split_evenly(linalg::truncated_svd(linalg::copy_of(w), s.rank, svd), s.scale);
  }
};

struct milora {
  template <scalar T>
  [[nodiscard]] proposal propose(const matrix_view<const T>& w, const site& s) const {
    return detail::split_evenly(detail::smallest_triplets(linalg::copy_of(w), s.rank), s.scale);
  }
};

struct mica {
  template <scalar T>
  [[nodiscard]] proposal propose(const matrix_view<const T>& w, const site& s) const {
    return {.b = detail::smallest_triplets(linalg::copy_of(w), s.rank).u, .train_b = false};
  }
};

struct olora {
  template <scalar T>
  [[nodiscard]] proposal propose(const matrix_view<const T>& w, const site& s) const {
    const Eigen::HouseholderQR<linalg::matrix> qr(linalg::copy_of(w));
    proposal start{.b = linalg::matrix::Identity(s.outputs, s.rank), .compensate = true};
    start.b.applyOnTheLeft(qr.householderQ());
    start.a = qr.matrixQR().topRows(s.rank).template triangularView<Eigen::Upper>();
    return start;
  }
};

/// @c forget and @c retain: mean squared gradients of the two losses, outputs x inputs.
struct fila {
  linalg::matrix forget, retain;
  linalg::svd_options svd = {};

  /// @throws std::invalid_argument if sizes differ or an importance is negative or not finite.
  template <scalar T>
  [[nodiscard]] proposal propose(const matrix_view<const T>& w, const site& s) const {
    const char* function = "hone::lora::fila";
    detail::check_shape(forget, s, function, "forget");
    detail::check_shape(retain, s, function, "retain");
    invalid_argument_unless(
        forget.allFinite() && retain.allFinite() && forget.minCoeff() >= 0 && retain.minCoeff() >= 0, function,
        s.name.c_str(), "a squared gradient is negative or not finite");
    const linalg::vector row = (forget.array() / (1e-5 + retain.array())).rowwise().sum().sqrt();
    proposal start =
        detail::split_evenly(linalg::truncated_svd(row.asDiagonal() * linalg::copy_of(w), s.rank, svd), s.scale);
    start.b = (row.array() + 1e-5).inverse().matrix().asDiagonal() * start.b;
    return start;
  }
};

}  // namespace HONE_NAMESPACE::lora
