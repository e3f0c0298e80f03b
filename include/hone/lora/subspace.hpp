// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a set of output directions Q (outputs x r, orthonormal columns) has to do with data and with a retain basis P:
///   energy_share      tr(Q^T C Q) / tr(C), of samples or of streamed moments
///   retain_overlap    |B^T P|_F^2 / |B|_F^2 of an adapter's B, whatever its lengths
/// and `principal_angles` of linalg between two such sets.
#pragma once
#include "hone/linalg/principal_angles.hpp"
#include "hone/linalg/second_moments.hpp"
#include "hone/lora/orthogonal.hpp"

namespace HONE_NAMESPACE::lora {

/// The share of the energy of @p samples (rows x outputs) that lies along @p directions; 0 where there is none.
/// @throws std::invalid_argument if the widths differ.
template <matrix_like X>
double energy_share(const linalg::matrix& directions, const X& samples) {
  const auto x = as_matrix(samples);
  invalid_argument_unless(x.cols() == directions.rows(), "hone::lora::energy_share", "samples",
                          "has rows of %td elements, directions have %td", x.cols(), index_t{directions.rows()});
  const linalg::matrix h = linalg::copy_of(x);
  const double all = h.squaredNorm();
  return all > 0 ? (h * directions).squaredNorm() / all : 0;
}

/// The same of the samples that @p moments has seen. @throws std::invalid_argument if the widths differ.
template <class A>
double energy_share(const linalg::matrix& directions, const linalg::second_moments<A>& moments) {
  invalid_argument_unless(moments.width() == directions.rows(), "hone::lora::energy_share", "moments",
                          "of %td elements, directions have %td", moments.width(), index_t{directions.rows()});
  const linalg::matrix c = moments.sum();
  const double all = c.trace();
  return all > 0 ? directions.cwiseProduct(c * directions).sum() / all : 0;
}

/// The share of the energy of the site's B that lies in the span of @p basis (outputs x k, orthonormal columns); 0 for
/// B = 0.
/// @throws std::invalid_argument if sizes differ.
template <vector_like V, matrix_like P>
double retain_overlap(const site& s, const V& parameters, const P& basis) {
  const char* function = "hone::lora::retain_overlap";
  const auto p = as_matrix(basis);
  invalid_argument_unless(p.rows() == s.outputs, function, s.name.c_str(), "the basis has %td rows, it has %td outputs",
                          p.rows(), s.outputs);
  double overlap = 0, energy = 0;
  detail::in_basis(s.b(detail::buffer_of(parameters, s, function)), p, overlap, energy);
  return energy > 0 ? overlap / energy : 0;
}

}  // namespace HONE_NAMESPACE::lora
