// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/descend.hpp"

#include <limits>

#include "hone/core/random.hpp"
#include "hone/core/thread_pool.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::gradient;

namespace {

std::vector<float> normals(std::size_t n, std::uint32_t stream, double deviation = 1) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(deviation * philox{21, stream}.normal(i));
  return x;
}

}  // namespace

TEST_CASE("descend: AdamW along the cut gradient, at the rate of its schedule") {
  const auto g = normals(5000, 1);
  const double length = std::sqrt(static_cast<double>(squared_norm(g)));
  const schedule rising{.steps = 10, .warmup = 4, .shape = decay::cosine, .floor = 0.1};
  for (const double clip : {0.0, length / 3, 2 * length})
    for (const index_t step : {1, 3, 9}) {
      auto p = normals(5000, 2), m = normals(5000, 3, 0.1), v = m;
      for (float& x : v) x *= x;
      auto own = p, own_m = m, own_v = v;
      thread_pool pool(2);
      CHECK(descend(std::span(own), std::span(own_m), std::span(own_v), g, step,
                    {.rate = 1e-2, .weight_decay = 0.1, .clip = clip, .schedule = rising}, pool) == length);
      weighted_sum({clip > 0 && length > clip ? clip / length : 1}, tasks(g),
                   adamw(p, m, v, step, {.learning_rate = 1e-2 * rate_factor(rising, step), .weight_decay = 0.1}));
      CHECK(own == p);
      CHECK(own_m == m);
      CHECK(own_v == v);
    }
}

TEST_CASE("descend: a gradient that is not finite changes nothing, and is told") {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> g = {1, bad, 2}, p = {1, 2, 3}, m = {0, 1, 0}, v = {0, 1, 2};
    const auto before = p, before_m = m, before_v = v;
    CHECK(!std::isfinite(descend(std::span(p), std::span(m), std::span(v), g, 1, {.clip = 1})));
    CHECK(p == before);
    CHECK(m == before_m);
    CHECK(v == before_v);
  }
  std::vector<float> x = {1, 2}, two = {0, 0};
  CHECK_THROWS_WITH(descend(std::span(x), std::span(two), std::span(two), x, 1, {.clip = -1}), Catch::Contains("clip"));
  CHECK_THROWS_WITH(descend(std::span(x), std::span(two), std::span(two), x, 0, {}), Catch::Contains("from 1"));
}
