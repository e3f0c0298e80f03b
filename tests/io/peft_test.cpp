// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/peft.hpp"

#include "io/adapters.hpp"
#include "io/support.hpp"

using namespace hone::io;
using hone::index_t;
using hone::transformer::rope_layout;

namespace {

void refused(std::string_view text, std::optional<std::uint64_t> at, const std::string& reason) {
  CAPTURE(std::string(text));
  const auto error = format_error_of([&] { parse_peft_config(text, "adapter_config.json"); });
  REQUIRE(error);
  CHECK(error->file() == "adapter_config.json");
  CHECK(error->where().in == (at ? position::unit::byte : position::unit::none));
  CHECK(error->where().at == at.value_or(0));
  CHECK(error->reason() == reason);
}

// Not inlined, where g++ warns of lengths that no text has.
[[gnu::noinline]] std::string in_quotes(std::string_view text) { return std::string("\"").append(text).append("\""); }
[[gnu::noinline]] std::string with(std::string_view field) {
  return std::string(R"({"peft_type":"LORA","r":1,"lora_alpha":1,)").append(field).append("}");
}

/// A folder of one adapter of wq.0, rank 2, whose configuration and tensors are given.
struct peft_folder {
  peft_folder() {
    tensor("model.layers.0.self_attn.q_proj.lora_A", {2, 8});
    tensor("model.layers.0.self_attn.q_proj.lora_B", {8, 2});
  }
  void tensor(const std::string& name, const std::vector<index_t>& shape,
              const std::string& before = "base_model.model.") {
    names.push_back({before + name + ".weight", shape});
  }
  void refused(const std::string& name, const std::string& reason,
               const hone::transformer::config& c = small_model) const {
    const auto error = error_of(c);
    REQUIRE(error);
    CHECK(error->file() == (scratch.path / "adapter_model.safetensors").string());
    const safetensors file = read_safetensors(scratch.path / "adapter_model.safetensors");
    const stored_tensor* t = find_tensor(file.tensors, "base_model.model." + name + ".weight");
    CHECK(error->where().at == (t == nullptr ? error->where().at : t->offset));
    CHECK(error->reason() == "tensor \"" + (t == nullptr ? name : t->name) + "\": " + reason);
  }
  [[nodiscard]] std::optional<format_error> error_of(const hone::transformer::config& c) const {
    std::vector<tensor_source> sources;
    for (const auto& [name, shape] : names) {
      std::size_t count = 1;
      for (const index_t n : shape) count *= static_cast<std::size_t>(n);
      sources.push_back({name, shape, std::span(zeros).first(count)});
    }
    write_safetensors(scratch.path / "adapter_model.safetensors", sources);
    write_bytes(scratch.path / "adapter_config.json", to_bytes(config));
    return format_error_of([&] { read_peft(scratch.path, c); });
  }

  scratch_folder scratch;
  std::string config = R"({"peft_type":"LORA","r":2,"lora_alpha":4})";
  std::vector<std::pair<std::string, std::vector<index_t>>> names;
  std::vector<float> zeros = std::vector<float>(1000);
};

}  // namespace

TEST_CASE("peft: adapters that PEFT saved change the weights as PEFT says") {
  for (const std::string name : {"patterns", "rslora"})
    for (const rope_layout rope : {rope_layout::half, rope_layout::interleaved}) {
      const std::filesystem::path folder = golden_file("peft/" + name);
      hone::transformer::config c = small_model;
      c.rope = rope;
      const stored_adapter read = read_peft(folder, c);
      CHECK(read.nonfinite == 0);
      const safetensors deltas = read_safetensors(folder / "deltas.safetensors");
      REQUIRE(read.adapter.sites.size() == deltas.tensors.size());
      for (const hone::lora::site& s : read.adapter.sites) {
        CAPTURE(s.name);
        const std::vector<double> delta = delta_of(s, read.adapter.parameters);
        const auto expected = elements_of<double>(*find_tensor(deltas.tensors, hugging_face_name(s.name)));
        const bool turned = rope == rope_layout::interleaved && (s.name.starts_with("wq") || s.name.starts_with("wk"));
        for (index_t row = 0; row < s.outputs; ++row)
          for (index_t col = 0; col < s.inputs; ++col) {
            // view(heads, 2, 2, inputs).transpose(1, 2) for heads of 4
            const index_t from = turned ? row / 4 * 4 + row % 2 * 2 + row / 2 % 2 : row;
            CHECK(delta[static_cast<std::size_t>(row * s.inputs + col)] ==
                  Approx(expected[static_cast<std::size_t>(from * s.inputs + col)]).epsilon(1e-5).margin(1e-6));
          }
      }
    }
}

