// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/weights.hpp"

#include "privacy/support.hpp"
#include "support/catch.hpp"

#include <cmath>

using namespace hone::privacy;
using hone::index_t;

namespace {
const hone::serial alone;

template <class Scheme>
std::vector<double> weights_of(const Scheme& scheme, const records& data, std::vector<double>* beta = nullptr) {
  constexpr certificate solver{1e-13};
  std::vector<double> own(static_cast<std::size_t>(parameters(scheme, data.limits()))),
      w(static_cast<std::size_t>(data.held()));
  CHECK(solve(scheme, data, own, alone, solver).converged);
  weigh_by(scheme, data, own, w, alone);
  if (beta != nullptr) *beta = own;
  std::vector<double> again(w.size());
  weigh(scheme, data, again, alone, solver);
  CHECK(again == w);
  return w;
}

}  // namespace

TEST_CASE("weights of twelve records") {
  const records data = twelve().clipped();
  std::vector<double> beta;
  const std::vector<double> w = weights_of(ipw{.ridge = .1}, data, &beta);
  check_near(beta, {0.7081990763, -0.1005732890, 0.2097959202});
  check_near(w, {1.6006741038, 1.8539792292, 1.8057778593, 1.5429735656, 1.8032979471, 1.8301127019, 1.7188670740,
                 2.4161589970, 1.9007933943, 2.4443282398, 2.0692033536, 1.6319168258});
  const std::vector<double> cut = weights_of(ipw{.ridge = .1, .clip = 1.8}, data);
  for (std::size_t i = 0; i < 12; ++i) CHECK(cut[i] == (std::min)(w[i], 1.8));
  check_near(weights_of(overlap{.ridge = .1}, data),
             {.3752632109, .4606196314, .4462220284, .3519007569, .4454604678, .4535855639, .4182214465, .5861199527,
              .4739038956, .5908896425, .5167222215, .3872236721});
  const std::vector<double> c = weights_of(covariate_balancing{.ridge = .5}, data, &beta);
  check_near(beta, {0.6227013616, -0.0829713857, 0.1927283357});
  check_near(c, {1.6354698022, 1.8764006466, 1.8254530777, 1.5824265129, 1.8268804962, 1.8427190852, 1.7515979134,
                 2.3665046896, 1.9119464555, 2.3835605280, 2.0545008428, 1.6651685255});
  const std::vector<double> e = weights_of(entropy_balancing{}, data, &beta);
  check_near(beta, {0.1453885815, -0.0093621957, 0.2664370225, -0.0660035359, 0.0165756661, 0.1853927401});
  check_near(e, {1.0580307335, 1.0886308861, 1.0827084762, 1.0458566688, 1.0653814236, 1.0935628796, 1.0460792659,
                 1.2063859423, 1.0916537599, 1.1990339412, 1.1172494059, 1.0615123134});
  double sums[2] = {}, loose[2] = {};
  const std::vector<double> tenth = weights_of(entropy_balancing{.ridge = .1}, data);
  for (std::size_t i = 0; i < 12; ++i) {
    sums[data.arm()[i]] += e[i];
    loose[data.arm()[i]] += tenth[i];
  }
  check_near(sums, {5.6055114591, 7.5505742372}, 1e-9);
  check_near(loose, {8.9321829354, 9.7212295187}, 1e-9);
}

TEST_CASE("softmax balancing, without a constant column") {
  raw_records raw = twelve();
  raw.limits.intercept = 0;
  const records data = raw.clipped();
  CHECK(data.columns() == 2);
  std::vector<double> beta;
  const std::vector<double> w = weights_of(softmax_balancing{.least_arm = 5}, data, &beta);
  check_near(beta, {0.1975574807, -0.0266002078, -0.1501935517, 0.0224155573});
  check_near(w, {1.6342027634, 2.2891883008, 1.7381173078, 1.5990521646, 2.2478314941, 1.7510204329, 2.1805347390,
                 2.6356967234, 1.7791159144, 2.6467487427, 1.8469792672, 1.6515121498});
}

