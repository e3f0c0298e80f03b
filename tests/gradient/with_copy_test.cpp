// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/with_copy.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/gradient/adafactor.hpp"
#include "hone/gradient/adamw.hpp"
#include "hone/gradient/pcgrad.hpp"
#include "hone/gradient/sgd.hpp"
#include "hone/interop/eigen.hpp"

#include "gradient/support.hpp"

using namespace hone;
using namespace hone::gradient;

namespace {

template <class C>
bool is_rounded(const std::vector<C>& copy, const std::vector<float>& master) {
  for (std::size_t i = 0; i < master.size(); ++i)
    if (copy[i].bits != C(master[i]).bits) return false;
  return copy.size() == master.size();
}

/// float16 and bfloat16 of what has no place in them: the largest, the smallest, neither.
std::vector<float> parameters(index_t n) {
  std::vector<float> p = normals<float>(n, 3);
  const float extremes[] = {0.0f, -0.0f, 65504.0f, 65520.0f, 1e-7f, -6e-8f, 1e-41f, 3e38f, 1.00390625f, 1.01171875f};
  for (std::size_t i = 0; i < std::size(extremes) && i < p.size(); ++i) p[i] = extremes[i];
  return p;
}

}  // namespace

TEMPLATE_TEST_CASE("the copy is the rounded master after each step, and the master that of no copy", "", bfloat16,
                   float16) {
  using C = TestType;
  thread_pool pool(3);
  for (const index_t n : {0, 1, 15, 16, 17, 31, 33, 95, 97, 4095, 4097, 8193}) {
    CAPTURE(n);
    const std::vector<float> start = parameters(n);
    const auto size = start.size();
    std::vector<float> p = start, m(size), v(size), alone = start, alone_m(size), alone_v(size);
    std::vector<C> copy(size, C(7.0f));
    for (index_t t = 1; t <= 3; ++t) {
      const auto f = normals<C>(n, static_cast<std::uint32_t>(10 + t)),
                 r = normals<C>(n, static_cast<std::uint32_t>(20 + t));
      combine(pcgrad{}, tasks(f, r), adamw(with_copy(p, copy), m, v, t), {}, pool);
      CHECK(is_rounded(copy, p));
      combine(pcgrad{}, tasks(f, r), adamw(alone, alone_m, alone_v, t));
      CHECK(alone == p);
      CHECK(alone_v == v);
    }
    for (const double momentum : {0.0, 0.9}) {
      p = alone = start;
      m.assign(size, 0);
      alone_m.assign(size, 0);
      copy.assign(size, C(7.0f));
      const auto g = normals<C>(n, 5);
      for (int t = 0; t < 2; ++t) {
        sgd(with_copy(p, copy), m, {.learning_rate = .1, .momentum = momentum})(0, g);
        CHECK(is_rounded(copy, p));
        sgd(alone, alone_m, {.learning_rate = .1, .momentum = momentum})(0, g);
        CHECK(alone == p);
      }
    }
  }
}

TEMPLATE_TEST_CASE("Adafactor writes the copy of a matrix of any strides", "", bfloat16, float16) {
  using C = TestType;
  const index_t rows = 7, cols = 1033;
  const std::vector<float> start = parameters(rows * cols);
  const auto g = normals<C>(rows * cols, 4);
  const auto pass = [&](index_t begin, index_t count, auto&& sink) {
    weighted_sum(std::array{1.0}, tasks(g).slice(begin, count), sink);
  };
  std::vector<float> p = start, alone = start, row(7), col(1033), alone_row(7), alone_col(1033);
  std::vector<C> copy(start.size()), transposed(start.size());
  for (index_t t = 1; t <= 2; ++t) {
    adafactor(with_copy(matrix_view<float>(p.data(), rows, cols), matrix_view<C>(copy.data(), rows, cols)), row, col, t,
              pass);
    CHECK(is_rounded(copy, p));
    adafactor(matrix_view<float>(alone.data(), rows, cols), alone_row, alone_col, t, pass);
    CHECK(alone == p);
  }
  adafactor(with_copy(matrix_view<float>(p.data(), rows, cols), matrix_view<C>(transposed.data(), rows, cols, 1, rows)),
            row, col, 3, pass);
  bool same = true;
  for (index_t i = 0; i < rows; ++i)
    for (index_t j = 0; j < cols; ++j)
      same = same && transposed[static_cast<std::size_t>(i + j * rows)].bits ==
                         C(p[static_cast<std::size_t>(i * cols + j)]).bits;
  CHECK(same);
}

