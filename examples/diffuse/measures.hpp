// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a model is measured by, on sequences that nobody learns from and masks that are the same each time: losses by
/// the share that is masked, how rows were routed, a bound on the likelihood, and what more capacity would bring.
#pragma once
#include "diffuse/corpus.hpp"
#include "diffuse/settings.hpp"
#include "hone/diffusion/bound.hpp"
#include "hone/statistics/means.hpp"
#include "hone/transformer/flops.hpp"

namespace diffuse {

namespace statistics = hone::statistics;
using learner = transformer::learner<float>;

inline constexpr std::size_t ratio_bins = 4;  ///< [0, 1/4), …, [3/4, 1]

/// The bin of @p masked of @p length.
inline std::size_t bin_of(index_t masked, index_t length) {
  return static_cast<std::size_t>((std::min)(masked * 4 / length, index_t{3}));
}

/// Losses of sequences, each the mean cross-entropy over its masked places, in nats.
struct loss_by_ratio {
  double all = 0;
  std::array<double, ratio_bins> bins{};
};

/// Means of @p losses, over all and in each bin; NaN in one of none.
inline loss_by_ratio split(std::span<const double> losses, std::span<const index_t> masked, index_t length) {
  std::array<std::vector<double>, ratio_bins> parts;
  for (std::size_t s = 0; s < losses.size(); ++s) parts[bin_of(masked[s], length)].push_back(losses[s]);
  loss_by_ratio result{statistics::estimate_mean(losses).mean, {}};
  for (std::size_t b = 0; b < ratio_bins; ++b) result.bins[b] = statistics::estimate_mean(parts[b]).mean;
  return result;
}

/// Sequence s of n masks (s + 1/2) / n of its @p length tokens: every share as often.
inline std::vector<index_t> even_counts(index_t sequences, index_t length) {
  std::vector<index_t> counts;
  for (index_t s = 0; s < sequences; ++s) counts.push_back(1 + (2 * s + 1) * length / (2 * sequences));
  return counts;
}

class evaluator {
 public:
  /// @param text whose held-out sequences are taken. @param mask its token.
  evaluator(const corpus& text, const settings& s, std::int32_t mask)
      : settings_(s), mask_(mask), length_(text.length()), clean_(text.held_out(s.held_out)),
        counts_(even_counts(sequences(), length_)), budget_(s.budget(length_)),
        rows_(transformer::mask_by_count(clean_.batch(), counts_, noise())) {}

  [[nodiscard]] const transformer::token_rows& clean() const { return clean_; }
  /// As they are masked in the reports.
  [[nodiscard]] const transformer::masked_rows& rows() const { return rows_; }
  [[nodiscard]] index_t sequences() const { return std::ssize(clean_.offsets) - 1; }

  /// The losses, and how the rows were routed.
  [[nodiscard]] std::pair<loss_by_ratio, std::vector<transformer::layer_routing>> evaluate(learner& l,
                                                                                           thread_pool& pool) const {
    transformer::routing_statistics seen(l.shape());
    const auto losses = transformer::masked_losses(l, rows_, &seen, pool);
    return {split(losses, rows_.counts, length_), seen.layers()};
  }

  /// Exact counts, spread evenly over the draws of a sequence; the error is that over sequences.
  [[nodiscard]] diffusion::bound bound(learner& l, thread_pool& pool) const {
    const auto each = transformer::likelihood_bounds(l, clean_.batch(),
                                                     {.draws = settings_.bound_draws,
                                                      .how = diffusion::counts::stratified,
                                                      .mask_token = mask_,
                                                      .seed = seed_of(0, stream::held_out_masks, 1)},
                                                     budget_, pool);
    std::vector<double> means;
    diffusion::bound result;
    for (const diffusion::bound& b : each) {
      means.push_back(b.nats_per_token);
      result.draws += b.draws;
      result.nonfinite += b.nonfinite;
    }
    const auto m = statistics::estimate_mean(means);
    result.nats_per_token = m.mean;
    result.standard_error = m.standard_error;
    return result;
  }

