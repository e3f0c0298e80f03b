// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A private two-stage fit from records to what may be published: the budget is reserved before a record is read, spent
/// before a parameter leaves, and nothing else leaves. A failure that depends on the data would be a leak: there is
/// none.
#pragma once
#include "hone/privacy/budget.hpp"
#include "hone/privacy/chacha20.hpp"
#include "hone/privacy/kernel_weights.hpp"
#include "hone/privacy/mechanism.hpp"
#include "hone/privacy/weights.hpp"

namespace HONE_NAMESPACE::privacy {

/// The parameters of a private fit, with noise from @c Random. That of `chacha20` may be published; that of a generator
/// that repeats protects nobody, and is handed out under another name.
template <class Random>
class released {
 public:
  explicit released(std::vector<double> theta) : theta_(std::move(theta)) {}
  [[nodiscard]] const std::vector<double>& theta() const
    requires std::same_as<Random, chacha20>
  {
    return theta_;
  }
  [[nodiscard]] const std::vector<double>& simulated() const
    requires(!std::same_as<Random, chacha20>)
  {
    return theta_;
  }

 private:
  std::vector<double> theta_;
};

namespace detail {

/// What is public and does not fit is refused before the budget is touched.
template <class Scheme>
void check_release(const Scheme& scheme, std::span<const index_t> arm, std::span<const double> propensity,
                   const row_shards& shards, const char* function) {
  if constexpr (is_normalised<Scheme>) {
    check_release(scheme.scheme, arm, propensity, shards, function);
  } else {
    const std::size_t wanted = std::same_as<Scheme, known> ? arm.size() : 0;
    invalid_argument_unless(propensity.size() == wanted, function, "propensity", "has %zu elements, not %zu",
                            propensity.size(), wanted);
    if constexpr (std::same_as<Scheme, kernel_balancing>) check_shards(scheme, shards, function);
  }
}

/// The weights of the held rows by a plan; of a composed one by released parameters.
template <class Scheme, random_bits Random>
void weigh_by_plan(const plan& p, const Scheme& scheme, const records& data, std::span<const double> propensity,
                   std::span<double> weight, executor_reference pool, Random& random) {
  if constexpr (std::same_as<Scheme, known>) {
    weigh_by(scheme, data, propensity, weight);
  } else if constexpr (is_normalised<Scheme>) {
    weigh_by_plan(p, scheme.scheme, data, propensity, weight, pool, random);
    normalise(data, scheme.floor, weight, pool);
  } else if constexpr (std::same_as<Scheme, kernel_balancing>) {
    weigh(scheme, data, weight, pool);
  } else {
    std::vector<double> beta(static_cast<std::size_t>(parameters(scheme, p.limits)));
    solve(scheme, data, beta, pool, p.options.solver);
    if (p.options.composed) {
      add_noise(p.parameters, beta, random);
      data.shards().broadcast(beta);
      // Each part has a ball of its own where each was solved for alone.
      const std::size_t part =
          std::same_as<Scheme, entropy_balancing> ? static_cast<std::size_t>(data.columns()) : beta.size();
      for (std::size_t at = 0; at < beta.size(); at += part)
        project_on_ball(std::span(beta).subspan(at, part), p.weights.radius);
    }
    weigh_by(scheme, data, beta, weight, pool);
  }
}

}  // namespace detail

/// Fits and releases: theta (columns x products of the loss), by @p p, which `prepare` made of the same scheme and
/// loss.
/// @param x rows x features; @param arm in [0, arms); @param outcome of each row
/// @param propensity of each row's own arm with `known`, else empty
/// @throws budget_exhausted before a record is read; std::invalid_argument for shapes that are not the plan's; never
///        for what a record holds.
/// @note With several ranks each brings its rows, a budget of the same total and a generator; all get rank 0's noise.
template <class Scheme, class Loss, matrix_like X, random_bits Random>
released<Random> release(const plan& p, const Scheme& scheme, const Loss& loss, budget<replace_one>& funds, const X& x,
                         std::span<const index_t> arm, std::span<const double> outcome,
                         std::span<const double> propensity, Random& random, executor_reference pool,
                         const row_shards& shards) {
  detail::check_release(scheme, arm, propensity, shards, "hone::privacy::release");
  auto reservation = funds.reserve(p.cost);
  const records data(p.limits, x, arm, outcome, shards, pool);
  std::vector<double> weight(static_cast<std::size_t>(data.held())),
      theta(static_cast<std::size_t>(data.columns() * bound(loss, p.limits).products)), tilt;
  reservation.commit();
  detail::weigh_by_plan(p, scheme, data, propensity, weight, pool, random);
  if (p.options.kind == mechanism::objective) {
    tilt.resize(theta.size());
    draw_gamma_norm(p.tilt, tilt, random);
    shards.broadcast(tilt);
  }
  minimise(loss, data, weight, p.ridge, p.weights.largest, theta, pool, p.options.solver, tilt);
  add_noise(p.output, theta, random);
  shards.broadcast(theta);
  return released<Random>(std::move(theta));
}
template <class Scheme, class Loss, matrix_like X, random_bits Random>
released<Random> release(const plan& p, const Scheme& scheme, const Loss& loss, budget<replace_one>& funds, const X& x,
                         std::span<const index_t> arm, std::span<const double> outcome,
                         std::span<const double> propensity, Random& random, executor_reference pool) {
  return release(p, scheme, loss, funds, x, arm, outcome, propensity, random, pool, row_shards(p.limits.rows));
}

}  // namespace HONE_NAMESPACE::privacy
