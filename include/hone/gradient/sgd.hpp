// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Stochastic gradient descent as a sink of `combine`, the step taken on each block of the combined gradient g while it
/// is in cache:
///   d = g + decay p      m <- momentum m + d      p <- p - rate (m, or with Nesterov d + momentum m)
/// [Sutskever et al. 2013, On the importance of initialization and momentum in deep learning, ICML, in the form of
/// PyTorch's SGD without dampening, whose first m is d as well]
#pragma once
#include "hone/core/blas.hpp"
#include "hone/gradient/with_copy.hpp"

namespace HONE_NAMESPACE::gradient {

struct sgd_options {
  double learning_rate = 1e-3;
  double momentum = 0;
  double weight_decay = 0;  ///< added to the gradient, not decoupled
  bool nesterov = false;
};

/// One step over parameters @c p, @c m if momentum > 0, and, unless it is `no_copy`, a @c copy of the parameters, in
/// the gradient's accumulator type. Made by `sgd`; safe to call from several threads for disjoint blocks.
template <scalar P, scalar M, class Copy = detail::no_copy>
struct sgd_step {
  vector_view<P> p;
  vector_view<M> m;
  Copy copy;
  accumulator_t<P> rate, momentum, decay;
  bool nesterov;

  [[nodiscard]] index_t size() const { return p.size(); }

  /// The step for elements [begin, begin + g.size()). Reads p and g once, writes p and copy once, and m once each with
  /// momentum.
  /// @throws std::invalid_argument if there are no such elements.
  template <vector_like G>
  void operator()(index_t begin, const G& g) const {
    const auto gs = as_vector(g);
    detail::check_block(begin, gs.size(), size(), "hone::gradient::sgd");
    if constexpr (std::is_same_v<Copy, detail::no_copy>)
      run(begin, gs);
    else
      run(begin, gs, copy.subvector(begin, gs.size()));
  }

 private:
  template <scalar G, scalar... C>
  void run(index_t begin, const vector_view<G>& gs, const vector_view<C>&... copies) const {
    using packs = pack_of<P>;
    const auto ps = p.subvector(begin, gs.size());
    const auto descend = [&](index_t i, auto bound, const packs& old, const packs& direction) HONE_INLINE_LAMBDA {
      const packs moved = old - packs(rate) * direction;
      store_pack(ps, i, bound, moved);
      (store_pack(copies, i, bound, moved), ...);
    };
    if (momentum == 0) {
      for_each_pack<packs::lanes>(
          0, gs.size(),
          [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
            const packs old = load_pack(ps, i, bound);
            descend(i, bound, old, load_pack(gs, i, bound) + packs(decay) * old);
          },
          gs, ps, copies...);
      return;
    }
    const auto ms = m.subvector(begin, gs.size());
    for_each_pack<packs::lanes>(
        0, gs.size(),
        [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
          const packs old = load_pack(ps, i, bound);
          const packs d = load_pack(gs, i, bound) + packs(decay) * old;
          const packs velocity = packs(momentum) * load_pack(ms, i, bound) + d;
          store_pack(ms, i, bound, velocity);
          descend(i, bound, old, nesterov ? d + packs(momentum) * velocity : velocity);
        },
        gs, ps, ms, copies...);
  }
};

/// The SGD step on @p p, parameters or `with_copy(parameters, copy)`, with momentum buffer @p m (n, zero before the
/// first step). A momentum in float16 keeps gradients above 1e-6 to 3 %; those below 3e-8 do not move anything.
/// @throws std::invalid_argument if the sizes differ, two of p, m and the copy are the same memory, or an option is out
///         of range: rate, decay >= 0, momentum in [0, 1), and above 0 with Nesterov.
/// @note Bytes a float parameter after `combine` of two gradients: 16, with momentum 24; a 16-bit copy 2 more. Bitwise
///       for any executor.
template <detail::parameter_vector P, mutable_vector M>
auto sgd(P&& p, M&& m, const sgd_options& options = {}) {
  const char* function = "hone::gradient::sgd";
  using T = detail::parameter_t<P>;
  using A = accumulator_t<T>;
  static_assert(std::is_same_v<A, accumulator_t<element_t<M>>>,
                "hone::gradient::sgd: parameters and momentum compute in different types");
  const auto [ps, copy] = detail::open_parameters(p, function);
  const auto in_range = [&](double value, double high, const char* name) {
    invalid_argument_unless(value >= 0 && value < high, function, name, "must be in [0, %g), is %g", high, value);
  };
  in_range(options.learning_rate, 1e300, "learning_rate");
  in_range(options.weight_decay, 1e300, "weight_decay");
  in_range(options.momentum, 1, "momentum");
  invalid_argument_unless(!options.nesterov || options.momentum > 0, function, "nesterov", "needs momentum above 0");
  vector_view<element_t<M>> ms;
  if (options.momentum > 0) {
    ms = output_vector(m, function, "m");
    invalid_argument_unless(ms.size() == ps.size(), function, "m", "has %td elements, p has %td", ms.size(), ps.size());
    check_apart(ms, ps, function, "m", "p");
    if constexpr (!std::is_same_v<std::remove_const_t<decltype(copy)>, detail::no_copy>)
      check_apart(copy, ms, function, "copy", "m");
  }
  return sgd_step<T, element_t<M>, std::remove_const_t<decltype(copy)>>{ps,
                                                                        ms,
                                                                        copy,
                                                                        static_cast<A>(options.learning_rate),
                                                                        static_cast<A>(options.momentum),
                                                                        static_cast<A>(options.weight_decay),
                                                                        options.nesterov};
}

/// The same without momentum, which needs no buffer.
template <detail::parameter_vector P>
auto sgd(P&& p, const sgd_options& options = {}) {
  return sgd(p, vector_view<detail::parameter_t<P>>(), options);
}

}  // namespace HONE_NAMESPACE::gradient
