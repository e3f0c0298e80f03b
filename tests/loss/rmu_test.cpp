// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/loss/rmu.hpp"

#include "loss/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::loss;

TEMPLATE_TEST_CASE("RMU is the mean square over d, summed over the rows that count", "", double, float, bfloat16) {
  using T = TestType;
  const index_t rows = 4;
  for (const index_t d : {1, 16, 37}) {
    std::vector<T> u(static_cast<std::size_t>(d));
    steering_direction(u, philox{3});
    auto h = random_logits<T>(rows, d, 1), held = h, reference = random_logits<T>(rows, d, 2);
    const auto before = widened(h);
    const std::vector<std::int32_t> labels = {0, ignored, 1, 1};
    const double c = 2.5;
    const auto forget = rmu_forget(matrix_view<T>(h.data(), rows, d), labels, u, c, {.scale = 0.5});
    const std::vector<double> weights = {1, 1, -2, 0.5};
    const auto retain = rmu_retain(matrix_view<T>(held.data(), rows, d), matrix_view<T>(reference.data(), rows, d),
                                   labels, {.scale = 4, .weights = weights});
    double forget_sum = 0, retain_sum = 0;
    for (index_t t = 0; t < rows; ++t)
      for (index_t i = 0; i < d; ++i) {
        const auto k = static_cast<std::size_t>(t * d + i);
        const bool counts = labels[static_cast<std::size_t>(t)] >= 0;
        const double f = before[k] - c * from(u[static_cast<std::size_t>(i)]), r = before[k] - from(reference[k]);
        const double size = static_cast<double>(d);
        const double weight = weights[static_cast<std::size_t>(t)];
        if (counts) forget_sum += f * f / size, retain_sum += weight * r * r / size;
        REQUIRE(from(h[k]) == Approx(counts ? 0.5 * 2 * f / size : 0).epsilon(4 * rounding<T>).margin(rounding<T>));
        REQUIRE(from(held[k]) ==
                Approx(counts ? 4 * weight * 2 * r / size : 0).epsilon(4 * rounding<T>).margin(rounding<T>));
      }
    CHECK(forget.sum == Approx(forget_sum).epsilon(1e-5));
    CHECK(retain.sum == Approx(retain_sum).epsilon(1e-5));
    CHECK(forget.count == 3);
  }
}

TEST_CASE("the steering direction is a unit vector of non-negative numbers, the same for the same seed") {
  std::vector<double> u(64), again(64), other(64);
  steering_direction(u, philox{7});
  steering_direction(again, philox{7});
  steering_direction(other, philox{8});
  double squares = 0;
  for (const double x : u) {
    CHECK(x >= 0);
    squares += x * x;
  }
  CHECK(squares == Approx(1).epsilon(1e-14));
  CHECK(u == again);
  CHECK(u != other);
}

TEST_CASE("RMU passes the gradient check and refuses what does not fit") {
  const auto h = random_logits<double>(2, 9, 3);
  std::vector<double> u(9), short_u(8);
  steering_direction(u, philox{1});
  const matrix_view<const double> h_view(h.data(), 2, 9);
  auto gradient = h;
  rmu_forget(matrix_view<double>(gradient.data(), 2, 9), {}, u, 3);
  CHECK(gradient_error(h, gradient, [&](std::vector<double> x) {
          return rmu_forget(matrix_view<double>(x.data(), 2, 9), {}, u, 3).sum;
        }) < 1e-8);
  CHECK_THROWS_WITH(rmu_forget(matrix_view<double>(gradient.data(), 2, 9), {}, short_u, 3), Catch::Contains("u"));
  CHECK_THROWS_WITH(rmu_forget(matrix_view<double>(gradient.data(), 2, 9), {}, u, std::nan("")), Catch::Contains("c"));
  CHECK_THROWS_WITH(
      rmu_retain(matrix_view<double>(gradient.data(), 2, 9), matrix_view<double>(gradient.data(), 1, 9), {}),
      Catch::Contains("reference"));
  std::vector<double> longer(27);
  CHECK_THROWS_WITH(
      rmu_retain(matrix_view<double>(gradient.data(), 2, 9), matrix_view<double>(longer.data(), 3, 9), {}),
      Catch::Contains("reference"));
  const auto whole = gradient;
  const matrix_view<double> own(gradient.data(), 2, 9);
  const std::vector<std::int32_t> one = {1};
  std::vector<double> wide(20);
  for (const double c : {1e300, -1e300, double(INFINITY)})
    CHECK_THROWS_WITH(rmu_forget(own, {}, u, c), Catch::StartsWith("hone::loss::rmu_forget: c: must be finite"));
  CHECK_THROWS_WITH(rmu_forget(own, one, u, 1), Catch::Contains("targets: has 1 labels"));
  CHECK_THROWS_WITH(rmu_forget(own, {}, u, 1, {.scale = std::nan("")}), Catch::Contains("scale"));
  CHECK_THROWS_WITH(rmu_retain(own, h_view, one), Catch::Contains("targets: has 1 labels"));
  CHECK_THROWS_WITH(rmu_retain(own, h_view, {}, {.scale = std::nan("")}), Catch::Contains("scale"));
  CHECK_THROWS_WITH(rmu_retain(own, matrix_view<double>(wide.data(), 2, 10), {}),
                    "hone::loss::rmu_retain: reference: is 2 x 10, h is 2 x 9");
  CHECK(gradient == whole);
  std::vector<double> none;
  CHECK_THROWS_WITH(steering_direction(none, philox{1}), Catch::Contains("empty"));
}
