#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Compiles what uses CUDA and NCCL from the host, on every compiler, where their headers are found ($HONE_CUDA_INCLUDES:
# folders, separated by spaces). Nothing is run: that needs a device.
. tests/checks/common.sh
for folder in ${HONE_CUDA_INCLUDES:-/usr/local/cuda/include}; do includes+=" -isystem $folder"; done
cat >"$work/use.cpp" <<'CPP'
#include "hone/distributed/nccl.cuh"
#include "hone/distributed/replicated.hpp"
#include "hone/gradient/pcgrad.hpp"
using hone::distributed::nccl;
static_assert(hone::distributed::all_reducer<nccl>);
// Device memory is no span: what combines on the host must not get it.
static_assert(!hone::distributed::reduce_scatterer<nccl, float> && !hone::distributed::all_gatherer<nccl, float>);
void use(nccl& comm, float* device, hone::bfloat16* other, std::span<const hone::index_t> borders, std::span<float> x) {
  comm.reduce_scatter(device, borders);
  comm.all_gather(other, borders);
  hone::distributed::combine_sharded(hone::gradient::pcgrad{}, hone::gradient::tasks(x, x), x, 0, {}, hone::serial{},
                                     comm);
}
CPP
for compiler in $(compilers); do
  if ! printf '#include <cuda_runtime_api.h>\n#include <nccl.h>\n' |
    $compiler -std=c++20 $includes -fsyntax-only -x c++ - 2>/dev/null; then
    echo "skipped: nccl.cuh (no cuda_runtime_api.h or nccl.h; name their folders in HONE_CUDA_INCLUDES)"
    exit 0
  fi
  $compiler -std=c++20 $warnings $includes -fsyntax-only "$work/use.cpp"
  echo "$compiler: nccl.cuh compiles"
done
