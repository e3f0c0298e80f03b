// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/swiglu.hpp"

#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

TEMPLATE_TEST_CASE("swiglu is its formula, also in place and far from zero", "", double, float) {
  using T = TestType;
  auto a = normals<T>(50, 1, 3), b = normals<T>(50, 2);
  a[0] = 200, a[1] = -200, a[2] = 0;
  std::vector<T> s(50);
  swiglu_forward<T>(as_vector(a), as_vector(b), as_vector(s));
  for (std::size_t i = 0; i < s.size(); ++i) {
    const double x = static_cast<double>(a[i]);
    CHECK(static_cast<double>(s[i]) ==
          Approx(x / (1 + std::exp(-x)) * static_cast<double>(b[i])).epsilon(1e-6).margin(1e-30));
  }
  swiglu_forward<T>(as_vector(a), as_vector(b), as_vector(a));
  CHECK(a == s);
}

TEST_CASE("swiglu passes the gradient check, also into the memory of the gradient that it reads") {
  const auto a = normals<double>(21, 3, 2), b = normals<double>(21, 4), slope = normals<double>(21, 5);
  std::vector<double> da(21), db(21), same_da(21), same_db = slope;
  swiglu_backward<double>(as_vector(a), as_vector(b), as_vector(slope), as_vector(da), as_vector(db));
  swiglu_backward<double>(as_vector(a), as_vector(b), as_vector(same_db), as_vector(same_da), as_vector(same_db));
  CHECK((same_da == da && same_db == db));
  const auto loss = [&](const std::vector<double>& as, const std::vector<double>& bs) {
    std::vector<double> out(21);
    swiglu_forward<double>(as_vector(as), as_vector(bs), as_vector(out));
    double sum = 0;
    for (std::size_t i = 0; i < out.size(); ++i) sum += out[i] * slope[i];
    return sum;
  };
  CHECK(gradient_error(a, da, [&](const auto& v) { return loss(v, b); }) < 1e-8);
  CHECK(gradient_error(b, db, [&](const auto& v) { return loss(a, v); }) < 1e-8);
}
