// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Inner products of gradients so small or so large that their squares leave the float's range, or the double's.
#include "hone/gradient/combine.hpp"
#include "hone/gradient/orthogonal.hpp"
#include "hone/gradient/pcgrad.hpp"
#include "hone/gradient/tasks.hpp"
#include "hone/gradient/upgrad.hpp"

#include "gradient/support.hpp"

using namespace hone;
using namespace hone::gradient;

namespace {

/// K gradients of n elements: normals times 2^exponent, the products of which are those of the normals times
/// 2^(2 exponent).
template <class T, std::size_t K>
void check_scaled(index_t n, int exponent) {
  CAPTURE(n, exponent, K, sizeof(T));
  std::array<std::vector<T>, K> g;
  task_gradients<T, K> tasks;
  for (std::size_t k = 0; k < K; ++k) {
    g[k] = normals<T>(n, static_cast<std::uint32_t>(k) + 1);
    for (T& x : g[k]) x = from_accumulator<T>(std::ldexp(to_accumulator(x), exponent));
    tasks.task[k] = as_vector(g[k]);
  }
  const gram_matrix<K> products = gram(tasks);
  for (std::size_t a = 0; a < K; ++a)
    for (std::size_t b = 0; b < K; ++b) {
      double expected = 0, size = 0;
      for (std::size_t i = 0; i < g[a].size(); ++i) {
        const double product =
            static_cast<double>(to_accumulator(g[a][i])) * static_cast<double>(to_accumulator(g[b][i]));
        expected += product;
        size += std::abs(product);
      }
      if (!(std::abs(products(a, b) - expected) <= 1e-6 * size)) FAIL(products(a, b) << " for " << expected);
    }
}

}  // namespace

TEST_CASE("products of tiny and huge gradients are those of ordinary ones, scaled") {
  // bfloat16 has the float's range; its products are summed in float where nothing is lost by that, as are those of
  // more than four float gradients.
  for (const index_t n : {1, 17, 1023, 1025, 4097, 8193})
    for (const int exponent : {-110, -84, -70, -60, -50, -47, -20, 0, 50, 56, 62, 100}) {
      check_scaled<bfloat16, 1>(n, exponent);
      check_scaled<bfloat16, 2>(n, exponent);
      check_scaled<bfloat16, 5>(n, exponent);
      check_scaled<float, 2>(n, exponent);
      check_scaled<float, 5>(n, exponent);
    }
  for (const index_t n : {33, 4097})
    for (const int exponent : {-14, -8, 0, 10}) check_scaled<float16, 3>(n, exponent);
}

TEST_CASE("one tiny gradient among ordinary ones keeps its products") {
  const auto f = normals<bfloat16>(5000, 1);
  std::vector<bfloat16> r = f;
  for (bfloat16& x : r) x = bfloat16(std::ldexp(static_cast<float>(x), -80));
  const auto products = gram(tasks(f, r));
  CHECK(products(0, 1) == Approx(std::ldexp(products(0, 0), -80)).epsilon(1e-6));
  CHECK(products(1, 1) == Approx(std::ldexp(products(0, 0), -160)).epsilon(1e-6));
}

TEST_CASE("products below the normal numbers are nothing to solve") {
  gram_matrix<2> g;
  g.value = {{{1e-310, -1e-310}, {-1e-310, 1e-310}}};
  CHECK_FALSE(gradient::detail::solvable(g));
  g.value = {{{1e-300, 0}, {0, 1e-310}}};
  CHECK(gradient::detail::solvable(g));
}

TEST_CASE("a weight below the float's normal numbers takes the conflict out, as one above them does") {
  const auto check = [](auto zero, const auto& method, double scale) {
    using T = decltype(zero);
    CAPTURE(scale, sizeof(T));
    // f - <f, r> / <r, r> r: the weight of r is -2.5e-17 / 1e30 at scale 1e-16, nothing in float.
    const auto at = [](double x) { return from_accumulator<T>(static_cast<float>(x)); };
    const std::vector<T> forget{at(-scale), at(scale / 2)}, retain{at(1e30), at(1e30)};
    std::vector<T> out(2);
    const auto report = combine(method, tasks(forget, retain), out);
    const double a = static_cast<double>(to_accumulator(out[0])), b = static_cast<double>(to_accumulator(out[1]));
    CHECK(a == Approx(-0.75 * scale).epsilon(sizeof(T) == 2 ? 1e-2 : 1e-6));
    CHECK(b == Approx(0.75 * scale).epsilon(sizeof(T) == 2 ? 1e-2 : 1e-6));
    CHECK(report.nonfinite_combined == 0);
  };
  for (const double scale : {1e-7, 1e-10, 1e-14, 1e-16, 1e-20}) {
    check(float{}, pcgrad{.retain = 0}, scale);
    check(float{}, a_gem{}, scale);
    check(float{}, gem{}, scale);
    check(float{}, retain_orthogonal{}, scale);
    check(bfloat16{}, a_gem{}, scale);
  }
}
