// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/thresholds.hpp"

#include "routing/support.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <utility>

using namespace hone;
using namespace hone::routing;
using namespace routing_test;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const double not_a_number = std::nan("");

index_t kept_of(const vector& scores, const routing_threshold& t) {
  return std::count_if(scores.begin(), scores.end(), [&](double s) { return t.keeps(s); });
}

/// Past prompts: score u, even; the weak model is wrong with probability (1 - u) / 2, so that of prompts from v on it
/// is wrong with (1 - v) / 4.
table past_prompts(std::uint32_t stream, std::size_t rows, double grain) {
  const philox random{18, stream};
  table t;
  for (std::size_t i = 0; i < rows; ++i) {
    const double u = random.uniform(3 * i);
    t.score.push_back(grain > 0 ? std::floor(u / grain) * grain : u);
    t.weak.push_back(random.uniform(3 * i + 1) >= (1 - u) / 2 ? 1 : 0);
    t.strong.push_back(random.uniform(3 * i + 2) >= (1 - u) / 8 ? 1 : 0);
  }
  return t;
}
/// From which u on a threshold keeps prompts, in [0, 1].
double lowest_kept(const routing_threshold& t, double grain) {
  if (std::isnan(t.value)) return 1;
  const double from = grain > 0 ? std::ceil(t.value / grain - 1e-9) * grain : t.value;
  return std::clamp(from, 0.0, 1.0);
}

}  // namespace

TEST_CASE("by call rate: the lowest scores, at most the rate of n + 1 of them") {
  const vector s = {.95, .15, .70, .55, .45, .30, .85, .60, .20, .40};
  const auto third = threshold_by_call_rate(s, 0.3);  // 3 of 11
  CHECK(third.value == .30);
  CHECK(third.kept == 8);
  CHECK(third.bound == Approx(3.0 / 11));
  CHECK(third.keeps(.30));
  CHECK(!third.keeps(.29));
  CHECK(!third.keeps(not_a_number));
  const auto none = threshold_by_call_rate(s, 0.05);
  CHECK(none.value == -infinity);
  CHECK(none.kept == 10);
  CHECK(none.keeps(-infinity));
  const auto all = threshold_by_call_rate(s, 1);
  CHECK(std::isnan(all.value));
  CHECK(all.kept == 0);
  CHECK(!all.keeps(infinity));
  CHECK(threshold_by_call_rate(vector(10, 3.0), 0.5).kept == 10);
  CHECK(threshold_by_call_rate({}, 0.5).keeps(0));
  CHECK(!threshold_by_call_rate({}, 1).keeps(0));
  // 7 / 100 means 7, though 0.07 * 100 is more.
  vector hundred;
  for (int i = 0; i < 99; ++i) hundred.push_back(i);
  for (int k = 0; k < 100; ++k) CHECK(threshold_by_call_rate(hundred, k / 100.0).kept == 99 - (std::max)(0, k - 1));
  const auto unordered = threshold_by_call_rate(vector{1, not_a_number, 2}, 0.5);
  CHECK(unordered.nans == 1);
  CHECK(unordered.why == absence::nan_scores);
  CHECK(!unordered.keeps(5));
  CHECK_THROWS_WITH(threshold_by_call_rate(s, 1.5),
                    "hone::routing::threshold_by_call_rate: rate: must be in [0, 1], is 1.5");
}

TEST_CASE("coverage: by call rate the expected share of calls is at most the rate, and hardly less without ties") {
  for (const std::size_t n : {5u, 40u, 200u})
    for (const double rate : {0.1, 0.3, 0.7})
      for (const double grain : {0.0, 0.1}) {
        double called = 0;
        constexpr std::uint32_t repeats = 3000;
        for (std::uint32_t r = 0; r < repeats; ++r)
          called += lowest_kept(threshold_by_call_rate(past_prompts(r, n, grain).score, rate), grain) / repeats;
        CAPTURE(n, rate, grain, called);
        CHECK(called <= rate + 0.005);
        if (grain == 0) CHECK(called >= rate - 1 / (static_cast<double>(n) + 1) - 0.005);
      }
}

