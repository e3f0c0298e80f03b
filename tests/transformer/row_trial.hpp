// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Random rows of logits with any mask, the distributions that they stand for, from the definition in long double, and
/// a count of what was wrong.
#pragma once
#include "hone/loss/batch.hpp"
#include "loss/support.hpp"

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <map>
#include <string>

namespace row_trial {

using namespace hone;

using real = long double;
inline constexpr real infinity = std::numeric_limits<real>::infinity();

/// How many results of a function were looked at, and how many were wrong.
struct tally {
  index_t tried = 0, wrong = 0;
};
inline std::map<std::string, tally> tallies;

inline bool is(const char* function, bool right) {
  tally& t = tallies[function];
  ++t.tried;
  t.wrong += !right;
  return right;
}

/// A softmax from its definition.
struct softmax {
  std::vector<real> x, p;  ///< log p and p; NaN where the row has no distribution
  bool valid = true;
  real maximum = -infinity;

  softmax(const std::vector<double>& z, double temperature) {
    for (const double v : z) {
      valid = valid && v < static_cast<double>(infinity);  // neither NaN nor +inf
      maximum = (std::max)(maximum, static_cast<real>(v));
    }
    valid = valid && maximum > -infinity;
    real sum = 0;
    for (const double v : z) sum += std::exp((static_cast<real>(v) - maximum) / static_cast<real>(temperature));
    for (const double v : z) {
      x.push_back(valid ? (static_cast<real>(v) - maximum) / static_cast<real>(temperature) - std::log(sum) : NAN);
      p.push_back(std::exp(x.back()));
    }
  }
  [[nodiscard]] real entropy() const {
    real h = valid ? 0 : NAN;
    for (std::size_t v = 0; v < p.size(); ++v)
      if (p[v] > 0) h -= p[v] * x[v];
    return h;
  }
};

/// To @p digits, absolutely and relatively.
inline bool near(double got, real want, real digits) {
  if (want != want) return got != got;
  if (std::abs(want) > static_cast<real>((std::numeric_limits<double>::max)()))
    return got == static_cast<double>(want < 0 ? -infinity : infinity);
  return std::abs(static_cast<real>(got) - want) <= digits * (1 + std::abs(want));
}

template <class T>
inline constexpr double largest = std::is_same_v<T, double>    ? 1.7976931348623157e308
                                  : std::is_same_v<T, float16> ? 65504
                                                               : 3.4e38;

/// An element of a gradient, the coefficients being of size @p scale.
template <class T>
bool near_gradient(T element, real want, real scale) {
  const auto got = static_cast<real>(from(element));
  if (want != want) return got != got;
  if (want == 0) return got == 0;
  if (std::abs(want) > 0.99L * largest<T>) return (got > 0) == (want > 0) && std::abs(got) > 0.98L * largest<T>;
  const real smallest = std::is_same_v<T, float16> ? 6e-8L : 1e-37L;
  return std::abs(got - want) <=
         static_cast<real>(rounding<T>) * (4 * (std::min)(scale, 0.25L * largest<T>)+std::abs(want)) + smallest;
}

struct draw {
  philox random;
  std::uint64_t at = 0;
  double uniform() { return random.uniform(at++); }
  double normal() { return random.normal(at++); }
  index_t below(index_t n) { return static_cast<index_t>(uniform() * static_cast<double>(n)); }
  template <class X>
  X one_of(std::initializer_list<X> x) {
    return x.begin()[below(static_cast<index_t>(x.size()))];
  }
};

template <class T>
std::vector<T> random_row(draw& d, index_t n) {
  std::vector<T> z(static_cast<std::size_t>(n));
  const index_t kind = d.below(8);
  const double deviation = kind == 0 ? 100 : kind == 1 ? 1e-30 : kind == 2 ? 0.4 * (std::min)(largest<T>, 1e300) : 3;
  for (T& v : z) {
    const double x = d.normal();
    v = to<T>(kind == 3 ? std::round(x) : deviation * (std::clamp)(x, -2.4, 2.4));
  }
  return z;
}

/// Some elements absent; @p spoil: or one NaN or +inf.
template <class T>
void mask(draw& d, std::vector<T>& z, bool spoil) {
  const T absent = to<T>(-INFINITY);
  const auto n = static_cast<index_t>(z.size());
  switch (d.below(7)) {
    case 0: break;
    case 1:
      for (T& v : z)
        if (d.uniform() < 0.5) v = absent;
      break;
    case 2: std::fill_n(z.begin(), d.below(n + 1), absent); break;
    case 3: std::fill_n(z.rbegin(), d.below(n + 1), absent); break;
    case 4: std::fill_n(z.begin(), (std::min)(n, d.one_of<index_t>({1024, 2048})), absent); break;
    case 5: {
      const auto one = static_cast<std::size_t>(d.below(n));
      const T kept = z[one];
      std::fill(z.begin(), z.end(), absent);
      z[one] = kept;
      break;
    }
    default: {
      const index_t first = d.below(n), count = d.below(n - first + 1);
      std::fill_n(z.begin() + first, count, absent);
    }
  }
  if (spoil) z[static_cast<std::size_t>(d.below(n))] = to<T>(d.one_of<double>({NAN, INFINITY, -INFINITY}));
}

/// A row and its reference, what a loss is asked of them, and what it is judged by: sums in long double.
template <class T>
struct trial {
  std::vector<T> z, w;
  double temperature;
  std::int32_t target;
  loss::row_options options;
  double weight;
  std::vector<double> weights{0};
  softmax p, q;
  real digits = std::is_same_v<T, double> ? 1e-11L : 2e-5L;

