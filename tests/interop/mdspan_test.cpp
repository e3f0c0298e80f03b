// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/interop/mdspan.hpp"

#include "hone/core/blas.hpp"

#include "interop/mdspan_reference.hpp"
#include "support/catch.hpp"

#include <array>
#include <vector>
#include <version>
#if defined(__cpp_lib_mdspan)
#include <mdspan>
#endif

using namespace hone;

TEST_CASE("an mdspan is seen with extents and strides, whatever its layout") {
  std::vector<float> memory(24);
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i);
  const reference::strided_mdspan<float, 2> columns{memory.data(), {4, 6}, {1, 4}};
  const reference::strided_mdspan<float, 1> every_third{memory.data() + 1, {5}, {3}};
  CHECK(as_matrix(columns).rows() == 4);
  CHECK(as_matrix(columns)(3, 5) == 23);
  CHECK(as_matrix(columns)(1, 2) == 9);
  CHECK(as_matrix(columns).cols() == 6);
  CHECK(as_matrix(columns).row_stride() == 1);
  CHECK(as_matrix(columns).col_stride() == 4);
  CHECK(hone::sum(every_third) == 1 + 4 + 7 + 10 + 13);
  hone::fill(every_third, 0.0f);
  CHECK(memory[13] == 0);
  CHECK(memory[16] == 16);
}

TEST_CASE("mdspan: constness, rank and accessors that compute") {
  using vector = reference::strided_mdspan<float, 1>;
  STATIC_REQUIRE(mutable_vector<vector>);
  STATIC_REQUIRE(mutable_vector<const vector>);  // as a pointer, it does not own
  STATIC_REQUIRE(!mutable_vector<reference::strided_mdspan<const float, 1>>);
  STATIC_REQUIRE(!matrix_like<vector>);
  STATIC_REQUIRE(!vector_like<reference::strided_mdspan<float, 2>>);
  STATIC_REQUIRE(!vector_like<reference::strided_mdspan<int, 1>>);
  STATIC_REQUIRE(!vector_like<reference::scaled_mdspan>);
  const reference::strided_mdspan<float, 1> tiled{nullptr, {5}, {3}, false};
  CHECK_THROWS_WITH(as_vector(tiled), "hone::as_vector: x: this mdspan's layout has no strides");
  const reference::strided_mdspan<float, 2> tiles{nullptr, {5, 2}, {3, 1}, false};
  CHECK_THROWS_WITH(as_matrix(tiles), "hone::as_matrix: x: this mdspan's layout has no strides");
}

#if defined(__cpp_lib_mdspan)
namespace {
/// Strides at run time only, if at all.
struct layout_maybe {
  template <class Extents>
  struct mapping : std::layout_right::mapping<Extents> {
    using layout_type = layout_maybe;
    bool strided;
    mapping(const Extents& extents, bool has) : std::layout_right::mapping<Extents>(extents), strided(has) {}
    static constexpr bool is_always_strided() { return false; }
    bool is_strided() const { return strided; }
  };
};

/// Refers to nothing: its elements are computed.
struct negated {
  using element_type = const float;
  using reference = float;
  using data_handle_type = const float*;
  using offset_policy = negated;
  reference access(data_handle_type p, std::size_t i) const { return -p[i]; }
  data_handle_type offset(data_handle_type p, std::size_t i) const { return p + i; }
};
}  // namespace

TEST_CASE("std::mdspan") {
  std::vector<double> memory(12, 1.0);
  const std::mdspan rows(memory.data(), 3, 4);
  const std::mdspan<double, std::extents<int, 3, 4>, std::layout_left> columns(memory.data());
  CHECK(as_matrix(rows).row_stride() == 4);
  CHECK(as_matrix(columns).col_stride() == 3);
  CHECK(hone::sum(std::mdspan(memory.data(), 12)) == 12);
}

TEST_CASE("std::mdspan: strides, constness, and what is refused") {
  std::vector<float> memory(12);
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i);
  using line = std::dextents<int, 1>;
  const std::layout_stride::mapping<line> every_third(line(4), std::array{3});
  const std::mdspan<float, line, std::layout_stride> third(memory.data() + 1, every_third);
  CHECK(hone::sum(third) == 1 + 4 + 7 + 10);
  hone::fill(third, 0.0f);
  CHECK(memory[10] == 0);
  CHECK(memory[11] == 11);
  STATIC_REQUIRE(mutable_vector<std::mdspan<float, line>>);
  STATIC_REQUIRE(vector_like<std::mdspan<const float, line>>);
  STATIC_REQUIRE(!mutable_vector<std::mdspan<const float, line>>);
  STATIC_REQUIRE(vector_like<std::mdspan<bfloat16, std::extents<std::size_t, 4>>>);
  STATIC_REQUIRE(!vector_like<std::mdspan<int, line>>);
  STATIC_REQUIRE(!vector_like<std::mdspan<float, std::dextents<int, 2>>>);
  STATIC_REQUIRE(!matrix_like<std::mdspan<float, std::dextents<int, 3>>>);
  STATIC_REQUIRE(!vector_like<std::mdspan<const float, line, std::layout_right, negated>>);
  const auto seen = [&](bool strided) {
    return std::mdspan<float, line, layout_maybe>(memory.data(), layout_maybe::mapping<line>(line(12), strided));
  };
  CHECK(as_vector(seen(true)).size() == 12);
  CHECK_THROWS_WITH(as_vector(seen(false)), "hone::as_vector: x: this mdspan's layout has no strides");
}
#endif
