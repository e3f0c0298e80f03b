// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Differential privacy: noise that is exact, accounting that is rounded up, budgets that are spent once.
#pragma once
#include "hone/privacy/budget.hpp"
#include "hone/privacy/chacha20.hpp"
#include "hone/privacy/composition.hpp"
#include "hone/privacy/discrete.hpp"
#include "hone/privacy/fixed_plan.hpp"
#include "hone/privacy/gaussian.hpp"
#include "hone/privacy/guarantee.hpp"
#include "hone/privacy/loss_composition.hpp"
#include "hone/privacy/loss_curve.hpp"
#include "hone/privacy/loss_distribution.hpp"
#include "hone/privacy/renyi.hpp"
#include "hone/privacy/zero_concentrated.hpp"
