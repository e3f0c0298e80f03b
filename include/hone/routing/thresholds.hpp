// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Where to cut a score, from past prompts. A prompt is kept for the weak model where score >= value. What a threshold
/// promises of the next prompt, if it is exchangeable with n past ones:
///   threshold_by_call_rate     it is called with a probability of at most the rate, and, without equal scores, of more
///                              than the rate - 1 / (n + 1)
///   threshold_by_local_error   with the confidence asked for, of prompts that are kept at most this share is wrong
///   threshold_by_risk          the expected loss of a prompt, nothing where it is called, is at most the risk
///   threshold_by_recovery      nothing: the recovery is that of the past prompts, among which the best cut was chosen
/// Local errors are bounded by Clopper and Pearson at a few ranks that only n decides, each with its share of what the
/// confidence leaves; with all n bounds at hand and the best one taken there would be no confidence. Between a prompt
/// that is kept above the score of a fixed rank and one drawn so there is no difference, which is why it holds.
/// [Geifman, El-Yaniv 2017, Selective classification for deep neural networks, arXiv 1705.08500; Angelopoulos et al.
/// 2022, Conformal risk control, arXiv 2208.02814]
#pragma once
#include "hone/routing/deferral.hpp"
#include "hone/statistics/conformal.hpp"
#include "hone/statistics/intervals.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::routing {

struct routing_threshold {
  double value = std::numeric_limits<double>::quiet_NaN();  ///< NaN: nothing is kept
  double bound = std::numeric_limits<double>::quiet_NaN();  ///< what was found to hold: a rate, an error, a recovery
  index_t kept = 0;                                         ///< of the past prompts
  index_t count = 0;
  index_t nans = 0;  ///< scores that have no order: with any of them nothing is kept
  absence why = absence::none;

  /// Whether the weak model answers a prompt of this @p score. NaN is called.
  [[nodiscard]] bool keeps(double score) const { return score >= value; }
};

/// The threshold below which a share @p rate of prompts, at most, is called: the floor(rate (n + 1))-th lowest score.
/// `bound` is its floor(rate (n + 1)) / (n + 1); equal scores are kept together and only lower it.
/// @throws std::invalid_argument unless rate is in [0, 1].
/// @note Linear: a copy of the scores is partitioned. Of no prompts all is kept unless rate is 1.
inline routing_threshold threshold_by_call_rate(std::span<const double> scores, double rate) {
  invalid_argument_unless(rate >= 0 && rate <= 1, "hone::routing::threshold_by_call_rate", "rate",
                          "must be in [0, 1], is %g", rate);
  routing_threshold result{.count = std::ssize(scores)};
  for (const double s : scores) result.nans += std::isnan(s);
  if (result.nans > 0) {
    result.why = absence::nan_scores;
    return result;
  }
  const double places = static_cast<double>(scores.size()) + 1;
  // rate = k / (n + 1) means k, whatever the rounding of the division did.
  const auto called = (min)(static_cast<std::size_t>(rate * places * (1 + 4e-16)), scores.size() + 1);
  result.bound = static_cast<double>(called) / places;
  if (called > scores.size()) return result;
  result.value = -std::numeric_limits<double>::infinity();
  result.kept = result.count;
  if (called == 0) return result;
  std::vector<double> lowest(scores.begin(), scores.end());
  const auto at = lowest.begin() + static_cast<index_t>(called) - 1;
  std::nth_element(lowest.begin(), at, lowest.end());
  result.value = *at;
  result.kept = std::count_if(scores.begin(), scores.end(), [&](double s) { return result.keeps(s); });
  return result;
}