TEST_CASE("by recovery: the fewest calls, of whole blocks of equal scores, that recover the share") {
  const table t = toy();
  const deferral_curve c = curve(t.weak, t.strong, t.score);
  const double shares[] = {0, 0.2, 0.5, 0.8, 1};
  const index_t calls[] = {0, 1, 2, 5, 5};
  for (std::size_t i = 0; i < 5; ++i) {
    const auto found = threshold_by_recovery(c, shares[i]);
    CHECK(found.count - found.kept == calls[i]);
    CHECK(found.bound >= shares[i] - 1e-12);
    CHECK(kept_of(t.score, found) == found.kept);
  }
  CHECK(threshold_by_recovery(c, 0).value == -infinity);
  for (std::uint32_t stream = 0; stream < 30; ++stream)
    for (const double grain : {1e-9, 0.2}) {
      const table d = drawn(stream, 60, 1, grain);
      const deferral_curve of_d = curve(d.weak, d.strong, d.score);
      if (of_d.strong_total <= of_d.weak_total) continue;
      for (const double share : {0.1, 0.5, 0.9, 1.0}) {
        const auto found = threshold_by_recovery(of_d, share);
        CHECK(kept_of(d.score, found) == found.kept);
        CHECK(found.bound >= share - 1e-12);
        for (const deferral_point& p : of_d.points)
          if (p.calls < found.count - found.kept)
            CHECK(*recovery(of_d, static_cast<double>(p.calls)).value < share + 1e-12);
      }
    }
  // Tenths that are added up: 50 calls more gain nothing and are not made.
  for (const int share : {7, 14, 28, 29, 55, 57, 58, 70, 80, 90}) {
    table d;
    for (int i = 0; i < 150; ++i) {
      d.weak.push_back(i % 7 * 0.1);
      d.strong.push_back((i % 7 + (i < share || i >= share + 50)) * 0.1);
      d.score.push_back(i);
    }
    CHECK(threshold_by_recovery(curve(d.weak, d.strong, d.score), share / 100.0).kept == 150 - share);
  }
  table worse = t;
  std::swap(worse.weak, worse.strong);
  const auto none = threshold_by_recovery(curve(worse.weak, worse.strong, worse.score), 0.5);
  CHECK(none.why == absence::strong_no_better);
  CHECK(!none.keeps(1));
  CHECK_THROWS_WITH(threshold_by_recovery(curve(t.weak, t.strong, t.score, ties::file_order), 0.5),
                    "hone::routing::threshold_by_recovery: c: has ties in the order of the file");
  CHECK_THROWS_WITH(threshold_by_recovery(c, -1),
                    "hone::routing::threshold_by_recovery: share: must be in [0, 1], is -1");
}

TEST_CASE("local errors: the reference vectors (routing, R.8)") {
  const table t = toy();
  const auto bounds = local_error_bounds(t.score, t.weak, 0.9);
  REQUIRE(bounds.size() == 10);
  const vector upper = {0.9, 0.6837722340, 0.5358411166, 0.6795394163, 0.5838903746, 0.6668056135};
  for (std::size_t k = 0; k < upper.size(); ++k) {
    CHECK(bounds[k].upper == Approx(upper[k]).epsilon(1e-9));
    CHECK(bounds[k].kept == static_cast<index_t>(k + 1));
  }
  CHECK(bounds[0].score == .95);
  CHECK(bounds[9].wrong == 6);
  const auto tied = local_error_bounds(vector{1, 2, 2, 3}, vector{0, 1, 0, 1}, 0.9);
  REQUIRE(tied.size() == 3);
  CHECK(tied[1].kept == 3);
  CHECK(tied[1].wrong == 1);
  CHECK(local_error_bounds(vector{1, not_a_number}, vector{1, 1}, 0.9).empty());
  CHECK_THROWS_WITH(local_error_bounds(vector{1}, vector{0.5}, 0.9),
                    "hone::routing::local_error_bounds: right: element 0 is neither 0 nor 1: 0.5");
  CHECK_THROWS_WITH(local_error_bounds(vector{1}, vector{1}, 1),
                    "hone::routing::local_error_bounds: level: must be in (0, 1), is 1");
}