TEST_CASE("peft: ranks and scales are those of the configuration and its patterns") {
  const stored_adapter read = read_peft(golden_file("peft/patterns"), small_model);
  const auto site = [&](const std::string& name) {
    for (const hone::lora::site& s : read.adapter.sites)
      if (s.name == name) return s;
    return hone::lora::site{};
  };
  REQUIRE(read.adapter.sites.size() == 9);
  CHECK(site("wq.0").rank == 1);
  CHECK(site("wq.0").scale == 3.0);
  CHECK(site("wq.1").rank == 3);
  CHECK(site("wq.1").scale == 1.0);
  CHECK(site("wk.0").rank == 2);
  CHECK(site("wk.0").scale == 1.5);
  CHECK(site("w2.1").scale == 4.0);
  CHECK(site("wcls").scale == 1.5);
  CHECK(read.adapter.sites.front().name == "wq.0");  // the order of the model's table
  CHECK(read.adapter.sites.back().name == "wcls");
  for (const hone::lora::site& s : read_peft(golden_file("peft/rslora"), small_model).adapter.sites) {
    CHECK(s.rank == 4);
    CHECK(s.scale == 4.0);  // 8 / sqrt(4)
  }
}

TEST_CASE("peft: what was written is read back, whatever the layout of RoPE") {
  for (const rope_layout rope : {rope_layout::half, rope_layout::interleaved}) {
    hone::transformer::config c = small_model;
    c.rope = rope;
    const hone::lora::adapter<float> adapter = made_adapter();
    const scratch_folder scratch;
    const auto folder = scratch.path / "new" / "folder";
    write_peft(folder, c, adapter, {.base_model = "some/model"});
    const stored_adapter read = read_peft(folder, c);
    CHECK(read.adapter.parameters == adapter.parameters);
    REQUIRE(read.adapter.sites.size() == adapter.sites.size());
    for (std::size_t i = 0; i < adapter.sites.size(); ++i) {
      CHECK(read.adapter.sites[i].name == adapter.sites[i].name);
      CHECK(read.adapter.sites[i].rank == adapter.sites[i].rank);
      CHECK(read.adapter.sites[i].scale == Approx(adapter.sites[i].scale).epsilon(1e-15));
    }
    const peft_config config = parse_peft_config(to_text(read_file(folder / "adapter_config.json")), "f");
    CHECK(config.base_model == "some/model");
    CHECK(config.target_modules == std::vector<std::string>{"model.layers.1.mlp.down_proj", "k_proj", "lm_head",
                                                            "model.layers.0.self_attn.q_proj"});
  }
}

TEST_CASE("peft: an adapter stored in 16 bits is rounded once, and one with infinite elements counts them") {
  hone::lora::adapter<float> adapter = made_adapter();
  adapter.parameters[3] = std::numeric_limits<float>::infinity();
  adapter.parameters[4] = 1.001f;
  const scratch_folder folder;
  write_peft(folder.path, small_model, adapter, {.base_model = "", .stored = hone::format::bfloat16});
  const stored_adapter read = read_peft(folder.path, small_model);
  CHECK(read.nonfinite == 1);
  CHECK(read.adapter.parameters[4] == float{hone::bfloat16(1.001f)});
  CHECK(read_safetensors(folder.path / "adapter_model.safetensors").metadata.at("format") == "pt");
}

