// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Low-rank adapters: subspace initialisation, the orthogonal loss, conversion, merging.
#pragma once
#include "hone/lora/adapter.hpp"
#include "hone/lora/convert.hpp"
#include "hone/lora/corda.hpp"
#include "hone/lora/eva.hpp"
#include "hone/lora/initialise.hpp"
#include "hone/lora/lora_ga.hpp"
#include "hone/lora/merge.hpp"
#include "hone/lora/named_start.hpp"
#include "hone/lora/orthogonal.hpp"
#include "hone/lora/pooling.hpp"
#include "hone/lora/rila.hpp"
#include "hone/lora/spectral.hpp"
#include "hone/lora/starts.hpp"
#include "hone/lora/subspace.hpp"
