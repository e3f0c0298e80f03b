// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a router is penalised for, each with its gradient by the logits L (E experts x T tokens that compete); p is the
/// softmax of a token over experts, n_e the tokens that chose expert e, before any is dropped, N = sum_e n_e (T k where
/// each token chooses k):
///   switch_loss     E sum_e (n_e / N) mean_t p_te                    [Fedus et al. 2021, Switch, 2101.03961, Eq. 4]
///   sequence_loss   the same within each sequence, its mean over sequences         [DeepSeek-AI 2024, 2405.04434]
///   z_loss          mean_t (log sum_e exp L_te)^2                    [Zoph et al. 2022, ST-MoE, 2202.08906, Eq. 5]
///   relu_loss       mean_te f_e max(L_te, 0), f_e = E n_e / (k T)    [Wang et al. 2024, ReMoE, 2412.14711]
/// Token coverage is in moe/coverage.hpp. Counts are held constant in gradients.
///
/// One call is one layer and one microbatch: layers never share counts (experts of different layers that are full and
/// empty in turn are not balanced). Losses are sums with the number of items that they count, and the caller divides:
/// added up over microbatches and ranks (three doubles by `communicator::all_reduce`), sum / count does not depend on
/// the cut, and neither do the bits of a token's gradient; those of the sum are the same for any executor. A mean of
/// per-microbatch Switch losses is another loss than that of the whole batch, which `global_switch_loss` is.
///
/// Tokens that do not compete (padding) have no part. A logit that is not finite is counted, has probability 0 and
/// gradient 0; a token without a finite one adds 0. Zero tokens: all 0.
#pragma once
#include "hone/core/output.hpp"
#include "hone/moe/detail/token_softmax.hpp"

namespace HONE_NAMESPACE::moe {

/// A loss as a sum and how many items (tokens, sequences or pools) it counts.
struct loss_sum {
  double sum = 0;
  index_t count = 0;
  index_t nonfinite = 0;  ///< logits that are not finite; and losses, where finite logits overflow