TEST_CASE("peft: an adapter that is not of the model is refused before there is a file") {
  const scratch_folder folder;
  const auto write = [&](auto&& change) {
    hone::lora::adapter<float> adapter = made_adapter();
    change(adapter);
    write_peft(folder.path / "a", small_model, adapter);
  };
  CHECK_THROWS_WITH(write([](auto& a) { a.sites[0].name = "wx.0"; }), Catch::Contains("wx.0: is not a linear map"));
  CHECK_THROWS_WITH(write([](auto& a) { a.sites[0].name = "tok_emb"; }), Catch::Contains("is not a linear map"));
  CHECK_THROWS_WITH(write([](auto& a) { a.sites[0].name = "wq.2"; }), Catch::Contains("is not a linear map"));
  CHECK_THROWS_WITH(write([](auto& a) { a.sites[0].name = "wv.0"; }), Catch::Contains("is 8 x 8, the model's 4 x 8"));
  CHECK_THROWS_WITH(write([](auto& a) { a.sites[1].name = a.sites[2].name; }), Catch::Contains("appears twice"));
  CHECK_THROWS_WITH(write([](auto& a) { a.parameters.pop_back(); }), Catch::Contains("lies outside"));
  CHECK_THROWS_AS(write([](auto& a) { a.sites[0].scale = 0; }), std::invalid_argument);
  CHECK_THROWS_AS(write([](auto& a) { a.sites.clear(); }), std::invalid_argument);
  CHECK_THROWS_AS(write_peft(folder.path / "a", small_model, made_adapter(), {.base_model = "\xff"}),
                  std::invalid_argument);
  CHECK(folder.entries() == 0);
}

TEST_CASE("peft: a configuration is parsed with its defaults, and what only training needs is passed over") {
  const peft_config config = parse_peft_config(
      R"({"peft_type":"LORA","r":4,"lora_alpha":1.5,"bias":"none","lora_dropout":0.1,"modules_to_save":null,
          "use_dora":false,"rank_pattern":{},"target_modules":"all-linear","init_lora_weights":"gaussian","x":[1,{}],
          "layer_replication":[],"base_model_name_or_path":null})",
      "f");
  CHECK(config.rank == 4);
  CHECK(config.alpha == 1.5);
  CHECK(!config.use_rslora);
  CHECK(config.target_modules.empty());
  CHECK(config.targets("anything"));
  CHECK(config.scale_of("anything") == 0.375);
}

TEST_CASE("peft: the first pattern in the file that a module's name ends with counts") {
  const peft_config config = parse_peft_config(
      R"({"peft_type":"LORA","r":4,"lora_alpha":8,"rank_pattern":{"z.q_proj":1,"q_proj":2,"1.self_attn.q_proj":3,
          "^model.k_proj":16,"layers\\.0\\.v_proj":5},
          "alpha_pattern":{"q_proj":1},"target_modules":["q_proj","a.k_proj"]})",
      "f");
  CHECK(config.rank_of("z.q_proj") == 1);
  CHECK(config.rank_of("q_proj") == 2);
  CHECK(config.rank_of("model.layers.1.self_attn.q_proj") == 2);
  CHECK(config.rank_of("model.layers.1.self_attn.xq_proj") == 4);
  CHECK(config.rank_of("model.k_proj") == 16);
  CHECK(config.rank_of("base.model.k_proj") == 4);
  CHECK(config.rank_of("model.layers.0.v_proj") == 5);
  CHECK(config.scale_of("q_proj") == 0.5);
  CHECK(config.targets("model.q_proj"));
  CHECK(!config.targets("model.xq_proj"));
  CHECK(config.targets("a.k_proj"));
  CHECK(!config.targets("ba.k_proj"));
}

TEST_CASE("peft: a configuration that is not one") {
  refused("", 0, "not valid JSON");
  refused("[]", {}, "the configuration is not a JSON object");
  refused("{}", {}, "\"peft_type\" is not \"LORA\"");
  refused(R"({"peft_type":"IA3"})", 1, "\"peft_type\" is not \"LORA\"");
  refused(R"({"peft_type":7})", 1, "\"peft_type\" is not \"LORA\"");
  refused(R"({"peft_type":"LORA"})", {}, "no field \"r\"");
  refused(R"({"peft_type":"LORA","r":8})", {}, "no field \"lora_alpha\"");
  for (const char* r : {"0", "-1", "1.5", "\"8\"", "[]", "18446744073709551615", "true"})
    refused(R"({"peft_type":"LORA","lora_alpha":1,"r":)" + std::string(r) + "}", 35,
            "\"r\" is not a positive whole number");
  for (const char* alpha : {"0", "-1", "1e300", "\"8\"", "[]"})
    refused(R"({"peft_type":"LORA","r":1,"lora_alpha":)" + std::string(alpha) + "}", 26,
            "\"lora_alpha\" is not a positive number");
  refused(with(R"("r":1)"), 41, "the key \"r\" appears twice");
  refused(with(R"("use_rslora":1)"), 41, "\"use_rslora\" is not true or false");
  refused(with(R"("rank_pattern":[])"), 41, "\"rank_pattern\" is not an object");
  refused(with(R"("rank_pattern":{"a":0})"), 57, "\"rank_pattern\": \"a\" is not a positive whole number");
  refused(with(R"("alpha_pattern":{"a":"b"})"), 58, "\"alpha_pattern\": \"a\" is not a positive number");
  for (const char* key : {".*q_proj", "(a|b)", "a$", "a^b", "[ab]", "a\\\\d", "a+", "a?", "a{2}"})
    refused(with(R"("rank_pattern":{)" + in_quotes(key) + ":1}"), 57,
            "\"rank_pattern\": " + in_quotes(nlohmann::json::parse(in_quotes(key)).get<std::string>()) +
                " is more than a name");
  refused(with(R"("target_modules":7)"), 41, "\"target_modules\" is neither an array nor a string");
  refused(with(R"("target_modules":[7])"), 41, "\"target_modules\" holds something other than strings");
}

