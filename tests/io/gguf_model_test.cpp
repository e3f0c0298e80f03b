// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/gguf_model.hpp"

#include "hone/io/gguf_writer.hpp"
#include "hone/io/hugging_face.hpp"
#include "io/support.hpp"

using namespace hone;
using namespace hone::io;

namespace {

/// The parts of a GGUF file, to be changed and written.
struct parts {
  explicit parts(const char* name) : file(read_gguf(golden_file("families") / (name + std::string(".gguf")))) {
    metadata = file.metadata;
    for (const stored_tensor& t : file.tensors) elements.push_back(elements_of(t));
    for (std::size_t i = 0; i < elements.size(); ++i)
      tensors.push_back({file.tensors[i].name, file.tensors[i].shape, elements[i]});
  }
  void set(const std::string& key, gguf_value value) {
    for (auto& [name, old] : metadata)
      if (name == key) {
        old = std::move(value);
        return;
      }
    metadata.emplace_back(key, std::move(value));
  }
  void erase(const std::string& key) {
    std::erase_if(metadata, [&](const auto& pair) { return pair.first == key; });
    std::erase_if(tensors, [&](const auto& t) { return t.name == key; });
  }
  [[nodiscard]] std::vector<float>& of(const std::string& name) {
    for (std::size_t i = 0; i < tensors.size(); ++i)
      if (tensors[i].name == name) return elements[i];
    throw std::logic_error(name);
  }
  [[nodiscard]] checkpoint read() const {
    const scratch_folder folder;
    write_gguf(folder.path / "m.gguf", metadata, tensors);
    return read_gguf_model(folder.path / "m.gguf");
  }
  [[nodiscard]] std::string reason() const {
    const auto error = format_error_of([&] { (void)read(); });
    return error ? error->reason() : "";
  }

  gguf file;
  gguf_metadata metadata;
  std::vector<std::vector<float>> elements;
  std::vector<tensor_source> tensors;
};

}  // namespace

TEST_CASE("a GGUF model is that of the folder: the same configuration, rows of q and k in its architecture's layout") {
  for (const char* name : {"llama3", "qwen2", "qwen3"}) {
    const checkpoint folder = read_hugging_face(golden_file("families") / name);
    const checkpoint m = read_gguf_model(golden_file("families") / (name + std::string(".gguf")));
    transformer::config c = folder.config;
    const bool llama = std::string(name) == "llama3";
    if (llama) c.rope = transformer::rope_layout::interleaved;
    c.window = c.full_layers = 0;
    const auto& a = m.config;
    CHECK((a.d_model == c.d_model && a.d_ff == c.d_ff && a.n_layers == c.n_layers && a.n_heads == c.n_heads &&
           a.n_kv_heads == c.n_kv_heads && a.vocab == c.vocab && a.max_seq == c.max_seq && a.rope == c.rope));
    CHECK(
        (a.scaling == c.scaling && a.head_width == c.head_width && a.qkv_bias == c.qkv_bias && a.qk_norm == c.qk_norm));
    CHECK(a.rope_base == c.rope_base);
    CHECK(a.norm_eps == Approx(c.norm_eps));
    CHECK((m.parameters == folder.parameters) == !llama);
  }
}