  /// 0 of nothing.
  [[nodiscard]] double mean() const { return count == 0 ? 0 : sum / static_cast<double>(count); }
  loss_sum& operator+=(const loss_sum& other) {
    sum += other.sum;
    count += other.count;
    nonfinite += other.nonfinite;
    return *this;
  }
};

/// Common to the losses on router logits.
struct balance_options {
  double scale = 1;                             ///< the gradient is that of scale * sum; coefficient / count for a mean
  std::span<const std::uint8_t> competes = {};  ///< one a token, 0: padding; empty: all compete
};

namespace detail {

/// Also opens @p dlogits.
template <class Z, class G>
auto check_balance(const Z& logits, G&& dlogits, const balance_options& options, const char* function) {
  static_assert(std::is_same_v<accumulator_t<element_t<Z>>, accumulator_t<element_t<G>>>,
                "hone::moe: logits and dlogits are computed in one type");
  const auto out = output_matrix(dlogits, function, "dlogits");
  invalid_argument_unless(
      (out.rows() == logits.rows() && out.cols() == logits.cols()) || (out.rows() == 0 && out.cols() == 0), function,
      "dlogits", "is %td x %td, logits are %td x %td", out.rows(), out.cols(), logits.rows(), logits.cols());
  check_competes(options.competes, logits.cols(), function);
  invalid_argument_unless(std::abs(options.scale) < 1e300, function, "scale", "must be finite, is %g", options.scale);
  return out;
}

template <class T>
void check_plan_of(const routing_plan<T>& plan, index_t experts, index_t tokens, const char* function) {
  check_plan(plan, function);
  invalid_argument_unless(plan.experts == experts && plan.tokens == tokens, function, "plan",
                          "is of %td experts and %td tokens, logits are %td x %td", plan.experts, plan.tokens, experts,
                          tokens);
}

/// A matrix of no rows stays one.
template <scalar T>
matrix_view<T> columns(const matrix_view<T>& x, index_t begin, index_t count) {
  return {x.rows() == 0 ? x.data() : x.data() + begin * x.col_stride(), x.rows(), count, x.row_stride(),
          x.col_stride()};
}

/// E n_e / N; 0 of nothing.
inline double share_of(index_t experts, index_t count, index_t total) {
  return total == 0 ? 0 : static_cast<double>(experts) * static_cast<double>(count) / static_cast<double>(total);
}

/// sum_e w_e p_te over the tokens, of weights less their mean: what is even leaves no rounding in the gradient.
template <scalar T, scalar G, executor E>
loss_sum weighted_softmax(const matrix_view<T>& logits, const matrix_view<G>& dlogits,
                          std::span<const std::uint8_t> competes, std::span<const double> weights, double scale,
                          E& pool) {
  double mean = 0;
  for (const double w : weights) mean += w;
  mean /= static_cast<double>(weights.size());
  std::vector<accumulator_t<T>> own;
  for (const double w : weights) own.push_back(static_cast<accumulator_t<T>>(w - mean));
  const auto term = [mean](double, double sum, double weighted) {
    return token_term{mean + weighted / sum, 1, weighted / sum};
  };
  const token_sums s = sum_tokens<T>(logits, dlogits, competes, own, scale, term, pool);
  return {s.loss, s.tokens, s.nonfinite};
}

}  // namespace detail

/// counts[e] += n_e: the slots of expert e and those that it dropped. To be added up over the microbatches of a step,
/// and over ranks (as doubles by `communicator::all_reduce`: exact below 2^53).
/// @throws std::invalid_argument unless the sizes agree. @note One pass over experts and what was dropped.
template <class T>
void count_chosen(const routing_plan<T>& plan, std::span<index_t> counts) {
  const char* function = "hone::moe::count_chosen";
  detail::check_plan(plan, function);
  detail::check_counts(counts, plan.experts, function);
  for (index_t e = 0; e < plan.experts; ++e) counts[static_cast<std::size_t>(e)] += plan.load(e);
  for (const dropped_slot<T>& d : plan.dropped) ++counts[static_cast<std::size_t>(d.expert)];
}

/// The Switch loss by the counts of a whole batch: sum over these tokens of E sum_e (n_e / total) p_te. Its mean over
/// all microbatches is the loss of the batch. The counts come from a first forward of all microbatches.
/// @param logits (E x T), any strides; @param counts (E) of the batch (`count_chosen`); @param total their sum, or T k
/// @param dlogits (E x T), to which the gradient of scale * sum is added, or 0 x 0
/// @throws std::invalid_argument if sizes do not fit, a count or @p total is negative, or scale is not finite; nothing
///         is written then.
/// @note One read of the logits, one read and write of the gradient; allocates 128 E values a worker's range, 24 bytes
///       for each 128 tokens. Bitwise for any executor; a token's gradient also for any cut and any strides.
///       Exponentials, and sums of 16 of them, in the logits' accumulator type, the rest in double.
template <matrix_like Z, mutable_matrix G, executor E = const serial>
loss_sum global_switch_loss(const Z& logits, std::span<const index_t> counts, index_t total, G&& dlogits,
                            const balance_options& options = {}, E&& pool = serial{}) {
  const char* function = "hone::moe::global_switch_loss";
  const auto zs = as_matrix(logits);
  const auto out = detail::check_balance(zs, dlogits, options, function);
  detail::check_counts(counts, zs.rows(), function);
  invalid_argument_unless(total >= 0, function, "total", "must not be negative, is %td", total);
  std::vector<double> weights;
  for (const index_t n : counts) weights.push_back(detail::share_of(zs.rows(), n, total));
  return detail::weighted_softmax(zs, out, options.competes, weights, options.scale, pool);
}

/// The Switch loss of one microbatch: as above by the plan's own counts.
/// @param plan of these logits
template <matrix_like Z, class T, mutable_matrix G, executor E = const serial>
loss_sum switch_loss(const Z& logits, const routing_plan<T>& plan, G&& dlogits, const balance_options& options = {},
                     E&& pool = serial{}) {
  const auto zs = as_matrix(logits);
  detail::check_plan_of(plan, zs.rows(), zs.cols(), "hone::moe::switch_loss");
  std::vector<index_t> counts(static_cast<std::size_t>(plan.experts));
  count_chosen(plan, counts);
  return global_switch_loss(zs, counts, std::ssize(plan.token) + std::ssize(plan.dropped), dlogits, options, pool);
}

/// Sum over sequences of sum_e n_e^b / (N^b / E) mean_t p_te, by each one's own counts and tokens; counts the sequences
/// that have tokens which compete. Megatron's `seq_aux_loss`, but that padding is no token: with it as one, the loss
/// is nearly 1 whatever is chosen.
/// @param sequences borders: sequence b has tokens [sequences[b], sequences[b + 1])
/// @throws std::invalid_argument as `switch_loss`, and unless the borders ascend from 0 to T.
/// @note As `switch_loss`, but allocates E doubles a sequence and T integers. A sequence's loss and gradient do not
///       depend on the others beside it.
template <matrix_like Z, class T, mutable_matrix G, executor E = const serial>
loss_sum sequence_loss(const Z& logits, const routing_plan<T>& plan, std::span<const index_t> sequences, G&& dlogits,
                       const balance_options& options = {}, E&& pool = serial{}) {
  const char* function = "hone::moe::sequence_loss";
  const auto zs = as_matrix(logits);
  const auto out = detail::check_balance(zs, dlogits, options, function);
  detail::check_plan_of(plan, zs.rows(), zs.cols(), function);
  detail::check_borders(sequences, zs.cols(), function, "sequences");
  const auto at = [](index_t i) { return static_cast<std::size_t>(i); };
  const index_t experts = zs.rows(), count = std::ssize(sequences) - 1;
  std::vector<std::int32_t> sequence_of(at(zs.cols()));
  for (index_t b = 0; b < count; ++b)
    for (index_t t = sequences[at(b)]; t < sequences[at(b + 1)]; ++t) sequence_of[at(t)] = static_cast<std::int32_t>(b);
  std::vector<double> weights(at(count * experts));  // n_e^b at first
  const auto chosen = [&](index_t e, std::int32_t t) { ++weights[at(sequence_of[at(t)] * experts + e)]; };
  for (index_t e = 0; e < experts; ++e)
    for (index_t s = plan.offsets[at(e)]; s < plan.offsets[at(e + 1)]; ++s) chosen(e, plan.token[at(s)]);
  for (const dropped_slot<T>& d : plan.dropped) chosen(d.expert, d.token);
  double sums[3];
  blocked_sum<3, 1>(
      count, sums,
      [&](index_t b, index_t, double* partial) {
        const index_t begin = sequences[at(b)], end = sequences[at(b + 1)];
        const index_t tokens = detail::count_competing(options.competes, begin, end);
        if (tokens == 0) return;
        const std::span<double> own(weights.data() + b * experts, at(experts));
        double total = 0;
        for (const double n : own) total += n;
        for (double& n : own) n = total == 0 ? 0 : static_cast<double>(experts) * n / total;
        const std::span<const std::uint8_t> competes =
            options.competes.empty() ? options.competes : options.competes.subspan(at(begin), at(end - begin));
        const serial alone;
        const auto length = static_cast<double>(tokens);
        const loss_sum loss =
            detail::weighted_softmax(detail::columns(zs, begin, end - begin), detail::columns(out, begin, end - begin),
                                     competes, own, options.scale / length, alone);
        partial[0] = loss.sum / length;
        partial[1] = 1;
        partial[2] = static_cast<double>(loss.nonfinite);
      },
      pool);
  return {sums[0], static_cast<index_t>(sums[1]), static_cast<index_t>(sums[2])};
}

/// sum_t (log sum_e exp L_te)^2, over finite logits.
/// @param logits (E x T); @param dlogits (E x T), to which the gradient of scale * sum is added, or 0 x 0
/// @throws std::invalid_argument if sizes do not fit or scale is not finite. @note As `global_switch_loss`.
template <matrix_like Z, mutable_matrix G, executor E = const serial>
loss_sum z_loss(const Z& logits, G&& dlogits, const balance_options& options = {}, E&& pool = serial{}) {
  const auto zs = as_matrix(logits);
  const auto out = detail::check_balance(zs, dlogits, options, "hone::moe::z_loss");
  const auto term = [](double largest, double sum, double) {
    const double l = largest + std::log(sum);
    return detail::token_term{l * l, 2, -l};
  };
  const detail::token_sums s = detail::sum_tokens(zs, out, options.competes, {}, options.scale, term, pool);
  return {s.loss, s.tokens, s.nonfinite};
}

/// ReMoE's loss: sum over tokens of mean_e f_e max(L_te, 0), f_e = E n_e / (k T) with the counts of the batch, held
/// constant; without counts f_e = 1, plain L1. (Implementations that sum over experts have E times this.)
/// @param counts (E) of logits above 0 (`count_chosen`), or empty; @param total k T of the tokens that they were
///        counted over
/// @throws std::invalid_argument as `global_switch_loss`. @note One read of the logits, one read and write of the
///         gradient; allocates nothing. Bitwise for any executor; a token's gradient also for any cut.
template <matrix_like Z, mutable_matrix G, executor E = const serial>
loss_sum relu_loss(const Z& logits, std::span<const index_t> counts, index_t total, G&& dlogits,
                   const balance_options& options = {}, E&& pool = serial{}) {
  using O = element_t<G>;
  const char* function = "hone::moe::relu_loss";
  const auto zs = as_matrix(logits);
  const auto out = detail::check_balance(zs, dlogits, options, function);
  if (!counts.empty()) detail::check_counts(counts, zs.rows(), function);
  invalid_argument_unless(total >= 0, function, "total", "must not be negative, is %td", total);
  const index_t runs = (zs.cols() + block_size - 1) / block_size;
  double sums[2];
  blocked_sum<2, 1>(
      zs.rows() * runs, sums,
      [&](index_t item, index_t, double* partial) {
        const index_t e = item / runs, begin = item % runs * block_size;
        const double share =
            counts.empty() ? 1 : detail::share_of(zs.rows(), counts[static_cast<std::size_t>(e)], total);
        const double weight = share / static_cast<double>(zs.rows());
        const auto slope = static_cast<accumulator_t<O>>(options.scale * weight);
        for (index_t t = begin; t < (min)(begin + block_size, zs.cols()); ++t) {
          if (!detail::competing(options.competes, t)) continue;
          const auto z = static_cast<double>(to_accumulator(zs(e, t)));
          if (!std::isfinite(z)) {
            partial[1] += 1;
          } else if (z > 0) {
            partial[0] += weight * z;
            if (out.rows() != 0) out(e, t) = from_accumulator<O>(to_accumulator(out(e, t)) + slope);
          }
        }
      },
      pool);
  return {sums[0], detail::count_competing(options.competes, 0, zs.cols()), static_cast<index_t>(sums[1])};
}

}  // namespace HONE_NAMESPACE::moe
