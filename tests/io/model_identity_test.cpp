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

TEST_CASE("an identity is the hash of a text and the tensors' bytes, from Python's hashlib") {
  std::vector<float> parameters(static_cast<std::size_t>(transformer::parameter_count(shape)));
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i] = static_cast<float>(i);
  CHECK(identify_model(shape, parameters).hash == "6dae331798019a3d19b378f81164eb1c5cd4aa003927254ae596fc1c971e8468");
  CHECK(identify_model(shape, parameters).config == shape);
}

TEST_CASE("every field that decides states is in an identity") {
  std::set<std::string> hashes;
  const auto other = [&](transformer::config c, auto&& change) {
    change(c);
    CHECK(hashes.insert(identify_model(c, drawn(c)).hash).second);
  };
  using transformer::config;
  config plain = shape, both_ways = shape, llama3 = shape, sparse = shape;
  both_ways.causal = false;
  llama3.scaling = {transformer::rope_scaling::method::llama3, 8, 1, 4, 100};
  sparse.causal = false;
  sparse.experts = {.count = 4, .d_ff = 6, .shared_d_ff = 2, .router = moe::softmax_then_top_k(2, {5, 4})};
  for (const config& c : {plain, both_ways, llama3, sparse}) other(c, [](config&) {});
  other(plain, [](config& c) { c.window = 3; });
  other(plain, [](config& c) { c.window = 3, c.full_layers = 1; });
  other(plain, [](config& c) { c.clip_qkv = 2; });
  other(plain, [](config& c) { c.qk_norm = transformer::query_key_norm::heads; });
  other(plain, [](config& c) { c.qkv_bias = true; });
  other(plain, [](config& c) { c.output_bias = true; });
  other(plain, [](config& c) { c.head_width = 2, c.n_heads = 4, c.n_kv_heads = 2; });  // the same tensors
  other(both_ways, [](config& c) { c.block = 4; });
  other(llama3, [](config& c) { c.scaling.factor = 9; });
  other(llama3, [](config& c) { c.scaling.low_frequency = 2; });
  other(llama3, [](config& c) { c.scaling.high_frequency = 5; });
  other(llama3, [](config& c) { c.scaling.original_max_seq = 101; });
  other(sparse, [](config& c) { c.experts.dense = {0}; });
  other(sparse, [](config& c) { c.experts.every = 2; });
  using moe::router;
  const auto routed = [&](auto&& change) { other(sparse, [&](config& c) { change(c.experts.router); }); };
  routed([](router& r) { r.over = moe::pool::sequence; });
  routed([](router& r) { r.renormalised = true; });
  routed([](router& r) { r.per_token = 1; });
  routed([](router& r) { r.capacity_numerator = 6; });
  routed([](router& r) { r.capacity_denominator = 3; });
  routed([](router& r) { r.dropped = moe::drop_policy::choice; });
  routed([](router& r) { r = moe::gshard({5, 4}); });
  routed([](router& r) { r = moe::gshard({5, 4}), r.second_at_random = !r.second_at_random; });
  routed([](router& r) { r = moe::expert_choice(2); });
  routed([](router& r) { r = moe::expert_choice(2), r.best_if_none = true; });
  routed([](router& r) { r = moe::expert_choice_sigmoid(2); });
  transformer::config mask = both_ways;
  mask.mask_token = 3;
  CHECK(identify_model(mask, drawn(mask)).hash == identify_model(both_ways, drawn(both_ways)).hash);
}