TEST_CASE("biases of llama, an output of its own and linear scaling are read from what a GGUF file has") {
  parts p("llama3");
  p.erase("rope_freqs.weight");
  p.set("llama.rope.scaling.type", std::string("linear"));
  p.set("llama.rope.scaling.factor", 4.0f);
  const std::vector<float> output(64 * 32, 0.25f), wide(32, 0.5f), narrow(16, 0.125f);
  p.tensors.push_back({"output.weight", {64, 32}, output});
  for (const char* layer : {"blk.0.", "blk.1."}) {
    p.tensors.push_back({layer + std::string("attn_q.bias"), {32}, wide});
    p.tensors.push_back({layer + std::string("attn_k.bias"), {16}, narrow});
    p.tensors.push_back({layer + std::string("attn_v.bias"), {16}, narrow});
    p.tensors.push_back({layer + std::string("attn_output.bias"), {32}, wide});
  }
  const checkpoint m = p.read();
  CHECK((m.config.qkv_bias && m.config.output_bias && !m.config.tie_embeddings));
  CHECK(m.config.scaling == transformer::rope_scaling{.how = transformer::rope_scaling::method::linear, .factor = 4});
  CHECK(m.parameters.back() == 0.25f);
  p.tensors.pop_back();
  CHECK(p.reason() == "there is no tensor \"blk.1.attn_output.bias\"");
}

TEST_CASE("keys that are optional have llama.cpp's defaults") {
  parts p("llama3");
  p.erase("llama.attention.head_count_kv");
  CHECK_THAT(p.reason(), Catch::Contains("\"blk.0.attn_k.weight\": has the shape [16, 32], must have [32, 32]"));
  parts q("qwen3");
  q.erase("qwen3.rope.freq_base");
  CHECK(q.read().config.rope_base == 10000);
  q.set("qwen3.rope.scaling.type", std::string("none"));
  CHECK(q.read().config.scaling == transformer::rope_scaling{});
}

TEST_CASE("metadata that are missing, of another type or ask for more are refused by their key") {
  const auto reason = [](const char* key, std::optional<gguf_value> value) {
    parts p("llama3");
    if (value)
      p.set(key, *value);
    else
      p.erase(key);
    return p.reason();
  };
  CHECK(reason("general.architecture", {}) == "general.architecture: is missing or not a text");
  CHECK(reason("general.architecture", std::string("gemma")) ==
        "general.architecture: \"gemma\" is not one of llama, qwen2, qwen3, olmoe, qwen3moe");
  CHECK(reason("general.type", std::string("adapter")) == "general.type: \"adapter\" is not \"model\"");
  for (const char* key : {"llama.embedding_length", "llama.feed_forward_length", "llama.block_count",
                          "llama.attention.head_count", "llama.context_length"}) {
    CHECK(reason(key, {}) == key + std::string(": is missing"));
    CHECK(reason(key, std::string("8")) == key + std::string(": is not a whole number in [0, 2^31 - 1]"));
    CHECK(reason(key, std::int64_t{-8}) == key + std::string(": is not a whole number in [0, 2^31 - 1]"));
    CHECK(reason(key, std::uint64_t{1} << 40) == key + std::string(": is not a whole number in [0, 2^31 - 1]"));
    CHECK_THAT(reason(key, std::uint32_t{0}), Catch::Contains("must be in [1, 2^31 - 1], is 0"));
  }
  CHECK(reason("llama.attention.layer_norm_rms_epsilon", {}) == "llama.attention.layer_norm_rms_epsilon: is missing");
  CHECK(reason("llama.attention.layer_norm_rms_epsilon", true) ==
        "llama.attention.layer_norm_rms_epsilon: is not a number");
  CHECK_THAT(reason("llama.rope.freq_base", -1.0f), Catch::Equals("rope.freq_base: must be positive, is -1"));
  CHECK(reason("llama.expert_count", std::uint32_t{8}) == "llama.expert_used_count: is missing");
  for (const char* key : {"llama.attention.clamp_kqv", "llama.expert_shared_count",
                          "llama.expert_shared_feed_forward_length", "llama.leading_dense_block_count"})
    CHECK(reason(key, std::uint32_t{8}) == key + std::string(": is not supported"));
  CHECK(reason("llama.attention.causal", 1.0f) == "llama.attention.causal: is not true or false");
  CHECK(reason("llama.attention.sliding_window", std::uint32_t{8}) ==
        "llama.attention.sliding_window: is not supported");
  CHECK(reason("llama.rope.scaling.type", std::string("yarn")) ==
        "llama.rope.scaling.type: \"yarn\" is not supported, only none and linear are");
  CHECK(reason("llama.rope.dimension_count", std::uint32_t{4}) ==
        "llama.rope.dimension_count: only the head's size, 8, is supported");
  CHECK(reason("llama.attention.value_length", std::uint32_t{4}) ==
        "llama.attention.value_length: only the head's size, 8, is supported");
  CHECK_THAT(reason("llama.attention.head_count", std::uint32_t{5}),
             Catch::Equals("attention.head_count: 5 does not divide embedding_length 32"));
  CHECK(reason("llama.block_count", std::uint32_t{3}) == "there is no tensor \"blk.2.attn_norm.weight\"");
  CHECK(reason("llama.block_count", std::uint32_t{2147483647}) == "2147483647 layers in 21 tensors");
  CHECK(reason("llama.block_count", std::uint32_t{1}) == "tensor \"blk.1.attn_k.weight\": the model has no such part");
  CHECK(reason("token_embd.weight", {}) == "token_embd.weight: there is no such tensor");
}

