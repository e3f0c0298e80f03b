// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/decoder.hpp"

#include "hone/loss/likelihood.hpp"
#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

TEMPLATE_TEST_CASE("logits and hidden states are those of the naive decoder", "", double, float) {
  using T = TestType;
  for (const config& c : all_models()) {
    const decoder<T> model(c);
    const auto wide = normals<double>(model.parameters(), 1, 0.4);
    const std::vector<T> parameters(wide.begin(), wide.end());
    const std::vector<double> rounded(parameters.begin(), parameters.end());
    const sequences s(c);
    workspace<T> w(c, 30);
    model.forward(parameters, s.all(), w);
    const double tolerance = std::is_same_v<T, double> ? 1e-11 : 5e-4;
    for (index_t sequence = 0; sequence < 4; ++sequence) {
      const auto begin = s.all().begin(sequence), end = s.all().end(sequence);
      const naive_decoder naive(c, rounded, {s.tokens.begin() + begin, s.tokens.begin() + end});
      for (index_t t = begin; t < end; ++t) {
        const auto row = static_cast<std::size_t>(t - begin);
        for (index_t v = 0; v < c.vocab; ++v)
          REQUIRE(static_cast<double>(w.logits()(t, v)) ==
                  Approx(naive.logits[row][static_cast<std::size_t>(v)]).margin(tolerance));
        for (index_t layer = 0; layer <= c.n_layers; ++layer)
          for (index_t i = 0; i < c.d_model; ++i)
            REQUIRE(static_cast<double>(w.hidden(layer)(t, i)) ==
                    Approx(naive.hidden[static_cast<std::size_t>(layer)][row][static_cast<std::size_t>(i)])
                        .margin(tolerance));
      }
    }
  }
}

TEST_CASE("the whole model passes the gradient check, with gradients on logits and on every tap") {
  for (const config& c : all_models()) {
    const decoder<double> model(c);
    CHECK(tapped_gradient_error(model, normals<double>(model.parameters(), 2, 0.3)) < 1e-6);
  }
}

TEST_CASE("a critic has as many outputs as it is told, and passes the gradient check") {
  for (const index_t outputs : {index_t{1}, index_t{3}, index_t{30}}) {
    config c = small_models()[1];
    c.outputs = outputs;
    const decoder<double> model(c);
    const auto parameters = normals<double>(model.parameters(), 7, 0.3);
    const sequences s(c);
    workspace<double> w(c, 24);
    const auto slope = normals<double>(s.all().rows() * outputs, 8);
    const auto loss = [&](const std::vector<double>& p) {
      model.forward(p, s.all(), w);
      double sum = 0;
      for (index_t t = 0; t < s.all().rows(); ++t)
        for (index_t i = 0; i < outputs; ++i)
          sum += w.logits()(t, i) * slope[static_cast<std::size_t>(t * outputs + i)];
      return sum;
    };
    loss(parameters);
    REQUIRE(w.logits().cols() == outputs);
    const naive_decoder naive(c, parameters, {s.tokens.begin(), s.tokens.begin() + s.all().end(0)});
    for (index_t t = 0; t < s.all().end(0); ++t)
      for (index_t i = 0; i < outputs; ++i)
        REQUIRE(w.logits()(t, i) ==
                Approx(naive.logits[static_cast<std::size_t>(t)][static_cast<std::size_t>(i)]).margin(1e-11));
    std::vector<double> gradient(parameters.size(), 0.0);
    model.backward(parameters, s.all(), w, as_rows(slope, s.all().rows()), {}, gradient);
    CHECK(gradient_error(parameters, gradient, loss) < 1e-6);
    const auto vocabulary = normals<double>(s.all().rows() * c.vocab, 9);
    CHECK_THROWS_WITH(model.backward(parameters, s.all(), w, as_rows(vocabulary, s.all().rows()), {}, gradient),
                      Catch::Contains("dlogits"));
  }
}

