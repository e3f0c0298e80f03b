// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The representation-orthogonal loss: what keeps an adapter's output directions out of the retain subspace P (outputs
/// x k, orthonormal columns, fixed) of its site:
///   L = lambda sum_sites w |B^T P|_F^2,   dL/dB = 2 lambda w P P^T B
/// a sum over sites, not a mean, and without the sites' scales; and the projection B <- B - P (P^T B), which makes it
/// 0. [ReGLU 2026, arXiv 2604.17396; sustech-nlp/ReGLU. Weights of sites and the projection are extensions of this
/// library]
#pragma once
#include "hone/linalg/dense.hpp"
#include "hone/lora/adapter.hpp"

#include <span>

namespace HONE_NAMESPACE::lora {

struct orthogonal_options {
  double lambda = 0.5;
  std::span<const double> weights = {};  ///< one factor a site; empty: 1. A site of weight 0 needs no basis
};

struct orthogonal_loss {
  double loss = 0;     ///< lambda sum w |B^T P|^2
  double overlap = 0;  ///< sum |B^T P|^2 over the sites of weight > 0
  double energy = 0;   ///< sum |B|^2 over them: overlap / energy is the share that lies in the retain subspaces
  index_t whole = 0;   ///< sites whose basis spans all outputs, so that the penalty is plain weight decay
};

namespace detail {

/// P (P^T B), |P^T B|^2 and |B|^2.
template <scalar U, scalar P>
linalg::matrix in_basis(const matrix_view<U>& b, const matrix_view<P>& basis, double& overlap, double& energy) {
  const linalg::matrix factor = linalg::copy_of(b), p = linalg::copy_of(basis);
  const linalg::matrix inside = p.transpose() * factor;
  overlap = inside.squaredNorm();
  energy = factor.squaredNorm();
  return p * inside;
}

template <class Bases>
void check_bases(std::span<const site> sites, const Bases& bases, const orthogonal_options& options,
                 const char* function) {
  invalid_argument_unless(bases.size() == sites.size(), function, "bases", "are those of %zu of %zu sites",
                          bases.size(), sites.size());
  invalid_argument_unless(options.weights.empty() || options.weights.size() == sites.size(), function, "weights",
                          "are those of %zu of %zu sites", options.weights.size(), sites.size());
  invalid_argument_unless(options.lambda >= 0 && options.lambda < 1e300, function, "lambda",
                          "must not be negative, is %g", options.lambda);
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const double weight = options.weights.empty() ? 1 : options.weights[i];
    invalid_argument_unless(weight >= 0 && weight < 1e300, function, "weights",
                            "%s has %g, must be finite and not negative", sites[i].name.c_str(), weight);
    const auto basis = as_matrix(bases[i]);
    invalid_argument_unless(weight == 0 || (basis.rows() == sites[i].outputs && basis.cols() > 0), function,
                            sites[i].name.c_str(), "its basis is %td x %td, it has %td outputs", basis.rows(),
                            basis.cols(), sites[i].outputs);
  }
}

}  // namespace detail

/// The loss over all @p sites of @p parameters; its gradient is added to @p gradient (the parameters' layout), that of
/// A being zero.
/// @param bases one matrix a site (anything that `as_matrix` takes, in a range with size() and []), outputs x k.
/// @throws std::invalid_argument if sizes differ, a weight is negative, or a site of weight > 0 has no basis: the
///         authors' code draws a random one instead. Nothing is written then.
/// @note 4 outputs k rank flops a site, in double; allocates B, P and their products a worker; bitwise for any
///       executor.
template <vector_like V, class Bases, mutable_vector G, executor E = const serial>
orthogonal_loss add_orthogonal_loss(std::span<const site> sites, const V& parameters, const Bases& bases, G&& gradient,
                                    const orthogonal_options& options = {}, E&& pool = serial{}) {
  const char* function = "hone::lora::add_orthogonal_loss";
  using D = element_t<G>;
  detail::check_bases(sites, bases, options, function);
  for (const site& s : sites) {
    detail::buffer_of(parameters, s, function);
    detail::buffer_of(gradient, s, function);
  }
  std::vector<orthogonal_loss> parts(sites.size());
  pool.parallel_for(static_cast<index_t>(sites.size()), 1, [&](index_t begin, index_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      const double weight = options.weights.empty() ? 1 : options.weights[i];
      if (weight == 0) continue;
      const site& s = sites[i];
      orthogonal_loss& part = parts[i];
      const auto basis = as_matrix(bases[i]);
      const linalg::matrix inside =
          detail::in_basis(s.b(detail::buffer_of(parameters, s, function)), basis, part.overlap, part.energy);
      part.loss = options.lambda * weight * part.overlap;
      part.whole = basis.cols() >= s.outputs ? 1 : 0;
      const auto g = s.b(detail::buffer_of(gradient, s, function));
      for (index_t o = 0; o < s.outputs; ++o)
        for (index_t k = 0; k < s.rank; ++k)
          g(o, k) = from_accumulator<D>(static_cast<accumulator_t<D>>(static_cast<double>(to_accumulator<D>(g(o, k))) +
                                                                      2 * options.lambda * weight * inside(o, k)));
    }
  });
  orthogonal_loss result;
  for (const orthogonal_loss& part : parts) {
    result.loss += part.loss;
    result.overlap += part.overlap;
    result.energy += part.energy;
    result.whole += part.whole;
  }
  return result;
}

/// B <- B - P (P^T B) at every site that has a basis (those without columns are left alone), in double, rounded once.
/// Returns sum |B^T P|^2 before.
/// @throws std::invalid_argument if sizes differ; nothing is written then.
/// @note As `add_orthogonal_loss`.
template <mutable_vector V, class Bases, executor E = const serial>
double project_out(std::span<const site> sites, V&& parameters, const Bases& bases, E&& pool = serial{}) {
  const char* function = "hone::lora::project_out";
  using U = element_t<V>;
  invalid_argument_unless(bases.size() == sites.size(), function, "bases", "are those of %zu of %zu sites",
                          bases.size(), sites.size());
  for (std::size_t i = 0; i < sites.size(); ++i) {
    detail::buffer_of(parameters, sites[i], function);
    const auto basis = as_matrix(bases[i]);
    invalid_argument_unless(basis.cols() == 0 || basis.rows() == sites[i].outputs, function, sites[i].name.c_str(),
                            "its basis has %td rows, it has %td outputs", basis.rows(), sites[i].outputs);
  }
  std::vector<double> before(sites.size());
  pool.parallel_for(static_cast<index_t>(sites.size()), 1, [&](index_t begin, index_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      const auto basis = as_matrix(bases[i]);
      if (basis.cols() == 0) continue;
      const auto b = sites[i].b(detail::buffer_of(parameters, sites[i], function));
      double energy = 0;
      const linalg::matrix inside = detail::in_basis(b, basis, before[i], energy);
      for (index_t o = 0; o < b.rows(); ++o)
        for (index_t k = 0; k < b.cols(); ++k)
          b(o, k) = from_accumulator<U>(
              static_cast<accumulator_t<U>>(static_cast<double>(to_accumulator<U>(b(o, k))) - inside(o, k)));
    }
  });
  double total = 0;
  for (const double x : before) total += x;
  return total;
}

}  // namespace HONE_NAMESPACE::lora
