// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/domains.hpp"

#include "hone/statistics/roc.hpp"
#include "routing/support.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

using namespace hone;
using namespace hone::routing;
using namespace routing_test;

TEST_CASE("a figure of each domain is that of its rows") {
  const table t = drawn(1, 200, 1, 0.1);
  std::vector<index_t> domain;
  for (std::size_t i = 0; i < 200; ++i) domain.push_back(static_cast<index_t>(i * i % 3));
  const auto areas = measure_by_domain(domain, 4, [&](std::span<const index_t> rows) {
    vector scores, labels;
    for (const index_t i : rows) {
      scores.push_back(t.score[static_cast<std::size_t>(i)]);
      labels.push_back(t.weak[static_cast<std::size_t>(i)]);
    }
    return statistics::auc(statistics::rank_by_outcome(scores, labels)).auc;
  });
  REQUIRE(areas.size() == 4);
  for (std::size_t d = 0; d < 2; ++d) {
    vector positives, negatives;
    for (std::size_t i = 0; i < 200; ++i)
      if (i * i % 3 == d) (t.weak[i] == 1 ? positives : negatives).push_back(t.score[i]);
    CHECK(areas[d] == statistics::auc(positives, negatives).auc);
  }
  CHECK(std::isnan(areas[2]));  // no square is 2 modulo 3
  CHECK(std::isnan(areas[3]));
  std::vector<index_t> seen;
  measure_by_domain(domain, 3, [&](std::span<const index_t> rows) {
    CHECK(std::is_sorted(rows.begin(), rows.end()));
    seen.insert(seen.end(), rows.begin(), rows.end());
    return 0.0;
  });
  CHECK(seen.size() == 200);
  CHECK_THROWS_WITH(measure_by_domain(std::vector<index_t>{0, 3}, 3, [](auto) { return 0.0; }),
                    "hone::routing::measure_by_domain: domain_of: element 1 is 3 of 3");
  CHECK_THROWS(measure_by_domain(std::vector<index_t>{}, -1, [](auto) { return 0.0; }));
  CHECK_THROWS_WITH(measure_by_domain(std::vector<index_t>{-1}, 3, [](auto) { return 0.0; }),
                    "hone::routing::measure_by_domain: domain_of: element 0 is -1 of 3");
  CHECK(measure_by_domain(std::vector<index_t>{}, 0, [](auto) { return 0.0; }).empty());
}

TEST_CASE("groups are averaged first, then sets of known domains and of others") {
  // Two routers; sets: two in-domain, one of another domain, three subjects that are one group.
  const vector figures = {.7, .6, .5, .2, .3, .4, .9, .1, .8, .5, .5, .5};
  const std::vector<index_t> group = {0, 1, 2, 3, 3, 3};
  const vector grouped = average_groups({figures.data(), 2, 6}, group, 4);
  REQUIRE(grouped.size() == 8);
  CHECK(grouped[3] == Approx(.3));
  CHECK(grouped[4] == .9);
  CHECK(grouped[0] == .7);
  CHECK(grouped[7] == Approx(.5));
  const vector known = {1, 1, 0, 0, 1, 0, 0, 0};
  const auto means = average_domains({grouped.data(), 2, 4}, {known.data(), 2, 4});
  REQUIRE(means.size() == 2);
  CHECK(means[0].in_domain == Approx(.65));
  CHECK(means[0].out_of_domain == Approx(.4));
  CHECK(means[0].gap() == Approx(.25));
  CHECK(means[0].in_count == 2);
  CHECK(means[0].out_count == 2);
  CHECK(means[0].nans + means[1].nans == 0);
  CHECK(means[1].in_count == 1);
  CHECK(means[1].in_domain == Approx(.9));
  CHECK(means[1].out_of_domain == Approx((.1 + .8 + .5) / 3));
  CHECK(means[1].out_count == 3);
}

TEST_CASE("a figure without a value leaves its mean without one and is counted") {
  const vector figures = {.7, std::nan(""), .5}, known = {1, 0, 1};
  const auto means = average_domains({figures.data(), 1, 3}, {known.data(), 1, 3});
  CHECK(means[0].in_domain == Approx(.6));
  CHECK(std::isnan(means[0].out_of_domain));
  CHECK(means[0].nans == 1);
  const vector all = {1, 1, 1};
  CHECK(std::isnan(average_domains({figures.data(), 1, 3}, {all.data(), 1, 3})[0].out_of_domain));
  const std::vector<index_t> group = {0, 1, 0};
  CHECK(std::isnan(average_groups({figures.data(), 1, 3}, group, 3)[2]));  // no sets
  CHECK_THROWS_WITH(average_domains({figures.data(), 1, 3}, {known.data(), 1, 2}),
                    "hone::routing::average_domains: trained_on: is 1 x 2, figures 1 x 3");
  CHECK_THROWS_WITH(average_domains({figures.data(), 1, 3}, {figures.data(), 1, 3}),
                    "hone::routing::average_domains: trained_on: (0, 0) is neither 0 nor 1: 0.7");
  const vector last = {1, 0, 1, 0, 0, -1};
  CHECK_THROWS_WITH(average_domains({last.data(), 2, 3}, {last.data(), 2, 3}),
                    "hone::routing::average_domains: trained_on: (1, 2) is neither 0 nor 1: -1");
  CHECK_THROWS_WITH(average_domains({last.data(), 2, 3}, {last.data(), 1, 3}),
                    "hone::routing::average_domains: trained_on: is 1 x 3, figures 2 x 3");
  const vector broken(2, std::nan("")), both = {1, 0};
  CHECK(average_domains({broken.data(), 1, 2}, {both.data(), 1, 2})[0].nans == 2);
  CHECK_THROWS_WITH(average_groups({figures.data(), 1, 3}, std::vector<index_t>{0, 0, -1}, 1),
                    "hone::routing::average_groups: group_of: element 2 is -1 of 1");
  CHECK_THROWS_WITH(average_groups({figures.data(), 1, 3}, group, 1),
                    "hone::routing::average_groups: group_of: element 1 is 1 of 1");
  CHECK_THROWS_WITH(average_groups({figures.data(), 1, 2}, group, 2),
                    "hone::routing::average_groups: group_of: has 3, figures 2 columns");
}
