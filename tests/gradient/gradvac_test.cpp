// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/gradvac.hpp"

#include "hone/core/thread_pool.hpp"

#include "gradient/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::gradient;

TEST_CASE("cosines that rounding makes longer than 1 do not reach the state") {
  for (int i = 1; i < 200; ++i) {
    const double x = 0.1 * i, y = 1.0 / i;
    gradvac_state<2> state;
    (void)gradvac<2>{.state = {&state, 1}, .beta = 1}.weights(gram_matrix<2>{{{{x * x, x * y}, {x * y, y * y}}}}, 0);
    for (const auto& row : state.target)
      for (const double c : row) REQUIRE(std::abs(c) <= 1);
  }
}

TEMPLATE_TEST_CASE("one-sided GradVac gives the reference vector (G2) and meets the target cosine", "", double, float,
                   bfloat16) {
  using T = TestType;
  const auto f = narrowed<T>({1, -2, .5}), r = narrowed<T>({2, 1, -1});
  std::vector<T> out(3);
  const auto report = combine(gradvac_one_sided{.retain = 0, .target = .3}, tasks(f, r), out, {.geometry = true});
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(static_cast<double>(to_accumulator(out[i])) == Approx(std::array{1.7526757053, -1.6236621473, .1236621473}[i])
                                                             .margin(std::is_same_v<T, double>  ? 1e-10
                                                                     : std::is_same_v<T, float> ? 1e-6
                                                                                                : .01));
  CHECK(report.combined_cosine(1) == Approx(.3).epsilon(std::is_same_v<T, double> ? 1e-14 : 1e-6));
  const auto w = gradvac_one_sided{.target = .3}.weights(gram(tasks(f, r)));
  CHECK(w[1] == Approx(1.3763378527).epsilon(1e-9));
}

TEST_CASE("every target cosine is met from below and left alone from above; target 0 is one-sided PCGrad") {
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    const auto g = family<double, 2>(5, seed, 1).gram();
    const double c = g(0, 1) / std::sqrt(g(0, 0) * g(1, 1));
    for (const double target : {-.9, -.3, 0.0, .2, .99}) {
      const auto w = gradvac_one_sided{.retain = 0, .forget = 2, .target = target}.weights(g);
      const double after = g.dot(1, w) / std::sqrt(g.squared_norm(w) * g(1, 1));
      CHECK(after == Approx((std::max)(c, target)).margin(1e-10));
    }
    const auto projected = pcgrad{.retain = .5, .forget = 2}.weights(g);
    const auto vaccinated = gradvac_one_sided{.retain = .5, .forget = 2}.weights(g);
    CHECK(vaccinated[1] == Approx(projected[1]).epsilon(1e-12));
  }
}

TEST_CASE("GradVac against the algorithm on the vectors, its targets against their moving average, over five steps") {
  for (const bool only_below : {false, true}) {
    gradvac_state<3> state;
    double target[3][3] = {};
    for (std::uint32_t step = 0; step < 5; ++step) {
      const family<double, 3> f(12, step, step % 2);
      const task_order order{.random = true, .seed = 2, .step = step};
      std::vector<double> expected(12), out(12);
      for (std::size_t i = 0; i < 3; ++i) {
        auto p = f.g[i];
        for (const std::size_t j : order.of<3>(i)) {
          if (i == j) continue;
          const double length = std::sqrt(squared_norm(p)), other = std::sqrt(squared_norm(f.g[j]));
          const double c = hone::dot(p, f.g[j]) / length / other, t = target[i][j];
          if (c < t)
            axpy(length * (t * std::sqrt(1 - c * c) - c * std::sqrt(1 - t * t)) / (other * std::sqrt(1 - t * t)),
                 f.g[j], p);
          if (c < t || !only_below) target[i][j] = .8 * t + .2 * c;
        }
        for (std::size_t e = 0; e < 12; ++e) expected[e] += p[e];
      }
      combine(gradvac<3>{.state = {&state, 1}, .beta = .2, .order = order, .only_below = only_below}, f.tasks(), out);
      CHECK(near<double>(out, expected));
      for (std::size_t i = 0; i < 3; ++i)
        for (std::size_t j = 0; j < 3; ++j) CHECK(state.target[i][j] == Approx(target[i][j]).margin(1e-12));
    }
    if (only_below)
      for (const auto& row : state.target)
        for (const double t : row) CHECK(t <= 0);
  }
}

