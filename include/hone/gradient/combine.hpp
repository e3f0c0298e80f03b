// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Several task gradients in, one update direction out. A method is one of two things:
///   weights(const gram_matrix<K>&) const -> std::array<double, K>     the combination is sum_i w_i g_i; may be
///                                              `solved_weights<K>`, which say whether a solver converged
///   operator()(pack forget, pack retain) const -> pack                the combination is made element by element
/// and has check() const, which throws on hyper-parameters out of range. A method that keeps something for each group
/// takes weights(g, std::size_t group) and check(std::size_t groups); one that needs all tasks or the place of an
/// element offers
///   start<A>(index_t element) const -> run     run(const pack<A> (&tasks)[K]) -> pack, called for the packs of a block
///                                              in order, the first of which begins at @c element; may keep what it
///                                              likes
/// This header is the one driver of all.
#pragma once
#include "hone/gradient/detail/blocks.hpp"

#include <span>

namespace HONE_NAMESPACE::gradient {

struct combine_options {
  /// Borders of the groups that a Gram method treats one by one: ascending, the first 0, the last n (a tensor table's
  /// offsets, say). Empty: one group, the whole model. Methods that work element by element have no use for it.
  std::span<const index_t> groups{};
  /// Fill the whole report. Costs arithmetic, no memory traffic.
  bool geometry = false;
};

/// A Gram method that keeps something for each group.
template <class M, std::size_t K>
concept grouped_gram_method = requires(const M& m, const gram_matrix<K>& g, std::size_t group) {
  { m.weights(g, group) } -> std::convertible_to<std::array<double, K>>;
  m.check(group);
};

template <class M, std::size_t K>
concept gram_method = grouped_gram_method<M, K> || requires(const M& m, const gram_matrix<K>& g) {
  { m.weights(g) } -> std::convertible_to<std::array<double, K>>;
  m.check();
};

/// An element method that sees all tasks and where it is.
template <class M, class T, std::size_t K>
concept started_element_method = requires(const M& m, const pack_of<T> (&x)[K], index_t i) {
  { m.template start<accumulator_t<T>>(i)(x) } -> std::convertible_to<pack_of<T>>;
  m.check();
};

template <class M, class T, std::size_t K>
concept element_method = started_element_method<M, T, K> || (K == 2 && requires(const M& m, pack_of<T> x) {
                           { m(x, x) } -> std::convertible_to<pack_of<T>>;
                           m.check();
                         });

/// Where finished blocks go: sink(begin, block) for elements [begin, begin + block.size()), at most `block_size` of
/// them, in the accumulator type. Called once an element, from any thread of the executor, never overlapping. One that
/// offers size() is handed that many elements.
template <class S, class T>
concept sink = !vector_like<S> && requires(S& s, vector_view<const accumulator_t<T>> block) { s(index_t{}, block); };

/// @throws std::invalid_argument unless @p groups are ascending borders from 0 to @p n.
inline void check_groups(std::span<const index_t> groups, index_t n) {
  const char* function = "hone::gradient::combine";
  invalid_argument_unless(groups.size() >= 2 && groups.front() == 0 && groups.back() == n, function, "groups",
                          "must begin with 0 and end with the number of parameters, %td", n);
  for (std::size_t i = 1; i < groups.size(); ++i)
    invalid_argument_unless(groups[i - 1] <= groups[i], function, "groups", "border %zu (%td) lies before border %zu",
                            i, groups[i], i - 1);
}

/// @throws std::invalid_argument if hyper-parameters are out of range or the state is not for so many @p groups.
template <std::size_t K, class M>
void check_method(const M& method, [[maybe_unused]] std::size_t groups) {
  if constexpr (grouped_gram_method<M, K>)
    method.check(groups);
  else
    method.check();
}

namespace detail {

/// Throws if @p out says how many elements it takes, and that is not @p n.
template <class S>
void check_sink(const S& out, index_t n, const char* function) {
  if constexpr (requires {
                  { out.size() } -> std::convertible_to<index_t>;
                })
    invalid_argument_unless(out.size() == n, function, "out", "takes %td elements, the gradients have %td",
                            index_t{out.size()}, n);
}

template <class M, std::size_t K>
solved_weights<K> weights_of(const M& method, const gram_matrix<K>& g, [[maybe_unused]] std::size_t group) {
  const auto w = [&] {
    if constexpr (grouped_gram_method<M, K>)
      return method.weights(g, group);
    else
      return method.weights(g);
  }();
  if constexpr (std::is_convertible_v<decltype(w), solved_weights<K>>)
    return w;
  else
    return {w};
}

template <scalar T, std::size_t K>
auto weighted_rule(const std::array<double, K>& weights) {
  using packs = pack_of<T>;
  std::array<packs, K> w;
  for (std::size_t a = 0; a < K; ++a) w[a] = packs(static_cast<accumulator_t<T>>(weights[a]));
  return [w](const packs(&x)[K]) HONE_INLINE_LAMBDA {
    packs result = w[0] * x[0];
    for (std::size_t a = 1; a < K; ++a) result += w[a] * x[a];
    return result;
  };
}

/// The same summed in double, for elements that compute in float.
template <std::size_t K>
auto wide_weighted_rule(const std::array<double, K>& weights) {
  return [weights](const simd::pack<float>(&x)[K]) HONE_INLINE_LAMBDA {
    simd::double_halves sum{simd::pack<double>(0), simd::pack<double>(0)};
    for (std::size_t a = 0; a < K; ++a) {
      const simd::double_halves wide = simd::widen(x[a]);
      sum.low += simd::pack<double>(weights[a]) * wide.low;
      sum.high += simd::pack<double>(weights[a]) * wide.high;
    }
    return simd::narrow(sum);
  };
}

/// Whether sum_i w_i g_i must be summed in double: a weight of a gradient that is not 0 does not fit float, being too
/// large or below its normal numbers, or the terms cancel to less than 2^-12 of their lengths, so that little of
/// float's 24 digits would be left.
template <std::size_t K>
bool needs_wide_sum(const std::array<double, K>& weights, const gram_matrix<K>& g) {
  constexpr double largest = static_cast<double>((std::numeric_limits<float>::max)()),
                   least = static_cast<double>((std::numeric_limits<float>::min)());
  double lengths = 0;
  bool fits = true;
  for (std::size_t i = 0; i < K; ++i) {
    const double weight = std::abs(weights[i]);
    lengths += weight * std::sqrt(g(i, i));
    fits = fits && !(weight > largest) && (weight == 0 || !(weight < least) || g(i, i) == 0);
  }
  return !fits || lengths > 0x1p12 * std::sqrt(g.squared_norm(weights));
}

/// A started method's rule.
template <class A, class Method>
struct started_rule {
  Method method;
  index_t offset;
  HONE_INLINE auto start(index_t begin) const { return method.template start<A>(offset + begin); }
};

template <scalar T, std::size_t K, class Method>
auto element_rule(const Method& method, [[maybe_unused]] index_t offset) {
  static_assert(element_method<Method, T, K>,
                "hone::gradient::combine: the method offers neither weights(gram_matrix<K>) nor (forget, retain)");
  if constexpr (started_element_method<Method, T, K>)
    return started_rule<accumulator_t<T>, Method>{method, offset};
  else
    return [method](const pack_of<T>(&x)[K]) HONE_INLINE_LAMBDA { return method(x[0], x[1]); };
}

template <class Rule, scalar T, std::size_t K, class Out>
combine_report<K> apply_rule(const Rule& rule, const task_gradients<T, K>& g, bool geometry, Out& out, index_t at,
                             executor_reference pool) {
  return geometry ? apply<true>(rule, g, out, at, pool) : apply<false>(rule, g, out, at, pool);
}

template <scalar T, std::size_t K, class Out>
combine_report<K> apply_weights(const std::array<double, K>& weights, const gram_matrix<K>& gram,
                                const task_gradients<T, K>& g, bool geometry, Out& out, index_t at,
                                executor_reference pool) {
  if constexpr (std::is_same_v<accumulator_t<T>, float>)
    if (needs_wide_sum(weights, gram)) return apply_rule(wide_weighted_rule<K>(weights), g, geometry, out, at, pool);
  return apply_rule(weighted_rule<T>(weights), g, geometry, out, at, pool);
}

}  // namespace detail

/// What `combine` does to one group whose products are there, added up over ranks, say.
/// @param gram, group the products of the whole group, and its number; elements alone matter to other methods.
/// @param out a sink, or memory of @p at + g.size() elements or more that the caller has checked (`check_output`).
/// @param at where @p g begins in @p out; @p element where it begins in the whole, for methods that ask.
template <class Method, scalar T, std::size_t K, class Out>
combine_report<K> combine_group(const Method& method, const gram_matrix<K>& gram, std::size_t group,
                                const task_gradients<T, K>& g, Out& out, index_t at, index_t element, bool geometry,
                                executor_reference pool) {
  if constexpr (gram_method<Method, K>) {
    const solved_weights<K> weights = detail::weights_of(method, gram, group);
    auto report = detail::apply_weights(weights, gram, g, geometry, out, at, pool);
    report.unconverged = weights.converged ? 0 : 1;
    return report;
  } else {
    return detail::apply_rule(detail::element_rule<T, K>(method, element), g, geometry, out, at, pool);
  }
}

namespace detail {

/// The groups that a method treats one by one; @p whole is the one group of the others.
template <class Method, scalar T, std::size_t K>
std::span<const index_t> groups_of(const task_gradients<T, K>& g, const combine_options& options,
                                   std::span<const index_t> whole) {
  if (options.groups.empty()) return whole;
  check_groups(options.groups, g.size());
  return gram_method<Method, K> ? options.groups : whole;
}

/// Group after group. Runs of small groups are dealt out to the workers whole; a large group is cut among them. Small
/// is what leaves nobody waiting for long: an eighth of a worker's share.
template <class Method, scalar T, std::size_t K, class Out>
combine_report<K> combine_groups(const Method& method, const task_gradients<T, K>& g, Out& out,
                                 std::span<const index_t> groups, bool geometry, executor_reference pool) {
  const index_t dealt_whole = (max)(64 * block_size, g.size() / (8 * index_t{pool.concurrency()}));
  constexpr std::size_t batch = 64;
  const std::size_t count = groups.size() - 1;
  const auto size = [&](std::size_t i) { return groups[i + 1] - groups[i]; };
  const auto one = [&](std::size_t i, executor_reference workers) {
    const auto part = g.slice(groups[i], size(i));
    gram_matrix<K> products;
    if constexpr (gram_method<Method, K>) products = gram(part, workers);
    return combine_group(method, products, i, part, out, groups[i], groups[i], geometry, workers);
  };
  combine_report<K> total;
  for (std::size_t first = 0; first < count;) {
    std::size_t last = first;
    while (last < count && last - first < batch && size(last) <= dealt_whole) ++last;
    if (last == first) {
      total += one(first++, pool);
      continue;
    }
    combine_report<K> reports[batch];
    pool.parallel_for(static_cast<index_t>(last - first), index_t{1}, [&](index_t begin, index_t end) {
      const serial alone;
      for (index_t i = begin; i < end; ++i) reports[i] = one(first + static_cast<std::size_t>(i), alone);
    });
    for (std::size_t i = 0; i < last - first; ++i) total += reports[i];
    first = last;
  }
  return total;
}

}  // namespace detail

/// Combines the gradients @p g by @p method into @p out and reports what it saw. Elements, for methods that ask, are
/// counted from the beginning of @p g.
/// @param out n elements of memory, which may be that of one of the gradients (same element for element), or a `sink`.
/// @throws std::invalid_argument, before anything is written, if the size of @p out or the groups do not fit, @p out
///         is not memory of its own for each element, or a hyper-parameter is out of range.
/// @note Gram methods: one read of the K gradients for the products, one for the combination; the second finds a group
///       that fits a cache there. Element methods: one read. One write of @p out. Allocates nothing. Bitwise for any
///       executor. Non-finite inputs are not masked: they pass through the method and are counted.
template <class Method, scalar T, std::size_t K, class Out, executor E = const serial>
  requires(mutable_vector<Out> || sink<Out, T>)
combine_report<K> combine(const Method& method, const task_gradients<T, K>& g, Out&& out,
                          const combine_options& options = {}, E&& pool = serial{}) {
  static_assert(
      requires { method.check(); } || requires { method.check(std::size_t{}); },
      "hone::gradient::combine: the method has no check() const, which throws where a hyper-parameter is out of range");
  const index_t whole[2] = {0, g.size()};
  const std::span<const index_t> groups = detail::groups_of<Method>(g, options, whole);
  check_method<K>(method, groups.size() - 1);
  if constexpr (vector_like<Out>) {
    static_assert(std::is_same_v<accumulator_t<element_t<Out>>, accumulator_t<T>>,
                  "hone::gradient::combine: out and the gradients compute in different types");
    const auto target = output_vector(out, "hone::gradient::combine", "out");
    invalid_argument_unless(target.size() == g.size(), "hone::gradient::combine", "out",
                            "has %td elements, the gradients have %td", target.size(), g.size());
    return detail::combine_groups(method, g, target, groups, options.geometry, pool);
  } else {
    detail::check_sink(out, g.size(), "hone::gradient::combine");
    return detail::combine_groups(method, g, out, groups, options.geometry, pool);
  }
}

/// sum_i weights[i] g_i into @p out: the second half of `combine`, for gradients that lie in scattered tensors: add up
/// `gram` over the tensors, ask the method for its weights once, then call this a tensor at a time.
/// @param products the Gram matrix that the weights were made from. Where weights do not fit float, or cancel, 16-bit
///        and float gradients are then summed in double, as `combine` does; without it only where weights do not fit.
/// @return the counts of non-finite elements.
template <scalar T, std::size_t K, class Out, executor E = const serial>
  requires(mutable_vector<Out> || sink<Out, T>)
combine_report<K> weighted_sum(const std::array<double, K>& weights, const task_gradients<T, K>& g, Out&& out,
                               E&& pool = serial{}, const gram_matrix<K>& products = {}) {
  if constexpr (vector_like<Out>) {
    const auto target = output_vector(out, "hone::gradient::weighted_sum", "out");
    invalid_argument_unless(target.size() == g.size(), "hone::gradient::weighted_sum", "out",
                            "has %td elements, the gradients have %td", target.size(), g.size());
    return detail::apply_weights(weights, products, g, false, target, 0, pool);
  } else {
    detail::check_sink(out, g.size(), "hone::gradient::weighted_sum");
    return detail::apply_weights(weights, products, g, false, out, 0, pool);
  }
}

}  // namespace HONE_NAMESPACE::gradient
