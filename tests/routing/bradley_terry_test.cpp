// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/bradley_terry.hpp"

#include "hone/core/philox.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace hone;
using namespace hone::routing;

namespace {

using indices = std::vector<index_t>;
using enum battle_outcome;

struct weighted {
  battle own;
  double weight = 1;
};

std::vector<weighted> draw_battles(index_t players, index_t count, bool within = false) {
  std::vector<weighted> battles;
  for (index_t i = 0; i < count; ++i) {
    const auto at = static_cast<std::uint64_t>(i);
    const auto pick = [&](std::uint32_t draw) {
      return static_cast<index_t>(philox{4}.uniform(at, draw) * static_cast<double>(players));
    };
    battle b{pick(0), pick(1), tie};
    if (!within && b.first == b.second) b.second = (b.first + 1) % players;
    const double chance = 1 / (1 + std::exp(0.7 * static_cast<double>(b.second - b.first)));
    if (philox{4}.uniform(at, 2) > 0.15) b.outcome = philox{4}.uniform(at, 3) < chance ? first_wins : second_wins;
    battles.push_back({b, 0.2 + philox{4}.uniform(at, 4)});
  }
  return battles;
}

win_table table(index_t players, const std::vector<weighted>& battles) {
  win_table wins(players);
  for (const weighted& b : battles) wins.add(b.own, b.weight);
  return wins;
}

/// The gradient of the log-likelihood in each rating, battle by battle.
std::vector<double> slopes(index_t players, const std::vector<weighted>& battles, const std::vector<double>& rating,
                           bool as_routellm = false) {
  std::vector<double> slope(static_cast<std::size_t>(players));
  for (const auto& [b, weight] : battles) {
    const double won = b.outcome == tie ? 0.5 : b.outcome == first_wins ? 1 : 0;
    const auto first = static_cast<std::size_t>(b.first), second = static_cast<std::size_t>(b.second);
    if (first != second) {
      const double pull = weight * (won - win_probability(rating[first], rating[second]));
      slope[first] += pull;
      slope[second] -= pull;
    } else if (as_routellm) {  // a row of the design with -R alone
      slope[first] -= weight * (won - win_probability(1000, rating[first]));
    }
  }
  return slope;
}

}  // namespace

TEST_CASE("routing bradley_terry: two players in closed form") {
  win_table wins(2);
  wins.add({0, 1, first_wins}, 3);
  wins.add({1, 0, first_wins});
  const ratings r = fit_ratings(wins);
  REQUIRE(r.exist);
  CHECK(r.rating[0] - r.rating[1] == Approx(400 * std::log10(3)).epsilon(1e-12));
  CHECK(r.rating[0] + r.rating[1] == Approx(2000).epsilon(1e-12));
  CHECK(win_probability(r.rating[0], r.rating[1]) == Approx(0.75).epsilon(1e-12));
  wins.add({0, 1, tie}, 4);  // 5 wins to 3
  CHECK(win_probability(fit_ratings(wins).rating[0], fit_ratings(wins).rating[1]) == Approx(0.625).epsilon(1e-12));
  const ratings moved = fit_ratings(wins, {.scale = 1, .origin = -3});
  CHECK(moved.rating[0] - moved.rating[1] == Approx(std::log10(5.0 / 3)).epsilon(1e-12));
  CHECK(moved.rating[0] + moved.rating[1] == Approx(-6).epsilon(1e-12));
  CHECK(win_probability(moved.rating[0], moved.rating[1], 1) == Approx(0.625).epsilon(1e-12));
  CHECK(win_probability(1200, 1000) == Approx(1 / (1 + 1 / std::sqrt(10))).epsilon(1e-14));
  CHECK(win_probability(3, 5, 2) == Approx(1.0 / 11).epsilon(1e-14));
}

TEST_CASE("routing bradley_terry: the likelihood has no slope left, whatever the order and the names") {
  for (const index_t players : {2, 3, 10, 40}) {
    CAPTURE(players);
    auto battles = draw_battles(players, 60 * players);
    const ratings r = fit_ratings(table(players, battles));
    REQUIRE(r.exist);
    double mean = 0, total = 0;
    for (const weighted& b : battles) total += b.weight;
    for (const double rating : r.rating) mean += rating / static_cast<double>(players);
    CHECK(mean == Approx(1000).epsilon(1e-12));
    for (const double slope : slopes(players, battles, r.rating)) CHECK(std::abs(slope) < 1e-12 * total);
    for (weighted& b : battles) {
      b.weight *= 1e-5;  // a common factor
      b.own = {players - 1 - b.own.second, players - 1 - b.own.first,
               b.own.outcome == tie          ? tie
               : b.own.outcome == first_wins ? second_wins
                                             : first_wins};
    }
    std::reverse(battles.begin(), battles.end());
    const ratings turned = fit_ratings(table(players, battles));
    for (std::size_t i = 0; i < r.rating.size(); ++i)
      CHECK(turned.rating[r.rating.size() - 1 - i] == Approx(r.rating[i]).epsilon(1e-10));
  }
}