TEST_CASE("in the limit of no ridge arms agree in their moments") {
  raw_records raw = twelve();
  raw.limits.row_bound = 1;
  const records data = raw.clipped();
  // The ridges that privacy needs are far from it: the methods, not their bounds, are compared here.
  std::vector<double> beta(6), w(12);
  for (hone::index_t a = 0; a < 2; ++a) {
    const std::vector<double> member = detail::members(data, a);
    const detail::arm_odds_rows rows{member.data(), 1};
    detail::ridge_objective<1, detail::arm_odds_rows> objective{data, rows, 1e-10, {}, alone};
    hone::linalg::minimise_newton(objective, std::span(beta).subspan(static_cast<std::size_t>(3 * a), 3),
                                  {.tolerance = 1e-13});
  }
  for (std::size_t i = 0; i < 12; ++i) {
    double z = 0;
    for (hone::index_t j = 0; j < 3; ++j)
      z += data(static_cast<hone::index_t>(i), j) * beta[static_cast<std::size_t>(3 * data.arm()[i] + j)];
    w[i] = std::exp(z);
  }
  check_near(w,
             {.8682519080, 1.5262922468, 1.7264590154, .6677076182, 1.2931179780, 1.9558956186, 1.0646731722,
              4.0847558382, 2.2325189481, 4.0311607647, 3.5764329304, .9727339605},
             2e-8);
}

namespace {
/// Gradients of each method's objective at beta, written from the formulas; record by record.
template <class Scheme>
std::vector<double> gradient_at(const Scheme& scheme, const records& data, const std::vector<double>& beta) {
  const auto d = static_cast<std::size_t>(data.columns()), m = beta.size() / d;
  const double n = static_cast<double>(data.limits().rows);
  std::vector<long double> sum(beta.size());
  std::vector<long double> total(m), mean(d);
  std::vector<std::vector<long double>> softmax(m, std::vector<long double>(d));
  for (index_t i = 0; i < data.limits().rows; ++i) {
    if (data.arm()[i] < 0) continue;
    const auto own = static_cast<std::size_t>(data.arm()[i]);
    const double t = data.sign()[i];
    std::vector<long double> z(m), slope(m);
    for (std::size_t c = 0; c < m; ++c)
      for (std::size_t j = 0; j < d; ++j)
        z[c] += static_cast<long double>(beta[c * d + j]) * data(i, static_cast<index_t>(j));
    if constexpr (std::same_as<Scheme, covariate_balancing>) {
      slope[0] = -t * (std::exp(-t * z[0]) + 1);
    } else if constexpr (std::same_as<Scheme, entropy_balancing>) {
      for (std::size_t c = 0; c < m; ++c) slope[c] = (c == own ? std::exp(z[c]) : 0) - 1;
    } else if constexpr (std::same_as<Scheme, softmax_balancing>) {
      for (std::size_t j = 0; j < d; ++j) {
        mean[j] += data(i, static_cast<index_t>(j)) / n;
        softmax[own][j] += std::exp(z[own]) * data(i, static_cast<index_t>(j));
      }
      total[own] += std::exp(z[own]);
    } else if (data.limits().arms == 2) {
      slope[0] = -t / (1 + std::exp(t * z[0]));
    } else {
      long double all = 0;
      for (std::size_t c = 0; c < m; ++c) all += std::exp(z[c]);
      for (std::size_t c = 0; c < m; ++c) slope[c] = std::exp(z[c]) / all - (c == own ? 1 : 0);
    }
    for (std::size_t c = 0; c < m; ++c)
      for (std::size_t j = 0; j < d; ++j) sum[c * d + j] += slope[c] * data(i, static_cast<index_t>(j));
  }
  std::vector<double> result(beta.size());
  for (std::size_t k = 0; k < beta.size(); ++k) {
    result[k] = static_cast<double>(sum[k] / n + static_cast<long double>(scheme.ridge) * beta[k]);
    if constexpr (std::same_as<Scheme, softmax_balancing>)
      result[k] += static_cast<double>((total[k / d] > 0 ? softmax[k / d][k % d] / total[k / d] : 0) - mean[k % d]);
  }
  return result;
}

double norm(std::span<const double> x) {
  double squared = 0;
  for (const double value : x) squared += value * value;
  return std::sqrt(squared);
}

/// The minimiser's gradient vanishes, or points out of the ball that was asked for; weights keep to their bounds.
template <class Scheme>
void check_solution(const Scheme& scheme, const records& data) {
  std::vector<double> beta;
  const std::vector<double> w = weights_of(scheme, data, &beta);
  const stability s = bound(scheme, data.limits());
  std::vector<double> g = gradient_at(scheme, data, beta);
  const auto d = static_cast<std::size_t>(data.columns());
  const std::size_t part =
      parameters(scheme, data.limits()) == data.columns() || std::same_as<Scheme, ipw> ? beta.size() : d;
  for (std::size_t at = 0; at < beta.size(); at += part) {
    const std::span<const double> own = std::span(beta).subspan(at, part), slope = std::span(g).subspan(at, part);
    CHECK(norm(own) <= s.radius * (1 + 1e-12));
    if (norm(own) > scheme.radius * (1 - 1e-9)) {  // the ball binds: -g = c beta, c > 0
      double product = 0;
      for (std::size_t k = 0; k < part; ++k) product += slope[k] * own[k];
      CHECK(-product == Approx(norm(own) * norm(slope)).epsilon(1e-9));
    } else {
      CHECK(norm(slope) < 1e-11);
    }
  }
  for (index_t i = 0; i < data.held(); ++i) {
    CHECK(w[static_cast<std::size_t>(i)] <= s.largest);
    CHECK((w[static_cast<std::size_t>(i)] > 0) == (data.arm()[i] >= 0));
  }
}
}  // namespace

