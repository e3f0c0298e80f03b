// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Losses on preferred and rejected answers. With c and r the log-ratios log p - log q of both answers to the reference
/// (their log-probabilities themselves without one), sums over tokens, or means where lengths are given, h = c - r:
///   dpo_loss        -log s(beta h), smoothed (cDPO) or robust    [Rafailov et al. 2023, DPO, arXiv 2305.18290, Eq. 7;
///                                                                 Chowdhury et al. 2024, robust DPO, arXiv 2403.00409]
///   ipo_loss        (h - 1 / (2 beta))^2                         [Azar et al. 2023, IPO, arXiv 2310.12036, Eq. 17]
///   hinge_loss      max(0, 1 - beta h)                           [Zhao et al. 2023, SLiC-HF, arXiv 2305.10425; RSO]
///   exo_loss        KL(Bernoulli(s(beta h)) || Bernoulli(1 - e)) [Ji et al. 2024, EXO, arXiv 2402.00856]
///   nca_loss        -log s(beta c) - 1/2 (log s(-beta c) + log s(-beta r))  [Chen et al. 2024, NCA, arXiv 2402.05369]
///   bco_loss        -log s(beta c - d) - log s(d - beta r)       [Jung et al. 2024, BCO, arXiv 2404.04656]
///   discopop_loss   logistic and exponential loss, mixed by s(beta h / tau)   [Lu et al. 2024, arXiv 2406.08414]
///   apo_zero_loss, apo_down_loss   anchored *preference* optimization [D'Oosterlinck et al. 2024, arXiv 2408.06266]
///   self_play_loss  (c - 1 / (2 beta))^2 + (r + 1 / (2 beta))^2  [Wu et al. 2024, self-play PO, arXiv 2405.00675;
///                                                                 TRL's sppo_hard]
/// without a reference:
///   simpo_loss      -log s(beta h - gamma), means                [Meng et al. 2024, SimPO, arXiv 2405.14734, Eq. 6]
///   cpo_loss        -log s(beta h) - likelihood c                [Xu et al. 2024, CPO, arXiv 2401.08417]
///   orpo_loss       -likelihood c - lambda log s(log odds(c) - log odds(r)), means
///                                                                [Hong et al. 2024, ORPO, arXiv 2403.07691, Eq. 6, 7]
/// `kto` takes answers without pairs, `aot` compares sorted answers. Anchored policies (APO) and sequence-level PPO
/// (SPPO) that share the names are other algorithms: hone/policy.
///
/// As in sequence.hpp the losses take N = -log p of each answer and give the slope dL/dN:
///   sequence_nll(logits, targets, offsets, nll);  preference(dpo_loss{}, pairs, chosen_slope, rejected_slope);
///   spread(slope, offsets, weights);  likelihood(logits, targets, {.scale = 1.0 / pairs, .weights = weights});
#pragma once
#include "hone/core/sigmoid.hpp"
#include "hone/loss/batch.hpp"

namespace HONE_NAMESPACE::loss {

/// Loss of a pair and its derivatives by c and r.
struct preference_value {
  double loss;
  double by_chosen;
  double by_rejected;
};

namespace detail {

inline void check_positive(double x, const char* function, const char* argument) {
  invalid_argument_unless(x > 0 && x < 1e300, function, argument, "must be positive and finite, is %g", x);
}

/// A loss of h alone.
inline preference_value of_margin(double loss, double slope) { return {loss, slope, -slope}; }

}  // namespace detail

/// @c label_smoothing in [0, 0.5), the share of labels taken to be wrong: cDPO's or, unbiased under it, robust DPO's.
struct dpo_loss {
  double beta = 0.1;
  double label_smoothing = 0;
  bool robust = false;

