// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/lora/corda.hpp"

#include "lora/golden_support.hpp"

#include <limits>

using namespace hone;
using namespace hone::lora;

TEST_CASE("PEFT's CorDA on one layer, both modes") {
  corda_moment moment(golden::inputs);
  for (const auto& batch : golden::batches) moment.add(matrix_view<const double>(batch.data(), 12, golden::inputs));
  CHECK(moment.batches() == 3);
  const linalg::matrix c = moment.mean();
  for (const bool keep : {false, true}) {
    auto l = golden::fresh();
    initialise(corda{.moment = c, .mode = keep ? corda_mode::knowledge_preserved : corda_mode::instruction_previewed},
               l.w(), l.site, l.parameters);
    golden::check_start(l, keep ? "corda kpm" : "corda ipm", 1e-5);
  }
}

TEST_CASE("CorDA: the best rank-r part of W seen through its inputs; a white moment gives PiSSA and MiLoRA") {
  const index_t outputs = 15, inputs = 11, rank = 3;
  const linalg::matrix x = normal_matrix(40, inputs, 3), c = x.transpose() * x / 40;
  layer<float> l(outputs, inputs, rank, 2);
  initialise(corda{.moment = c}, l.w(), l.site, l.parameters);
  CHECK(l.changed() <= 1e-6);
  const linalg::matrix damped =
      c + 0.01 * c.trace() / static_cast<double>(inputs) * linalg::matrix::Identity(inputs, inputs);
  const linalg::matrix part = 2 * l.b() * l.a();
  const auto seen = linalg::truncated_svd(l.original() * damped, rank + 1);
  CHECK(largest(part * damped - seen.u.leftCols(rank) * seen.values.head(rank).asDiagonal() *
                                    seen.v.leftCols(rank).transpose()) <= 1e-5);
  for (std::uint32_t seed = 0; seed < 5; ++seed) {  // no other part of that rank leaves less
    const linalg::matrix other = part + 0.1 * normal_matrix(outputs, rank, 50 + seed) * l.a();
    CHECK(((l.original() - other) * damped).norm() > ((l.original() - part) * damped).norm());
  }
  const linalg::matrix white = linalg::matrix::Identity(inputs, inputs);
  for (const bool keep : {false, true}) {
    layer<double> w(outputs, inputs, rank, 2);
    const auto all = linalg::truncated_svd(w.original(), inputs);
    initialise(
        corda{.moment = white, .mode = keep ? corda_mode::knowledge_preserved : corda_mode::instruction_previewed},
        w.w(), w.site, w.parameters);
    const index_t from = keep ? inputs - rank : 0;
    CHECK(largest(2 * w.b() * w.a() - all.u.middleCols(from, rank) * all.values.segment(from, rank).asDiagonal() *
                                          all.v.middleCols(from, rank).transpose()) <= 1e-12);
  }
}

TEST_CASE("CorDA reads the lower triangle of the moment alone") {
  const linalg::matrix x = normal_matrix(40, 8, 3), c = x.transpose() * x / 40;
  linalg::matrix lower = c;
  lower.triangularView<Eigen::StrictlyUpper>().setConstant(std::numeric_limits<double>::quiet_NaN());
  for (const corda_mode mode : {corda_mode::instruction_previewed, corda_mode::knowledge_preserved}) {
    layer<double> whole(9, 8, 3, 2), half(9, 8, 3, 2);
    initialise(corda{.moment = c, .mode = mode}, whole.w(), whole.site, whole.parameters);
    initialise(corda{.moment = lower, .mode = mode}, half.w(), half.site, half.parameters);
    CHECK(largest(whole.b() - half.b()) <= 1e-12);
    CHECK(largest(whole.a() - half.a()) <= 1e-12);
  }
}

TEST_CASE("CorDA: singular moments are damped; what cannot be is refused") {
  layer<double> l(6, 5, 2, 1);
  linalg::matrix c = linalg::matrix::Zero(5, 5);
  c(0, 0) = 1;
  initialise(corda{.moment = c}, l.w(), l.site, l.parameters);
  CHECK(l.changed() <= 1e-12);
  const auto refused = [&](const linalg::matrix& moment, double damping = 0.01) {
    layer<double> other(6, 5, 2, 1);
    CHECK_THROWS_AS(initialise(corda{.moment = moment, .damping = damping}, other.w(), other.site, other.parameters),
                    std::invalid_argument);
    CHECK(other.now() == other.original());
  };
  refused(linalg::matrix::Zero(5, 5));
  refused(linalg::matrix::Identity(4, 4));
  refused(-linalg::matrix::Identity(5, 5));
  refused(c, 0);
  c(1, 1) = std::numeric_limits<double>::quiet_NaN();
  refused(c);

  corda_moment moment(3);
  const std::vector<float> negative = {-1, 0, -2}, nan = {1, std::numeric_limits<float>::quiet_NaN(), 0},
                           fine = {1, 2, -4};
  CHECK_THROWS_AS(moment.add(matrix_view<const float>(negative.data(), 1, 3)), std::invalid_argument);
  CHECK_THROWS_AS(moment.add(matrix_view<const float>(nan.data(), 1, 3)), std::invalid_argument);
  CHECK_THROWS_AS(moment.add(matrix_view<const float>(fine.data(), 1, 2)), std::invalid_argument);
  CHECK_THROWS_AS(moment.add(matrix_view<const float>(nullptr, 0, 3)), std::invalid_argument);
  CHECK_THROWS_AS(corda_moment(0), std::invalid_argument);
  CHECK(moment.mean().isZero());
  moment.add(matrix_view<const float>(fine.data(), 1, 3));
  CHECK(moment.mean()(2, 1) == -2);  // over max(x)^2 = 4, not over 16
}
