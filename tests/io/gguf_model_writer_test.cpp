// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/gguf_model_writer.hpp"

#include "hone/io/hugging_face.hpp"
#include "io/support.hpp"

using namespace hone;
using namespace hone::io;

namespace {

checkpoint written(const transformer::config& c, std::span<const float> parameters, format stored = format::float32) {
  const scratch_folder folder;
  write_gguf_model(folder.path / "m.gguf", c, parameters, stored);
  return read_gguf_model(folder.path / "m.gguf");
}

}  // namespace

TEST_CASE("a model that is written is read as it was, its rows in its architecture's layout") {
  for (const char* name : {"llama", "llama3", "qwen2", "qwen3", "mixtral", "olmoe", "qwen3_moe"}) {
    CAPTURE(name);
    checkpoint m = read_hugging_face(golden_file("families") / name);  // whose elements are bfloat16
    m.config.window = m.config.full_layers = 0;
    for (const format stored : {format::float32, format::bfloat16}) {
      const checkpoint again = written(m.config, m.parameters, stored);
      transformer::config c = again.config;
      c.rope = transformer::rope_layout::half;
      c.norm_eps = m.config.norm_eps;
      CHECK(again.config.norm_eps == Approx(m.config.norm_eps));
      CHECK(c == m.config);
      const bool llama = again.config.rope == transformer::rope_layout::interleaved;
      CHECK((again.parameters == m.parameters) == !llama);
      if (llama) {  // and back, by the other writer
        const scratch_folder folder;
        write_hugging_face(folder.path, again.config, again.parameters);
        CHECK(read_hugging_face(folder.path).parameters == m.parameters);
      }
    }
  }
}

TEST_CASE("files have the names, types and metadata that llama.cpp's own converter gives them") {
  for (const char* name : {"llama3", "qwen2", "qwen3", "mixtral", "olmoe", "qwen3_moe"}) {
    CAPTURE(name);
    const gguf expected = read_gguf(golden_file("families") / (name + std::string(".gguf")));
    checkpoint m = read_hugging_face(golden_file("families") / name);
    m.config.window = m.config.full_layers = 0;
    const scratch_folder folder;
    write_gguf_model(folder.path / "m.gguf", m.config, m.parameters, format::bfloat16);
    const gguf file = read_gguf(folder.path / "m.gguf");
    REQUIRE(file.tensors.size() == expected.tensors.size());
    for (std::size_t i = 0; i < file.tensors.size(); ++i) {
      const stored_tensor &own = file.tensors[i], &other = expected.tensors[i];
      CAPTURE(own.name);
      CHECK(own.name == other.name);
      CHECK(own.shape == other.shape);
      CHECK(std::string(own.type->name) == other.type->name);
      if (own.name == "rope_freqs.weight") continue;  // made in float there
      CHECK(std::equal(own.bytes.begin(), own.bytes.end(), other.bytes.begin(), other.bytes.end()));
    }
    for (const auto& [key, value] : expected.metadata) {
      CAPTURE(key);
      REQUIRE(file.find(key) != nullptr);
      CHECK(*file.find(key) == value);
    }
  }
}

TEST_CASE("a bidirectional model, linear scaling and a tokenizer's metadata are in the file") {
  transformer::config c{
      .d_model = 8, .d_ff = 4, .n_layers = 1, .n_heads = 2, .n_kv_heads = 1, .vocab = 6, .max_seq = 4};
  c.causal = false;
  c.mask_token = 5;
  c.scaling = {.how = transformer::rope_scaling::method::linear, .factor = 2.5};
  c.qkv_bias = c.output_bias = true;
  std::vector<float> parameters(static_cast<std::size_t>(transformer::parameter_count(c)));
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i] = static_cast<float>(i);
  const scratch_folder folder;
  write_gguf_model(folder.path / "m.gguf", c, parameters, format::float32,
                   {{"tokenizer.ggml.model", std::string("llama")},
                    {"tokenizer.ggml.mask_token_id", std::uint32_t{4}},
                    {"x", std::uint32_t{3}}});
  const checkpoint m = read_gguf_model(folder.path / "m.gguf");
  c.norm_eps = m.config.norm_eps;
  CHECK(m.config == c);
  CHECK(m.parameters == parameters);
  const gguf file = read_gguf(folder.path / "m.gguf");
  CHECK(*file.text("tokenizer.ggml.model") == "llama");
  CHECK(file.whole("x") == 3);
  CHECK(file.whole("tokenizer.ggml.mask_token_id") == 5);
  CHECK(file.whole("llama.vocab_size") == 6);
  write_gguf_model(folder.path / "n.gguf", c, parameters);
  CHECK(*read_gguf(folder.path / "n.gguf").text("tokenizer.ggml.model") == "none");
}

