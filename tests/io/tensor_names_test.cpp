// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/tensor_names.hpp"

#include "hone/transformer/config.hpp"

#include "support/catch.hpp"

using namespace hone::io;

TEST_CASE("every tensor of the table has a name in both other schemes, and comes back from it") {
  hone::transformer::config c{.n_layers = 12};
  c.tie_embeddings = false;
  for (const auto& t : hone::transformer::tensor_table(c)) {
    CAPTURE(t.name);
    CHECK(hugging_face_name(t.id) == hugging_face_name(t.name));
    CHECK(gguf_name(t.id) == gguf_name(t.name));
    CHECK(hugging_face_tensor_id(hugging_face_name(t.id)) == t.id);
    CHECK(gguf_tensor_id(gguf_name(t.id)) == t.id);
    CHECK(from_hugging_face_name(hugging_face_name(t.name)) == t.name);
    CHECK(from_gguf_name(gguf_name(t.name)) == t.name);
  }
}

TEST_CASE("names are those of the other schemes") {
  CHECK(hugging_face_name("wq.0") == "model.layers.0.self_attn.q_proj");
  CHECK(hugging_face_name("wk.1") == "model.layers.1.self_attn.k_proj");
  CHECK(hugging_face_name("wv.2") == "model.layers.2.self_attn.v_proj");
  CHECK(hugging_face_name("wo.3") == "model.layers.3.self_attn.o_proj");
  CHECK(hugging_face_name("w1.10") == "model.layers.10.mlp.gate_proj");
  CHECK(hugging_face_name("w2.10") == "model.layers.10.mlp.down_proj");
  CHECK(hugging_face_name("w3.10") == "model.layers.10.mlp.up_proj");
  CHECK(hugging_face_name("att_norm.4") == "model.layers.4.input_layernorm");
  CHECK(hugging_face_name("ffn_norm.4") == "model.layers.4.post_attention_layernorm");
  CHECK(hugging_face_name("tok_emb") == "model.embed_tokens");
  CHECK(hugging_face_name("final_norm") == "model.norm");
  CHECK(hugging_face_name("wcls") == "lm_head");
  CHECK(gguf_name("wq.0") == "blk.0.attn_q");
  CHECK(gguf_name("wk.0") == "blk.0.attn_k");
  CHECK(gguf_name("wv.0") == "blk.0.attn_v");
  CHECK(gguf_name("wo.0") == "blk.0.attn_output");
  CHECK(gguf_name("w1.0") == "blk.0.ffn_gate");
  CHECK(gguf_name("w2.0") == "blk.0.ffn_down");
  CHECK(gguf_name("w3.0") == "blk.0.ffn_up");
  CHECK(gguf_name("att_norm.0") == "blk.0.attn_norm");
  CHECK(gguf_name("ffn_norm.0") == "blk.0.ffn_norm");
  CHECK(gguf_name("tok_emb") == "token_embd");
  CHECK(gguf_name("final_norm") == "output_norm");
  CHECK(gguf_name("wcls") == "output");
}

TEST_CASE("an expert has a number of its own, after the layer's; a bias is called as its matrix") {
  using hone::transformer::role;
  using hone::transformer::tensor_id;
  CHECK(hugging_face_name("w1.3.5") == "model.layers.3.mlp.experts.5.gate_proj");
  CHECK(gguf_name("w1.3.5") == "blk.3.ffn_gate.5");
  for (const role r : {role::w1, role::w2, role::w3}) {
    const tensor_id id{r, 12, 34};
    CHECK(hugging_face_tensor_id(hugging_face_name(id)) == id);
    CHECK(gguf_tensor_id(gguf_name(id)) == id);
  }
  CHECK(hugging_face_name(tensor_id{role::wq, 3, 5}).empty());
  CHECK(gguf_name(tensor_id{role::wq, 3, 5}).empty());
  CHECK(hugging_face_name(tensor_id{role::bk, 3}) == "model.layers.3.self_attn.k_proj");
  CHECK(gguf_name("bo.3") == "blk.3.attn_output");
  for (const char* name : {"model.layers.3.mlp.experts.5.q_proj", "model.layers.3.mlp.experts.gate_proj",
                           "model.layers.3.mlp.experts.-5.gate_proj", "model.layers.3.mlp.experts.05.gate_proj",
                           "model.layers.3.self_attn.experts.5.q_proj", "model.layers.3.5.mlp.gate_proj"})
    CHECK(!hugging_face_tensor_id(name));
  for (const char* name : {"blk.3.5.ffn_gate", "blk.3.ffn_gate_exps", "blk.3.attn_q.5", "blk.3.ffn_gate.5.1"})
    CHECK(!gguf_tensor_id(name));
}

