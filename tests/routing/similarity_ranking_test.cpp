// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/similarity_ranking.hpp"

#include "hone/core/random.hpp"
#include "hone/core/thread_pool.hpp"
#include "routing/golden/ranking.hpp"
#include "support/catch.hpp"
#include "support/outputs.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

using namespace hone;
using namespace hone::routing;

namespace {

using indices = std::vector<index_t>;
using enum battle_outcome;

/// Battles of @c models models, of which each is a bit better than the next, the first by far on prompts whose first
/// element is negative.
struct arena {
  index_t models, width;
  std::vector<float> prompts;
  std::vector<battle> battles;

  arena(index_t m, index_t count, index_t d) : models(m), width(d) {
    const philox random{5};
    for (index_t i = 0; i < count; ++i) {
      const auto at = static_cast<std::uint64_t>(i);
      for (index_t j = 0; j < d; ++j)
        prompts.push_back(static_cast<float>(random.normal(at, static_cast<std::uint32_t>(j))));
      const index_t first = static_cast<index_t>(random.uniform(at, 900) * static_cast<double>(m));
      const index_t step = 1 + static_cast<index_t>(random.uniform(at, 901) * static_cast<double>(m - 1));
      const index_t second = (first + step) % m;
      double odds = 0.3 * static_cast<double>(second - first);
      if (prompts[static_cast<std::size_t>(i * d)] < 0) odds += first == 0 ? 2 : second == 0 ? -2 : 0;
      const double x = random.uniform(at, 902);
      battles.push_back(
          {first, second, random.uniform(at, 903) < 1 / (1 + std::exp(-odds)) ? first_wins : second_wins});
      if (x < 0.1) battles.back().outcome = tie;
    }
  }
  [[nodiscard]] matrix_view<const float> view() const { return {prompts.data(), std::ssize(battles), width}; }
};

/// Cosines and weights by their formulas, and one fit, which has a test of its own.
double naive(const arena& a, const similarity_ranking<float>& ranking, std::span<const float> query, index_t weak,
             index_t strong) {
  std::vector<double> cosine;
  for (std::size_t i = 0; i < a.battles.size(); ++i) {
    double xx = 0, qq = 0, xq = 0;
    for (index_t j = 0; j < a.width; ++j) {
      const double x = a.prompts[i * static_cast<std::size_t>(a.width) + static_cast<std::size_t>(j)];
      const double q = query[static_cast<std::size_t>(j)];
      xx += x * x, qq += q * q, xq += x * q;
    }
    cosine.push_back(xq / std::sqrt(xx * qq));
  }
  const double largest = *std::max_element(cosine.begin(), cosine.end());
  win_table wins(a.models);
  for (std::size_t i = 0; i < a.battles.size(); ++i) {
    const battle& b = a.battles[i];
    wins.add({ranking.tier_of(b.first), ranking.tier_of(b.second), b.outcome}, 10 * std::pow(10, cosine[i] / largest));
  }
  const ratings r = fit_ratings(wins);
  return win_probability(r.rating[static_cast<std::size_t>(ranking.tier_of(weak))],
                         r.rating[static_cast<std::size_t>(ranking.tier_of(strong))]);
}

}  // namespace

TEST_CASE("routing similarity_ranking: the specification's weights") {
  std::vector<double> c = {0.2, 0.5, 0.8};
  CHECK(similarity_weights(std::span(c)) == 0.8);
  CHECK(c[0] == Approx(17.7827941).margin(5e-8));
  CHECK(c[1] == Approx(42.16965034).margin(5e-9));
  CHECK(c[2] == Approx(100).epsilon(1e-14));
  std::vector<float> many(100, -0.5f);
  many[37] = 0.25f;
  CHECK(similarity_weights(std::span(many)) == 0.25f);
  CHECK(many[37] == Approx(100).epsilon(1e-6));
  CHECK(many[99] == Approx(0.1).epsilon(1e-6));
  for (const double top : {0.0, -0.1}) {
    std::vector<double> unlike = {-0.5, top, -0.3};
    const auto before = unlike;
    CHECK(similarity_weights(std::span(unlike)) == top);
    CHECK(unlike == before);
  }
}

