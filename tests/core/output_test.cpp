// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/output.hpp"

#include "hone/core/blas.hpp"
#include "hone/core/random.hpp"
#include "hone/core/simd_random.hpp"

#include "support/catch.hpp"
#include "support/outputs.hpp"

#include <set>

using namespace hone;

TEST_CASE("a matrix is writable where no two elements share an address, by counting") {
  std::vector<float> memory(1000);
  float* const middle = memory.data() + 500;
  for (index_t rows = 0; rows <= 5; ++rows)
    for (index_t cols = 0; cols <= 5; ++cols)
      for (index_t down = -9; down <= 9; ++down)
        for (index_t right = -9; right <= 9; ++right) {
          const matrix_view<float> m(middle, rows, cols, down, right);
          std::set<float*> places;
          for (index_t i = 0; i < rows; ++i)
            for (index_t j = 0; j < cols; ++j) places.insert(&m(i, j));
          if (writable(m) != (static_cast<index_t>(places.size()) == rows * cols))
            FAIL(rows << " x " << cols << " with strides " << down << ", " << right);
        }
}

TEST_CASE("a vector is writable with memory, no negative size, and stride 0 for one element alone") {
  float x = 0;
  CHECK(writable(vector_view<float>()));
  CHECK(writable(vector_view<float>(nullptr, 0, 0)));
  CHECK(writable(vector_view<float>(&x, 1, 0)));
  CHECK(writable(vector_view<float>(&x, 5, -3)));
  CHECK_FALSE(writable(vector_view<float>(&x, 2, 0)));
  CHECK_FALSE(writable(vector_view<float>(nullptr, 1)));
  CHECK_FALSE(writable(vector_view<float>(&x, -1)));
  CHECK_FALSE(writable(matrix_view<float>(&x, -1, 1)));
  CHECK_FALSE(writable(matrix_view<float>(&x, -1, 0)));
  CHECK_FALSE(writable(matrix_view<float>(nullptr, 1, 1)));
  CHECK(writable(matrix_view<float>(nullptr, 0, 3)));
}

TEST_CASE("what is refused is said: function, argument, and what is wrong") {
  std::vector<double> x(6);
  CHECK_THROWS_WITH(check_output(vector_view<double>(x.data(), 4, 0), "f", "out"),
                    "f: out: has 4 elements in one place: an output has no stride of 0");
  CHECK_THROWS_WITH(check_output(vector_view<double>(nullptr, 4), "f", "out"), "f: out: has 4 elements and no memory");
  CHECK_THROWS_WITH(check_output(vector_view<double>(x.data(), -4), "f", "out"),
                    "f: out: has -4 elements: no size is negative");
  CHECK_THROWS_WITH(check_output(matrix_view<double>(x.data(), 2, 3, 0, 1), "f", "out"),
                    "f: out: is 2 x 3 with strides 0 and 1: an output has no two elements in one place");
  CHECK_THROWS_WITH(check_output(matrix_view<double>(nullptr, 2, 3), "f", "out"), "f: out: is 2 x 3 and has no memory");
  CHECK_THROWS_WITH(check_output(matrix_view<double>(x.data(), 2, -3), "f", "out"),
                    "f: out: is 2 x -3: no size is negative");
  check_refuses_spans<double>(4, "f: out: ", [](std::span<double> s) { check_output(s, "f", "out"); });
  CHECK_THROWS_WITH(check_output(matrix_view<double>(x.data(), -2, 3), "f", "out"),
                    "f: out: is -2 x 3: no size is negative");
  CHECK_NOTHROW(check_output(std::span(x), "f", "out"));
  CHECK_NOTHROW(check_output(std::span<double>(), "f", "out"));
  CHECK_THROWS_AS(output_vector(vector_view<double>(x.data(), 4, 0), "f", "x"), std::invalid_argument);
  CHECK_THROWS_AS(output_matrix(matrix_view<double>(x.data(), 2, 3, 0, 1), "f", "x"), std::invalid_argument);
  CHECK(output_vector(x, "f", "x").data() == x.data());
  CHECK(output_matrix(matrix_view<double>(x.data(), 2, 3), "f", "x").rows() == 2);
}

