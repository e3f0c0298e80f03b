// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/view.hpp"

#include "support/catch.hpp"

#include <array>
#include <list>
#include <span>
#include <vector>

using namespace hone;

TEST_CASE("std contiguous ranges are vectors; the constness of the elements is kept") {
  std::vector<float> v = {1, 2, 3};
  const std::array<double, 2> a = {4, 5};
  float raw[2] = {6, 7};
  STATIC_REQUIRE(mutable_vector<std::vector<float>&>);
  STATIC_REQUIRE(!mutable_vector<const std::vector<float>&>);
  STATIC_REQUIRE(mutable_vector<const std::span<float>&>);
  STATIC_REQUIRE(!mutable_vector<std::span<const float>&>);
  STATIC_REQUIRE(std::is_same_v<element_t<const std::array<double, 2>&>, double>);
  as_vector(v)[1] = 9;
  CHECK(v[1] == 9);
  CHECK(as_vector(a)[1] == 5);
  CHECK(as_vector(raw).size() == 2);
  CHECK(as_vector(std::vector<float>{}).size() == 0);
}

TEST_CASE("what is not scalars in one piece of memory is no vector") {
  STATIC_REQUIRE(!vector_like<std::list<float>>);
  STATIC_REQUIRE(!vector_like<std::vector<int>>);
  STATIC_REQUIRE(!vector_like<std::vector<bool>>);
  STATIC_REQUIRE(!vector_like<float>);
  STATIC_REQUIRE(!matrix_like<std::vector<float>>);
}

TEST_CASE("data() and size() alone open no door") {
  struct looks_contiguous {
    const float* data() const { return nullptr; }
    std::size_t size() const { return 3; }
  };
  STATIC_REQUIRE(!vector_like<looks_contiguous>);
}

TEST_CASE("strided vectors, subvectors and constants") {
  double values[6] = {0, 1, 2, 3, 4, 5};
  const vector_view<double> odd(values + 1, 3, 2);
  CHECK(odd[2] == 5);
  CHECK(!odd.contiguous());
  CHECK(odd.subvector(1, 2)[0] == 3);
  const vector_view<const double> constant(values + 4, 1000, 0);
  CHECK(constant[999] == 4);
}

TEST_CASE("rows and columns of a matrix") {
  double values[6] = {0, 1, 2, 3, 4, 5};
  const matrix_view<const double> row_major(values, 2, 3);
  CHECK(row_major(1, 2) == 5);
  CHECK(row_major.col(1)[1] == 4);
  const matrix_view<double> column_major(values, 2, 3, 1, 2);
  CHECK(column_major(1, 2) == 5);
  CHECK(column_major.row(1)[1] == 3);
  CHECK(as_matrix(column_major).row(0).stride() == 2);
  const matrix_view<double> padded(values, 2, 2, 3, 1);  // its rows lie further apart than they are long
  CHECK(padded.col(1)[1] == 4);
  CHECK(padded.col(0).stride() == 3);
  CHECK(padded.row(1)[1] == 4);
}

TEST_CASE("sequences of different length") {
  float values[5] = {1, 2, 3, 4, 5};
  const index_t offsets[4] = {0, 2, 2, 5};
  const ragged_view<float> sequences(values, offsets, 3);
  CHECK(sequences.size() == 3);
  CHECK(sequences[1].size() == 0);
  CHECK(sequences[2][2] == 5);
}

TEST_CASE("views of const are views of the same places") {
  double values[24] = {};
  for (int i = 0; i < 24; ++i) values[i] = i;
  const vector_view<const double> v = vector_view<double>(values + 2, 3, 4);
  CHECK(v.data() == values + 2);
  CHECK(v.size() == 3);
  CHECK(v.stride() == 4);
  CHECK(v[2] == 10);
  CHECK(v.subvector(1, 2).data() == values + 6);
  CHECK(v.subvector(1, 2).size() == 2);
  CHECK(v.subvector(1, 2).stride() == 4);
  CHECK(vector_view<double>(values + 9, 3, -4)[2] == 1);
  CHECK(as_vector(v).stride() == 4);
  const matrix_view<const double> m = matrix_view<double>(values + 1, 2, 3, 11, 4);
  CHECK(m.data() == values + 1);
  CHECK(m.rows() == 2);
  CHECK(m.cols() == 3);
  CHECK(m.row_stride() == 11);
  CHECK(m.col_stride() == 4);
  CHECK(m(1, 2) == 20);
  CHECK(m.row(1).data() == values + 12);
  CHECK(m.row(1).size() == 3);
  CHECK(m.row(1).stride() == 4);
  CHECK(m.col(2).data() == values + 9);
  CHECK(m.col(2).size() == 2);
  CHECK(m.col(2).stride() == 11);
  CHECK(matrix_view<double>(values, 2, 3).row_stride() == 3);
  CHECK(matrix_view<double>(values, 2, 3).col_stride() == 1);
  CHECK(vector_view<double>(values, 5).stride() == 1);
}

TEST_CASE("views of nothing") {
  CHECK(vector_view<float>().data() == nullptr);
  CHECK(vector_view<float>().size() == 0);
  CHECK(vector_view<float>().contiguous());
  CHECK(matrix_view<float>().data() == nullptr);
  CHECK(matrix_view<float>().rows() == 0);
  CHECK(matrix_view<float>().cols() == 0);
  CHECK(ragged_view<float>().size() == 0);
  float values[3] = {1, 2, 3};
  const index_t offsets[3] = {0, 1, 3};
  const ragged_view<float> sequences(values, offsets, 2);
  CHECK(sequences[0].size() == 1);
  CHECK(sequences[1].data() == values + 1);
  CHECK(sequences[1].size() == 2);
  CHECK(sequences[1].contiguous());
}
