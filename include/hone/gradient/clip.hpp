// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Clipping of the combination g to length: g min(1, max_norm / |g|), as torch.nn.utils.clip_grad_norm_ but without its
/// 1e-6 in the denominator.
///   clipped{method, max_norm}   a method on inner products, each group clipped by itself: |g|^2 = <w, G w> is known
///                               before the second pass, so that clipping costs nothing; exact for the whole model if
///                               it is one group
///   combined_squared_norm       |g|^2 of any method over any groups by one more read, then `scaled{method, factor}`
#pragma once
#include "hone/gradient/combine.hpp"

namespace HONE_NAMESPACE::gradient {

/// min(1, max_norm / |g|); 1 where |g|^2 is not finite: such gradients are counted, not hidden. A |g|^2 that rounding
/// made negative is 0.
/// @throws std::invalid_argument if @p max_norm is negative or NaN; infinity clips nothing.
inline double clip_factor(double squared_norm, double max_norm) {
  invalid_argument_unless(max_norm >= 0, "hone::gradient::clip_factor", "max_norm", "must be at least 0, is %g",
                          max_norm);
  const double norm = std::sqrt(squared_norm);
  return std::isfinite(norm) && norm > max_norm ? max_norm / norm : 1;
}

/// @p method, each group's result no longer than @c max_norm (>= 0). The rounding of <w, G w> is relative to the
/// weighted gradients, which may be longer than their sum.
template <class Method>
struct clipped {
  Method method;
  double max_norm = 1;

  void check() const {
    method.check();
    detail::check_weight(max_norm, "hone::gradient::clipped", "max_norm");
  }
  template <std::size_t K>
    requires(gram_method<Method, K> && !grouped_gram_method<Method, K>)
  [[nodiscard]] auto weights(const gram_matrix<K>& g) const {
    return clip(g, method.weights(g));
  }
  template <std::size_t K>
    requires grouped_gram_method<Method, K>
  [[nodiscard]] auto weights(const gram_matrix<K>& g, std::size_t group) const {
    return clip(g, method.weights(g, group));
  }
  void check(std::size_t groups) const
    requires requires(const Method& m) { m.check(groups); }
  {
    method.check(groups);
    detail::check_weight(max_norm, "hone::gradient::clipped", "max_norm");
  }

 private:
  template <std::size_t K, class Weights>
  Weights clip(const gram_matrix<K>& g, Weights w) const {
    const double factor = clip_factor(g.squared_norm(w), max_norm);
    for (double& x : w) x *= factor;
    return w;
  }
};

namespace detail {

template <class A, class Run>
struct scaled_run {
  Run run;
  simd::pack<A> factor;
  HONE_INLINE simd::pack<A> operator()(const auto& x) { return factor * run(x); }
};

}  // namespace detail

/// @p method, its result times @c factor (>= 0).
template <class Method>
struct scaled {
  Method method;
  double factor = 1;

  void check() const {
    method.check();
    detail::check_weight(factor, "hone::gradient::scaled", "factor");
  }
  template <std::size_t K>
    requires(gram_method<Method, K> && !grouped_gram_method<Method, K>)
  [[nodiscard]] auto weights(const gram_matrix<K>& g) const {
    auto w = method.weights(g);
    for (double& x : w) x *= factor;
    return w;
  }
  template <class A>
    requires element_method<Method, A, 2>
  HONE_INLINE simd::pack<A> operator()(const simd::pack<A>& f, const simd::pack<A>& r) const
    requires requires { method(f, r); }
  {
    return simd::pack<A>(static_cast<A>(factor)) * method(f, r);
  }
  template <class A>
    requires requires(const Method& m, index_t element) { m.template start<A>(element); }
  HONE_INLINE auto start(index_t element) const {
    using run = decltype(method.template start<A>(element));
    return detail::scaled_run<A, run>{method.template start<A>(element), simd::pack<A>(static_cast<A>(factor))};
  }
};

/// |g|^2 of what `combine` would make of the same arguments, without making it.
/// @throws std::invalid_argument as `combine`.
/// @note One read of the K gradients; allocates nothing; bitwise for any executor. Not for methods whose state a step
///       advances: take their weights once, then `weighted_sum`.
template <class Method, scalar T, std::size_t K, executor E = const serial>
double combined_squared_norm(const Method& method, const task_gradients<T, K>& g, const combine_options& options = {},
                             E&& pool = serial{}) {
  static_assert(!grouped_gram_method<Method, K>,
                "hone::gradient::combined_squared_norm: the method's state would advance twice");
  if constexpr (gram_method<Method, K>) {
    const index_t whole[2] = {0, g.size()};
    const auto groups = detail::groups_of<Method>(g, options, whole);
    method.check();
    double total = 0;
    for (std::size_t i = 0; i + 1 < groups.size(); ++i) {
      const auto products = gram(g.slice(groups[i], groups[i + 1] - groups[i]), pool);
      total += products.squared_norm(method.weights(products));
    }
    return total;
  } else {
    const auto nowhere = [](index_t, vector_view<const accumulator_t<T>>) {};
    return combine(method, g, nowhere, {.groups = options.groups, .geometry = true}, pool).combined_squared;
  }
}

}  // namespace HONE_NAMESPACE::gradient
