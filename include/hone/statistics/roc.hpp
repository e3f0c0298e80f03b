// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How well a score separates two sets: the area under the receiver operating characteristic, which is the probability
/// that a positive scores above a negative, ties counting one half; its error by DeLong; the area under the curve of
/// precision over recall; points of the first curve, Youden's among them. All are functions of one order,
/// `ranked_scores`.
/// [DeLong, DeLong, Clarke-Pearson 1988; midranks as Sun, Xu 2014; Youden 1950]
#pragma once
#include "hone/core/sigmoid.hpp"
#include "hone/statistics/detail/sort.hpp"
#include "hone/statistics/intervals.hpp"

#include <algorithm>
#include <vector>

namespace HONE_NAMESPACE::statistics {

/// Scores by what happened, each ascending; as they came where any is NaN.
struct ranked_scores {
  std::vector<double> positives;
  std::vector<double> negatives;
  index_t nans = 0;  ///< scores that have no order: with any of them there is no result
};

struct auc_estimate {
  double auc = std::numeric_limits<double>::quiet_NaN();             ///< NaN without either kind, too
  double standard_error = std::numeric_limits<double>::quiet_NaN();  ///< NaN below two of either kind
  index_t positives = 0;
  index_t negatives = 0;
  index_t nans = 0;  ///< scores that have no order; with any of them the two above are NaN
};

struct precision_estimate {
  double average_precision = std::numeric_limits<double>::quiet_NaN();  ///< NaN without positives, too
  double prevalence = std::numeric_limits<double>::quiet_NaN();         ///< what equal scores have; NaN of nothing
  index_t positives = 0;
  index_t negatives = 0;
  index_t nans = 0;  ///< scores that have no order; with any of them average_precision is NaN
};

/// NaN without either kind, and with any NaN score.
struct youden_estimate {
  double threshold = std::numeric_limits<double>::quiet_NaN();  ///< scores at or above are taken for positives
  double index = std::numeric_limits<double>::quiet_NaN();      ///< J: true less false positive rate
  index_t right = 0;  ///< positives at or above the threshold and negatives below it
  index_t count = 0;
  index_t nans = 0;

  [[nodiscard]] double accuracy() const {
    return std::isnan(index) ? index : static_cast<double>(right) / static_cast<double>(count);
  }
};

namespace detail {

inline index_t count_nans(std::span<const double> x) {
  return std::count_if(x.begin(), x.end(), [](double v) { return std::isnan(v); });
}

inline void rank(ranked_scores& scores, const char* function) {
  for (auto* sample : {&scores.positives, &scores.negatives}) {
    constexpr std::size_t most = (std::size_t{1} << 31) - 1;  // products of two sizes are exact
    invalid_argument_unless(sample->size() <= most, function, "scores", "has %zu of a kind, at most 2^31 - 1",
                            sample->size());
    scores.nans += count_nans(*sample);
  }
  if (scores.nans > 0) return;
  sort_ascending(scores.positives);
  sort_ascending(scores.negatives);
}

/// f(positives, negatives) of each group of equal scores, how many of each, from the highest down.
template <class F>
void for_each_tie(const ranked_scores& scores, F&& f) {
  auto p = scores.positives.rbegin(), n = scores.negatives.rbegin();
  const auto no_p = scores.positives.rend(), no_n = scores.negatives.rend();
  while (p != no_p || n != no_n) {
    const double value = n == no_n || (p != no_p && *p > *n) ? *p : *n;
    const auto first_p = p, first_n = n;
    while (p != no_p && *p == value) ++p;
    while (n != no_n && *n == value) ++n;
    f(p - first_p, n - first_n);
  }
}

/// Pairs of a positive and a negative, from the highest group of equal scores down.
struct pair_count {
  index_t positives = 0, negatives = 0, twice_won = 0;

  void add(index_t p, index_t n) {
    twice_won += n * (2 * positives + p);
    positives += p;
    negatives += n;
  }
  [[nodiscard]] double auc() const {  // 0 / 0 without either kind
    return static_cast<double>(twice_won) / (2 * static_cast<double>(positives) * static_cast<double>(negatives));
  }
};

/// Precisions at each group of equal scores, from the highest down, one for each positive.
struct precision_sum {
  index_t positives = 0, passed = 0;
  double sum = 0;

