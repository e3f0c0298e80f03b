// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// DLPack's tensors as hone's views: the door between Python's array libraries. Written against the structs' members,
/// so that it needs no dlpack.h and takes whichever copy of it the program has (DLTensor; DLManagedTensor has one
/// inside). `visit_vector`, `visit_matrix`, `vector_of<T>`, `matrix_of<T>` open it.
/// Memory of the CPU only. The views write; whether a tensor may be written is its producer's word.
#pragma once
#include "hone/interop/detail/described.hpp"

namespace HONE_NAMESPACE {

template <class X>
concept dlpack_tensor = requires(const X& x) {
  x.data, x.device.device_type, x.ndim, x.dtype.code, x.dtype.bits, x.dtype.lanes, x.shape[0], x.strides, x.byte_offset;
};

namespace detail {

template <dlpack_tensor X>
struct described_traits<X> {
  static described describe(const X& x, const char* function) {
    constexpr int host[] = {1, 3, 11, 13};  // kDLCPU, kDLCUDAHost, kDLROCMHost, kDLCUDAManaged
    const int device = static_cast<int>(x.device.device_type);
    bool on_host = false;
    for (const int h : host) on_host = on_host || device == h;
    invalid_argument_unless(on_host, function, "x", "lies on a device of DLPack type %d, not in the CPU's memory",
                            device);
    described result;
    const int code = x.dtype.code, bits = x.dtype.bits;
    if (x.dtype.lanes == 1) {
      if (code == 2 && bits == 32) result.type = format::float32;  // kDLFloat
      if (code == 2 && bits == 64) result.type = format::float64;
      if (code == 2 && bits == 16) result.type = format::float16;
      if (code == 4 && bits == 16) result.type = format::bfloat16;  // kDLBfloat
    }
    invalid_argument_unless(result.type != format::none, function, "x",
                            "has elements of DLPack type code %d, %d bits, %d lanes", code, bits, int{x.dtype.lanes});
    invalid_argument_unless(x.ndim >= 0 && x.ndim <= most_dimensions, function, "x",
                            "has %d dimensions, at most %d are taken", int{x.ndim}, most_dimensions);
    result.dimensions = x.ndim;
    invalid_argument_unless(x.ndim == 0 || x.shape != nullptr, function, "x", "has %d dimensions and no shape",
                            int{x.ndim});
    std::uint64_t compact = 1;  // where it leaves the memory that there can be, the extents are refused
    for (int i = x.ndim - 1; i >= 0; --i) {
      result.extent[i] = static_cast<index_t>(x.shape[i]);
      result.stride[i] = x.strides == nullptr ? static_cast<index_t>(compact) : static_cast<index_t>(x.strides[i]);
      compact *= static_cast<std::uint64_t>(result.extent[i]);
    }
    if (x.data == nullptr) return result;
    const std::uint64_t begin = reinterpret_cast<std::uintptr_t>(x.data), offset = x.byte_offset;
    invalid_argument_unless(offset <= (std::numeric_limits<std::uintptr_t>::max)() - begin, function, "x",
                            "byte_offset is %llu, which leaves the memory", static_cast<unsigned long long>(offset));
    result.data = reinterpret_cast<void*>(begin + offset);
    return result;
  }
};

}  // namespace detail

}  // namespace HONE_NAMESPACE
