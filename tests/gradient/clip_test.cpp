// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/clip.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/gradient/graddrop.hpp"
#include "hone/gradient/gradvac.hpp"
#include "hone/gradient/mgda.hpp"
#include "hone/gradient/upgrad.hpp"

#include "gradient/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::gradient;

TEMPLATE_TEST_CASE("clipping inside the pass is clipping after it", "", double, float) {
  using T = TestType;
  const family<T, 3> f(9001, 1, 1);
  std::vector<T> plain(9001), inside(9001);
  combine(upgrad<3>{}, f.tasks(), plain);
  const double norm = std::sqrt(squared_norm(plain));
  for (const double share : {0.0, 0.1, 0.999, 1.001, 50.0}) {
    combine(clipped<upgrad<3>>{.method = {}, .max_norm = share * norm}, f.tasks(), inside);
    std::vector<double> expected;
    for (const T x : plain) expected.push_back(static_cast<double>(x) * (std::min)(1.0, share));
    CHECK(near<T>(inside, expected));
    CHECK(std::sqrt(squared_norm(inside)) <= share * norm * (1 + 1e-6));
  }
}

TEST_CASE("the clipping factor at its ends, and a norm that is none") {
  CHECK(clip_factor(4, 1) == 0.5);
  CHECK(clip_factor(4, 2) == 1);
  CHECK(clip_factor(0, 0) == 1);
  CHECK(clip_factor(4, 0) == 0);
  CHECK(clip_factor(4, INFINITY) == 1);
  CHECK(clip_factor(INFINITY, 1) == 1);
  CHECK(clip_factor(NAN, 1) == 1);
  CHECK(clip_factor(-1e-20, 1) == 1);  // a square, rounded
  for (const double none : {-1.0, -1e-300, double(NAN), -double(INFINITY)})
    CHECK_THROWS_WITH(clip_factor(4, none), Catch::Contains("max_norm"));
}

TEST_CASE("groups are clipped one by one; a state advances once") {
  const auto f = normals<double>(500, 1), r = normals<double>(500, 2);
  const std::vector<index_t> groups = {0, 100, 500};
  std::vector<double> out(500), plain(500);
  combine(clipped<pcgrad>{.method = {}, .max_norm = 2}, tasks(f, r), out, {.groups = groups});
  CHECK(std::sqrt(squared_norm(as_vector(out).subvector(0, 100))) == Approx(2));
  CHECK(std::sqrt(squared_norm(as_vector(out).subvector(100, 400))) == Approx(2));
  std::vector<gradvac_state<2>> a(2), b(2);
  combine(clipped<gradvac<2>>{.method = {.state = a}, .max_norm = 1e9}, tasks(f, r), out, {.groups = groups});
  combine(gradvac<2>{.state = b}, tasks(f, r), plain, {.groups = groups});
  CHECK(out == plain);
  CHECK(a[1].target == b[1].target);
}

TEST_CASE("the norm of what combine would make, for any kind of method, groups and executor; then a scaled step") {
  thread_pool pool(3);
  const auto f = normals<double>(9001, 1), r = normals<double>(9001, 2);
  const auto g = tasks(f, r);
  const std::vector<index_t> groups = {0, 100, 100, 9001};
  std::vector<double> out(9001);
  const auto check = [&](const auto& method) {
    combine(method, g, out, {.groups = groups});
    const double squared = combined_squared_norm(method, g, {.groups = groups});
    CHECK(squared == Approx(squared_norm(out)).epsilon(1e-12));
    CHECK(squared == combined_squared_norm(method, g, {.groups = groups}, pool));
    const std::vector<double> plain = out;
    const double factor = clip_factor(squared, 3);
    combine(scaled<std::remove_cvref_t<decltype(method)>>{method, factor}, g, out, {.groups = groups}, pool);
    CHECK(std::sqrt(squared_norm(out)) == Approx(3));
    for (std::size_t e = 0; e < out.size(); ++e) REQUIRE(out[e] == Approx(plain[e] * factor).margin(1e-15));
  };
  check(sago{.retain = 2});
  check(graddrop<2>{.seed = 3});
  check(pcgrad{});
  check(mgda{});
}