TEST_CASE("routers, shared experts and Mixtral's experts have the names of their families") {
  using hone::transformer::role;
  using hone::transformer::tensor_id;
  CHECK(hugging_face_name("router.3") == "model.layers.3.mlp.gate");
  CHECK(gguf_name("router.3") == "blk.3.ffn_gate_inp");
  CHECK(hugging_face_name("shared_w2.1") == "model.layers.1.shared_expert.down_proj");
  CHECK(gguf_name("shared_w1.1") == "blk.1.ffn_gate_shexp");
  CHECK(hugging_face_name("shared_w1.1") == "model.layers.1.shared_expert.gate_proj");
  CHECK(hugging_face_name("shared_w3.1") == "model.layers.1.shared_expert.up_proj");
  CHECK(gguf_name("shared_w2.1") == "blk.1.ffn_down_shexp");
  CHECK(gguf_name("shared_w3.1") == "blk.1.ffn_up_shexp");
  CHECK(hugging_face_name("q_norm.1") == "model.layers.1.self_attn.q_norm");
  CHECK(hugging_face_name("k_norm.1") == "model.layers.1.self_attn.k_norm");
  CHECK(gguf_name("q_norm.1") == "blk.1.attn_q_norm");
  CHECK(gguf_name("k_norm.1") == "blk.1.attn_k_norm");
  CHECK(hugging_face_name("selection_bias.1") == "model.layers.1.mlp.gate.selection");
  CHECK(hugging_face_tensor_id("model.layers.1.mlp.gate.selection") == tensor_id{role::selection_bias, 1});
  CHECK(gguf_name("selection_bias.1").empty());
  CHECK(!gguf_tensor_id("blk.1."));
  constexpr auto mixtral = expert_names::block_sparse_moe;
  CHECK(hugging_face_name(tensor_id{role::router, 3}, mixtral) == "model.layers.3.block_sparse_moe.gate");
  CHECK(hugging_face_name(tensor_id{role::w3, 3, 5}, mixtral) == "model.layers.3.block_sparse_moe.experts.5.w3");
  CHECK(hugging_face_name(tensor_id{role::wq, 3}, mixtral) == "model.layers.3.self_attn.q_proj");
  for (const auto names : {expert_names::mlp, mixtral})
    for (const tensor_id id : {tensor_id{role::router, 3}, tensor_id{role::w1, 3, 5}, tensor_id{role::w2, 0, 12}})
      CHECK(hugging_face_tensor_id(hugging_face_name(id, names)) == id);
  for (const char* name : {"model.layers.3.block_sparse_moe.experts.5.gate_proj", "model.layers.3.block_sparse_moe.w1",
                           "model.layers.3.block_sparse_moe.experts.w1", "model.layers.3.mlp.experts.5.w1",
                           "model.layers.3.mlp.experts.5.gate", "model.layers.3.mlp.shared_expert.gate_proj"})
    CHECK(!hugging_face_tensor_id(name));
  hone::transformer::config c;
  CHECK(expert_names_of(c) == expert_names::mlp);
  c.experts = {.count = 4, .d_ff = 8};
  CHECK(expert_names_of(c) == mixtral);
  for (const auto norm : {hone::transformer::query_key_norm::heads, hone::transformer::query_key_norm::whole}) {
    c.qk_norm = norm;
    CHECK(expert_names_of(c) == expert_names::mlp);
  }
  c.qk_norm = hone::transformer::query_key_norm::none;
  c.causal = false;
  CHECK(expert_names_of(c) == expert_names::mlp);
}

TEST_CASE("a name that is in no table has no other") {
  for (const char* name : {"", "wq", "w4.0", "x", ".0"}) {
    CHECK(hugging_face_name(name).empty());
    CHECK(gguf_name(name).empty());
  }
  for (const char* name :
       {"", "model.layers.", "model.layers.0", "model.layers.x.self_attn.q_proj", "model.layers..self_attn.q_proj",
        "model.layers.-1.self_attn.q_proj", "model.layers.0.self_attn", "layers.0.self_attn.q_proj",
        "model.layers.0.self_attn.q_proj.x"})
    CHECK(!hugging_face_tensor_id(name));
  for (const char* name : {"", "blk.", "blk.0", "blk.0.", "blk.0.attn_x", "blk.+1.attn_q", "attn_q"})
    CHECK(!gguf_tensor_id(name));
}
