// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Combination over ranks: shards, replicas, threads as ranks. MPI and NCCL are included by name.
#pragma once
#include "hone/distributed/communicator.hpp"
#include "hone/distributed/digest.hpp"
#include "hone/distributed/replicated.hpp"
#include "hone/distributed/sharded.hpp"
#include "hone/distributed/threads.hpp"
