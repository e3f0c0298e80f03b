// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/config_json.hpp"

#include "io/published_configs.hpp"

using namespace hone;
using namespace hone::io;
using namespace published_configs;
using transformer::config;
using transformer::query_key_norm;

namespace {

std::string reason(const json& j) {
  const auto error = format_error_of([&] { parse(j); });
  return error ? error->reason() : "";
}
std::string type_of(const config& c) { return json::parse(format_config_json(c))["model_type"]; }

}  // namespace

TEST_CASE("RoPE: version 5's section counts before version 4's, and the base in it before the one beside it") {
  json both = with(with(llama_2_7b, "rope_scaling", {{"type", "linear"}, {"factor", 2}}), "rope_theta", 5);
  CHECK(parse(both).rope_base == 5);
  both["rope_parameters"] = {{"rope_type", "linear"}, {"factor", 3}, {"rope_theta", 77}};
  CHECK(parse(both).scaling.factor == 3);
  CHECK(parse(both).rope_base == 77);
  const json named = {{"rope_type", "linear"}, {"type", "default"}, {"factor", 2}};
  CHECK(parse(with(llama_2_7b, "rope_scaling", named)).scaling.how == method::linear);
  CHECK(reason(with(llama_2_7b, "rope_parameters", {{"full_attention", {{"rope_theta", 1}}}})) ==
        "\"rope_parameters\": a RoPE of its own for some layers is not supported");
  CHECK(parse(with(llama_2_7b, "partial_rotary_factor", 1.0)) == parse(llama_2_7b));
  CHECK(parse(without(olmoe_1b_7b, "rope_theta")).rope_base == 1e4);
  CHECK(parse(without(qwen3_30b_a3b, "rope_theta")).rope_base == 1e4);
}

TEST_CASE("fields that a type does not have are passed over, others have its defaults") {
  CHECK(parse(with(llama_2_7b, "sliding_window", 5)) == parse(llama_2_7b));
  for (const json& type : {mistral_7b, qwen_2_5_half_b, mixtral_8x7b})
    CHECK(parse(with(type, "attention_bias", true)) == parse(type));
  CHECK(parse(with(llama_2_7b, "hidden_act", "swish")) == parse(llama_2_7b));
  CHECK(parse(without(mixtral_8x7b, "rms_norm_eps")).norm_eps == 1e-5);
  CHECK(parse(without(llada_moe, "rms_norm_eps")).norm_eps == 1e-5);
  CHECK(parse(without(mixtral_8x7b, "sliding_window")).window == 0);
}

TEST_CASE("Qwen's window: its default, none, and layers that are no list") {
  const json on = with(with(qwen_2_5_half_b, "use_sliding_window", true), "max_window_layers", 20);
  CHECK(parse(without(on, "sliding_window")).window == 4096);
  CHECK(parse(with(on, "sliding_window", nullptr)) == parse(qwen_2_5_half_b));
  CHECK(parse(with(on, "layer_types", std::vector<std::string>(24, "full_attention"))) == parse(qwen_2_5_half_b));
  CHECK(parse(with(on, "layer_types", std::vector<std::string>(24, "sliding_attention"))).full_layers == 0);
  json object = json::object();
  for (int i = 0; i < 24; ++i) object[std::to_string(i)] = "full_attention";
  CHECK(reason(with(on, "layer_types", object)) == "\"layer_types\": is not a list of 24 layers");
}

TEST_CASE("what is written of windows and architectures is what Transformers reads") {
  config c{.rope = transformer::rope_layout::half};
  const auto written = [&] { return json::parse(format_config_json(c)); };
  CHECK(written()["architectures"] == json{"LlamaForCausalLM"});
  CHECK_FALSE(written().contains("sliding_window"));
  CHECK(written()["rope_scaling"].is_null());
  CHECK(written()["hidden_act"] == "silu");
  CHECK(written()["head_dim"] == 8);
  c.window = 9;
  CHECK(written()["architectures"] == json{"MistralForCausalLM"});
  CHECK(written()["sliding_window"] == 9);
  CHECK_FALSE(written().contains("use_sliding_window"));
  c.qkv_bias = true, c.full_layers = 2;
  CHECK(written()["architectures"] == json{"Qwen2ForCausalLM"});
  CHECK((written()["use_sliding_window"] == true && written()["max_window_layers"] == 2));
  c.window = c.full_layers = 0;
  CHECK((written()["use_sliding_window"] == false && written()["max_window_layers"] == 5));
  CHECK(written()["sliding_window"].is_null());
}

TEST_CASE("a model of experts that is not causal is LLaDA-MoE's where it has what that has, and nothing else") {
  const config llada = parse(llada_moe);
  CHECK(type_of(llada) == "llada");
  const auto own = [&](auto change) {
    config c = llada;
    change(c);
    CHECK(type_of(c) == "hone");
    CHECK(parse_config_json(format_config_json(c), "c") == c);
  };
  own([](config& c) { c.block = 4; });
  own([](config& c) { c.experts.router = moe::top_k_then_softmax(2); });
  own([](config& c) { c.experts.selection_bias = true; });
  own([](config& c) { c.qkv_bias = !c.output_bias; });
  own([](config& c) { c.qk_norm = query_key_norm::whole; });
  own([](config& c) { c.head_width = 2 * c.head_size(); });
  own([](config& c) { c.experts.router.capacity_numerator = 3; });
}

TEST_CASE("families of experts: what matters to a limit alone is of no concern, and what they lack is refused") {
  const transformer::expert_layers two = {.count = 4, .d_ff = 8, .router = moe::top_k_then_softmax(2)};
  config c{.experts = two};
  CHECK(type_of(c) == "mixtral");
  c.experts.router.over = moe::pool::batch;
  CHECK(type_of(c) == "mixtral");
  c.experts.router.dropped = moe::drop_policy::choice;
  CHECK(type_of(c) == "mixtral");
  c.qkv_bias = c.output_bias = true;
  CHECK_THROWS_WITH(format_config_json(c), Catch::Contains("it has neither biases"));
  config olmoe{.qk_norm = query_key_norm::whole, .experts = two};
  CHECK(type_of(olmoe) == "olmoe");
  olmoe.head_width = 12;
  CHECK_THROWS_WITH(format_config_json(olmoe), Catch::Contains("OLMoE has no window, and heads of d_model / n_heads"));
}

TEST_CASE("the fields of hone's own type that may be missing have the defaults of a configuration") {
  config c{.causal = false, .rope = transformer::rope_layout::half};
  c.experts = {.count = 4, .d_ff = 8, .router = moe::softmax_then_top_k(2)};
  json written = json::parse(format_config_json([&] {
    config blocks = c;
    blocks.block = 7;
    return blocks;
  }()));
  CHECK(written["block_length"] == 7);
  for (const char* key : {"block_length", "qkv_bias", "output_bias", "clip_qkv", "mask_token_id"}) written.erase(key);
  for (const char* key : {"shared_intermediate_size", "selection_bias", "sees_the_future", "every", "dense"})
    written["experts"].erase(key);
  for (const char* key :
       {"renormalised", "capacity_numerator", "capacity_denominator", "second_at_random", "best_if_none"})
    written["experts"]["router"].erase(key);
  CHECK(parse(written) == c);
  CHECK(reason(without(written, "is_causal")) == "\"is_causal\": must be false in a model of this type");
  written.erase("experts");
  CHECK(parse(written).experts == transformer::expert_layers{});
}
