// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What decoding ends with, and how often, against the enumeration of all candidates and sets of places.
#include "hone/diffusion/sampler.hpp"

#include "diffusion/sampler_support.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <functional>
#include <map>

using namespace hone;
using namespace hone::diffusion;

namespace {

/// A model of three places: logits of one, which depend on the canvas, for the tokens 0 ... 3 and the mask.
std::vector<double> logits_of(const std::vector<std::int32_t>& canvas, std::size_t place) {
  std::vector<double> z;
  for (int v = 0; v < 5; ++v) {
    double own = std::sin(3.0 * static_cast<double>(place) + 1.7 * v);
    for (std::size_t j = 0; j < canvas.size(); ++j)
      own += 0.8 * std::cos(static_cast<double>(canvas[j]) * 1.3 + static_cast<double>(j + 2 * place) + 0.9 * v);
    z.push_back(own);
  }
  return z;
}

/// Their distribution, the mask left out.
std::vector<double> distribution(const std::vector<std::int32_t>& canvas, std::size_t place) {
  std::vector<double> p = logits_of(canvas, place);
  p.pop_back();
  double sum = 0;
  for (double& x : p) sum += x = std::exp(x);
  for (double& x : p) x /= sum;
  return p;
}

using outcomes = std::map<std::vector<std::int32_t>, double>;

/// Every canvas that @p steps steps may end with, by enumeration of candidates and of the sets that an order may take.
void enumerate(const sampler& s, index_t steps, index_t step, const std::vector<std::int32_t>& canvas, double chance,
               outcomes& all) {
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < canvas.size(); ++i)
    if (canvas[i] == mask) places.push_back(i);
  if (places.empty()) {
    all[canvas] += chance;
    return;
  }
  const std::size_t n = places.size();
  std::vector<std::vector<double>> p;
  for (const std::size_t i : places) p.push_back(distribution(canvas, i));
  const auto entropy = [](const std::vector<double>& row) {
    double h = 0;
    for (const double x : row) h -= x * std::log(x);
    return h;
  };
  const auto wanted = static_cast<std::size_t>(revealed_in_step(3, steps, step));
  std::vector<std::size_t> token(n, 0);
  const std::function<void(std::size_t, double)> choose = [&](std::size_t at, double own) {
    if (at < n) {
      for (token[at] = 0; token[at] < 4; ++token[at]) choose(at + 1, own * p[at][token[at]]);
      return;
    }
    // The chance of every set of places.
    std::vector<double> rank;
    for (std::size_t i = 0; i < n; ++i) {
      std::vector<double> sorted = p[i];
      std::sort(sorted.rbegin(), sorted.rend());
      rank.push_back(s.by == order::margin                                    ? sorted[0] - sorted[1]
                     : s.by == order::entropy || s.by == order::entropy_bound ? -entropy(p[i])
                                                                              : p[i][token[i]]);
    }
    std::vector<std::size_t> best(n);
    for (std::size_t i = 0; i < n; ++i) best[i] = i;
    std::stable_sort(best.begin(), best.end(), [&](std::size_t a, std::size_t b) { return rank[a] > rank[b]; });
    std::size_t taken = std::min(wanted, n), sets = 0;
    if (s.by == order::threshold)
      for (taken = 1; taken < n && rank[best[taken]] >= s.threshold;) ++taken;
    if (s.by == order::entropy_bound) {
      taken = 1;
      for (double before = -rank[best[0]]; taken < n && before <= s.gamma; before -= rank[best[taken++]]) continue;
    }
    for (std::size_t set = 0; set < (std::size_t{1} << n); ++set)
      sets += static_cast<std::size_t>(__builtin_popcountll(set)) == taken;
    for (std::size_t set = 0; set < (std::size_t{1} << n); ++set) {
      double share = 0;
      if (s.by == order::random) {
        share = static_cast<std::size_t>(__builtin_popcountll(set)) == taken ? 1.0 / static_cast<double>(sets) : 0;
      } else if (s.by == order::ancestral) {
        const double reveals = 1 / static_cast<double>(steps - step);  // of times that fall evenly to 0
        share = 1;
        for (std::size_t i = 0; i < n; ++i) share *= (set >> i & 1) != 0 ? reveals : 1 - reveals;
      } else {
        std::size_t chosen = 0;
        for (std::size_t i = 0; i < taken; ++i) chosen |= std::size_t{1} << best[i];
        share = set == chosen ? 1 : 0;
      }
      if (share == 0) continue;
      auto next = canvas;
      for (std::size_t i = 0; i < n; ++i)
        if ((set >> i & 1) != 0) next[places[i]] = static_cast<std::int32_t>(token[i]);
      enumerate(s, steps, step + 1, next, chance * own * share, all);
    }
  };
  choose(0, 1);
}

}  // namespace

TEST_CASE("every order ends with the canvases of its enumeration, as often") {
  constexpr std::uint32_t trials = 20000;
  const struct {
    sampler how;
    index_t steps;
  } all[] = {{{.by = order::ancestral}, 3},
             {{.by = order::random}, 2},
             {{.by = order::confidence}, 3},
             {{.by = order::margin}, 2},
             {{.by = order::entropy}, 3},
             {{.by = order::threshold, .threshold = 0.5}, 3},
             {{.by = order::entropy_bound, .gamma = 1.0}, 3}};
  for (auto [how, steps] : all) {
    CAPTURE(static_cast<int>(how.by));
    how.sampling = {.temperature = 1, .seed = 12};
    outcomes expected, seen;
    enumerate(how, steps, 0, masked(3), 1, expected);
    double total = 0;
    for (const auto& [canvas, p] : expected) total += p;
    CHECK(total == Approx(1).epsilon(1e-12));
    for (std::uint32_t s = 0; s < trials; ++s) {
      std::vector<std::int32_t> canvas = masked(3);
      for (index_t step = 0; step < steps; ++step) {
        logit_rows z;
        for (std::size_t i = 0; i < 3; ++i) z.push_back(logits_of(canvas, i));
        const auto of = [&](index_t k) { return 1 - static_cast<double>(k) / static_cast<double>(steps); };
        canvas = step_from(how, z, canvas,
                           {.sequence = s,
                            .step = static_cast<std::uint32_t>(step),
                            .count = revealed_in_step(3, steps, step),
                            .from = of(step),
                            .to = step + 1 == steps ? 0 : of(step + 1)});
      }
      seen[canvas] += 1;
    }
    double chi_squared = 0;
    index_t cells = 0;
    double rare_seen = 0, rare = 0;  // together, where fewer than five are expected
    for (const auto& [canvas, p] : expected) {
      const double n = p * trials;
      if (n < 5) {
        rare += n, rare_seen += seen[canvas];
        continue;
      }
      chi_squared += (seen[canvas] - n) * (seen[canvas] - n) / n;
      ++cells;
    }
    if (rare > 5) chi_squared += (rare_seen - rare) * (rare_seen - rare) / rare;
    for (const auto& [canvas, n] : seen) CHECK((n == 0 || expected.count(canvas) == 1));
    const auto freedom = static_cast<double>(cells);
    CHECK(cells > 20);
    CHECK(chi_squared < freedom + 4 * std::sqrt(2 * freedom));
  }
}
