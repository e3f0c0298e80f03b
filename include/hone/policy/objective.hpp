// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// One loss for the whole family: a ratio level (ratio.hpp), a surrogate (surrogate.hpp, anchor.hpp), a KL penalty
/// (kl.hpp), an entropy bonus, and an aggregation (batch.hpp),
///   l_t = weight_t surrogate(rho_t, A_t) + kl.coefficient k_t - entropy H_t,   L = sum_b w_b sum_t l_t / denominator
/// Only the log-probability of a token, M and H appear in it, so that its gradient on a row of logits is
///   a (1_y - pi) + b (pi 1_S - M pi) + c pi (log pi + H) [+ d (pi - q/Z 1_S)]
/// with coefficients that `policy_loss` writes and `write_gradient` (rows.hpp) turns into dL/dlogits:
///   measure(logits, ...);  policy_loss(objective, batch, mode, {terms});  write_gradient(logits, ..., terms, ...);
///
/// A ratio of the whole response is one number for all its tokens; each token has the loss of that ratio under its own
/// advantage, and the gradient is that of their sum. Where A is the same for all tokens of a response this is what
/// TRL and verl (its stop-gradient form of GSPO) compute.
#pragma once
#include "hone/policy/kl.hpp"
#include "hone/policy/surrogate.hpp"

namespace HONE_NAMESPACE::policy {

template <ratio_level Ratio, surrogate Surrogate>
struct objective {
  Ratio ratio{};
  Surrogate surrogate{};
  kl_penalty kl{};
  double entropy = 0;  ///< coefficient of the bonus

  void check() const {
    ratio.check();
    surrogate.check();
    kl.check();
    invalid_argument_unless(std::abs(entropy) < 1e300, "hone::policy::objective", "entropy", "must be finite, is %g",
                            entropy);
  }
};

template <class R, class S>
objective(R, S) -> objective<R, S>;
template <class R, class S>
objective(R, S, kl_penalty) -> objective<R, S>;
template <class R, class S>
objective(R, S, kl_penalty, double) -> objective<R, S>;

/// Where the results go.
struct loss_output {
  std::span<loss::row_terms> terms;  ///< T coefficients of the gradient of L (divided), 0 where nothing counts; or none
  std::span<double> losses = {};     ///< B: w_b sum_t l_t, undivided, for `total`; or none
  bool add = false;                  ///< to what is there: a second objective on the same tokens
};

/// Sums over the tokens that count, with the factors w_b, undivided.
struct policy_sum {
  double sum = 0;        ///< of l: L is sum / denominator
  double surrogate = 0;  ///< its parts, without their coefficients
  double kl = 0;
  double entropy = 0;
  double drift = 0;             ///< of log pi_old - log pi, over tokens, without w_b: KL(pi_old || pi), about
  index_t tokens = 0;           ///< the rest are counts
  index_t inactive = 0;         ///< A != 0, but no gradient from the surrogate: clipped, or weight 0
  index_t negative = 0;         ///< A < 0
  index_t negative_active = 0;  ///< A < 0 and a gradient
  index_t nonfinite = 0;        ///< losses that are

  policy_sum& operator+=(const policy_sum& other) {
    sum += other.sum;
    surrogate += other.surrogate;
    kl += other.kl;
    entropy += other.entropy;
    drift += other.drift;
    tokens += other.tokens;
    inactive += other.inactive;
    negative += other.negative;
    negative_active += other.negative_active;
    nonfinite += other.nonfinite;
    return *this;
  }
};

namespace detail {

/// One response of a batch under one objective.
template <class Ratio, class Surrogate>
struct response_pass {
  const objective<Ratio, Surrogate>& f;
  const token_batch& batch;
  std::size_t begin, end;
  index_t count;  // of tokens that count

  [[nodiscard]] double log_ratio(std::size_t t) const {
    return batch.log_probability[t] - (batch.old.empty() ? batch.log_probability[t] : batch.old[t]);
  }
  static double read(std::span<const double> x, std::size_t t) { return x.empty() ? 0 : x[t]; }
  [[nodiscard]] surrogate_value value(std::size_t t, double ratio) const {
    return f.surrogate({batch.log_probability[t], batch.advantage[t], read(batch.log_mass, t),
                        read(batch.reference_mass, t), read(batch.reference_likelihood, t)},
                       ratio);
  }
  [[nodiscard]] double weight(std::size_t t) const { return batch.weight.empty() ? 1 : batch.weight[t]; }

