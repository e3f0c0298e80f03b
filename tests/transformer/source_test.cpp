// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/source.hpp"

#include "hone/transformer/generate.hpp"
#include "hone/transformer/trainer.hpp"
#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

TEMPLATE_TEST_CASE("a stored matrix is read as its elements, any part of it, with any stride of rows", "", float,
                   double, bfloat16, float16) {
  using S = TestType;
  const auto values = stored_as<S>(normals<double>(7 * 50, 1));
  const stored_matrix m = matrix_view<const S>(values.data(), 7, 41, 50, 1);
  CHECK((m.rows() == 7 && m.cols() == 41 && m.stored() == scalar_format<S>));
  const auto check = [&]<class T>(T) {
    std::vector<T> part(static_cast<std::size_t>(4 * 33));
    m.read(2, 5, as_rows(part, 4));
    for (index_t i = 0; i < 4; ++i)
      for (index_t j = 0; j < 33; ++j)
        REQUIRE(as_rows(part, 4)(i, j) ==
                static_cast<T>(to_accumulator(values[static_cast<std::size_t>((2 + i) * 50 + 5 + j)])));
  };
  check(0.0f);
  check(0.0);
  CHECK_THROWS_WITH(stored_matrix(matrix_view<const S>(values.data(), 7, 5, 50, 2)),
                    Catch::Contains("columns 2 elements"));
}

TEMPLATE_TEST_CASE("products with a stored matrix have the bits of those with its elements as T", "",
                   (std::pair<float, bfloat16>), (std::pair<float, float16>), (std::pair<double, bfloat16>),
                   (std::pair<float, double>), (std::pair<double, float>)) {
  using T = typename TestType::first_type;
  using S = typename TestType::second_type;
  // One block and several of rows, of columns; with rests of 0, 1 and 95; rows and depths below and above a tile.
  const std::pair<index_t, index_t> shapes[] = {{5, 3},      {96, 2731}, {192, 2731}, {193, 2800}, {287, 2731},
                                                {2731, 288}, {2731, 1},  {4000, 70},  {70, 4000},  {20000, 13},
                                                {13, 20000}, {33000, 8}, {999, 1001}, {1001, 999}};
  for (const auto& [outputs, inputs] : shapes)
    for (const index_t n : {2, 3, 8, 50}) {
      CAPTURE(outputs, inputs, n);
      const auto w = stored_as<S>(normals<T>(outputs * inputs, 2));
      const auto wide = converted_from<T>(w);
      const auto x = normals<T>(n * inputs, 3), dy = normals<T>(n * outputs, 4);
      auto y = normals<T>(n * outputs, 5), dx = normals<T>(n * inputs, 6);
      auto expected_y = y, expected_dx = dx;
      std::vector<T> memory;
      linear_forward<T>(as_rows(x, n), as_rows(w, outputs), as_rows(y, n), memory);
      linear_forward<T>(as_rows(x, n), as_rows(wide, outputs), as_rows(expected_y, n));
      REQUIRE(y == expected_y);
      for (const into how : {into::accumulate, into::overwrite}) {
        linear_backward_input<T>(as_rows(dy, n), as_rows(w, outputs), as_rows(dx, n), how, memory);
        linear_backward_input<T>(as_rows(dy, n), as_rows(wide, outputs), as_rows(expected_dx, n), how);
        REQUIRE(dx == expected_dx);
      }
      const index_t longest = (std::max)(outputs, inputs);
      REQUIRE(static_cast<index_t>(memory.size()) <= (std::max)(index_t{1} << 18, 96 * longest) + 96 * longest);
    }
}

TEST_CASE("a matrix that is stored as T is used where it lies") {
  const auto w = normals<float>(400 * 1000, 1), x = normals<float>(3 * 1000, 2);
  std::vector<float> y(1200), dx(3000), memory;
  linear_forward<float>(as_rows(x, 3), as_rows(w, 400), as_rows(y, 3), memory);
  linear_backward_input<float>(as_rows(y, 3), as_rows(w, 400), as_rows(dx, 3), into::overwrite, memory);
  CHECK(memory.empty());
}

namespace {

/// Parameters stored as S: norms and biases too, or, with @p mixed, as double.
template <class S>
struct stored_model {
  stored_model(const config& c, const std::vector<float>& parameters, bool mixed)
      : layout(c), narrow(stored_as<S>(parameters)), wide(converted_from<double>(narrow)), mixed_vectors(mixed) {}
  stored_matrix operator()(const tensor_id& id) const {
    const tensor& t = layout[layout.index(id)];
    if (mixed_vectors && t.rows == 1) return matrix_view<const double>(wide.data() + t.offset, t.rows, t.cols);
    return matrix_view<const S>(narrow.data() + t.offset, t.rows, t.cols);
  }

  parameter_layout layout;
  std::vector<S> narrow;
  std::vector<double> wide;
  bool mixed_vectors;
};

/// All matrices that a model of this configuration may adapt.
std::vector<lora::site> everywhere(const config& c) {
  using enum role;
  if (c.tie_embeddings) return adapter_sites(c, {wq, wk, wv, wo, w1, w2, w3}, 2, 0.7);
  return adapter_sites(c, {wcls, w3, wq, wk, wv, wo, w1, w2}, 2, 0.7);
}

}  // namespace

