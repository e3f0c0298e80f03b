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
  for (const char* name : {"llama", "llama3", "qwen2", "qwen3", "mistral", "mixtral", "olmoe", "olmoe_cut", "qwen3_moe",
                           "qwen3_moe_mixed", "llada_moe"}) {
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

TEST_CASE("a model that is not causal is read as it was written, experts, blocks and mask included") {
  transformer::config c = smallest_model;
  c.causal = false;
  c.block = 4;
  c.mask_token = 4;
  transformer::config with_experts = c;
  with_experts.n_layers = 2;
  with_experts.experts = {.count = 3, .d_ff = 2, .shared_d_ff = 5, .router = moe::expert_choice(1), .dense = {0}};
  transformer::config with_bias = with_experts;
  with_bias.experts.router = moe::loss_free(2);
  with_bias.experts.selection_bias = true;
  for (const transformer::config& shape : {c, with_experts, with_bias}) {
    const scratch_folder folder;
    const auto elements = elements_for(shape);
    write_hugging_face(folder.path, shape, elements);
    const checkpoint m = read_hugging_face(folder.path);
    CHECK(m.config == shape);
    CHECK(m.parameters == elements);
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
  other.output_bias = true;
  CHECK_THROWS_WITH(write_hugging_face(folder.path / "never", other, elements_for(c)),
                    Catch::Contains("no family has a bias on the output alone"));
  CHECK_FALSE(std::filesystem::exists(folder.path / "never"));
}

TEST_CASE("experts are read where their names say, each tensor its own") {
  for (const char* name : {"mixtral", "olmoe", "olmoe_cut", "qwen3_moe", "qwen3_moe_mixed", "llada_moe"}) {
    const std::filesystem::path folder = golden_file("families") / name;
    const checkpoint m = read_hugging_face(folder);
    const safetensors file = read_safetensors_folder(folder);
    CHECK(m.nonfinite == 0);
    const std::vector<transformer::tensor> table = transformer::tensor_table(m.config);
    CHECK(table.size() == file.tensors.size());
    const bool mixtral = std::string(name) == "mixtral";
    index_t experts = 0;
    for (const transformer::tensor& t : table) {
      if (t.id.expert < 0 && t.id.role != transformer::role::router) continue;
      const char* const parts[] = {"gate_proj", "down_proj", "up_proj"};  // w1, w2, w3
      const auto matrix = static_cast<std::size_t>(t.id.role) - static_cast<std::size_t>(transformer::role::w1);
      const std::string layer =
          "model.layers." + std::to_string(t.id.layer) + (mixtral ? ".block_sparse_moe." : ".mlp.");
      const std::string own = t.id.expert < 0
                                  ? layer + "gate.weight"
                                  : layer + "experts." + std::to_string(t.id.expert) + "." +
                                        (mixtral ? "w" + std::to_string(matrix + 1) : parts[matrix]) + ".weight";
      CAPTURE(name, t.name, own);
      const stored_tensor* stored = find_tensor(file.tensors, own);
      REQUIRE(stored != nullptr);
      const std::vector<float> elements = elements_of(*stored);
      CHECK(std::equal(elements.begin(), elements.end(), m.parameters.begin() + t.offset));
      ++experts;
    }
    CHECK(experts > 0);
  }
}

TEST_CASE("a dense file where experts are asked for, the reverse, and a missing expert are one line") {
  const auto family = [](const char* name) { return golden_file("families") / name; };
  const auto reason = [](const std::filesystem::path& folder) {
    const auto error = format_error_of([&] { (void)read_hugging_face(folder); });
    return error ? error->reason() : "";
  };
  const scratch_folder scratch, dense;
  const auto both = [&](const std::filesystem::path& config, const std::filesystem::path& weights) {
    write_bytes(scratch.path / "config.json", read_file(config / "config.json"));
    write_bytes(scratch.path / "model.safetensors", read_file(weights / "model.safetensors"));
    return reason(scratch.path);
  };
  transformer::config c = read_hugging_face(family("mixtral")).config;
  c.experts = {};
  write_hugging_face(dense.path, c, elements_for(c));
  CHECK(both(family("mixtral"), dense.path) == "there is no tensor \"model.layers.0.block_sparse_moe.gate.weight\"");
  CHECK(both(dense.path, family("mixtral")) == "there is no tensor \"model.layers.0.mlp.gate_proj.weight\"");
  CHECK(both(family("olmoe"), family("mixtral")) == "there is no tensor \"model.layers.0.self_attn.q_norm.weight\"");
  std::string config = to_text(read_file(family("mixtral") / "config.json"));
  const auto change = [&](const std::string& from, const std::string& to) {
    std::string changed = config;
    const auto at = changed.find(from);
    REQUIRE(at != std::string::npos);
    write_text(scratch.path / "config.json", changed.replace(at, from.size(), to));
    write_bytes(scratch.path / "model.safetensors", read_file(family("mixtral") / "model.safetensors"));
    return reason(scratch.path);
  };
  CHECK(change("\"num_local_experts\": 4", "\"num_local_experts\": 5")
            .ends_with("gate.weight\": has the shape [4, 16], must have [5, 16]"));
  CHECK(change("\"num_local_experts\": 4", "\"num_local_experts\": 2147483647") ==
        "2147483647 experts in each of 2 layers, in 41 tensors");
  CHECK(change("\"model_type\": \"mixtral\"", "\"model_type\": \"mistral\"") ==
        "\"num_local_experts\": this type of model has no experts");
  const safetensors file = read_safetensors(family("mixtral") / "model.safetensors");
  std::vector<std::vector<float>> kept;
  std::vector<tensor_source> sources;
  for (const stored_tensor& t : file.tensors) kept.push_back(elements_of(t));
  for (std::size_t i = 0; i < kept.size(); ++i)
    if (!file.tensors[i].name.ends_with("layers.1.block_sparse_moe.experts.2.w3.weight"))
      sources.push_back({file.tensors[i].name, file.tensors[i].shape, kept[i]});
  write_text(scratch.path / "config.json", config);
  write_safetensors(scratch.path / "model.safetensors", sources);
  CHECK(reason(scratch.path) == "there is no tensor \"model.layers.1.block_sparse_moe.experts.2.w3.weight\"");
}

TEST_CASE("a folder's weights say what wrote them, and its configuration has at most 16 MiB") {
  const scratch_folder folder;
  write_hugging_face(folder.path, smallest_model, elements_for(smallest_model));
  CHECK(read_safetensors_folder(folder.path).metadata == std::map<std::string, std::string>{{"format", "pt"}});
  write_bytes(folder.path / "config.json", {});
  std::filesystem::resize_file(folder.path / "config.json", (1 << 24) + 1);
  CHECK_THROWS_WITH(read_hugging_face(folder.path), Catch::Contains("at most 16777216 are read"));
}
