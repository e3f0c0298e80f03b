# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Small models of each family with random weights, and what Transformers makes of them: folders as save_pretrained
writes them, GGUF files as convert_hf_to_gguf.py lays them out, and expected.json with the logits of a prompt's
positions and the greedy tokens after it. Made with torch 2.15.0, transformers 5.23.0 (those with experts 5.24.0), gguf
0.19.0, on a CPU:

    python3 make_families.py [NAME...]       # writes families/, all of them or those
"""
import json
import pathlib
import sys

import gguf
import numpy as np
import torch
import transformers as tf

here = pathlib.Path(__file__).parent / "families"
shape = dict(hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=64, max_position_embeddings=64, bos_token_id=1, eos_token_id=2, attn_implementation="eager")
llama3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
experts = dict(hidden_size=16, intermediate_size=8, num_experts_per_tok=2, pad_token_id=0)
families = {
    "llama": (tf.LlamaConfig, tf.LlamaForCausalLM, dict(rms_norm_eps=1e-5, attention_bias=True)),
    "llama3": (tf.LlamaConfig, tf.LlamaForCausalLM,
               dict(rms_norm_eps=1e-5, tie_word_embeddings=True, rope_parameters=llama3)),
    "qwen2": (tf.Qwen2Config, tf.Qwen2ForCausalLM,
              dict(tie_word_embeddings=True, use_sliding_window=True, sliding_window=6, max_window_layers=1)),
    "qwen3": (tf.Qwen3Config, tf.Qwen3ForCausalLM, dict(head_dim=12, tie_word_embeddings=True)),
    "mistral": (tf.MistralConfig, tf.MistralForCausalLM,
                dict(head_dim=16, sliding_window=7,
                     rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0})),
    "mixtral": (tf.MixtralConfig, tf.MixtralForCausalLM, dict(experts, num_local_experts=4, sliding_window=9)),
    "olmoe": (tf.OlmoeConfig, tf.OlmoeForCausalLM, dict(experts, num_experts=4, num_key_value_heads=4)),
    "olmoe_cut": (tf.OlmoeConfig, tf.OlmoeForCausalLM,
                  dict(experts, num_experts=4, num_experts_per_tok=3, norm_topk_prob=True, clip_qkv=0.8,
                       attention_bias=True)),
    "qwen3_moe": (tf.Qwen3MoeConfig, tf.Qwen3MoeForCausalLM,
                  dict(experts, head_dim=6, num_experts=5, moe_intermediate_size=12, norm_topk_prob=True)),
    "qwen3_moe_mixed": (tf.Qwen3MoeConfig, tf.Qwen3MoeForCausalLM,
                        dict(experts, num_hidden_layers=4, num_experts=4, moe_intermediate_size=12,
                             decoder_sparse_step=2, mlp_only_layers=[1], tie_word_embeddings=True)),
    # What LLaDA-MoE's authors compute (modeling_lladamoe.py), in the parts of Transformers that compute the same: the
    # norms and the experts of Qwen3-MoE, and a mask that hides nothing. Its config.json is written below.
    "llada_moe": (tf.Qwen3MoeConfig, tf.Qwen3MoeForCausalLM,
                  dict(experts, num_experts=4, moe_intermediate_size=12, mlp_only_layers=[0], rms_norm_eps=1e-5)),
}


def tokens_of(n):
    return [1] + [(7 * i * i + 3 * i + 5) % 64 for i in range(n - 1)]


architectures = {"llama3": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "mixtral": "llama", "olmoe": "olmoe",
                 "qwen3_moe": "qwen3moe"}


def write_gguf(name, model):
    """The layout of llama.cpp's converter: q and k of "llama" interleaved, the others as they are, experts stacked."""
    c = model.config
    architecture = architectures[name]
    w = gguf.GGUFWriter(here / f"{name}.gguf", architecture)
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_block_count(c.num_hidden_layers)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    w.add_rope_freq_base(c.rope_parameters["rope_theta"])
    head = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    if "num_experts" in families[name][2] or "num_local_experts" in families[name][2]:
        w.add_expert_count(c.num_experts)
        w.add_expert_used_count(c.num_experts_per_tok)
        if name == "qwen3_moe":
            w.add_expert_feed_forward_length(c.moe_intermediate_size)
    if name == "llama3":
        w.add_rope_dimension_count(head)
        w.add_vocab_size(c.vocab_size)
        f = c.rope_parameters["rope_theta"] ** -(torch.arange(0, head, 2, dtype=torch.float32) / head)
        turns = 8192 * f / (2 * np.pi)
        smooth = ((turns - 1) / 3).clamp(0, 1)
        w.add_tensor("rope_freqs.weight", (1 / ((1 - smooth) / 32 + smooth)).numpy().astype(np.float32))
    else:
        w.add_key_length(head)
        w.add_value_length(head)
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
             "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
             "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "mlp.gate": "ffn_gate_inp",
             "mlp.experts.gate_proj": "ffn_gate_exps", "mlp.experts.up_proj": "ffn_up_exps",
             "mlp.experts.down_proj": "ffn_down_exps"}
    state = {}
    for key, value in model.state_dict().items():
        if key.endswith("experts.gate_up_proj"):
            for half, part in zip(("gate_proj", "up_proj"), value.chunk(2, dim=1)):
                state[key.replace("gate_up_proj", half) + ".weight"] = part
        else:
            state[key + ".weight" if key.endswith("experts.down_proj") else key] = value
    for key, value in state.items():
        data = value.numpy().astype(np.float32)
        if key == "lm_head.weight" and c.tie_word_embeddings:
            continue
        if key.startswith("model.layers."):
            _, _, layer, rest = key.split(".", 3)
            part, suffix = rest.rsplit(".", 1)
            if architecture == "llama" and part in ("self_attn.q_proj", "self_attn.k_proj"):
                data = data.reshape(-1, 2, head // 2, *data.shape[1:]).swapaxes(1, 2).reshape(data.shape)
            key = f"blk.{layer}.{names[part]}.{suffix}"
        else:
            key = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
                   "lm_head.weight": "output.weight"}[key]
        if data.ndim == 1 or "ffn_gate_inp" in key:
            w.add_tensor(key, data)
        else:
            w.add_tensor(key, gguf.quants.quantize(data, gguf.GGMLQuantizationType.BF16),
                         raw_dtype=gguf.GGMLQuantizationType.BF16)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def write_llada_config(folder, c):
    """The fields of the authors' config.json, at this model's sizes."""
    fields = dict(architectures=["LLaDAMoEModelLM"], model_type="llada", attention_bias=False, attention_dropout=0.0,
                  clip_qkv=None, dense_intermediate_size=c.intermediate_size,
                  expert_intermediate_size=c.moe_intermediate_size, shared_expert_intermediate_size=None,
                  hidden_act="silu", hidden_size=c.hidden_size, max_position_embeddings=c.max_position_embeddings,
                  moe_layer_freq=[0 if i in c.mlp_only_layers else 1 for i in range(c.num_hidden_layers)],
                  moe_router_enable_expert_bias=False, moe_router_score_function="softmax", norm_topk_prob=None,
                  num_attention_heads=c.num_attention_heads, num_experts=c.num_experts,
                  num_experts_per_tok=c.num_experts_per_tok, num_hidden_layers=c.num_hidden_layers,
                  num_key_value_heads=c.num_key_value_heads, output_router_logits=False, partial_rotary_factor=1,
                  qk_layernorm=True, rms_norm_eps=c.rms_norm_eps, rope_scaling=None,
                  rope_theta=c.rope_parameters["rope_theta"], routed_scaling_factor=1, router_aux_loss_coef=0.01,
                  router_num_group=None, router_topk_group=None, tie_word_embeddings=False, torch_dtype="bfloat16",
                  use_cache=False, vocab_size=c.vocab_size)
    (folder / "config.json").write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n")


