// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Every function of a row of logits on random rows, of every type: masks (-inf) of any place, number and length, NaN
/// and +inf, ties, logits of 1e-30 and of the type's largest number, temperatures from 1e-300 to 1e299; against sums in
/// long double. `test_transformer "[counts]"` prints how many results of each function were wrong.
#include "hone/loss/divergence.hpp"
#include "hone/loss/hinge.hpp"
#include "hone/loss/kept.hpp"
#include "hone/loss/likelihood.hpp"
#include "hone/loss/sampling.hpp"
#include "hone/loss/sequence.hpp"
#include "hone/policy/rows.hpp"
#include "support/catch.hpp"
#include "transformer/row_trial.hpp"

#include <algorithm>
#include <cstdio>

using namespace hone;
using namespace row_trial;

namespace {

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
  const loss::sampling_options options{.temperature = d.uniform() < 0.2 ? 0 : t.temperature,
                                       .top_k = d.one_of<index_t>({0, 0, 1, 5, 5000}),
                                       .top_p = d.one_of<double>({1, 1, 0.9, 1e-9, 1e-300}),
                                       .seed = d.at};
  bool threw = false;
  try {
    const auto [token, log_p] = loss::sample_token(t.z, options, 1, 2, scratch);
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
