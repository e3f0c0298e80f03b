// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/lora/spectral.hpp"

#include "lora/golden_support.hpp"

#include <limits>

using namespace hone;
using namespace hone::lora;

TEST_CASE("PEFT's PiSSA, OLoRA and MiCA on one layer") {
  auto l = golden::fresh();
  initialise(pissa{}, l.w(), l.site, l.parameters);
  golden::check_start(l, "pissa");
  l = golden::fresh();
  initialise(pissa{.svd = {.iterations = 8}}, l.w(), l.site, l.parameters);
  golden::check_start(l, "pissa");
  l = golden::fresh();
  initialise(olora{}, l.w(), l.site, l.parameters);
  golden::check_start(l, "olora");
  l = golden::fresh();
  const auto done = initialise(mica{}, l.w(), l.site, l.parameters);
  CHECK(!done.train_b);
  CHECK(l.a().isZero());
  CHECK(l.now() == l.original());
  CHECK(largest(projector(l.b()) - golden::as_rows(golden::mica_projector, golden::outputs)) <= 2e-6);
}

TEMPLATE_TEST_CASE("PiSSA and MiLoRA: the ends of the spectrum, split evenly, and nothing else changes", "", float,
                   double, bfloat16) {
  const index_t outputs = 30, inputs = 20, rank = 4;
  const double s = 0.5;
  layer<TestType> top(outputs, inputs, rank, s), bottom = top;
  const auto all = linalg::truncated_svd(top.original(), inputs);
  initialise(pissa{}, top.w(), top.site, top.parameters);
  initialise(milora{}, bottom.w(), bottom.site, bottom.parameters);
  const double rounding = 20 * half_ulp<TestType> + 1e-12;
  CHECK(largest(s * top.b() * top.a() -
                all.u.leftCols(4) * all.values.head(4).asDiagonal() * all.v.leftCols(4).transpose()) <= rounding);
  CHECK(largest(s * bottom.b() * bottom.a() -
                all.u.rightCols(4) * all.values.tail(4).asDiagonal() * all.v.rightCols(4).transpose()) <= rounding);
  CHECK(largest(top.b().transpose() * top.b() - top.a() * top.a().transpose()) <= rounding);
  CHECK(top.b().squaredNorm() == Approx(all.values.head(4).sum() / s).epsilon(0.01));
  for (const auto& l : {top, bottom}) {
    CHECK(l.changed() <= half_ulp<TestType> * 8 + 1e-14);
    CHECK(l.others_untouched());
  }
  // What is left has none of the part: its largest singular value is the fifth.
  const auto left = linalg::truncated_svd(top.now(), 1);
  CHECK(left.values(0) == Approx(all.values(4)).epsilon(half_ulp<TestType> * 20));
}

TEST_CASE("OLoRA: B orthonormal, A upper triangular, for wide and for tall weights") {
  for (const auto& [outputs, inputs] : {std::pair<index_t, index_t>{12, 30}, {30, 12}, {7, 7}}) {
    layer<double> l(outputs, inputs, 5, 2);
    initialise(olora{}, l.w(), l.site, l.parameters);
    CHECK(skew(l.b()) <= 1e-14);
    CHECK(l.a().triangularView<Eigen::StrictlyLower>().toDenseMatrix().isZero());
    CHECK(largest(l.b() * l.a().leftCols(5) - l.original().leftCols(5)) <= 1e-14);
    CHECK(l.changed() <= 1e-14);
  }
}

TEST_CASE("FILA: the part of the weight that matters to forget alone") {
  const index_t outputs = 12, inputs = 9;
  layer<double> l(outputs, inputs, 3, 2);
  const linalg::matrix f = normal_matrix(outputs, inputs, 4).cwiseAbs2(),
                       r = normal_matrix(outputs, inputs, 5).cwiseAbs2();
  initialise(fila{f, r}, l.w(), l.site, l.parameters);
  linalg::vector importance(outputs);
  for (index_t i = 0; i < outputs; ++i) {
    double sum = 0;
    for (index_t j = 0; j < inputs; ++j) sum += f(i, j) / (1e-5 + r(i, j));
    importance(i) = std::sqrt(sum);
  }
  const auto t = linalg::truncated_svd(importance.asDiagonal() * l.original(), 3);
  linalg::matrix expected = t.u * t.values.asDiagonal() * t.v.transpose();
  for (index_t i = 0; i < outputs; ++i) expected.row(i) /= importance(i) + 1e-5;
  CHECK(largest(2 * l.b() * l.a() - expected) <= 1e-12);
  CHECK(l.changed() <= 1e-13);
  // Equal importances everywhere: PiSSA, but for the authors' 1e-5.
  layer<double> flat(outputs, inputs, 3, 2), plain = flat;
  const linalg::matrix ones = linalg::matrix::Ones(outputs, inputs);
  initialise(fila{ones, ones}, flat.w(), flat.site, flat.parameters);
  initialise(pissa{}, plain.w(), plain.site, plain.parameters);
  CHECK(largest(flat.b() * flat.a() - plain.b() * plain.a()) <= 1e-4);
}

TEST_CASE("spectral starts: full rank leaves nothing, zeros give zeros, misuse is refused") {
  layer<double> full(5, 8, 5, 1);
  initialise(pissa{}, full.w(), full.site, full.parameters);
  CHECK(largest(full.now()) <= 1e-14);
  layer<double> zero(linalg::matrix::Zero(5, 8), 2, 1);
  for (const bool smallest : {false, true}) {
    if (smallest)
      initialise(milora{}, zero.w(), zero.site, zero.parameters);
    else
      initialise(pissa{}, zero.w(), zero.site, zero.parameters);
    CHECK(zero.now().isZero());
    CHECK((zero.b() * zero.a()).isZero());
  }
  layer<double> l(5, 8, 2, 1);
  linalg::matrix f = linalg::matrix::Ones(5, 8), r = f, small = linalg::matrix::Ones(4, 8);
  const auto refused = [&](const linalg::matrix& forget, const linalg::matrix& retain) {
    CHECK_THROWS_AS(initialise(fila{forget, retain}, l.w(), l.site, l.parameters), std::invalid_argument);
    CHECK(l.now() == l.original());
  };
  refused(small, r);
  f(1, 1) = -1;
  refused(f, r);
  r(0, 0) = std::numeric_limits<double>::infinity();
  refused(linalg::matrix::Ones(5, 8), r);
}