TEST_CASE("peft: what an adapter of linear maps cannot be is refused by name") {
  for (const char* key : {"use_dora", "fan_in_fan_out", "lora_bias", "use_qalora"})
    refused(with(in_quotes(key) + ":true"), 41, in_quotes(key) + " is not supported");
  for (const char* key : {"modules_to_save", "layer_replication", "trainable_token_indices", "target_parameters",
                          "alora_invocation_tokens", "arrow_config", "use_bdlora", "kasa_config", "monteclora_config"})
    refused(with(in_quotes(key) + ":[1]"), 41, in_quotes(key) + " is not supported");
  for (const char* bias : {"\"all\"", "\"lora_only\"", "true"})
    refused(with("\"bias\":" + std::string(bias)), 41, "\"bias\" other than \"none\" is not supported");
  for (const char* initial : {"pissa", "pissa_niter_16", "olora", "corda", "loftq", "lora_ga"})
    refused(with("\"init_lora_weights\":" + in_quotes(initial)), 41,
            in_quotes(initial) + " changed the base model's weights");
}

TEST_CASE("peft: tensors that do not fit are refused with their names") {
  const std::string q = "model.layers.0.self_attn.q_proj.lora_", k = "model.layers.0.self_attn.k_proj.lora_";
  {
    const peft_folder f;
    CHECK(!f.error_of(small_model));
  }
  const auto with_tensor = [](const std::string& name, const std::vector<index_t>& shape, const std::string& reason,
                              const hone::transformer::config& c = small_model) {
    peft_folder f;
    f.tensor(name, shape);
    f.refused(name, reason, c);
  };
  const std::string called = "is not called base_model.model.MODULE.lora_A.weight or .lora_B.weight";
  with_tensor(k + "A", {2, 8}, "its other half is not there");
  with_tensor(k + "B", {4, 2}, "its other half is not there");
  with_tensor(k + "C", {2, 8}, called);
  with_tensor(k + "A.default", {2, 8}, called);
  with_tensor("model.embed_tokens.lora_embedding_A", {2, 5}, called);
  with_tensor("model.layers.0.self_attn.k_proj", {4, 8}, called);
  with_tensor("model.layers.2.self_attn.k_proj.lora_A", {2, 8},
              "the model has no module \"model.layers.2.self_attn.k_proj\" of its own");
  with_tensor("layers.0.self_attn.k_proj.lora_A", {2, 8},
              "the model has no module \"layers.0.self_attn.k_proj\" of its own");
  with_tensor("model.layers.0.input_layernorm.lora_A", {1, 8}, "is 1 x 8, its configured rank is 2");
  with_tensor(k + "A", {3, 8}, "is 3 x 8, its configured rank is 2");
  with_tensor(k + "A", {2}, "is 2, its configured rank is 2");
  with_tensor(k + "A", {}, "is of no size, its configured rank is 2");
  with_tensor(k + "A", {2, 2, 2}, "is 2 x 2 x 2, its configured rank is 2");
  hone::transformer::config tied = small_model;
  tied.tie_embeddings = true;
  with_tensor("lm_head.lora_A", {2, 8}, "the model has no module \"lm_head\" of its own", tied);
  with_tensor("lm_head.base_layer", {6, 8}, "is 6 x 8, not of the model's shape");
  {
    peft_folder f;
    f.tensor(k + "A", {2, 9});
    f.tensor(k + "B", {4, 2});
    f.refused(k + "A", "is 2 x 9, must be rank x 8");
  }
  {
    peft_folder f;
    f.tensor(k + "A", {2, 8});
    f.tensor(k + "B", {5, 2});
    f.refused(k + "B", "is 5 x 2, must be 4 x 2");
  }
  {
    peft_folder f;
    f.tensor("model.layers.0.input_layernorm.lora_A", {2, 8});
    f.tensor("model.layers.0.input_layernorm.lora_B", {1, 2});
    f.refused("model.layers.0.input_layernorm.lora_A", "only linear maps are adapted");
  }
  {
    peft_folder f;
    f.config = R"({"peft_type":"LORA","r":2,"lora_alpha":4,"rank_pattern":{"k_proj":5}})";
    f.tensor(k + "A", {5, 8});
    f.tensor(k + "B", {4, 5});
    f.refused(k + "A", "rank 5 of a matrix of 4 x 8: must be in [1, the smaller side]");
  }
  {
    peft_folder f;
    f.config = R"({"peft_type":"LORA","r":2,"lora_alpha":4,"target_modules":["k_proj"]})";
    f.refused(q + "A", "\"target_modules\" leave it out");
  }
  {
    peft_folder f;
    f.tensor("x.lora_A", {2, 8}, "");
    CHECK(f.error_of(small_model)->reason() == "tensor \"x.lora_A.weight\": " + called);
  }
}

