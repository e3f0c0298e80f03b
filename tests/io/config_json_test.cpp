// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/config_json.hpp"

#include "io/published_configs.hpp"

using namespace hone;
using namespace hone::io;
using namespace published_configs;

TEST_CASE("published models have their published numbers of parameters") {
  CHECK(transformer::parameter_count(parse(llama_2_7b)) == 6'738'415'616);
  CHECK(transformer::parameter_count(parse(llama_3_2_1b)) == 1'235'814'400);
  CHECK(transformer::parameter_count(parse(smollm2_135m)) == 134'515'008);
  CHECK(transformer::parameter_count(parse(qwen_2_5_half_b)) == 494'032'768);
  CHECK(transformer::parameter_count(parse(qwen_3_06b)) == 596'049'920);
  CHECK(transformer::parameter_count(parse(mistral_7b)) == 7'241'732'096);
  CHECK(transformer::parameter_count(parse(mixtral_8x7b)) == 46'702'792'704);
  CHECK(transformer::parameter_count(parse(olmoe_1b_7b)) == 6'919'161'856);
  CHECK(transformer::parameter_count(parse(qwen3_30b_a3b)) == 30'532'122'624);
}

TEST_CASE("every field of a configuration comes from the file") {
  const transformer::config llama = parse(llama_3_2_1b);
  CHECK(llama == transformer::config{.d_model = 2048,
                                     .d_ff = 8192,
                                     .n_layers = 16,
                                     .n_heads = 32,
                                     .n_kv_heads = 8,
                                     .vocab = 128256,
                                     .max_seq = 131072,
                                     .rope_base = 500000,
                                     .norm_eps = 1e-5,
                                     .tie_embeddings = true,
                                     .rope = transformer::rope_layout::half,
                                     .scaling = {method::llama3, 32, 1, 4, 8192}});
  const transformer::config qwen2 = parse(qwen_2_5_half_b);
  CHECK((qwen2.qkv_bias && !qwen2.output_bias && qwen2.qk_norm == transformer::query_key_norm::none &&
         qwen2.window == 0 && qwen2.head_size() == 64));
  const transformer::config qwen3 = parse(qwen_3_06b);
  CHECK((!qwen3.qkv_bias && qwen3.qk_norm == transformer::query_key_norm::heads && qwen3.head_width == 128 &&
         qwen3.q_width() == 2048));
  CHECK(parse(with(qwen_3_06b, "attention_bias", true)).qkv_bias);
  CHECK(parse(with(qwen_3_06b, "attention_bias", true)).output_bias);
  CHECK((parse(mistral_7b).window == 4096 && parse(mistral_7b).full_layers == 0 && !parse(mistral_7b).tie_embeddings));
}

TEST_CASE("a missing field is the default of its type, null is its absence") {
  CHECK(parse(without(llama_2_7b, "rope_theta")).rope_base == 10000);
  CHECK(parse(without(llama_2_7b, "rms_norm_eps")).norm_eps == 1e-6);
  CHECK_FALSE(parse(without(llama_3_2_1b, "tie_word_embeddings")).tie_embeddings);
  CHECK(parse(without(llama_3_2_1b, "num_key_value_heads")).n_kv_heads == 32);
  CHECK(parse(with(llama_3_2_1b, "num_key_value_heads", nullptr)).n_kv_heads == 32);
  CHECK(parse(with(qwen_2_5_half_b, "num_key_value_heads", nullptr)).n_kv_heads == 14);
  CHECK(parse(without(qwen_3_06b, "head_dim")).head_width == 128);
  CHECK(parse(with(qwen_3_06b, "head_dim", nullptr)).head_width == 0);
  CHECK(parse(without(mistral_7b, "sliding_window")).window == 4096);
  CHECK(parse(with(mistral_7b, "sliding_window", nullptr)).window == 0);
  CHECK(parse(with(mistral_7b, "head_dim", 96)).head_width == 96);
  CHECK(parse(without(llama_2_7b, "hidden_act")).d_model == 4096);
}

TEST_CASE("the window of Qwen begins after its first layers, in the words of either version") {
  const json on = with(with(qwen_2_5_half_b, "use_sliding_window", true), "max_window_layers", 20);
  const transformer::config c = parse(on);
  CHECK((c.window == 32768 && c.full_layers == 20 && c.window_of(19) == 0 && c.window_of(20) == 32768));
  CHECK(parse(without(on, "max_window_layers")).full_layers == 28);
  CHECK(parse(with(on, "sliding_window", nullptr)).window == 0);
  json layers = json::array();
  for (int i = 0; i < 24; ++i) layers.push_back(i < 20 ? "full_attention" : "sliding_attention");
  CHECK(parse(with(on, "layer_types", layers)) == c);
  CHECK(parse(with(with(on, "layer_types", layers), "max_window_layers", 3)) == c);
  const json full(std::vector<std::string>(24, "full_attention"));
  CHECK(parse(with(with(on, "use_sliding_window", false), "layer_types", full)).window == 0);
  CHECK(parse(with(on, "layer_types", full)).window == 0);
  CHECK(parse(with(mistral_7b, "layer_types", {"full_attention"})) == parse(mistral_7b));
}

TEST_CASE("RoPE is that of either version of the file") {
  json version_5 = without(without(llama_3_2_1b, "rope_scaling"), "rope_theta");
  version_5["rope_parameters"] = llama_3_2_1b["rope_scaling"];
  version_5["rope_parameters"]["rope_theta"] = 500000.0;
  CHECK(parse(version_5) == parse(llama_3_2_1b));
  const json old = with(llama_2_7b, "rope_scaling", {{"type", "linear"}, {"factor", 2}});
  CHECK(parse(old).scaling == transformer::rope_scaling{.how = method::linear, .factor = 2});
  CHECK(parse(with(llama_2_7b, "rope_scaling", {{"rope_type", "default"}})).scaling.how == method::none);
}

TEST_CASE("what the decoder does not have is refused by its path") {
  const auto reason = [](const json& j) {
    const auto error = format_error_of([&] { parse(j); });
    return error ? error->reason() : "";
  };
  CHECK(
      reason(with(llama_2_7b, "model_type", "gemma3")) ==
      "\"model_type\": \"gemma3\" is not one of llama, mistral, qwen2, qwen3, mixtral, olmoe, qwen3_moe, llada, hone");
  CHECK_THAT(reason(without(llama_2_7b, "model_type")), Catch::Contains("\"\" is not one of llama, mistral"));
  CHECK(reason(with(llama_2_7b, "hidden_act", "gelu")) == "\"hidden_act\": \"gelu\" is not supported, only silu is");
  CHECK(reason(with(llama_2_7b, "mlp_bias", true)) == "\"mlp_bias\": is not supported");
  CHECK(reason(with(qwen_2_5_half_b, "use_mrope", true)) == "\"use_mrope\": is not supported");
  CHECK(reason(with(llama_2_7b, "quantization_config", {{"bits", 4}})) ==
        "\"quantization_config\": quantized weights are not supported");
  for (const char* type : {"dynamic", "yarn", "longrope", "mrope"}) {
    const std::string why = ": \"" + std::string(type) + "\" is not supported, only default, linear and llama3 are";
    CHECK(reason(with(llama_2_7b, "rope_scaling", {{"rope_type", type}, {"factor", 2}})) ==
          "\"rope_scaling.rope_type\"" + why);
    CHECK(reason(with(llama_2_7b, "rope_parameters", {{"rope_type", type}})) == "\"rope_parameters.rope_type\"" + why);
    CHECK(reason(with(llama_2_7b, "rope_scaling", {{"type", type}})) == "\"rope_scaling.type\"" + why);
  }
  CHECK(reason(with(llama_2_7b, "partial_rotary_factor", 0.5)) ==
        "\"partial_rotary_factor\": RoPE on a part of the head is not supported");
  CHECK(reason(with(llama_2_7b, "rope_parameters", {{"partial_rotary_factor", 0.5}})) ==
        "\"rope_parameters.partial_rotary_factor\": RoPE on a part of the head is not supported");
  CHECK(reason(with(llama_2_7b, "rope_parameters", {{"sliding_attention", {{"rope_theta", 1}}}})) ==
        "\"rope_parameters\": a RoPE of its own for some layers is not supported");
  CHECK_THAT(reason(with(qwen_3_06b, "layer_types", {"full_attention"})),
             Catch::Contains("is not a list of 28 layers"));
  json mixed(std::vector<std::string>(28, "full_attention"));
  mixed[3] = "sliding_attention";
  CHECK_THAT(reason(with(qwen_3_06b, "layer_types", mixed)),
             Catch::Contains("only full_attention, and sliding_attention"));
  CHECK_THAT(reason(with(qwen_3_06b, "layer_types", json(std::vector<std::string>(28, "sliding_attention")))),
             Catch::Contains("without a window"));
}

TEST_CASE("fields that are missing or of another type are named, with their byte") {
  const auto reason = [](const json& j) {
    const auto error = format_error_of([&] { parse(j); });
    return error ? error->reason() : "";
  };
  for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size",
                          "max_position_embeddings"}) {
    const std::string name = std::string("\"") + key + "\": ";
    CHECK(reason(without(llama_2_7b, key)) == name + "is missing");
    CHECK(reason(with(llama_2_7b, key, nullptr)) == name + "is missing");
    CHECK(reason(with(llama_2_7b, key, -1)) == name + "-1 is not a whole number in [0, 2^31 - 1]");
    CHECK(reason(with(llama_2_7b, key, 2147483648)) == name + "2147483648 is not a whole number in [0, 2^31 - 1]");
    CHECK(reason(with(llama_2_7b, key, 1.5)) == name + "1.5 is not a whole number in [0, 2^31 - 1]");
    CHECK(reason(with(llama_2_7b, key, "8")) == name + "is not a whole number in [0, 2^31 - 1]");
    CHECK(reason(with(llama_2_7b, key, json::array())) == name + "is not a whole number in [0, 2^31 - 1]");
    CHECK_THAT(reason(with(llama_2_7b, key, 0)), Catch::Contains("must be in [1, 2^31 - 1], is 0"));
  }
  CHECK(reason(without(mistral_7b, "num_key_value_heads")) == "\"num_key_value_heads\": is missing");
  CHECK(reason(with(llama_2_7b, "rms_norm_eps", "1e-5")) == "\"rms_norm_eps\": is not a number");
  CHECK_THAT(reason(with(llama_2_7b, "rms_norm_eps", 0)), Catch::Equals("rms_norm_eps: must be positive, is 0"));
  CHECK_THAT(reason(with(llama_2_7b, "rope_theta", -1)), Catch::Equals("rope_theta: must be positive, is -1"));
  CHECK(reason(with(llama_2_7b, "tie_word_embeddings", 1)) == "\"tie_word_embeddings\": is not true or false");
  CHECK(reason(with(llama_2_7b, "model_type", 3)) == "\"model_type\": is not a string");
  CHECK(reason(with(llama_2_7b, "rope_scaling", "linear")) == "\"rope_scaling\": is not an object");
  CHECK(reason(with(llama_2_7b, "rope_scaling", {{"type", "linear"}})) == "\"rope_scaling.factor\": is missing");
  CHECK_THAT(reason(with(llama_2_7b, "rope_scaling", {{"type", "linear"}, {"factor", 0.5}})),
             Catch::Equals("rope_scaling.factor: must be at least 1, is 0.5"));
  CHECK(reason(with(llama_2_7b, "rope_scaling", {{"rope_type", "llama3"}, {"factor", 2}})) ==
        "\"rope_scaling.low_freq_factor\": is missing");
  CHECK_THAT(reason(with(llama_2_7b, "num_attention_heads", 31)),
             Catch::Equals("num_attention_heads: 31 does not divide hidden_size 4096"));
  CHECK_THAT(reason(with(llama_2_7b, "head_dim", 7)), Catch::Equals("head_dim: the head size 7 is odd"));

  const auto error =
      format_error_of([] { parse_config_json("{\"model_type\": \"llama\", \"hidden_size\": -4}", "c"); });
  REQUIRE(error);
  CHECK(error->where().at == 24);
  CHECK(error->what() == std::string("c: at byte 24: \"hidden_size\": -4 is not a whole number in [0, 2^31 - 1]"));
  for (const char* text : {"", "[]", "3", "null", "{", "{\"model_type\": \"llama\", \"model_type\": \"llama\"}",
                           "{\"model_type\": \"llama\"} {}", "{\"model_type\": \"\xff\"}", "nul", "{\"a\": NaN}"})
    CHECK_THROWS_AS(parse_config_json(text, "c"), format_error);
  CHECK_THROWS_AS(parse_config_json(std::string(100000, '['), "c"), format_error);
  CHECK_THROWS_WITH(parse_config_json("{\"hidden_size\": 1e999}", "c"), Catch::Contains("overflows"));
}

TEST_CASE("a configuration that is written is read as it was") {
  const transformer::config plain{.rope = transformer::rope_layout::half};
  std::vector<transformer::config> all(13, plain);
  all[1].tie_embeddings = false;
  all[2].qkv_bias = all[2].output_bias = true;
  all[3].scaling = {method::llama3, 8, 2, 5, 100};
  all[4].scaling = {.how = method::linear, .factor = 2.5};
  all[5].qkv_bias = true;
  all[6].qkv_bias = true, all[6].window = 9, all[6].full_layers = 2;
  all[7].qk_norm = transformer::query_key_norm::heads;
  all[8].qk_norm = transformer::query_key_norm::heads, all[8].qkv_bias = all[8].output_bias = true,
  all[8].head_width = 20, all[8].window = 3;
  all[9].window = 17;
  all[10].window = 5, all[10].head_width = 12, all[10].rope_base = 1e6;
  all[11].head_width = 24, all[11].norm_eps = 3e-6;
  all[12].qkv_bias = true, all[12].head_width = 2;
  const char* types[] = {"llama", "llama", "llama",   "llama",   "llama", "qwen2", "qwen2",
                         "qwen3", "qwen3", "mistral", "mistral", "llama", "qwen2"};
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string text = format_config_json(all[i]);
    CHECK(json::parse(text)["model_type"] == types[i]);
    CHECK(parse_config_json(text, "c") == all[i]);
  }
  CHECK(json::parse(format_config_json(all[7]))["architectures"] == json{"Qwen3ForCausalLM"});
}

TEST_CASE("a model that is not causal is written with all its fields, and nobody takes it for another") {
  using transformer::config;
  config plain{.causal = false, .rope = transformer::rope_layout::half};
  std::vector<config> all(9, plain);
  all[1].block = 32, all[1].mask_token = 511;
  all[2].mask_token = 0, all[2].qkv_bias = true, all[2].scaling = {method::llama3, 8, 2, 5, 100};
  all[3].output_bias = true, all[3].clip_qkv = 0.7, all[3].tie_embeddings = false;
  all[4].qk_norm = transformer::query_key_norm::whole, all[4].head_width = 20, all[4].norm_eps = 1e-7 / 3;
  all[5].experts = {.count = 4, .d_ff = 8, .shared_d_ff = 3, .router = moe::expert_choice(2), .every = 2};
  all[6].experts = {.count = 5, .d_ff = 8, .router = moe::zhou_expert_choice(1, moe::pool::batch), .dense = {4, 0}};
  all[6].experts.router.best_if_none = true;
  all[7].experts = {.count = 4, .d_ff = 8, .router = moe::softmax_then_top_k(2, {5, 4}, moe::drop_policy::choice)};
  all[7].experts.sees_the_future = true, all[7].block = 7;
  all[8].experts = {.count = 4, .d_ff = 8, .router = moe::loss_free(2), .selection_bias = true};
  for (const config& c : all) {
    const std::string text = format_config_json(c);
    const json written = json::parse(text);
    CHECK((written["model_type"] == "hone" && written["architectures"] == json{"HoneMaskedDiffusion"} &&
           written["is_causal"] == false));
    CHECK(parse_config_json(text, "c") == c);
    const auto reason = [](const json& j) {
      const auto error = format_error_of([&] { parse(j); });
      return error ? error->reason() : "";
    };
    CHECK(reason(with(written, "is_causal", true)) == "\"is_causal\": must be false in a model of this type");
    CHECK(reason(with(written, "qk_norm", "some")) == "\"qk_norm\": \"some\" is not one of none, heads, whole");
    CHECK_THAT(reason(with(written, "mask_token_id", 512)), Catch::Contains("must be -1 or one of 512 tokens"));
    if (c.experts.count == 0) continue;
    json other = written;
    other["experts"]["router"]["chosen"] = "best";
    CHECK(reason(other) ==
          "\"experts.router.chosen\": \"best\" is not one of column_top, row_top, global_top, threshold");
    other = written;
    other["experts"]["router"].erase("per_token");
    CHECK(reason(other) == "\"experts.router.per_token\": is missing");
  }
  for (const moe::router& r : {moe::expert_choice_sigmoid(2), moe::gshard(), moe::remoe(), moe::expert_threshold(2),
                               moe::expert_race(3), moe::sinkhorn_balanced(2), moe::switch_transformer()}) {
    config c = plain;
    c.experts = {.count = 4, .d_ff = 8, .router = r};
    CHECK(parse_config_json(format_config_json(c), "c") == c);
  }
}

TEST_CASE("what no family has is not written") {
  const auto refused = [](transformer::config c, const char* why) {
    CHECK_THROWS_WITH(format_config_json(c), Catch::Contains(why));
  };
  refused({.tie_embeddings = false, .outputs = 1}, "vocabulary");
  refused({.output_bias = true}, "bias on the output alone");
  refused({.qkv_bias = true, .qk_norm = transformer::query_key_norm::heads}, "norms of heads");
  refused({.window = 5, .full_layers = 1}, "Mistral's window");
  refused({.qkv_bias = true, .output_bias = true, .window = 5}, "and a window");
  refused({.qk_norm = transformer::query_key_norm::whole}, "no family without experts has norms of the whole width");
  refused({.clip_qkv = 1}, "no family without experts has norms of the whole width or cut projections");
  const transformer::expert_layers two = {.count = 4, .d_ff = 8, .router = moe::top_k_then_softmax(2)};
  const auto with_experts = [&](auto change) {
    transformer::config c{.experts = two};
    change(c);
    return c;
  };
  using transformer::config;
  refused(with_experts([](config& c) { c.experts.router = moe::switch_transformer(); }), "this router");
  refused(with_experts([](config& c) { c.experts.router = moe::loss_free(2); }), "this router");
  refused(with_experts([](config& c) { c.experts.selection_bias = true; }), "bias on the selection");
  refused(with_experts([](config& c) { c.experts.shared_d_ff = 8; }), "shared expert without a gate");
  refused(with_experts([](config& c) { c.experts.every = 2; }), "experts in all layers");
  refused(with_experts([](config& c) { c.experts.router = moe::softmax_then_top_k(2); }), "Mixtral's gates sum to 1");
  refused(with_experts([](config& c) { c.clip_qkv = 1; }), "Mixtral's gates sum to 1");
  refused(with_experts([](config& c) { c.qkv_bias = true; }), "biases on one side");
  refused(with_experts([](config& c) { c.window = 5, c.full_layers = 1; }), "that of every layer");
  refused(with_experts([](config& c) { c.qk_norm = transformer::query_key_norm::whole, c.window = 4; }),
          "OLMoE has no");
  refused(with_experts([](config& c) { c.qk_norm = transformer::query_key_norm::heads, c.clip_qkv = 4; }),
          "Qwen3-MoE cuts no projections");
}
