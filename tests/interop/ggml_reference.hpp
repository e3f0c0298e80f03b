// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The members of ggml_tensor that matter here.
#pragma once
#include <cstddef>
#include <cstdint>

namespace reference {

enum ggml_type : int { F32 = 0, F16 = 1, Q4_0 = 2, F64 = 28, BF16 = 30, MXFP4 = 39 };

struct ggml_tensor {
  ggml_type type;
  std::int64_t ne[4];
  std::size_t nb[4];
  void* data;
};

/// A compact tensor, as ggml_new_tensor makes it.
inline ggml_tensor new_tensor(ggml_type type, std::size_t bytes, void* data, std::int64_t n0, std::int64_t n1 = 1,
                              std::int64_t n2 = 1) {
  const auto row = bytes * static_cast<std::size_t>(n0), plane = row * static_cast<std::size_t>(n1);
  return {type, {n0, n1, n2, 1}, {bytes, row, plane, plane * static_cast<std::size_t>(n2)}, data};
}

}  // namespace reference