TEST_CASE("factors of RoPE are Llama 3's, or refused") {
  parts p("llama3");
  p.of("rope_freqs.weight")[1] = 1.5f;
  CHECK_THAT(p.reason(), Catch::Contains("factor 1 is 1.5") && Catch::Contains("Llama 3's scaling by 32 is"));
  p.of("rope_freqs.weight")[1] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THAT(p.reason(), Catch::Contains("factor 1 is"));
  parts ones("llama3");
  for (float& f : ones.of("rope_freqs.weight")) f = 1;
  CHECK(ones.read().config.scaling == transformer::rope_scaling{});
  for (float& f : ones.of("rope_freqs.weight")) f = 0;
  CHECK_THAT(ones.reason(), Catch::Contains("a factor of 0"));
  parts few("llama3");
  for (auto& t : few.tensors)
    if (t.name == "rope_freqs.weight") t.elements = t.elements.first(3), t.shape = {3};
  CHECK_THAT(few.reason(), Catch::Contains("3 factors for 4 pairs"));
  parts both("llama3");
  both.set("llama.rope.scaling.type", std::string("linear"));
  both.set("llama.rope.scaling.factor", 2.0f);
  CHECK(both.reason() == "rope_freqs.weight: beside a scaling of the metadata is not supported");
}

TEST_CASE("a GGUF model of experts is that of the folder, whose experts are in one tensor a matrix") {
  for (const char* name : {"mixtral", "olmoe", "qwen3_moe"}) {
    const checkpoint folder = read_hugging_face(golden_file("families") / name);
    const checkpoint m = read_gguf_model(golden_file("families") / (name + std::string(".gguf")));
    const bool llama = std::string(name) == "mixtral";
    transformer::config c = folder.config;
    if (llama) c.rope = transformer::rope_layout::interleaved;
    c.window = 0;
    c.norm_eps = m.config.norm_eps;
    CHECK(m.config.norm_eps == Approx(folder.config.norm_eps));
    CHECK(m.config == c);
    CHECK((m.parameters == folder.parameters) == !llama);
    const std::vector<transformer::tensor> table = transformer::tensor_table(c);
    for (const transformer::tensor& t : table)
      if (t.id.role >= transformer::role::router)
        CHECK(std::equal(m.parameters.begin() + t.offset, m.parameters.begin() + t.offset + t.size(),
                         folder.parameters.begin() + t.offset));
  }
}