TEST_CASE("routing similarity_ranking: RouteLLM's own") {
  for (const golden_ranking_row& g : golden_rankings) {
    CAPTURE(g.models, g.tiers);
    std::vector<battle> battles;
    win_table wins(g.models);
    for (std::size_t i = 0; i < g.first.size(); ++i) {
      battles.push_back({g.first[i], g.second[i], static_cast<battle_outcome>(g.outcome[i])});
      wins.add(battles.back());
    }
    const ratings r = fit_ratings(wins);
    for (std::size_t m = 0; m < g.ratings.size(); ++m) CHECK(r.rating[m] == Approx(g.ratings[m]).epsilon(1e-7));
    CHECK(split_tiers(r.rating, g.tiers) == g.tier_of);
    const matrix_view<const double> prompts(g.prompts.data(), std::ssize(battles), g.d);
    const matrix_view<const double> queries(g.queries.data(), std::ssize(g.queries) / g.d, g.d);
    for (const bool plain : {false, true}) {
      const auto within = plain ? self_battles::ignored : self_battles::as_routellm;
      const similarity_ranking ranking(prompts, battles, g.models, {.tiers = g.tiers, .rating = {.within = within}});
      std::vector<double> scores(static_cast<std::size_t>(queries.rows()));
      CHECK(ranking.score(queries, g.weak, g.strong, scores) == 0);
      for (std::size_t i = 0; i < scores.size(); ++i)
        CHECK(scores[i] == Approx(plain ? g.plain[i] : g.weak_wins[i]).epsilon(1e-7));
    }
  }
}

TEST_CASE("routing similarity_ranking: against the formulas; likeness decides") {
  const arena a(12, 2500, 10);
  const routing::similarity_ranking ranking(a.view(), a.battles, a.models, {.tiers = 4});  // a prompt each battle
  std::vector<float> queries;
  for (std::uint64_t i = 0; i < 130 * 10; ++i) queries.push_back(static_cast<float>(philox{6}.normal(i)));
  for (std::size_t i = 0; i < 30; ++i) queries[i * 10] = i < 15 ? -8.0f : 8.0f;
  const matrix_view<const float> q(queries.data(), 130, 10);
  std::vector<double> scores(130), again(130), turned(130);
  const index_t none = ranking.score(q, 11, 0, scores);  // that model 11, the weak one, beats model 0
  CHECK(none == 0);
  for (std::size_t i = 0; i < 130; ++i)
    CHECK(scores[i] == Approx(naive(a, ranking, std::span(queries).subspan(10 * i, 10), 11, 0)).epsilon(1e-5));
  const double hard = *std::max_element(scores.begin(), scores.begin() + 15);
  const double easy = *std::min_element(scores.begin() + 15, scores.begin() + 30);
  CHECK(hard < easy);
  thread_pool pool(3);
  CHECK(ranking.score(q, 11, 0, again, pool) == 0);
  CHECK(again == scores);
  CHECK(ranking.score(q, 0, 11, turned) == 0);
  for (std::size_t i = 0; i < 130; ++i) CHECK(turned[i] == Approx(1 - scores[i]).epsilon(1e-12));
  CHECK(ranking.score(q, 3, 3, again) == 0);
  for (const double score : again) CHECK(score == 0.5);
}

TEST_CASE("routing similarity_ranking: embeddings of 16 bits and by columns are those of their values") {
  const arena a(4, 300, 5);
  std::vector<float16> narrow(a.prompts.size());
  std::vector<float> wide(a.prompts.size());
  for (std::size_t i = 0; i < 300; ++i)
    for (std::size_t j = 0; j < 5; ++j) {
      narrow[j * 300 + i] = float16(a.prompts[i * 5 + j]);
      wide[i * 5 + j] = narrow[j * 300 + i];
    }
  const matrix_view<const float16> columns(narrow.data(), 300, 5, 1, 300);
  const matrix_view<const float> rows(wide.data(), 300, 5);
  std::vector<double> scores(300), again(300);
  CHECK(similarity_ranking(columns, std::span<const battle>(a.battles), 4).score(columns, 3, 0, scores) == 0);
  CHECK(similarity_ranking(rows, std::span<const battle>(a.battles), 4).score(rows, 3, 0, again) == 0);
  CHECK(scores == again);
}

