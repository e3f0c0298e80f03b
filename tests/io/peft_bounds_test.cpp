// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/peft.hpp"

#include "io/adapters.hpp"
#include "io/support.hpp"

using namespace hone::io;
using hone::index_t;

namespace {

std::string reason(const std::string& fields) {
  const auto error =
      format_error_of([&] { parse_peft_config(R"({"peft_type":"LORA","bias":"none",)" + fields + "}", "f"); });
  return error ? error->reason() : "";
}

}  // namespace

TEST_CASE("peft: ranks and alphas are numbers up to 1e9") {
  CHECK(reason(R"("r":1000000000,"lora_alpha":1000000000)").empty());
  CHECK(reason(R"("r":1000000001,"lora_alpha":1)") == "\"r\" is not a positive whole number");
  CHECK(reason(R"("r":1,"lora_alpha":1000000000.5)") == "\"lora_alpha\" is not a positive number");
  CHECK(reason(R"("r":1,"lora_alpha":1e-300)").empty());
}

TEST_CASE("peft: initial values that left the base as it was are passed over, milora's did not") {
  for (const char* initial : {"true", "false", "\"gaussian\"", "\"eva\"", "\"orthogonal\""})
    CHECK(reason(R"("r":1,"lora_alpha":1,"init_lora_weights":)" + std::string(initial)).empty());
  CHECK(reason(R"("r":1,"lora_alpha":1,"init_lora_weights":"milora")") ==
        "\"milora\" changed the base model's weights");
  CHECK(reason(R"("r":1,"lora_alpha":1,"use_dora":0)") == "\"use_dora\" is not supported");
  CHECK(reason(R"("r":1,"lora_alpha":1,"layer_replication":{},"arrow_config":false)").empty());
}

TEST_CASE("peft: with use_rslora the scale is alpha / sqrt(rank), of patterns too") {
  const peft_config config = parse_peft_config(
      R"({"peft_type":"LORA","r":4,"lora_alpha":6,"use_rslora":true,"rank_pattern":{"q":9},"alpha_pattern":{"k":10}})",
      "f");
  CHECK(config.scale_of("v") == 3);
  CHECK(config.scale_of("q") == 2);
  CHECK(config.scale_of("k") == 5);
}

TEST_CASE("peft: an alpha that is whole is written whole, and the copy of a classifier is passed over") {
  hone::lora::adapter<float> adapter;
  adapter.sites = {{"wq.0", 8, 8, 3, 16.0 / 3}, {"wcls", 5, 8, 3, 7.0 / 3}};
  adapter.parameters.resize(static_cast<std::size_t>(hone::lora::lay_out(adapter.sites)), 0.5f);
  const scratch_folder folder;
  write_peft(folder.path, small_model, adapter);
  const auto path = folder.path / "adapter_config.json";
  std::string text = to_text(read_file(path));
  const nlohmann::json config = nlohmann::json::parse(text);
  CHECK((config["lora_alpha"].is_number_integer() && config["lora_alpha"] == 16 && config["r"] == 3));
  CHECK((config["alpha_pattern"]["lm_head"].is_number_integer() && config["alpha_pattern"]["lm_head"] == 7));
  CHECK((config["rank_pattern"].empty() && config["peft_type"] == "LORA" && config["task_type"] == "CAUSAL_LM"));
  CHECK((config["use_rslora"] == false && config["use_dora"] == false && config["inference_mode"] == true));
  CHECK(read_peft(folder.path, small_model).adapter.sites[0].scale == 16.0 / 3);
  // Of 1 MiB, the most that is read.
  text.resize(1 << 20, ' ');
  write_bytes(path, to_bytes(text));
  CHECK(read_peft(folder.path, small_model).adapter.sites.size() == 2);
  const safetensors file = read_safetensors(folder.path / "adapter_model.safetensors");
  std::vector<std::vector<float>> kept;
  std::vector<tensor_source> sources;
  for (const stored_tensor& t : file.tensors) kept.push_back(elements_of(t));
  for (std::size_t i = 0; i < kept.size(); ++i)
    sources.push_back({file.tensors[i].name, file.tensors[i].shape, kept[i]});
  const std::vector<float> classifier(5 * 8, 2.0f);
  sources.push_back({"base_model.model.lm_head.base_layer.weight", {5, 8}, classifier});
  write_safetensors(folder.path / "adapter_model.safetensors", sources);
  CHECK(read_peft(folder.path, small_model).adapter.parameters == adapter.parameters);
}