TEST_CASE("the gradient of each method vanishes, with zero records and balls too") {
  for (const bool broken : {false, true}) {
    const records two =
        random_records({.rows = 301, .features = 4, .row_bound = 1.5, .intercept = .25}, 8, broken).clipped();
    check_solution(ipw{.ridge = .3}, two);
    check_solution(overlap{.ridge = .3}, two);
    check_solution(covariate_balancing{}, two);
    check_solution(entropy_balancing{}, two);
    check_solution(softmax_balancing{.least_arm = 20}, two);
    check_solution(ipw{.ridge = .3, .radius = .1}, two);
    check_solution(overlap{.ridge = .3, .radius = .1}, two);
    check_solution(covariate_balancing{.radius = .1}, two);
    check_solution(entropy_balancing{.radius = .1}, two);
    check_solution(softmax_balancing{.least_arm = 20, .radius = .02}, two);
    const records five = random_records({.rows = 301, .features = 3, .arms = 5}, 8, broken).clipped();
    check_solution(ipw{.ridge = .3}, five);
    check_solution(ipw{.ridge = .3, .radius = .1}, five);
    check_solution(entropy_balancing{}, five);
  }
}

TEST_CASE("weights of more arms are inverse probabilities") {
  const records data = random_records({.rows = 50, .features = 3, .arms = 4}, 9, true).clipped();
  std::vector<double> beta;
  const std::vector<double> w = weights_of(ipw{.ridge = .3}, data, &beta),
                            cut = weights_of(ipw{.ridge = .3, .clip = 4}, data);
  for (index_t i = 0; i < 50; ++i) {
    const auto at = static_cast<std::size_t>(i);
    CHECK(cut[at] == (std::min)(w[at], 4.0));
    if (data.arm()[i] < 0) continue;
    double all = 0, own = 0;
    for (index_t c = 0; c < 4; ++c) {
      double z = 0;
      for (index_t j = 0; j < 4; ++j) z += beta[static_cast<std::size_t>(c * 4 + j)] * data(i, j);
      all += std::exp(z);
      if (c == data.arm()[i]) own = std::exp(z);
    }
    CHECK(w[at] == Approx(all / own).epsilon(1e-13));
  }
}

TEST_CASE("every data set has weights: an empty arm, one record, no valid one, equal rows") {
  const auto total = [](const raw_records& raw) {
    const records data = raw.clipped();
    const auto check = [&](const auto& scheme) {
      std::vector<double> w(static_cast<std::size_t>(data.held()), NAN);
      CHECK(weigh(scheme, data, w, alone).converged);
      const double largest = bound(scheme, data.limits()).largest;
      for (const double value : w) CHECK((value >= 0 && value <= largest));
    };
    check(ipw{});
    check(entropy_balancing{});
    check(normalised<ipw>{.scheme = {}, .floor = .1});
    if (data.limits().rows >= data.limits().arms) check(softmax_balancing{.least_arm = 1});
    if (data.limits().arms > 2) return;
    check(overlap{});
    check(covariate_balancing{});
  };
  for (const index_t arms : {2, 3}) {
    raw_records raw = random_records({.rows = 20, .features = 2, .arms = arms}, 3);
    for (index_t& arm : raw.arm) arm = 0;
    total(raw);
    for (index_t& arm : raw.arm) arm = 1;
    total(raw);
    for (index_t& arm : raw.arm) arm = -1;
    total(raw);
    raw = random_records({.rows = 20, .features = 2, .arms = arms}, 3);
    for (double& value : raw.x) value = .4;
    total(raw);
    total(random_records({.rows = 1, .features = 2, .arms = arms}, 3));
  }
  // What nobody has is drawn towards the mean of all: theta of an empty arm is m / lambda1.
  raw_records raw = random_records({.rows = 20, .features = 2, .arms = 3}, 3);
  for (index_t& arm : raw.arm) arm %= 2;
  const records data = raw.clipped();
  std::vector<double> beta;
  weights_of(entropy_balancing{.ridge = 2}, data, &beta);
  const std::vector<double> mean = detail::mean_row(data, alone);
  for (std::size_t j = 0; j < 3; ++j) CHECK(beta[6 + j] == Approx(mean[j] / 2).epsilon(1e-9));
}

