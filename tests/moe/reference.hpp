// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Routers as the formulas say, in double, with sorts: what hone/moe/route.hpp is compared with.
#pragma once
#include "hone/moe/route.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

namespace moe_reference {

using hone::index_t;
namespace moe = hone::moe;
using rows = std::vector<std::vector<double>>;  // by token

/// Higher first, NaN last.
inline bool before(double a, double b) { return a > b || (std::isnan(b) && !std::isnan(a)); }

struct result {
  std::map<std::pair<index_t, index_t>, double> gate;  // (expert, token)
  std::map<std::pair<index_t, index_t>, double> dropped;
  index_t nonfinite = 0;
};

inline double exponential(double x, double most) { return std::isfinite(x) ? std::exp(x - most) : 0; }
inline double logistic(double x) { return std::isfinite(x) ? 1 / (1 + std::exp(-x)) : 0; }

inline std::vector<double> softmax(const std::vector<double>& x) {
  double most = -INFINITY, sum = 0;
  for (const double v : x)
    if (std::isfinite(v)) most = std::max(most, v);
  std::vector<double> p;
  for (const double v : x) p.push_back(exponential(v, most)), sum += p.back();
  for (double& v : p) v /= sum;
  return p;
}

/// Gates of the chosen experts of one token, without scale.
inline std::vector<double> gates(const moe::router& r, const std::vector<double>& x,
                                 const std::vector<index_t>& chosen) {
  std::vector<double> own, g;
  for (const index_t e : chosen) own.push_back(x[static_cast<std::size_t>(e)]);
  double sum = 0;
  for (const double v : own) sum += logistic(v);
  const std::vector<double> all = softmax(x), some = softmax(own);
  for (std::size_t i = 0; i < own.size(); ++i) {
    if (!std::isfinite(own[i]))
      g.push_back(0);
    else if (r.gate == moe::activation::softmax)
      g.push_back(r.renormalised ? some[i] : all[static_cast<std::size_t>(chosen[i])]);
    else if (r.gate == moe::activation::sigmoid)
      g.push_back(r.renormalised ? logistic(own[i]) / (sum + 1e-20) : logistic(own[i]));
    else
      g.push_back(std::max(own[i], 0.0));
  }
  return g;
}

template <class T>
result route(const moe::router& r, const rows& x, const moe::route_options<T>& options) {
  const auto tokens = static_cast<index_t>(x.size()), experts = static_cast<index_t>(x[0].size());
  const auto at = [](index_t i) { return static_cast<std::size_t>(i); };
  std::vector<std::vector<index_t>> pools(1);
  for (index_t t = 0; t < tokens; ++t) {
    while (r.over == moe::pool::sequence && !options.offsets.empty() && t >= options.offsets[pools.size()] &&
           pools.size() + 1 < options.offsets.size())
      pools.emplace_back();
    if (options.competes.empty() || options.competes[at(t)]) pools.back().push_back(t);
  }
  if (r.over == moe::pool::sequence && !options.offsets.empty()) pools.resize(options.offsets.size() - 1);
  result out;
  std::vector<std::vector<index_t>> chosen(x.size());  // experts, best first
  rows ranked(x.size());
  for (std::size_t p = 0; p < pools.size(); ++p) {
    const auto n = static_cast<index_t>(pools[p].size());
    rows score;
    for (const index_t t : pools[p]) {
      std::vector<double> s = x[at(t)];
      const std::vector<double> probabilities = softmax(s);
      for (std::size_t e = 0; e < s.size(); ++e) {
        out.nonfinite += !std::isfinite(s[e]);
        if (std::isfinite(s[e]) && r.ranked_by == moe::ranking::softmax) s[e] = probabilities[e];
        if (std::isfinite(s[e]) && r.ranked_by == moe::ranking::sigmoid) s[e] = logistic(s[e]);
        s[e] = static_cast<T>(s[e]);
        if (!options.bias.empty()) s[e] = static_cast<T>(static_cast<T>(s[e]) + options.bias[e]);
      }
      score.push_back(s);
      ranked[at(t)] = s;
    }
    struct pair {
      double score;
      index_t place, expert;
    };
    const auto order = [](const pair& a, const pair& b) {
      if (before(a.score, b.score)) return true;
      if (before(b.score, a.score)) return false;
      return std::pair(a.place, a.expert) < std::pair(b.place, b.expert);
    };
    const auto take = [&](std::vector<pair> list, index_t count) {
      std::sort(list.begin(), list.end(), order);
      for (index_t i = 0; i < std::min(count, static_cast<index_t>(list.size())); ++i)
        chosen[at(pools[p][at(list[at(i)].place)])].push_back(list[at(i)].expert);
    };
    std::vector<pair> all;
    for (index_t e = 0; e < experts; ++e) {
      std::vector<pair> column;
      for (index_t i = 0; i < n; ++i) column.push_back({score[at(i)][at(e)], i, e});
      all.insert(all.end(), column.begin(), column.end());
      if (r.chosen == moe::selection::column_top)
        take(column,
             options.capacities.empty() ? std::max<index_t>(n * r.per_token / experts, 1) : options.capacities[p]);
      for (index_t i = 0; r.chosen == moe::selection::threshold && i < n; ++i)
        if (score[at(i)][at(e)] > (options.thresholds.empty() ? 0 : static_cast<double>(options.thresholds[at(e)])))
          chosen[at(pools[p][at(i)])].push_back(e);
    }
    if (r.chosen == moe::selection::global_top) take(all, r.per_token * n);
    for (index_t i = 0; r.chosen == moe::selection::row_top && i < n; ++i) {
      std::vector<pair> row;
      for (index_t e = 0; e < experts; ++e) row.push_back({score[at(i)][at(e)], i, e});
      take(row, r.per_token);
    }
  }
  for (std::size_t p = 0; r.best_if_none && p < pools.size(); ++p)
    for (const index_t t : pools[p])
      if (chosen[at(t)].empty()) {
        index_t best = 0;
        for (index_t e = 1; e < experts; ++e)
          if (before(ranked[at(t)][at(e)], ranked[at(t)][at(best)])) best = e;
        chosen[at(t)].push_back(best);
      }
  for (index_t t = 0; t < tokens; ++t) {
    const std::vector<double> g = gates(r, x[at(t)], chosen[at(t)]);
    for (std::size_t i = 0; i < g.size(); ++i) out.gate[{chosen[at(t)][i], t}] = g[i];
  }
  if (r.second_at_random)
    for (index_t t = 0; t < tokens; ++t) {
      if (chosen[at(t)].size() < 2) continue;
      const double u = hone::philox{options.seed, options.step}.uniform(options.first_token + at(t));
      const std::pair second(chosen[at(t)][1], t);
      if (u >= 2 * out.gate[second]) out.dropped.insert(out.gate.extract(second));
    }
  for (index_t e = 0; r.capacity_numerator > 0 && e < experts; ++e)
    for (const auto& pool : pools) {
      const auto n = static_cast<double>(pool.size());
      const double load = n * static_cast<double>(r.per_token * r.capacity_numerator) /
                          static_cast<double>(experts * r.capacity_denominator);
      const auto room = static_cast<std::size_t>(std::min(std::ceil(load - 1e-12), n));
      std::vector<index_t> present;
      for (const index_t t : pool)
        if (out.gate.count({e, t})) present.push_back(t);
      std::stable_sort(present.begin(), present.end(), [&](index_t a, index_t b) {
        if (r.dropped == moe::drop_policy::gate) return before(out.gate[{e, a}], out.gate[{e, b}]);
        const auto place = [&](index_t t) {
          return std::find(chosen[at(t)].begin(), chosen[at(t)].end(), e) - chosen[at(t)].begin();
        };
        return r.dropped == moe::drop_policy::choice && place(a) < place(b);
      });
      for (std::size_t i = room; i < present.size(); ++i) out.dropped.insert(out.gate.extract({e, present[i]}));
    }
  for (auto& [pair, gate] : out.gate) {
    index_t n = 0;
    for (index_t e = 0; e < experts; ++e) n += static_cast<index_t>(out.gate.count({e, pair.second}));
    if (!options.scale.empty()) gate *= options.scale.size() == 1 ? options.scale[0] : options.scale[at(n)];
  }
  return out;
}

}  // namespace moe_reference
