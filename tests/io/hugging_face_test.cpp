// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/hugging_face.hpp"

#include "io/support.hpp"

using namespace hone;
using namespace hone::io;

namespace {

const transformer::config smallest_model{.d_model = 4,
                                         .d_ff = 3,
                                         .n_layers = 1,
                                         .n_heads = 2,
                                         .n_kv_heads = 1,
                                         .vocab = 5,
                                         .max_seq = 8,
                                         .rope = transformer::rope_layout::half};

/// Numbers that bfloat16 and float16 hold exactly.
std::vector<float> elements_for(const transformer::config& c) {
  std::vector<float> elements(static_cast<std::size_t>(transformer::parameter_count(c)));
  for (std::size_t i = 0; i < elements.size(); ++i)
    elements[i] = static_cast<float>(static_cast<int>((i * 2654435761u >> 16) % 65) - 32) / 128;
  return elements;
}

void write_text(const std::filesystem::path& path, const std::string& text) { write_bytes(path, to_bytes(text)); }

}  // namespace

TEST_CASE("a folder that is written is read as it was, in one file or several, in every format that holds it") {
  for (const char* name : {"llama", "llama3", "qwen2", "qwen3", "mistral"}) {
    const checkpoint m = read_hugging_face(golden_file("families") / name);  // whose elements are bfloat16
    for (const std::uint64_t most : {std::uint64_t{1} << 40, std::uint64_t{20000}}) {
      const scratch_folder folder;
      write_hugging_face(folder.path / "new", m.config, m.parameters, most > 20000 ? format::float32 : format::bfloat16,
                         most);
      const checkpoint again = read_hugging_face(folder.path / "new");
      CHECK(again.config == m.config);
      CHECK(again.parameters == m.parameters);
    }
  }
}

TEST_CASE("a tied classifier that is stored too, and tables of RoPE, are passed over; other tensors are not") {
  const transformer::config& c = smallest_model;
  const auto elements = elements_for(c);
  const scratch_folder folder;
  write_hugging_face(folder.path, c, elements);
  const auto rewrite = [&](const char* name, std::vector<index_t> shape) {
    const safetensors file = read_safetensors(folder.path / "model.safetensors");
    std::vector<std::vector<float>> kept;
    std::vector<tensor_source> sources;
    for (const stored_tensor& t : file.tensors) kept.push_back(elements_of(t));
    for (std::size_t i = 0; i < kept.size(); ++i)
      sources.push_back({file.tensors[i].name, file.tensors[i].shape, kept[i]});
    index_t size = 1;
    for (const index_t n : shape) size *= n;
    const std::vector<float> more(static_cast<std::size_t>(size));
    sources.push_back({name, std::move(shape), more});
    write_safetensors(folder.path / "model.safetensors", sources);
  };
  rewrite("lm_head.weight", {5, 4});
  rewrite("model.layers.0.self_attn.rotary_emb.inv_freq", {1});
  CHECK(read_hugging_face(folder.path).parameters == elements);
  rewrite("model.layers.0.mlp.up_proj.bias", {3});
  CHECK_THROWS_WITH(read_hugging_face(folder.path),
                    Catch::Contains("\"model.layers.0.mlp.up_proj.bias\": the model has no such part"));
}

TEST_CASE("a folder that lacks something, or whose parts do not fit, is refused by name") {
  const transformer::config& c = smallest_model;
  const scratch_folder folder;
  CHECK_THROWS_WITH(read_hugging_face(folder.path), Catch::Contains("config.json: No such file"));
  CHECK_THROWS_AS(read_hugging_face(folder.path / "absent"), std::system_error);
  write_text(folder.path / "config.json", format_config_json(c));
  CHECK_THROWS_WITH(read_hugging_face(folder.path), Catch::Contains("model.safetensors: No such file"));
  write_hugging_face(folder.path, c, elements_for(c));
  auto other = c;
  other.tie_embeddings = false;
  write_text(folder.path / "config.json", format_config_json(other));
  CHECK_THROWS_WITH(read_hugging_face(folder.path), Catch::Contains("there is no tensor \"lm_head.weight\""));
  other = c;
  other.d_ff = 2147483647;
  write_text(folder.path / "config.json", format_config_json(other));
  CHECK_THROWS_WITH(read_hugging_face(folder.path), Catch::Contains("has the shape [3, 4], must have [2147483647, 4]"));
  other = c;
  other.n_layers = 2147483647;
  write_text(folder.path / "config.json", format_config_json(other));
  CHECK_THROWS_WITH(read_hugging_face(folder.path), Catch::Contains("2147483647 layers in 11 tensors"));
  other = {
      .d_model = 2147483644, .d_ff = 2147483647, .n_layers = 11, .n_heads = 1, .n_kv_heads = 1, .vocab = 2147483647};
  write_text(folder.path / "config.json", format_config_json(other));
  const auto huge = format_error_of([&] { read_hugging_face(folder.path); });
  REQUIRE(huge);
  CHECK_THAT(huge->reason(), Catch::StartsWith("has about 3.64"));
  CHECK_THROWS_WITH(write_hugging_face(folder.path, c, std::vector<float>(3)), Catch::Contains("parameters: has 3"));
  other = c;
  other.causal = false;
  CHECK_THROWS_WITH(write_hugging_face(folder.path / "never", other, elements_for(c)), Catch::Contains("causal"));
  CHECK_FALSE(std::filesystem::exists(folder.path / "never"));
}
