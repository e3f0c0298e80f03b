// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The bootstrap: a statistic of items drawn with replacement, over and over. [Efron 1979]
///
/// Its intervals are good where there are many items: at level 0.95 a percentile interval of the mean of five values
/// contains it 0.84 of the time, of normal ones (the test "coverage" has the table). It is too short, as if n - 1 were
/// n and the quantile the normal one; BCa corrects bias and skewness, not that. For the mean of few values
/// student_interval (intervals.hpp) is the better one.
#pragma once
#include "hone/core/executor.hpp"
#include "hone/core/normal.hpp"
#include "hone/core/simd_random.hpp"
#include "hone/statistics/intervals.hpp"
#include "hone/statistics/quantile.hpp"

#include <algorithm>
#include <vector>

namespace HONE_NAMESPACE::statistics {

struct bootstrap_options {
  index_t replicates = 1000;
  double level = 0.95;
  std::uint64_t seed = 0;
};

struct bootstrap_estimate {
  double standard_error = 0;  ///< the standard deviation of the replicates (with replicates - 1), never over sqrt(B)
  interval percentile = {};   ///< their type-7 quantiles
  index_t nonfinite = 0;      ///< replicates that are infinite or NaN; with any of them the above are NaN
};

/// Bias-corrected and accelerated. [Efron 1987, Better bootstrap confidence intervals]
struct bca_estimate {
  double standard_error = 0;  ///< as bootstrap_estimate
  interval bca = {};          ///< the replicates' quantiles at corrected shares
  double bias = 0;          ///< z0: the normal quantile of the share of replicates below the statistic, half of equals
  double acceleration = 0;  ///< a: the skewness of the statistics without one item, over 6 sqrt(n)
  index_t nonfinite = 0;    ///< statistics that are infinite or NaN; with any of them the above are NaN
};

namespace detail {

/// f(i, drawn) for draw i of replicate @p replicate of @p items, in order.
template <class F>
void for_each_draw(index_t items, std::uint64_t seed, index_t replicate, F&& f) {
  const philox random{seed};
  const simd::philox_words source(random);
  constexpr index_t together = simd::philox_words::indices;
  const auto first = static_cast<std::uint64_t>(replicate) * static_cast<std::uint64_t>(items);
  const auto place = [&](double uniform) {
    return (min)(static_cast<index_t>(uniform * static_cast<double>(items)), items - 1);
  };
  index_t i = 0;
  for (; i + together <= items; i += together) {
    std::uint32_t words[simd::philox_words::count];
    source.write(first + static_cast<std::uint64_t>(i), words);
    for (index_t k = 0; k < together; ++k) f(i + k, place(philox::unit(words[4 * k], words[4 * k + 1])));
  }
  for (; i < items; ++i) f(i, place(random.uniform(first + static_cast<std::uint64_t>(i))));
}

}  // namespace detail

/// The indices in [0, drawn.size()) of replicate @p replicate: draw i has the address replicate * size + i, so that any
/// replicate may be drawn by itself. Allocates nothing.
/// @throws std::invalid_argument if @p drawn has a size and no memory.
inline void draw_items(std::span<index_t> drawn, std::uint64_t seed, index_t replicate) {
  invalid_argument_unless(drawn.data() != nullptr || drawn.empty(), "hone::statistics::draw_items", "drawn",
                          "has %zu elements and no memory", drawn.size());
  detail::for_each_draw(std::ssize(drawn), seed, replicate,
                        [&](index_t i, index_t item) { drawn[static_cast<std::size_t>(i)] = item; });
}

/// How often each of counts.size() items is among `draw_items` of that size. Allocates nothing.
/// @throws std::invalid_argument if @p counts has a size and no memory, or more than 2^32 - 1 items.
inline void count_items(std::span<std::uint32_t> counts, std::uint64_t seed, index_t replicate) {
  const char* function = "hone::statistics::count_items";
  invalid_argument_unless(counts.data() != nullptr || counts.empty(), function, "counts",
                          "has %zu elements and no memory", counts.size());
  invalid_argument_unless(counts.size() < std::size_t{1} << 32, function, "counts", "has %zu items, at most 2^32 - 1",
                          counts.size());
  for (std::uint32_t& count : counts) count = 0;
  detail::for_each_draw(std::ssize(counts), seed, replicate,
                        [&](index_t, index_t item) { ++counts[static_cast<std::size_t>(item)]; });
}

namespace detail {

inline void check_bootstrap(index_t items, const bootstrap_options& options, const char* function) {
  invalid_argument_unless(items > 0, function, "items", "must be positive, is %td", items);
  invalid_argument_unless(options.replicates > 1, function, "replicates", "must be at least 2, is %td",
                          options.replicates);
  invalid_argument_unless(options.level > 0 && options.level < 1, function, "level", "must be in (0, 1), is %g",
                          options.level);
}

/// statistic(drawn) of each replicate, drawn by draw(std::span<Value> of items, replicate).
template <class Value, class Draw, class Statistic, class E>
std::vector<double> replicate(index_t items, Draw&& draw, Statistic& statistic, const bootstrap_options& options,
                              E& pool, const char* function) {
  check_bootstrap(items, options, function);
  std::vector<double> values(static_cast<std::size_t>(options.replicates));
  pool.parallel_for(options.replicates, index_t{1}, [&](index_t begin, index_t end) {
    std::vector<Value> drawn(static_cast<std::size_t>(items));
    for (index_t r = begin; r < end; ++r) {
      draw(std::span<Value>(drawn), options.seed, r);
      values[static_cast<std::size_t>(r)] = statistic(std::span<const Value>(drawn));
    }
  });
  return values;
}

inline bootstrap_estimate estimate_of_replicates(std::vector<double> values, double level) {
  const mean_estimate mean = estimate_mean(values);
  bootstrap_estimate result{.nonfinite = mean.nonfinite};
  if (mean.nonfinite > 0) {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    result.standard_error = result.percentile.low = result.percentile.high = nan;
    return result;
  }
  result.standard_error = std::sqrt(variance(mean));
  std::sort(values.begin(), values.end());
  const double tail = (1 - level) / 2;
  result.percentile = {sorted_quantile(values, tail), sorted_quantile(values, 1 - tail)};
  return result;
}

}  // namespace detail

/// Draws as many of @p items indices as there are, with replacement, once a replicate. statistic(std::span<const
/// index_t> drawn) -> double is called from any thread of @p pool.
/// @throws std::invalid_argument unless items > 0, replicates > 1 and level is in (0, 1).
/// @note replicates * (items draws and one statistic); 8 (items * workers + replicates) bytes; bitwise for any
/// executor. One item has one replicate only: error 0, an interval of no length.
template <class Statistic, executor E = const serial>
bootstrap_estimate bootstrap(index_t items, Statistic&& statistic, const bootstrap_options& options = {},
                             E&& pool = serial{}) {
  return detail::estimate_of_replicates(
      detail::replicate<index_t>(items, draw_items, statistic, options, pool, "hone::statistics::bootstrap"),
      options.level);
}

/// The same replicates by how often each item was drawn: statistic(std::span<const std::uint32_t> counts) -> double.
/// For what is read off an order: items are sorted once, and their counts are in that order.
/// @throws std::invalid_argument unless items is in [1, 2^32 - 1], replicates > 1 and level is in (0, 1).
/// @note As bootstrap, with 4 bytes an item.
template <class Statistic, executor E = const serial>
bootstrap_estimate bootstrap_counts(index_t items, Statistic&& statistic, const bootstrap_options& options = {},
                                    E&& pool = serial{}) {
  return detail::estimate_of_replicates(detail::replicate<std::uint32_t>(items, count_items, statistic, options, pool,
                                                                         "hone::statistics::bootstrap_counts"),
                                        options.level);
}

/// Several statistics of the same draws: statistic(std::span<const std::uint32_t> counts, std::span<double> values)
/// writes @p statistics values.
/// @throws std::invalid_argument unless items is in [1, 2^32 - 1], statistics > 0, replicates > 1 and level is in
/// (0, 1).
/// @note As bootstrap_counts, with 8 bytes a replicate and statistic.
template <class Statistic, executor E = const serial>
std::vector<bootstrap_estimate> bootstrap_counts_of(index_t items, index_t statistics, Statistic&& statistic,
                                                    const bootstrap_options& options = {}, E&& pool = serial{}) {
  const char* function = "hone::statistics::bootstrap_counts_of";
  invalid_argument_unless(statistics > 0, function, "statistics", "must be positive, is %td", statistics);
  detail::check_bootstrap(items, options, function);
  const auto width = static_cast<std::size_t>(statistics);
  std::vector<double> values(static_cast<std::size_t>(options.replicates) * width);
  pool.parallel_for(options.replicates, index_t{1}, [&](index_t begin, index_t end) {
    std::vector<std::uint32_t> counts(static_cast<std::size_t>(items));
    for (index_t r = begin; r < end; ++r) {
      count_items(counts, options.seed, r);
      statistic(std::span<const std::uint32_t>(counts),
                std::span<double>(values).subspan(static_cast<std::size_t>(r) * width, width));
    }
  });
  std::vector<bootstrap_estimate> result;
  for (std::size_t s = 0; s < width; ++s) {
    std::vector<double> replicates;
    replicates.reserve(static_cast<std::size_t>(options.replicates));
    for (std::size_t at = s; at < values.size(); at += width) replicates.push_back(values[at]);
    result.push_back(detail::estimate_of_replicates(std::move(replicates), options.level));
  }
  return result;
}

/// The BCa interval from @p sorted replicates (ascending), the statistic of the @p whole, and the statistics without
/// one item each, @p left_out. With z the normal quantile of a tail's share, its end is the quantile of the replicates
/// at
///   Phi(z0 + (z0 + z) / (1 - a (z0 + z)))
/// Where all that leave an item out agree a = 0. The ends are NaN where the whole lies outside all replicates, where
/// the denominator is not positive, and where anything is infinite or NaN, which is counted.
/// @throws std::invalid_argument if sorted or left_out is empty or level is not in (0, 1).
/// @note Two passes over @p sorted, four over @p left_out; allocates nothing.
inline bca_estimate bca_interval(std::span<const double> sorted, double whole, std::span<const double> left_out,
                                 double level = 0.95) {
  const char* function = "hone::statistics::bca_interval";
  invalid_argument_unless(!sorted.empty(), function, "sorted", "is empty");
  invalid_argument_unless(!left_out.empty(), function, "left_out", "is empty");
  invalid_argument_unless(level > 0 && level < 1, function, "level", "must be in (0, 1), is %g", level);
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const mean_estimate mean = estimate_mean(sorted), jackknife = estimate_mean(left_out);
  bca_estimate result{.standard_error = nan, .bca = {nan, nan}, .bias = nan, .acceleration = nan};
  result.nonfinite = mean.nonfinite + jackknife.nonfinite + !std::isfinite(whole);
  if (result.nonfinite > 0) return result;
  result.standard_error = std::sqrt(variance(mean));
  const auto below = std::lower_bound(sorted.begin(), sorted.end(), whole) - sorted.begin();
  const auto not_above = std::upper_bound(sorted.begin(), sorted.end(), whole) - sorted.begin();
  result.bias = normal_quantile(static_cast<double>(below + not_above) / (2 * static_cast<double>(sorted.size())));
  double largest = 0, squares = 0, cubes = 0;
  for (const double value : left_out) largest = (max)(largest, std::abs(jackknife.mean - value));
  for (const double value : left_out) {
    const double d = largest > 0 ? (jackknife.mean - value) / largest : 0;
    squares += d * d;
    cubes += d * d * d;
  }
  result.acceleration = squares > 0 ? cubes / (6 * squares * std::sqrt(squares)) : 0;
  const auto end = [&](double z) {
    const double shifted = result.bias + z, denominator = 1 - result.acceleration * shifted;
    if (!(std::isfinite(shifted) && denominator > 0)) return nan;
    return sorted_quantile(sorted, normal_cdf(result.bias + shifted / denominator));
  };
  const double z = normal_quantile((1 - level) / 2);
  result.bca = {end(z), end(-z)};
  return result;
}

/// As bootstrap, with the BCa interval: items + 1 further statistics, of all items and of all but one.
/// @throws std::invalid_argument unless items > 1, replicates > 1 and level is in (0, 1).
/// @note As bootstrap; 16 items bytes more, and 8 items a worker.
template <class Statistic, executor E = const serial>
bca_estimate bootstrap_bca(index_t items, Statistic&& statistic, const bootstrap_options& options = {},
                           E&& pool = serial{}) {
  const char* function = "hone::statistics::bootstrap_bca";
  invalid_argument_unless(items > 1, function, "items", "must be at least 2, is %td", items);
  std::vector<double> values = detail::replicate<index_t>(items, draw_items, statistic, options, pool, function);
  const auto n = static_cast<std::size_t>(items);
  std::vector<index_t> all(n);
  for (std::size_t i = 0; i < n; ++i) all[i] = static_cast<index_t>(i);
  const double whole = statistic(std::span<const index_t>(all));
  std::vector<double> left_out(n);
  pool.parallel_for(items, index_t{1}, [&](index_t begin, index_t stop) {
    std::vector<index_t> others = all;
    others.erase(others.begin() + begin);
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(stop); ++i) {
      left_out[i] = statistic(std::span<const index_t>(others));
      if (i + 1 < n) others[i] = static_cast<index_t>(i);  // the next one is left out
    }
  });
  if (estimate_mean(values).nonfinite == 0) std::sort(values.begin(), values.end());  // NaNs have no order
  return bca_interval(values, whole, left_out, options.level);
}

}  // namespace HONE_NAMESPACE::statistics
