// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A bound on the likelihood of a sequence under a masked-diffusion model, the only number of such models that
/// compares:
///   -log p(x) / l  <=  (1/l) sum_{n=1..l} E_{|m|=n}[ mean over m of CE ]
///                   =  integral_0^1 E_{m~t}[ sum_i m_i CE_i ] / (t l) dt
/// since a mask of n places has weight integral t^(n-1) (1-t)^(l-n) dt = 1 / (n binom(l, n)); also the mean over all
/// orders in which places may be revealed. Estimated by draws of (n, m), n even from 1 to l: each says the mean CE over
/// its masked places. LLaDA's get_log_likelihood is the sum l times this, with counts stratified.
#pragma once
#include "hone/diffusion/masking.hpp"

#include <limits>

namespace HONE_NAMESPACE::diffusion {

/// An estimate of the bound, in nats a token; e to it is the bound's perplexity.
struct bound {
  double nats_per_token = 0;
  double standard_error = 0;  ///< NaN of a single draw, or repeat, and beside a CE that was not finite
  index_t draws = 0;
  index_t nonfinite = 0;  ///< draws whose CE was not finite: the bound is not either

  [[nodiscard]] double perplexity() const { return std::exp(nats_per_token); }
};

/// How many places each draw masks.
///   independent   1 + floor(u_j l)
///   stratified    1 + floor(((u + j / K) mod 1) l): every count as likely, the K of them spread evenly
///   llada         ((round(n_0 + j l / K) - 1) mod l) + 1, n_0 even [LLaDA, get_log_likelihood.py]; where K is a
///                 multiple of l, halves that round to even make some counts likelier: not quite the bound
enum class counts { independent, stratified, llada };

/// The count of draw @p j of `counts::llada`, @p first that of draw 0, in [1, length].
inline index_t llada_count(index_t first, index_t j, index_t draws, index_t length) {
  const double step = static_cast<double>(length) / static_cast<double>(draws);
  const double at = std::nearbyint(static_cast<double>(first) + static_cast<double>(j) * step);
  return (static_cast<index_t>(at) - 1) % length + 1;
}

struct bound_options {
  index_t draws = 128;  ///< of one repeat
  index_t repeats = 1;  ///< of draws that belong together: at least two, for an error
  counts how = counts::independent;
  std::int32_t mask_token = -1;
  std::span<const std::uint8_t> may = {};  ///< as of mask_options: the answer's tokens, say
  std::uint64_t seed = 0;
  std::uint32_t sequence = 0;  ///< its number, which addresses the draws
};

/// @throws std::invalid_argument, as @p function, unless draws are in [1, 2^24) and repeats in [1, 256).
inline void validate(const bound_options& options, const char* function = "hone::diffusion::validate") {
  invalid_argument_unless(options.draws >= 1 && options.draws < (index_t{1} << 24), function, "draws",
                          "must be in [1, 2^24), is %td", options.draws);
  invalid_argument_unless(options.repeats >= 1 && options.repeats < (index_t{1} << 8), function, "repeats",
                          "must be in [1, 256), is %td", options.repeats);
}

/// How many of @p length places draw number @p draw, through all repeats, of sequence @p sequence masks.
/// @pre length >= 1.
inline index_t drawn_count(const bound_options& options, index_t draw, std::uint32_t sequence, index_t length) {
  const index_t j = draw % options.draws;
  const index_t from = options.how == counts::independent ? draw : draw - j;
  double u = philox{options.seed, static_cast<std::uint32_t>(from)}.uniform(detail::place(sequence, 0), detail::once);
  if (options.how == counts::stratified) u = time_of(times::shared_offset, u, j, options.draws);
  const index_t even = 1 + static_cast<index_t>(u * static_cast<double>(length));
  return options.how == counts::llada ? llada_count(even, j, options.draws, length) : even;
}

/// The mean CE of one draw after another, in order, as they become a bound. The error is sd / sqrt(K) of K independent
/// draws; of others that of the repeats' means.
class bound_estimate {
 public:
  explicit bound_estimate(const bound_options& options)
      : draws_(options.draws), of_each_(options.how == counts::independent) {}

  void add(double mean_loss) {
    ++result_.draws;
    result_.nonfinite += !std::isfinite(mean_loss);
    mean_ += mean_loss / static_cast<double>(draws_);
    if (of_each_) return sample(mean_loss);
    if (result_.draws % draws_ != 0) return;
    sample(mean_);
    mean_ = 0;
  }
  /// Of whole repeats. @pre There is one.
  [[nodiscard]] bound result() const {
    bound r = result_;
    const auto n = static_cast<double>(samples_);
    r.nats_per_token = first_ + sum_ / n;
    r.standard_error = samples_ < 2 || r.nonfinite > 0
                           ? std::numeric_limits<double>::quiet_NaN()
                           : std::sqrt((max)(0.0, squares_ - sum_ * sum_ / n) / (n - 1) / n);
    return r;
  }

 private:
  void sample(double x) {
    if (samples_++ == 0) first_ = x;
    sum_ += x - first_;
    squares_ += (x - first_) * (x - first_);
  }

  index_t draws_, samples_ = 0;
  bool of_each_;
  bound result_;
  double mean_ = 0;                           // of the repeat so far
  double first_ = 0, sum_ = 0, squares_ = 0;  // about the first sample
};

/// The bound of one sequence.
/// @param mean_loss mean_loss(std::span<const std::int32_t> noised, index_t masked) -> the mean cross-entropy of the
///        clean tokens over the masked places. Called repeats times draws times, in order.
/// @throws std::invalid_argument unless there is a token that may be masked, draws and repeats are at least 1, and as
///         `mask_exactly`.
/// @note Serial; beside the calls, a pass over the tokens a draw, which allocates as many pairs.
template <class F>
bound likelihood_bound(std::span<const std::int32_t> tokens, const bound_options& options, F&& mean_loss) {
  const char* function = "hone::diffusion::likelihood_bound";
  validate(options, function);
  const index_t offsets[2] = {0, static_cast<index_t>(tokens.size())};
  mask_options masking{.mask_token = options.mask_token, .may = options.may};
  masking.address = {options.seed, 0, options.sequence};
  std::vector<std::int32_t> noised(tokens.size());
  index_t count[1] = {0};
  detail::check_masking(function, tokens, offsets, masking, noised, count);
  const auto length = static_cast<index_t>(detail::maskable(offsets, 0, masking).size());
  invalid_argument_unless(length >= 1, function, "tokens", "has none that may be masked");
  bound_estimate estimate(options);
  for (index_t draw = 0; draw < options.repeats * options.draws; ++draw) {
    masking.address.step = static_cast<std::uint32_t>(draw);
    count[0] = drawn_count(options, draw, options.sequence, length);
    mask_exactly(tokens, offsets, count, masking, noised);
    estimate.add(mean_loss(std::span<const std::int32_t>(noised), count[0]));
  }
  return estimate.result();
}

}  // namespace HONE_NAMESPACE::diffusion
