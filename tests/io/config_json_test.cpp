// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/config_json.hpp"

#include "io/support.hpp"

using namespace hone;
using namespace hone::io;

namespace {

using nlohmann::json;
using method = transformer::rope_scaling::method;

/// The numbers of published models, as version 4 of Transformers writes them.
const json llama_3_2_1b = json::parse(R"({
  "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 128000,
  "eos_token_id": 128001, "head_dim": 64, "hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02,
  "intermediate_size": 8192, "max_position_embeddings": 131072, "mlp_bias": false, "model_type": "llama",
  "num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8, "pretraining_tp": 1,
  "rms_norm_eps": 1e-05, "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
  "original_max_position_embeddings": 8192, "rope_type": "llama3"}, "rope_theta": 500000.0,
  "tie_word_embeddings": true, "torch_dtype": "bfloat16", "use_cache": true, "vocab_size": 128256})");
const json qwen_2_5_half_b = json::parse(R"({
  "hidden_act": "silu", "hidden_size": 896, "intermediate_size": 4864, "max_position_embeddings": 32768,
  "max_window_layers": 24, "model_type": "qwen2", "num_attention_heads": 14, "num_hidden_layers": 24,
  "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 32768,
  "tie_word_embeddings": true, "use_mrope": false, "use_sliding_window": false, "vocab_size": 151936})");
const json qwen_3_06b = json::parse(R"({
  "attention_bias": false, "head_dim": 128, "hidden_act": "silu", "hidden_size": 1024, "intermediate_size": 3072,
  "max_position_embeddings": 40960, "max_window_layers": 28, "model_type": "qwen3", "num_attention_heads": 16,
  "num_hidden_layers": 28, "num_key_value_heads": 8, "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000,
  "sliding_window": null, "tie_word_embeddings": true, "use_sliding_window": false, "vocab_size": 151936})");
const json mistral_7b = json::parse(R"({
  "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 32768,
  "model_type": "mistral", "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
  "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "sliding_window": 4096, "tie_word_embeddings": false,
  "vocab_size": 32000})");
const json smollm2_135m = json::parse(R"({
  "attention_bias": false, "hidden_act": "silu", "hidden_size": 576, "intermediate_size": 1536, "mlp_bias": false,
  "max_position_embeddings": 8192, "model_type": "llama", "num_attention_heads": 9, "num_hidden_layers": 30,
  "num_key_value_heads": 3, "rms_norm_eps": 1e-05, "rope_interleaved": false, "rope_scaling": null,
  "rope_theta": 100000, "tie_word_embeddings": true, "vocab_size": 49152})");
const json llama_2_7b = json::parse(R"({
  "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 11008, "max_position_embeddings": 4096,
  "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32,
  "rms_norm_eps": 1e-05, "rope_scaling": null, "tie_word_embeddings": false, "vocab_size": 32000})");
const json mixtral_8x7b = json::parse(R"({
  "architectures": ["MixtralForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2,
  "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 14336,
  "max_position_embeddings": 32768, "model_type": "mixtral", "num_attention_heads": 32, "num_experts_per_tok": 2,
  "num_hidden_layers": 32, "num_key_value_heads": 8, "num_local_experts": 8, "output_router_logits": false,
  "rms_norm_eps": 1e-05, "rope_theta": 1000000.0, "router_aux_loss_coef": 0.02, "sliding_window": null,
  "tie_word_embeddings": false, "torch_dtype": "bfloat16", "use_cache": true, "vocab_size": 32000})");
const json olmoe_1b_7b = json::parse(R"({
  "architectures": ["OlmoeForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "clip_qkv": null,
  "eos_token_id": 50279, "hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02,
  "intermediate_size": 1024, "max_position_embeddings": 4096, "model_type": "olmoe", "norm_topk_prob": false,
  "num_attention_heads": 16, "num_experts": 64, "num_experts_per_tok": 8, "num_hidden_layers": 16,
  "num_key_value_heads": 16, "output_router_logits": false, "pad_token_id": 1, "rms_norm_eps": 1e-05,
  "rope_scaling": null, "rope_theta": 10000.0, "router_aux_loss_coef": 0.01, "tie_word_embeddings": false,
  "vocab_size": 50304})");
