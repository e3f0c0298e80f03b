// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/statistics/drift.hpp"

#include "hone/core/random.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::statistics;

namespace {

using vector = std::vector<double>;
using counts = std::vector<index_t>;
constexpr double infinity = std::numeric_limits<double>::infinity();
const double not_a_number = std::nan("");

vector normals(std::uint64_t seed, std::size_t count, double mean = 0, double grain = 0) {
  vector x;
  for (std::size_t i = 0; i < count; ++i) {
    const double value = philox{seed}.normal(i) + mean;
    x.push_back(grain > 0 ? std::round(value / grain) * grain : value);
  }
  return x;
}

}  // namespace

TEST_CASE("drift: the index of counts is its formula") {
  const counts reference = {10, 20, 30, 40}, now = {25, 25, 25, 25};
  const double plain = -0.15 * std::log(0.1 / 0.25) - 0.05 * std::log(0.2 / 0.25) + 0.05 * std::log(0.3 / 0.25) +
                       0.15 * std::log(0.4 / 0.25);
  const auto r = stability_index(reference, now, 0);
  CHECK(r.index == Approx(plain).epsilon(1e-13));
  CHECK(r.bins == 4);
  CHECK(r.without_drift == Approx(3 * 0.02).epsilon(1e-14));
  CHECK(stability_index(now, reference, 0).index == Approx(plain).epsilon(1e-13));
  double smoothed = 0;
  for (std::size_t b = 0; b < 4; ++b) {
    const double p = (static_cast<double>(reference[b]) + 0.5) / 102, q = (static_cast<double>(now[b]) + 0.5) / 102;
    smoothed += (q - p) * std::log(q / p);
  }
  CHECK(stability_index(reference, now).index == Approx(smoothed).epsilon(1e-13));
  CHECK(stability_index(reference, reference).index == 0);
  CHECK(stability_index(reference, reference).p_value == 1);
  // 3 degrees: P(chi^2 >= 7.814727903251179) is 0.05.
  const double unit = 0.02;
  CHECK(incomplete_gamma(1.5, 7.814727903251179 / 2).upper == Approx(0.05).epsilon(1e-12));
  CHECK(r.p_value == Approx(incomplete_gamma(1.5, plain / unit / 2).upper).epsilon(1e-12));
}

TEST_CASE("drift: bins without scores") {
  CHECK(stability_index(counts{5, 0, 5}, counts{3, 3, 4}, 0).index == infinity);
  CHECK(stability_index(counts{5, 0, 5}, counts{3, 3, 4}, 0).p_value == 0);
  CHECK(stability_index(counts{3, 3, 4}, counts{5, 0, 5}, 0).index == infinity);
  CHECK(stability_index(counts{5, 0, 5}, counts{5, 0, 5}, 0).index == 0);
  const double q = 0.5 / 11.5, p = 3.5 / 11.5;
  CHECK(stability_index(counts{3, 3, 4}, counts{3, 0, 7}).index ==
        Approx((q - p) * std::log(q / p) + (7.5 - 4.5) / 11.5 * std::log(7.5 / 4.5)).epsilon(1e-13));
}

TEST_CASE("drift: bins of equal mass, ties, infinite scores") {
  vector x(100);
  for (std::size_t i = 0; i < 100; ++i) x[i] = static_cast<double>((i * 37) % 100);
  CHECK(equal_mass_edges(x, 4) == vector{25, 50, 75});
  CHECK(count_in_bins(x, equal_mass_edges(x, 10)) == counts(10, 10));
  CHECK(equal_mass_edges(x, 1).empty());
  CHECK(equal_mass_edges(vector{0, 0, 0, 0, 0, 0, 1, 1, 1, 2}, 5) == vector{1});
  CHECK(equal_mass_edges(vector{7, 7, 7}, 10).empty());
  CHECK(equal_mass_edges(vector{1, 2}, 10) == vector{2});
  CHECK(equal_mass_edges(vector{-infinity, 0, infinity}, 3) == vector{0, infinity});
  CHECK(count_in_bins(vector{-5, 24.9, 25, 74, 75, infinity, -infinity, not_a_number}, vector{25, 50, 75}) ==
        counts{3, 1, 1, 2});
  for (const std::size_t n : {10u, 99u, 1000u})
    for (const double grain : {0.0, 0.2, 1.0}) {
      const vector r = normals(n, n, 0, grain), edges = equal_mass_edges(r, 10);
      const counts c = count_in_bins(r, edges);
      index_t sum = 0;
      for (const index_t count : c) {
        CHECK(count > 0);  // no bin of the reference is empty
        sum += count;
        if (grain == 0) CHECK(std::abs(static_cast<double>(count) - static_cast<double>(n) / 10) < 1);
      }
      CHECK(sum == static_cast<index_t>(n));
      CHECK(std::is_sorted(edges.begin(), edges.end()));
    }
}

