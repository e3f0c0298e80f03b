// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Models of every family, made by Transformers, against what it makes of them. In double: one decoder to compile.
#include "hone/io/gguf_model.hpp"
#include "hone/io/hugging_face.hpp"
#include "hone/transformer/generate.hpp"

#include "io/support.hpp"

using namespace hone;
using namespace hone::io;

namespace {

/// What golden/make_families.py wrote of one model, and what hone makes of it.
struct family {
  explicit family(const std::string& name) {
    static const auto all = nlohmann::json::parse(to_text(read_file(golden_file("families/expected.json"))));
    const auto& own = all.at(name);
    prompt = own.at("prompt").get<std::vector<std::int32_t>>();
    greedy = own.at("greedy").get<std::vector<std::int32_t>>();
    logits = own.at("logits").get<std::vector<std::vector<double>>>();
  }

  /// The largest difference of the first @p positions' logits.
  [[nodiscard]] double error(const checkpoint& m, std::size_t positions = 1000) const {
    const transformer::decoder<double> model(m.config);
    const std::vector<double> parameters(m.parameters.begin(), m.parameters.end());
    const std::vector<index_t> offsets = {0, static_cast<index_t>(prompt.size())};
    transformer::workspace<double> w(m.config, offsets[1]);
    model.forward(parameters, {prompt, offsets}, w);
    double largest = 0;
    for (std::size_t t = 0; t < (std::min)(positions, prompt.size()); ++t)
      for (std::size_t v = 0; v < logits[t].size(); ++v)
        largest =
            (std::max)(largest, std::abs(logits[t][v] - w.logits()(static_cast<index_t>(t), static_cast<index_t>(v))));
    return largest;
  }
  [[nodiscard]] std::vector<std::int32_t> continuation(const checkpoint& m) const {
    const transformer::decoder<double> model(m.config);
    const std::vector<double> parameters(m.parameters.begin(), m.parameters.end());
    const transformer::generator<double> generate(model, parameters);
    const std::vector<index_t> offsets = {0, static_cast<index_t>(prompt.size())};
    return generate({prompt, offsets}, {.max_tokens = static_cast<index_t>(greedy.size())})[0].tokens;
  }

  std::vector<std::int32_t> prompt, greedy;
  std::vector<std::vector<double>> logits;
};

void check_family(const char* name, const checkpoint& m) {
  const family expected(name);
  INFO(name);
  CHECK(m.nonfinite == 0);
  CHECK(expected.error(m) <= 1e-4);
  if (m.config.causal) CHECK(expected.continuation(m) == expected.greedy);
}

}  // namespace

TEST_CASE("folders of every family have the logits and the greedy text of Transformers") {
  for (const char* name : {"llama", "llama3", "qwen2", "qwen3", "mistral"}) {
    check_family(name, read_hugging_face(golden_file("families") / name));
  }
}

TEST_CASE("GGUF files of every architecture have the logits and the greedy text of Transformers") {
  for (const char* name : {"llama3", "qwen3"}) {
    check_family(name, read_gguf_model(golden_file("families") / (name + std::string(".gguf"))));
  }
  // llama.cpp has no window for Qwen2: the positions that it does not reach.
  const checkpoint m = read_gguf_model(golden_file("families/qwen2.gguf"));
  CHECK(m.config.window == 0);
  CHECK(family("qwen2").error(m, 6) <= 1e-4);
}

TEST_CASE("folders of families with experts have the logits and the greedy text of Transformers") {
  for (const char* name : {"mixtral", "olmoe", "olmoe_cut", "qwen3_moe", "qwen3_moe_mixed", "llada_moe"}) {
    check_family(name, read_hugging_face(golden_file("families") / name));
  }
}

TEST_CASE("GGUF files of experts have the logits and the greedy text of Transformers") {
  for (const char* name : {"olmoe", "qwen3_moe"}) {
    check_family(name, read_gguf_model(golden_file("families") / (name + std::string(".gguf"))));
  }
  // No window in the file: the positions that it does not reach.
  CHECK(family("mixtral").error(read_gguf_model(golden_file("families/mixtral.gguf")), 9) <= 1e-4);
}

TEST_CASE("rows of a model with interleaved RoPE are moved: it says the same in halves") {
  transformer::config c{.d_model = 24,
                        .d_ff = 10,
                        .n_layers = 2,
                        .n_heads = 4,
                        .n_kv_heads = 2,
                        .vocab = 16,
                        .max_seq = 32,
                        .norm_eps = 1e-6};
  for (int variant = 0; variant < 4; ++variant) {
    c.qkv_bias = variant > 0;
    c.output_bias = variant > 1;
    c.qk_norm = variant > 1 ? transformer::query_key_norm::heads : transformer::query_key_norm::none;
    c.head_width = variant == 2 ? 8 : 0;
    if (variant > 2) {
      c.qk_norm = transformer::query_key_norm::whole;
      c.experts = {.count = 3, .d_ff = 10, .router = moe::softmax_then_top_k(2)};
    }
    std::vector<float> elements(static_cast<std::size_t>(transformer::parameter_count(c)));
    for (std::size_t i = 0; i < elements.size(); ++i)  // that float16 holds
      elements[i] = static_cast<float>(static_cast<int>((i * 2654435761u >> 16) % 65) - 32) / 128;
    const scratch_folder folder;
    write_hugging_face(folder.path, c, elements, format::float16);
    const checkpoint m = read_hugging_face(folder.path);
    CHECK(m.config.rope == transformer::rope_layout::half);
    CHECK(m.parameters != elements);
    const std::vector<std::int32_t> tokens = {1, 5, 9, 2, 11, 15, 3, 3, 7};
    const std::vector<index_t> offsets = {0, 9};
    const transformer::decoder<double> own(c), other(m.config);
    const std::vector<double> p(elements.begin(), elements.end()), q(m.parameters.begin(), m.parameters.end());
    transformer::workspace<double> x(c, 9), y(m.config, 9);
    own.forward(p, {tokens, offsets}, x);
    other.forward(q, {tokens, offsets}, y);
    for (index_t t = 0; t < 9; ++t)
      for (index_t v = 0; v < c.vocab; ++v) REQUIRE(x.logits()(t, v) == Approx(y.logits()(t, v)).margin(1e-12));
  }
}