  void check() const {
    detail::check_positive(beta, "hone::loss::dpo_loss", "beta");
    invalid_argument_unless(label_smoothing >= 0 && label_smoothing < 0.5, "hone::loss::dpo_loss", "label_smoothing",
                            "must be in [0, 0.5), is %g", label_smoothing);
  }
  [[nodiscard]] preference_value operator()(double c, double r) const {
    const double x = beta * (c - r), e = label_smoothing, wrong = robust ? -e : e, scale = robust ? 1 / (1 - 2 * e) : 1;
    return detail::of_margin(-scale * ((1 - e) * log_sigmoid(x) + wrong * log_sigmoid(-x)),
                             -scale * beta * ((1 - e) * sigmoid(-x) - wrong * sigmoid(x)));
  }
};

/// TRL divides each answer's log-ratio by its length (give lengths); the paper takes sums.
struct ipo_loss {
  double beta = 0.1;

  void check() const { detail::check_positive(beta, "hone::loss::ipo_loss", "beta"); }
  [[nodiscard]] preference_value operator()(double c, double r) const {
    const double x = c - r - 1 / (2 * beta);
    return detail::of_margin(x * x, 2 * x);
  }
};

struct hinge_loss {
  double beta = 0.1;

  void check() const { detail::check_positive(beta, "hone::loss::hinge_loss", "beta"); }
  [[nodiscard]] preference_value operator()(double c, double r) const {
    const double x = 1 - beta * (c - r);
    return x < 0 ? preference_value{0, 0, 0} : detail::of_margin(x, x == x ? -beta : x);
  }
};

struct exo_loss {
  double beta = 0.1;
  double label_smoothing = 1e-3;

  void check() const {
    detail::check_positive(beta, "hone::loss::exo_loss", "beta");
    invalid_argument_unless(label_smoothing > 0 && label_smoothing < 1, "hone::loss::exo_loss", "label_smoothing",
                            "must be in (0, 1), is %g", label_smoothing);
  }
  [[nodiscard]] preference_value operator()(double c, double r) const {
    const double x = beta * (c - r), p = sigmoid(x), q = sigmoid(-x);
    const double right = log_sigmoid(x) - std::log1p(-label_smoothing);
    const double wrong = log_sigmoid(-x) - std::log(label_smoothing);
    return detail::of_margin(p * right + q * wrong, beta * p * q * (right - wrong));
  }
};

struct nca_loss {
  double beta = 0.01;

  void check() const { detail::check_positive(beta, "hone::loss::nca_loss", "beta"); }
  [[nodiscard]] preference_value operator()(double c, double r) const {
    const double x = beta * c, y = beta * r;
    return {-log_sigmoid(x) - 0.5 * (log_sigmoid(-x) + log_sigmoid(-y)), beta * (0.5 * sigmoid(x) - sigmoid(-x)),
            0.5 * beta * sigmoid(y)};
  }
};

/// @c shift is d, the mean of beta c and beta r, kept by the caller (TRL: a running mean), held constant.
struct bco_loss {
  double beta = 0.01;
  double shift = 0;

  void check() const {
    detail::check_positive(beta, "hone::loss::bco_loss", "beta");
    invalid_argument_unless(std::abs(shift) < 1e300, "hone::loss::bco_loss", "shift", "must be finite, is %g", shift);
  }
  [[nodiscard]] preference_value operator()(double c, double r) const {
    const double x = beta * c - shift, y = shift - beta * r;
    return {-log_sigmoid(x) - log_sigmoid(y), -beta * sigmoid(-x), beta * sigmoid(-y)};
  }
};

struct discopop_loss {
  double beta = 0.05;
  double tau = 0.05;

  void check() const {
    detail::check_positive(beta, "hone::loss::discopop_loss", "beta");
    detail::check_positive(tau, "hone::loss::discopop_loss", "tau");
  }
  [[nodiscard]] preference_value operator()(double c, double r) const {
    const double x = beta * (c - r), share = sigmoid(x / tau), rest = sigmoid(-x / tau);
    const double logistic = -log_sigmoid(x);
    const double exponential = std::exp(log_sigmoid(x / tau) - x);  // with its share: e^-x alone overflows
    const double slope = rest / tau * (exponential - share * logistic) - exponential - rest * sigmoid(-x);
    return detail::of_margin(rest * logistic + exponential, beta * slope);
  }
};

/// 1 - s(beta c) + s(beta r): for a model worse than the chosen answers.
struct apo_zero_loss {
  double beta = 0.1;