const json qwen3_30b_a3b = json::parse(R"({
  "architectures": ["Qwen3MoeForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
  "decoder_sparse_step": 1, "head_dim": 128, "hidden_act": "silu", "hidden_size": 2048, "intermediate_size": 6144,
  "max_position_embeddings": 40960, "max_window_layers": 48, "mlp_only_layers": [], "model_type": "qwen3_moe",
  "moe_intermediate_size": 768, "norm_topk_prob": true, "num_attention_heads": 32, "num_experts": 128,
  "num_experts_per_tok": 8, "num_hidden_layers": 48, "num_key_value_heads": 4, "output_router_logits": false,
  "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000.0, "router_aux_loss_coef": 0.001,
  "sliding_window": null, "tie_word_embeddings": false, "use_sliding_window": false, "vocab_size": 151936})");
/// Of LLaDA-MoE's authors; small.
const json llada_moe = json::parse(to_text(read_file(golden_file("families/llada_moe/config.json"))));

transformer::config parse(const json& j) { return parse_config_json(j.dump(), "config.json"); }

json with(json j, const char* key, json value) {
  j[key] = std::move(value);
  return j;
}
json without(json j, const char* key) {
  j.erase(key);
  return j;
}

}  // namespace

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
  CHECK(reason(with(llama_2_7b, "model_type", "gemma3")) ==
        "\"model_type\": \"gemma3\" is not one of llama, mistral, qwen2, qwen3, mixtral, olmoe, qwen3_moe, llada");
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

TEST_CASE("experts of every family come from its own fields") {
  const transformer::config mixtral = parse(mixtral_8x7b);
  CHECK(mixtral.experts == transformer::expert_layers{.count = 8, .d_ff = 14336, .router = moe::top_k_then_softmax(2)});
  CHECK((mixtral.d_ff == 14336 && mixtral.causal && mixtral.rope_base == 1e6 && mixtral.window == 0));
  CHECK(parse(with(mixtral_8x7b, "sliding_window", 4096)).window == 4096);
  const transformer::config olmoe = parse(olmoe_1b_7b);
  CHECK(olmoe.experts == transformer::expert_layers{.count = 64, .d_ff = 1024, .router = moe::softmax_then_top_k(8)});
  CHECK((olmoe.qk_norm == transformer::query_key_norm::whole && olmoe.clip_qkv == 0));
  CHECK(parse(with(olmoe_1b_7b, "clip_qkv", 8)).clip_qkv == 8);
  CHECK(parse(with(olmoe_1b_7b, "norm_topk_prob", true)).experts.router == moe::top_k_then_softmax(8));
  const transformer::config qwen = parse(qwen3_30b_a3b);
  CHECK(qwen.experts == transformer::expert_layers{.count = 128, .d_ff = 768, .router = moe::top_k_then_softmax(8)});
  CHECK((qwen.d_ff == 6144 && qwen.qk_norm == transformer::query_key_norm::heads && qwen.head_width == 128));
  CHECK(parse(with(qwen3_30b_a3b, "norm_topk_prob", false)).experts.router == moe::softmax_then_top_k(8));
  const transformer::config mixed =
      parse(with(with(qwen3_30b_a3b, "decoder_sparse_step", 2), "mlp_only_layers", {3, 1}));
  CHECK((mixed.experts.every == 2 && mixed.experts.dense == std::vector<index_t>{3, 1}));
  CHECK((!mixed.sparse(0) && !mixed.sparse(1) && !mixed.sparse(3) && mixed.sparse(5) && !mixed.sparse(6)));
  const transformer::config llada = parse(llada_moe);
  CHECK(llada.experts ==
        transformer::expert_layers{.count = 4, .d_ff = 12, .router = moe::softmax_then_top_k(2), .dense = {0}});
  CHECK((!llada.causal && llada.d_ff == 8 && llada.qk_norm == transformer::query_key_norm::heads));
  CHECK(parse(with(llada_moe, "model_type", "lladamoe")) == llada);
  CHECK(parse(with(llada_moe, "shared_expert_intermediate_size", 24)).experts.shared_d_ff == 24);
  CHECK(parse(with(llada_moe, "qk_layernorm", false)).qk_norm == transformer::query_key_norm::none);
  CHECK(parse(with(with(llada_moe, "attention_bias", true), "clip_qkv", 2)).clip_qkv == 2);
}

