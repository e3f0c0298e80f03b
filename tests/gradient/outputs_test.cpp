// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Everything in gradient/ that writes memory, offered memory that nobody may write to.
#include "support/outputs.hpp"

#include "hone/gradient/adafactor.hpp"
#include "hone/gradient/adamw.hpp"
#include "hone/gradient/orthogonal.hpp"
#include "hone/gradient/pcgrad.hpp"
#include "hone/gradient/sgd.hpp"

#include "gradient/support.hpp"

using namespace hone;
using namespace hone::gradient;

TEMPLATE_TEST_CASE("a combination is not written where elements have no memory of their own", "", float, bfloat16) {
  using T = TestType;
  using view = vector_view<T>;
  const std::vector<T> f(4, T(1.0f)), r(4, T(-1.0f));
  check_refuses_vectors<T>(4, "hone::gradient::combine: out: ", [&](view x) { combine(sago{}, tasks(f, r), x); });
  check_refuses_vectors<T>(4, "hone::gradient::combine: out: ", [&](view x) { combine(pcgrad{}, tasks(f, r), x); });
  check_refuses_vectors<T>(
      4, "hone::gradient::weighted_sum: out: ", [&](view x) { weighted_sum(std::array{1.0, 1.0}, tasks(f, r), x); });
  // An input may repeat one number; written to, it is no longer an input.
  T two(2.0f);
  const view repeated(&two, 4, 0);
  CHECK_THROWS_AS(combine(sago{}, tasks(f, repeated), repeated), std::invalid_argument);
  CHECK(static_cast<float>(two) == 2);
  std::vector<T> out(4);
  combine(sago{}, tasks(f, repeated), out);
  CHECK(static_cast<float>(out[3]) == 1);
}

TEST_CASE("no optimiser takes parameters, moments or a copy without memory of their own") {
  using view = vector_view<float>;
  std::vector<float> p(6), m(6), v(6);
  std::vector<bfloat16> copy(6);
  check_refuses_vectors<float>(6, "hone::gradient::adamw: p: ", [&](view x) { adamw(x, m, v, 1); });
  check_refuses_vectors<float>(6, "hone::gradient::adamw: m: ", [&](view x) { adamw(p, x, v, 1); });
  check_refuses_vectors<float>(6, "hone::gradient::adamw: v: ", [&](view x) { adamw(p, m, x, 1); });
  check_refuses_vectors<float>(6, "hone::gradient::adamw: p: ", [&](view x) { adamw(with_copy(x, copy), m, v, 1); });
  check_refuses_vectors<bfloat16>(
      6, "hone::gradient::adamw: copy: ", [&](vector_view<bfloat16> x) { adamw(with_copy(p, x), m, v, 1); });
  check_refuses_vectors<float>(6, "hone::gradient::sgd: p: ", [&](view x) { sgd(x); });
  check_refuses_vectors<float>(6, "hone::gradient::sgd: m: ", [&](view x) { sgd(p, x, {.momentum = .5}); });
  check_refuses_vectors<bfloat16>(
      6, "hone::gradient::sgd: copy: ", [&](vector_view<bfloat16> x) { sgd(with_copy(p, x)); });

  std::vector<float> row(2), col(3), g(6, 1.0f);
  const matrix_view<float> matrix(p.data(), 2, 3);
  const auto pass = [&](index_t begin, index_t count, auto&& sink) {
    weighted_sum(std::array{1.0}, tasks(g).slice(begin, count), sink);
  };
  check_refuses_matrices<float>(
      2, 3, "hone::gradient::adafactor: p: ", [&](matrix_view<float> x) { adafactor(x, row, col, 1, pass); });
  check_refuses_matrices<bfloat16>(2, 3, "hone::gradient::adafactor: copy: ", [&](matrix_view<bfloat16> x) {
    adafactor(with_copy(matrix, x), row, col, 1, pass);
  });
  check_refuses_vectors<float>(2,
                               "hone::gradient::adafactor: row: ", [&](view x) { adafactor(matrix, x, col, 1, pass); });
  check_refuses_vectors<float>(3,
                               "hone::gradient::adafactor: col: ", [&](view x) { adafactor(matrix, row, x, 1, pass); });
  CHECK(p == std::vector<float>(6));
  CHECK(row == std::vector<float>(2));
}

TEST_CASE("a sink that knows its size takes no gradients of another; a block beyond it is refused too") {
  std::vector<float> p(5), m(5), v(5);
  const std::vector<float> f(4, 1.0f), r(4, -1.0f);
  CHECK_THROWS_WITH(combine(pcgrad{}, tasks(f, r), adamw(p, m, v, 1)),
                    "hone::gradient::combine: out: takes 5 elements, the gradients have 4");
  CHECK_THROWS_WITH(combine(sago{}, tasks(f, r), sgd(p)),
                    "hone::gradient::combine: out: takes 5 elements, the gradients have 4");
  CHECK_THROWS_WITH(weighted_sum(std::array{1.0, 1.0}, tasks(f, r), sgd(p)),
                    "hone::gradient::weighted_sum: out: takes 5 elements, the gradients have 4");
  CHECK_THROWS_WITH(adamw(p, m, v, 1)(2, f), "hone::gradient::adamw: g: holds elements 2 to 6, p has 5");
  CHECK_THROWS_AS(sgd(p)(-1, f), std::invalid_argument);
  CHECK_THROWS_AS(sgd(p)(6, std::vector<float>()), std::invalid_argument);
  CHECK(p == std::vector<float>(5));
  CHECK_NOTHROW(sgd(p)(5, std::vector<float>()));
  sgd(p, {.learning_rate = 1})(1, f);
  CHECK(p == std::vector<float>{0, -1, -1, -1, -1});
}

TEST_CASE("a basis and what is projected have memory of their own") {
  check_refuses_matrices<float>(
      2, 3, "hone::gradient::orthonormalise: basis: ", [](matrix_view<float> x) { orthonormalise(x); });
  const std::vector<float> basis = {1, 0, 0};
  check_refuses_vectors<float>(3, "hone::gradient::project_out: x: ", [&](vector_view<float> x) {
    project_out(x, matrix_view<const float>(basis.data(), 1, 3), 1);
  });
}