TEST_CASE("normalised weights sum to n in every arm above the floor") {
  const records data = random_records({.rows = 40, .features = 2, .arms = 3}, 14, true).clipped();
  const std::vector<double> raw = weights_of(ipw{}, data),
                            w = weights_of(normalised<ipw>{.scheme = {}, .floor = .05}, data),
                            floored = weights_of(normalised<ipw>{.scheme = {}, .floor = 2}, data);
  double sums[3] = {}, before[3] = {};
  for (index_t i = 0; i < 40; ++i) {
    if (data.arm()[i] < 0) continue;
    sums[data.arm()[i]] += w[static_cast<std::size_t>(i)];
    before[data.arm()[i]] += raw[static_cast<std::size_t>(i)];
  }
  for (index_t i = 0; i < 40; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (data.arm()[i] < 0) continue;
    CHECK(w[at] == Approx(raw[at] * 40 / before[data.arm()[i]]).epsilon(1e-13));
    CHECK(floored[at] == Approx(raw[at] / (std::max)(2.0, before[data.arm()[i]] / 40)).epsilon(1e-13));
  }
  for (const double sum : sums) CHECK(sum == Approx(40).epsilon(1e-13));
}

TEST_CASE("known propensities: the floor, and what is no probability") {
  raw_records raw = twelve();
  raw.arm[11] = 7;
  const records data = raw.clipped();
  const std::vector<double> p{.5, 1, .25, .2, .1, 0, -1, 1.01, NAN, INFINITY, 1e-300, .5};
  std::vector<double> w(12);
  weigh_by(known{.least = .2}, data, p, w);
  check_near(w, {2, 1, 4, 5, 5, 0, 0, 0, 0, 0, 5, 0}, 1e-14);
  CHECK_THROWS_WITH(weigh_by(known{.least = .2}, data, std::span(p).first(11), w),
                    "hone::privacy::weigh_by: propensity: has 11 elements, there are 12 rows");
  CHECK_THROWS_WITH(weigh_by(known{.least = .2}, data, p, std::span(w).first(11)),
                    "hone::privacy::weigh_by: weight: has 11 elements, there are 12 rows");
  CHECK_THROWS_AS(weigh_by(known{}, data, p, w), std::invalid_argument);
}

TEST_CASE("sizes that do not fit are refused") {
  const records data = twelve().clipped();
  std::vector<double> beta(4), w(11), all(12);
  CHECK_THROWS_WITH(solve(ipw{}, data, beta, alone), "hone::privacy::solve: beta: has 4 elements, not 3");
  CHECK_THROWS_WITH(weigh_by(ipw{}, data, beta, all, alone), "hone::privacy::weigh_by: beta: has 4 elements, not 3");
  CHECK_THROWS_WITH(weigh(ipw{}, data, w, alone),
                    "hone::privacy::weigh_by: weight: has 11 elements, there are 12 rows");
  CHECK_THROWS_AS(normalise(data, 0, all, alone), std::invalid_argument);
  CHECK(parameters(ipw{}, {.rows = 5, .features = 2, .arms = 4}) == 12);
  CHECK(parameters(entropy_balancing{}, {.rows = 5, .features = 2, .intercept = 0}) == 4);
  CHECK(parameters(normalised<overlap>{}, {.rows = 5, .features = 2}) == 3);
  CHECK(parameters(known{}, {.rows = 5, .features = 2}) == 0);
}