TEST_CASE("backward adds to the gradient, may run twice, and without logits passes the classifier over") {
  const config c = small_models()[1];
  const decoder<double> model(c);
  const auto parameters = normals<double>(model.parameters(), 4, 0.3);
  const sequences s(c);
  workspace<double> w(c, 24);
  model.forward(parameters, s.all(), w);
  loss::likelihood(w.logits(), s.targets);
  std::vector<double> once(parameters.size(), 0.0), twice(parameters.size(), 0.0);
  model.backward(parameters, s.all(), w, once);
  model.backward(parameters, s.all(), w, twice);
  model.backward(parameters, s.all(), w, twice);
  for (std::size_t i = 0; i < once.size(); ++i) REQUIRE(twice[i] == Approx(2 * once[i]).margin(1e-12));

  std::vector<double> tapped(parameters.size(), 0.0);
  const auto slope = normals<double>(24 * c.d_model, 5);
  const tap_gradient<double> tap{0, as_rows(slope, 24)};
  model.backward(parameters, s.all(), w, matrix_view<const double>(), std::span(&tap, 1), tapped);
  CHECK(squared_norm(std::span(tapped).first(static_cast<std::size_t>(c.vocab * c.d_model))) > 0);
  CHECK(squared_norm(std::span(tapped).subspan(static_cast<std::size_t>(c.vocab * c.d_model))) == 0);
}

TEST_CASE("a causal model does not see the future; a bidirectional one does") {
  for (const bool causal : {true, false}) {
    config c = small_models()[0];
    c.causal = causal;
    const decoder<double> model(c);
    const auto parameters = normals<double>(model.parameters(), 6, 0.4);
    std::vector<std::int32_t> tokens = {1, 2, 3, 4, 5};
    const std::vector<index_t> offsets = {0, 5};
    workspace<double> w(c, 5);
    model.forward(parameters, {tokens, offsets}, w);
    const double first = w.logits()(0, 0), third = w.logits()(2, 0);
    tokens[4] = 9;
    model.forward(parameters, {tokens, offsets}, w);
    CHECK((w.logits()(0, 0) == first) == causal);
    CHECK((w.logits()(2, 0) == third) == causal);
  }
}

TEST_CASE("what does not fit the model is refused") {
  const config c = small_models()[0];
  const decoder<float> model(c);
  std::vector<float> parameters(static_cast<std::size_t>(model.parameters())), few(10);
  std::vector<std::int32_t> tokens(61, 1), strange = {1, 11}, negative = {-1};
  workspace<float> w(c, 61), other(small_models()[1], 61), narrow(c, 1);
  const std::vector<index_t> one = {0, 61}, two = {0, 30, 61}, pair = {0, 2}, wrong = {0, 40, 30, 61}, single = {0, 1};
  CHECK_THROWS_WITH(model.forward(few, {tokens, two}, w), Catch::Contains("parameters: has 10"));
  CHECK_THROWS_WITH(model.forward(parameters, {tokens, one}, w), Catch::Contains("sequence 0 has 61 tokens"));
  CHECK_THROWS_WITH(model.forward(parameters, {tokens, wrong}, w), Catch::Contains("sequence 1"));
  CHECK_THROWS_WITH(model.forward(parameters, {tokens, pair}, w), Catch::Contains("offsets"));
  CHECK_THROWS_WITH(model.forward(parameters, {strange, pair}, w), Catch::Contains("token 11, the vocabulary has 11"));
  CHECK_THROWS_WITH(model.forward(parameters, {negative, single}, w), Catch::Contains("token -1"));
  CHECK_THROWS_WITH(model.forward(parameters, {tokens, two}, narrow),
                    Catch::Contains("61 rows, the workspace holds 1"));
  CHECK_THROWS_WITH(model.forward(parameters, {tokens, two}, other), Catch::Contains("another shape"));
  CHECK_THROWS_WITH(w.hidden(3), Catch::Contains("layer"));
  CHECK_THROWS_WITH(workspace<float>(c, 0), Catch::Contains("rows"));
  model.forward(parameters, {tokens, two}, w);
  CHECK_THROWS_WITH(model.backward(parameters, {tokens, two}, w, few), Catch::Contains("gradient: has 10"));
  const tap_gradient<float> tap{4, w.hidden(0)}, short_tap{0, matrix_view<float>(few.data(), 1, 10)};
  CHECK_THROWS_WITH(model.backward(parameters, {tokens, two}, w, w.logits(), std::span(&tap, 1), parameters),
                    Catch::Contains("taps"));
  CHECK_THROWS_WITH(model.backward(parameters, {tokens, two}, w, w.logits(), std::span(&short_tap, 1), parameters),
                    Catch::Contains("taps"));
  CHECK_THROWS_WITH(
      model.backward(parameters, {tokens, two}, w, matrix_view<const float>(few.data(), 2, 5), {}, parameters),
      Catch::Contains("dlogits"));
  config broken = c;
  broken.n_heads = 5;
  CHECK_THROWS_WITH(decoder<float>(broken), Catch::Contains("n_heads"));
}

