// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Masked-diffusion language models: masks and times, weights of the loss, the bound on likelihood, samplers.
#pragma once
#include "hone/diffusion/bound.hpp"
#include "hone/diffusion/masking.hpp"
#include "hone/diffusion/objective.hpp"
#include "hone/diffusion/sampler.hpp"
