// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Advantages, ratios, clips, anchors, sequence-level values, aggregation.
#pragma once
#include "hone/policy/advantage.hpp"
#include "hone/policy/anchor.hpp"
#include "hone/policy/batch.hpp"
#include "hone/policy/correction.hpp"
#include "hone/policy/covariance.hpp"
#include "hone/policy/critic.hpp"
#include "hone/policy/diagnostics.hpp"
#include "hone/policy/gae.hpp"
#include "hone/policy/kl.hpp"
#include "hone/policy/objective.hpp"
#include "hone/policy/ratio.hpp"
#include "hone/policy/reward.hpp"
#include "hone/policy/rows.hpp"
#include "hone/policy/surrogate.hpp"
