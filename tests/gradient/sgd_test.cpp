// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/sgd.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/gradient/pcgrad.hpp"

#include "gradient/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::gradient;

TEMPLATE_TEST_CASE("ten steps against a naive SGD, plain, with momentum, with Nesterov", "", double, float) {
  using T = TestType;
  for (const sgd_options& o :
       {sgd_options{.learning_rate = .1}, sgd_options{.learning_rate = .1, .weight_decay = .1},
        sgd_options{.learning_rate = .1, .momentum = .9, .weight_decay = .01},
        sgd_options{.learning_rate = .1, .momentum = .8, .weight_decay = .01, .nesterov = true}}) {
    std::vector<double> p = normals<double>(5001, 9), m(5001);
    std::vector<T> tp = narrowed<T>(p), tm(5001);
    for (std::uint32_t t = 1; t <= 10; ++t) {
      const auto g = normals<double>(5001, t);
      for (std::size_t i = 0; i < p.size(); ++i) {
        const double d = g[i] + o.weight_decay * p[i];
        m[i] = o.momentum * m[i] + d;
        p[i] -= o.learning_rate * (o.nesterov ? d + o.momentum * m[i] : o.momentum > 0 ? m[i] : d);
      }
      if (o.momentum > 0)
        sgd(tp, tm, o)(0, narrowed<T>(g));
      else
        sgd(tp, o)(0, narrowed<T>(g));
    }
    CHECK(near<T>(tp, p));
    if (o.momentum > 0) CHECK(near<T>(tm, m));
  }
}

TEST_CASE("after combine SGD gives the bits of combining first and stepping after, on any executor") {
  thread_pool pool(3);
  const auto f = normals<float>(30001, 1), r = normals<float>(30001, 2), start = normals<float>(30001, 3);
  const std::vector<index_t> groups = {0, 100, 20000, 30001};
  const sgd_options options{.momentum = .9, .nesterov = true};
  std::vector<float> g(f.size()), p1 = start, m1(f.size()), p2 = start, m2(f.size());
  for (int t = 0; t < 3; ++t) {
    combine(pcgrad{}, tasks(f, r), g, {.groups = groups});
    sgd(p1, m1, options)(0, g);
    combine(pcgrad{}, tasks(f, r), sgd(p2, m2, options), {.groups = groups}, pool);
  }
  CHECK(p1 == p2);
  CHECK(m1 == m2);
}

TEST_CASE("SGD refuses sizes and options out of range") {
  std::vector<float> p(3), m(4);
  CHECK_THROWS_WITH(sgd(p, m, {.momentum = .9}), "hone::gradient::sgd: m: has 4 elements, p has 3");
  CHECK_NOTHROW(sgd(p, m));
  CHECK_THROWS_AS(sgd(p, {.momentum = .9}), std::invalid_argument);
  std::vector<float> v(3);
  const std::string name = "hone::gradient::sgd: ";
  for (const double bad : {-1e-9, 1e300, double(INFINITY), double(NAN)}) {
    CHECK_THROWS_WITH(sgd(p, {.learning_rate = bad}), Catch::StartsWith(name + "learning_rate: must be in"));
    CHECK_THROWS_WITH(sgd(p, {.weight_decay = bad}), Catch::StartsWith(name + "weight_decay: must be in"));
  }
  for (const double bad : {-1e-9, 1.0, double(NAN)})
    CHECK_THROWS_WITH(sgd(p, v, {.momentum = bad}), Catch::StartsWith(name + "momentum: must be in"));
  CHECK_THROWS_WITH(sgd(p, {.nesterov = true}), name + "nesterov: needs momentum above 0");
  CHECK_NOTHROW(sgd(p, v, {.learning_rate = 0, .momentum = 1e-9, .weight_decay = 0, .nesterov = true}));
  CHECK_NOTHROW(sgd(p, v, {.learning_rate = 9e299, .momentum = 0.9999999, .weight_decay = 9e299}));
}