  void add(index_t p, index_t n) {
    positives += p;
    passed += p + n;
    if (p > 0) sum += static_cast<double>(p) * (static_cast<double>(positives) / static_cast<double>(passed));
  }
  [[nodiscard]] double average() const { return sum / static_cast<double>(positives); }
};

}  // namespace detail

/// The order of @p positives and @p negatives, scores of any sign and scale.
/// @throws std::invalid_argument if either has more than 2^31 - 1.
/// @note Linear: sorts copies, digit by digit; beside the result as much memory as the larger set.
inline ranked_scores rank_scores(std::span<const double> positives, std::span<const double> negatives) {
  ranked_scores result{.positives = {positives.begin(), positives.end()},
                       .negatives = {negatives.begin(), negatives.end()}};
  detail::rank(result, "hone::statistics::rank_scores");
  return result;
}

/// The same of @p scores with their @p outcomes, 1 for a positive, 0 for a negative. One kind alone is no misuse: what
/// is undefined of it is NaN.
/// @throws std::invalid_argument if the sizes differ, an outcome is neither 0 nor 1, or there are more than 2^31 - 1 of
/// a kind. @note As rank_scores.
inline ranked_scores rank_by_outcome(std::span<const double> scores, std::span<const double> outcomes) {
  const char* function = "hone::statistics::rank_by_outcome";
  invalid_argument_unless(outcomes.size() == scores.size(), function, "outcomes", "has %zu, scores %zu",
                          outcomes.size(), scores.size());
  std::size_t positives = 0;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    invalid_argument_unless(outcomes[i] == 0 || outcomes[i] == 1, function, "outcomes",
                            "element %zu is neither 0 nor 1: %g", i, outcomes[i]);
    positives += outcomes[i] == 1;
  }
  ranked_scores result;
  result.positives.reserve(positives);
  result.negatives.reserve(outcomes.size() - positives);
  for (std::size_t i = 0; i < outcomes.size(); ++i)
    (outcomes[i] == 1 ? result.positives : result.negatives).push_back(scores[i]);
  detail::rank(result, function);
  return result;
}

/// The area under the curve, and its error.
/// @note Two passes; allocates nothing; pairs are counted in integers. Infinite scores are ordered like others;
/// invariant under increasing maps.
inline auc_estimate auc(const ranked_scores& scores) {
  auc_estimate result{
      .positives = std::ssize(scores.positives), .negatives = std::ssize(scores.negatives), .nans = scores.nans};
  if (result.nans > 0 || result.positives == 0 || result.negatives == 0) return result;
  detail::pair_count pairs;
  detail::for_each_tie(scores, [&](index_t p, index_t n) { pairs.add(p, n); });
  result.auc = pairs.auc();
  if (result.positives < 2 || result.negatives < 2) return result;
  const auto positives = static_cast<double>(result.positives), negatives = static_cast<double>(result.negatives);
  // Of a positive: twice the negatives that it beats; of a negative: twice the positives that beat it. Their
  // deviations from the mean are integers once they are multiplied with the size, so that equal ones leave 0.
  double of_positives = 0, of_negatives = 0;
  index_t above_p = 0, above_n = 0;
  detail::for_each_tie(scores, [&](index_t p, index_t n) {
    const index_t beaten = 2 * (result.negatives - above_n) - n, beaten_by = 2 * above_p + p;
    const auto up = static_cast<double>(result.positives * beaten - pairs.twice_won);
    const auto down = static_cast<double>(result.negatives * beaten_by - pairs.twice_won);
    of_positives += static_cast<double>(p) * (up * up);
    of_negatives += static_cast<double>(n) * (down * down);
    above_p += p;
    above_n += n;
  });
  const double unit = 2 * positives * negatives;
  result.standard_error =
      std::sqrt(of_positives / (positives - 1) / positives + of_negatives / (negatives - 1) / negatives) / unit;
  return result;
}

/// The area under the curve of @p positives against @p negatives.
/// @throws std::invalid_argument if either is empty or has more than 2^31 - 1.
/// @note As rank_scores and auc of those.
inline auc_estimate auc(std::span<const double> positives, std::span<const double> negatives) {
  const char* function = "hone::statistics::auc";
  invalid_argument_unless(!positives.empty(), function, "positives", "is empty");
  invalid_argument_unless(!negatives.empty(), function, "negatives", "is empty");
  return auc(rank_scores(positives, negatives));
}

/// The area under precision over recall, by steps: the mean over the positives of the precision at their score,
///   sum over scores s, descending, of (R(>= s) - R(> s)) P(>= s)
/// Equal scores are one step, whatever their order. Nothing is interpolated, which would promise too much. [Davis,
/// Goadrich 2006] Negatives alone have none (NaN, not 0), positives alone 1.
/// @note One pass; allocates nothing. Infinite scores are ordered like others; invariant under increasing maps.
inline precision_estimate average_precision(const ranked_scores& scores) {
  precision_estimate result{
      .positives = std::ssize(scores.positives), .negatives = std::ssize(scores.negatives), .nans = scores.nans};
  result.prevalence = static_cast<double>(result.positives) / static_cast<double>(result.positives + result.negatives);
  if (result.nans > 0) return result;
  detail::precision_sum precisions;
  detail::for_each_tie(scores, [&](index_t p, index_t n) { precisions.add(p, n); });
  result.average_precision = precisions.average();
  return result;
}

