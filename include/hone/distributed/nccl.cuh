// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Ranks that are NVIDIA devices, over NCCL. `all_reduce` takes host memory, as everywhere, so that gradients offloaded
/// to the host are combined by `combine_sharded`; the other two take device memory, as pointers, so that no algorithm
/// for the host accepts them. Host code only: needs the headers of the CUDA runtime and of NCCL, no device compiler.
#pragma once
#include "hone/distributed/communicator.hpp"

#include <cuda_runtime_api.h>
#include <nccl.h>

namespace HONE_NAMESPACE::distributed {

/// A communicator and a stream of the program's, which outlive this. Collectives on device memory are queued on the
/// stream; `all_reduce` waits for it. NCCL adds in an order and a precision of its own: not bitwise the other
/// communicators' sums.
class nccl {
 public:
  /// @throws std::runtime_error, here and below, if NCCL or CUDA reports an error.
  nccl(ncclComm_t comm, cudaStream_t stream) : comm_(comm), stream_(stream) {
    int value = 0;
    succeed(ncclCommUserRank(comm_, &value));
    rank_ = value;
    succeed(ncclCommCount(comm_, &value));
    size_ = value;
  }
  nccl(const nccl&) = delete;
  nccl& operator=(const nccl&) = delete;
  ~nccl() { cudaFree(scratch_); }

  [[nodiscard]] index_t rank() const { return rank_; }
  [[nodiscard]] index_t size() const { return size_; }

  /// @note Copies @p x to the device and back; exact where one rank fills a slot and the others leave it zero.
  void all_reduce(std::span<double> x) {
    if (x.empty()) return;
    if (x.size() > room_) {
      succeed(cudaStreamSynchronize(stream_));
      succeed(cudaFree(scratch_));
      scratch_ = nullptr;
      room_ = 0;
      void* memory = nullptr;
      succeed(cudaMalloc(&memory, x.size_bytes()));
      scratch_ = static_cast<double*>(memory);
      room_ = x.size();
    }
    succeed(cudaMemcpyAsync(scratch_, x.data(), x.size_bytes(), cudaMemcpyHostToDevice, stream_));
    succeed(ncclAllReduce(scratch_, scratch_, x.size(), ncclDouble, ncclSum, comm_, stream_));
    succeed(cudaMemcpyAsync(x.data(), scratch_, x.size_bytes(), cudaMemcpyDeviceToHost, stream_));
    succeed(cudaStreamSynchronize(stream_));
  }

  /// @param x borders.back() elements of device memory.
  template <scalar T>
  void reduce_scatter(T* x, std::span<const index_t> borders) {
    detail::check_borders(borders, borders.back(), size_, "hone::distributed::nccl::reduce_scatter");
    succeed(ncclGroupStart());
    for_each_part(x, borders, [&](T* part, std::size_t count, int root) {
      return ncclReduce(part, part, count, type<T>(), ncclSum, root, comm_, stream_);
    });
    succeed(ncclGroupEnd());
  }

  /// @param x borders.back() elements of device memory.
  template <scalar T>
  void all_gather(T* x, std::span<const index_t> borders) {
    detail::check_borders(borders, borders.back(), size_, "hone::distributed::nccl::all_gather");
    succeed(ncclGroupStart());
    for_each_part(x, borders, [&](T* part, std::size_t count, int root) {
      return ncclBroadcast(part, part, count, type<T>(), root, comm_, stream_);
    });
    succeed(ncclGroupEnd());
  }

 private:
  static void succeed(ncclResult_t code) {
    if (code != ncclSuccess) HONE_THROW(std::runtime_error(ncclGetErrorString(code)));
  }
  static void succeed(cudaError_t code) {
    if (code != cudaSuccess) HONE_THROW(std::runtime_error(cudaGetErrorString(code)));
  }

  template <scalar T>
  static constexpr ncclDataType_t type() {
    switch (scalar_format<T>) {
      case format::float64: return ncclDouble;
      case format::bfloat16: return ncclBfloat16;
      case format::float16: return ncclHalf;
      default: return ncclFloat;
    }
  }

  /// A collective a part, so that parts may differ in size; grouped, NCCL runs them as one.
  template <class T, class F>
  static void for_each_part(T* x, std::span<const index_t> borders, F&& f) {
    for (std::size_t r = 0; r + 1 < borders.size(); ++r)
      if (borders[r] < borders[r + 1])
        succeed(f(x + borders[r], static_cast<std::size_t>(borders[r + 1] - borders[r]), static_cast<int>(r)));
  }

  ncclComm_t comm_;
  cudaStream_t stream_;
  index_t rank_ = 0;
  index_t size_ = 1;
  double* scratch_ = nullptr;
  std::size_t room_ = 0;
};

}  // namespace HONE_NAMESPACE::distributed
