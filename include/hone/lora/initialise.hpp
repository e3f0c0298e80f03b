// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// One way from a proposal of factors to an adapter that starts where the model was: B and A are rounded to the
/// buffer's type first, and W <- W - s B A takes out what the rounded factors put in, so that W + s B A is W but for
/// one rounding. [PEFT's LoRA-GA does it in this order; ReGLU's code subtracts before it rounds]
///
/// A method is an aggregate with `propose(weight, site) -> proposal`; `starts.hpp`, `spectral.hpp`, `corda.hpp`,
/// `eva.hpp`, `lora_ga.hpp` and `rila.hpp` have them.
#pragma once
#include "hone/core/philox.hpp"
#include "hone/lora/merge.hpp"

namespace HONE_NAMESPACE::lora {

/// What a method would start from.
struct proposal {
  linalg::matrix b = {};    ///< outputs x rank; empty: zeros
  linalg::matrix a = {};    ///< rank x inputs; empty: zeros
  bool compensate = false;  ///< whether s B A is to be taken out of the weight
  bool train_b = true;      ///< false where the method trains A alone
};

/// What the starts that look at more than the weight are shown of a model (named_start.hpp). What one does not need may
/// be empty.
template <scalar T>
struct start_evidence {
  matrix_view<const T> inputs = {};               ///< rows x inputs: what the matrix sees, a row a token
  matrix_view<const T> forget = {}, retain = {};  ///< samples x outputs: what it says, pooled
  matrix_view<const T> gradient = {};             ///< outputs x inputs, of the loss that will be trained
  philox random = {};                             ///< a stream of its own for every site
};

/// What was done.
struct initialisation {
  double deviation = 0;  ///< max |W + s B A - W0| over the elements, 0 where the weight was not touched
  bool train_b = true;
};

template <class M, class T>
concept method_for = requires(const M& m, const matrix_view<const T>& w, const site& s) {
  { m.propose(w, s) } -> std::same_as<proposal>;
};

namespace detail {

template <scalar U>
void store_factor(const linalg::matrix& from, const matrix_view<U>& to) {
  for (index_t i = 0; i < to.rows(); ++i)
    for (index_t j = 0; j < to.cols(); ++j)
      to(i, j) = from_accumulator<U>(static_cast<accumulator_t<U>>(from.size() == 0 ? 0 : from(i, j)));
}

}  // namespace detail

/// Writes the start of @p method into the site's part of @p parameters and compensates @p weight (outputs x inputs, any
/// strides) in place where the method asks for it.
/// @throws std::invalid_argument if sizes differ, a weight is not finite, or the method refuses; nothing is written
/// then.
/// @note Bitwise for any executor.
template <class M, mutable_matrix W, mutable_vector P, executor E = const serial>
  requires method_for<M, element_t<W>>
initialisation initialise(const M& method, W&& weight, const site& s, P&& parameters, E&& pool = serial{}) {
  const char* function = "hone::lora::initialise";
  const auto w = output_matrix(weight, function, "weight");
  detail::check_site(s, function);
  detail::check_shape(w, s, function);
  auto* elements = detail::buffer_of(parameters, s, function);
  const index_t bad = linalg::count_nonfinite(w);
  invalid_argument_unless(bad == 0, function, s.name.c_str(), "%td weights are not finite", bad);
  const matrix_view<const element_t<W>> seen = w;
  const proposal start = method.propose(seen, s);
  detail::store_factor(start.b, s.b(elements));
  detail::store_factor(start.a, s.a(elements));
  initialisation result{.train_b = start.train_b};
  if (start.compensate) result.deviation = detail::add_product(w, s, elements, -1, pool);
  return result;
}

}  // namespace HONE_NAMESPACE::lora
