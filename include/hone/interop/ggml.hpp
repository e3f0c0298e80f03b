// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// ggml's tensors as hone's views. Written against the struct's members (type, ne, nb, data), so that it needs no
/// ggml.h and takes whichever version the program has. `visit_vector`, `visit_matrix`, `vector_of<T>`, `matrix_of<T>`
/// open it. ggml counts dimensions from the fastest: a matrix has ne[1] rows of ne[0]. The data must be memory of the
/// CPU (ggml_backend_buffer_is_host). Quantised types are no numbers: dequantise first.
#pragma once
#include "hone/interop/detail/described.hpp"

namespace HONE_NAMESPACE {

template <class X>
concept ggml_tensor_like = requires(const X& x) {
  static_cast<int>(x.type);
  x.ne[3];
  x.nb[3];
  static_cast<void*>(x.data);
};

namespace detail {

/// The name of a ggml_type, whose numbers are those of GGUF files.
inline const char* ggml_type_name(int type) {
  constexpr const char* names[] = {"F32",   "F16",        "Q4_0",       "Q4_1",       "Q4_2",     "Q4_3",     "Q5_0",
                                   "Q5_1",  "Q8_0",       "Q8_1",       "Q2_K",       "Q3_K",     "Q4_K",     "Q5_K",
                                   "Q6_K",  "Q8_K",       "IQ2_XXS",    "IQ2_XS",     "IQ3_XXS",  "IQ1_S",    "IQ4_NL",
                                   "IQ3_S", "IQ2_S",      "IQ4_XS",     "I8",         "I16",      "I32",      "I64",
                                   "F64",   "IQ1_M",      "BF16",       "Q4_0_4_4",   "Q4_0_4_8", "Q4_0_8_8", "TQ1_0",
                                   "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4",    "NVFP4",    "Q1_0"};
  return type >= 0 && type < static_cast<int>(sizeof names / sizeof *names) ? names[type] : "unknown";
}

template <ggml_tensor_like X>
struct described_traits<X> {
  static described describe(const X& x, const char* function) {
    described result;
    index_t bytes = 4;
    switch (static_cast<int>(x.type)) {
      case 0: result.type = format::float32; break;
      case 1: result.type = format::float16, bytes = 2; break;
      case 28: result.type = format::float64, bytes = 8; break;
      case 30: result.type = format::bfloat16, bytes = 2; break;
      default:
        invalid_argument_unless(false, function, "x", "is of ggml type %s (%d), not F32, F16, BF16 or F64",
                                ggml_type_name(static_cast<int>(x.type)), static_cast<int>(x.type));
    }
    constexpr int dimensions = static_cast<int>(sizeof x.ne / sizeof x.ne[0]);
    result.data = x.data;
    result.dimensions = 2;
    for (int i = dimensions; i > 2 && result.dimensions == 2; --i)
      if (x.ne[i - 1] != 1) result.dimensions = i;
    for (int i = 0; i < result.dimensions; ++i) {
      const int slowest_first = result.dimensions - 1 - i;
      const auto stride = static_cast<index_t>(x.nb[i]);
      invalid_argument_unless(stride % bytes == 0, function, "x",
                              "nb[%d] is %td, no multiple of the element's %td bytes", i, stride, bytes);
      result.extent[slowest_first] = static_cast<index_t>(x.ne[i]);
      result.stride[slowest_first] = stride / bytes;
    }
    invalid_argument_unless(x.data != nullptr, function, "x", "has no data: allocate or compute the graph first");
    return result;
  }
};

}  // namespace detail

}  // namespace HONE_NAMESPACE
