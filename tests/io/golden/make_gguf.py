# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes types.gguf: metadata of every type, and a tensor of each type that is read and one that is not; and lora.gguf:
an adapter of a Llama of 2 heads of 4 and 1 key head, its rows of q and k as llama.cpp's converter moves them.

  pip install numpy gguf; python make_gguf.py
"""
import os

import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter, quants

os.chdir(os.path.dirname(os.path.abspath(__file__)))


def write(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


w = GGUFWriter("types.gguf", "llama")
w.add_uint8("u8", 255)
w.add_int8("i8", -128)
w.add_uint16("u16", 65535)
w.add_int16("i16", -32768)
w.add_uint32("u32", 2**32 - 1)
w.add_int32("i32", -2**31)
w.add_float32("f32", 0.5)
w.add_bool("yes", True)
w.add_string("text", "Größe\0")
w.add_uint64("u64", 2**64 - 1)
w.add_int64("i64", -2**63)
w.add_float64("f64", 0.1)
w.add_array("texts", ["a", "", "bc"])
w.add_array("numbers", [1, -2, 3])
w.add_array("reals", [0.5, 1.5])
w.add_array("truths", [True, False, True])
w.add_custom_alignment(64)
numbers = np.arange(-3, 3).reshape(2, 3) / 4
rows = np.sin(np.arange(64)).reshape(2, 32).astype(np.float32)
w.add_tensor("float32", numbers.astype(np.float32))
w.add_tensor("float16", numbers.astype(np.float16))
w.add_tensor("bfloat16", quants.quantize(numbers.astype(np.float32), GGMLQuantizationType.BF16),
             raw_dtype=GGMLQuantizationType.BF16)
w.add_tensor("float64", numbers / 3)
w.add_tensor("cube", np.arange(24, dtype=np.float32).reshape(2, 3, 4))
q8_0 = quants.quantize(rows, GGMLQuantizationType.Q8_0)
w.add_tensor("q8_0", q8_0, raw_dtype=GGMLQuantizationType.Q8_0)
w.add_tensor("q8_0.expected", quants.dequantize(q8_0, GGMLQuantizationType.Q8_0))
w.add_tensor("q4_0", quants.quantize(rows, GGMLQuantizationType.Q4_0), raw_dtype=GGMLQuantizationType.Q4_0)
write(w)


def permute(b, heads):  # convert_hf_to_gguf.py, LlamaModel.permute
    return b.reshape(heads, 2, b.shape[0] // heads // 2, *b.shape[1:]).swapaxes(1, 2).reshape(b.shape)


w = GGUFWriter("lora.gguf", "llama")
w.add_string("general.type", "adapter")
w.add_string("adapter.type", "lora")
w.add_float32("adapter.lora.alpha", 3.0)
for name, outputs, inputs, rank, heads in [("blk.0.attn_q", 8, 8, 2, 2), ("blk.0.attn_k", 4, 8, 2, 1),
                                           ("blk.1.ffn_down", 8, 12, 4, 0), ("output", 5, 8, 1, 0)]:
    a = np.arange(rank * inputs, dtype=np.float32).reshape(rank, inputs)
    b = np.arange(outputs * rank, dtype=np.float32).reshape(outputs, rank)
    w.add_tensor(name + ".weight.lora_a", a)
    w.add_tensor(name + ".weight.lora_b", np.ascontiguousarray(permute(b, heads)) if heads else b)
w.add_tensor("blk.0.attn_norm.weight", np.ones(8, np.float32))
write(w)
