// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Bounds and densities against every pair of neighbours among small data sets, of which all are looked at.
#include "hone/privacy/mechanism.hpp"
#include "hone/privacy/weights.hpp"

#include "support/catch.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <vector>

using namespace hone::privacy;
using hone::index_t;

namespace {
const hone::serial alone;

/// A record of one column; the last kind is a zero record.
struct kind {
  double x;
  index_t arm;
  double outcome;
};

std::vector<kind> kinds(const std::vector<double>& xs, const std::vector<double>& outcomes) {
  std::vector<kind> all;
  for (const double x : xs)
    for (const index_t arm : {0, 1})
      for (const double r : outcomes) all.push_back({x, arm, r});
  all.push_back({0, -1, 0});
  return all;
}

struct fit {
  std::vector<double> beta, weight, theta;
};

/// All multisets of n kinds, each fitted once.
template <std::size_t N, class Scheme, class Loss>
class data_sets {
 public:
  data_sets(const Scheme& scheme, const Loss& loss, const std::vector<kind>& all, double ridge, double largest)
      : scheme_(scheme), loss_(loss), all_(all), ridge_(ridge), largest_(largest) {}

  /// Of the records @p which, in their order.
  fit operator()(const std::array<std::size_t, N>& which) {
    std::array<std::size_t, N> order, sorted;
    for (std::size_t i = 0; i < N; ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return which[a] < which[b]; });
    for (std::size_t i = 0; i < N; ++i) sorted[i] = which[order[i]];
    auto found = fits_.find(sorted);
    if (found == fits_.end()) found = fits_.emplace(sorted, make(sorted)).first;
    fit result = found->second;
    for (std::size_t i = 0; i < N; ++i) result.weight[order[i]] = found->second.weight[i];
    return result;
  }

 private:
  fit make(const std::array<std::size_t, N>& which) const {
    std::vector<double> x(N), outcome(N);
    std::vector<index_t> arm(N);
    for (std::size_t i = 0; i < N; ++i) {
      x[i] = all_[which[i]].x;
      arm[i] = all_[which[i]].arm;
      outcome[i] = all_[which[i]].outcome;
    }
    const domain d{.rows = N, .features = 1, .intercept = 0};
    const records data(d, hone::matrix_view<const double>(x.data(), N, 1), arm, outcome, alone);
    fit result{std::vector<double>(static_cast<std::size_t>(parameters(scheme_, d))), std::vector<double>(N), {0.0}};
    solve(scheme_, data, result.beta, alone, {1e-13});
    weigh_by(scheme_, data, result.beta, result.weight, alone);
    minimise(loss_, data, result.weight, ridge_, largest_, result.theta, alone, {1e-13});
    return result;
  }

  Scheme scheme_;
  Loss loss_;
  const std::vector<kind>& all_;
  double ridge_, largest_;
  std::map<std::array<std::size_t, N>, fit> fits_;
};

/// f(which, other) for every pair of neighbours: which differs from other in its last record.
template <std::size_t N, class F>
void for_each_pair(std::size_t count, F&& f, std::array<std::size_t, N> which = {}, std::size_t at = 0) {
  if (at + 1 < N) {
    for (std::size_t k = at == 0 ? 0 : which[at - 1]; k < count; ++k) {
      which[at] = k;
      for_each_pair<N>(count, f, which, at + 1);
    }
    return;
  }
  for (std::size_t a = 0; a < count; ++a)
    for (std::size_t b = 0; b < count; ++b) {
      if (a == b) continue;
      std::array<std::size_t, N> other = which;
      which[N - 1] = a;
      other[N - 1] = b;
      f(which, other);
    }
}

double distance(const std::vector<double>& x, const std::vector<double>& y) {
  double squared = 0;
  for (std::size_t i = 0; i < x.size(); ++i) squared += (x[i] - y[i]) * (x[i] - y[i]);
  return std::sqrt(squared);
}

/// Nothing passes R, W, D1, the movement of beta or Delta_2; @p tight: what of D1 was seen at least.
template <std::size_t N, class Scheme>
void check_bounds(const Scheme& scheme, double tight) {
  const domain d{.rows = N, .features = 1, .intercept = 0};
  const stability s = bound(scheme, d);
  const double ridge = .3;
  const std::vector<kind> all = kinds({-1, -.6, .3, 1}, {1, -1});
  data_sets<N, Scheme, owl_logistic> fits(scheme, owl_logistic{}, all, ridge, s.largest);
  const double apart = bound_minimum(owl_logistic{}, d, ridge, s.largest, s.moved).exact;
  double radius = 0, largest = 0, moved = 0, beta = 0, theta = 0;
  for_each_pair<N>(all.size(), [&](const auto& which, const auto& other) {
    const fit a = fits(which), b = fits(other);
    double sum = 0;
    for (std::size_t i = 0; i + 1 < N; ++i) sum += std::abs(a.weight[i] - b.weight[i]);
    moved = std::max(moved, sum);
    largest = std::max(largest, *std::max_element(a.weight.begin(), a.weight.end()));
    const std::size_t parts = std::same_as<Scheme, entropy_balancing> ? 2 : 1;
    for (std::size_t p = 0; p < parts; ++p) radius = std::max(radius, std::abs(a.beta[p]));
    beta = std::max(beta, distance(a.beta, b.beta));
    theta = std::max(theta, distance(a.theta, b.theta));
  });
  CHECK(radius <= s.radius * (1 + 1e-9));
  CHECK(largest <= s.largest);
  CHECK(moved <= s.moved * (1 + 1e-9) + 1e-9);
  CHECK(moved >= tight * s.moved);
  if (std::isfinite(s.beta)) CHECK(beta <= s.beta * (1 + 1e-9) + 1e-9);
  CHECK(theta <= apart * (1 + 1e-9));
  CHECK(theta > .05 * apart);
}