  trial(std::vector<T> logits, std::vector<T> reference, double t, std::int32_t y, double scale, double factor)
      : z(std::move(logits)), w(std::move(reference)), temperature(t), target(y),
        options{.scale = scale, .temperature = t}, weight(factor), weights{factor}, p(widened(z), t), q(widened(w), t) {
    options.weights = weights;
  }
  [[nodiscard]] auto y() const { return std::span(&target, 1); }
  [[nodiscard]] std::size_t at() const { return static_cast<std::size_t>(target); }
  [[nodiscard]] index_t vocab() const { return static_cast<index_t>(z.size()); }
  [[nodiscard]] matrix_view<const T> rows() const { return {z.data(), 1, vocab()}; }

  void judge_loss(const char* function, const loss::loss_sum& got, real want) const {
    is(function, near(got.sum, want, digits) && got.count == 1 && got.nonfinite == !std::isfinite(got.sum));
  }
  /// @p want(v) are the elements, of coefficients of size @p scale; nothing is said of a row that a NaN spoils but its
  /// loss.
  template <class Want>
  void judge_gradient(const char* function, const std::vector<T>& g, real scale, bool valid, Want&& want) const {
    const bool absent = std::none_of(z.begin(), z.end(), [](T v) { return from(v) != -INFINITY; });
    if ((!valid && !absent) || scale / static_cast<real>(temperature) > largest<T> * 1e40L) return;
    bool right = true;
    for (std::size_t v = 0; right && v < g.size(); ++v)
      right = near_gradient<T>(g[v], valid ? want(v) / static_cast<real>(temperature) : 0,
                               scale / static_cast<real>(temperature));
    is(function, right);
  }
  /// A loss with a gradient: @p run on a matrix of one row, contiguous and strided.
  template <class Run, class Want>
  void judge(const char* function, Run&& run, real loss, real scale, bool valid, Want&& want) const {
    auto g = z;
    judge_loss(function, run(matrix_view<T>(g.data(), 1, vocab())), loss);
    judge_gradient(function, g, scale, valid, want);
    std::vector<T> wide(2 * z.size());
    for (std::size_t v = 0; v < z.size(); ++v) wide[2 * v] = z[v];
    run(matrix_view<T>(wide.data(), 1, vocab(), 2 * vocab(), 2));
    bool same = true;
    for (std::size_t v = 0; v < z.size(); ++v)
      same = same && std::memcmp(&wide[2 * v], &g[v], sizeof(T)) == 0 && from(wide[2 * v + 1]) == 0;
    is("strided rows have the same bits", same || !valid);
  }
};

}  // namespace row_trial
