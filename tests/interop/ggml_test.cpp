// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/interop/ggml.hpp"

#include "hone/gradient/combine.hpp"
#include "hone/gradient/sago.hpp"

#include "interop/ggml_reference.hpp"
#include "support/catch.hpp"

#include <vector>
#if __has_include(<ggml.h>)
#include <ggml.h>
#endif

using namespace hone;
using reference::new_tensor;

TEST_CASE("ggml: dimensions from the fastest, strides in bytes") {
  std::vector<float> memory(24);
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i);
  auto weight = new_tensor(reference::F32, 4, memory.data(), 6, 4);  // 4 rows of 6
  const auto m = matrix_of<float>(weight);
  CHECK(m.rows() == 4);
  CHECK(m.cols() == 6);
  CHECK(m(1, 2) == 8);
  CHECK(visit_vector(weight, [](auto x) { return hone::sum(x); }) == 23 * 12);
  auto transposed = weight;  // ggml_transpose
  std::swap(transposed.ne[0], transposed.ne[1]);
  std::swap(transposed.nb[0], transposed.nb[1]);
  CHECK(matrix_of<float>(transposed)(2, 1) == 8);
  CHECK_THROWS_WITH(vector_of<float>(transposed),
                    "hone::vector_of: x: has 2 dimensions that are not one run of elements: make it contiguous");
  auto column = new_tensor(reference::F32, 4, memory.data(), 1, 4);  // a view of every sixth element
  column.nb[1] = 24;
  CHECK(vector_of<float>(column)[3] == 18);
  auto cube = new_tensor(reference::F32, 4, memory.data(), 2, 3, 4);
  CHECK(vector_of<float>(cube).size() == 24);
  CHECK_THROWS_AS(matrix_of<float>(cube), std::invalid_argument);
  for (const std::int64_t planes : {0, 2, 3}) {
    auto planar = new_tensor(reference::F32, 4, memory.data(), 2, 3, planes), last = planar;
    CHECK(vector_of<float>(planar).size() == 6 * planes);
    CHECK_THROWS_AS(matrix_of<float>(planar), std::invalid_argument);
    std::swap(last.ne[2], last.ne[3]);
    last.nb[3] = last.nb[2];
    CHECK(vector_of<float>(last).size() == 6 * planes);
    CHECK_THROWS_AS(matrix_of<float>(last), std::invalid_argument);
  }
}

TEST_CASE("ggml: every type that hone has, visited once; the others are named") {
  std::vector<double> memory(8);
  const auto format_of = [&](reference::ggml_type type, std::size_t bytes) {
    return visit_vector(new_tensor(type, bytes, memory.data(), 2),
                        []<class T>(vector_view<T>) { return scalar_format<T>; });
  };
  CHECK(format_of(reference::F32, 4) == format::float32);
  CHECK(format_of(reference::F64, 8) == format::float64);
  CHECK(format_of(reference::F16, 2) == format::float16);
  CHECK(format_of(reference::BF16, 2) == format::bfloat16);
  CHECK_THROWS_WITH(format_of(reference::Q4_0, 18),
                    "hone::visit_vector: x: is of ggml type Q4_0 (2), not F32, F16, BF16 or F64");
  CHECK_THROWS_WITH(format_of(reference::MXFP4, 17),
                    "hone::visit_vector: x: is of ggml type MXFP4 (39), not F32, F16, BF16 or F64");
  CHECK_THROWS_AS(format_of(static_cast<reference::ggml_type>(1000), 4), std::invalid_argument);
  CHECK_THROWS_AS(vector_of<float>(new_tensor(reference::F32, 4, nullptr, 2)), std::invalid_argument);
  auto odd = new_tensor(reference::F32, 4, memory.data(), 2, 2);
  odd.nb[1] = 9;
  CHECK_THROWS_AS(matrix_of<float>(odd), std::invalid_argument);
}