TEST_CASE("fields of experts that are missing have the defaults of their type, by either of their names") {
  CHECK(parse(without(mixtral_8x7b, "num_experts_per_tok")).experts.router.per_token == 2);
  CHECK(parse(without(olmoe_1b_7b, "num_experts_per_tok")).experts.router.per_token == 8);
  CHECK(parse(without(qwen3_30b_a3b, "norm_topk_prob")).experts.router == moe::softmax_then_top_k(8));
  CHECK(parse(without(without(qwen3_30b_a3b, "decoder_sparse_step"), "mlp_only_layers")) == parse(qwen3_30b_a3b));
  CHECK(parse(without(qwen3_30b_a3b, "head_dim")).head_width == 0);
  CHECK(parse(without(mixtral_8x7b, "rope_theta")).rope_base == 1e6);
  CHECK(parse(without(olmoe_1b_7b, "rms_norm_eps")).norm_eps == 1e-5);
  CHECK(parse(without(qwen3_30b_a3b, "rms_norm_eps")).norm_eps == 1e-6);
  CHECK(parse(without(olmoe_1b_7b, "num_key_value_heads")).n_kv_heads == 16);
  CHECK(parse(with(without(qwen3_30b_a3b, "num_experts"), "num_local_experts", 128)) == parse(qwen3_30b_a3b));
  CHECK(parse(with(without(mixtral_8x7b, "num_local_experts"), "num_experts", 8)) == parse(mixtral_8x7b));
  CHECK(parse(with(llada_moe, "dense_intermediate_size", nullptr)).d_ff == 12);
}

TEST_CASE("what experts are asked for that the decoder does not have is refused by its field") {
  const auto reason = [](const json& j) {
    const auto error = format_error_of([&] { parse(j); });
    return error ? error->reason() : "";
  };
  CHECK(reason(with(mixtral_8x7b, "router_jitter_noise", 0.1)) ==
        "\"router_jitter_noise\": noise on what the router reads is not supported");
  CHECK(reason(with(mixtral_8x7b, "router_jitter_noise", 0.0)).empty());
  CHECK(reason(without(mixtral_8x7b, "num_local_experts")) == "\"num_local_experts\": is missing");
  CHECK(reason(with(olmoe_1b_7b, "num_experts", 0)) == "\"num_experts\": must be positive, is 0");
  CHECK(reason(with(qwen3_30b_a3b, "num_local_experts", 64)) == "\"num_local_experts\": is not num_experts");
  CHECK(reason(with(olmoe_1b_7b, "num_experts_per_tok", 65)) ==
        "num_experts_per_tok: 65 experts a token, there are 64");
  CHECK_THAT(reason(with(olmoe_1b_7b, "num_experts_per_tok", 0)),
             Catch::Equals("num_experts_per_tok: must be in [1, 2^20), is 0"));
  CHECK(reason(with(olmoe_1b_7b, "intermediate_size", 0)) == "\"intermediate_size\": must be positive, is 0");
  CHECK(reason(without(qwen3_30b_a3b, "moe_intermediate_size")) == "\"moe_intermediate_size\": is missing");
  CHECK(reason(with(olmoe_1b_7b, "clip_qkv", 0)) == "\"clip_qkv\": must be positive");
  CHECK(reason(with(olmoe_1b_7b, "sliding_window", 9)) == "\"sliding_window\": this type of model has no window");
  CHECK(reason(with(olmoe_1b_7b, "head_dim", 64)) ==
        "\"head_dim\": only hidden_size / num_attention_heads is supported");
  CHECK(reason(with(with(qwen3_30b_a3b, "use_sliding_window", true), "sliding_window", 99)) ==
        "\"max_window_layers\": versions of Transformers differ in what it does");
  CHECK(reason(with(qwen3_30b_a3b, "decoder_sparse_step", 0)) == "decoder_sparse_step: must be in [1, 2^31 - 1], is 0");
  CHECK(reason(with(qwen3_30b_a3b, "mlp_only_layers", {48})) == "mlp_only_layers: layer 48, the model has 48");
  CHECK_THAT(reason(with(qwen3_30b_a3b, "mlp_only_layers", {1, -1})), Catch::Contains("other than whole numbers"));
  CHECK(reason(with(qwen3_30b_a3b, "mlp_only_layers", 1)) == "\"mlp_only_layers\": is not a list");
  CHECK(reason(with(llama_2_7b, "num_local_experts", 8)) == "\"num_local_experts\": this type of model has no experts");
  for (const char* path : {"moe_router_enable_expert_bias", "norm_topk_prob"})
    CHECK(reason(with(llada_moe, path, true)) == "\"" + std::string(path) + "\": is not supported");
  CHECK(reason(with(llada_moe, "moe_router_score_function", "sigmoid")) ==
        "\"moe_router_score_function\": \"sigmoid\" is not supported, only softmax is");
  CHECK(reason(with(llada_moe, "routed_scaling_factor", 2.5)) ==
        "\"routed_scaling_factor\": other than 1 is not supported");
  for (const char* path : {"router_num_group", "router_topk_group"})
    CHECK(reason(with(llada_moe, path, 4)) == "\"" + std::string(path) + "\": groups of experts are not supported");
  CHECK(reason(with(llada_moe, "moe_layer_freq", {1})) == "\"moe_layer_freq\": is not a list of 2 layers");
  CHECK(reason(with(llada_moe, "partial_rotary_factor", 0.5)) ==
        "\"partial_rotary_factor\": RoPE on a part of the head is not supported");
  for (const char* key : {"num_experts", "num_experts_per_tok", "expert_intermediate_size", "rope_theta"})
    CHECK(reason(without(llada_moe, key)) == "\"" + std::string(key) + "\": is missing");
}

