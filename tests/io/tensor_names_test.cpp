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
    CHECK(!hugging_face_name(t.name).empty());
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

TEST_CASE("a name that is in no table has no other") {
  for (const char* name : {"", "wq", "w4.0", "x", ".0"}) {
    CHECK(hugging_face_name(name).empty());
    CHECK(gguf_name(name).empty());
  }
  for (const char* name :
       {"", "model.layers.", "model.layers.0", "model.layers.x.self_attn.q_proj", "model.layers..self_attn.q_proj",
        "model.layers.-1.self_attn.q_proj", "model.layers.0.self_attn", "layers.0.self_attn.q_proj",
        "model.layers.0.self_attn.q_proj.x"})
    CHECK(from_hugging_face_name(name).empty());
  for (const char* name : {"", "blk.", "blk.0", "blk.0.", "blk.0.attn_x", "blk.+1.attn_q", "attn_q"})
    CHECK(from_gguf_name(name).empty());
}
