// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/model_identity.hpp"

#include "hone/core/random.hpp"
#include "io/support.hpp"

#include <set>

using namespace hone;
using namespace hone::io;

namespace {

const transformer::config shape = {
    .d_model = 8, .d_ff = 12, .n_layers = 2, .n_heads = 2, .n_kv_heads = 1, .vocab = 10, .tie_embeddings = false};

std::vector<float> drawn(const transformer::config& c) {
  std::vector<float> x(static_cast<std::size_t>(io::detail::parameters_of(transformer::tensor_table(c))));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(philox{4}.normal(i));
  return x;
}

}  // namespace

TEST_CASE("an identity is that of the tensors that the states depend on") {
  const std::vector<float> parameters = drawn(shape);
  const std::string hash = identify_model(shape, parameters).hash;
  CHECK(hash.size() == 64);
  CHECK(identify_model(shape, parameters).hash == hash);
  for (const transformer::tensor& t : transformer::tensor_table(shape)) {
    CAPTURE(t.name);
    std::vector<float> changed = parameters;
    changed[static_cast<std::size_t>(t.offset + t.size() - 1)] += 1;
    CHECK((identify_model(shape, changed).hash == hash) == (t.id.role == transformer::role::wcls));
  }
  std::set<std::string> hashes = {hash};
  const auto other = [&](auto&& change) {
    transformer::config c = shape;
    change(c);
    CHECK(hashes.insert(identify_model(c, parameters).hash).second);
  };
  other([](transformer::config& c) { c.rope_base = 500; });
  other([](transformer::config& c) { c.norm_eps = 1e-6; });
  other([](transformer::config& c) { c.rope = transformer::rope_layout::half; });
  other([](transformer::config& c) { c.causal = false; });
  other([](transformer::config& c) { c.window = 3; });
  other([](transformer::config& c) { c.scaling = {.how = transformer::rope_scaling::method::linear, .factor = 2}; });
  transformer::config longer = shape;
  longer.max_seq = 99;
  CHECK(identify_model(longer, parameters).hash == hash);
  CHECK_THROWS_AS(identify_model(shape, std::span(parameters).first(9)), std::invalid_argument);
}
