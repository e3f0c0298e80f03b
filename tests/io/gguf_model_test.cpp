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
        "general.architecture: \"gemma\" is not one of llama, qwen2, qwen3");
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
  CHECK(reason("llama.expert_count", std::uint32_t{8}) == "llama.expert_count: is not supported");
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
