// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/scenario.hpp"

#include "routing/support.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

using namespace hone;
using namespace hone::routing;
using namespace routing_test;

namespace {

deferral_curve curve_of(const table& t, ties how = ties::averaged) { return curve(t.weak, t.strong, t.score, how); }
double reference(const band_measure& b) { return b.figure.value.value(); }

/// RouterXBench's script, transcribed: sorted rows, running sums, numpy's linspace, 0.0 for what is empty.
struct script_figures {
  double lpm = 0, hcr = 0, mpm = 0;
};
script_figures by_script(const table& t, const deferral_bands& bands) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < t.score.size(); ++i) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return t.score[i] < t.score[j]; });
  const auto n = static_cast<double>(order.size());
  const auto quality = [&](double rate) {
    const auto calls = static_cast<std::size_t>(rate * n);
    double sum = 0;
    for (std::size_t k = 0; k < order.size(); ++k) sum += k < calls ? t.strong[order[k]] : t.weak[order[k]];
    return sum / n;
  };
  const double weak = quality(0), strong = quality(1);
  const double low = weak + (strong - weak) * bands.low_recovery, high = weak + (strong - weak) * bands.high_recovery;
  const double end = quality(bands.high_rate);
  vector cheap, rates, middle;
  for (int i = 0; i <= 100; ++i) {
    const double c = i * 0.01, phi = quality(c);
    if (bands.low_rate <= c && c <= bands.high_rate) cheap.push_back(phi);
    if (low <= phi && phi <= high) rates.push_back(c);
    if (end < phi && phi < low) middle.push_back(phi);
  }
  const auto mean = [](const vector& x) {
    double sum = 0;
    for (const double v : x) sum += v;
    return sum / static_cast<double>(x.size());
  };
  return {cheap.empty() ? 0 : mean(cheap), rates.empty() ? 0 : 1 - mean(rates), middle.empty() ? 0 : mean(middle)};
}

}  // namespace

TEST_CASE("the reference vectors (routing, R.5): bands of config and dataclass, some of them empty") {
  const deferral_curve c = curve_of(toy(), ties::file_order);
  const auto config = measure_scenarios(c, config_bands, scenario_mode::reference);
  CHECK(reference(config.cheap) == Approx(0.6166666667).epsilon(1e-9));
  CHECK(reference(config.high_accuracy) == 0.0);
  CHECK(reference(config.balanced) == 0.0);
  CHECK(config.cheap.points == 6);
  CHECK(config.high_accuracy.points == 0);
  const auto dataclass = measure_scenarios(c, dataclass_bands, scenario_mode::reference);
  CHECK(reference(dataclass.cheap) == Approx(0.4090909091).epsilon(1e-9));
  CHECK(reference(dataclass.high_accuracy) == 0.0);
  CHECK(reference(dataclass.balanced) == Approx(0.675).epsilon(1e-14));

  const auto robust = measure_scenarios(curve_of(toy()));
  CHECK(robust.cheap.figure.value.value() == Approx(0.6166666667).epsilon(1e-9));
  CHECK(!robust.high_accuracy.figure.value);
  CHECK(robust.high_accuracy.figure.why == absence::empty_band);
  CHECK(robust.balanced.figure.why == absence::empty_band);
}

TEST_CASE("the reference vectors (routing, R.6): three pairs of bands, and ties averaged") {
  const deferral_curve c = curve_of(graded(), ties::file_order);
  const auto figures = [&](const deferral_bands& bands) {
    return measure_scenarios(c, bands, scenario_mode::reference);
  };
  const auto config = figures({0.25, 0.30, 0.85, 0.95});
  CHECK(reference(config.cheap) == Approx(0.6708333333).epsilon(1e-9));
  CHECK(reference(config.high_accuracy) == Approx(0.43).epsilon(1e-12));
  CHECK(config.high_accuracy.points == 15);
  CHECK(reference(config.balanced) == Approx(0.7275).epsilon(1e-12));  // phi(12) = phi(13) exactly
  CHECK(config.balanced.points == 15);
  const auto wide = figures({0, 0.1, 0.7, 0.9});
  CHECK(reference(wide.cheap) == Approx(0.5352272727).epsilon(1e-9));
  CHECK(reference(wide.high_accuracy) == Approx(0.515).epsilon(1e-12));
  CHECK(reference(wide.balanced) == Approx(0.6574).epsilon(1e-12));
  const auto early = figures({0, 0.2, 0.5, 0.8});
  CHECK(reference(early.cheap) == Approx(0.5691666667).epsilon(1e-9));
  CHECK(reference(early.high_accuracy) == Approx(0.64).epsilon(1e-12));
  CHECK(early.high_accuracy.points == 23);
  CHECK(reference(early.balanced) == Approx(0.65).epsilon(1e-12));
  CHECK(early.balanced.points == 2);
  CHECK(measure_scenarios(curve_of(graded())).cheap.figure.value.value() == Approx(0.6691666667).epsilon(1e-9));
}

