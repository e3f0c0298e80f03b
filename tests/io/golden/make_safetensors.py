# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes types.safetensors, one tensor of each type that is read and one that is not, and sharded/, a model in two
files.

  pip install numpy safetensors; python make_safetensors.py
"""
import json
import os

import numpy as np
from safetensors import TensorSpec, serialize
from safetensors.numpy import save_file

os.chdir(os.path.dirname(os.path.abspath(__file__)))


def bfloat16(x):
    return (np.asarray(x, np.float32).view(np.uint32) >> 16).astype(np.uint16)  # of numbers that are exact


numbers = np.arange(-3, 3).reshape(2, 3) / 4
tensors = {"float32": ("float32", numbers.astype(np.float32)), "float16": ("float16", numbers.astype(np.float16)),
           "bfloat16": ("bfloat16", bfloat16(numbers)), "float64": ("float64", numbers / 3),
           "int32": ("int32", np.array([-2**31, 2**31 - 1], np.int32)),
           "int64": ("int64", np.array([-2**53, 2**53], np.int64)), "uint8": ("uint8", np.array([0, 255], np.uint8)),
           "bool": ("bool", np.array([True, False])), "scalar": ("float32", np.array(1.5, np.float32)),
           "empty": ("float16", np.zeros((2, 0, 3), np.float16)),
           'a "quoted" name, Größe\n': ("float32", np.array([7], np.float32))}
data = serialize({name: TensorSpec(dtype=dtype, shape=list(x.shape), data_ptr=x.ctypes.data, data_len=x.nbytes)
                  for name, (dtype, x) in tensors.items()}, {"format": "np", "größe": "\"1\"\n"})
with open("types.safetensors", "wb") as f:
    f.write(data)

os.makedirs("sharded", exist_ok=True)
weights = {f"w.{i}": np.full((2, i + 1), i, np.float32) for i in range(4)}
files = {"model-00001-of-00002.safetensors": ["w.0", "w.3"], "model-00002-of-00002.safetensors": ["w.1", "w.2"]}
for file, names in files.items():
    save_file({name: weights[name] for name in names}, f"sharded/{file}", {"format": "pt"})
index = {"metadata": {"total_size": sum(w.nbytes for w in weights.values())},
         "weight_map": {name: file for file, names in files.items() for name in names}}
with open("sharded/model.safetensors.index.json", "w") as f:
    f.write(json.dumps(index, indent=2, sort_keys=True) + "\n")
