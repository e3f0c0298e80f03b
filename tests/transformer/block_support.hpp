// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the tests of attention_block.hpp and mlp_block.hpp share.
#pragma once
#include "support/catch.hpp"
#include "support/gradient_error.hpp"
#include "transformer/support.hpp"

#include <initializer_list>
#include <memory>

/// A model of one layer, and a batch that enters it. Tensors of the roles @p zero are 0: the other block adds nothing.
struct one_layer {
  one_layer(hone::transformer::config shape, std::initializer_list<hone::transformer::role> zero)
      : c((shape.n_layers = 1, shape)), model(c), tokens(c) {
    parameters = normals<double>(model.parameters(), 1, 0.4);
    for (const auto role : zero)
      if (const hone::index_t i = model.tensor_index({role, 0}); i >= 0)
        hone::fill(std::span(parameters)
                       .subspan(static_cast<std::size_t>(model.layout()[i].offset),
                                static_cast<std::size_t>(model.layout()[i].size())),
                   0.0);
    x.resize(static_cast<std::size_t>(24 * c.d_model));
    products(parameters).embed(tokens.tokens, as_rows(x, 24));
  }
  using views_of = hone::transformer::parameter_views<const double>;
  [[nodiscard]] hone::transformer::frozen_products<double, views_of> products(const std::vector<double>& p) {
    views.push_back(std::make_unique<views_of>(model.view(std::span<const double>(p))));
    return {*views.back(), memory};
  }

  hone::transformer::config c;
  hone::transformer::decoder<double> model;
  sequences tokens;
  std::vector<double> parameters, x, memory;
  std::vector<std::unique_ptr<views_of>> views;
};

/// Requires that @p y (24 rows) is what leaves the naive decoder's layer.
inline void require_naive(const one_layer& m, const std::vector<double>& y) {
  const auto all = m.tokens.all();
  for (hone::index_t sequence = 0; sequence < 4; ++sequence) {
    const auto begin = all.begin(sequence), end = all.end(sequence);
    const naive_decoder naive(m.c, m.parameters, {m.tokens.tokens.begin() + begin, m.tokens.tokens.begin() + end});
    for (hone::index_t t = begin; t < end; ++t)
      for (hone::index_t i = 0; i < m.c.d_model; ++i)
        REQUIRE(
            as_rows(y, 24)(t, i) ==
            Approx(naive.hidden[1][static_cast<std::size_t>(t - begin)][static_cast<std::size_t>(i)]).margin(1e-12));
  }
}

/// The gradient check of a block: forward(products, x, memory, y) and backward(products, x, memory, dx), of the
/// gradients that go on and, with products that train, those of the parameters.
template <class Memory, class Forward, class Backward>
void check_gradients(one_layer& m, Forward&& forward, Backward&& backward) {
  const auto slope = normals<double>(24 * m.c.d_model, 3);
  const auto loss = [&](const std::vector<double>& p, const std::vector<double>& x) {
    std::vector<double> y(x.size());
    Memory memory(m.c, 24);
    forward(m.products(p), as_rows(x, 24), memory, as_rows(y, 24));
    return hone::dot(y, slope);
  };
  Memory memory(m.c, 24);
  std::vector<double> y(m.x.size()), dx = slope, frozen_dx = slope, gradient(m.parameters.size(), 0.0);
  const auto x = as_rows(std::as_const(m.x), 24);
  const hone::transformer::trained_products<double> trained{m.products(m.parameters),
                                                            m.model.view(std::span(gradient))};
  forward(trained, x, memory, as_rows(y, 24));
  backward(trained, x, memory, as_rows(dx, 24));
  CHECK(gradient_error(m.x, dx, [&](const auto& at) { return loss(m.parameters, at); }) < 1e-7);
  CHECK(gradient_error(m.parameters, gradient, [&](const auto& at) { return loss(at, m.x); }) < 1e-7);
  backward(m.products(m.parameters), x, memory, as_rows(frozen_dx, 24));
  CHECK(frozen_dx == dx);
}
