// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/adamw.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/gradient/combine.hpp"
#include "hone/gradient/pcgrad.hpp"

#include "gradient/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::gradient;

namespace {
void naive(std::vector<double>& p, std::vector<double>& m, std::vector<double>& v, const std::vector<double>& g, int t,
           const adamw_options& o) {
  for (std::size_t i = 0; i < p.size(); ++i) {
    m[i] = o.beta1 * m[i] + (1 - o.beta1) * g[i];
    v[i] = o.beta2 * v[i] + (1 - o.beta2) * g[i] * g[i];
    const double first = m[i] / (1 - std::pow(o.beta1, t)), second = v[i] / (1 - std::pow(o.beta2, t));
    p[i] -= o.learning_rate * (first / (std::sqrt(second) + o.epsilon) + o.weight_decay * p[i]);
  }
}
}  // namespace

TEMPLATE_TEST_CASE("twenty steps against a naive AdamW", "", double, float) {
  using T = TestType;
  for (const adamw_options& options :
       {adamw_options{.learning_rate = 0.01, .weight_decay = 0.1},
        adamw_options{.learning_rate = 0.02, .beta1 = 0.8, .beta2 = 0.9, .epsilon = 0.25, .weight_decay = 0.3}}) {
    std::vector<double> p = normals<double>(5000, 9), m(5000), v(5000);
    std::vector<T> tp = narrowed<T>(p), tm(5000), tv(5000);
    for (int t = 1; t <= 20; ++t) {
      const auto g = normals<double>(5000, static_cast<std::uint32_t>(t));
      naive(p, m, v, g, t, options);
      adamw(tp, tm, tv, t, options)(0, narrowed<T>(g));
    }
    CHECK(near<T>(tp, p));
    CHECK(near<T>(tm, m));
    CHECK(near<T>(tv, v));
  }
}

TEST_CASE("after combine AdamW gives the bits of combining first and stepping after, on any executor") {
  thread_pool pool(3);
  const auto f = normals<float>(30001, 1), r = normals<float>(30001, 2), start = normals<float>(30001, 3);
  const std::vector<index_t> groups = {0, 100, 20000, 30001};
  std::vector<float> g(f.size()), p1 = start, m1(f.size()), v1(f.size()), p2 = start, m2(f.size()), v2(f.size());
  for (index_t t = 1; t <= 3; ++t) {
    combine(pcgrad{}, tasks(f, r), g, {.groups = groups});
    adamw(p1, m1, v1, t)(0, g);
    combine(pcgrad{}, tasks(f, r), adamw(p2, m2, v2, t), {.groups = groups}, pool);
  }
  CHECK(p1 == p2);
  CHECK(m1 == m2);
  CHECK(v1 == v2);
}

TEST_CASE("a first step moves every parameter by the learning rate, and zero gradients only decay") {
  std::vector<double> p = {1, 1, 1}, m(3), v(3);
  adamw(p, m, v, 1, {.learning_rate = 0.1, .epsilon = 1e-12, .weight_decay = 0.5})(0, std::vector<double>{5, -1e-3, 0});
  CHECK(p[0] == Approx(1 - 0.1 - 0.05));
  CHECK(p[1] == Approx(1 + 0.1 - 0.05));
  CHECK(p[2] == Approx(1 - 0.05));
}

TEST_CASE("sizes, step numbers and options out of range are refused") {
  std::vector<float> p(3), m(3), v(4);
  CHECK_THROWS_WITH(adamw(p, m, v, 1), "hone::gradient::adamw: v: has 4 elements, p has 3");
  CHECK_THROWS_WITH(adamw(p, v, m, 1), "hone::gradient::adamw: m: has 4 elements, p has 3");
  std::vector<float> w(3);
  CHECK_THROWS_WITH(adamw(p, m, w, 0), Catch::Contains("t: steps are counted from 1, is 0"));
  const auto refuses = [&](const adamw_options& options, const std::string& name) {
    CHECK_THROWS_WITH(adamw(p, m, w, 1, options), Catch::StartsWith("hone::gradient::adamw: " + name + ": must be"));
  };
  const double inf = INFINITY;
  for (const double bad : {-1e-9, 1e300, inf, double(NAN)}) {
    refuses({.learning_rate = bad}, "learning_rate");
    refuses({.weight_decay = bad}, "weight_decay");
  }
  for (const double bad : {-1e-9, 1.0, double(NAN)}) {
    refuses({.beta1 = bad}, "beta1");
    refuses({.beta2 = bad}, "beta2");
  }
  for (const double bad : {0.0, -1e-9, 1e-60, 1e300, inf, double(NAN)}) refuses({.epsilon = bad}, "epsilon");
  CHECK_NOTHROW(adamw(p, m, w, 1, {.learning_rate = 0, .beta1 = 0, .beta2 = 0, .epsilon = 1e-30, .weight_decay = 0}));
  CHECK_NOTHROW(adamw(p, m, w, 1, {.learning_rate = 9e299, .beta1 = 0.9999, .beta2 = 0.9999, .weight_decay = 9e299}));
}
