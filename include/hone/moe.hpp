// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Experts that choose and experts that are chosen: routers, plans, schedules of capacity, balance.
#pragma once
#include "hone/moe/balance.hpp"
#include "hone/moe/coverage.hpp"
#include "hone/moe/load.hpp"
#include "hone/moe/plan.hpp"
#include "hone/moe/retrofit.hpp"
#include "hone/moe/route.hpp"
#include "hone/moe/router.hpp"
#include "hone/moe/scale.hpp"
#include "hone/moe/schedule.hpp"
#include "hone/moe/select.hpp"
#include "hone/moe/update.hpp"