/// The threshold at which the true positive rate exceeds the false one most, of several the highest: a score, or
/// infinity where none does better than taking nothing. Chosen on these items, its index and accuracy promise too much.
/// @note One pass; allocates nothing; exact.
inline youden_estimate youden(const ranked_scores& scores) {
  const index_t positives = std::ssize(scores.positives), negatives = std::ssize(scores.negatives);
  youden_estimate result{.count = positives + negatives, .nans = scores.nans};
  if (result.nans > 0 || positives == 0 || negatives == 0) return result;
  result.threshold = std::numeric_limits<double>::infinity();
  result.right = negatives;
  index_t most = 0, above_p = 0, above_n = 0;
  detail::for_each_tie(scores, [&](index_t p, index_t n) {
    above_p += p;
    above_n += n;
    const index_t ahead = above_p * negatives - above_n * positives;
    if (ahead <= most) return;
    most = ahead;
    result.threshold = p > 0 ? scores.positives[static_cast<std::size_t>(positives - above_p)]
                             : scores.negatives[static_cast<std::size_t>(negatives - above_n)];
    result.right = above_p + negatives - above_n;
  });
  result.index = static_cast<double>(most) / (static_cast<double>(positives) * static_cast<double>(negatives));
  return result;
}

/// auc +- z standard_error, cut to [0, 1]: too short of few items and of areas near 1, of no length where the two sets
/// are separated. NaN where the error is.
/// @throws std::invalid_argument unless level is in (0, 1).
inline interval delong_interval(const auc_estimate& a, double level = 0.95) {
  invalid_argument_unless(level > 0 && level < 1, "hone::statistics::delong_interval", "level",
                          "must be in (0, 1), is %g", level);
  const double half = -normal_quantile((1 - level) / 2) * a.standard_error;
  const auto cut = [](double x) { return x < 0 ? 0.0 : x > 1 ? 1.0 : x; };
  return {cut(a.auc - half), cut(a.auc + half)};
}

/// The interval on the scale of logit(auc), where DeLong's error covers better. Separated sets have no error: of as
/// many disjoint pairs as the smaller has, each independent of the others, all were won (or lost), and the interval is
/// theirs by Clopper and Pearson, a guarantee. NaN where the error is.
/// @throws std::invalid_argument unless level is in (0, 1).
inline interval auc_interval(const auc_estimate& a, double level = 0.95) {
  invalid_argument_unless(level > 0 && level < 1, "hone::statistics::auc_interval", "level", "must be in (0, 1), is %g",
                          level);
  const index_t pairs = (min)(a.positives, a.negatives);
  if (a.standard_error == 0 && (a.auc == 0 || a.auc == 1) && pairs > 0)
    return clopper_pearson_interval(a.auc == 1 ? pairs : 0, pairs, level);
  const double half = -normal_quantile((1 - level) / 2) * a.standard_error / (a.auc * (1 - a.auc));
  return {sigmoid(logit(a.auc) - half), sigmoid(logit(a.auc) + half)};
}

/// The largest share of positives at or above a threshold at which at most the share @p fpr of the negatives is: the
/// curve itself, nothing between its points. NaN with any NaN score.
/// @throws std::invalid_argument if either is empty, or fpr is not in [0, 1].
/// @note Linear: a copy of the negatives is partitioned.
inline double true_positive_rate(std::span<const double> positives, std::span<const double> negatives, double fpr) {
  const char* function = "hone::statistics::true_positive_rate";
  invalid_argument_unless(!positives.empty(), function, "positives", "is empty");
  invalid_argument_unless(!negatives.empty(), function, "negatives", "is empty");
  invalid_argument_unless(fpr >= 0 && fpr <= 1, function, "fpr", "must be in [0, 1], is %g", fpr);
  if (detail::count_nans(positives) + detail::count_nans(negatives) > 0)
    return std::numeric_limits<double>::quiet_NaN();
  std::vector<double> below(negatives.begin(), negatives.end());
  const auto n = static_cast<double>(below.size());
  // fpr = k / n means k of the negatives, whatever the rounding of the division did.
  const auto allowed = static_cast<std::size_t>(fpr * n * (1 + 4e-16));
  if (allowed >= below.size()) return 1;
  // The threshold lies just above the first negative that may not be passed.
  std::nth_element(below.begin(), below.begin() + static_cast<index_t>(allowed), below.end(),
                   [](double a, double b) { return a > b; });
  const double barred = below[allowed];
  const auto passed = std::count_if(positives.begin(), positives.end(), [&](double p) { return p > barred; });
  return static_cast<double>(passed) / static_cast<double>(positives.size());
}

}  // namespace HONE_NAMESPACE::statistics