  void check() const { detail::check_positive(beta, "hone::loss::apo_zero_loss", "beta"); }
  [[nodiscard]] preference_value operator()(double c, double r) const {
    const double p = sigmoid(beta * c), q = sigmoid(beta * r), not_p = sigmoid(-beta * c);
    return {not_p + q, -beta * p * not_p, beta * q * sigmoid(-beta * r)};
  }
};

/// s(beta c) + 1 - s(beta h): for a model better than them.
struct apo_down_loss {
  double beta = 0.1;

  void check() const { detail::check_positive(beta, "hone::loss::apo_down_loss", "beta"); }
  [[nodiscard]] preference_value operator()(double c, double r) const {
    const double p = sigmoid(beta * c), miss = sigmoid(-beta * (c - r));
    const double margin = beta * miss * sigmoid(beta * (c - r));
    return {p + miss, beta * p * sigmoid(-beta * c) - margin, margin};
  }
};

struct self_play_loss {
  double beta = 0.001;

  void check() const { detail::check_positive(beta, "hone::loss::self_play_loss", "beta"); }
  [[nodiscard]] preference_value operator()(double c, double r) const {
    const double x = c - 0.5 / beta, y = r + 0.5 / beta;
    return {x * x + y * y, 2 * x, 2 * y};
  }
};

struct simpo_loss {
  double beta = 2;
  double gamma = 1;

  static constexpr bool reference_free = true, of_means = true;
  void check() const {
    detail::check_positive(beta, "hone::loss::simpo_loss", "beta");
    invalid_argument_unless(std::abs(gamma) < 1e300, "hone::loss::simpo_loss", "gamma", "must be finite, is %g", gamma);
  }
  [[nodiscard]] preference_value operator()(double c, double r) const {
    const double x = beta * (c - r) - gamma;
    return detail::of_margin(-log_sigmoid(x), -beta * sigmoid(-x));
  }
};

/// @c likelihood weighs the likelihood of the chosen answer, here each answer's own sum or mean; TRL takes the mean
/// over the batch's tokens: 0, and `likelihood` of the chosen answers beside it, for parity.
struct cpo_loss {
  double beta = 0.1;
  double likelihood = 1;

  static constexpr bool reference_free = true;
  void check() const {
    detail::check_positive(beta, "hone::loss::cpo_loss", "beta");
    invalid_argument_unless(std::abs(likelihood) < 1e300, "hone::loss::cpo_loss", "likelihood", "must be finite, is %g",
                            likelihood);
  }
  [[nodiscard]] preference_value operator()(double c, double r) const {
    auto value = dpo_loss{.beta = beta}(c, r);
    value.loss -= likelihood * c;
    value.by_chosen -= likelihood;
    return value;
  }
};

/// A rejected answer whose mean probability is 1 has infinite odds: its loss is not finite, and counted. @c likelihood
/// as in `cpo_loss`.
struct orpo_loss {
  double lambda = 0.1;
  double likelihood = 1;