TEST_CASE("by local error: the candidate that keeps most, by trying them all") {
  for (std::uint32_t stream = 0; stream < 40; ++stream)
    for (const double grain : {0.0, 0.05, 0.5})
      for (const index_t candidates : {1, 4, 16}) {
        const table t = past_prompts(stream, 150, grain);
        const local_error_options options{.error = 0.2, .level = 0.8, .candidates = candidates};
        const auto found = threshold_by_local_error(t.score, t.weak, options);
        vector sorted = t.score;
        std::sort(sorted.begin(), sorted.end(), std::greater<>());
        index_t most = 0;
        for (index_t i = 1; i <= candidates; ++i) {
          const auto rank = static_cast<std::size_t>(150 * i / candidates);
          index_t kept = 0, wrong = 0;
          for (std::size_t j = 0; j < 150; ++j) {
            if (rank < 150 && t.score[j] <= sorted[rank]) continue;
            ++kept;
            wrong += t.weak[j] == 0;
          }
          if (kept > 0 &&
              statistics::clopper_pearson_upper(wrong, kept, 1 - 0.2 / static_cast<double>(candidates)) <= 0.2)
            most = (std::max)(most, kept);
        }
        CHECK(found.kept == most);
        CHECK(kept_of(t.score, found) == most);
        if (most > 0) CHECK(found.bound <= 0.2);
        if (most == 0) CHECK(!found.keeps(infinity));
      }
}

TEST_CASE("coverage: by local error the true error exceeds what is allowed less often than the confidence leaves") {
  constexpr std::uint32_t repeats = 2500;
  for (const double grain : {0.0, 0.125})
    for (const double error : {0.1, 0.2}) {
      double exceeded = 0, kept_some = 0;
      for (std::uint32_t r = 0; r < repeats; ++r) {
        const table t = past_prompts(r, 200, grain);
        const auto found = threshold_by_local_error(t.score, t.weak, {.error = error, .level = 0.8, .candidates = 8});
        const double from = lowest_kept(found, grain);
        kept_some += found.kept > 0;
        exceeded += from < 1 && (1 - from) / 4 > error;
      }
      CAPTURE(grain, error, exceeded, kept_some);
      CHECK(exceeded <= 0.2 * repeats);
      CHECK(kept_some > 0);
    }
  // A score that says nothing, of a model whose error is a little above what is allowed: whatever is kept exceeds it.
  double exceeded = 0, exceeded_by_best = 0;
  for (std::uint32_t r = 0; r < repeats; ++r) {
    const philox random{21, r};
    vector score, right;
    for (std::uint64_t i = 0; i < 400; ++i) {
      score.push_back(random.uniform(2 * i));
      right.push_back(random.uniform(2 * i + 1) < 0.101 ? 0 : 1);
    }
    exceeded += threshold_by_local_error(score, right, {.error = 0.1, .level = 0.8, .candidates = 8}).kept > 0;
    // Each bound holds by itself; the best of all has no confidence.
    const auto bounds = local_error_bounds(score, right, 0.8);
    exceeded_by_best += std::any_of(bounds.begin(), bounds.end(), [](const local_bound& b) { return b.upper <= 0.1; });
  }
  CAPTURE(exceeded, exceeded_by_best);
  CHECK(exceeded <= 0.2 * repeats);
  CHECK(exceeded >= 0.03 * repeats);
  CHECK(exceeded_by_best > 0.4 * repeats);
}

TEST_CASE("coverage: each bound on the local error holds at its level for a rank that is named before") {
  for (const std::size_t rank : {5u, 20u, 100u}) {
    double held = 0;
    constexpr std::uint32_t repeats = 2500;
    for (std::uint32_t r = 0; r < repeats; ++r) {
      const table t = past_prompts(r, 200, 0);
      const auto bounds = local_error_bounds(t.score, t.weak, 0.9);
      held += (1 - bounds[rank].score) / 4 <= bounds[rank - 1].upper;  // above the score that follows
    }
    CAPTURE(rank, held);
    CHECK(held >= 0.9 * repeats - 3 * std::sqrt(0.09 * repeats));
  }
}

