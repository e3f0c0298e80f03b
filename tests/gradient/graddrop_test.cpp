// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/graddrop.hpp"

#include "hone/core/thread_pool.hpp"

#include "gradient/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::gradient;

namespace {
double draw(std::uint64_t seed, std::uint64_t step, index_t element) {
  const auto e = static_cast<std::uint64_t>(element);
  const auto words = philox{seed, static_cast<std::uint32_t>(step)}.bits(e / 4, static_cast<std::uint32_t>(step >> 32));
  return static_cast<double>(words[e % 4] >> 8) * 0x1p-24;
}

struct steep {
  template <class A>
  simd::pack<A> operator()(const simd::pack<A>& p) const {
    return p * p * (simd::pack<A>(3) - (p + p));
  }
};
}  // namespace

TEMPLATE_TEST_CASE("GradDrop against its formula", "", double, float, bfloat16) {
  using T = TestType;
  const family<T, 3> f(5000, 1);
  const std::array<double, 3> leak = {0, .25, 1};
  std::vector<T> out(5000), curved(5000);
  const std::uint64_t step = (std::uint64_t{3} << 32) + 9;
  combine(graddrop<3>{.seed = 7, .step = step, .leak = leak, .first_element = 5}, f.tasks(), out);
  combine(graddrop<3, steep>{.seed = 7, .step = step, .leak = leak, .first_element = 5}, f.tasks(), curved);
  std::vector<double> expected, steeper;
  for (std::size_t e = 0; e < 5000; ++e) {
    accumulator_t<T> sum = 0, magnitude = 0;
    for (const auto& g : f.g) sum += to_accumulator(g[e]), magnitude += std::abs(to_accumulator(g[e]));
    const double purity = static_cast<double>(accumulator_t<T>(.5) + accumulator_t<T>(.5) * (sum / magnitude));
    const double u = draw(7, step, static_cast<index_t>(e) + 5);
    for (auto* result : {&expected, &steeper}) {
      const bool positive = u < (result == &expected ? purity : purity * purity * (3 - 2 * purity));
      double total = 0;
      for (std::size_t i = 0; i < 3; ++i) {
        const double x = static_cast<double>(to_accumulator(f.g[i][e]));
        total += x * (leak[i] + (1 - leak[i]) * (positive ? x > 0 : x < 0));
      }
      result->push_back(total);
    }
  }
  CHECK(near<T>(out, expected));
  CHECK(near<T>(curved, steeper));
}

TEST_CASE("executors, shards at any border and storage types draw alike") {
  thread_pool pool(3);
  const family<float, 2> f(20001, 2);
  const auto g = f.tasks();
  const graddrop<2> method{.seed = 1, .step = 4};
  std::vector<float> whole(20001), pooled(20001), parts(20001);
  combine(method, g, whole);
  combine(method, g, pooled, {}, pool);
  CHECK(whole == pooled);
  for (index_t begin = 0; begin < 20001; begin += 777) {
    const index_t count = (min)(index_t{777}, 20001 - begin);
    graddrop<2> shard = method;
    shard.first_element = begin;
    combine(shard, g.slice(begin, count), as_vector(parts).subvector(begin, count));
  }
  CHECK(whole == parts);
  std::vector<double> wide_out(20001);
  const std::vector<double> a(f.g[0].begin(), f.g[0].end()), b(f.g[1].begin(), f.g[1].end());
  combine(method, tasks(a, b), wide_out);
  std::size_t same = 0;
  for (std::size_t e = 0; e < whole.size(); ++e) same += (wide_out[e] > 0) == (whole[e] > 0) ? 1u : 0u;
  CHECK(same >= 20000);
}

TEST_CASE("one sign an element, the positive one with probability P; agreement stays whole; steps differ") {
  const std::vector<double> a(20000, 3.0), b(20000, -1.0);
  std::vector<double> out(20000), next(20000);
  combine(graddrop<2>{.seed = 5}, tasks(a, b), out);
  std::size_t positive = 0;
  for (const double x : out) {
    REQUIRE((x == 3 || x == -1));
    positive += x == 3 ? 1u : 0u;
  }
  CHECK(positive > 14700);  // 15000 expected, standard deviation 61
  CHECK(positive < 15300);
  combine(graddrop<2>{.seed = 5, .step = 1}, tasks(a, b), next);
  CHECK(next != out);
  combine(graddrop<2>{}, tasks(a, a), out);
  CHECK(out == std::vector<double>(20000, 6.0));
  combine(graddrop<2>{}, tasks(b, b), out);
  CHECK(out == std::vector<double>(20000, -2.0));
  combine(graddrop<2>{.leak = {1, 1}}, tasks(a, b), out);
  CHECK(out == std::vector<double>(20000, 2.0));
  const auto zero = zero_gradient<double>(20000);
  combine(graddrop<2>{}, tasks(zero, zero), out);
  CHECK(squared_norm(out) == 0);
  combine(graddrop<2>{}, tasks(zero, b), out);
  CHECK(out == b);
}

TEST_CASE("NaNs are not dropped, and a single task is itself") {
  const std::vector<double> a = {std::nan(""), 1}, b = {1, -2};
  std::vector<double> out(2);
  const auto report = combine(graddrop<2>{}, tasks(a, b), out);
  CHECK(std::isnan(out[0]));
  CHECK(report.nonfinite[0] == 1);
  combine(graddrop<1>{}, tasks(b), out);
  CHECK(out == b);
  for (const double bad : {-1e-9, 1.0000001, double(NAN)})
    for (const auto& leak : {std::array{bad, 1.0}, std::array{0.0, bad}})
      CHECK_THROWS_WITH(combine(graddrop<2>{.leak = leak}, tasks(a, b), out),
                        Catch::StartsWith("hone::gradient::graddrop: leak: must be in [0, 1]"));
  CHECK_THROWS_WITH(combine(graddrop<2>{.first_element = -1}, tasks(a, b), out),
                    "hone::gradient::graddrop: first_element: is negative, -1");
  CHECK_NOTHROW(combine(graddrop<2>{.leak = {0, 1}, .first_element = 0}, tasks(a, b), out));
}

TEST_CASE("draws differ by seed, by both halves of a step, and by element") {
  const std::vector<double> a(4000, 1.0), b(4000, -1.0);
  const auto of = [&](const graddrop<2>& method) {
    std::vector<double> out(4000);
    combine(method, tasks(a, b), out);
    return out;
  };
  const auto plain = of({.seed = 5, .step = 7});
  for (const auto& other :
       {graddrop<2>{.seed = 6, .step = 7}, graddrop<2>{.seed = std::uint64_t{5} | 1ull << 32, .step = 7},
        graddrop<2>{.seed = 5, .step = 8}, graddrop<2>{.seed = 5, .step = 7 + (1ull << 32)},
        graddrop<2>{.seed = 5, .step = 7, .first_element = 1}}) {
    std::size_t same = 0;
    const auto drawn = of(other);
    for (std::size_t e = 0; e < 4000; ++e) same += drawn[e] == plain[e] ? 1u : 0u;
    CHECK((same > 1700 && same < 2300));
  }
}
