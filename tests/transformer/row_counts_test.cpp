// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Every function of a row of logits on random rows, of every type: masks (-inf) of any place, number and length, NaN
/// and +inf, ties, logits of 1e-30 and of the type's largest number, temperatures from 1e-300 to 1e299; against sums in
/// long double. `test_transformer "[counts]"` prints how many results of each function were wrong.
#include "hone/loss/divergence.hpp"
#include "hone/loss/hinge.hpp"
#include "hone/loss/kept.hpp"
#include "hone/loss/likelihood.hpp"
#include "hone/loss/sequence.hpp"
#include "hone/policy/rows.hpp"
#include "hone/transformer/sampling.hpp"
#include "loss/support.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <cstdio>
#include <map>

using namespace hone;

namespace {

using real = long double;
constexpr real infinity = std::numeric_limits<real>::infinity();

struct tally {
  index_t tried = 0, wrong = 0;
};
std::map<std::string, tally> tallies;

bool is(const char* function, bool right) {
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
bool near(double got, real want, real digits) {
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

template <class T>
void judge_likelihoods(const trial<T>& t) {
  using namespace loss;
  const real x = t.p.x[t.at()], py = t.p.p[t.at()];
  const auto of_target = [&](real k) {
    return
        [&t, k](std::size_t v) { return k * static_cast<real>(t.options.scale) * (t.p.p[v] - (v == t.at() ? 1 : 0)); };
  };
  const auto family = [&](const char* function, auto&& run, real k) {
    const real w = k * static_cast<real>(t.weight);
    const real loss = w == 0 && t.p.valid ? 0 : -w * x;
    t.judge(function, run, loss, std::abs(static_cast<real>(t.options.scale) * w), t.p.valid, of_target(w));
  };
  family("likelihood", [&](auto z) { return likelihood(z, t.y(), t.options); }, 1);
  family("gradient_ascent", [&](auto z) { return gradient_ascent(z, t.y(), t.options); }, -1);
  family("wga", [&](auto z) { return wga(z, t.y(), 0.5, t.options); }, -std::sqrt(py));
  family("wga, beta 0", [&](auto z) { return wga(z, t.y(), 0, t.options); }, -1);
  const real miss = -std::expm1(x);
  // 1 - p is what the sum of floats keeps of it.
  if (!(miss < 1e-3L))
    family("satimp", [&](auto z) { return satimp(z, t.y(), {2, 0.5}, t.options); }, -py * py * std::sqrt(miss));
  auto g = t.z;
  is("satimp is never NaN for a finite row",
     std::isfinite(satimp(matrix_view<T>(g.data(), 1, t.vocab()), t.y(), {2, 0.5}, t.options).sum) || !t.p.valid);

  std::vector<double> out(1), nll(1);
  t.judge_loss("log_likelihood", log_likelihood(t.rows(), t.y(), out, t.options),
               t.weight == 0 && t.p.valid ? 0 : -static_cast<real>(t.weight) * x);
  is("log_likelihood", near(out[0], x, t.digits));
  is("log p is at most 0", !(out[0] > 0));
  const std::vector<index_t> offsets = {0, 1};
  sequence_nll(t.rows(), t.y(), offsets, nll, t.temperature);
  is("sequence_nll", near(nll[0], -x, t.digits));
  is("log p is at most 0", !(nll[0] < 0));
  const auto summary = summarize_entropy(t.z, t.temperature);
  is("summarize_entropy", near(summary.entropy, t.p.entropy(), t.digits));
  for (const std::size_t v : {std::size_t{0}, t.z.size() / 2, t.z.size() - 1})
    is("log p is at most 0", !(summary.normalizer.log_probability(from(t.z[v])) > 0));
}

template <class T>
void judge_hinge(const trial<T>& t) {
  const auto second = static_cast<std::size_t>(std::max_element(t.z.begin(), t.z.end(),
                                                                [&](const T& a, const T& b) {
                                                                  const bool left = &a == &t.z[t.at()],
                                                                             right = &b == &t.z[t.at()];
                                                                  return left ? !right : !right && from(a) < from(b);
                                                                }) -
                                               t.z.begin());
  const bool alone = t.z.size() == 1;
  const real py = t.p.p[t.at()], ps = alone ? 0 : t.p.p[second], hinge = 1 + py - ps;
  const real w = static_cast<real>(t.weight), k = hinge > 0 ? w * static_cast<real>(t.options.scale) : 0;
  if (hinge < 1e-6L && hinge > 0) return;  // of which rounding may leave nothing
  t.judge(
      "inverted_hinge", [&](auto z) { return loss::inverted_hinge(z, t.y(), t.options); }, t.p.valid ? w * hinge : NAN,
      4 * std::abs(k), t.p.valid,
      [&](std::size_t v) {
        const real p = t.p.p[v];
        return k * (py * ((v == t.at()) - p) - (alone ? 0 : ps * ((v == second) - p)));
      });
}

template <class T>
void judge_divergences(const trial<T>& t) {
  const bool valid = t.p.valid && t.q.valid;
  real forward = 0, reverse = 0, mean = 0;
  const auto difference = [&](std::size_t v) {
    return (static_cast<real>(from(t.z[v])) - t.p.maximum) - (static_cast<real>(from(t.w[v])) - t.q.maximum);
  };
  for (std::size_t v = 0; v < t.z.size(); ++v) {
    if (t.q.p[v] > 0) forward += t.q.p[v] * (t.q.x[v] - t.p.x[v]);
    if (t.p.p[v] > 0) reverse += t.p.p[v] * (t.p.x[v] - t.q.x[v]);
    if (t.p.p[v] > 0) mean += t.p.p[v] * difference(v);
  }
  const matrix_view<const T> reference(t.w.data(), 1, t.vocab());
  const real w = static_cast<real>(t.weight), k = w * static_cast<real>(t.options.scale);
  t.judge(
      "kl_to_reference, forward",
      [&](auto z) { return loss::kl_to_reference(z, reference, t.y(), loss::kl_direction::forward, t.options); },
      valid ? w * forward : NAN, std::abs(k), valid, [&](std::size_t v) { return k * (t.p.p[v] - t.q.p[v]); });
  // Elements are differences of products of this size, in which the rounding is relative.
  real size = 0;
  for (std::size_t v = 0; v < t.z.size(); ++v)
    if (t.p.p[v] > 0) size = (std::max)(size, t.p.p[v] * (std::abs(difference(v)) + std::abs(mean)));
  size *= std::abs(k) / static_cast<real>(t.temperature);
  if (size / static_cast<real>(t.temperature) > largest<T>) size = infinity;
  t.judge(
      "kl_to_reference, reverse",
      [&](auto z) { return loss::kl_to_reference(z, reference, t.y(), loss::kl_direction::reverse, t.options); },
      valid ? w * reverse : NAN, size, valid,
      [&](std::size_t v) {
        return t.p.p[v] > 0 ? k * t.p.p[v] * ((difference(v) - mean) / static_cast<real>(t.temperature)) : 0;
      });

  auto shifted = widened(t.w);
  const double beta = 4;
  using A = accumulator_t<T>;
  shifted[t.at()] = static_cast<double>(static_cast<A>(shifted[t.at()]) - static_cast<A>(beta));
  const softmax q(shifted, t.temperature);
  real cross = 0;
  for (std::size_t v = 0; v < t.z.size(); ++v)
    if (q.p[v] > 0) cross -= q.p[v] * t.p.x[v];
  const bool both = t.p.valid && q.valid;
  t.judge(
      "undial", [&](auto z) { return loss::undial(z, reference, t.y(), beta, t.options); }, both ? w * cross : NAN,
      std::abs(k), both, [&](std::size_t v) { return k * (t.p.p[v] - q.p[v]); });
}

template <class T>
void judge_kept(const trial<T>& t, draw& d) {
  std::vector<std::int64_t> ids;
  std::vector<double> kept;
  const double share = d.uniform();
  std::size_t place = 0;
  for (std::int64_t v = 0; v < t.vocab(); ++v) {
    if (v != t.target && d.uniform() > share) continue;
    if (v == t.target) place = ids.size();
    ids.push_back(v);
    kept.push_back(from(t.z[static_cast<std::size_t>(v)]));
  }
  const softmax p(kept, t.temperature);
  const std::vector<index_t> offsets = {0, static_cast<index_t>(ids.size())};
  const loss::kept_sets sets{ids, offsets};
  std::vector<double> out(1);
  const real w = static_cast<real>(t.weight), x = p.x[place], k = w * static_cast<real>(t.options.scale);
  const real loss = w == 0 && p.valid ? 0 : -w * x;
  t.judge_loss("kept_log_likelihood", loss::kept_log_likelihood(t.rows(), t.y(), sets, out, t.options), loss);
  is("kept_log_likelihood", near(out[0], x, t.digits));
  is("log p is at most 0", !(out[0] > 0));
  std::vector<real> want(t.z.size(), 0);
  for (std::size_t i = 0; i < ids.size(); ++i)
    want[static_cast<std::size_t>(ids[i])] = k * (p.p[i] - (i == place ? 1 : 0));
  t.judge(
      "kept_likelihood", [&](auto z) { return loss::kept_likelihood(z, t.y(), sets, t.options); }, loss, std::abs(k),
      p.valid, [&](std::size_t v) { return want[v]; });
}

template <class T>
void judge_policy(const trial<T>& t) {
  const index_t width = (std::min)(t.vocab(), index_t{9});
  const auto n = static_cast<std::size_t>(width);
  std::vector<std::int32_t> ids(n);
  std::vector<double> q(n), mass(1);
  policy::top_k_support(matrix_view<const T>(t.w.data(), 1, t.vocab()), t.y(), width, {ids, q, mass},
                        {.temperature = t.temperature});
  std::vector<std::int32_t> order, members;
  for (std::int32_t v = 0; v < t.vocab(); ++v)
    if (from(t.w[static_cast<std::size_t>(v)]) >= -largest<T>) order.push_back(v);  // no NaN, not absent
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return from(t.w[static_cast<std::size_t>(a)]) > from(t.w[static_cast<std::size_t>(b)]);
  });
  order.resize((std::min)(order.size(), n));
  for (const auto v : order)
    if (v != t.target) members.push_back(v);
  std::sort(members.begin(), members.end());
  bool right = true;
  real reference_mass = 0;
  for (std::size_t i = 0; i < n; ++i) {
    right = right && ids[i] == (i < members.size() ? members[i] : -1);
    const real want = i < members.size() ? t.q.p[static_cast<std::size_t>(members[i])] : 0;
    right = right && near(q[i], want, t.digits);
    reference_mass += want;
  }
  is("top_k_support", right && near(mass[0], reference_mass, t.digits) && !(mass[0] > 1));

  const policy::support_view support{ids, q, width};
  std::vector<double> log_p(1), entropy(1), top(1), log_mass(1), likelihood(1);
  policy::measure(t.rows(), t.y(), support,
                  {.log_probability = log_p,
                   .entropy = entropy,
                   .top_mass = top,
                   .log_mass = log_mass,
                   .reference_likelihood = likelihood},
                  t.temperature);
  real inside = 0, largest_inside = -infinity, of_reference = 0;
  for (const auto v : members) largest_inside = (std::max)(largest_inside, t.p.x[static_cast<std::size_t>(v)]);
  for (std::size_t i = 0; i < members.size(); ++i) {
    const real x = t.p.x[static_cast<std::size_t>(members[i])];
    if (x > -infinity) inside += std::exp(x - largest_inside);
    if (q[i] > 0) of_reference += static_cast<real>(q[i]) * x;
  }
  is("measure, log pi", near(log_p[0], t.p.x[t.at()], t.digits));
  is("measure, entropy", near(entropy[0], t.p.entropy(), t.digits));
  is("measure, top mass", near(top[0], t.p.valid ? *std::max_element(t.p.p.begin(), t.p.p.end()) : NAN, t.digits));
  if (t.p.valid)
    is("measure, log mass", near(log_mass[0], inside == 0 ? -infinity : largest_inside + std::log(inside), t.digits));
  if (t.p.valid && t.q.valid && reference_mass > 1e-30L)
    is("measure, reference likelihood", near(likelihood[0], of_reference / reference_mass, t.digits));
  is("log p is at most 0", !(log_p[0] > 0) && !(log_mass[0] > 0));

  loss::row_terms terms{.target = 0.7, .subset = -0.4, .entropy = t.temperature < 1e-3 ? 0 : 0.3};
  if (t.q.valid && reference_mass > 1e-30L) terms.forward_kl = 0.6;
  real m = 0;
  for (const auto v : members) m += t.p.p[static_cast<std::size_t>(v)];
  const real h = t.p.entropy();
  std::vector<real> share(t.z.size(), 0), in(t.z.size(), 0);
  for (std::size_t i = 0; i < members.size(); ++i) {
    in[static_cast<std::size_t>(members[i])] = 1;
    share[static_cast<std::size_t>(members[i])] = static_cast<real>(q[i]) / reference_mass;
  }
  auto g = t.z;
  policy::write_gradient(matrix_view<T>(g.data(), 1, t.vocab()), t.y(), std::span(&terms, 1), support, t.temperature);
  t.judge_gradient("write_gradient", g, 2 + h, t.p.valid, [&](std::size_t v) {
    const real p = t.p.p[v];
    return static_cast<real>(terms.target) * ((v == t.at()) - p) + static_cast<real>(terms.subset) * p * (in[v] - m) +
           (p > 0 ? static_cast<real>(terms.entropy) * p * (t.p.x[v] + h) : 0) +
           (terms.forward_kl != 0 ? static_cast<real>(terms.forward_kl) * (p - share[v]) : 0);
  });
}

template <class T>
void judge_sampling(const trial<T>& t, draw& d) {
  std::vector<std::pair<double, std::int32_t>> scratch;
  const transformer::sampling_options options{.temperature = d.uniform() < 0.2 ? 0 : t.temperature,
                                              .top_k = d.one_of<index_t>({0, 0, 1, 5, 5000}),
                                              .top_p = d.one_of<double>({1, 1, 0.9, 1e-9, 1e-300}),
                                              .seed = d.at};
  bool threw = false;
  try {
    const auto [token, log_p] = transformer::sample_token(t.z, options, 1, 2, scratch);
    const softmax p(widened(t.z), options.temperature > 0 ? options.temperature : 1);
    const bool inside = token >= 0 && token < t.vocab();
    const auto v = static_cast<std::size_t>(inside ? token : 0);
    is("sample_token", inside && p.p[v] > 0 && near(log_p, p.x[v], t.digits) &&
                           (options.temperature > 0 || static_cast<real>(from(t.z[v])) == p.maximum));
    is("log p is at most 0", !(log_p > 0));
  } catch (const std::invalid_argument&) {
    threw = true;
  }
  is("sample_token throws without a distribution, and only then", threw == !t.p.valid);
}

template <class T>
void judge_type(std::uint32_t stream, int trials) {
  draw d{{17, stream}};
  for (int i = 0; i < trials; ++i) {
    const auto n = d.one_of<index_t>(
        {1, 2, 9, 15, 16, 17, 31, 32, 33, 64, 95, 96, 97, 200, 1023, 1024, 1025, 2047, 2048, 2049, 3000});
    const double temperature =
        d.one_of<double>({1,     1,     1.3,   0.6,    2.5,    30,  0.1,  1e-2, 1e-3, 1e-6,  1e-12,
                          1e-20, 1e-38, 1e-45, 1e-100, 1e-300, 1e4, 1e10, 1e38, 1e45, 1e100, 1e299});
    auto z = random_row<T>(d, n), w = random_row<T>(d, n);
    mask(d, z, d.uniform() < 0.1);
    // What one row excludes the other does: infinite divergences have tests of their own.
    const bool spoilt = d.uniform() < 0.05;
    for (std::size_t v = 0; v < z.size(); ++v)
      if (from(z[v]) == -INFINITY) w[v] = z[v];
    if (spoilt) w[static_cast<std::size_t>(d.below(n))] = to<T>(NAN);
    const auto y = static_cast<std::int32_t>(d.below(n));
    const double far = std::is_same_v<T, float16> ? 10 : 1e20;
    const trial<T> t(z, w, temperature, y, d.one_of<double>({1, 0.25, -2, 1 / far, far}),
                     d.one_of<double>({1, 0.5, 3, 0}));
    judge_likelihoods(t);
    judge_hinge(t);
    judge_divergences(t);
    judge_kept(t, d);
    judge_policy(t);
    judge_sampling(t, d);
  }
}

}  // namespace

TEST_CASE("rows of any mask, temperature and type: nothing is wrong", "[counts]") {
  judge_type<float>(1, 300);
  judge_type<double>(2, 200);
  judge_type<bfloat16>(3, 200);
  judge_type<float16>(4, 200);
  index_t wrong = 0;
  std::printf("%-60s %8s %6s\n", "", "results", "wrong");
  for (const auto& [function, t] : tallies) {
    std::printf("%-60s %8td %6td\n", function.c_str(), t.tried, t.wrong);
    wrong += t.wrong;
  }
  CHECK(wrong == 0);
}
