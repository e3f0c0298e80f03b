// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Ratings from pairwise comparisons, [Bradley, Terry 1952] on the scale of Elo: P(a beats b) = 1 / (1 + 10^((R_b -
/// R_a) / 400)), those of largest weighted likelihood; and players of near ratings put together in tiers. As RouteLLM
/// (arXiv 2406.18665) rates models, where ties count as half a win for each.
///
/// Battles of a player with itself (models of one tier) say nothing about ratings. RouteLLM's code overwrites one of
/// their two signs in its design matrix, and so fits R alone to them: as battles of the first with an opponent who is
/// rated `origin`, won where the first lost and lost where it won. `self_battles::as_routellm` does this, to compare.
#pragma once
#include "hone/core/contract.hpp"
#include "hone/core/sigmoid.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::routing {

enum class battle_outcome : std::uint8_t { first_wins, second_wins, tie };

struct battle {
  index_t first = 0;
  index_t second = 0;
  battle_outcome outcome = battle_outcome::tie;
};

enum class self_battles : std::uint8_t { ignored, as_routellm };

struct rating_options {
  double scale = 400;    ///< points for a factor of 10 in the odds
  double origin = 1000;  ///< the mean rating, or with `as_routellm` where there are self battles that opponent's
  self_battles within = self_battles::ignored;
};

struct ratings {
  std::vector<double> rating;  ///< one a player; NaN of a player without a battle, and of all where there is no maximum
  bool exist = false;          ///< whether the likelihood has a maximum, and it was found
};

/// Weighted wins, P x P and one row and column more for RouteLLM's opponent: wins(a, b) of a over b.
class win_table {
 public:
  /// @throws std::invalid_argument if @p players is negative.
  explicit win_table(index_t players) : players_(players) {
    invalid_argument_unless(players >= 0, "hone::routing::win_table", "players", "must not be negative, is %td",
                            players);
    wins_.resize(static_cast<std::size_t>((players + 1) * (players + 1)));
  }

  [[nodiscard]] index_t players() const { return players_; }
  [[nodiscard]] double operator()(index_t a, index_t b) const { return wins_[at(a, b)]; }
  /// @pre the players are less than players().
  void add(const battle& b, double weight = 1) {
    const index_t second = b.first == b.second ? players_ : b.second;
    // Against itself the first's win is the opponent's, and the other way round.
    const bool turned = b.first == b.second;
    const double won = b.outcome == battle_outcome::tie                      ? 0.5
                       : (b.outcome == battle_outcome::first_wins) != turned ? 1
                                                                             : 0;
    wins_[at(b.first, second)] += won * weight;
    wins_[at(second, b.first)] += (1 - won) * weight;
  }

 private:
  [[nodiscard]] std::size_t at(index_t a, index_t b) const { return static_cast<std::size_t>(a * (players_ + 1) + b); }

  index_t players_;
  std::vector<double> wins_;
};