TEST_CASE("the reference mode is the script, for any rows") {
  std::uint32_t stream = 0;
  for (const std::size_t rows : {1u, 3u, 29u, 100u, 257u})
    for (const double grain : {1e-9, 0.1})
      for (const deferral_bands& bands : {config_bands, dataclass_bands, deferral_bands{0.5, 0.5, 0.2, 1}})
        for (int repeat = 0; repeat < 4; ++repeat) {
          const table t = drawn(++stream, rows, 1, grain);
          const auto ours = measure_scenarios(curve_of(t, ties::file_order), bands, scenario_mode::reference);
          const script_figures theirs = by_script(t, bands);
          CHECK(reference(ours.cheap) == Approx(theirs.lpm).margin(1e-13));
          CHECK(reference(ours.high_accuracy) == Approx(theirs.hcr).margin(1e-13));
          CHECK(reference(ours.balanced) == Approx(theirs.mpm).margin(1e-13));
        }
}

TEST_CASE("calls are truncated: 0.29 of 100 rows is 28 in the script, 29 here") {
  table t = drawn(1, 100, 0, 1e-9);
  for (std::size_t i = 0; i < 100; ++i) {  // phi(k) = k / 100
    t.score[i] = static_cast<double>(i);
    t.weak[i] = 0;
    t.strong[i] = 1;
  }
  const deferral_bands band{0.29, 0.29, 0.85, 0.95};
  CHECK(reference(measure_scenarios(curve_of(t, ties::file_order), band, scenario_mode::reference).cheap) ==
        Approx(0.28));
  CHECK(measure_scenarios(curve_of(t), band).cheap.figure.value.value() == Approx(0.29));
}

TEST_CASE("points on the edges of a band are in it, as in whole numbers: equal scores, a straight line") {
  for (const index_t rows : {10, 100, 300, 700})
    for (const index_t weak : {0, 3, 5})
      for (const index_t strong : {7, 8, 10})
        for (const index_t low : {20, 50, 70}) {  // percent
          const index_t high = low + 10, end = low - 10;
          table t;
          for (index_t i = 0; i < rows; ++i) {
            t.weak.push_back(i % 10 < weak);
            t.strong.push_back(i % 10 < strong);
            t.score.push_back(0.5);
          }
          index_t inside = 0, between = 0;
          for (index_t i = 0; i <= 100; ++i) {
            const index_t calls = i * rows / 100;
            inside += 100 * calls >= low * rows && 100 * calls <= high * rows;
            between += calls > end * rows / 100 && 100 * calls < low * rows;
          }
          const auto percent = [](index_t p) { return static_cast<double>(p) / 100; };
          const auto r = measure_scenarios(curve_of(t), {0, percent(end), percent(low), percent(high)});
          CHECK(r.high_accuracy.points == inside);
          CHECK(r.balanced.points == between);
        }
}

TEST_CASE("what has no value: NaN scores, no rows, a strong model that is no better") {
  table t = toy();
  t.score[0] = std::nan("");
  for (const auto& r : {measure_scenarios(curve_of(t)),
                        measure_scenarios(curve_of(t, ties::file_order), config_bands, scenario_mode::reference)})
    for (const auto* band : {&r.cheap, &r.balanced, &r.high_accuracy}) {
      CHECK(!band->figure.value);
      CHECK(band->figure.why == absence::nan_scores);
    }
  CHECK(measure_scenarios(curve({}, {}, {})).cheap.figure.why == absence::no_rows);
  t = toy();
  std::swap(t.weak, t.strong);
  const auto r = measure_scenarios(curve_of(t));
  CHECK(r.cheap.figure.value);
  CHECK(r.balanced.figure.why == absence::strong_no_better);
  CHECK(r.high_accuracy.figure.why == absence::strong_no_better);
  CHECK(!r.high_accuracy.figure.value);
}

TEST_CASE("scenarios: misuse") {
  const deferral_curve c = curve_of(toy());
  CHECK_THROWS_WITH(measure_scenarios(c, {0.3, 0.2, 0, 1}),
                    "hone::routing::measure_scenarios: bands: rates must be 0 <= low <= high <= 1, are 0.3 and 0.2");
  CHECK_THROWS(measure_scenarios(c, {-0.1, 0.2, 0, 1}));
  CHECK_THROWS(measure_scenarios(c, {0, 1.2, 0, 1}));
  CHECK_THROWS(measure_scenarios(c, {0, std::nan(""), 0, 1}));
  CHECK_THROWS_WITH(measure_scenarios(c, {0, 1, 0.5, 0.4}),
                    "hone::routing::measure_scenarios: bands: recoveries must be finite and in order, are 0.5 and 0.4");
  CHECK_THROWS(measure_scenarios(c, {0, 1, std::nan(""), 0.4}));
  CHECK_THROWS_WITH(measure_scenarios(c, config_bands, scenario_mode::reference),
                    "hone::routing::measure_scenarios: mode: reference is of a curve in the order of the file");
}
