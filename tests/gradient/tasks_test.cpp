// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/tasks.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/gradient/combine.hpp"

#include "gradient/support.hpp"
#include "support/catch.hpp"
#include "support/sizes.hpp"

using namespace hone;
using namespace hone::gradient;

TEMPLATE_TEST_CASE("Gram matrix and combination against naive ones, for any number of tasks", "", float, double,
                   bfloat16) {
  using T = TestType;
  for_each_k([](auto k) {
    constexpr std::size_t K = k();
    for (const index_t n : {index_t{0}, index_t{1}, block_size + 1}) {
      const family<T, K> f(n, 3, 0.5);
      const auto expected = f.gram(), result = gram(f.tasks());
      std::array<double, K> w;
      for (std::size_t i = 0; i < K; ++i) {
        w[i] = 1 / static_cast<double>(i + 1);
        for (std::size_t j = 0; j < K; ++j)
          CHECK(result(i, j) == Approx(expected(i, j)).margin(1e-6 * std::sqrt(expected(i, i) * expected(j, j))));
      }
      std::vector<T> out(static_cast<std::size_t>(n));
      weighted_sum(w, f.tasks(), out);
      CHECK(near<T>(out, f.weighted(w)));
    }
  });
}

TEMPLATE_TEST_CASE("the Gram matrix has the same bits on every executor, at block borders", "", float, double,
                   bfloat16) {
  using T = TestType;
  thread_pool two(2), seven(7);
  for (const index_t n : {index_t{0}, index_t{1}, block_size - 1, block_size, block_size + 1, 9 * block_size + 5}) {
    const family<T, 3> f(n, 1);
    const auto result = gram(f.tasks()), expected = f.gram();
    CHECK(result.value == gram(f.tasks(), two).value);
    CHECK(result.value == gram(f.tasks(), seven).value);
    for (std::size_t i = 0; i < 3; ++i)
      for (std::size_t j = 0; j < 3; ++j) CHECK(result(i, j) == Approx(expected(i, j)).margin(1e-9));
  }
}

TEMPLATE_TEST_CASE("products of nearly dependent gradients are summed in double, whatever the number of tasks", "",
                   float, bfloat16) {
  using T = TestType;
  thread_pool two(2);
  for (const index_t n : {index_t{1000}, 3 * block_size + 7})
    for (const double apart : {0.0, 1e-3, 0.1, 1.0}) {
      family<T, 5> f(n, 2);
      for (std::size_t e = 0; e < f.g[4].size(); ++e)
        f.g[4][e] = from_accumulator<T>(0.3f * to_accumulator(f.g[0][e]) +
                                        static_cast<float>(apart) * to_accumulator(f.g[4][e]));
      const auto expected = f.gram(), result = gram(f.tasks());
      const bool exact = apart < 0.1;
      CHECK(result.error == (exact ? 0x1p-43 : 0x1p-18));
      CHECK(result.tolerance() == Approx(exact ? 1e-12 : 5 * 0x1p-18));
      CHECK(result.value == gram(f.tasks(), two).value);
      double off = 0;
      for (std::size_t i = 0; i < 5; ++i)
        for (std::size_t j = 0; j < 5; ++j)
          off = (std::max)(off, std::abs(result(i, j) - expected(i, j)) / std::sqrt(expected(i, i) * expected(j, j)));
      CHECK(off <= (exact ? 1e-12 : 1e-6));
    }
}

TEMPLATE_TEST_CASE("products in float neither under- nor overflow, of gradients of any length", "", float, bfloat16) {
  using T = TestType;
  for (const float scale : {1e-25f, 1e-20f, 1e-16f, 1e16f, 1e20f, 1e25f}) {
    family<T, 5> f(2000, 4);
    for (auto& g : f.g)
      for (T& x : g) x = from_accumulator<T>(scale * to_accumulator(x));
    const auto expected = f.gram(), result = gram(f.tasks());
    for (std::size_t i = 0; i < 5; ++i)
      for (std::size_t j = 0; j < 5; ++j)
        CHECK(std::abs(result(i, j) - expected(i, j)) <= 1e-6 * std::sqrt(expected(i, i) * expected(j, j)));
  }
}

TEST_CASE("gradients of doubles whose squares are no normal numbers count as zero") {
  const std::vector<double> brief = {1e-157, -3e-157}, plain = {2, 1};
  const gram_matrix<2> g = gram(tasks(brief, plain));
  CHECK(g(0, 0) == 0);
  CHECK(g(0, 1) == 0);
  CHECK(g(1, 1) == 5);
  const std::vector<double> usable = {1e-153, 0};
  CHECK(gram(tasks(usable, plain))(0, 1) == Approx(2e-153));
}

TEST_CASE("products of no normal size are nothing to solve") {
  const gram_matrix<2> g{{{{2e-310, 1e-310}, {1e-310, 1e-310}}}};
  CHECK(!gradient::detail::solvable(g));
  CHECK(gradient::detail::solvable(gram_matrix<2>{{{{2e-300, 0}, {0, 0}}}}));
}

TEST_CASE("a gradient of no normal length in the accumulator's type counts as zero") {
  const std::vector<float> f = {.5f, -.5f}, tiny = {0, 1e-40f}, small = {0, 2e-38f};
  CHECK(gram(tasks(f, tiny)).value == linalg::square<2>{{{.5, 0}, {0, 0}}});
  CHECK(gram(tasks(f, small))(1, 1) == Approx(4e-76));
  const std::vector<double> fd(f.begin(), f.end()), tiny_d(tiny.begin(), tiny.end());
  CHECK(gram(tasks(fd, tiny_d))(0, 1) < 0);
}

TEST_CASE("the Gram matrix of the whole is the sum over its tensors") {
  const auto f = normals<double>(1000, 1), r = normals<double>(1000, 2);
  gram_matrix<2> total = gram(tasks(f, r).slice(0, 300));
  total += gram(tasks(f, r).slice(300, 700));
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 2; ++j) CHECK(total(i, j) == Approx(gram(tasks(f, r))(i, j)).epsilon(1e-12));
  gram_matrix<2> elsewhere;
  elsewhere.error = 1e-4;
  total += elsewhere;
  CHECK(total.error == 1e-4);
}

TEST_CASE("gradients have one size; a missing one is zeros in no memory") {
  const std::vector<float> f(3, 2.0f), r(4);
  CHECK_THROWS_WITH(tasks(f, r), "hone::gradient::tasks: rest: gradient 1 has 4 elements, gradient 0 has 3");
  const auto g = gram(tasks(f, zero_gradient<float>(3)));
  CHECK(g(0, 0) == 12);
  CHECK(g(0, 1) == 0);
  CHECK(g(1, 1) == 0);
}

TEST_CASE("a Gram matrix knows whether it is finite") {
  gram_matrix<2> g;
  CHECK(g.finite());
  g.value[1][0] = std::nan("");
  CHECK(!g.finite());
}

TEST_CASE("products with a combination, whose squared length rounding does not make negative") {
  const gram_matrix<2> g{{{{18, -22}, {-22, 38}}}};
  CHECK(g.dot(0, {0.6, 0.4}) == Approx(2));
  CHECK(g.squared_norm({0.6, 0.4}) == Approx(2));
  const gram_matrix<2> rounded{{{{1, -1 - 1e-15}, {-1 - 1e-15, 1}}}};
  CHECK(rounded.squared_norm({1, 1}) == 0);
}
