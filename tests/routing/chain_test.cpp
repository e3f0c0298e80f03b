// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/chain.hpp"

#include "hone/core/philox.hpp"
#include "support/catch.hpp"
#include "support/outputs.hpp"

#include <cmath>
#include <limits>
#include <vector>

using namespace hone;
using namespace hone::routing;

TEST_CASE("routing chain: the specification's states") {
  const std::vector<double> z = {0.5, -1, 0.25, 2, 1, 0, -0.5, 0.75, -0.25, 1.5, 0.5, -1};
  const matrix_view<const double> states(z.data(), 3, 4);
  std::vector<double> features(4);
  CHECK(chain_features(states, features) == 0);
  CHECK(features[0] == Approx(3.6511773161).margin(5e-11));
  CHECK(features[1] == Approx(3.2337498106).margin(5e-11));
  CHECK(features[2] == Approx(0.6042446209).margin(5e-11));
  CHECK(features[3] == Approx(-0.4919189679).margin(5e-11));
  const chain_score score = score_chain(features);
  const double mean = (features[0] + features[1] + features[2] + features[3]) / 4;
  CHECK(score.mean == Approx(mean).epsilon(1e-15));
  CHECK(score.sigmoid_mean == Approx(1 / (1 + std::exp(-mean))).epsilon(1e-15));
}

TEMPLATE_TEST_CASE("routing chain: against the formulas, any strides", "", float, double, bfloat16, float16) {
  constexpr index_t layers = 5, width = 300;
  std::vector<TestType> z(layers * width), turned(layers * width);
  for (index_t i = 0; i < layers; ++i)
    for (index_t j = 0; j < width; ++j) {
      const double value = philox{3}.uniform(static_cast<std::uint64_t>(i * width + j)) - 0.4;
      const auto x = from_accumulator<TestType>(static_cast<accumulator_t<TestType>>(value));
      z[static_cast<std::size_t>(i * width + j)] = turned[static_cast<std::size_t>(j * layers + i)] = x;
    }
  const matrix_view<const TestType> states(z.data(), layers, width);
  std::vector<double> features(8), again(8);
  CHECK(chain_features(states, features) == 0);
  CHECK(chain_features(matrix_view<const TestType>(turned.data(), layers, width, 1, layers), again) == 0);
  CHECK(features == again);
  for (index_t i = 0; i + 1 < layers; ++i) {
    double xx = 0, yy = 0, xy = 0;
    for (index_t j = 0; j < width; ++j) {
      const auto x = static_cast<double>(to_accumulator(states(i, j)));
      const auto y = static_cast<double>(to_accumulator(states(i + 1, j)));
      xx += x * x, yy += y * y, xy += x * y;
    }
    CHECK(features[static_cast<std::size_t>(i)] == Approx(std::sqrt(xx) + std::sqrt(yy)).epsilon(1e-12));
    CHECK(features[static_cast<std::size_t>(4 + i)] == Approx(xy / std::sqrt(xx * yy)).epsilon(1e-12));
  }
}

TEST_CASE("routing chain: zeros, one state, none, NaN, memory that is none") {
  const std::vector<float> z = {3, 4, 0, 0, 4, 3};
  std::vector<double> features(4);
  CHECK(chain_features(matrix_view<const float>(z.data(), 3, 2), features) == 0);
  CHECK(features == std::vector<double>{5, 5, 0, 0});
  std::vector<double> none;
  CHECK(chain_features(matrix_view<const float>(z.data(), 1, 6), none) == 0);
  CHECK(std::isnan(score_chain(none).mean));
  CHECK(std::isnan(score_chain(none).sigmoid_mean));
  const std::vector<float> broken = {1, std::nanf(""), 1, 1, std::numeric_limits<float>::infinity(), 1};
  CHECK(chain_features(matrix_view<const float>(broken.data(), 3, 2), features) == 2);
  CHECK(std::isnan(features[0]));
  CHECK(std::isinf(features[1]));
  CHECK(std::isnan(features[2]));
  const std::vector<float> first_and_last = {broken[1], 1, 1, 1, broken[1], broken[1]};
  CHECK(chain_features(matrix_view<const float>(first_and_last.data(), 3, 2), features) == 3);
  CHECK(score_chain(std::vector<double>{3}).mean == 3);
  CHECK_THROWS_WITH(chain_features(matrix_view<const float>(z.data(), 0, 2), none),
                    "hone::routing::chain_features: states: has no row");
  CHECK_THROWS_WITH(chain_features(matrix_view<const float>(z.data(), 2, 3), none),
                    "hone::routing::chain_features: features: has 0 elements, expected 2");
  check_refuses_vectors<double>(4, "hone::routing::chain_features: features: ", [&](auto out) {
    chain_features(matrix_view<const float>(z.data(), 3, 2), out);
  });
}