TEST_CASE("routing similarity_ranking: zeros, unlike and broken queries and prompts") {
  arena a(4, 400, 3);
  std::vector<float> shifted = a.prompts;
  for (std::size_t i = 0; i < 400; ++i) shifted[3 * i] = std::abs(shifted[3 * i]) + 1;  // all on one side
  const float nan = std::nanf("");
  const std::vector<float> queries = {1, 0, 0, -1, 0, 0, 0, 0, 0, nan, 1, 1};
  const matrix_view<const float> prompts(shifted.data(), 400, 3), q(queries.data(), 4, 3);
  std::vector<double> scores(4);
  const similarity_ranking ranking(prompts, a.battles, 4);
  CHECK(ranking.score(q, 3, 0, scores) == 3);
  CHECK(std::isfinite(scores[0]));
  for (const std::size_t i : {1u, 2u, 3u}) CHECK(std::isnan(scores[i]));
  // A prompt that is not finite is as if its battle were not there; the tiers are those of all.
  std::vector<float> broken = shifted, fewer(shifted.begin(), shifted.end() - 3);
  broken[3 * 399 + 1] = nan;
  const similarity_ranking with_broken(matrix_view<const float>(broken.data(), 400, 3), a.battles, 4);
  const similarity_ranking without(matrix_view<const float>(fewer.data(), 399, 3), std::span(a.battles).first(399), 4);
  CHECK(with_broken.nonfinite() == 1);
  std::vector<double> one(1), other(1);
  const matrix_view<const float> first(queries.data(), 1, 3);
  CHECK(with_broken.score(first, 3, 0, one) == 0);
  CHECK(without.score(first, 3, 0, other) == 0);
  CHECK(one[0] == Approx(other[0]).epsilon(1e-12));
  CHECK(one[0] != scores[0]);
  std::vector<float> zero = shifted;
  std::fill(zero.begin(), zero.begin() + 3, 0.0f);
  const similarity_ranking with_zero(matrix_view<const float>(zero.data(), 400, 3), a.battles, 4);
  CHECK(with_zero.nonfinite() == 0);
  CHECK(with_zero.score(first, 3, 0, one) == 0);
}

TEST_CASE("routing similarity_ranking: misuse") {
  arena a(4, 200, 3);
  std::vector<double> scores(1);
  const matrix_view<const float> one(a.prompts.data(), 1, 3), narrow(a.prompts.data(), 1, 2);
  const similarity_ranking ranking(a.view(), a.battles, 4);
  CHECK_THROWS_WITH(ranking.score(narrow, 0, 1, scores),
                    "hone::routing::similarity_ranking::score: queries: have 2 elements, prompts 3");
  CHECK_THROWS_AS(ranking.score(one, 0, 4, scores), std::invalid_argument);
  CHECK_THROWS_AS(ranking.score(one, -1, 0, scores), std::invalid_argument);
  CHECK_THROWS_AS(ranking.score(a.view(), 0, 1, scores), std::invalid_argument);
  check_refuses_spans<double>(1, "hone::routing::similarity_ranking::score: scores: ", [&](std::span<double> out) {
    ranking.score(one, 0, 1, out);
  });
  const auto build = [&](const std::vector<battle>& battles, index_t models, const ranking_options& options = {}) {
    similarity_ranking<float>(matrix_view<const float>(a.prompts.data(), std::ssize(battles), 3), battles, models,
                              options);
  };
  CHECK_THROWS_AS(similarity_ranking(one, std::span<const battle>(a.battles), 4), std::invalid_argument);
  CHECK_THROWS_WITH(build(a.battles, 3), Catch::StartsWith("hone::routing::similarity_ranking: battles: element "));
  CHECK_THROWS_WITH(build(a.battles, 5), "hone::routing::similarity_ranking: battles: model 4 has none");
  CHECK_THROWS_WITH(build({{0, 1, first_wins}, {0, 1, first_wins}}, 2),
                    Catch::StartsWith("hone::routing::similarity_ranking: battles: have no ratings"));
  CHECK_THROWS_AS(build({}, 2), std::invalid_argument);
  CHECK_THROWS_AS(build(a.battles, 4, {.tiers = 0}), std::invalid_argument);
  CHECK_THROWS_AS(build(a.battles, 4, {.rating = {.scale = 0}}), std::invalid_argument);
}
