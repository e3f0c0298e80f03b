// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/pooling.hpp"

#include "routing/probe_support.hpp"
#include "support/catch.hpp"

#include <cmath>
#include <vector>

using namespace hone;
using namespace hone::routing;
using namespace probe_test;

TEST_CASE("routing pooling: weights, concentrations, variances of the reference vectors (R.1, R.4)") {
  const auto probe = reference_probe(pooling::dirichlet);
  const numbers weights = mean_weights(probe), alpha = concentrations(probe);
  for (const auto& [x, expected] : {std::pair{weights[0], 0.2686636448},
                                    {weights[1], 0.1334144177},
                                    {weights[2], 0.5979219375},
                                    {alpha[0], 0.5410221421},
                                    {alpha[1], 0.2686636448},
                                    {alpha[2], 1.2040669205}})
    CHECK(x == Approx(expected).epsilon(1e-9));
  CHECK(expected_logit(probe, numbers{0.675, 0.125, -0.225}) == Approx(0.1134923265).epsilon(1e-9));
  CHECK(expected_logit(probe, numbers{0.1, 0.9, -0.325}) == Approx(0.0026147107).epsilon(1e-7));
  CHECK(logit_variance(probe, numbers{0.675, 0.125, -0.225}) == Approx(0.0500150512).epsilon(1e-9));
  CHECK(logit_variance(probe, numbers{0.1, 0.9, -0.325}) == Approx(0.0569597012).epsilon(1e-9));
  // var of each weight and one covariance.
  CHECK(logit_variance(probe, numbers{1, 0, 0}) == Approx(0.0651956248).epsilon(1e-9));
  CHECK(logit_variance(probe, numbers{0, 1, 0}) == Approx(0.0383624743).epsilon(1e-9));
  const double both = logit_variance(probe, numbers{1, 1, 0});
  CHECK((both - 0.0651956248 - 0.0383624743) / 2 == Approx(-0.0118933460).epsilon(1e-7));
}

TEST_CASE("routing pooling: mean and variance of the logit against draws") {
  const auto probe = reference_probe(pooling::dirichlet);
  const numbers alpha = concentrations(probe), u = {0.675, 0.125, -0.225};
  dirichlet_draw draw;
  double sum = 0, squares = 0;
  const int n = 40000;
  for (std::size_t i = 0; i < n; ++i) {
    draw.sample(alpha, {2}, draw_index(i, 0));
    double logit = 0.05;
    for (std::size_t l = 0; l < 3; ++l) logit += draw.weights()[l] * u[l];
    sum += logit / n;
    squares += logit * logit / n;
  }
  const double variance = logit_variance(probe, u);
  CHECK(sum == Approx(expected_logit(probe, u)).margin(4 * std::sqrt(variance / n)));
  CHECK(squares - sum * sum == Approx(variance).epsilon(0.03));
}

TEST_CASE("routing pooling: a shift of theta changes nothing, gamma no score") {
  auto probe = reference_probe(pooling::dirichlet);
  const numbers weights = mean_weights(probe), u = {0.3, -2, 1};
  const double logit = expected_logit(probe, u);
  for (double& t : probe.theta()) t += 700;
  for (std::size_t l = 0; l < 3; ++l) CHECK(mean_weights(probe)[l] == Approx(weights[l]).epsilon(1e-12));
  probe.log_concentration() = -3;
  CHECK(expected_logit(probe, u) == Approx(logit).epsilon(1e-12));
}

TEST_CASE("routing pooling: uniform weights are the mean probe's") {
  auto uniform = reference_probe(pooling::softmax);
  for (double& t : uniform.theta()) t = 1;
  const auto mean = reference_probe(pooling::mean);
  for (std::size_t l = 0; l < 3; ++l) CHECK(mean_weights(uniform)[l] == Approx(mean_weights(mean)[l]).epsilon(1e-15));
  CHECK(expected_logit(mean, numbers{0.675, 0.125, -0.225}) == Approx(0.2416666667).epsilon(1e-9));
  CHECK(mean_weights(reference_probe(pooling::last)) == numbers{0, 0, 1});
  CHECK(mean_weights(reference_probe(pooling::fixed)) == numbers{0, 1, 0});
}