TEST_CASE("what llama.cpp does not compute is not written") {
  const scratch_folder folder;
  const auto refused = [&](transformer::config c, const char* why) {
    CHECK_THROWS_WITH(write_gguf_model(folder.path / "m.gguf", c, std::vector<float>(3)), Catch::Contains(why));
    CHECK(folder.entries() == 0);
  };
  using transformer::config;
  using transformer::query_key_norm;
  const transformer::expert_layers two = {.count = 4, .d_ff = 8, .router = moe::top_k_then_softmax(2)};
  const auto with_experts = [&](auto change) {
    config c{.tie_embeddings = false, .experts = two};
    change(c);
    return c;
  };
  refused({}, "has 3 parameters");
  refused({.causal = false, .block = 4}, "block: GGUF has no key for the length of blocks");
  refused({.window = 3}, "has a window or cut projections");
  refused({.clip_qkv = 3}, "has a window or cut projections");
  refused({.tie_embeddings = false, .outputs = 1}, "vocabulary");
  refused({.qk_norm = query_key_norm::whole}, "OLMoE's, which has experts");
  refused({.qkv_bias = true, .output_bias = true, .qk_norm = query_key_norm::heads}, "has no biases");
  refused({.qkv_bias = true, .qk_norm = query_key_norm::heads}, "has no biases");
  refused({.output_bias = true, .qk_norm = query_key_norm::heads}, "has no biases");
  refused({.scaling = {transformer::rope_scaling::method::llama3, 8, 1, 4, 100}}, "only the factor is free");
  refused({.scaling = {transformer::rope_scaling::method::llama3, 8, 1, 4, 8192}, .qk_norm = query_key_norm::heads},
          "of the architecture llama alone");
  refused(with_experts([](config& c) { c.experts.every = 2; }), "experts in all layers");
  refused(with_experts([](config& c) { c.experts.shared_d_ff = 2; }), "shared experts");
  refused(with_experts([](config& c) { c.experts.router = moe::expert_threshold(2); }), "neither this router");
  refused(with_experts([](config& c) { c.experts.router = moe::softmax_then_top_k(2); }), "gates sum to 1");
  refused(with_experts([](config& c) { c.qk_norm = query_key_norm::whole, c.n_kv_heads = 8; }), "gates sum to 1");
  refused(with_experts([](config& c) {
            c.qk_norm = query_key_norm::whole;
            c.experts.router = moe::softmax_then_top_k(2);
          }),
          "as many heads of keys");
  const auto olmoe = [&](auto change) {
    return with_experts([&](config& c) {
      c.qk_norm = query_key_norm::whole, c.n_kv_heads = 8, c.experts.router = moe::softmax_then_top_k(2);
      change(c);
    });
  };
  refused(olmoe([](config&) {}), "has 3 parameters");
  refused(olmoe([](config& c) { c.tie_embeddings = true; }), "a classifier of its own");
  refused(olmoe([](config& c) { c.head_width = 16, c.n_kv_heads = 4; }), "of d_model / n_heads");  // as wide together
  refused(with_experts([](config& c) { c.experts.selection_bias = true; }), "neither this router");
  // What matters to a limit alone is of no concern.
  refused(with_experts([](config& c) { c.experts.router.over = moe::pool::batch; }), "has 3 parameters");
  refused(with_experts([](config& c) { c.experts.router.dropped = moe::drop_policy::choice; }), "has 3 parameters");
}

TEST_CASE("a mask among the tokenizer's metadata stays where the model has none") {
  const transformer::config c{
      .d_model = 8, .d_ff = 4, .n_layers = 1, .n_heads = 2, .n_kv_heads = 1, .vocab = 6, .max_seq = 4};
  const std::vector<float> parameters(static_cast<std::size_t>(transformer::parameter_count(c)));
  const scratch_folder folder;
  write_gguf_model(folder.path / "m.gguf", c, parameters, format::float16,
                   {{"tokenizer.ggml.mask_token_id", std::uint32_t{4}}});
  const gguf file = read_gguf(folder.path / "m.gguf");
  CHECK(file.whole("tokenizer.ggml.mask_token_id") == 4);
  for (const stored_tensor& t : file.tensors) CHECK(std::string(t.type->name) == (t.shape.size() == 1 ? "F32" : "F16"));
}
