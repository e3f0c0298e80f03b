// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/product.hpp"

#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

namespace {

struct fixture {
  config c = small_models()[6];  // has biases
  parameter_layout layout{c};
  std::vector<double> parameters = normals<double>(layout.size(), 1), gradient = normals<double>(layout.size(), 2);
  std::vector<double> before = gradient, memory;
  parameter_views<const double> views{layout, parameters.data()};
  frozen_products<double, parameter_views<const double>> frozen{views, memory};
  trained_products<double> trained{frozen, {layout, gradient.data()}};

  /// What was added to the gradient of a tensor.
  [[nodiscard]] double added(const tensor_id& id, index_t row, index_t col) const {
    const tensor& t = layout[layout.index(id)];
    const auto at = static_cast<std::size_t>(t.offset + row * t.cols + col);
    return gradient[at] - before[at];
  }
};

}  // namespace

TEST_CASE("forward is W x + bias; backward is dy W, and for what is trained the gradients of W and bias") {
  fixture f;
  const index_t n = 5, outputs = f.c.q_width(), inputs = f.c.d_model;
  const tensor_id wq{role::wq, 0}, bq{role::bq, 0};
  const auto x = normals<double>(n * inputs, 3), dy = normals<double>(n * outputs, 4);
  std::vector<double> y(static_cast<std::size_t>(n * outputs)), trained_y = y;
  std::vector<double> dx = normals<double>(n * inputs, 5), trained_dx = dx, start = dx;
  f.frozen.forward(wq, as_rows(x, n), as_rows(y, n));
  f.trained.forward(wq, as_rows(x, n), as_rows(trained_y, n));
  CHECK(y == trained_y);
  f.frozen.backward(wq, as_rows(dy, n), as_rows(x, n), as_rows(dx, n), into::accumulate);
  f.trained.backward(wq, as_rows(dy, n), as_rows(x, n), as_rows(trained_dx, n), into::accumulate);
  CHECK(dx == trained_dx);
  const auto w = f.views.matrix(wq);
  for (index_t i = 0; i < outputs; ++i) {
    double bias = 0;
    for (index_t t = 0; t < n; ++t) {
      double sum = f.views.vector(bq)[i];
      for (index_t j = 0; j < inputs; ++j) sum += w(i, j) * as_rows(x, n)(t, j);
      CHECK(as_rows(y, n)(t, i) == Approx(sum).margin(1e-12));
      bias += as_rows(dy, n)(t, i);
    }
    CHECK(f.added(bq, 0, i) == Approx(bias).margin(1e-12));
    for (index_t j = 0; j < inputs; ++j) {
      double sum = 0;
      for (index_t t = 0; t < n; ++t) sum += as_rows(dy, n)(t, i) * as_rows(x, n)(t, j);
      CHECK(f.added(wq, i, j) == Approx(sum).margin(1e-12));
    }
  }
  for (index_t t = 0; t < n; ++t)
    for (index_t j = 0; j < inputs; ++j) {
      double sum = as_rows(start, n)(t, j);
      for (index_t i = 0; i < outputs; ++i) sum += as_rows(dy, n)(t, i) * w(i, j);
      CHECK(as_rows(dx, n)(t, j) == Approx(sum).margin(1e-12));
    }
  double others = 0;
  for (const tensor& t : f.layout.table())
    for (index_t i = 0; i < t.size(); ++i)
      if (t.id != wq && t.id != bq) others += std::abs(f.added(t.id, 0, i));
  CHECK(others == 0);
}

TEST_CASE("a frozen norm hands the gradient on, a trained one keeps its own too") {
  fixture f;
  const index_t n = 4, d = f.c.d_model;
  const tensor_id norm{role::ffn_norm, 0};
  const auto x = normals<double>(n * d, 3), dy = normals<double>(n * d, 4);
  std::vector<double> y(x.size()), rms(4), dx(x.size(), 0.0), trained_dx = dx, dw(static_cast<std::size_t>(d), 0.0);
  CHECK(f.frozen.vector(norm).data() == f.trained.vector(norm).data());
  rmsnorm_forward<double>(as_rows(x, n), f.frozen.vector(norm), f.c.norm_eps, rms.data(), as_rows(y, n));
  f.frozen.norm_backward(norm, as_rows(x, n), rms.data(), as_rows(dy, n), as_rows(dx, n));
  CHECK(f.gradient == f.before);
  f.trained.norm_backward(norm, as_rows(x, n), rms.data(), as_rows(dy, n), as_rows(trained_dx, n));
  CHECK(dx == trained_dx);
  for (index_t i = 0; i < d; ++i) {
    for (index_t t = 0; t < n; ++t)
      dw[static_cast<std::size_t>(i)] += as_rows(dy, n)(t, i) * as_rows(x, n)(t, i) * rms[static_cast<std::size_t>(t)];
    CHECK(f.added(norm, 0, i) == Approx(dw[static_cast<std::size_t>(i)]).margin(1e-12));
  }
}

TEST_CASE("rows of the embedding are copied, and the gradients of a token's rows are added") {
  fixture f;
  const std::vector<std::int32_t> tokens = {3, 0, 3};
  const index_t d = f.c.d_model;
  std::vector<double> x(static_cast<std::size_t>(3 * d));
  f.frozen.embed(tokens, as_rows(x, 3));
  for (index_t t = 0; t < 3; ++t)
    for (index_t i = 0; i < d; ++i)
      CHECK(as_rows(x, 3)(t, i) == f.views.matrix({role::tok_emb})(tokens[static_cast<std::size_t>(t)], i));
  const auto dx = normals<double>(3 * d, 4);
  f.frozen.embed_backward(tokens, as_rows(dx, 3));
  CHECK(f.gradient == f.before);
  f.trained.embed_backward(tokens, as_rows(dx, 3));
  for (index_t i = 0; i < d; ++i) {
    CHECK(f.added({role::tok_emb}, 3, i) == Approx(as_rows(dx, 3)(0, i) + as_rows(dx, 3)(2, i)).margin(1e-12));
    CHECK(f.added({role::tok_emb}, 0, i) == Approx(as_rows(dx, 3)(1, i)).margin(1e-12));
    CHECK(f.added({role::tok_emb}, 1, i) == 0);
  }
}

TEST_CASE("an observer sees each product, after it") {
  fixture f;
  const auto x = normals<double>(2 * f.c.d_model, 3);
  std::vector<double> y(static_cast<std::size_t>(2 * f.c.d_ff)), seen, expected = y;
  const auto observe = [&](const tensor_id& id, const matrix_view<const double>& in, const matrix_view<double>& out) {
    CHECK((id == tensor_id{role::w1, 0} && in.data() == x.data()));
    seen.assign(out.data(), out.data() + out.rows() * out.cols());
  };
  const auto p = observed<double>(f.frozen, observe);
  p.forward({role::w1, 0}, as_rows(x, 2), as_rows(y, 2));
  f.frozen.forward({role::w1, 0}, as_rows(x, 2), as_rows(expected, 2));
  CHECK((seen == y && y == expected));
  CHECK(p.vector({role::ffn_norm, 0}).data() == f.frozen.vector({role::ffn_norm, 0}).data());
}