TEST_CASE("coverage: by risk the expected loss of the next prompt is at most the risk, and not much less") {
  for (const local_loss loss : {local_loss::error, local_loss::regret})
    for (const double risk : {0.05, 0.1})
      for (const double grain : {0.0, 0.1}) {
        double mean = 0;
        constexpr std::uint32_t repeats = 3000;
        constexpr std::size_t n = 100;
        for (std::uint32_t r = 0; r < repeats; ++r) {
          table t = past_prompts(r, n + 1, grain);  // the last is the next one
          const double weak = t.weak.back(), strong = t.strong.back(), score = t.score.back();
          for (vector* column : {&t.weak, &t.strong, &t.score}) column->pop_back();
          const auto found = threshold_by_risk(t.weak, t.strong, t.score, {.risk = risk, .loss = loss});
          const double lost = loss == local_loss::error ? 1 - weak : (std::max)(strong - weak, 0.0);
          mean += found.keeps(score) ? lost / repeats : 0;
        }
        CAPTURE(risk, grain, mean);
        const double deviation = 3 * std::sqrt(risk / repeats);
        CHECK(mean <= risk + deviation);
        if (grain == 0) CHECK(mean >= risk - 3.0 / (n + 1) - deviation);
      }
}

TEST_CASE("by risk: losses by hand; what the strong model does worse is no regret") {
  const vector weak = {1, 1, 0, 0.5}, strong = {0, 1, 1, 0.75}, score = {4, 3, 1, 2};
  const auto regret = threshold_by_risk(weak, strong, score, {.risk = 0.3});  // 0, 0, 0.25, 1 from the highest
  CHECK(regret.value == 2);
  CHECK(regret.kept == 3);
  CHECK(regret.bound == Approx(1.25 / 5));
  const auto error = threshold_by_risk(weak, strong, score, {.risk = 0.3, .loss = local_loss::error});
  CHECK(error.value == 2);
  CHECK(error.bound == Approx(1.5 / 5));
}

TEST_CASE("thresholds: nothing, NaN, misuse") {
  const vector s = {1, 2, not_a_number}, r = {1, 0, 1};
  const auto unordered = threshold_by_local_error(s, r);
  CHECK(unordered.nans == 1);
  CHECK(unordered.why == absence::nan_scores);
  CHECK(!unordered.keeps(9));
  CHECK(threshold_by_local_error({}, {}).why == absence::no_rows);
  CHECK(threshold_by_risk(r, r, s).nans == 1);
  CHECK_THROWS_WITH(threshold_by_local_error(s, vector{1}),
                    "hone::routing::threshold_by_local_error: right: has 1, scores 3");
  CHECK_THROWS_WITH(threshold_by_local_error(r, r, {.error = 0}),
                    "hone::routing::threshold_by_local_error: error: must be in (0, 1), is 0");
  CHECK_THROWS_WITH(threshold_by_local_error(r, r, {.level = 1}),
                    "hone::routing::threshold_by_local_error: level: must be in (0, 1), is 1");
  CHECK_THROWS_WITH(threshold_by_local_error(r, r, {.candidates = 0}),
                    "hone::routing::threshold_by_local_error: candidates: must be positive, is 0");
  CHECK_THROWS_WITH(threshold_by_risk(vector{1}, r, r), "hone::routing::threshold_by_risk: weak: has 1, scores 3");
  CHECK_THROWS_WITH(threshold_by_risk(r, vector{1}, r), "hone::routing::threshold_by_risk: strong: has 1, scores 3");
  CHECK_THROWS_WITH(threshold_by_risk(vector{1, 2, 0}, r, r),
                    "hone::routing::threshold_by_risk: weak: element 1 is not in [0, 1]: 2");
  CHECK_THROWS_WITH(threshold_by_risk(r, vector{1, 2, 0}, r),
                    "hone::routing::threshold_by_risk: strong: element 1 is not in [0, 1]: 2");
}