TEST_CASE("routing bradley_terry: battles with oneself, ignored and as in RouteLLM's code") {
  const auto battles = draw_battles(4, 300, true);
  std::vector<weighted> apart;
  for (const weighted& b : battles)
    if (b.own.first != b.own.second) apart.push_back(b);
  REQUIRE(apart.size() < battles.size() - 20);
  CHECK(fit_ratings(table(4, battles)).rating == fit_ratings(table(4, apart)).rating);
  const rating_options theirs{.within = self_battles::as_routellm};
  const ratings r = fit_ratings(table(4, battles), theirs);
  REQUIRE(r.exist);
  for (const double slope : slopes(4, battles, r.rating, true)) CHECK(std::abs(slope) < 1e-10);
  CHECK(fit_ratings(table(4, apart), theirs).rating == fit_ratings(table(4, apart)).rating);
  const ratings there = fit_ratings(table(4, battles), {.origin = 30, .within = self_battles::as_routellm});
  for (std::size_t i = 0; i < 4; ++i) CHECK(there.rating[i] - 30 == Approx(r.rating[i] - 1000).epsilon(1e-9));
  // Only battles with oneself: there is a maximum where both are won, at the opponent's rating if as often.
  win_table own(2);
  own.add({1, 1, first_wins}, 3);
  CHECK(own(2, 1) == 3);  // of the opponent
  CHECK(own(1, 2) == 0);
  CHECK(!fit_ratings(own, theirs).exist);
  own.add({1, 1, second_wins}, 30);
  const ratings alone = fit_ratings(own, theirs);
  REQUIRE(alone.exist);
  CHECK(std::isnan(alone.rating[0]));
  CHECK(alone.rating[1] == Approx(1400).epsilon(1e-12));
  CHECK(!fit_ratings(own).exist);
}

TEST_CASE("routing bradley_terry: no maximum") {
  const auto none = [](const ratings& r) {
    CHECK(!r.exist);
    for (const double rating : r.rating) CHECK(std::isnan(rating));
  };
  win_table wins(3);
  none(fit_ratings(wins));
  wins.add({0, 1, first_wins});
  none(fit_ratings(wins));
  wins.add({1, 0, tie}, 0.5);
  CHECK(fit_ratings(wins).exist);
  CHECK(std::isnan(fit_ratings(wins).rating[2]));  // without a battle
  wins.add({2, 0, first_wins});                    // never lost
  none(fit_ratings(wins));
  wins.add({2, 1, second_wins});
  CHECK(fit_ratings(wins).exist);
  wins.add({2, 1, second_wins}, std::nan(""));
  none(fit_ratings(wins));
  win_table islands(4);
  islands.add({0, 1, tie});
  islands.add({2, 3, tie});
  none(fit_ratings(islands));
  win_table negative(2);
  negative.add({0, 1, tie});
  negative.add({0, 1, first_wins}, -1);
  none(fit_ratings(negative));
  none(fit_ratings(win_table(0)));
  win_table ties(3);
  for (const battle& b : {battle{0, 1, tie}, battle{1, 2, tie}}) ties.add(b);
  CHECK(fit_ratings(ties).rating == std::vector<double>{1000, 1000, 1000});
}

TEST_CASE("routing bradley_terry: weights of very different size") {
  win_table wins(3);
  wins.add({0, 1, first_wins}, 1e12);
  wins.add({0, 1, second_wins}, 1e-3);
  wins.add({1, 2, first_wins}, 1e-6);
  wins.add({1, 2, second_wins}, 2e-6);
  const ratings r = fit_ratings(wins);
  REQUIRE(r.exist);
  CHECK(r.rating[0] - r.rating[1] == Approx(400 * 15).epsilon(1e-6));
  CHECK(r.rating[2] - r.rating[1] == Approx(400 * std::log10(2)).epsilon(1e-6));
}