  /// @p each(t, value, slope): slope is the derivative of the surrogates' sum through the ratio.
  template <class Each>
  void tokens(Each&& each) const
    requires(!Ratio::of_sequence)
  {
    for (std::size_t t = begin; t < end; ++t) {
      if (!batch.counts(t)) continue;
      const double x = log_ratio(t), inside = clamp(x, -log_ratio_limit, log_ratio_limit), ratio = std::exp(inside);
      const surrogate_value v = value(t, ratio);
      each(t, v, inside < x || inside > x ? 0 : weight(t) * v.by_ratio * ratio);
    }
  }
  template <class Each>
  void tokens(Each&& each) const
    requires(Ratio::of_sequence)
  {
    double x = 0;
    for (std::size_t t = begin; t < end; ++t)
      if (batch.counts(t)) x += f.ratio.token(log_ratio(t), batch.advantage[t]).value;
    x *= f.ratio.share(count);
    const double inside = clamp(x, -log_ratio_limit, log_ratio_limit), ratio = std::exp(inside);
    double slope = 0;
    if (!(inside < x || inside > x))
      for (std::size_t t = begin; t < end; ++t)
        if (batch.counts(t)) slope += weight(t) * value(t, ratio).by_ratio;
    slope *= ratio * f.ratio.share(count);
    for (std::size_t t = begin; t < end; ++t)
      if (batch.counts(t)) each(t, value(t, ratio), f.ratio.token(log_ratio(t), batch.advantage[t]).moves ? slope : 0);
  }
};

}  // namespace detail

/// The loss of a batch, or of a part of one, and its gradient's coefficients.
/// @param mode aggregation with the denominator of the whole batch.
/// @throws std::invalid_argument if a parameter is out of range, or a span that the objective reads has not T elements;
///         nothing is written then.
/// @note A token whose log-probability or advantage is NaN has a loss and coefficients that are NaN, and is counted; no
///       other token's coefficients are touched (of other responses, if the ratio is the response's). Reads every span
///       once (three or four times, from cache, for a ratio of the response); allocates nothing; bitwise for any
///       executor, and for any cut of the batch between responses: add up `losses` with `total`.
template <class Ratio, class Surrogate, executor E = const serial>
policy_sum policy_loss(const objective<Ratio, Surrogate>& f, const token_batch& batch, const aggregation& mode,
                       const loss_output& out, E&& pool = serial{}) {
  const char* function = "hone::policy::policy_loss";
  detail::check_batch(batch, function);
  f.check();
  mode.check();
  const std::size_t tokens = batch.log_probability.size();
  detail::check_tokens(batch.reference.size(), tokens, f.kl.coefficient == 0, function, "reference");
  detail::check_tokens(batch.entropy.size(), tokens, f.entropy == 0, function, "entropy");
  detail::check_tokens(out.terms.size(), tokens, true, function, "terms");
  check_output(out.terms, function, "terms");
  check_output(out.losses, function, "losses");
  if constexpr (requires { f.surrogate.check_batch(batch, function); }) f.surrogate.check_batch(batch, function);
  const auto sequences = static_cast<std::size_t>(batch.sequences());
  invalid_argument_unless(out.losses.empty() || out.losses.size() == sequences, function, "losses",
                          "has %zu sequences, the batch has %zu", out.losses.size(), sequences);
  double sums[10];
  detail::sum_sequences<10>(
      batch.offsets, sums,
      [&](std::size_t b, std::size_t begin, std::size_t end, double* partial) {
        if (!out.add) {
          if (!out.losses.empty()) out.losses[b] = 0;
          if (!out.terms.empty())
            for (std::size_t t = begin; t < end; ++t) out.terms[t] = {};
        }
        const index_t count = count_tokens(batch.targets, begin, end);
        if (count == 0) return;
        const double share = mode.mean_of_tokens ? 1 / static_cast<double>(count) : 1;
        const double scale = share / mode.denominator;
        double surrogate = 0, kl = 0, entropy = 0, drift = 0;
        index_t inactive = 0, negative = 0, negative_active = 0, nonfinite = 0;
        const detail::response_pass<Ratio, Surrogate> pass{f, batch, begin, end, count};
        pass.tokens([&](std::size_t t, const surrogate_value& v, double slope) {
          const double a = batch.advantage[t], weight = pass.weight(t), log_ratio = pass.log_ratio(t);
          const bool beside = v.by_log_probability != 0 || v.by_mass != 0 || v.by_reference_likelihood != 0;
          const bool active = slope != 0 || (weight != 0 && beside);
          negative += a < 0;
          negative_active += a < 0 && active;
          inactive += a != 0 && !active;
          double target = slope + weight * v.by_log_probability, token_loss = weight * v.loss;
          surrogate += token_loss;
          drift -= log_ratio;
          if (f.kl.coefficient != 0) {
            const kl_value k = f.kl(batch.log_probability[t], batch.reference[t], log_ratio);
            kl += k.value;
            token_loss += f.kl.coefficient * k.value;
            target += f.kl.coefficient * k.slope;
          }
          if (f.entropy != 0) {
            entropy += batch.entropy[t];
            token_loss -= f.entropy * batch.entropy[t];
          }
          nonfinite += !std::isfinite(token_loss);
          if (out.terms.empty()) return;
          loss::row_terms& terms = out.terms[t];
          terms.target += scale * target;
          terms.subset += scale * weight * v.by_mass;
          terms.entropy += scale * f.entropy;
          terms.forward_kl -= scale * weight * v.by_reference_likelihood;
        });
        double* part = partial;
        *part++ = (surrogate + f.kl.coefficient * kl - f.entropy * entropy) * share;
        *part++ = surrogate * share;
        *part++ = kl * share;
        *part++ = entropy * share;
        *part++ = drift;
        for (const index_t n : {count, inactive, negative, negative_active, nonfinite})
          *part++ = static_cast<double>(n);
        if (!out.losses.empty()) out.losses[b] += partial[0];
      },
      pool);
  return {sums[0],
          sums[1],
          sums[2],
          sums[3],
          sums[4],
          static_cast<index_t>(sums[5]),
          static_cast<index_t>(sums[6]),
          static_cast<index_t>(sums[7]),
          static_cast<index_t>(sums[8]),
          static_cast<index_t>(sums[9])};
}

}  // namespace HONE_NAMESPACE::policy
