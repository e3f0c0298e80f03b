// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/lora/subspace.hpp"

#include "lora/support.hpp"

using namespace hone;
using namespace hone::lora;

TEST_CASE("energy shares of samples and of their moments, by the traces") {
  const linalg::matrix x = normal_matrix(60, 12, 1), q = random_frame(12, 4, 2), c = x.transpose() * x;
  const double expected = (q.transpose() * c * q).trace() / c.trace();
  CHECK(energy_share(q, linalg::view(x)) == Approx(expected));
  linalg::second_moments<double> moments(12);
  moments.add(linalg::view(x));
  CHECK(energy_share(q, moments) == Approx(expected));
  CHECK(energy_share(random_frame(12, 12, 3), linalg::view(x)) == Approx(1));
  CHECK(energy_share(linalg::matrix(12, 0), linalg::view(x)) == 0);
  CHECK(energy_share(q, linalg::view(linalg::matrix(linalg::matrix::Zero(3, 12)))) == 0);
  CHECK_THROWS_AS(energy_share(q, linalg::view(linalg::matrix(linalg::matrix::Zero(3, 11)))), std::invalid_argument);
  CHECK_THROWS_AS(energy_share(random_frame(11, 2, 4), moments), std::invalid_argument);
}

TEST_CASE("the overlap of an adapter with a retain basis: 0, 1, and half way") {
  layer<float> l(8, 5, 2, 2);
  linalg::matrix basis = linalg::matrix::Identity(8, 3);
  const auto set_b = [&](index_t row, float value) {
    for (index_t i = 0; i < 8; ++i)
      for (index_t k = 0; k < 2; ++k) l.site.b(l.parameters.data())(i, k) = i == row + k ? value : 0;
  };
  set_b(0, 3);
  CHECK(retain_overlap(l.site, l.parameters, linalg::view(basis)) == 1);
  set_b(4, 3);
  CHECK(retain_overlap(l.site, l.parameters, linalg::view(basis)) == 0);
  set_b(2, 0.001f);
  CHECK(retain_overlap(l.site, l.parameters, linalg::view(basis)) == Approx(0.5));
  set_b(0, 0);
  CHECK(retain_overlap(l.site, l.parameters, linalg::view(basis)) == 0);
  CHECK_THROWS_AS(retain_overlap(l.site, l.parameters, linalg::view(linalg::matrix(linalg::matrix::Identity(7, 3)))),
                  std::invalid_argument);
}
