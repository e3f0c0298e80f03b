// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/config.hpp"

#include "support/catch.hpp"

#include <limits>

using namespace hone::transformer;
using hone::index_t;

TEST_CASE("stories260K has 260,032 parameters, side by side in file order") {
  const auto table = tensor_table({});
  CHECK(parameter_count({}) == 260032);
  index_t offset = 0;
  for (const tensor& t : table) {
    CHECK(t.offset == offset);
    offset += t.size();
  }
  CHECK(table.front().name == "tok_emb");
  CHECK(table[1].name == "att_norm.0");
  CHECK(table.back().name == "final_norm");
  CHECK(table.size() == 2 + 9 * 5);
}

TEST_CASE("an untied classifier comes last") {
  const config c{.tie_embeddings = false};
  CHECK(tensor_table(c).back().name == "wcls");
  CHECK(parameter_count(c) == 260032 + 512 * 64);
}

TEST_CASE("a shape that cannot be is refused by the name of its field") {
  CHECK_THROWS_WITH(validate({.n_layers = 0}), Catch::Contains("n_layers: must be in [1, 2^31 - 1], is 0"));
  CHECK_THROWS_WITH(validate({.vocab = -512}), Catch::Contains("vocab"));
  CHECK_THROWS_WITH(validate({.n_heads = 7}), Catch::Contains("7 does not divide d_model 64"));
  CHECK_THROWS_WITH(validate({.n_kv_heads = 3}), Catch::Contains("3 does not divide n_heads 8"));
  CHECK_THROWS_WITH(validate({.d_model = 24}), Catch::Contains("head size 3 is odd"));
  CHECK_THROWS_WITH(validate({.norm_eps = 0}), Catch::Contains("norm_eps"));
  CHECK_THROWS_WITH(validate({.rope_base = std::numeric_limits<double>::quiet_NaN()}), Catch::Contains("rope_base"));
  CHECK_THROWS_AS(validate({.d_model = index_t{1} << 40}), std::invalid_argument);
}