TEST_CASE("routing bradley_terry: tiers against all ways to part") {
  for (const std::size_t n : {1u, 2u, 5u, 9u})
    for (index_t tiers = 1; tiers <= 6; ++tiers) {
      CAPTURE(n, tiers);
      std::vector<double> r;
      for (std::size_t i = 0; i < n; ++i) r.push_back(std::round(1000 * philox{9}.uniform(i)));
      std::vector<double> sorted = r;
      std::sort(sorted.rbegin(), sorted.rend());
      const auto variances = [&](const indices& run_of) {
        double sum = 0;
        for (index_t t = 0; t < tiers; ++t) {
          double count = 0, mean = 0, squares = 0;
          for (std::size_t i = 0; i < n; ++i)
            if (run_of[i] == t) ++count, mean += sorted[i];
          mean /= std::max(1.0, count);
          for (std::size_t i = 0; i < n; ++i)
            if (run_of[i] == t) squares += std::pow(sorted[i] - mean, 2);
          sum += squares / std::max(1.0, count);
        }
        return sum;
      };
      double best = std::numeric_limits<double>::infinity();
      for (unsigned cuts = 0; cuts < 1u << (n - 1); ++cuts) {
        indices run_of = {0};
        for (std::size_t i = 1; i < n; ++i) run_of.push_back(run_of.back() + ((cuts >> (i - 1)) & 1));
        if (run_of.back() < tiers) best = std::min(best, variances(run_of));
      }
      const indices tier_of = split_tiers(r, tiers);
      indices run_of;
      for (const double rating : sorted)
        run_of.push_back(tier_of[static_cast<std::size_t>(std::find(r.begin(), r.end(), rating) - r.begin())]);
      CHECK(std::is_sorted(run_of.begin(), run_of.end()));
      CHECK(run_of.front() == 0);
      CHECK(run_of.back() == std::min<index_t>(tiers, static_cast<index_t>(n)) - 1);
      CHECK(variances(run_of) == Approx(best).epsilon(1e-12).margin(1e-9));
    }
}

TEST_CASE("routing bradley_terry: tiers of equal ratings, of few, of none; misuse") {
  CHECK(split_tiers(std::vector<double>{5, 5, 5, 5}, 2) == indices{0, 1, 1, 1});
  CHECK(split_tiers(std::vector<double>{1, 3, 2}, 10) == indices{2, 0, 1});
  CHECK(split_tiers(std::vector<double>{}, 3).empty());
  CHECK(split_tiers(std::vector<double>{10, 900, 11, 905, 500}, 3) == indices{2, 0, 2, 0, 1});
  CHECK_THROWS_WITH(split_tiers(std::vector<double>{1}, 0),
                    "hone::routing::split_tiers: tiers: must be positive, is 0");
  CHECK_THROWS_WITH(split_tiers(std::vector<double>{1, std::nan("")}),
                    "hone::routing::split_tiers: ratings: element 1 is nan");
  CHECK_THROWS_AS(win_table(-1), std::invalid_argument);
  for (const double bad : {0.0, -1.0, std::nan("")})
    CHECK_THROWS_AS(fit_ratings(win_table(2), {.scale = bad}), std::invalid_argument);
  CHECK_THROWS_AS(fit_ratings(win_table(2), {.origin = std::nan("")}), std::invalid_argument);
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double bad : {infinity, -infinity})
    CHECK_THROWS_WITH(
        fit_ratings(win_table(2), {.origin = bad}),
        "hone::routing::fit_ratings: origin: must be finite, is " + std::string(bad > 0 ? "inf" : "-inf"));
  CHECK_THROWS_WITH(fit_ratings(win_table(2), {.scale = infinity}),
                    "hone::routing::fit_ratings: scale: must be positive and finite, is inf");
  CHECK_THROWS_WITH(split_tiers(std::vector<double>{infinity}),
                    "hone::routing::split_tiers: ratings: element 0 is inf");
  CHECK_THROWS(split_tiers(std::vector<double>{1}, -1));
  CHECK_NOTHROW(win_table(0));
  win_table endless(2);
  for (const battle& b : {battle{0, 1, tie}, battle{0, 1, first_wins}}) endless.add(b, infinity);
  CHECK(!fit_ratings(endless).exist);
  std::vector<double> many(12);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = static_cast<double>(100 * i);
  const indices ten = split_tiers(many);
  CHECK(*std::max_element(ten.begin(), ten.end()) == 9);
}