TEST_CASE("the borders of what fits, and gradients that are not of the batch") {
  const config c = small_models()[0];
  const decoder<float> model(c);
  std::vector<float> parameters(static_cast<std::size_t>(model.parameters())), gradient(parameters.size()),
      wide(std::size_t{60} * 22);
  const std::vector<std::int32_t> tokens(60, 10);
  const std::vector<index_t> all = {0, 60}, late = {1, 60}, none = {}, halves = {0, 30, 60}, one = {0, 1};
  workspace<float> w(c, 60);
  CHECK_NOTHROW(model.forward(parameters, {tokens, all}, w));
  CHECK_THROWS_WITH(model.forward(parameters, {tokens, late}, w), Catch::Contains("offsets must begin with 0"));
  CHECK_THROWS_WITH(model.forward(parameters, {tokens, none}, w), Catch::Contains("offsets must begin with 0"));
  const batch b{tokens, halves};
  model.forward(parameters, b, w);
  const auto backward = [&](matrix_view<const float> dlogits, const tap_gradient<float>& tap) {
    model.backward(parameters, b, w, dlogits, std::span(&tap, 1), gradient);
  };
  const matrix_view<const float> slopes = w.logits(), hidden = w.hidden(0);
  CHECK_NOTHROW(backward(slopes, {0, hidden}));
  CHECK_NOTHROW(backward({}, {3, hidden}));
  CHECK_THROWS_WITH(backward(slopes, {-1, hidden}), Catch::Contains("taps: layer -1, must be of a layer in [0, 3]"));
  CHECK_THROWS_WITH(backward(slopes, {4, hidden}), Catch::Contains("taps: layer 4"));
  CHECK_THROWS_WITH(backward(slopes, {0, {wide.data(), 59, 12}}), Catch::Contains("taps: layer 0: is 59 x 12"));
  CHECK_THROWS_WITH(backward(slopes, {0, {wide.data(), 60, 11}}), Catch::Contains("taps: layer 0: is 60 x 11"));
  CHECK_THROWS_WITH(backward({wide.data(), 59, 11}, {0, hidden}), Catch::Contains("dlogits: is 59 x 11"));
  CHECK_THROWS_WITH(backward({wide.data(), 60, 10}, {0, hidden}), Catch::Contains("dlogits: is 60 x 10"));
  CHECK_THROWS_WITH(backward({wide.data(), 60, 11, 22, 2}, {0, hidden}), Catch::Contains("with adjacent columns"));
  CHECK_THROWS_WITH(model.backward(parameters, {std::span(tokens).first(1), one}, w, gradient),
                    Catch::Contains("b: has 1 rows, the workspace holds a batch of 60"));
}
