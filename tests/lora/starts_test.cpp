// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/lora/starts.hpp"

#include "lora/support.hpp"

using namespace hone;
using namespace hone::lora;

TEST_CASE("standard LoRA: A uniform within 1 / sqrt(inputs), B zero, addressed by seed and stream") {
  layer<float> l(20, 400, 8, 2);
  initialise(standard{{.seed = 3, .stream = 1}}, l.w(), l.site, l.parameters);
  CHECK(l.b().isZero());
  CHECK(l.now() == l.original());
  const linalg::matrix a = l.a();
  CHECK(largest(a) <= 0.05);
  CHECK(largest(a) > 0.0499);
  CHECK(std::abs(a.mean()) <= 0.05 * 4 / std::sqrt(3.0 * 3200));
  CHECK(a.array().square().mean() == Approx(0.05 * 0.05 / 3).epsilon(0.1));
  layer<float> same(20, 400, 8, 2), other(20, 400, 8, 2);
  initialise(standard{{.seed = 3, .stream = 1}}, same.w(), same.site, same.parameters);
  initialise(standard{{.seed = 3, .stream = 2}}, other.w(), other.site, other.parameters);
  CHECK(same.a() == a);
  CHECK(other.a() != a);
}

TEST_CASE("Gaussian LoRA: A of standard deviation 1 / rank, B zero") {
  layer<float> l(20, 400, 8, 2);
  initialise(gaussian{}, l.w(), l.site, l.parameters);
  CHECK(l.b().isZero());
  CHECK(std::sqrt(l.a().array().square().mean()) == Approx(1.0 / 8).epsilon(0.05));
  CHECK(std::abs(l.a().mean()) <= 4.0 / 8 / std::sqrt(3200.0));
}

TEST_CASE("orthogonal halves: neither factor is zero, their product is; odd ranks are refused") {
  layer<double> l(20, 30, 6, 2);
  initialise(orthogonal_halves{}, l.w(), l.site, l.parameters);
  CHECK(largest(l.a()) > 0.05);
  CHECK(largest(l.b()) > 0.05);
  CHECK(largest(l.b() * l.a()) <= 1e-16);
  CHECK(l.now() == l.original());
  // Rows of the halves are orthonormal: A^T A of 1/100 X X^T, which has rank 3.
  CHECK(linalg::orthonormal_part(linalg::matrix(), l.a().transpose(), 1e-9).cols() == 3);
  CHECK(linalg::orthonormal_part(linalg::matrix(), l.b(), 1e-9).cols() == 3);
  CHECK(l.a().squaredNorm() == Approx(3 * 30 / 100.0).epsilon(0.3));
  layer<double> odd(20, 30, 5, 2);
  CHECK_THROWS_WITH(initialise(orthogonal_halves{}, odd.w(), odd.site, odd.parameters),
                    Catch::Contains("must be even"));
}