TEST_CASE("the first step is PCGrad; groups have states of their own, the same on any executor") {
  thread_pool pool(3);
  const auto f = normals<float>(9000, 1), r = normals<float>(9000, 2);
  const std::vector<index_t> groups = {0, 5, 4000, 9000};
  std::vector<gradvac_state<2>> a(3), b(3);
  std::vector<float> out(9000), pooled(9000), projected(9000);
  combine(gradvac<2>{.state = a}, tasks(f, r), out, {.groups = groups});
  combine(pcgrad_symmetric{}, tasks(f, r), projected, {.groups = groups});
  std::vector<double> expected(projected.begin(), projected.end());
  CHECK(near<float>(out, expected));
  combine(gradvac<2>{.state = b}, tasks(f, r), pooled, {.groups = groups}, pool);
  for (int step = 0; step < 3; ++step) {
    combine(gradvac<2>{.state = a}, tasks(f, r), out, {.groups = groups});
    combine(gradvac<2>{.state = b}, tasks(f, r), pooled, {.groups = groups}, pool);
    CHECK(out == pooled);
    for (std::size_t i = 0; i < 3; ++i) CHECK(a[i].target == b[i].target);
  }
  CHECK(a[0].target != a[1].target);
}

TEST_CASE("zero, identical, opposite and non-finite gradients; states that do not fit") {
  for_each_k([](auto k) {
    constexpr std::size_t K = k();
    struct fresh {  // from the same state each time
      std::array<double, K> weights(const gram_matrix<K>& g) const {
        gradvac_state<K> state;
        for (auto& row : state.target) row.fill(.4);
        return gradvac<K>{.state = {&state, 1}}.weights(g, 0);
      }
    };
    check_robust<K>(fresh{}, true);
  });
  gradvac_state<2> state;
  state.target[0][1] = .25;
  CHECK(gradvac<2>{.state = {&state, 1}}.weights(gram_matrix<2>{{{{std::nan(""), 0}, {0, 1}}}}, 0) ==
        std::array<double, 2>{1, 1});
  CHECK(state.target[0][1] == .25);
  std::vector<double> x(2, 1.0);
  CHECK_THROWS_WITH(combine(gradvac<2>{}, tasks(x, x), x),
                    "hone::gradient::gradvac: state: is of 0 groups, of which there are 1");
  for (const double beta : {-1e-9, 1.0000001, double(NAN)})
    CHECK_THROWS_WITH(combine(gradvac<2>{.state = {&state, 1}, .beta = beta}, tasks(x, x), x),
                      Catch::StartsWith("hone::gradient::gradvac: beta: must be in [0, 1]"));
  for (const double target : {1.0000001, -1.0000001, double(NAN)})
    for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
      std::array<gradvac_state<2>, 2> broken;
      broken[1].target[i][1 - i] = target;
      CHECK_THROWS_WITH((gradvac<2>{.state = broken}.check(2)), Catch::Contains("is no cosine"));
      CHECK_THROWS_WITH((gradvac<2>{.state = broken}.check(1)),
                        Catch::Contains("is of 2 groups, of which there are 1"));
      broken[1].target[i][1 - i] = target > 0 ? 1 : -1;
      broken[1].target[i][i] = 7;  // not read
      CHECK_NOTHROW((gradvac<2>{.state = broken, .beta = 0}.check(2)));
      CHECK_NOTHROW((gradvac<2>{.state = broken, .beta = 1}.check(2)));
    }
  for (const double target : {1.0, -1.0, double(NAN)})
    CHECK_THROWS_WITH(combine(gradvac_one_sided{.target = target}, tasks(x, x), x),
                      Catch::StartsWith("hone::gradient::gradvac_one_sided: target: must be in (-1, 1)"));
  CHECK_NOTHROW(gradvac_one_sided{.target = -0.999}.check());
}
