// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/eval/bootstrap.hpp"

#include "hone/core/thread_pool.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::eval;

namespace {
const std::vector<double> sample = {1, 2, 4};

double mean_of(std::span<const index_t> drawn) {
  double sum = 0;
  for (const index_t i : drawn) sum += sample[static_cast<std::size_t>(i)];
  return sum / static_cast<double>(drawn.size());
}
}  // namespace

TEST_CASE("the bootstrap of a mean comes to what enumerating all 27 resamples gives") {
  const auto b = bootstrap(3, mean_of, {.replicates = 20000, .seed = 1});
  CHECK(b.standard_error == Approx(0.7200822998).epsilon(0.02));
  CHECK(b.percentile.low == 1);  // both ends have a share of 1/27, more than 2.5 %
  CHECK(b.percentile.high == 4);
  CHECK(b.nonfinite == 0);
  const auto all = bootstrap(3, mean_of, {.replicates = 20000, .level = 0.5, .seed = 1});
  CHECK(all.percentile.low == Approx(5.0 / 3));
  CHECK(all.percentile.high == 3);
}

TEST_CASE("the error of the bootstrap is that of the mean, not over the square root of replicates") {
  std::vector<double> x;
  for (std::size_t i = 0; i < 200; ++i) x.push_back(philox{5, 0}.normal(i));
  const auto b = bootstrap(200, [&](std::span<const index_t> drawn) {
    double sum = 0;
    for (const index_t i : drawn) sum += x[static_cast<std::size_t>(i)];
    return sum / 200;
  });
  CHECK(b.standard_error == Approx(estimate_mean(x).standard_error).epsilon(0.1));
}

TEST_CASE("draws are addressed: the same for any workers, others for another seed") {
  thread_pool pool(3);
  const auto one = bootstrap(3, mean_of, {.replicates = 500, .seed = 7});
  const auto many = bootstrap(3, mean_of, {.replicates = 500, .seed = 7}, pool);
  const auto other = bootstrap(3, mean_of, {.replicates = 500, .seed = 8});
  CHECK(one.standard_error == many.standard_error);
  CHECK(one.percentile.low == many.percentile.low);
  CHECK(one.percentile.high == many.percentile.high);
  CHECK(one.standard_error != other.standard_error);
}

TEST_CASE("every item is drawn alike") {
  std::vector<index_t> drawn(7), counts(7, 0);
  for (index_t r = 0; r < 10000; ++r) {
    draw_items(drawn, 3, r);
    for (const index_t i : drawn) {
      REQUIRE((0 <= i && i < 7));
      ++counts[static_cast<std::size_t>(i)];
    }
  }
  for (const index_t count : counts) CHECK(std::abs(static_cast<double>(count) - 10000) < 500);
}

TEST_CASE("replicates that are not finite are counted; misuse") {
  const auto b = bootstrap(3, [](auto) { return std::nan(""); }, {.replicates = 9});
  CHECK(b.nonfinite == 9);
  CHECK(std::isnan(b.standard_error));
  CHECK(std::isnan(b.percentile.low));
  CHECK_THROWS_AS(bootstrap(0, mean_of), std::invalid_argument);
  CHECK_THROWS_AS(bootstrap(3, mean_of, {.replicates = 1}), std::invalid_argument);
  CHECK_THROWS_AS(bootstrap(3, mean_of, {.level = 1}), std::invalid_argument);
}
