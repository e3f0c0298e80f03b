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

/// The bound of one sequence.
/// @param mean_loss mean_loss(std::span<const std::int32_t> noised, index_t masked) -> the mean cross-entropy of the
///        clean tokens over the masked places. Called repeats times draws times, in order.
/// @throws std::invalid_argument unless there is a token that may be masked, draws and repeats are at least 1, and as
///         `mask_exactly`.
/// @note The error is sd / sqrt(K) of K independent draws; of others that of the repeats' means. Serial; beside the
///       calls, a pass over the tokens a draw, which allocates as many pairs.
template <class F>
bound likelihood_bound(std::span<const std::int32_t> tokens, const bound_options& options, F&& mean_loss) {
  const char* function = "hone::diffusion::likelihood_bound";
  invalid_argument_unless(options.draws >= 1 && options.draws < (index_t{1} << 24), function, "draws",
                          "must be in [1, 2^24), is %td", options.draws);
  invalid_argument_unless(options.repeats >= 1 && options.repeats < (index_t{1} << 8), function, "repeats",
                          "must be in [1, 256), is %td", options.repeats);
  const index_t offsets[2] = {0, static_cast<index_t>(tokens.size())};
  mask_options masking{.mask_token = options.mask_token, .may = options.may};
  masking.address = {options.seed, 0, options.sequence};
  std::vector<std::int32_t> noised(tokens.size());
  index_t count[1] = {0};
  detail::check_masking(function, tokens, offsets, masking, noised, count);
  const auto length = static_cast<index_t>(detail::maskable(offsets, 0, masking).size());
  invalid_argument_unless(length >= 1, function, "tokens", "has none that may be masked");
  bound result;
  double sum = 0, squares = 0;  // of draws, or of repeats' means; squares about the first
  double first = 0;
  const bool independent = options.how == counts::independent;
  const index_t samples = independent ? options.repeats * options.draws : options.repeats;
  for (index_t repeat = 0; repeat < options.repeats; ++repeat) {
    double mean = 0;
    double start = 0;  // the draw of the whole repeat
    for (index_t j = 0; j < options.draws; ++j) {
      masking.address.step = static_cast<std::uint32_t>(repeat * options.draws + j);
      double u = philox{options.seed, masking.address.step}.uniform(detail::place(options.sequence, 0), detail::once);
      if (j == 0) start = u;
      if (options.how == counts::stratified) u = time_of(times::shared_offset, start, j, options.draws);
      const auto even = [length](double share) {
        return 1 + static_cast<index_t>(share * static_cast<double>(length));
      };
      count[0] = options.how == counts::llada ? llada_count(even(start), j, options.draws, length) : even(u);
      mask_exactly(tokens, offsets, count, masking, noised);
      const double value = mean_loss(std::span<const std::int32_t>(noised), count[0]);
      result.nonfinite += !std::isfinite(value);
      mean += value / static_cast<double>(options.draws);
      if (!independent) continue;
      if (repeat == 0 && j == 0) first = value;
      sum += value - first;
      squares += (value - first) * (value - first);
    }
    if (independent) continue;
    if (repeat == 0) first = mean;
    sum += mean - first;
    squares += (mean - first) * (mean - first);
  }
  const auto n = static_cast<double>(samples);
  result.draws = options.repeats * options.draws;
  result.nats_per_token = first + sum / n;
  result.standard_error = samples < 2 || result.nonfinite > 0
                              ? std::numeric_limits<double>::quiet_NaN()
                              : std::sqrt((max)(0.0, squares - sum * sum / n) / (n - 1) / n);
  return result;
}

}  // namespace HONE_NAMESPACE::diffusion
