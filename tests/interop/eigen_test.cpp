// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/interop/eigen.hpp"

#include "hone/core/blas.hpp"

#include "support/catch.hpp"

using namespace hone;

TEST_CASE("rows, columns, maps, refs and transposes are seen with their strides") {
  Eigen::MatrixXf m = Eigen::MatrixXf::Random(5, 7);
  auto row = m.row(2);    // stride 5 in a column-major matrix
  hone::fill(row, 2.0f);  // writes m(2, 0) … m(2, 6)
  CHECK(as_vector(row).stride() == 5);
  CHECK((m.row(2).array() == 2).all());
  CHECK((m.array() == 2).count() == 7);
  CHECK(hone::sum(row) == 14);
  CHECK(hone::sum(m.row(3)) == Approx(static_cast<double>(m.row(3).sum())));
  CHECK(hone::sum(m.col(3)) == Approx(static_cast<double>(m.col(3).sum())));
  const auto transposed = as_matrix(m.transpose());
  CHECK(transposed.rows() == 7);
  CHECK(transposed(3, 2) == m(2, 3));
  const auto block = as_matrix(m.block(1, 2, 3, 4));
  CHECK(block(2, 3) == m(3, 5));
  Eigen::VectorXd v = Eigen::VectorXd::LinSpaced(10, 0, 9);
  Eigen::Map<Eigen::VectorXd, 0, Eigen::InnerStride<2>> even(v.data(), 5);
  CHECK(hone::sum(even) == 20);
  Eigen::Ref<Eigen::VectorXd> part(v);
  auto segment = part.segment(1, 2);
  hone::scale(2.0, segment);
  CHECK(v(1) == 2);
  CHECK(v(3) == 3);
  Eigen::ArrayXf array = Eigen::ArrayXf::Ones(9);
  CHECK(hone::sum(array) == 9);
}

TEST_CASE("Eigen: constness is kept, and what has no memory is no vector") {
  STATIC_REQUIRE(mutable_vector<Eigen::VectorXf&>);
  STATIC_REQUIRE(mutable_vector<Eigen::Ref<Eigen::VectorXf>&>);
  STATIC_REQUIRE(!mutable_vector<const Eigen::VectorXf&>);
  STATIC_REQUIRE(!mutable_vector<Eigen::Map<const Eigen::VectorXf>&>);
  STATIC_REQUIRE(!vector_like<Eigen::MatrixXf>);
  STATIC_REQUIRE(matrix_like<Eigen::MatrixXf>);
  using expression = decltype(Eigen::VectorXf() + Eigen::VectorXf());
  STATIC_REQUIRE(!vector_like<expression>);
  STATIC_REQUIRE(!matrix_like<expression>);
}

TEST_CASE("Eigen's 16-bit types are stored in their type and summed in float") {
  Eigen::Matrix<Eigen::bfloat16, Eigen::Dynamic, 1> b(16384);
  b.setConstant(Eigen::bfloat16(1.0f));
  CHECK(hone::sum(b) == 16384);
  Eigen::Matrix<Eigen::half, Eigen::Dynamic, 1> h(100);
  h.setConstant(Eigen::half(0.5f));
  hone::scale(3.0f, h);
  CHECK(static_cast<float>(h(99)) == 1.5f);
}

TEST_CASE("maps that repeat one number are read, not written; nor are rows in each other's way") {
  using map = Eigen::Map<Eigen::VectorXf, 0, Eigen::InnerStride<Eigen::Dynamic>>;
  float two = 2;
  map repeated(&two, 4, Eigen::InnerStride<Eigen::Dynamic>(0));
  const Eigen::VectorXf ones = Eigen::VectorXf::Ones(4);
  CHECK(hone::dot(repeated, ones) == 8);
  CHECK_THROWS_WITH(hone::axpy(1, ones, repeated),
                    "hone::axpy: y: has 4 elements in one place: an output has no stride of 0");
  CHECK(two == 2);
  float memory[6] = {};
  Eigen::Map<Eigen::MatrixXf, 0, Eigen::OuterStride<>> overlapping(memory, 3, 2, Eigen::OuterStride<>(2));
  CHECK_THROWS_WITH(output_matrix(overlapping, "f", "x"),
                    "f: x: is 3 x 2 with strides 1 and 2: an output has no two elements in one place");
}
