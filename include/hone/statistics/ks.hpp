// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The two-sample Kolmogorov-Smirnov test, two-sided and exact: D = max |F_x - F_y| of the two empirical distribution
/// functions, and the probability of a D as large if both samples came from one continuous distribution. The
/// probability is a sum over lattice paths from (0, 0) to (n, m), a step right for each x and up for each y in their
/// order, all equally likely; D >= d where a path leaves the band |i / n - j / m| < d. With h = d lcm(n, m):
///   n = m    p = 2 sum_{k >= 1} (-1)^(k-1) C(2n, n - k h) / C(2n, n)              [Gnedenko, Korolyuk 1951]
///   n != m   p = sum over the steps that leave the band of (share of paths to it that stayed inside)
///                * (probability that a path takes the step)
/// [Hodges 1958, The significance probability of the Smirnov two-sample test, Arkiv foer Matematik 3] counts the paths
/// that stay and subtracts; here those that leave are summed: nothing cancels, and p keeps its digits as it falls.
#pragma once
#include "hone/statistics/binomial.hpp"
#include "hone/statistics/detail/sort.hpp"

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::statistics {

struct ks_result {
  double statistic = 0;  ///< D
  double p_value = 1;    ///< 0 below 4.9e-324; log10_p goes on
  double log10_p = 0;
  index_t n = 0;
  index_t m = 0;
  index_t nans = 0;  ///< values that have no order; with any of them the first three are NaN
};

namespace detail {

inline void check_ks_sizes(index_t n, index_t m, const char* function) {
  constexpr index_t most = (index_t{1} << 31) - 1;  // products of two sizes are exact
  invalid_argument_unless(0 < n && n <= most, function, "n", "must be in [1, 2^31 - 1], is %td", n);
  invalid_argument_unless(0 < m && m <= most, function, "m", "must be in [1, 2^31 - 1], is %td", m);
}

/// log of a sum of e^term, terms given one by one.
class log_sum {
 public:
  void add(double term) {
    if (term <= largest_) {
      sum_ += std::exp(term - largest_);
    } else {
      sum_ = sum_ * std::exp(largest_ - term) + 1;
      largest_ = term;
    }
  }
  [[nodiscard]] double value() const { return sum_ == 0 ? largest_ : largest_ + std::log(sum_); }

 private:
  double largest_ = std::numeric_limits<double>::lowest(), sum_ = 0;
};

/// log P(D >= h / n) for n = m.
inline double log_ks_equal(index_t h, index_t n) {
  const double centre = log_binomial_probability(n, 2 * n, 0.5);
  const double first = log_binomial_probability(n - h, 2 * n, 0.5) - centre;
  double sum = 1;  // in units of the first term
  double sign = -1;
  for (index_t at = n - 2 * h; at >= 0; at -= h, sign = -sign) {
    const double term = std::exp(log_binomial_probability(at, 2 * n, 0.5) - centre - first);
    sum += sign * term;
    if (term < 1e-18) break;
  }
  return std::log(2.0) + first + std::log(sum);
}

/// log P(D >= h / lcm(n, m)) for n < m.
inline double log_ks_unequal(index_t h, index_t n, index_t m) {
  const index_t divisor = std::gcd(n, m), right = m / divisor, up = n / divisor, total = n + m;
  // Inside the band: |i right - j up| < h, that is i (right + up) between step up - h and step up + h, exclusively.
  const index_t both = right + up;
  std::vector<double> share(static_cast<std::size_t>(n) + 3, 0.0), next = share;  // of i, one in front, zero outside
  const auto at = [](index_t i) { return static_cast<std::size_t>(i + 1); };
  share[at(0)] = 1;
  log_sum leaving;
  index_t low = 0, high = 0;
  for (index_t step = 0; step < total && low <= high; ++step) {
    // Only the two outermost states of a diagonal can leave, one on each side.
    const auto leave = [&](index_t i, double chance) {
      const double stayed = share[at(i)];
      if (stayed > 0) leaving.add(std::log(stayed * chance) + log_hypergeometric_probability(i, n, step, total));
    };
    const auto left = static_cast<double>(total - step);
    if (high < n && (high + 1) * right - (step - high) * up >= h) leave(high, static_cast<double>(n - high) / left);
    if (step - low < m && low * right - (step - low + 1) * up <= -h)
      leave(low, static_cast<double>(m - (step - low)) / left);

    const index_t reached = step + 1, below = reached * up - h;
    low = (std::max)({index_t{0}, reached - m, below < 0 ? index_t{0} : below / both + 1});
    high = (std::min)({n, reached, (reached * up + h - 1) / both});
    const double scale = 1 / static_cast<double>(reached);
    for (index_t i = low; i <= high; ++i)
      next[at(i)] =
          scale * (static_cast<double>(i) * share[at(i - 1)] + static_cast<double>(reached - i) * share[at(i)]);
    next[at(low - 1)] = next[at(high + 1)] = 0;
    std::swap(share, next);
  }
  return leaving.value();
}

/// log P(sqrt(n m / (n + m)) D >= x) as n, m grow: 2 sum (-1)^(k-1) e^(-2 k^2 x^2).
inline double log_kolmogorov_tail(double x) {
  if (x < 1) {  // there the other series of the theta function converges, to the complement
    constexpr double pi = 3.14159265358979323846;
    if (x < 0.03) return 0;  // the complement underflows
    double sum = 0;
    for (int k = 1; k < 20; k += 2) sum += std::exp(-k * k * pi * pi / (8 * x * x));
    return std::log1p(-std::sqrt(2 * pi) / x * sum);
  }
  double sum = 0;
  for (int k = 2; k < 20; ++k) sum += (k % 2 == 0 ? -1 : 1) * std::exp(-2.0 * (k * k - 1) * x * x);
  return std::log(2.0) - 2 * x * x + std::log1p(sum);
}

struct ks_gap {
  index_t h = 0;  ///< max |i m - j n| / gcd(n, m)
  index_t nans = 0;
};

inline ks_gap largest_gap(std::span<const double> x, std::span<const double> y) {
  std::vector<double> a(x.begin(), x.end()), b(y.begin(), y.end());
  ks_gap result;
  for (const auto* sample : {&a, &b})
    result.nans += std::count_if(sample->begin(), sample->end(), [](double v) { return std::isnan(v); });
  if (result.nans > 0) return result;
  sort_ascending(a);
  sort_ascending(b);
  const auto n = std::ssize(a), m = std::ssize(b), divisor = std::gcd(n, m);
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {  // after the end of one sample the gap only closes
    const double value = (std::min)(a[i], b[j]);
    while (i < a.size() && a[i] == value) ++i;
    while (j < b.size() && b[j] == value) ++j;
    const index_t gap = static_cast<index_t>(i) * (m / divisor) - static_cast<index_t>(j) * (n / divisor);
    result.h = (std::max)(result.h, gap < 0 ? -gap : gap);
  }
  return result;
}

template <class Tail>
ks_result ks_test(std::span<const double> x, std::span<const double> y, const char* function, Tail&& log_tail) {
  const index_t n = std::ssize(x), m = std::ssize(y);
  check_ks_sizes(n, m, function);
  ks_result result{.n = n, .m = m};
  const ks_gap gap = largest_gap(x, y);
  result.nans = gap.nans;
  if (gap.nans > 0) {
    result.statistic = result.p_value = result.log10_p = std::numeric_limits<double>::quiet_NaN();
    return result;
  }
  const double lcm = static_cast<double>(n) * static_cast<double>(m / std::gcd(n, m));
  result.statistic = static_cast<double>(gap.h) / lcm;
  const double log_p = gap.h == 0 ? 0 : (std::min)(0.0, log_tail(gap.h, result.statistic));
  result.p_value = std::exp(log_p);
  result.log10_p = log_p / std::log(10.0);
  return result;
}

}  // namespace detail

/// log of the exact probability that two samples of n and m values differ by D >= h / lcm(n, m), without ties.
/// @throws std::invalid_argument unless n and m are in [1, 2^31 - 1] and h is in [0, lcm(n, m)].
/// @note n = m: at most n / h terms. n != m: D n m states, a few operations each, and 16 min(n, m) bytes. Relative
///       error of the probability some 1e-13 (1 + |log p|); nothing underflows.
inline double log_ks_probability(index_t h, index_t n, index_t m) {
  const char* function = "hone::statistics::log_ks_probability";
  detail::check_ks_sizes(n, m, function);
  const index_t lcm = n * (m / std::gcd(n, m));
  invalid_argument_unless(0 <= h && h <= lcm, function, "h", "must be in [0, %td], is %td", lcm, h);
  if (h == 0) return 0;
  if (n == m) return (std::min)(0.0, detail::log_ks_equal(h, n));
  return (std::min)(0.0, detail::log_ks_unequal(h, (std::min)(n, m), (std::max)(n, m)));
}

/// The exact test. Between equal values no gap is looked for, and p is that of samples without ties, as in scipy: with
/// ties it is an upper bound.
/// @throws std::invalid_argument if a sample is empty.
/// @note Sorts copies; then as `log_ks_probability`. Infinite values are ordered like others.
inline ks_result ks_two_sample(std::span<const double> x, std::span<const double> y) {
  return detail::ks_test(x, y, "hone::statistics::ks_two_sample",
                         [&](index_t h, double) { return log_ks_probability(h, std::ssize(x), std::ssize(y)); });
}

/// The same statistic with the limiting distribution, 2 sum (-1)^(k-1) e^(-2 k^2 D^2 n m / (n + m)): for samples so
/// large and unequal that counting takes too long. In the tail it is wrong by factors: 4.4e-16 for 2.2e-16 at
/// n = m = 300, D = 104/300.
/// @throws std::invalid_argument if a sample is empty. @note Sorts copies.
inline ks_result ks_two_sample_asymptotic(std::span<const double> x, std::span<const double> y) {
  const auto n = static_cast<double>(x.size()), m = static_cast<double>(y.size());
  return detail::ks_test(x, y, "hone::statistics::ks_two_sample_asymptotic", [&](index_t, double statistic) {
    return detail::log_kolmogorov_tail(statistic * std::sqrt(n / (n + m) * m));
  });
}

}  // namespace HONE_NAMESPACE::statistics