  static constexpr bool reference_free = true, of_means = true;
  void check() const {
    detail::check_positive(lambda, "hone::loss::orpo_loss", "lambda");
    invalid_argument_unless(std::abs(likelihood) < 1e300, "hone::loss::orpo_loss", "likelihood",
                            "must be finite, is %g", likelihood);
  }
  [[nodiscard]] preference_value operator()(double c, double r) const {
    const double miss_c = -std::expm1(c), miss_r = -std::expm1(r);  // 1 - p
    const double x = (c - std::log(miss_c)) - (r - std::log(miss_r));
    const double slope = lambda / (miss_c + miss_r * std::exp(c - r));  // s(-x) / (1 - p_c), finite at p_c = 1
    return {-likelihood * c - lambda * log_sigmoid(x), -slope - likelihood, slope * miss_c / miss_r};
  }
};

/// N of both answers to B prompts. No references: log-ratios are log-probabilities. With lengths (all positive)
/// log-ratios are divided by the answer's own.
struct preference_pairs {
  std::span<const double> chosen;
  std::span<const double> rejected;
  std::span<const double> chosen_reference = {};
  std::span<const double> rejected_reference = {};
  std::span<const index_t> chosen_length = {};
  std::span<const index_t> rejected_length = {};
};

namespace detail {

inline void check_pairs(const preference_pairs& pairs, std::span<double> chosen_slope, std::span<double> rejected_slope,
                        bool reference_free, bool of_means, const char* function) {
  const std::size_t n = pairs.chosen.size();
  const auto fits = [&](std::size_t given, std::size_t expected, const char* argument) {
    invalid_argument_unless(given == expected, function, argument, "has %zu answers, needs %zu", given, expected);
  };
  fits(pairs.rejected.size(), n, "rejected");
  fits(chosen_slope.size(), n, "chosen_slope");
  fits(rejected_slope.size(), n, "rejected_slope");
  check_output(chosen_slope, function, "chosen_slope");
  check_output(rejected_slope, function, "rejected_slope");
  fits(pairs.chosen_reference.size(), pairs.chosen_reference.empty() ? 0 : n, "chosen_reference");
  fits(pairs.rejected_reference.size(), pairs.chosen_reference.size(), "rejected_reference");
  fits(pairs.chosen_length.size(), pairs.chosen_length.empty() && !of_means ? 0 : n, "chosen_length");
  fits(pairs.rejected_length.size(), pairs.chosen_length.size(), "rejected_length");
  invalid_argument_unless(!reference_free || pairs.chosen_reference.empty(), function, "chosen_reference",
                          "is given, the loss has no reference");
  for (const auto& lengths : {pairs.chosen_length, pairs.rejected_length})
    for (std::size_t b = 0; b < lengths.size(); ++b)
      invalid_argument_unless(lengths[b] > 0, function, "lengths", "answer %zu has %td labels, must have some", b,
                              lengths[b]);
}

inline double log_ratio(std::span<const double> nll, std::span<const double> reference, std::span<const index_t> length,
                        std::size_t b) {
  const double x = (reference.empty() ? 0 : reference[b]) - nll[b];
  return length.empty() ? x : x / static_cast<double>(length[b]);
}
inline double slope_of(double by_log_ratio, std::span<const index_t> length, std::size_t b) {
  return length.empty() ? -by_log_ratio : -by_log_ratio / static_cast<double>(length[b]);
}

}  // namespace detail

/// The loss summed over pairs; slopes receive its derivatives by `pairs.chosen` and `pairs.rejected`.
/// @throws std::invalid_argument if sizes differ, a length is not positive, lengths are missing for a loss of means, a
///         reference is given to a loss without one, or a parameter is out of range; nothing is written then.
/// @note No overflow for any margin; allocates nothing; bitwise for any executor.
template <class Loss, executor E = const serial>
loss_sum preference(const Loss& loss, const preference_pairs& pairs, std::span<double> chosen_slope,
                    std::span<double> rejected_slope, E&& pool = serial{}) {
  bool reference_free = false, of_means = false;
  if constexpr (requires { Loss::reference_free; }) reference_free = Loss::reference_free;
  if constexpr (requires { Loss::of_means; }) of_means = Loss::of_means;
  detail::check_pairs(pairs, chosen_slope, rejected_slope, reference_free, of_means, "hone::loss::preference");
  loss.check();
  double sums[3];
  blocked_sum<3, 1>(
      static_cast<index_t>(pairs.chosen.size()), sums,
      [&](index_t i, index_t, double* partial) {
        const auto b = static_cast<std::size_t>(i);
        const preference_value value =
            loss(detail::log_ratio(pairs.chosen, pairs.chosen_reference, pairs.chosen_length, b),
                 detail::log_ratio(pairs.rejected, pairs.rejected_reference, pairs.rejected_length, b));
        chosen_slope[b] = detail::slope_of(value.by_chosen, pairs.chosen_length, b);
        rejected_slope[b] = detail::slope_of(value.by_rejected, pairs.rejected_length, b);
        partial[0] = value.loss;
        partial[1] = 1;
        partial[2] = !std::isfinite(value.loss);
      },
      pool);
  return {sums[0], static_cast<index_t>(sums[1]), static_cast<index_t>(sums[2])};
}

}  // namespace HONE_NAMESPACE::loss