expected_file = here / "expected.json"
expected = json.loads(expected_file.read_text()) if expected_file.exists() else {}
for number, (name, (config, model_of, options)) in enumerate(families.items()):
    if sys.argv[1:] and name not in sys.argv[1:]:
        continue
    torch.manual_seed(number)
    model = model_of(config(**{**shape, **options})).eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.copy_(1 + 0.3 * torch.randn_like(p) if "norm" in key else 0.25 * torch.randn_like(p))
            p.copy_(p.bfloat16().float())
        prompt = tokens_of(14)
        mask = {"attention_mask": torch.zeros(1, 1, 14, 14)} if name == "llada_moe" else {}
        logits = model(torch.tensor([prompt]), **mask).logits[0]
        ids = list(prompt)
        while name != "llada_moe" and len(ids) < 30:
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    expected[name] = {"prompt": prompt, "logits": [[round(float(x), 6) for x in row] for row in logits],
                      "greedy": ids[len(prompt):]}
    folder = here / name
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size="20KB" if name == "qwen2" else "5GB")
    (folder / "generation_config.json").unlink(missing_ok=True)
    if name == "llada_moe":
        write_llada_config(folder, model.config)
    if name in architectures:
        write_gguf(name, model.float())
expected_file.write_text(json.dumps(expected, separators=(",", ":")) + "\n")
