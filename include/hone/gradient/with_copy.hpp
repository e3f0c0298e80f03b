// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Parameters in two precisions, for 16-bit training: the float ones (the *master* parameters), which the optimiser
/// moves, and the 16-bit copy, which the model computes with. A step of 1e-3 of a parameter is less than half a unit of
/// bfloat16 and would be rounded away; the sum of many, kept in float, is not. `adamw`, `sgd` and `adafactor` take
///   with_copy(parameters, copy)
/// in the place of parameters and write copy = round(parameters) in the same pass, 2 bytes a parameter more.
/// [Micikevicius et al. 2018, Mixed precision training, arXiv 1710.03740, Sec. 3.1]
#pragma once
#include "hone/core/output.hpp"

namespace HONE_NAMESPACE::gradient {

/// Made by `with_copy`.
template <class P, class C>
struct parameters_with_copy {
  P parameters;
  C copy;
};
template <class P, class C>
parameters_with_copy(P, C) -> parameters_with_copy<P, C>;

/// @p parameters and the memory of their @p copy, both vectors of n elements, or both matrices of one shape, of any
/// types that compute in the same one. What the copy holds before the first step does not matter.
template <class P, class C>
  requires((mutable_vector<P> && mutable_vector<C>) || (mutable_matrix<P> && mutable_matrix<C>))
auto with_copy(P&& parameters, C&& copy) {
  static_assert(std::is_same_v<accumulator_t<element_t<P>>, accumulator_t<element_t<C>>>,
                "hone::gradient::with_copy: parameters and copy compute in different types");
  if constexpr (vector_like<P>)
    return parameters_with_copy{as_vector(parameters), as_vector(copy)};
  else
    return parameters_with_copy{as_matrix(parameters), as_matrix(copy)};
}

namespace detail {

/// In the place of a copy where there is none.
struct no_copy {};

/// The parameters of X, and whether a copy comes with them.
template <class X>
struct parameters_of {
  using type = X;
  static constexpr bool have_copy = false;
};
template <class P, class C>
struct parameters_of<parameters_with_copy<P, C>> {
  using type = P;
  static constexpr bool have_copy = true;
};
template <class P, class C>
struct parameters_of<const parameters_with_copy<P, C>> : parameters_of<parameters_with_copy<P, C>> {};

template <class X>
using parameter_t = element_t<typename parameters_of<std::remove_reference_t<X>>::type>;

template <class X>
concept parameter_vector = mutable_vector<typename parameters_of<std::remove_reference_t<X>>::type>;
template <class X>
concept parameter_matrix = mutable_matrix<typename parameters_of<std::remove_reference_t<X>>::type>;

/// Throws unless elements [begin, begin + count) are among the @p size that an optimiser has.
inline void check_block(index_t begin, index_t count, index_t size, const char* function) {
  if (begin >= 0 && begin <= size && count <= size - begin) return;
  invalid_argument_unless(false, function, "g", "holds elements %td to %td, p has %td", begin, begin + count, size);
}

/// Parameters and copy as views, checked in the name of @p function.
template <class X>
  requires(parameter_vector<X> || parameter_matrix<X>)
auto open_parameters(X&& x, const char* function) {
  if constexpr (parameters_of<std::remove_reference_t<X>>::have_copy) {
    const auto& [p, copy] = x;
    check_output(p, function, "p");
    check_output(copy, function, "copy");
    if constexpr (vector_like<decltype(p)>) {
      invalid_argument_unless(copy.size() == p.size(), function, "copy", "has %td elements, p has %td", copy.size(),
                              p.size());
      check_apart(copy, p, function, "copy", "p");
    } else {
      invalid_argument_unless(copy.rows() == p.rows() && copy.cols() == p.cols(), function, "copy",
                              "is %td x %td, p is %td x %td", copy.rows(), copy.cols(), p.rows(), p.cols());
      if (p.rows() > 0) check_apart(copy.row(0), p.row(0), function, "copy", "p");
    }
    return x;
  } else if constexpr (mutable_vector<X>) {
    return parameters_with_copy{output_vector(x, function, "p"), no_copy{}};
  } else {
    return parameters_with_copy{output_matrix(x, function, "p"), no_copy{}};
  }
}

}  // namespace detail

}  // namespace HONE_NAMESPACE::gradient