TEST_CASE("older files have a tensor for each expert") {
  parts p("mixtral");
  const checkpoint expected = p.read();
  std::vector<tensor_source> each;
  for (const tensor_source& t : p.tensors) {
    if (t.shape.size() != 3) {
      each.push_back(t);
      continue;
    }
    const std::size_t size = t.elements.size() / 4;
    for (std::size_t e = 0; e < 4; ++e)
      each.push_back({t.name.substr(0, t.name.find("_exps")) + "." + std::to_string(e) + ".weight",
                      {t.shape[1], t.shape[2]},
                      t.elements.subspan(e * size, size)});
  }
  REQUIRE(each.size() == p.tensors.size() + 2 * 3 * 3);
  p.tensors = each;
  const checkpoint m = p.read();
  CHECK(m.config == expected.config);
  CHECK(m.parameters == expected.parameters);
  std::erase_if(p.tensors, [](const auto& t) { return t.name == "blk.1.ffn_up.3.weight"; });
  CHECK(p.reason() == "there is no tensor \"blk.1.ffn_up.3.weight\"");
}

TEST_CASE("experts that are missing, of another shape or number, or asked for in vain are refused by name") {
  parts p("qwen3_moe");
  p.erase("blk.1.ffn_down_exps.weight");
  CHECK(p.reason() == "there is no tensor \"blk.1.ffn_down_exps.weight\"");
  const auto shaped = [](const char* file, const char* name, std::vector<index_t> shape) {
    parts q(file);
    for (auto& t : q.tensors)
      if (t.name == name) t.shape = std::move(shape);
    return q.reason();
  };
  CHECK(shaped("olmoe", "blk.0.ffn_gate_exps.weight", {8, 4, 16}) ==
        "tensor \"blk.0.ffn_gate_exps.weight\": has the shape [8, 4, 16], must have [4, 8, 16]");
  CHECK(shaped("olmoe", "blk.1.ffn_down_exps.weight", {4, 8, 16}) ==
        "tensor \"blk.1.ffn_down_exps.weight\": has the shape [4, 8, 16], must have [4, 16, 8]");
  CHECK(shaped("olmoe", "blk.1.ffn_up_exps.weight", {32, 16}) ==
        "tensor \"blk.1.ffn_up_exps.weight\": has the shape [32, 16], must have [4, 8, 16]");
  const auto reason = [](const char* file, const std::string& key, std::optional<gguf_value> value) {
    parts q(file);
    if (value)
      q.set(key, *value);
    else
      q.erase(key);
    return q.reason();
  };
  const auto of = [](std::uint32_t value) { return std::optional<gguf_value>(value); };
  CHECK(reason("olmoe", "olmoe.expert_count", {}) == "olmoe.expert_count: is missing");
  CHECK(reason("qwen3_moe", "qwen3moe.expert_count", of(0)) == "qwen3moe.expert_count: must be positive, is 0");
  CHECK(reason("qwen3_moe", "qwen3moe.expert_used_count", of(9)) ==
        "expert_used_count: 9 experts a token, there are 5");
  CHECK(reason("mixtral", "llama.expert_used_count", of(0)) == "expert_used_count: must be in [1, 2^20), is 0");
  CHECK_THAT(reason("mixtral", "llama.expert_count", of(3)), Catch::Contains("must have [3, 8, 16]"));
  CHECK(reason("mixtral", "llama.expert_count", {}) == "there is no tensor \"blk.0.ffn_gate.weight\"");
  CHECK(reason("qwen3", "qwen3.expert_count", of(4)) == "qwen3.expert_count: this architecture has no experts");
  CHECK(reason("mixtral", "llama.expert_group_count", of(4)) ==
        "llama.expert_group_count: groups of experts are not supported");
  CHECK(reason("mixtral", "llama.expert_gating_func", of(2)) ==
        "llama.expert_gating_func: only 1, a softmax, is supported");
  CHECK(reason("mixtral", "llama.expert_weights_scale", 2.5f) == "llama.expert_weights_scale: only 1 is supported");
  CHECK(reason("olmoe", "olmoe.expert_weights_norm", true) ==
        "olmoe.expert_weights_norm: is not that of this architecture");
  CHECK(reason("olmoe", "olmoe.expert_weights_norm", false).empty());
  parts fallback("qwen3_moe");  // feed_forward_length / expert_used_count
  fallback.erase("qwen3moe.expert_feed_forward_length");
  CHECK_THAT(fallback.reason(), Catch::Contains("must have [5, 4, 16]"));
  fallback.set("qwen3moe.feed_forward_length", std::uint32_t{24});
  CHECK(fallback.read().config.experts.d_ff == 12);
}

