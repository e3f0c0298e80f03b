// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Where the truth is known: what of the attainable gain private rules reach, by mechanism, joint bound, composition
/// and worst case with the same noise in the second stage.
///   x uniform in the ball of radius sqrt 3/4 (5 columns), P(t = 1) = sigma(2 x1 - x2), blip = x1 + x3 - 0.2,
///   r = clip(x2 / 2 + t blip / 2 + N(0, 1/16), -1, 1)
#pragma once
#include "hone/core/random.hpp"
#include "hone/core/sigmoid.hpp"
#include "support/stoppable_pool.hpp"
#include "support/table.hpp"
#include "treat/fit.hpp"

namespace treat {

struct simulated {
  table records;
  std::vector<double> blip{};
};

inline simulated simulate(index_t rows, std::uint64_t seed, std::uint32_t stream) {
  simulated s{.records = {.arms = {"-1", "1"},
                          .features = {"x1", "x2", "x3", "x4", "x5"},
                          .limits = {.rows = rows, .features = 5}}};
  const hone::philox random{seed, stream};
  for (index_t i = 0; i < rows; ++i) {
    const auto at = static_cast<std::uint64_t>(i) * 8;
    double x[5], squared = 0;
    for (std::uint64_t j = 0; j < 5; ++j) {
      x[j] = random.normal(at + j);
      squared += x[j] * x[j];
    }
    const double length = std::sqrt(0.75) * std::pow(random.uniform(at + 5), 0.2) / std::sqrt(squared);
    for (double& value : x) s.records.x.push_back(value *= length);
    const bool treated = random.uniform(at + 6) < hone::sigmoid(2 * x[0] - x[1]);
    const double blip = x[0] + x[2] - 0.2, r = x[1] / 2 + (treated ? blip : -blip) / 2 + random.normal(at + 7) / 4;
    s.records.arm.push_back(treated ? 1 : 0);
    s.records.outcome.push_back((std::max)(-1.0, (std::min)(1.0, r)));
    s.blip.push_back(blip);
  }
  return s;
}

/// The share of the gain over a coin that the best rule has: 1 for that, 0 for a coin.
inline double gain(const simulated& test, std::span<const double> theta) {
  double reached = 0, coin = 0, best = 0;
  for (std::size_t i = 0; i < test.blip.size(); ++i) {
    double z = theta[5] * 0.5;
    for (std::size_t j = 0; j < 5; ++j) z += theta[j] * test.records.x[i * 5 + j];
    reached += z >= 0 ? test.blip[i] : 0;
    coin += test.blip[i] / 2;
    best += (std::max)(test.blip[i], 0.0);
  }
  return (reached - coin) / (best - coin);
}

/// One row of the table: a setting, and what each way of accounting reaches in each repetition.
struct comparison {
  std::string weights, mechanism;
  index_t rows;
  double ridge, epsilon;
  std::vector<double> plain;                   ///< without noise
  std::vector<double> joint, composed, worst;  ///< none where no noise can keep the promise
};

namespace detail {

inline constexpr std::pair<const char*, privacy::mechanism> noises[] = {{"lattice", privacy::mechanism::lattice},
                                                                        {"gamma", privacy::mechanism::gamma_norm},
                                                                        {"objective", privacy::mechanism::objective}};

template <class Scheme>
std::vector<double> gains(const Scheme& weights, double ridge, const privacy::mechanism_options& how, double epsilon,
                          index_t rows, const settings& s, const simulated& test, program::stoppable_pool& pool) {
  const privacy::owl_logistic l;
  const privacy::domain limits = simulate(1, 0, 0).records.limits;
  privacy::domain own = limits;
  own.rows = rows;
  privacy::plan p;
  try {
    p = privacy::prepare(weights, l, own, ridge, {epsilon, 0}, how);
  } catch (const std::invalid_argument&) {
    return {};
  }
  std::vector<double> result(static_cast<std::size_t>(s.repetitions));
  pool.parallel_for(s.repetitions, index_t{1}, [&](index_t first, index_t last) {
    const hone::serial alone;
    for (index_t k = first; k < last; ++k) {
      const simulated data = simulate(rows, s.seed, static_cast<std::uint32_t>(k + 1));
      privacy::budget<privacy::replace_one> funds({epsilon, 0});
      privacy::test_random random(s.seed * 1000003 + static_cast<std::uint64_t>(k));
      const hone::matrix_view<const double> x(data.records.x.data(), rows, 5);
      const auto rule =
          privacy::release(p, weights, l, funds, x, data.records.arm, data.records.outcome, {}, random, alone);
      result[static_cast<std::size_t>(k)] = gain(test, rule.simulated());
    }
  });
  return result;
}

}  // namespace detail

/// Every combination of the settings' rows, ridges and epsilons. @throws program::stopped_by_user after Ctrl-C.
inline std::vector<comparison> compare(const settings& s, program::stoppable_pool& pool) {
  const simulated test = simulate(20000, s.seed, 0);
  const auto cells = static_cast<long>(s.rows.size() * s.ridges.size() * s.epsilons.size() * 6);
  program::progress progress("treat", cells);
  std::vector<comparison> all;
  for (const index_t rows : s.rows)
    for (const double ridge : s.ridges)
      for (const double epsilon : s.epsilons)
        for (const char* weights : {"ipw", "overlap"})
          for (const auto& [name, kind] : detail::noises) {
            comparison c{weights, name, rows, ridge, epsilon, {}, {}, {}, {}};
            const auto of = [&](double promise, privacy::mechanism noise, bool composed, bool worst) {
              const privacy::mechanism_options how{.kind = noise, .composed = composed, .worst_case = worst};
              return c.weights == "ipw"
                         ? detail::gains(privacy::ipw{.ridge = ridge}, s.ridge, how, promise, rows, s, test, pool)
                         : detail::gains(privacy::overlap{.ridge = ridge}, s.ridge, how, promise, rows, s, test, pool);
            };
            c.plain = of(1e9, privacy::mechanism::gamma_norm, false, false);
            c.joint = of(epsilon, kind, false, false);
            c.composed = of(epsilon, kind, true, false);
            c.worst = of(epsilon, kind, false, true);
            all.push_back(c);
            progress.step(static_cast<long>(all.size()), c.weights + " " + c.mechanism);
          }
  return all;
}

}  // namespace treat