  /// The losses at other capacities, the same for every sequence, with the weights as they are.
  [[nodiscard]] nlohmann::json counterfactual(learner& l, thread_pool& pool) const {
    nlohmann::json result = nlohmann::json::array();
    if (l.shape().experts.router.chosen != moe::selection::column_top) return result;
    const auto experts = static_cast<double>(settings_.experts), length = static_cast<double>(length_);
    index_t before = 0;
    for (const double part : {-0.5, -0.25, 0.0, 0.25, 0.5}) {
      const double per_token = static_cast<double>(settings_.k) * (1 + 1.5 * part);  // from a quarter to 1.75 times k
      transformer::masked_rows rows = rows_;
      const index_t taken =
          (std::clamp)(static_cast<index_t>(std::lround(per_token * length / experts)), index_t{1}, length_);
      if (std::exchange(before, taken) == taken) continue;  // short sequences have few capacities
      rows.capacities.assign(rows.counts.size(), taken);
      const auto losses = split(transformer::masked_losses(l, rows, nullptr, pool), rows.counts, length_);
      result.push_back({{"experts_per_token", static_cast<double>(taken) * experts / length},
                        {"loss", losses.all},
                        {"loss_by_ratio", losses.bins}});
    }
    return result;
  }

 private:
  [[nodiscard]] transformer::noise_options noise() const {
    return {.mask_token = mask_, .budget = budget_, .seed = seed_of(0, stream::held_out_masks)};
  }

  const settings& settings_;
  std::int32_t mask_;
  index_t length_;
  transformer::token_rows clean_;
  std::vector<index_t> counts_, budget_;
  transformer::masked_rows rows_;
};

/// How rows were routed, as JSON: loads over experts, experts over tokens, layer by layer.
inline nlohmann::json to_json(std::span<const transformer::layer_routing> layers) {
  nlohmann::json r = {{"uncovered", nlohmann::json::array()},
                      {"uncovered_masked", nlohmann::json::array()},
                      {"uncovered_others", nlohmann::json::array()},
                      {"load_variation", nlohmann::json::array()}};
  double largest = 0, dropped = 0, executed = 0;
  for (const transformer::layer_routing& l : layers) {
    r["uncovered"].push_back(l.tokens().uncovered_share());
    r["uncovered_masked"].push_back(l.masked.uncovered_share());
    r["uncovered_others"].push_back(l.others.uncovered_share());
    r["load_variation"].push_back(l.load.variation());
    largest += l.load.max_over_mean() / static_cast<double>(layers.size());
    dropped += static_cast<double>(l.load.dropped);
    executed += static_cast<double>(l.load.total());
  }
  r["load_max_over_mean"] = largest;
  r["dropped"] = executed + dropped > 0 ? dropped / (executed + dropped) : 0;
  return r;
}

/// -d log L_r / d step, times 1000, of each bin: the slope of a line through the @p records from a fifth of @p steps
/// on; null of fewer than five of them.
inline nlohmann::json learning_efficiency(const nlohmann::json& records, long steps) {
  nlohmann::json result = nlohmann::json::array();
  for (std::size_t b = 0; b < ratio_bins; ++b) {
    double n = 0, x = 0, y = 0, xx = 0, xy = 0;
    for (const auto& record : records) {
      const double step = record.at("step"), loss = record.at("loss_by_ratio").at(b).is_number()
                                                        ? record.at("loss_by_ratio").at(b).get<double>()
                                                        : 0;
      if (step * 5 < static_cast<double>(steps) || loss <= 0) continue;
      n += 1, x += step, y += std::log(loss), xx += step * step, xy += step * std::log(loss);
    }
    result.push_back(n < 5 ? nlohmann::json() : nlohmann::json(-1000 * (n * xy - x * y) / (n * xx - x * x)));
  }
  return result;
}

}  // namespace diffuse