TEST_CASE("steps that bfloat16 alone would lose add up in the master") {
  std::vector<float> p = {1.0f}, m(1), v(1);
  std::vector<bfloat16> copy(1), lost = {bfloat16(1.0f)};
  std::vector<float> lost_m(1), lost_v(1);
  const std::vector<bfloat16> g = {bfloat16(1.0f)};
  for (index_t t = 1; t <= 100; ++t) {
    adamw(with_copy(p, copy), m, v, t, {.learning_rate = 1e-3, .weight_decay = 0})(0, g);
    adamw(lost, lost_m, lost_v, t, {.learning_rate = 1e-3, .weight_decay = 0})(0, g);
  }
  CHECK(p[0] == Approx(0.9));
  CHECK(static_cast<float>(copy[0]) == Approx(0.9).epsilon(2e-3));
  CHECK(static_cast<float>(lost[0]) == 1);
}

TEST_CASE("training in 16 bits: float master parameters and moments, the model's bfloat16 copy") {
  const index_t n = 100;
  const auto forget = normals<bfloat16>(n, 1), retain = normals<bfloat16>(n, 2);
  std::vector<float> parameters = normals<float>(n, 3), m(parameters.size()), v(parameters.size());
  std::vector<bfloat16> model(parameters.size());
  const index_t step = 1;
  thread_pool pool(2);
  combine(pcgrad{}, tasks(forget, retain),                  // the model's own gradients, in 16 bits
          adamw(with_copy(parameters, model), m, v, step),  // moves the float parameters, writes the model's
          {}, pool);
  CHECK(is_rounded(model, parameters));
}

TEST_CASE("parameters, moments and copy each in memory of any kind") {
  const std::vector<float> g = {1, -2, 3};
  std::vector<float> p = {1, 2, 3}, m(3), memory(9), expected = p, m2(3), v2(3);
  Eigen::Matrix<Eigen::bfloat16, Eigen::Dynamic, 1> copy(3);
  adamw(with_copy(p, copy), m, vector_view<float>(memory.data(), 3, 3), 1)(0, g);
  adamw(expected, m2, std::span<float>(v2), 1)(0, g);
  CHECK(p == expected);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(memory[3 * i] == v2[i]);
    CHECK(static_cast<float>(copy(static_cast<index_t>(i))) == static_cast<float>(bfloat16(p[i])));
  }
  Eigen::VectorXf em = Eigen::VectorXf::Zero(3);
  std::vector<bfloat16> v16(3);
  CHECK_NOTHROW(adamw(p, em, v16, 1)(0, g));
  CHECK(em(1) == Approx(-.2));
}

TEST_CASE("copies of another size, and memory that is another's too, are refused") {
  std::vector<float> p(4), m(4), v(4), row(2), col(2);
  std::vector<bfloat16> copy(3);
  CHECK_THROWS_WITH(adamw(with_copy(p, copy), m, v, 1), "hone::gradient::adamw: copy: has 3 elements, p has 4");
  CHECK_THROWS_WITH(sgd(with_copy(p, copy)), "hone::gradient::sgd: copy: has 3 elements, p has 4");
  const auto pass = [](index_t, index_t, auto&&) {};
  const matrix_view<float> matrix(p.data(), 2, 2);
  copy.resize(6);
  CHECK_THROWS_WITH(adafactor(with_copy(matrix, matrix_view<bfloat16>(copy.data(), 2, 3)), row, col, 1, pass),
                    "hone::gradient::adafactor: copy: is 2 x 3, p is 2 x 2");
  CHECK_THROWS_WITH(sgd(with_copy(p, p)), "hone::gradient::sgd: copy: lies in the memory of p");
  CHECK_THROWS_WITH(adamw(with_copy(p, m), m, v, 1), "hone::gradient::adamw: copy: lies in the memory of m");
  CHECK_THROWS_WITH(adamw(with_copy(p, v), m, v, 1), "hone::gradient::adamw: copy: lies in the memory of v");
  CHECK_THROWS_WITH(adamw(p, m, m, 1), "hone::gradient::adamw: v: lies in the memory of m");
  CHECK_THROWS_WITH(adamw(p, p, v, 1), "hone::gradient::adamw: m: lies in the memory of p");
  CHECK_THROWS_WITH(adamw(p, m, p, 1), "hone::gradient::adamw: v: lies in the memory of p");
  CHECK_THROWS_WITH(sgd(p, p, {.momentum = .5}), "hone::gradient::sgd: m: lies in the memory of p");
  CHECK_THROWS_WITH(sgd(with_copy(p, m), m, {.momentum = .5}), "hone::gradient::sgd: copy: lies in the memory of m");
  CHECK_THROWS_WITH(adafactor(with_copy(matrix, matrix), row, col, 1, pass),
                    "hone::gradient::adafactor: copy: lies in the memory of p");
  CHECK_THROWS_WITH(adafactor(matrix, row, row, 1, pass), "hone::gradient::adafactor: col: lies in the memory of row");
  CHECK_THROWS_WITH(adafactor(matrix, std::span(p).first(2), col, 1, pass),
                    "hone::gradient::adafactor: row: lies in the memory of p");
}