TEST_CASE("a configuration of experts that is written is read as it was") {
  for (const json& published : {mixtral_8x7b, olmoe_1b_7b, qwen3_30b_a3b, llada_moe}) {
    const transformer::config c = parse(published);
    const json written = json::parse(format_config_json(c));
    CHECK(written["model_type"] == published["model_type"]);
    CHECK(written["architectures"] == published["architectures"]);
    CHECK(parse(written) == c);
    for (const auto& [key, value] : published.items())
      if (!value.is_null() && written.contains(key) && key != "max_window_layers") CHECK(written[key] == value);
  }
  std::vector<transformer::config> all(7, parse(qwen3_30b_a3b));
  all[0].experts.every = 2, all[0].experts.dense = {5, 1};
  all[1].experts.router = moe::softmax_then_top_k(1), all[1].qkv_bias = all[1].output_bias = true, all[1].window = 9;
  all[2] = parse(olmoe_1b_7b), all[2].clip_qkv = 0.75, all[2].qkv_bias = all[2].output_bias = true;
  all[3] = parse(mixtral_8x7b), all[3].window = 3, all[3].head_width = 64;
  all[4] = parse(llada_moe), all[4].clip_qkv = 3, all[4].experts.shared_d_ff = 5;
  all[5] = parse(llada_moe), all[5].qk_norm = transformer::query_key_norm::none, all[5].experts.dense = {};
  all[6] = parse(olmoe_1b_7b), all[6].experts.router = moe::top_k_then_softmax(3), all[6].tie_embeddings = true;
  for (const transformer::config& c : all) CHECK(parse_config_json(format_config_json(c), "c") == c);
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

TEST_CASE("what no family has is not written") {
  const auto refused = [](transformer::config c, const char* why) {
    CHECK_THROWS_WITH(format_config_json(c), Catch::Contains(why));
  };
  refused({.causal = false}, "causal");
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
  refused(with_experts([](config& c) { c.causal = false; }), "LLaDA-MoE's gates do not sum to 1");
  refused(with_experts([](config& c) { c.qk_norm = transformer::query_key_norm::whole, c.window = 4; }),
          "OLMoE has no");
  refused(with_experts([](config& c) { c.qk_norm = transformer::query_key_norm::heads, c.clip_qkv = 4; }),
          "Qwen3-MoE cuts no projections");
}