TEST_CASE("drift: the index of scores; it sees a shift, and increasing maps change nothing") {
  const vector r = normals(1, 2000), same = normals(2, 1500), moved = normals(3, 1500, 0.5);
  const auto none = stability_index(r, same), some = stability_index(r, moved);
  CHECK(none.index < 0.03);
  CHECK(none.p_value > 1e-3);
  CHECK(some.index > 0.1);
  CHECK(some.p_value < 1e-9);
  CHECK(some.bins == 10);
  CHECK(
      some.index ==
      stability_index(count_in_bins(r, equal_mass_edges(r, 10)), count_in_bins(moved, equal_mass_edges(r, 10))).index);
  vector u = r, v = moved;
  for (vector* x : {&u, &v})
    for (double& value : *x) value = std::exp(value);
  CHECK(stability_index(u, v).index == some.index);
}

TEST_CASE("drift: equal scores, one, NaN; misuse") {
  const vector equal(50, 3.0);
  const auto constant = stability_index(equal, vector{3, 4});
  CHECK(std::isnan(constant.index));
  CHECK(std::isnan(constant.p_value));
  CHECK(constant.bins == 1);
  CHECK(std::isnan(stability_index(vector{1}, vector{1}).index));
  CHECK(stability_index(vector{1, 2}, vector{2}).bins == 2);
  CHECK(std::isfinite(stability_index(vector{1, 2}, vector{2}).index));
  const auto broken = stability_index(vector{1, not_a_number, 3}, vector{not_a_number, 2});
  CHECK(broken.nans == 2);
  CHECK(std::isnan(broken.index));
  CHECK_THROWS_WITH(stability_index(vector{}, vector{1}), "hone::statistics::stability_index: reference: is empty");
  CHECK_THROWS_WITH(stability_index(vector{1}, vector{}), "hone::statistics::stability_index: scores: is empty");
  CHECK_THROWS_AS(stability_index(vector{1, 2}, vector{1}, {.bins = 0}), std::invalid_argument);
  CHECK_THROWS_AS(stability_index(vector{1, 2}, vector{1}, {.pseudo_count = -1}), std::invalid_argument);
  CHECK_THROWS_AS(stability_index(counts{1}, counts{1, 2}), std::invalid_argument);
  CHECK_THROWS_WITH(stability_index(counts{}, counts{}),
                    "hone::statistics::stability_index: counts: has 0 bins, reference 0");
  CHECK_THROWS_WITH(stability_index(counts{1, 2}, counts{3, -1}),
                    "hone::statistics::stability_index: counts: bin 1 has -1");
  CHECK_THROWS_WITH(stability_index(counts{1, -2}, counts{1, 2}),
                    "hone::statistics::stability_index: reference: bin 1 has -2");
  CHECK_THROWS_WITH(stability_index(counts{1, 2}, counts{0, 0}),
                    "hone::statistics::stability_index: counts: has no scores");
  CHECK_THROWS_AS(stability_index(counts{0, 0}, counts{1, 2}), std::invalid_argument);
  CHECK_THROWS_AS(stability_index(counts{1, 2}, counts{1, 2}, infinity), std::invalid_argument);
  CHECK_THROWS_AS(equal_mass_edges({}, 10), std::invalid_argument);
  CHECK_THROWS_WITH(equal_mass_edges(vector{1, not_a_number}, 10),
                    "hone::statistics::equal_mass_edges: reference: element 1 is NaN");
}

TEST_CASE("drift: without any, the index is on average what is said, and p is below 0.05 about so often") {
  constexpr std::uint64_t runs = 2000;
  double index = 0, expected = 0, rejected = 0;
  for (std::uint64_t run = 0; run < runs; ++run) {
    const auto r = stability_index(normals(2 * run, 400), normals(2 * run + 1, 300));
    index += r.index / runs;
    expected = r.without_drift;
    rejected += (r.p_value < 0.05 ? 1.0 : 0.0) / runs;
  }
  CHECK(index == Approx(expected).epsilon(0.05));
  CHECK(rejected == Approx(0.05).margin(0.016));
}

TEST_CASE("drift: what nobody sets") {
  CHECK(stability_options{}.bins == 10);
  CHECK(stability_options{}.pseudo_count == 0.5);
}
