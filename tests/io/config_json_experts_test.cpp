// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/config_json.hpp"

#include "io/published_configs.hpp"

using namespace hone;
using namespace hone::io;
using namespace published_configs;

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
  for (const char* path : {"n_shared_experts", "num_shared_experts", "shared_expert_intermediate_size"}) {
    CHECK(reason(with(mixtral_8x7b, path, 1)) ==
          "\"" + std::string(path) + "\": this type of model has no shared experts");
    CHECK(reason(with(olmoe_1b_7b, path, 0)).empty());
  }
  for (const char* path : {"n_group", "topk_group"}) {
    CHECK(reason(with(qwen3_30b_a3b, path, 8)) == "\"" + std::string(path) + "\": groups of experts are not supported");
    CHECK(reason(with(qwen3_30b_a3b, path, 1)).empty());
  }
  CHECK(reason(with(qwen3_30b_a3b, "routed_scaling_factor", 2.5)) ==
        "\"routed_scaling_factor\": other than 1 is not supported");
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
  all[4] = parse(llada_moe), all[4].clip_qkv = 3, all[4].mask_token = 9, all[4].experts.shared_d_ff = 5;
  all[5] = parse(llada_moe), all[5].qk_norm = transformer::query_key_norm::none, all[5].experts.dense = {};
  all[6] = parse(olmoe_1b_7b), all[6].experts.router = moe::top_k_then_softmax(3), all[6].tie_embeddings = true;
  for (const transformer::config& c : all) CHECK(parse_config_json(format_config_json(c), "c") == c);
}