namespace detail {

/// Solves sum_j w_ij (x_i - x_j) = b_i into @p b, where w (n x n, symmetric, destroyed) holds weights between players,
/// which connect them, sum b = 0 and the last x is 0: players are taken out one by one, and their weights spread over
/// the rest. Nothing is subtracted, so that the least weights keep their digits beside the largest.
inline void solve_network(std::vector<double>& w, std::vector<double>& b) {
  const std::size_t n = b.size();
  std::vector<double> total(n);
  for (std::size_t k = 0; k + 1 < n; ++k) {
    for (std::size_t j = k + 1; j < n; ++j) total[k] += w[k * n + j];
    for (std::size_t j = k + 1; j < n; ++j) {
      const double share = w[k * n + j] / total[k];
      b[j] += share * b[k];
      for (std::size_t i = k + 1; i < n; ++i) w[j * n + i] += i == j ? 0 : share * w[k * n + i];
    }
  }
  b[n - 1] = 0;
  for (std::size_t k = n - 1; k-- > 0;) {
    for (std::size_t j = k + 1; j < n; ++j) b[k] += w[k * n + j] * b[j];
    b[k] /= total[k];
  }
}

/// Whether a chain of wins leads from @p players[0] to all others, or with @p turned of losses.
inline bool reaches_all(const win_table& wins, const std::vector<index_t>& players, bool turned) {
  std::vector<index_t> open = {players[0]};
  std::vector<bool> seen(players.size());
  seen[0] = true;
  std::size_t count = 1;
  while (!open.empty()) {
    const index_t a = open.back();
    open.pop_back();
    for (std::size_t j = 0; j < players.size(); ++j) {
      if (seen[j] || !((turned ? wins(players[j], a) : wins(a, players[j])) > 0)) continue;
      seen[j] = true;
      ++count;
      open.push_back(players[j]);
    }
  }
  return count == players.size();
}

/// Moves @p x, the log odds of @p players that chains of wins connect, to where the likelihood of @p wins, @p total in
/// all, is largest; the last stays. By Newton's method with halved steps; returns whether that arrived.
inline bool maximise_likelihood(const win_table& wins, const std::vector<index_t>& players, double total,
                                std::vector<double>& x) {
  const std::size_t n = players.size();
  std::vector<double> moved(n), weight(n * n), step(n);
  const auto loss_at = [&](const std::vector<double>& u) {
    double loss = 0;
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < n; ++j)
        if (i != j) loss -= wins(players[i], players[j]) / total * log_sigmoid(u[i] - u[j]);
    return loss;
  };
  double loss = loss_at(x);
  for (int iteration = 0; iteration < 200; ++iteration) {
    step.assign(n, 0.0);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = i + 1; j < n; ++j) {
        const double won = wins(players[i], players[j]) / total, lost = wins(players[j], players[i]) / total;
        const double p = sigmoid(x[i] - x[j]), q = sigmoid(x[j] - x[i]);
        const double pull = won * q - lost * p;
        step[i] += pull;
        step[j] -= pull;
        weight[i * n + j] = weight[j * n + i] = (won + lost) * p * q;
      }
    const std::vector<double> pulls = step;
    solve_network(weight, step);
    double gain = 0, part = 1;
    for (std::size_t i = 0; i < n; ++i) gain += pulls[i] * step[i];
    if (std::isnan(gain)) return false;
    const auto move = [&] {
      for (std::size_t i = 0; i < n; ++i) moved[i] = x[i] + part * step[i];
      return loss_at(moved);
    };
    double next = move();
    // A gain below 1e-11 drowns in the loss's rounding, and the step is right.
    for (; gain > 1e-11 && !(next <= loss - 1e-4 * part * gain) && part > 1e-12; next = move()) part /= 2;
    x = moved;
    loss = next;
    if (gain <= 1e-24) return true;  // the last step squared what was left
  }
  return false;
}

}  // namespace detail

/// The ratings of largest likelihood of @p wins. They exist if no players can be parted such that one part never loses
/// to the other [Ford 1957]; else, and where a weight is not finite or negative, all are NaN.
/// @throws std::invalid_argument unless options.scale is positive and both are finite.
/// @note Some ten of Newton's steps, each of P^3 / 3 operations and some 2 P^2 exponentials; allocates P^2 doubles. In
///       order.
inline ratings fit_ratings(const win_table& wins, const rating_options& options = {}) {
  const char* function = "hone::routing::fit_ratings";
  invalid_argument_unless(options.scale > 0 && options.scale < 1e300, function, "scale",
                          "must be positive and finite, is %g", options.scale);
  invalid_argument_unless(std::abs(options.origin) < 1e300, function, "origin", "must be finite, is %g",
                          options.origin);
  const index_t opponent = wins.players();
  ratings result{.rating =
                     std::vector<double>(static_cast<std::size_t>(opponent), std::numeric_limits<double>::quiet_NaN())};
  std::vector<index_t> players;
  double total = 0;
  bool fit = true, anchored = false;
  for (index_t a = 0; a <= opponent; ++a) {
    if (a == opponent && options.within == self_battles::ignored) break;
    double battles = 0;
    for (index_t b = 0; b <= opponent; ++b) {
      if (b == opponent && options.within == self_battles::ignored) break;
      fit = fit && wins(a, b) >= 0 && wins(a, b) < 1e300;
      battles += wins(a, b) + wins(b, a);
    }
    if (!(battles > 0)) continue;
    players.push_back(a);
    total += battles;
    anchored = a == opponent;
  }
  if (!fit || players.empty() || !detail::reaches_all(wins, players, false) ||
      !detail::reaches_all(wins, players, true))
    return result;
  std::vector<double> x(players.size());
  result.exist = detail::maximise_likelihood(wins, players, total, x);
  if (!result.exist) return result;
  double middle = anchored ? x.back() : 0;
  if (!anchored)
    for (const double value : x) middle += value / static_cast<double>(x.size());
  for (std::size_t i = 0; i < x.size(); ++i)
    if (players[i] < opponent)
      result.rating[static_cast<std::size_t>(players[i])] =
          options.origin + options.scale / std::numbers::ln10 * (x[i] - middle);
  return result;
}