/// The threshold of the fewest calls at which the past prompts recover @p share of the way to the strong model; `bound`
/// is what they recover there.
/// @throws std::invalid_argument unless share is in [0, 1], or of a curve whose ties are not averaged.
/// @note One pass over the points.
inline routing_threshold threshold_by_recovery(const deferral_curve& c, double share) {
  const char* function = "hone::routing::threshold_by_recovery";
  invalid_argument_unless(share >= 0 && share <= 1, function, "share", "must be in [0, 1], is %g", share);
  invalid_argument_unless(c.how == ties::averaged, function, "c", "has ties in the order of the file");
  routing_threshold result{.count = c.count, .nans = c.nans, .why = c.why_no_recovery()};
  if (result.why != absence::none) return result;
  const double wanted = share * (c.strong_total - c.weak_total) - c.slack();
  auto p = c.points.begin();
  while (p + 1 != c.points.end() && p->total - c.weak_total < wanted) ++p;
  result.kept = c.count - p->calls;
  result.bound = (p->total - c.weak_total) / (c.strong_total - c.weak_total);
  if (p->calls == 0)
    result.value = -std::numeric_limits<double>::infinity();
  else if (result.kept > 0)
    result.value = p->kept_from;
  return result;
}

/// What the weak model's errors are bounded by where prompts from @c score up are kept.
struct local_bound {
  double score = 0;
  index_t kept = 0;
  index_t wrong = 0;
  double upper = 1;  ///< Clopper and Pearson's, one-sided
};

namespace detail {

inline void check_outcomes(std::span<const double> scores, std::span<const double> right, const char* function) {
  invalid_argument_unless(right.size() == scores.size(), function, "right", "has %zu, scores %zu", right.size(),
                          scores.size());
  for (std::size_t i = 0; i < right.size(); ++i)
    invalid_argument_unless(right[i] == 0 || right[i] == 1, function, "right", "element %zu is neither 0 nor 1: %g", i,
                            right[i]);
}

/// By score, the highest first; empty where one is NaN.
inline std::vector<statistics::scored> from_the_highest(std::span<const double> scores, std::span<const double> right) {
  std::vector<statistics::scored> rows;
  rows.reserve(scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i])) return {};
    rows.push_back({-scores[i], right[i]});
  }
  statistics::sort_by_score(rows);
  for (statistics::scored& row : rows) row.score = -row.score;
  return rows;
}

}  // namespace detail

/// The bound at each distinct score, from the highest down. Each holds with probability @p level for a rank that was
/// named before; the best of many does not.
/// @throws std::invalid_argument if the sizes differ, an element of @p right, whether the weak model is, is neither 0
/// nor 1, or level is not in (0, 1). @note A sort, and an inverse of the incomplete beta function for each score. With
/// a NaN score there are none.
inline std::vector<local_bound> local_error_bounds(std::span<const double> scores, std::span<const double> right,
                                                   double level) {
  const char* function = "hone::routing::local_error_bounds";
  detail::check_outcomes(scores, right, function);
  invalid_argument_unless(level > 0 && level < 1, function, "level", "must be in (0, 1), is %g", level);
  const std::vector<statistics::scored> rows = detail::from_the_highest(scores, right);
  std::vector<local_bound> result;
  index_t wrong = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    wrong += rows[i].value == 0;
    if (i + 1 < rows.size() && rows[i + 1].score == rows[i].score) continue;
    const auto kept = static_cast<index_t>(i + 1);
    result.push_back({rows[i].score, kept, wrong, statistics::clopper_pearson_upper(wrong, kept, level)});
  }
  return result;
}

struct local_error_options {
  double error = 0.1;  ///< the largest share of prompts that are kept and answered wrongly
  double level = 0.9;  ///< the confidence
  index_t candidates =
      16;  ///< ranks that are tried: of many each has little confidence left, of few the best is missed
};

