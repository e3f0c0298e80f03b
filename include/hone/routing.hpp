// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Which of two models, or more, should answer: deferral curves and their figures, thresholds, costs, reports.
#pragma once
#include "hone/routing/ability.hpp"
#include "hone/routing/curve_bootstrap.hpp"
#include "hone/routing/deferral.hpp"
#include "hone/routing/domains.hpp"
#include "hone/routing/frontier.hpp"
#include "hone/routing/routellm.hpp"
#include "hone/routing/scenario.hpp"
#include "hone/routing/thresholds.hpp"
#include "hone/routing/utility.hpp"
