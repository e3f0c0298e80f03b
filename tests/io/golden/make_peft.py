# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes peft/NAME: adapters of a small Llama as PEFT saves them, and beside each the change of every weight, by PEFT.

  pip install torch transformers peft; python make_peft.py
"""
import json
import os

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

os.chdir(os.path.dirname(os.path.abspath(__file__)))
torch.manual_seed(0)
adapters = {
    "patterns": dict(r=2, lora_alpha=3, target_modules=["q_proj", "k_proj", "o_proj", "down_proj", "lm_head"],
                     rank_pattern={"layers.1.self_attn.q_proj": 3, "q_proj": 1}, alpha_pattern={"down_proj": 8}),
    "rslora": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "gate_proj", "up_proj"], use_rslora=True),
}
for name, options in adapters.items():
    base = LlamaForCausalLM(LlamaConfig(hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2,
                                        num_key_value_heads=1, vocab_size=5, max_position_embeddings=8,
                                        tie_word_embeddings=False))
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **options))
    deltas = {}
    for module, layer in model.get_base_model().named_modules():
        if hasattr(layer, "lora_B"):
            torch.nn.init.normal_(layer.lora_B["default"].weight)
            deltas[module] = layer.get_delta_weight("default").detach().contiguous()
    folder = f"peft/{name}"
    model.save_pretrained(folder)
    save_file(deltas, f"{folder}/deltas.safetensors")
    os.remove(f"{folder}/README.md")
    config = json.load(open(f"{folder}/adapter_config.json"))
    with open(f"{folder}/adapter_config.json", "w") as f:
        f.write(json.dumps(config, indent=2) + "\n")