TEST_CASE("a fallback remains one when it is clipped or scaled") {
  struct unsolved {
    static void check() {}
    [[nodiscard]] solved_weights<2> weights(const gram_matrix<2>&) const { return {{1, 1}, false}; }
  };
  const std::vector<double> f = {1, 2}, r = {2, 1};
  std::vector<double> out(2);
  CHECK(combine(clipped<unsolved>{.method = {}, .max_norm = 1}, tasks(f, r), out).unconverged == 1);
  CHECK(combine(scaled<unsolved>{.method = {}, .factor = 2}, tasks(f, r), out).unconverged == 1);
}

TEST_CASE("factors: short, long, zero and non-finite gradients") {
  CHECK(clip_factor(4, 1) == 0.5);
  CHECK(clip_factor(4, 2) == 1);
  CHECK(clip_factor(0, 0) == 1);
  CHECK(clip_factor(4, 0) == 0);
  CHECK(clip_factor(std::nan(""), 1) == 1);
  CHECK(clip_factor(std::numeric_limits<double>::infinity(), 1) == 1);
  std::vector<double> x(1);
  CHECK_THROWS_AS(combine(clipped<mgda>{.method = {}, .max_norm = -1}, tasks(x, x), x), std::invalid_argument);
  CHECK_THROWS_AS(combine(scaled<sago>{.method = {}, .factor = -1}, tasks(x, x), x), std::invalid_argument);
  CHECK_THROWS_AS(combine(scaled<sago>{.method = {.retain = -1}}, tasks(x, x), x), std::invalid_argument);
  for_each_k([](auto k) { check_robust<k()>(clipped<mgda>{.method = {}, .max_norm = 1e200}); });
}

TEST_CASE("clipped and scaled ask their method, and scale each weight of each group") {
  std::vector<gradvac_state<2>> state(2);
  const clipped<gradvac<2>> grouped{.method = {.state = state, .beta = 2}, .max_norm = 1};
  CHECK_THROWS_WITH(grouped.check(2), Catch::Contains("beta"));
  CHECK_THROWS_WITH((clipped<gradvac<2>>{.method = {.state = state}}.check(3)), Catch::Contains("is of 2 groups"));
  for (const double bad : {-1e-9, double(INFINITY), double(NAN)}) {
    CHECK_THROWS_WITH((clipped<gradvac<2>>{.method = {.state = state}, .max_norm = bad}.check(2)),
                      Catch::StartsWith("hone::gradient::clipped: max_norm"));
    CHECK_THROWS_WITH((clipped<pcgrad>{.method = {}, .max_norm = bad}.check()), Catch::Contains("clipped: max_norm"));
    CHECK_THROWS_WITH((scaled<pcgrad>{.method = {}, .factor = bad}.check()), Catch::Contains("scaled: factor"));
  }
  CHECK_THROWS_WITH((clipped<pcgrad>{.method = {.retain = -1}}.check()), Catch::Contains("pcgrad: retain"));
  CHECK_THROWS_WITH((scaled<pcgrad>{.method = {.forget = -1}}.check()), Catch::Contains("pcgrad: forget"));
  CHECK((clipped<pcgrad>{}.max_norm == 1 && scaled<pcgrad>{}.factor == 1));
  const gram_matrix<2> g{{{{4, 1}, {1, 9}}}};  // |f + r| = sqrt(15)
  const auto w = clipped<pcgrad>{.method = {}, .max_norm = 0.5}.weights(g);
  for (const double x : w) CHECK(x == Approx(0.5 / std::sqrt(15.0)).epsilon(1e-14));
  CHECK(scaled<pcgrad>{.method = {.retain = 3}, .factor = 2}.weights(g) == std::array<double, 2>{2, 6});
  const std::vector<double> x = {1, 2};
  CHECK_THROWS_WITH(combined_squared_norm(pcgrad{.retain = -1}, tasks(x, x)), Catch::Contains("retain"));
}
