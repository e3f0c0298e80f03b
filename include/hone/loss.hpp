// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Rows of logits in, loss and dL/dlogits out: likelihood, unlearning, preference losses.
#pragma once
#include "hone/loss/batch.hpp"
#include "hone/loss/divergence.hpp"
#include "hone/loss/fused.hpp"
#include "hone/loss/hinge.hpp"
#include "hone/loss/kept.hpp"
#include "hone/loss/largest.hpp"
#include "hone/loss/likelihood.hpp"
#include "hone/loss/preference.hpp"
#include "hone/loss/rmu.hpp"
#include "hone/loss/row.hpp"
#include "hone/loss/row_summary.hpp"
#include "hone/loss/sampling.hpp"
#include "hone/loss/sequence.hpp"
#include "hone/loss/unpaired.hpp"