TEST_CASE("outputs that overlap are refused, neighbours and interleaved ones are not") {
  std::vector<float> x(10);
  const auto apart = [&](index_t at, index_t n, index_t to, index_t count, index_t stride = 1) {
    check_apart(vector_view<float>(x.data() + at, n, stride), vector_view<float>(x.data() + to, count, stride), "f",
                "x", "y");
  };
  CHECK_THROWS_WITH(apart(0, 5, 4, 3), "f: x: lies in the memory of y");
  CHECK_THROWS_AS(apart(4, 3, 0, 5), std::invalid_argument);
  CHECK_THROWS_AS(apart(2, 3, 2, 3), std::invalid_argument);
  CHECK_NOTHROW(apart(0, 5, 5, 5));
  CHECK_NOTHROW(apart(5, 5, 0, 5));
  CHECK_NOTHROW(apart(0, 0, 0, 5));
  CHECK_NOTHROW(apart(0, 5, 1, 5, 2));
  CHECK_THROWS_AS(apart(0, 5, 0, 5, 2), std::invalid_argument);
  CHECK_THROWS_AS(apart(1, 4, 5, 2, 2), std::invalid_argument);
  CHECK_NOTHROW(apart(0, 2, 4, 3, 2));
  const vector_view<float> backwards(x.data() + 8, 5, -2), forwards(x.data(), 5, 2);
  CHECK_THROWS_AS(check_apart(backwards, forwards, "f", "x", "y"), std::invalid_argument);
  const vector_view<bfloat16> narrow(reinterpret_cast<bfloat16*>(x.data()), 5, 4);
  CHECK_THROWS_AS(check_apart(narrow, forwards, "f", "x", "y"), std::invalid_argument);
}

TEST_CASE("of outputs of different steps nothing is asked but that they begin apart; contiguous ones are seen whole") {
  std::vector<float> x(30);
  auto* const halves = reinterpret_cast<bfloat16*>(x.data());
  const auto at = [&](index_t begin, index_t n, index_t stride) {
    return vector_view<float>(x.data() + begin, n, stride);
  };
  for (const auto& [one, other] : {std::pair{at(0, 5, 1), at(1, 5, 2)}, {at(0, 5, 2), at(1, 5, 3)}}) {
    CHECK_NOTHROW(check_apart(one, other, "f", "x", "y"));
    CHECK_NOTHROW(check_apart(other, one, "f", "x", "y"));
  }
  for (const auto& [one, other] : {std::pair{at(3, 5, 1), at(3, 5, 2)}, {at(3, 5, 2), at(3, 5, 3)}}) {
    CHECK_THROWS_AS(check_apart(one, other, "f", "x", "y"), std::invalid_argument);
    CHECK_THROWS_AS(check_apart(other, one, "f", "x", "y"), std::invalid_argument);
  }
  const vector_view<bfloat16> inside(halves + 6, 3), after(halves + 10, 3), before(halves, 4);
  CHECK_THROWS_AS(check_apart(at(2, 3, 1), inside, "f", "x", "y"), std::invalid_argument);
  CHECK_THROWS_AS(check_apart(inside, at(2, 3, 1), "f", "x", "y"), std::invalid_argument);
  for (const auto& outside : {after, before}) {
    CHECK_NOTHROW(check_apart(at(2, 3, 1), outside, "f", "x", "y"));
    CHECK_NOTHROW(check_apart(outside, at(2, 3, 1), "f", "x", "y"));
  }
}

