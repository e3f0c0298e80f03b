# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Opens the files that `test_io '[interchange]'` wrote with the formats' own libraries and compares what they hold.

  pip install numpy safetensors gguf; python check_written.py hone-written
  pip install torch transformers peft; python check_written.py hone-written peft     # the adapter too
"""
import json
import sys

import numpy as np
from gguf import GGUFReader, dequantize
from safetensors import safe_open
from safetensors.numpy import load_file

folder = sys.argv[1]
x = np.arange(24, dtype=np.float32) / 4 - 3
shapes = {"float32": (2, 3, 4), "float16": (4, 6), "bfloat16": (24,)}


def bfloat16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def check(what, ok):
    print("ok  " if ok else "BAD ", what)
    if not ok:
        sys.exit(1)


def raw(path):
    """name -> (dtype, shape, bytes), after the library has opened the file."""
    with safe_open(path, "np") as f:
        names = set(f.keys())
    data = open(path, "rb").read()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    check(f"{path}: the library lists the tensors of the header", names == set(header))
    return {name: (e["dtype"], tuple(e["shape"]), data[8 + length:][slice(*e["data_offsets"])])
            for name, e in header.items()}


def numbers(dtype, shape, data):
    kinds = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}
    values = np.frombuffer(data, kinds[dtype]).reshape(shape)
    return bfloat16(values) if dtype == "BF16" else values.astype(np.float32)


tensors = raw(f"{folder}/types.safetensors")
with safe_open(f"{folder}/types.safetensors", "np") as f:
    check("safetensors metadata", f.metadata() == {"format": "np", "größe": "\"1\"\n"})
    check("safetensors float32, float16 by the library",
          (f.get_tensor("float32") == x.reshape(2, 3, 4)).all() and (f.get_tensor("float16") == x.reshape(4, 6)).all())
    check("safetensors scalar, empty", f.get_tensor("scalar") == 7 and f.get_tensor("empty").shape == (2, 0))
for name, shape in shapes.items():
    check(f"safetensors {name}", (numbers(*tensors[name]) == x.reshape(shape)).all())

index = json.load(open(f"{folder}/sharded/model.safetensors.index.json"))
total = 0
for file in sorted(set(index["weight_map"].values())):
    for name, value in raw(f"{folder}/sharded/{file}").items():
        check(f"sharded {name} in {file}", index["weight_map"].pop(name) == file and value == tensors[name])
        total += len(value[2])
check(f"sharded: {total} bytes, nothing left over",
      not index["weight_map"] and index["metadata"]["total_size"] == total)

reader = GGUFReader(f"{folder}/types.gguf")
values = {key: field.contents() for key, field in reader.fields.items()}
expected = {"general.architecture": "llama", "u8": 255, "i8": -128, "u16": 65535, "i16": -5, "u32": 7, "i32": -7,
            "f32": 0.5, "yes": True, "text": "Größe", "u64": 2**64 - 1, "i64": -9, "f64": 0.1, "general.alignment": 64,
            "texts": ["a", "", "bc"], "truths": [True, False], "reals": [0.1, 2.0]}
for key, value in expected.items():
    check(f"gguf {key} = {value!r}", values[key] == value)
for t in reader.tensors:
    if t.name in shapes:
        check(f"gguf {t.name} {t.tensor_type.name} at {t.data_offset}",
              (dequantize(t.data, t.tensor_type).reshape(shapes[t.name]) == x.reshape(shapes[t.name])).all()
              and tuple(t.shape[::-1]) == shapes[t.name] and t.data_offset % 64 == 0)

# The change of each weight, in the interleaved layout that llama.cpp has too.
deltas = load_file(f"{folder}/deltas.safetensors")
names = {"wq.0": "blk.0.attn_q", "wk.0": "blk.0.attn_k", "wk.1": "blk.1.attn_k", "w2.1": "blk.1.ffn_down",
         "wcls": "output"}
reader = GGUFReader(f"{folder}/lora.gguf")
alpha = float(reader.fields["adapter.lora.alpha"].contents())
stored = {t.name: t.data.reshape(t.shape[::-1]) for t in reader.tensors}
for own, name in names.items():
    a, b = stored[name + ".weight.lora_a"], stored[name + ".weight.lora_b"]
    check(f"lora gguf {name}", np.allclose(alpha / a.shape[0] * b @ a, deltas[own], rtol=1e-5, atol=1e-3))

if len(sys.argv) > 2:
    import torch
    from peft import PeftModel
    from transformers import LlamaConfig, LlamaForCausalLM

    base = LlamaForCausalLM(LlamaConfig(hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2,
                                        num_key_value_heads=1, vocab_size=5, max_position_embeddings=8,
                                        tie_word_embeddings=False))
    model = PeftModel.from_pretrained(base, f"{folder}/peft")
    modules = {"wq.0": "model.layers.0.self_attn.q_proj", "wk.0": "model.layers.0.self_attn.k_proj",
               "wk.1": "model.layers.1.self_attn.k_proj", "w2.1": "model.layers.1.mlp.down_proj", "wcls": "lm_head"}
    adapted = {name: layer for name, layer in model.get_base_model().named_modules() if hasattr(layer, "lora_B")}
    check(f"peft adapts {sorted(adapted)}", set(adapted) == set(modules.values()))
    for own, module in modules.items():
        delta = adapted[module].get_delta_weight("default").detach().numpy()
        if own[:2] in ("wq", "wk"):  # PEFT's rows in halves, to interleaved
            heads = delta.shape[0] // 4
            delta = delta.reshape(heads, 2, 2, -1).swapaxes(1, 2).reshape(delta.shape)
        check(f"peft {module}", np.allclose(delta, deltas[own], rtol=1e-5, atol=1e-3))