/// The largest logarithm of the densities' ratio of the objective's release, over pairs and theta, over epsilon.
template <std::size_t N, class Scheme, class Loss>
double exact_loss(const Scheme& scheme, const Loss& loss, double ridge, double epsilon, std::int64_t& looked_at) {
  const domain d{.rows = N, .features = 1, .intercept = 0};
  const stability s = bound(scheme, d);
  const plan p = prepare(scheme, loss, d, ridge, {epsilon, 0}, {.kind = mechanism::objective});
  const std::vector<kind> all = kinds({-1, .5, 1}, {1, -1, .4});
  data_sets<N, Scheme, Loss> fits(scheme, loss, all, ridge, s.largest);
  // b(theta) = -(sum w l' + n ridge theta): density e^(-|b| / tilt) times |db / dtheta|.
  const auto log_density = [&](const std::array<std::size_t, N>& which, const fit& f, double theta) {
    double b = N * ridge * theta, slope = N * ridge;
    for (std::size_t i = 0; i < N; ++i) {
      const kind& k = all[which[i]];
      if (k.arm < 0) continue;
      const double side = (k.arm == 1 ? k.x : -k.x) * (k.outcome < 0 ? -1 : 1), m = side * theta,
                   w = f.weight[i] * std::abs(k.outcome);
      if constexpr (std::same_as<Loss, owl_huber>) {
        b += w * side * (m > 1.5 ? 0 : m > .5 ? (m - 1.5) : -1);
        slope += m > .5 && m < 1.5 ? w * side * side : 0;
      } else {
        const double q = 1 / (1 + std::exp(m));
        b -= w * side * q;
        slope += w * side * side * q * (1 - q);
      }
    }
    return -std::abs(b) / p.tilt + std::log(slope);
  };
  double largest = 0;
  for_each_pair<N>(all.size(), [&](const auto& which, const auto& other) {
    const fit a = fits(which), b = fits(other);
    for (const double theta : {-9.0, -2.1, -1.01, -.3, 0.0, .52, 1.3, 4.0, 30.0}) {
      largest = std::max(largest, std::abs(log_density(which, a, theta) - log_density(other, b, theta)));
      ++looked_at;
    }
  });
  return largest / epsilon;
}
}  // namespace

TEST_CASE("no pair of neighbours among small data sets passes the bounds") {
  check_bounds<3>(ipw{.ridge = 4}, .3);
  check_bounds<3>(ipw{}, .1);
  check_bounds<3>(ipw{.ridge = .5, .clip = 1.8}, .05);
  check_bounds<3>(ipw{.ridge = .5, .radius = .2}, .1);
  check_bounds<3>(overlap{.ridge = 4}, .3);
  check_bounds<3>(overlap{.radius = .1}, .1);
  check_bounds<3>(covariate_balancing{.ridge = 4}, .15);
  check_bounds<3>(covariate_balancing{.ridge = 2, .radius = .4}, .05);
  check_bounds<3>(entropy_balancing{.ridge = 4}, .2);
  check_bounds<3>(entropy_balancing{.clip = 1.2}, .02);
  check_bounds<3>(normalised<ipw>{.scheme = {.ridge = 4}, .floor = .5}, .1);
  check_bounds<3>(normalised<overlap>{.scheme = {}, .floor = .1}, .02);
}

TEST_CASE("the exact loss of noise in the objective never passes epsilon") {
  std::int64_t looked_at = 0;
  for (const double epsilon : {.5, 2.0, 8.0}) {
    for (const double loss : {exact_loss<3>(overlap{.ridge = 1}, owl_logistic{}, 1.0, epsilon, looked_at),
                              exact_loss<3>(ipw{.ridge = 4}, owl_logistic{}, 3.0, epsilon, looked_at),
                              exact_loss<3>(overlap{.ridge = 1}, owl_huber{}, 3.0, epsilon, looked_at)}) {
      INFO("epsilon " << epsilon);
      CHECK(loss <= 1);
      CHECK(loss > .25);
    }
  }
  CHECK(looked_at > 1000000);
}
