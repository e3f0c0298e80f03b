// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Aligned-MTL: the gradients' principal directions are all given one length before they are added. With the Gram
/// matrix G = V L V^T and p the preference, the weights are
///   sqrt(s) V L^(-1/2) V^T p,   s = the smallest, the median or the mean eigenvalue
/// over the eigenvalues that are not zero.
/// [Senushkin et al. 2023, Independent component alignment for multi-task learning, CVPR, arXiv 2305.19000, Alg. 1]
///
/// The authors' code and LibMTL give each task preference 1, TorchJD 1/K, the default here. They count eigenvalues
/// below K 2^-23 of the largest as zero, this those below `gram_matrix::tolerance()`; the median of an even number is
/// the lower one, as theirs.
#pragma once
#include "hone/gradient/tasks.hpp"
#include "hone/linalg/symmetric_eigen.hpp"

namespace HONE_NAMESPACE::gradient {

/// The length that Aligned-MTL gives to the principal directions.
enum class aligned_scale { min, median, rmse };

/// The smallest scale is the one whose convergence is proved; with `rmse` one short gradient is stretched most.
/// Zero or non-finite gradients: the preference.
template <std::size_t K>
struct aligned_mtl {
  aligned_scale scale = aligned_scale::min;
  std::array<double, K> preference = detail::filled<K>(1.0 / K);

  void check() const { detail::check_preference(preference, "hone::gradient::aligned_mtl"); }
  [[nodiscard]] std::array<double, K> weights(const gram_matrix<K>& g) const {
    if (!detail::solvable(g)) return preference;
    const auto eigen = linalg::decompose(g.value);
    const std::size_t rank = eigen.rank(g.tolerance());
    double target = scale == aligned_scale::min ? eigen.values[rank - 1] : eigen.values[rank / 2];
    if (scale == aligned_scale::rmse) {
      target = 0;
      for (std::size_t i = 0; i < rank; ++i) target += eigen.values[i] / static_cast<double>(rank);
    }
    return linalg::apply_function(
        eigen, preference, [&](double value) { return std::sqrt(target / value); }, g.tolerance());
  }
};

}  // namespace HONE_NAMESPACE::gradient
