// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/linalg/objective.hpp"
#include "hone/linalg/detail/ball.hpp"

#include "linalg/objectives.hpp"
#include "support/catch.hpp"

using namespace hone::linalg;
using namespace objectives;

namespace {
struct returns_float {
  float operator()(point, output) const { return 0; }
};
struct no_gradient {
  double operator()(point) const { return 0; }
};
struct writes_x {
  double operator()(output, output) const { return 0; }
};
}  // namespace

TEST_CASE("what is an objective") {
  static_assert(smooth_objective<rosenbrock> && curved_objective<rosenbrock>);
  static_assert(smooth_objective<without_hessian<rosenbrock>> && !curved_objective<without_hessian<rosenbrock>>);
  static_assert(smooth_objective<double (*)(point, output)> && smooth_objective<const rosenbrock&>);
  static_assert(!smooth_objective<returns_float> && !smooth_objective<no_gradient> && !smooth_objective<writes_x>);
  const minimum m;
  CHECK(m.certificate == infinite);  // nothing is certified that was not seen
  CHECK(!m.converged);
}

TEST_CASE("lengths whose squares overflow or vanish") {
  for (const double unit : {1.0, 1e-320, 1e-300, 1e-160, 1e160, 1e300, 1e308}) {
    const std::vector<double> x{0.6 * unit, -0.8 * unit};
    CHECK(detail::norm(x) / unit == Approx(1).epsilon(unit < 1e-310 ? 1e-3 : 1e-15));
  }
  CHECK(detail::norm(std::vector<double>{}) == 0);
  CHECK(detail::norm(std::vector<double>{0, 0}) == 0);
  CHECK(detail::norm(std::vector<double>{-infinite, 0}) == infinite);
  CHECK(detail::norm(std::vector<double>{not_a_number, 0}) == infinite);
  CHECK(detail::norm(2, std::vector<double>{1, 2}, -1, std::vector<double>{-1, 8}) == 5);
}

TEST_CASE("the nearest point of a ball, its normal, and the certificate") {
  for (const std::size_t n : {1u, 3u, 5000u})
    for (const double radius : {1e-3, 1.0, 1e5})
      for (const double share : {0.5, 1 - 1e-15, 1 + 1e-15, 3.0, 1e200}) {
        auto x = normals(n, 1);
        const double before = length(x);
        for (double& e : x) e *= share * radius / before;
        auto y = x;
        detail::project(y, radius);
        CHECK(detail::norm(y) <= radius);
        CHECK(detail::norm(y) >= (std::min)(share, 1.0) * radius * (1 - 1e-14));
        CHECK(distance(std::vector<double>{y[0] / length(y)}, std::vector<double>{x[0] / length(x)}) < 1e-15);
        CHECK(detail::on_sphere(y, radius) == (share != 0.5));
      }
  std::vector<double> x{3, 4};
  detail::project(x, infinite);
  CHECK(x == std::vector<double>{3, 4});
  CHECK(!detail::on_sphere(x, infinite));
  // -g points outside, along and inside the ball of radius 5
  CHECK(detail::residual(0, x, std::vector<double>{-6 + 4, -8 - 3}, 5) == Approx(5));
  CHECK(detail::multiplier(x, std::vector<double>{-6 + 4, -8 - 3}, 5) == Approx(2));
  CHECK(detail::residual(0, x, std::vector<double>{-4, 3}, 5) == Approx(5));
  CHECK(detail::residual(0, x, std::vector<double>{6, 8}, 5) == Approx(10));
  CHECK(detail::residual(0, x, std::vector<double>{-6, -8}, 5.001) == Approx(10));
  CHECK(detail::residual(not_a_number, x, std::vector<double>{0, 0}, 5) == infinite);
  CHECK(detail::residual(-infinite, x, std::vector<double>{0, 0}, 5) == infinite);
  CHECK(detail::residual(0, x, std::vector<double>{not_a_number, 0}, 5) == infinite);
}