TEST_CASE("peft: a folder without its files, or with a large configuration, is an error") {
  peft_folder f;
  CHECK_THROWS_AS(read_peft(f.scratch.path, small_model), std::system_error);
  f.config = std::string((1 << 20) + 1, ' ');
  const auto error = f.error_of(small_model);
  CHECK(error->where().in == position::unit::none);
  CHECK(error->reason() == "the file has 1048577 bytes, at most 1048576 are read");
}

TEST_CASE("peft: routers and experts have their family's names, and come back from them") {
  using hone::transformer::query_key_norm;
  const hone::lora::adapter<float> adapter = made_expert_adapter(true);
  for (const auto norm : {query_key_norm::none, query_key_norm::heads}) {
    const hone::transformer::config c = small_experts(norm);
    const bool mixtral = norm == query_key_norm::none;
    const std::string layer =
        std::string("base_model.model.model.layers.1.") + (mixtral ? "block_sparse_moe." : "mlp.");
    const scratch_folder folder;
    write_peft(folder.path, c, adapter);
    const stored_adapter read = read_peft(folder.path, c);
    CHECK(read.adapter.parameters == adapter.parameters);
    REQUIRE(read.adapter.sites.size() == adapter.sites.size());
    for (std::size_t i = 0; i < adapter.sites.size(); ++i) {
      CHECK(read.adapter.sites[i].name == adapter.sites[i].name);
      CHECK(read.adapter.sites[i].scale == adapter.sites[i].scale);
    }
    const safetensors file = read_safetensors(folder.path / "adapter_model.safetensors");
    CHECK(find_tensor(file.tensors, layer + "gate.lora_A.weight") != nullptr);
    CHECK(find_tensor(file.tensors, layer + (mixtral ? "experts.2.w2.lora_B.weight"
                                                     : "experts.2.down_proj.lora_B.weight")) != nullptr);
    const peft_config config = parse_peft_config(to_text(read_file(folder.path / "adapter_config.json")), "f");
    const auto targeted = [&](const std::string& name) {
      return std::count(config.target_modules.begin(), config.target_modules.end(), name) == 1;
    };
    CHECK(targeted("gate"));  // all routers, but three of the six experts' matrices
    CHECK(targeted("model.layers.1." +
                   std::string(mixtral ? "block_sparse_moe.experts.0.w2" : "mlp.experts.0.down_proj")));
    CHECK(!targeted(mixtral ? "w2" : "down_proj"));
    CHECK_THROWS_WITH(read_peft(folder.path, small_experts(mixtral ? query_key_norm::heads : query_key_norm::none)),
                      Catch::Contains(std::string("the model has no module \"model.layers.0.") +
                                      (mixtral ? "block_sparse_moe." : "mlp.")));
  }
  peft_folder f;
  f.tensor("model.layers.0.mlp.experts.3.up_proj.lora_A", {2, 8});
  f.refused("model.layers.0.mlp.experts.3.up_proj.lora_A",
            "the model has no module \"model.layers.0.mlp.experts.3.up_proj\" of its own",
            small_experts(query_key_norm::heads));
}
