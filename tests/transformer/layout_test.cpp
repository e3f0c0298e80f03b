// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/layout.hpp"

#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

TEST_CASE("every tensor of the table is found by its id, and nothing else is") {
  for (const config& c : small_models()) {
    const parameter_layout layout(c);
    CHECK(layout.size() == parameter_count(c));
    for (std::size_t i = 0; i < layout.table().size(); ++i) {
      const tensor_id id = layout.table()[i].id;
      CHECK(layout.index(id) == static_cast<index_t>(i));
      CHECK(layout[layout.index(id)].name == layout.table()[i].name);
      CHECK(layout.index({id.role, id.layer, 0}) == -1);
      CHECK(layout.index({id.role, id.layer < 0 ? 0 : -1}) == -1);
    }
    CHECK(layout.index({role::wq, c.n_layers}) == -1);
    CHECK(layout.index({role::wq, -2}) == -1);
    CHECK((layout.index({role::bq, 0}) >= 0) == c.qkv_bias);
    CHECK((layout.index({role::q_norm, 0}) >= 0) == (c.qk_norm != query_key_norm::none));
    CHECK((layout.index({role::wcls}) == layout.index({role::tok_emb})) == c.tie_embeddings);
  }
}

TEST_CASE("experts are found by their number, and others are not") {
  const config c{.n_layers = 3, .experts = {.count = 4, .d_ff = 8, .shared_d_ff = 4, .dense = {1}}};
  const parameter_layout layout(c);
  for (std::size_t i = 0; i < layout.table().size(); ++i)
    CHECK(layout.index(layout.table()[i].id) == static_cast<index_t>(i));
  for (const tensor_id& id : {tensor_id{role::w1, 0}, tensor_id{role::w1, 0, 4}, tensor_id{role::w1, 1, 0},
                              tensor_id{role::w3, 1, 3}, tensor_id{role::w3, 2, -2}, tensor_id{role::router, 1},
                              tensor_id{role::router, 0, 0}, tensor_id{role::wcls, -1, 3}, tensor_id{role::w3, 2, 40}})
    CHECK(layout.index(id) == -1);
}

TEST_CASE("views are the tensors of a buffer, a matrix's bias where it has one") {
  const config c = small_models()[6];  // has all biases
  const parameter_layout layout(c);
  std::vector<double> buffer = normals<double>(layout.size(), 1);
  const parameter_views<double> views{layout, buffer.data()};
  for (const tensor& t : layout.table()) {
    const auto m = views.matrix(t.id);
    CHECK(
        (m.data() == buffer.data() + t.offset && m.rows() == t.rows && m.cols() == t.cols && m.row_stride() == t.cols));
    CHECK(views(t.id).data() == m.data());
    if (t.rows == 1) CHECK((views.vector(t.id).data() == m.data() && views.vector(t.id).size() == t.cols));
  }
  CHECK(views.bias({role::wq, 0}).data() == views.vector({role::bq, 0}).data());
  CHECK(views.bias({role::wo, 0}).size() == c.d_model);
  CHECK(views.bias({role::w1, 0}).size() == 0);
  const config plain = small_models()[0];
  const parameter_layout other(plain);
  CHECK(parameter_views<double>{other, buffer.data()}.bias({role::wq, 0}).size() == 0);
}

TEST_CASE("initial parameters: norms of 1, the rest normal of variance 1 / columns, a function of the seed") {
  const config c{.d_model = 64, .d_ff = 96, .n_layers = 2, .n_heads = 4, .n_kv_heads = 2, .vocab = 100, .max_seq = 8};
  const auto p = initial_parameters<float>(c, 5);
  for (const tensor& t : tensor_table(c)) {
    double sum = 0, squares = 0;
    for (index_t i = t.offset; i < t.offset + t.size(); ++i) {
      sum += static_cast<double>(p[static_cast<std::size_t>(i)]);
      squares += std::pow(static_cast<double>(p[static_cast<std::size_t>(i)]), 2);
    }
    const auto n = static_cast<double>(t.size()), width = static_cast<double>(t.cols);
    if (t.kind == tensor_kind::norm) {
      CHECK(sum == n);
      CHECK(squares == n);
    } else {
      CHECK(std::abs(sum / n) < 5 / std::sqrt(n * width));
      CHECK(squares / n * width == Approx(1).margin(5 * std::sqrt(2 / n)));
    }
  }
  CHECK(p == initial_parameters<float>(c, 5));
  CHECK(p != initial_parameters<float>(c, 6));
  const auto wide = initial_parameters<double>(c, 5);
  for (std::size_t i = 0; i < p.size(); ++i) REQUIRE(p[i] == static_cast<float>(wide[i]));
}

TEST_CASE("initial parameters are addressed draws: of a seed, in a stream, at their place; a selection has no bias") {
  config c{.d_model = 8, .d_ff = 6, .n_layers = 2, .n_heads = 2, .n_kv_heads = 1, .vocab = 5, .qkv_bias = true};
  c.experts = {.count = 3, .d_ff = 4, .selection_bias = true};
  const auto p = initial_parameters<double>(c, 77);
  for (const tensor& t : tensor_table(c)) {
    CAPTURE(t.name);
    for (const index_t i : {t.offset, t.offset + t.size() - 1}) {
      const double drawn = philox{77, 9}.normal(static_cast<std::uint64_t>(i)) / std::sqrt(static_cast<double>(t.cols));
      const double expected = t.kind == tensor_kind::norm ? 1 : t.id.role == role::selection_bias ? 0 : drawn;
      CHECK(p[static_cast<std::size_t>(i)] == Approx(expected).epsilon(1e-14));
    }
  }
}