TEST_CASE("strided outputs of one step overlap where an element of one is an element of the other, by counting") {
  std::vector<float> memory(100);
  for (const index_t stride : {-3, -2, 2, 3})
    for (index_t at = 30; at < 50; ++at)
      for (index_t n = 1; n < 5; ++n) {
        const vector_view<float> x(memory.data() + 40, 4, stride), y(memory.data() + at, n, stride);
        bool apart = true;
        for (index_t i = 0; i < 4; ++i)
          for (index_t j = 0; j < n; ++j) apart = apart && &x[i] != &y[j];
        INFO(stride << ", " << at << ", " << n);
        if (apart)
          CHECK_NOTHROW(check_apart(x, y, "f", "x", "y"));
        else
          CHECK_THROWS_AS(check_apart(x, y, "f", "x", "y"), std::invalid_argument);
      }
}

TEST_CASE("strided outputs of two types and one step in bytes overlap where their bytes do, by counting") {
  std::vector<float> memory(60);
  auto* const halves = reinterpret_cast<bfloat16*>(memory.data());
  for (index_t at = 20; at < 90; ++at)
    for (index_t n = 1; n < 5; ++n) {
      const vector_view<float> x(memory.data() + 20, 4, 3);
      const vector_view<bfloat16> y(halves + at, n, 6);
      bool apart = true;
      for (index_t i = 0; i < 4; ++i)
        for (index_t j = 0; j < n; ++j) {
          const index_t first = 40 + 6 * i, other = at + 6 * j;  // in units of two bytes, of which a float has two
          apart = apart && (other < first || other > first + 1);
        }
      INFO(at << ", " << n);
      if (apart) {
        CHECK_NOTHROW(check_apart(x, y, "f", "x", "y"));
        CHECK_NOTHROW(check_apart(y, x, "f", "x", "y"));
      } else {
        CHECK_THROWS_AS(check_apart(x, y, "f", "x", "y"), std::invalid_argument);
        CHECK_THROWS_AS(check_apart(y, x, "f", "x", "y"), std::invalid_argument);
      }
    }
  // Of one element each the steps say nothing: a stride of 0 is as good as another.
  const vector_view<float> one(memory.data() + 4, 1, 0);
  CHECK_THROWS_AS(check_apart(one, vector_view<float>(memory.data() + 4, 1, 0), "f", "x", "y"), std::invalid_argument);
  CHECK_NOTHROW(check_apart(one, vector_view<float>(memory.data() + 5, 1, 0), "f", "x", "y"));
  CHECK_NOTHROW(check_apart(one, vector_view<float>(memory.data() + 4, 0), "f", "x", "y"));
  CHECK_NOTHROW(check_apart(vector_view<float>(memory.data() + 4, 0), one, "f", "x", "y"));
}

TEMPLATE_TEST_CASE("core's functions refuse to write where elements have no memory of their own", "", float, double,
                   bfloat16) {
  using T = TestType;
  const std::vector<T> ones(5, T(1.0f));
  using view = vector_view<T>;
  check_refuses_vectors<T>(5, "hone::fill: x: ", [](view x) { fill(x, 1); });
  check_refuses_vectors<T>(5, "hone::scale: x: ", [](view x) { scale(2, x); });
  check_refuses_vectors<T>(5, "hone::copy: y: ", [&](view y) { copy(ones, y); });
  check_refuses_vectors<T>(5, "hone::axpy: y: ", [&](view y) { axpy(2, ones, y); });
}

TEST_CASE("bulk random numbers refuse spans without memory") {
  const std::vector<double> shapes(3, 1.0);
  check_refuses_spans<double>(
      3, "hone::philox::log_dirichlet: logs: ", [&](std::span<double> x) { philox{}.log_dirichlet(shapes, 0, x); });
  check_refuses_spans<double>(
      3, "hone::philox::log_dirichlet: logs: ", [&](std::span<double> x) { philox{}.dirichlet(shapes, 0, x); });
  check_refuses_spans<double>(3, "hone::fill_uniform: x: ", [](std::span<double> x) { fill_uniform(philox{}, x); });
  check_refuses_spans<std::uint32_t>(
      3, "hone::fill_bits: x: ", [](std::span<std::uint32_t> x) { fill_bits(philox{}, x); });
}
