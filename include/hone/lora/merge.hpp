// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The product of an adapter into its weight and out of it again: W <- W + s B A, W <- W - s B A. Out of it, right
/// after an initialisation that is not zero, is the compensation that leaves the function unchanged.
#pragma once
#include "hone/linalg/dense.hpp"
#include "hone/lora/adapter.hpp"

#include <vector>

namespace HONE_NAMESPACE::lora {

namespace detail {

/// W <- W + sign s B A; returns max |stored - sign s B A - W before|.
template <scalar T, scalar U, executor E>
double add_product(const matrix_view<T>& w, const site& s, const U* elements, double sign, E& pool) {
  constexpr index_t block = 64;
  const linalg::matrix a = linalg::copy_of(s.a(elements));
  const matrix_view<const U> b = s.b(elements);
  const index_t blocks = (w.rows() + block - 1) / block;
  std::vector<double> worst(static_cast<std::size_t>(blocks));
  pool.parallel_for(blocks, 1, [&](index_t first, index_t last) {
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> product;
    for (index_t k = first; k < last; ++k) {
      const index_t begin = k * block, end = (min)(begin + block, w.rows());
      product.noalias() = linalg::copy_rows(b, begin, end, sign * s.scale) * a;
      double deviation = 0;
      for (index_t i = begin; i < end; ++i)
        for (index_t j = 0; j < w.cols(); ++j) {
          const double before = to_accumulator<T>(w(i, j)), change = product(i - begin, j);
          const T stored = from_accumulator<T>(static_cast<accumulator_t<T>>(before + change));
          w(i, j) = stored;
          deviation = (max)(deviation, std::abs(to_accumulator<T>(stored) - change - before));
        }
      worst[static_cast<std::size_t>(k)] = deviation;
    }
  });
  double largest = 0;
  for (const double deviation : worst) largest = (max)(largest, deviation);
  return largest;
}

template <class W>
void check_shape(const W& w, const site& s, const char* function, const char* argument = "weight") {
  invalid_argument_unless(w.rows() == s.outputs && w.cols() == s.inputs, function, argument,
                          "is %td x %td, %s is %td x %td", index_t{w.rows()}, index_t{w.cols()}, s.name.c_str(),
                          s.outputs, s.inputs);
}

}  // namespace detail

/// @p weight (outputs x inputs, any strides) <- weight + s B A, computed in double and rounded once. Returns the
/// largest rounding.
/// @throws std::invalid_argument if sizes differ.
/// @note 2 rank outputs inputs flops, one read and one write of the weight; allocates A in double and 64 rows a worker;
///       bitwise for any executor.
template <mutable_matrix W, vector_like P, executor E = const serial>
double merge(W&& weight, const site& s, const P& parameters, E&& pool = serial{}) {
  const char* function = "hone::lora::merge";
  const auto w = output_matrix(weight, function, "weight");
  detail::check_shape(w, s, function);
  return detail::add_product(w, s, detail::buffer_of(parameters, s, function), 1, pool);
}

/// @p weight <- weight - s B A; as `merge`. Undoes it up to rounding: keep the weight where the bits matter.
template <mutable_matrix W, vector_like P, executor E = const serial>
double unmerge(W&& weight, const site& s, const P& parameters, E&& pool = serial{}) {
  const char* function = "hone::lora::unmerge";
  const auto w = output_matrix(weight, function, "weight");
  detail::check_shape(w, s, function);
  return detail::add_product(w, s, detail::buffer_of(parameters, s, function), -1, pool);
}

}  // namespace HONE_NAMESPACE::lora
