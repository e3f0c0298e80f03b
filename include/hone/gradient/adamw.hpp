// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// AdamW as a sink of `combine`: the step is taken on each block of the combined gradient g while it is in cache, so
/// that the combination itself is never written. For step t = 1, 2, …
///   m <- b1 m + (1 - b1) g      v <- b2 v + (1 - b2) g^2
///   p <- p - rate (m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + epsilon) + decay p)
/// [Loshchilov, Hutter 2019, Decoupled weight decay regularization, arXiv 1711.05101, Alg. 2, with the schedule
/// multiplier in the rate, as PyTorch's AdamW]
#pragma once
#include "hone/core/blas.hpp"
#include "hone/core/simd_math.hpp"
#include "hone/gradient/with_copy.hpp"

#include <cmath>

namespace HONE_NAMESPACE::gradient {

struct adamw_options {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.01;
};

/// One step over parameters @c p, moments @c m, @c v and, unless it is `no_copy`, a @c copy of the parameters, all of n
/// elements and the gradient's accumulator type. Made by `adamw`; safe to call from several threads for disjoint
/// blocks.
template <scalar P, scalar M, scalar V, class Copy = detail::no_copy>
struct adamw_step {
  vector_view<P> p;
  vector_view<M> m;
  vector_view<V> v;
  Copy copy;
  accumulator_t<P> rate, decay, beta1, share1, beta2, share2, root_correction, epsilon;  // share = 1 - beta in double

  [[nodiscard]] index_t size() const { return p.size(); }

  /// The step for elements [begin, begin + g.size()). Reads p, m, v, g once and writes p, m, v, copy once.
  /// @throws std::invalid_argument if there are no such elements.
  template <vector_like G>
  void operator()(index_t begin, const G& g) const {
    using packs = pack_of<P>;
    const auto gs = as_vector(g);
    detail::check_block(begin, gs.size(), size(), "hone::gradient::adamw");
    const auto ps = p.subvector(begin, gs.size());
    const auto ms = m.subvector(begin, gs.size());
    const auto vs = v.subvector(begin, gs.size());
    const auto run = [&](const auto&... copies) HONE_INLINE_LAMBDA {
      for_each_pack<packs::lanes>(
          0, gs.size(),
          [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
            const packs gradient = load_pack(gs, i, bound);
            const packs first = packs(beta1) * load_pack(ms, i, bound) + packs(share1) * gradient;
            const packs second = packs(beta2) * load_pack(vs, i, bound) + packs(share2) * gradient * gradient;
            const packs old = load_pack(ps, i, bound);
            const packs step = packs(rate) * first / (simd::sqrt(second) * packs(root_correction) + packs(epsilon));
            const packs moved = old - packs(decay) * old - step;
            store_pack(ms, i, bound, first);
            store_pack(vs, i, bound, second);
            store_pack(ps, i, bound, moved);
            (store_pack(copies, i, bound, moved), ...);
          },
          gs, ps, ms, vs, copies...);
    };
    if constexpr (std::is_same_v<Copy, detail::no_copy>)
      run();
    else
      run(copy.subvector(begin, gs.size()));
  }
};

/// The AdamW step number @p t (from 1) on @p p, parameters or `with_copy(parameters, copy)`, with moments @p m, @p v
/// (n each, zero before the first step), each in memory of any kind.
///
/// Moments in 16 bits: in float16 v stays 0 for gradients below 5e-3, which makes steps 31 times too long, and m loses
/// those below 1e-6, which makes steps up to 10 times too short; neither compiles. bfloat16 keeps the range and loses
/// what is added: with beta2 = 0.999 v stops at 27 % of its value (steps 1.9 times too long) and does not fall again
/// (after gradients of 1, those of 0.01 move by 0.26 of their step); m is 2 to 4 % short. Use float.
/// @throws std::invalid_argument if the sizes differ, two of p, m, v and the copy are the same memory, t < 1, or an
///         option is out of range: rate, decay >= 0, epsilon > 0 (in the parameters' precision too), betas in [0, 1).
/// @note 28 bytes a float parameter by itself, 32 after `combine` of two gradients; a 16-bit copy 2 more. Bitwise for
///       any executor.
template <detail::parameter_vector P, mutable_vector M, mutable_vector V>
auto adamw(P&& p, M&& m, V&& v, index_t t, const adamw_options& options = {}) {
  const char* function = "hone::gradient::adamw";
  using T = detail::parameter_t<P>;
  using A = accumulator_t<T>;
  static_assert(std::is_same_v<A, accumulator_t<element_t<M>>> && std::is_same_v<A, accumulator_t<element_t<V>>>,
                "hone::gradient::adamw: parameters and moments compute in different types");
  static_assert(scalar_format<element_t<V>> != format::float16,
                "hone::gradient::adamw: float16 second moments underflow and make steps far too long: use float");
  static_assert(scalar_format<element_t<M>> != format::float16,
                "hone::gradient::adamw: float16 first moments underflow and make steps too short: use float");
  const auto [ps, copy] = detail::open_parameters(p, function);
  const auto ms = output_vector(m, function, "m");
  const auto vs = output_vector(v, function, "v");
  invalid_argument_unless(ms.size() == ps.size(), function, "m", "has %td elements, p has %td", ms.size(), ps.size());
  invalid_argument_unless(vs.size() == ps.size(), function, "v", "has %td elements, p has %td", vs.size(), ps.size());
  check_apart(ms, ps, function, "m", "p");
  check_apart(vs, ps, function, "v", "p");
  check_apart(vs, ms, function, "v", "m");
  if constexpr (!std::is_same_v<std::remove_const_t<decltype(copy)>, detail::no_copy>) {
    check_apart(copy, ms, function, "copy", "m");
    check_apart(copy, vs, function, "copy", "v");
  }
  invalid_argument_unless(t >= 1, function, "t", "steps are counted from 1, is %td", t);
  const auto in_range = [&](double value, double high, const char* name) {
    invalid_argument_unless(value >= 0 && value < high, function, name, "must be in [0, %g), is %g", high, value);
  };
  in_range(options.learning_rate, 1e300, "learning_rate");
  in_range(options.weight_decay, 1e300, "weight_decay");
  in_range(options.beta1, 1, "beta1");
  in_range(options.beta2, 1, "beta2");
  invalid_argument_unless(options.epsilon < 1e300 && static_cast<A>(options.epsilon) > 0, function, "epsilon",
                          "must be positive and finite, is %g", options.epsilon);
  const auto steps = static_cast<double>(t);
  return adamw_step<T, element_t<M>, element_t<V>, std::remove_const_t<decltype(copy)>>{
      ps,
      ms,
      vs,
      copy,
      static_cast<A>(options.learning_rate / (1 - std::pow(options.beta1, steps))),
      static_cast<A>(options.learning_rate * options.weight_decay),
      static_cast<A>(options.beta1),
      static_cast<A>(1 - options.beta1),
      static_cast<A>(options.beta2),
      static_cast<A>(1 - options.beta2),
      static_cast<A>(1 / std::sqrt(1 - std::pow(options.beta2, steps))),
      static_cast<A>(options.epsilon)};
}

}  // namespace HONE_NAMESPACE::gradient
