// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Views, scalars and accumulation, executors, reductions, random numbers, special functions: the standard library
/// only.
#pragma once
#include "hone/core/beta.hpp"
#include "hone/core/blas.hpp"
#include "hone/core/contract.hpp"
#include "hone/core/executor.hpp"
#include "hone/core/flags.hpp"
#include "hone/core/gamma.hpp"
#include "hone/core/normal.hpp"
#include "hone/core/output.hpp"
#include "hone/core/packs.hpp"
#include "hone/core/philox.hpp"
#include "hone/core/random.hpp"
#include "hone/core/reduce.hpp"
#include "hone/core/scalar.hpp"
#include "hone/core/simd.hpp"
#include "hone/core/simd_math.hpp"
#include "hone/core/simd_memory.hpp"
#include "hone/core/simd_random.hpp"
#include "hone/core/special.hpp"
#include "hone/core/thread_pool.hpp"
#include "hone/core/view.hpp"
