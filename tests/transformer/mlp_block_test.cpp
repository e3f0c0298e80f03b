// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/mlp_block.hpp"

#include "support/catch.hpp"
#include "transformer/block_support.hpp"

using namespace hone;
using namespace hone::transformer;

namespace {

/// A block's share of a workspace.
struct memory_of {
  memory_of(const config& c, index_t rows) : take(rows) {
    kept = mlp_block<double>::share_activations(c, take);
    passing = mlp_block<double>::share_scratch(c, take);
  }
  arrays<double> take;
  mlp_block<double>::activations kept;
  mlp_block<double>::scratch passing;
};

mlp_block<double> block_of(const one_layer& m) { return {m.c, 0}; }
std::vector<config> shapes() { return small_models(); }

}  // namespace

TEST_CASE("the mlp block adds what the naive decoder adds") {
  for (const config& shape : shapes()) {
    one_layer m(shape, {role::wo, role::bo});
    std::vector<double> y(m.x.size());
    memory_of s(m.c, 24);
    block_of(m).forward(m.products(m.parameters), as_rows(std::as_const(m.x), 24), s.kept, s.passing, as_rows(y, 24));
    require_naive(m, y);
  }
}

TEST_CASE("the mlp block passes the gradient check, for its input and its parameters") {
  for (const config& shape : shapes()) {
    one_layer m(shape, {role::wo, role::bo});
    check_gradients<memory_of>(
        m,
        [&](const auto& products, auto x, memory_of& s, auto y) {
          block_of(m).forward(products, x, s.kept, s.passing, y);
        },
        [&](const auto& products, auto x, memory_of& s, auto dx) {
          const memory_of fresh(m.c, 24);  // another block may have used what is passing
          block_of(m).backward(products, x, s.kept, fresh.passing, dx);
        });
  }
}

TEST_CASE("rows of the mlp block alone are those of the batch, to rounding") {
  for (const config& shape : shapes()) {
    one_layer m(shape, {role::wo, role::bo});
    std::vector<double> y(m.x.size()), rows = m.x;
    memory_of s(m.c, 24);
    const auto p = m.products(m.parameters);
    block_of(m).forward(p, as_rows(std::as_const(m.x), 24), s.kept, s.passing, as_rows(y, 24));
    mlp_block<double>::row_memory memory;
    for (index_t first = 0; first < 24;) {  // one row, then more and more
      const index_t count = (std::min)(first / 3 + 1, 24 - first);
      block_of(m).forward_rows(p, matrix_view<double>(rows.data() + first * m.c.d_model, count, m.c.d_model), memory);
      first += count;
    }
    for (std::size_t i = 0; i < y.size(); ++i) REQUIRE(rows[i] == Approx(y[i]).margin(1e-13));
  }
}

TEST_CASE("an mlp block's share is a norm and the two inputs of the gate") {
  const config c = small_models()[2];
  index_t kept = 0, passing = 0;
  const auto count = [](index_t& sum) {
    return [&sum](index_t width) { return sum += width, static_cast<float*>(nullptr); };
  };
  mlp_block<float>::share_activations(c, count(kept));
  mlp_block<float>::share_scratch(c, count(passing));
  CHECK(kept == 2 * c.d_ff + 1);
  CHECK(passing == 2 * c.d_model + 3 * c.d_ff);
}
