// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/probe_objective.hpp"

#include "support/catch.hpp"

#include <cmath>
#include <vector>

using namespace hone;
using namespace hone::routing;

namespace {

using numbers = std::vector<double>;

numbers shares(const numbers& alpha, double total) {
  numbers a = alpha;
  for (double& x : a) x /= total;
  return a;
}

double total_of(const numbers& alpha) {
  double sum = 0;
  for (const double a : alpha) sum += a;
  return sum;
}

}  // namespace

TEST_CASE("routing probe objective: the log loss and three derivatives") {
  for (const double y : {0.0, 0.3, 1.0})
    for (const double z : {-30.0, -2.0, 0.0, 0.7, 40.0}) {
      const logit_terms t = binary_loss(y, z);
      CHECK(t.loss ==
            Approx(std::log1p(std::exp(-std::abs(z))) + (z > 0 ? z : 0) - y * z).epsilon(1e-13).margin(1e-17));
      const double h = 1e-4;
      const logit_terms up = binary_loss(y, z + h, 2, 0.5), down = binary_loss(y, z - h, 2, 0.5);
      const logit_terms at = binary_loss(y, z, 2, 0.5);
      CHECK(at.slope == Approx((up.loss - down.loss) / (2 * h)).epsilon(1e-6).margin(1e-9));
      CHECK(at.curvature == Approx((up.slope - down.slope) / (2 * h)).epsilon(1e-6).margin(1e-9));
      CHECK(at.third == Approx((up.curvature - down.curvature) / (2 * h)).epsilon(1e-6).margin(1e-9));
    }
  CHECK(binary_loss(1, -800).loss == 800);
  CHECK(binary_loss(0, -800).loss == 0);
  CHECK(binary_loss(1, 0.3, 5, 1).loss == Approx(5 * binary_loss(1, 0.3).loss));
  CHECK(binary_loss(0, 0.3, 5, 2).slope == Approx(2 * binary_loss(0, 0.3).slope));
}

TEST_CASE("routing probe objective: delta, mean and exact of the toy (R.3)") {
  // alpha = (0.8, 1.7), u = (1.5, -0.7), label 0: softplus.
  const numbers alpha = {0.8, 1.7}, u = {1.5, -0.7}, a = shares(alpha, 2.5);
  sample_terms terms;
  terms.clear(2);
  add_mean_terms(u, 0, 0, {}, a, 2.5, false, terms);
  CHECK(terms.loss == Approx(0.695149).epsilon(1e-6));
  terms.clear(2);
  add_mean_terms(u, 0, 0, {}, a, 2.5, true, terms);
  CHECK(terms.loss == Approx(0.732763).epsilon(1e-6));
}

TEST_CASE("routing probe objective: gradients of mean and delta by differences") {
  const numbers alpha = {0.8, 1.7, 0.3}, u = {1.5, -0.7, 0.4};
  const probe_objective objective{.positive_weight = 1.5, .negative_weight = 0.6};
  for (const bool delta : {false, true})
    for (const double y : {0.0, 0.35, 1.0}) {
      const auto loss = [&](const numbers& a, const numbers& v, double b) {
        sample_terms t;
        t.clear(3);
        add_mean_terms(v, b, y, objective, shares(a, total_of(a)), total_of(a), delta, t);
        return t;
      };
      const sample_terms at = loss(alpha, u, 0.2);
      const double h = 1e-5;
      CHECK(at.bias == Approx((loss(alpha, u, 0.2 + h).loss - loss(alpha, u, 0.2 - h).loss) / (2 * h)).epsilon(1e-7));
      for (std::size_t l = 0; l < 3; ++l) {
        numbers up = u, down = u;
        up[l] += h;
        down[l] -= h;
        CHECK(at.layers[l] ==
              Approx((loss(alpha, up, 0.2).loss - loss(alpha, down, 0.2).loss) / (2 * h)).epsilon(1e-6));
        up = down = alpha;
        up[l] += h;
        down[l] -= h;
        CHECK(at.alpha[l] == Approx((loss(up, u, 0.2).loss - loss(down, u, 0.2).loss) / (2 * h)).epsilon(1e-6));
      }
      if (!delta) {  // the mean does not know alpha_0
        double sum = 0;
        for (std::size_t l = 0; l < 3; ++l) sum += alpha[l] * at.alpha[l];
        CHECK(sum == Approx(0).margin(1e-16));
      }
    }
}

TEST_CASE("routing probe objective: the regularisers are divergence less entropy, weighted") {
  const numbers alpha = {0.8, 1.7, 0.3};
  numbers slope(3), kl(3), entropy(3);
  double loss = 1;
  add_regularisers(alpha, {.kl = 0.3, .prior = 2, .entropy = 0.1}, loss, slope);
  CHECK(loss == Approx(1 + 0.3 * dirichlet_kl(alpha, numbers(3, 2.0), kl) - 0.1 * dirichlet_entropy(alpha, entropy)));
  for (std::size_t l = 0; l < 3; ++l) CHECK(slope[l] == Approx(0.3 * kl[l] - 0.1 * entropy[l]));
}
