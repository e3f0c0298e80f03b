// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/lora/lora_ga.hpp"

#include "lora/golden_support.hpp"

#include <limits>

using namespace hone;
using namespace hone::lora;

namespace {
layer<double> started(ga_direction direction, ga_scale scale) {
  auto l = golden::fresh();
  const linalg::matrix gradient = golden::as_rows(golden::gradient, golden::inputs);
  initialise(lora_ga{.gradient = gradient, .direction = direction, .scale = scale}, l.w(), l.site, l.parameters);
  return l;
}
}  // namespace

TEST_CASE("PEFT's LoRA-GA on one layer: directions and scales, up to the signs of singular vectors") {
  const std::pair<ga_direction, ga_scale> cases[] = {{ga_direction::alternating, ga_scale::stable},
                                                     {ga_direction::a_second, ga_scale::unit},
                                                     {ga_direction::b_second, ga_scale::gd_scale},
                                                     {ga_direction::b_second, ga_scale::weight_svd}};
  REQUIRE(golden::lora_ga.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    const auto l = started(cases[i].first, cases[i].second);
    const golden::factors& expected = golden::lora_ga[i];
    INFO(expected.method);
    // PEFT finds the weight's largest singular value in a random subspace of 3 columns: roughly.
    const double tolerance = cases[i].second == ga_scale::weight_svd ? 2e-3 : 5e-6;
    CHECK(largest(l.b().cwiseAbs() - golden::as_rows(expected.b, golden::rank).cwiseAbs()) <=
          tolerance * largest(l.b()));
    CHECK(largest(l.a().cwiseAbs() - golden::as_rows(expected.a, golden::inputs).cwiseAbs()) <= 5e-6);
    CHECK(l.changed() <= 1e-14);
  }
}

TEST_CASE("LoRA-GA scaled by the weight's largest singular value") {
  const auto l = started(ga_direction::b_second, ga_scale::weight_svd);
  CHECK(l.b().col(0).norm() == Approx(linalg::truncated_svd(l.original(), 1).values(0)));
}

TEST_CASE("LoRA-GA of a gradient of zeros: B is 0, whatever the scale, and the weight stays") {
  for (const ga_scale scale : {ga_scale::stable, ga_scale::weight_svd, ga_scale::gd_scale, ga_scale::unit}) {
    auto l = golden::fresh();
    initialise(lora_ga{.gradient = linalg::matrix::Zero(golden::outputs, golden::inputs), .scale = scale}, l.w(),
               l.site, l.parameters);
    CHECK(l.b().isZero(0));
    CHECK(l.a().allFinite());
    CHECK(l.now() == l.original());
  }
}

TEST_CASE("LoRA-GA: A and B from disjoint directions of the gradient; drawn ones repeat themselves") {
  const auto l = started(ga_direction::b_second, ga_scale::unit);
  const auto t = linalg::truncated_svd(golden::as_rows(golden::gradient, golden::inputs), 6);
  CHECK(largest(l.a() * t.v.rightCols(3)) <= 1e-13);
  CHECK(largest(t.u.leftCols(3).transpose() * l.b()) <= 1e-13);
  CHECK(skew(l.a().transpose()) <= 1e-13);
  for (index_t i = 0; i < 3; ++i) CHECK(l.b().col(i).norm() == Approx(t.values(3 + i)));
  const auto drawn = started(ga_direction::random, ga_scale::unit),
             again = started(ga_direction::random, ga_scale::unit);
  CHECK(drawn.a() == again.a());
  for (index_t i = 0; i < 3; ++i) {  // each is one of the six, the same for both, no two alike
    const linalg::vector share = (t.v.transpose() * drawn.a().transpose().col(i)).cwiseAbs();
    index_t which = 0;
    CHECK(share.maxCoeff(&which) == Approx(1));
    CHECK(drawn.b().col(i).norm() == Approx(t.values(which)));
  }
  CHECK(skew(drawn.a().transpose()) <= 1e-13);
}

TEST_CASE("LoRA-GA: misuse") {
  layer<float> l(6, 8, 2, 1);
  linalg::matrix g = normal_matrix(6, 8, 2), other = normal_matrix(8, 6, 2);
  const auto refused = [&](const linalg::matrix& gradient, site s, double gamma = 16) {
    CHECK_THROWS_AS(initialise(lora_ga{.gradient = gradient, .gamma = gamma}, l.w(), s, l.parameters),
                    std::invalid_argument);
    CHECK(l.now() == l.original());
  };
  refused(other, l.site);
  refused(g, l.site, 0);
  l.parameters.resize(200);
  refused(g, {"x", 6, 8, 4, 1.0});
  g(1, 2) = std::numeric_limits<double>::quiet_NaN();
  refused(g, l.site);
}
