// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/packed.hpp"

#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

namespace {

template <class S>
struct source_of {
  const parameter_layout& layout;
  const std::vector<S>& parameters;
  stored_matrix operator()(const tensor_id& id) const {
    return parameter_views<const S>{layout, parameters.data()}.matrix(id);
  }
};

}  // namespace

TEMPLATE_TEST_CASE("packed parameters multiply, embed and norm as those that they were made of", "",
                   (std::pair<float, float>), (std::pair<double, double>), (std::pair<float, bfloat16>),
                   (std::pair<float, float16>), (std::pair<double, bfloat16>)) {
  using T = typename TestType::first_type;
  using S = typename TestType::second_type;
  for (const config& c : small_models()) {
    const decoder<T> model(c);
    const auto stored = stored_as<S>(normals<T>(model.parameters(), 1, 0.4));
    const auto wide = converted_from<double>(stored);
    const adapted_decoder<T> whole(model, source_of<S>{model.layout(), stored}, {});
    const packed_parameters<T> packed(whole, {});
    const parameter_views<const double> expected{model.layout(), wide.data()};
    std::vector<std::int32_t> tokens;
    for (index_t i = 0; i < c.vocab; ++i) tokens.push_back(static_cast<std::int32_t>(c.vocab - 1 - i));
    std::vector<T> rows(static_cast<std::size_t>(c.vocab * c.d_model));
    packed.embed(tokens, as_rows(rows, c.vocab));
    for (index_t i = 0; i < c.vocab; ++i)
      for (index_t j = 0; j < c.d_model; ++j)
        REQUIRE(static_cast<double>(as_rows(rows, c.vocab)(i, j)) ==
                expected.matrix({role::tok_emb})(c.vocab - 1 - i, j));
    for (const tensor& t : model.table()) {
      if (t.kind == tensor_kind::norm || t.kind == tensor_kind::bias) {
        REQUIRE(packed.vector(t.id).size() == t.cols);
        for (index_t i = 0; i < t.cols; ++i)
          REQUIRE(static_cast<double>(packed.vector(t.id)[i]) == expected.vector(t.id)[i]);
        continue;
      }
      if (t.kind == tensor_kind::embedding && !c.tie_embeddings) continue;
      const tensor_id id = t.kind == tensor_kind::embedding ? tensor_id{role::wcls} : t.id;
      const auto x = normals<T>(3 * t.cols, 2);
      std::vector<T> y(static_cast<std::size_t>(3 * t.rows)), alone(static_cast<std::size_t>(t.rows));
      packed.forward(id, as_rows(x, 3), as_rows(y, 3));
      packed.forward(id, matrix_view<const T>(x.data() + 2 * t.cols, 1, t.cols), as_rows(alone, 1));
      for (index_t i = 0; i < t.rows; ++i) {
        double sum = expected.bias(id).size() > 0 ? expected.bias(id)[i] : 0;
        for (index_t j = 0; j < t.cols; ++j)
          sum += expected.matrix(id)(i, j) * static_cast<double>(x[static_cast<std::size_t>(2 * t.cols + j)]);
        REQUIRE(static_cast<double>(as_rows(y, 3)(2, i)) ==
                Approx(sum).margin(std::is_same_v<T, double> ? 1e-12 : 1e-5));
        REQUIRE(alone[static_cast<std::size_t>(i)] == as_rows(y, 3)(2, i));
      }
    }
  }
}

TEMPLATE_TEST_CASE("an adapter is in every packed product, merged or beside 16-bit parameters", "", float, bfloat16) {
  using S = TestType;
  const config c = small_models()[5];
  using enum role;
  const decoder<float> model(c);
  const auto stored = stored_as<S>(normals<float>(model.parameters(), 1, 0.4));
  const auto sites = adapter_sites(c, {wq, w2, wcls}, 3, 0.6);
  const adapted_decoder<float> adapted(model, source_of<S>{model.layout(), stored}, sites);
  const auto adapter = normals<float>(adapted.parameters(), 2, 0.3);
  const packed_parameters<float> packed(adapted, adapter);
  const auto merged = converted_from<double>(adapted.merged(adapter));
  const parameter_views<const double> expected{model.layout(), merged.data()};
  for (const tensor_id& id : {tensor_id{wq, 1}, tensor_id{wk, 1}, tensor_id{w2, 0}, tensor_id{wcls}}) {
    const auto w = expected.matrix(id);
    const auto x = normals<float>(2 * w.cols(), 3);
    std::vector<float> y(static_cast<std::size_t>(2 * w.rows()));
    packed.forward(id, as_rows(x, 2), as_rows(y, 2));
    for (index_t t = 0; t < 2; ++t)
      for (index_t i = 0; i < w.rows(); ++i) {
        double sum = expected.bias(id).size() > 0 ? expected.bias(id)[i] : 0;
        for (index_t j = 0; j < w.cols(); ++j) sum += w(i, j) * static_cast<double>(as_rows(x, 2)(t, j));
        CHECK(static_cast<double>(as_rows(y, 2)(t, i)) == Approx(sum).margin(1e-5));
      }
  }
  CHECK_THROWS_WITH(packed_parameters<float>(adapted, std::vector<float>(3)), Catch::Contains("adapter: has 3"));
}