/// The probability that a player rated @p own beats one rated @p other: 1 / (1 + 10^((other - own) / scale)).
inline double win_probability(double own, double other, double scale = 400) {
  return 1 / (1 + std::pow(10, (other - own) / scale));
}

/// Parts players in min(tiers, P) runs of neighbouring @p ratings, such that the sum over tiers of their variance (of
/// count, not count - 1: RouteLLM's code; each tier counts alike, however many are in it) is least; of equal sums
/// the one whose last tier is the longest. Returns each one's tier, 0 the best.
/// @throws std::invalid_argument unless tiers > 0 and the ratings are finite.
/// @note Exact, by dynamic programming: P^2 (P + tiers) operations, P^2 doubles.
inline std::vector<index_t> split_tiers(std::span<const double> ratings, index_t tiers = 10) {
  const char* function = "hone::routing::split_tiers";
  invalid_argument_unless(tiers > 0, function, "tiers", "must be positive, is %td", tiers);
  const std::size_t n = ratings.size();
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < n; ++i) {
    invalid_argument_unless(std::isfinite(ratings[i]), function, "ratings", "element %zu is %g", i, ratings[i]);
    std::size_t at = order.size();
    order.push_back(i);
    for (; at > 0 && ratings[order[at - 1]] < ratings[i]; --at) order[at] = order[at - 1];
    order[at] = i;
  }
  std::vector<index_t> tier_of(n);
  if (n == 0) return tier_of;
  const auto variance = [&](std::size_t begin, std::size_t end) {
    const auto count = static_cast<double>(end - begin);
    double mean = 0, squares = 0;
    for (std::size_t i = begin; i < end; ++i) mean += ratings[order[i]] / count;
    for (std::size_t i = begin; i < end; ++i) squares += (ratings[order[i]] - mean) * (ratings[order[i]] - mean);
    return squares / count;
  };
  const std::size_t runs = (min)(n, static_cast<std::size_t>(tiers));
  std::vector<double> single(n * (n + 1)), least(n + 1), next(n + 1);  // single[begin (n + 1) + end]
  for (std::size_t begin = 0; begin < n; ++begin)
    for (std::size_t end = begin + 1; end <= n; ++end) single[begin * (n + 1) + end] = variance(begin, end);
  for (std::size_t end = 1; end <= n; ++end) least[end] = single[end];
  std::vector<std::size_t> last_begin((runs + 1) * (n + 1));
  for (std::size_t run = 2; run <= runs; ++run) {
    for (std::size_t end = run; end <= n; ++end) {
      next[end] = std::numeric_limits<double>::infinity();
      for (std::size_t begin = run - 1; begin < end; ++begin) {
        const double sum = least[begin] + single[begin * (n + 1) + end];
        if (!(sum < next[end])) continue;
        next[end] = sum;
        last_begin[run * (n + 1) + end] = begin;
      }
    }
    least = next;
  }
  for (std::size_t run = runs, end = n; run > 0; --run) {
    const std::size_t begin = run == 1 ? 0 : last_begin[run * (n + 1) + end];
    for (std::size_t i = begin; i < end; ++i) tier_of[order[i]] = static_cast<index_t>(run - 1);
    end = begin;
  }
  return tier_of;
}

}  // namespace HONE_NAMESPACE::routing