TEMPLATE_TEST_CASE("over 16-bit parameters an adapter's step has the bits of one over the floats that they convert to",
                   "", bfloat16, float16) {
  using S = TestType;
  auto models = all_models();
  models.push_back(
      {.d_model = 160, .d_ff = 2000, .n_layers = 1, .n_heads = 5, .n_kv_heads = 5, .vocab = 3000, .max_seq = 60});
  for (const config& c : models) {
    CAPTURE(c.d_model, c.d_ff);
    const decoder<float> model(c);
    const stored_model<S> source(c, normals<float>(model.parameters(), 1, 0.3), c.n_layers == 2);
    const auto floats = converted_from<float>(source.narrow);
    const adapted_decoder<float> narrow(model, source, everywhere(c)), wide(model, floats, everywhere(c));
    const auto adapter = normals<float>(narrow.parameters(), 2, 0.3);
    const sequences t(c);
    const auto step = [&](const adapted_decoder<float>& m) {
      workspace<float> w(c, 24);
      m.forward(adapter, t.all(), w);
      std::vector<float> result(w.logits().data(), w.logits().data() + 24 * c.vocab);
      loss::likelihood(w.logits(), t.targets);
      std::vector<float> gradient(adapter.size(), 0.0f);
      const auto slope = normals<float>(24 * c.d_model, 3, 0.1);
      const tap_gradient<float> tap{0, as_rows(slope, 24)};
      m.backward(adapter, t.all(), w, w.logits(), std::span(&tap, 1), gradient);
      result.insert(result.end(), gradient.begin(), gradient.end());
      return result;
    };
    CHECK(step(narrow) == step(wide));
    CHECK(narrow.merged(adapter) == wide.merged(adapter));

    // Without sites: the frozen model itself.
    workspace<float> plain(c, 24), frozen(c, 24);
    model.forward(floats, t.all(), plain);
    adapted_decoder<float>(model, source, {}).forward({}, t.all(), frozen);
    for (index_t i = 0; i < 24 * c.vocab; ++i) REQUIRE(frozen.logits().data()[i] == plain.logits().data()[i]);
  }
}

TEST_CASE("a generator keeps 16-bit parameters, with the bits of their floats, and an adapter beside them") {
  for (const config& c : all_models()) {
    if (!c.causal) continue;
    const decoder<float> model(c);
    const stored_model<bfloat16> source(c, normals<float>(model.parameters(), 1, 0.3), false);
    const auto floats = converted_from<float>(source.narrow);
    const sequences t(c);
    const auto logits = [&](const generator<float>& generate) {
      std::vector<float> z(static_cast<std::size_t>(24 * c.vocab));
      kv_cache<float> cache(c, 24);
      generate.feed(t.tokens, cache, as_rows(z, 24));
      return z;
    };
    CHECK(logits(generator<float>(model, source)) == logits(generator<float>(model, floats)));
    const adapted_decoder<float> narrow(model, source, everywhere(c)), wide(model, floats, everywhere(c));
    const auto adapter = normals<float>(narrow.parameters(), 2, 0.3);
    const auto beside = logits(generator<float>(narrow, adapter)), merged = logits(generator<float>(wide, adapter));
    for (std::size_t i = 0; i < beside.size(); ++i) REQUIRE(beside[i] == Approx(merged[i]).margin(2e-4));
  }
}

TEST_CASE("the trainer takes an adapter over a 16-bit base") {
  const config c = small_models()[0];
  const decoder<float> model(c);
  const stored_model<bfloat16> source(c, normals<float>(model.parameters(), 1, 0.3), false);
  const auto floats = converted_from<float>(source.narrow);
  const sequences t(c);
  const auto train = [&](const adapted_decoder<float>& m) {
    const auto adapter = normals<float>(m.parameters(), 2, 0.3);
    std::vector<float> gradient(adapter.size(), 0.0f);
    gradient_lanes<float> lanes(m, 15, 2);
    accumulate_gradient(
        m, adapter, t.all(),
        [&](microbatch<float>& part) {
          return loss::likelihood(part.activations.logits(), part.rows_of<std::int32_t>(t.targets));
        },
        lanes, gradient);
    return gradient;
  };
  CHECK(train({model, source, everywhere(c)}) == train({model, floats, everywhere(c)}));
}

TEST_CASE("a source whose tensors have other shapes is refused by the tensor's name") {
  const config c = small_models()[0];
  config other = c;
  other.d_ff = 21;
  const decoder<float> model(c);
  const stored_model<bfloat16> source(other, normals<float>(parameter_count(other), 1), false);
  CHECK_THROWS_WITH(adapted_decoder<float>(model, source, {}), Catch::Contains("w1.0: is 21 x 12, must be 20 x 12"));
  CHECK_THROWS_WITH(generator<float>(model, source), Catch::Contains("w1.0: is 21 x 12"));
}