/// The threshold that keeps most among candidates whose local error is at most options.error with confidence; `bound`
/// is that error's. NaN where none is. The ranks are floor(i n / candidates), i = 1 ... candidates, from the highest
/// score; prompts above the score that follows are kept, without those equal to it.
/// @throws std::invalid_argument as local_error_bounds, unless error is in (0, 1) and candidates >= 1.
/// @note A sort, 32 bytes a row, and as many inverses of the incomplete beta function as candidates.
inline routing_threshold threshold_by_local_error(std::span<const double> scores, std::span<const double> right,
                                                  const local_error_options& options = {}) {
  const char* function = "hone::routing::threshold_by_local_error";
  detail::check_outcomes(scores, right, function);
  invalid_argument_unless(options.error > 0 && options.error < 1, function, "error", "must be in (0, 1), is %g",
                          options.error);
  invalid_argument_unless(options.level > 0 && options.level < 1, function, "level", "must be in (0, 1), is %g",
                          options.level);
  invalid_argument_unless(options.candidates >= 1, function, "candidates", "must be positive, is %td",
                          options.candidates);
  routing_threshold result{.count = std::ssize(scores)};
  for (const double s : scores) result.nans += std::isnan(s);
  result.why = result.nans > 0 ? absence::nan_scores : scores.empty() ? absence::no_rows : absence::none;
  const std::vector<statistics::scored> rows = detail::from_the_highest(scores, right);
  const double level = 1 - (1 - options.level) / static_cast<double>(options.candidates);
  std::size_t kept = 0;
  index_t wrong = 0;
  for (index_t i = 1; i <= options.candidates && !rows.empty(); ++i) {
    const std::size_t rank = rows.size() * static_cast<std::size_t>(i) / static_cast<std::size_t>(options.candidates);
    const bool all = rank == rows.size();
    for (; kept < rows.size() && (all || rows[kept].score > rows[rank].score); ++kept) wrong += rows[kept].value == 0;
    if (kept == 0) continue;
    const double upper = statistics::clopper_pearson_upper(wrong, static_cast<index_t>(kept), level);
    if (upper > options.error) continue;
    constexpr double infinity = std::numeric_limits<double>::infinity();
    result.value = all ? -infinity : std::nextafter(rows[rank].score, infinity);
    result.bound = upper;
    result.kept = static_cast<index_t>(kept);
  }
  return result;
}

/// What is lost by keeping a prompt.
enum class local_loss : std::uint8_t {
  error,  ///< 1 - the weak model's quality
  regret  ///< what the strong model's has more, if it has
};

struct risk_options {
  double risk = 0.1;  ///< the most that the expected loss of a prompt may be
  local_loss loss = local_loss::regret;
};

/// `statistics::control_risk` of the losses of keeping prompts with qualities in [0, 1].
/// @throws std::invalid_argument if the sizes differ, a quality is not in [0, 1], or risk is not positive and finite.
/// @note As control_risk, and 8 bytes a row.
inline statistics::conformal_threshold threshold_by_risk(std::span<const double> weak, std::span<const double> strong,
                                                         std::span<const double> scores,
                                                         const risk_options& options = {}) {
  const char* function = "hone::routing::threshold_by_risk";
  invalid_argument_unless(weak.size() == scores.size(), function, "weak", "has %zu, scores %zu", weak.size(),
                          scores.size());
  invalid_argument_unless(strong.size() == scores.size(), function, "strong", "has %zu, scores %zu", strong.size(),
                          scores.size());
  std::vector<double> losses(scores.size());
  for (std::size_t i = 0; i < losses.size(); ++i) {
    invalid_argument_unless(weak[i] >= 0 && weak[i] <= 1, function, "weak", "element %zu is not in [0, 1]: %g", i,
                            weak[i]);
    invalid_argument_unless(strong[i] >= 0 && strong[i] <= 1, function, "strong", "element %zu is not in [0, 1]: %g", i,
                            strong[i]);
    losses[i] = options.loss == local_loss::error ? 1 - weak[i] : (max)(strong[i] - weak[i], 0.0);
  }
  return statistics::control_risk(scores, losses, {.risk = options.risk});
}

}  // namespace HONE_NAMESPACE::routing
