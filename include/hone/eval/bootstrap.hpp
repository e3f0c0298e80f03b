// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The bootstrap: a statistic of items drawn with replacement, over and over. [Efron 1979]
#pragma once
#include "hone/core/executor.hpp"
#include "hone/eval/statistics.hpp"

namespace hone::eval {

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

/// The indices in [0, drawn.size()) of replicate @p replicate.
inline void draw_items(std::span<index_t> drawn, std::uint64_t seed, index_t replicate) {
  const auto items = static_cast<double>(drawn.size());
  const philox random{seed};
  const auto first = static_cast<std::uint64_t>(replicate) * drawn.size();
  for (std::size_t i = 0; i < drawn.size(); ++i)
    drawn[i] = (min)(static_cast<index_t>(random.uniform(first + i) * items), std::ssize(drawn) - 1);
}

/// Draws as many of @p items indices as there are, with replacement, once a replicate. statistic(std::span<const
/// index_t> drawn) -> double is called from any thread of @p pool.
/// @throws std::invalid_argument unless items > 0, replicates > 1 and level is in (0, 1).
/// @note replicates * (items draws and one statistic); 8 (items * workers + replicates) bytes; bitwise for any
/// executor.
template <class Statistic, executor E = const serial>
bootstrap_estimate bootstrap(index_t items, Statistic&& statistic, const bootstrap_options& options = {},
                             E&& pool = serial{}) {
  const char* function = "hone::eval::bootstrap";
  invalid_argument_unless(items > 0, function, "items", "must be positive, is %td", items);
  invalid_argument_unless(options.replicates > 1, function, "replicates", "must be at least 2, is %td",
                          options.replicates);
  invalid_argument_unless(options.level > 0 && options.level < 1, function, "level", "must be in (0, 1), is %g",
                          options.level);
  std::vector<double> values(static_cast<std::size_t>(options.replicates));
  pool.parallel_for(options.replicates, index_t{1}, [&](index_t begin, index_t end) {
    std::vector<index_t> drawn(static_cast<std::size_t>(items));
    for (index_t r = begin; r < end; ++r) {
      draw_items(drawn, options.seed, r);
      values[static_cast<std::size_t>(r)] = statistic(std::span<const index_t>(drawn));
    }
  });
  const mean_estimate mean = estimate_mean(values);
  bootstrap_estimate result{.nonfinite = mean.nonfinite};
  if (mean.nonfinite > 0) {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    result.standard_error = result.percentile.low = result.percentile.high = nan;
    return result;
  }
  result.standard_error = mean.standard_error * std::sqrt(static_cast<double>(options.replicates));
  std::sort(values.begin(), values.end());
  const double tail = (1 - options.level) / 2;
  result.percentile = {sorted_quantile(values, tail), sorted_quantile(values, 1 - tail)};
  return result;
}

}  // namespace hone::eval
