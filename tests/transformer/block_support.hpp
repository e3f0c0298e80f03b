// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the tests of attention_block.hpp and mlp_block.hpp share.
#pragma once
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
