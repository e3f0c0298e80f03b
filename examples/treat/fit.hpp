// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// From records to what may be published, or, of the plain fit, to everything.
#pragma once
#include <variant>

#include "hone/io/privacy_ledger.hpp"
#include "hone/privacy/release.hpp"
#include "treat/table.hpp"

namespace treat {

namespace privacy = hone::privacy;
using scheme = std::variant<privacy::known, privacy::ipw, privacy::overlap, privacy::covariate_balancing,
                            privacy::entropy_balancing, privacy::kernel_balancing>;
using loss = std::variant<privacy::owl_logistic, privacy::owl_huber, privacy::a_learning, privacy::ad_learning>;

inline scheme scheme_of(const settings& s, const table& t) {
  switch (s.weights) {
    case weights_kind::known: return privacy::known{t.least};
    case weights_kind::ipw: return privacy::ipw{.ridge = s.ridge_weights};
    case weights_kind::overlap: return privacy::overlap{.ridge = s.ridge_weights};
    case weights_kind::cbps: return privacy::covariate_balancing{.ridge = s.ridge_weights};
    case weights_kind::entropy: return privacy::entropy_balancing{.ridge = s.ridge_weights};
    case weights_kind::mmd: break;
  }
  return privacy::kernel_balancing{.ridge = s.ridge_weights, .features = s.kernel_features};
}
inline loss loss_of(const settings& s, const table& t) {
  if (s.loss == loss_kind::logistic) return privacy::owl_logistic{};
  if (s.loss == loss_kind::huber) return privacy::owl_huber{};
  if (t.limits.arms == 2) return privacy::a_learning{s.radius};
  return privacy::ad_learning{s.radius};
}

/// The plan of the mechanism that was asked for. @throws std::invalid_argument where it has none.
inline privacy::plan plan_of(const settings& s, const scheme& weights, const loss& l, const privacy::domain& limits) {
  const privacy::epsilon_delta promise{s.promised(), s.delta};
  return std::visit(
      [&](const auto& w, const auto& of) {
        using privacy::mechanism;
        const auto prepared = [&](mechanism kind, bool composed) {
          return privacy::prepare(w, of, limits, s.ridge, promise, {.kind = kind, .composed = composed});
        };
        switch (s.mechanism) {
          case mechanism_kind::lattice: return prepared(mechanism::lattice, false);
          case mechanism_kind::gamma: return prepared(mechanism::gamma_norm, false);
          case mechanism_kind::objective: return prepared(mechanism::objective, false);
          case mechanism_kind::composition:
            return privacy::choose(w, of, limits, s.ridge, promise, s.ideal, {.composed = true});
          case mechanism_kind::automatic: break;
        }
        return privacy::choose(w, of, limits, s.ridge, promise, s.ideal);
      },
      weights, l);
}

inline std::string name_of(const privacy::plan& p) {
  const char* const kinds[] = {"lattice", "gamma", "objective"};
  return std::string(p.options.composed ? "composition, " : "") + kinds[static_cast<std::size_t>(p.options.kind)];
}

/// The parameters of a release, one row of columns for each product of the loss.
template <class Random>
privacy::released<Random> release(const privacy::plan& p, const scheme& weights, const loss& l, const table& t,
                                  privacy::budget<privacy::replace_one>& funds, Random& random,
                                  hone::executor_reference pool) {
  const hone::matrix_view<const double> x(t.x.data(), t.limits.rows, t.limits.features);
  return std::visit(
      [&](const auto& w, const auto& of) {
        return privacy::release(p, w, of, funds, x, t.arm, t.outcome, t.propensity, random, pool);
      },
      weights, l);
}

/// What the plain fit tells: nothing of it is private.
struct plain_fit {
  std::vector<double> theta, weight;
  std::vector<double> before,
      after;  ///< arms x columns: means of the arm's rows less those of all, without and with weights
};

inline plain_fit fit_plainly(const settings& s, const scheme& weights, const loss& l, const table& t,
                             hone::executor_reference pool) {
  const hone::matrix_view<const double> x(t.x.data(), t.limits.rows, t.limits.features);
  const privacy::records data(t.limits, x, t.arm, t.outcome, pool);
  plain_fit fit;
  fit.weight.resize(t.arm.size());
  std::visit(
      [&](const auto& w, const auto& of) {
        if constexpr (std::is_same_v<std::decay_t<decltype(w)>, privacy::known>)
          privacy::weigh_by(w, data, t.propensity, fit.weight);
        else
          privacy::weigh(w, data, fit.weight, pool);
        fit.theta.resize(static_cast<std::size_t>(data.columns() * privacy::bound(of, t.limits).products));
        privacy::minimise(of, data, fit.weight, s.ridge, privacy::bound(w, t.limits).largest, fit.theta, pool);
      },
      weights, l);
  const auto d = static_cast<std::size_t>(data.columns());
  std::vector<double> all(d);
  for (const bool weighted : {false, true}) {
    std::vector<double> sums(t.arms.size() * d), counts(t.arms.size());
    for (index_t i = 0; i < data.held(); ++i) {
      if (data.arm()[i] < 0) continue;
      const auto own = static_cast<std::size_t>(data.arm()[i]);
      const double share = weighted ? fit.weight[static_cast<std::size_t>(i)] : 1;
      counts[own] += share;
      for (std::size_t j = 0; j < d; ++j) {
        sums[own * d + j] += share * data(i, static_cast<index_t>(j));
        if (!weighted) all[j] += data(i, static_cast<index_t>(j)) / static_cast<double>(t.limits.rows);
      }
    }
    for (std::size_t k = 0; k < sums.size(); ++k)
      sums[k] = counts[k / d] > 0 ? sums[k] / counts[k / d] - all[k % d] : 0;
    (weighted ? fit.after : fit.before) = sums;
  }
  return fit;
}

}  // namespace treat