TEST_CASE("the borders of what metadata may say") {
  const auto reason = [](const char* file, const std::string& key, const gguf_value& value) {
    parts p(file);
    p.set(key, value);
    return p.reason();
  };
  CHECK(reason("llama3", "llama.block_count", std::uint64_t{2147483648}) ==
        "llama.block_count: is not a whole number in [0, 2^31 - 1]");
  for (const char* key : {"llama.attention.sliding_window", "llama.expert_shared_count", "llama.attention.clamp_kqv"})
    CHECK(reason("llama3", key, std::uint32_t{0}).empty());
  for (const char* key : {"llama.expert_group_count", "llama.expert_gating_func", "llama.expert_weights_scale"})
    for (const std::uint32_t value : {0u, 1u}) CHECK(reason("mixtral", key, value).empty());
  CHECK(reason("mixtral", "llama.expert_weights_norm", true).empty());
  for (const gguf_value& value : {gguf_value(false), gguf_value(1.0f)})
    CHECK(reason("mixtral", "llama.expert_weights_norm", value) ==
          "llama.expert_weights_norm: is not that of this architecture");
  parts p("llama3");
  p.erase("rope_freqs.weight");
  p.set("llama.rope.scaling.type", std::string("linear"));
  CHECK(p.reason() == "llama.rope.scaling.factor: is missing");
  parts flat("llama3");
  for (auto& t : flat.tensors)
    if (t.name == "token_embd.weight") t.shape = {64 * 32};
  CHECK(flat.reason() == "token_embd.weight: is not a matrix");
  parts none("qwen3_moe");
  none.erase("qwen3moe.expert_feed_forward_length");
  none.set("qwen3moe.expert_used_count", std::uint32_t{0});
  CHECK(none.reason() == "expert_used_count: must be in [1, 2^20), is 0");
}

TEST_CASE("a mask is read of a model that is not causal, and is one of its tokens") {
  parts p("llama3");
  p.set("tokenizer.ggml.mask_token_id", std::uint32_t{64});
  CHECK(p.read().config.mask_token == -1);  // causal
  p.set("llama.attention.causal", false);
  const char* refusal = "tokenizer.ggml.mask_token_id: is not a token of the vocabulary";
  CHECK(p.reason() == refusal);
  for (const gguf_value& value : {gguf_value(std::int32_t{-1}), gguf_value(std::string("63"))}) {
    p.set("tokenizer.ggml.mask_token_id", value);
    CHECK(p.reason() == refusal);
  }
  for (const std::int32_t mask : {0, 63}) {
    p.set("tokenizer.ggml.mask_token_id", mask);
    CHECK((p.read().config.mask_token == mask && !p.read().config.causal));
  }
}

TEST_CASE("factors of RoPE are those of the published scaling to 1e-4, of a factor in [1, 1e6)") {
  const auto with = [](std::size_t i, auto change) {
    parts p("llama3");
    float& factor = p.of("rope_freqs.weight")[i];
    factor = change(factor);
    return p;
  };
  const transformer::config c = parts("llama3").read().config;
  CHECK(with(1, [](float f) { return f * 1.00005f; }).read().config == c);
  for (const float far : {1.0003f, 0.9997f})
    CHECK_THAT(with(1, [&](float f) { return f * far; }).reason(), Catch::Contains("factor 1 is "));
  for (const float last : {0.5f, 1e6f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
    CHECK_THAT(with(3, [&](float) { return last; }).reason(), Catch::Contains("must be in [1, 1e6)"));
}
