// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// LibTorch's tensors as hone's views (`visit_vector`, `visit_matrix`, `vector_of<T>`, `matrix_of<T>`), and its threads
/// as an executor. Dense tensors in the CPU's memory, of any strides; autograd does not see what is written through a
/// view.
#pragma once
#include "hone/core/executor.hpp"
#include "hone/interop/detail/described.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

namespace HONE_NAMESPACE {

namespace detail {

template <>
struct described_traits<at::Tensor> {
  static described describe(const at::Tensor& x, const char* function) {
    invalid_argument_unless(x.defined(), function, "x", "is no tensor yet (a parameter without gradient, say)");
    invalid_argument_unless(x.layout() == at::kStrided, function, "x", "is sparse or opaque: .to_dense() first");
    invalid_argument_unless(x.device().is_cpu(), function, "x", "lies on %s, not in the CPU's memory",
                            x.device().str().c_str());
    described result;
    switch (x.scalar_type()) {
      case at::kFloat: result.type = format::float32; break;
      case at::kDouble: result.type = format::float64; break;
      case at::kBFloat16: result.type = format::bfloat16; break;
      case at::kHalf: result.type = format::float16; break;
      default:
        invalid_argument_unless(false, function, "x", "holds %s, not Float, Double, BFloat16 or Half",
                                c10::toString(x.scalar_type()));
    }
    invalid_argument_unless(!x.is_neg(), function, "x", "is negated lazily: .resolve_neg() first");
    invalid_argument_unless(!x._is_zerotensor(), function, "x", "is a zero without memory: .clone() first");
    invalid_argument_unless(x.dim() <= most_dimensions, function, "x", "has %td dimensions, at most %d are taken",
                            static_cast<index_t>(x.dim()), most_dimensions);
    result.dimensions = static_cast<int>(x.dim());
    for (int i = 0; i < result.dimensions; ++i) {
      result.extent[i] = static_cast<index_t>(x.size(i));
      result.stride[i] = static_cast<index_t>(x.stride(i));
    }
    result.data = x.data_ptr();
    return result;
  }
};

}  // namespace detail

/// at::parallel_for. Where LibTorch is built on OpenMP, compile the including unit with -fopenmp, or it runs alone.
struct torch_threads {
  [[nodiscard]] static index_t concurrency() { return at::in_parallel_region() ? 1 : at::get_num_threads(); }

  template <class F>
  static void parallel_for(index_t count, index_t grain, F&& f) {
    if (count > 0)
      at::parallel_for(0, count, (max)(grain, index_t{1}), [&](std::int64_t begin, std::int64_t end) {
        f(static_cast<index_t>(begin), static_cast<index_t>(end));
      });
  }
};

}  // namespace HONE_NAMESPACE