TEST_CASE("routing pooling: a folded probe gives the full one's logits, standardised too") {
  for (const pooling how : {pooling::fixed, pooling::last, pooling::mean, pooling::softmax, pooling::dirichlet})
    for (const bool standard : {false, true}) {
      auto probe = reference_probe(how);
      if (standard)
        for (std::size_t i = 0; i < 12; ++i) {
          probe.mean.push_back(0.1 * static_cast<double>(i) - 0.4);
          probe.inverse.push_back(0.5 + 0.25 * static_cast<double>(i));
        }
      const folded_probe folded = fold(probe);
      CHECK(folded.layers == 3);
      CHECK(folded.width == 4);
      REQUIRE(folded.v.size() == 12);
      const numbers weights = mean_weights(probe);
      for (std::size_t n = 0; n < 2; ++n) {
        double logit = folded.bias, full = probe.bias();
        for (std::size_t l = 0; l < 3; ++l)
          for (std::size_t j = 0; j < 4; ++j) {
            const double z = reference_states[n * 12 + l * 4 + j];
            logit += static_cast<double>(folded.v[l * 4 + j]) * z;
            const double read = standard ? (z - probe.mean[l * 4 + j]) * probe.inverse[l * 4 + j] : z;
            full += weights[l] * probe.weights()[j] * read;
          }
        CHECK(logit == Approx(full).epsilon(1e-6).margin(1e-6));
      }
    }
}

TEST_CASE("routing pooling: shapes, sizes, starts") {
  const auto probe = initialise_probe({.layers = 33, .width = 4096}, 42);
  CHECK(probe.parameters.size() == 4131);
  for (const float t : probe.theta()) CHECK(t == 1);
  CHECK(probe.log_concentration() == 1);
  float largest = 0;
  for (const float w : probe.weights()) largest = (std::max)(largest, std::abs(w));
  CHECK(largest <= 1.0f / 64);
  CHECK(largest > 0.99f / 64);
  CHECK(initialise_probe({.layers = 33, .width = 4096}, 42).parameters == probe.parameters);
  CHECK(initialise_probe({.layers = 33, .width = 4096}, 43).parameters != probe.parameters);
  CHECK(initialise_probe({.how = pooling::mean, .layers = 3, .width = 4}, 1).size() == 5);
  CHECK(initialise_probe({.how = pooling::softmax, .layers = 3, .width = 4, .hidden = {6, 2}}, 1).size() ==
        30 + 14 + 3 + 3);
  CHECK(initialise_probe({.layers = 3, .width = 4, .concentration_layers = {64}}, 1).size() == 5 + 64 * 5 + 3 * 65);
}

TEST_CASE("routing pooling: misuse") {
  const auto start = [](const probe_shape& shape) { initialise_probe(shape, 1); };
  CHECK_THROWS_AS(start({.layers = 0, .width = 4}), std::invalid_argument);
  CHECK_THROWS_AS(start({.layers = 3, .width = 0}), std::invalid_argument);
  CHECK_THROWS_AS(start({.how = pooling::fixed, .layers = 3, .width = 4, .layer = 3}), std::invalid_argument);
  CHECK_THROWS_AS(start({.layers = 3, .width = 4, .hidden = {0}}), std::invalid_argument);
  CHECK_THROWS_AS(start({.layers = 3, .width = 4, .concentration_layers = {-1}}), std::invalid_argument);
  CHECK_THROWS_WITH(fold(reference_probe(pooling::max)),
                    "hone::routing::mean_weights: probe: has no weights of its layers alone");
  CHECK_THROWS_AS(fold(initialise_probe({.layers = 3, .width = 4, .hidden = {2}}, 1)), std::invalid_argument);
  CHECK_THROWS_AS(fold(initialise_probe({.layers = 3, .width = 4, .concentration_layers = {2}}, 1)),
                  std::invalid_argument);
  CHECK_THROWS_AS(concentrations(reference_probe(pooling::softmax)), std::invalid_argument);
  CHECK_THROWS_AS(expected_logit(reference_probe(pooling::mean), numbers{1, 2}), std::invalid_argument);
  auto cut = reference_probe(pooling::dirichlet);
  cut.parameters.pop_back();
  CHECK_THROWS_AS(fold(cut), std::invalid_argument);
  auto half = reference_probe(pooling::mean);
  half.mean.assign(12, 0);
  CHECK_THROWS_AS(fold(half), std::invalid_argument);
}