TEST_CASE("ggml: dimensions slowest first, steps in elements of each type, and what is refused by its number") {
  std::vector<double> memory(64);
  const auto stride_of = [&](reference::ggml_type type, std::size_t bytes) {
    auto x = new_tensor(type, bytes, memory.data(), 3, 2);
    x.nb[0] = 2 * bytes;
    x.nb[1] = 8 * bytes;
    return visit_matrix(x, [](auto m) {
      CHECK(m.rows() == 2);
      CHECK(m.cols() == 3);
      CHECK(m.col_stride() == 2);
      return m.row_stride();
    });
  };
  CHECK(stride_of(reference::F32, 4) == 8);
  CHECK(stride_of(reference::F64, 8) == 8);
  CHECK(stride_of(reference::F16, 2) == 8);
  CHECK(stride_of(reference::BF16, 2) == 8);
  auto odd = new_tensor(reference::F32, 4, memory.data(), 2, 2);
  odd.nb[1] = 10;
  CHECK_THROWS_WITH(matrix_of<float>(odd), "hone::matrix_of: x: nb[1] is 10, no multiple of the element's 4 bytes");
  CHECK_THROWS_WITH(vector_of<float>(new_tensor(reference::F32, 4, nullptr, 2)),
                    "hone::vector_of: x: has no data: allocate or compute the graph first");
  auto cube = new_tensor(reference::F32, 4, memory.data(), 2, 3, 4);
  CHECK_THROWS_WITH(matrix_of<float>(cube), "hone::matrix_of: x: has 3 dimensions, expected 2");
  cube.nb[2] += 4;
  CHECK_THROWS_AS(vector_of<float>(cube), std::invalid_argument);
  const auto named = [&](int type) {
    try {
      vector_of<float>(new_tensor(static_cast<reference::ggml_type>(type), 4, memory.data(), 2));
    } catch (const std::invalid_argument& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(named(41) == "hone::vector_of: x: is of ggml type Q1_0 (41), not F32, F16, BF16 or F64");
  CHECK(named(42) == "hone::vector_of: x: is of ggml type unknown (42), not F32, F16, BF16 or F64");
  CHECK(named(-1) == "hone::vector_of: x: is of ggml type unknown (-1), not F32, F16, BF16 or F64");
  CHECK(named(29) == "hone::vector_of: x: is of ggml type IQ1_M (29), not F32, F16, BF16 or F64");
}

TEST_CASE("SAGO on the gradients of a ggml graph, tensor by tensor") {
  std::vector<float> f1 = {1, -2, .5f}, r1 = {2, 1, -1}, f2 = {.1f, .2f, .3f}, r2 = {3, 2, 1};
  auto a = new_tensor(reference::F32, 4, f1.data(), 3), b = new_tensor(reference::F32, 4, r1.data(), 3);
  auto c = new_tensor(reference::F32, 4, f2.data(), 3), d = new_tensor(reference::F32, 4, r2.data(), 3);
  using pair = std::pair<const reference::ggml_tensor*, const reference::ggml_tensor*>;
  const std::vector<pair> gradients = {{&a, &b}, {&c, &d}};
  for (const auto& [forget, retain] : gradients)
    hone::visit_vector(*forget, [&, to = retain]<class T>(hone::vector_view<T> f) {
      const auto r = hone::vector_of<T>(*to);
      hone::gradient::combine(hone::gradient::sago{}, hone::gradient::tasks(f, r), r);
    });
  CHECK(r1 == std::vector<float>{1, 1, -1});
  CHECK(r2 == std::vector<float>{.1f, .2f, .3f});
}

#if __has_include(<ggml.h>)
TEST_CASE("ggml's own struct and numbers of types") {
  STATIC_REQUIRE(detail::has_description<ggml_tensor>);
  STATIC_REQUIRE(GGML_TYPE_F32 == 0);
  STATIC_REQUIRE(GGML_TYPE_F16 == 1);
  STATIC_REQUIRE(GGML_TYPE_F64 == 28);
  STATIC_REQUIRE(GGML_TYPE_BF16 == 30);
}
#endif
