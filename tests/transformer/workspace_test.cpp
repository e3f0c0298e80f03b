// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/decoder.hpp"

#include "hone/loss/likelihood.hpp"
#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

TEST_CASE("a workspace starts empty, holds what it was made for, and moves with its contents") {
  const config c = small_models()[0];
  workspace<float> w(c, 9);
  CHECK(w.capacity() == 9);
  CHECK(w.rows() == 0);
  CHECK(w.shape() == c);
  const decoder<float> model(c);
  const auto parameters = normals<float>(model.parameters(), 1, 0.4);
  const std::vector<std::int32_t> tokens = {1, 2, 3};
  const std::vector<index_t> offsets = {0, 3};
  model.forward(parameters, {tokens, offsets}, w);
  CHECK(w.rows() == 3);
  CHECK((w.logits().rows() == 3 && w.logits().cols() == c.vocab));
  CHECK((w.features().rows() == 3 && w.features().cols() == c.d_model));
  const float first = w.logits()(2, 5), hidden = w.hidden(2)(1, 3);
  workspace<float> moved = std::move(w);
  CHECK(moved.logits()(2, 5) == first);
  CHECK(moved.hidden(2)(1, 3) == hidden);
  CHECK_THROWS_WITH(moved.hidden(-1), Catch::Contains("must be in [0, 2], is -1"));
}

TEST_CASE("a full workspace gives the gradient of a roomy one: nothing in it overlaps") {
  for (const config& c : all_models()) {
    const decoder<double> model(c);
    const auto parameters = normals<double>(model.parameters(), 2, 0.3);
    std::vector<std::int32_t> tokens, targets;
    for (index_t i = 0; i < 29; ++i) {
      tokens.push_back(static_cast<std::int32_t>((i * 7 + 3) % c.vocab));
      targets.push_back(static_cast<std::int32_t>((i * 5 + 1) % c.vocab));
    }
    const std::vector<index_t> offsets = {0, 29};
    const auto gradient = [&](index_t capacity) {
      workspace<double> w(c, capacity);
      model.forward(parameters, {tokens, offsets}, w);
      loss::likelihood(w.logits(), targets);
      std::vector<double> g(parameters.size(), 0.0);
      model.backward(parameters, {tokens, offsets}, w, g);
      return g;
    };
    CHECK(gradient(29) == gradient(1000));
  }
}
