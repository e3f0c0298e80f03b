// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Where experts choose, all have the same load, but tokens may have many of them or none. The token-coverage loss of a
/// pool of tokens that compete, with q the softmax of an expert over them and n_i the experts of token i:
///   sum_i (sum_e q_ie) n_i / (E k)
/// 1 where all n_i = k, c E / (T k) where each of T tokens has the same number of c E slots.
/// [`ec_load_balancing_loss_func` in the authors' code of arXiv 2604.01622; not in the paper]
#pragma once
#include "hone/moe/balance.hpp"

namespace HONE_NAMESPACE::moe {

/// Sum over the pools of what is said above; counts the pools that have tokens which compete.
/// @param logits (E x T), any strides; @param plan of these logits, held constant
/// @param per_token k, which may be a mean over sequences (the authors' code cuts that mean to an integer)
/// @param pools borders: pool i has tokens [pools[i], pools[i + 1]); empty: all are one. The authors' code takes all of
///        the microbatch as one even where experts choose within sequences, and padding as tokens; a microbatch is then
///        what the loss depends on. Within each sequence it does not.
/// @param dlogits (E x T), to which the gradient of scale * sum is added, or 0 x 0
/// @throws std::invalid_argument if sizes do not fit, the borders do not ascend from 0 to T, k is not positive, or
///         scale is not finite; nothing is written then.
/// @note Two reads of the logits, one more with the read and write of the gradient; allocates T values. Bitwise for any
///       executor, and a pool's loss and gradient do not depend on those beside it. Logits that are not finite are
///       counted and have no part; an expert without a finite one in a pool adds 0 there.
template <matrix_like Z, class T, mutable_matrix G, executor E = const serial>
loss_sum coverage_loss(const Z& logits, const routing_plan<T>& plan, double per_token, std::span<const index_t> pools,
                       G&& dlogits, const balance_options& options = {}, E&& pool = serial{}) {
  using A = accumulator_t<element_t<Z>>;
  using packs = simd::pack<A>;
  const char* function = "hone::moe::coverage_loss";
  const auto zs = as_matrix(logits);
  const auto out = detail::check_balance(zs, dlogits, options, function);
  detail::check_plan_of(plan, zs.rows(), zs.cols(), function);
  invalid_argument_unless(per_token > 0 && per_token < 1e300, function, "per_token",
                          "must be positive and finite, is %g", per_token);
  const index_t all[] = {0, zs.cols()}, experts = zs.rows();
  if (pools.empty()) pools = all;
  detail::check_borders(pools, zs.cols(), function, "pools");
  std::vector<A> taken(static_cast<std::size_t>(zs.cols()), A{-1});  // n_i; -1: does not compete
  for (index_t t = 0; t < zs.cols(); ++t)
    if (detail::competing(options.competes, t)) taken[static_cast<std::size_t>(t)] = static_cast<A>(plan.experts_of(t));
  const double expected = static_cast<double>(experts) * per_token;
  constexpr A none = -std::numeric_limits<A>::infinity();
  double sums[2];
  blocked_sum<2, 1>(
      (std::ssize(pools) - 1) * experts, sums,
      [&](index_t item, index_t, double* partial) {
        const index_t i = item / experts, e = item % experts;
        const index_t begin = pools[static_cast<std::size_t>(i)];
        const index_t n = pools[static_cast<std::size_t>(i) + 1] - begin;
        const auto row = zs.row(e).subvector(begin, n);
        const vector_view<const A> own(taken.data() + begin, n);
        simd::counter<A> bad;
        packs largest(none);
        for_each_pack<packs::lanes>(
            0, n,
            [&](index_t t, auto bound) HONE_INLINE_LAMBDA {
              const packs x = load_pack(row, t, bound);
              const simd::mask<A> kept = load_pack(own, t, bound, A{-1}) >= packs(0), finite = simd::finite(x);
              bad.add(kept & !finite);
              largest = (simd::max)(simd::select(kept & finite, x, packs(none)), largest);
            },
            row, own);
        partial[1] = static_cast<double>(bad.total());
        const A top = simd::horizontal_max(largest);
        if (top == none) return;
        // Runs are copied first, whatever their strides and ends: bits then do not depend on these.
        constexpr int run = 1024;
        alignas(64) A x[run], number[run];
        const auto read = [&](index_t first, index_t last) {
          for_each_pack<packs::lanes>(
              first, last,
              [&](index_t t, auto bound) HONE_INLINE_LAMBDA {
                const packs z = load_pack(row, t, bound), taken_by = load_pack(own, t, bound, A{-1});
                const simd::mask<A> has_part = (taken_by >= packs(0)) & simd::finite(z);
                simd::store(x + t - first, simd::select(has_part, z, packs(none)));
                simd::store(number + t - first, taken_by);
              },
              row, own);
        };
        double total = 0, weighted = 0;
        for (index_t first = 0; first < n; first += run) {
          const index_t last = (min)(first + run, n);
          read(first, last);
          packs powers(0), moments(0);
          for (index_t k = 0; k < last - first; k += packs::lanes) {
            const packs power = simd::exp_softmax(simd::load<A>(x + k) - packs(top));
            powers += power;
            moments += power * simd::load<A>(number + k);
          }
          total += static_cast<double>(simd::horizontal_sum(powers));
          weighted += static_cast<double>(simd::horizontal_sum(moments));
        }
        const double mean = weighted / total;
        partial[0] = mean / expected;
        if (out.rows() == 0) return;
        const packs factor(detail::narrowed<A>(options.scale / expected / total)), centre(static_cast<A>(mean));
        const auto gradient = out.row(e).subvector(begin, n);
        for (index_t first = 0; first < n; first += run) {
          const index_t last = (min)(first + run, n);
          read(first, last);
          for (index_t k = 0; k < last - first; k += packs::lanes) {
            const packs power = simd::exp_softmax(simd::load<A>(x + k) - packs(top));
            simd::store(x + k, power * factor * (simd::load<A>(number + k) - centre));
          }
          for_each_pack<packs::lanes>(
              first, last,
              [&](index_t t, auto bound) HONE_INLINE_LAMBDA {
                store_pack(gradient, t, bound, load_pack(gradient, t, bound) + simd::load<A>(x + t - first));
              },
              gradient);
        }
      },
      pool);
  index_t count = 0;
  for (std::size_t i = 0; i + 1 < pools.size(); ++i)
    count += detail::count_competing(options.competes, pools[i], pools[i + 1]) > 0 ? 1 : 0;
  return {sums[0], count, static_cast<index_t>(sums[1])};
}

}  // namespace HONE_NAMESPACE::moe
